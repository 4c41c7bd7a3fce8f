"""The codecs: a frame's bytes to pixels, for Zarr v2 (numcodecs) and for Zarr v3.

Both hold three things and do nothing themselves: which HDU, and what type and shape its pixels
must have. `dkist_virtual.tiles` decodes.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import ArrayBytesCodec

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits import BITPIX_DTYPES
from dkist_virtual.tiles import decode_frame

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, NDBuffer
    from zarr.core.array_spec import ArraySpec

__all__ = ["CODEC_ID", "FITSCodec", "FITSCodecV3", "FrameSpec"]

CODEC_ID = "dkist_fits"
"""The codec's name in metadata, both Zarr versions."""

_DTYPES = frozenset(f"<{code}" for code in [*BITPIX_DTYPES.values(), "u2", "u4", "u8"]) | {
    "|u1",
    "|i1",
}


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """What the codec's configuration says of every frame.

    Parameters
    ----------
    hdu : int or str
        Index or EXTNAME of the HDU in a whole file.
    dtype : str
        The pixels' type after scaling, little-endian, as numpy writes it: ``"<f4"``.
    shape : tuple of int
        The HDU's shape in array order, a leading 1 included.

    Raises
    ------
    StoreCorruptError
        The configuration does not say these.
    """

    hdu: int | str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if isinstance(self.hdu, bool) or not isinstance(self.hdu, (int, str)) or self.hdu in ("",):
            raise self._wrong("hdu", self.hdu, "an index or an EXTNAME")
        if isinstance(self.hdu, int) and not 0 <= self.hdu < 10_000:
            raise self._wrong("hdu", self.hdu, "an index from 0")
        if not isinstance(self.dtype, str) or self.dtype not in _DTYPES:
            raise self._wrong("dtype", self.dtype, "one of " + ", ".join(sorted(_DTYPES)))
        whole = isinstance(self.shape, (list, tuple)) and all(
            isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in self.shape
        )
        if not whole or not self.shape:
            raise self._wrong("shape", self.shape, "positive axis lengths")
        object.__setattr__(self, "shape", tuple(self.shape))

    @staticmethod
    def _wrong(key: str, found: object, expected: str) -> StoreCorruptError:
        return StoreCorruptError(f"codec {CODEC_ID}: {key} = {found!r}: expected {expected}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a configuration; anything missing or unknown is an error."""
        if not isinstance(config, dict):
            raise StoreCorruptError(f"codec {CODEC_ID}: configuration = {config!r}: expected a map")
        given = {key: value for key, value in config.items() if key != "id"}
        if set(given) != {"hdu", "dtype", "shape"}:
            raise StoreCorruptError(
                f"codec {CODEC_ID}: has {', '.join(sorted(given)) or 'nothing'}: "
                "expected hdu, dtype and shape"
            )
        return cls(**given)

    def to_config(self) -> dict[str, Any]:
        """The configuration as it stands in metadata, without the codec's name."""
        return {"hdu": self.hdu, "dtype": self.dtype, "shape": list(self.shape)}

    def decode(self, data: bytes | memoryview) -> NDArray[np.generic]:
        """Pixels of one frame, shape and type as said here, native byte order."""
        return decode_frame(data, self.hdu, dtype=self.dtype, shape=self.shape)


class FITSCodec(Codec):  # type: ignore[misc]  # numcodecs has no types
    """A frame of FITS as a compressed chunk of a Zarr v2 array.

    A chunk's bytes are one HDU (they begin with ``XTENSION``) or a whole file (``SIMPLE``).
    There is no way to write one.

    Parameters
    ----------
    hdu : int or str
        Index or EXTNAME of the HDU in a whole file.
    dtype : str
        The array's type, little-endian.
    shape : sequence of int
        The HDU's shape in array order.
    """

    codec_id: ClassVar[str] = CODEC_ID

    def __init__(self, hdu: int | str, dtype: str, shape: list[int]) -> None:
        self.spec = FrameSpec(hdu, dtype, tuple(shape))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode one chunk.

        Parameters
        ----------
        buf : bytes-like
            An HDU or a file.
        out : buffer, optional
            Where to put the pixels.

        Returns
        -------
        numpy.ndarray
            Of the configuration's shape and type.
        """
        data = memoryview(ensure_contiguous_ndarray(buf).view("u1").data)
        # Zarr v2 takes what a codec returns for the array's own type without looking.
        pixels = self.spec.decode(data).astype(self.spec.dtype, copy=False)
        return pixels if out is None else ndarray_copy(pixels, out)

    def encode(self, buf: Any) -> Any:
        """Refuse: frames are only read."""
        raise NotImplementedError(f"codec {CODEC_ID}: FITS frames are read, never written")

    def get_config(self) -> dict[str, Any]:
        """The configuration as it stands in the array's metadata."""
        return {"id": self.codec_id, **self.spec.to_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec that a configuration describes."""
        spec = FrameSpec.from_config(config)
        return cls(spec.hdu, spec.dtype, list(spec.shape))

    def __repr__(self) -> str:
        return f"FITSCodec({self.spec.hdu!r}, {self.spec.dtype!r}, {list(self.spec.shape)})"


@dataclass(frozen=True)
class FITSCodecV3(ArrayBytesCodec):
    """A frame of FITS as a chunk of a Zarr v3 array: its only codec, array to bytes.

    Parameters
    ----------
    spec : FrameSpec
    """

    spec: FrameSpec

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its entry in an array's ``codecs``."""
        return cls(FrameSpec.from_config(data.get("configuration", {})))

    def to_dict(self) -> dict[str, Any]:
        """The codec's entry in an array's ``codecs``."""
        return {"name": CODEC_ID, "configuration": self.spec.to_config()}

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = self.spec.decode(chunk_bytes.as_numpy_array().data)
        if pixels.size != math.prod(chunk_spec.shape):
            raise StoreCorruptError(
                f"codec {CODEC_ID}: shape = {list(self.spec.shape)}: expected one that fits into "
                f"the array's chunks of {list(chunk_spec.shape)}"
            )
        return chunk_spec.prototype.nd_buffer.from_numpy_array(pixels.reshape(chunk_spec.shape))

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        # Off the event loop, which all of zarr's reads in a process share; the kernels release
        # the GIL, so frames are decoded side by side.
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(f"codec {CODEC_ID}: FITS frames are read, never written")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown: how well a frame is compressed stands in the frame."""
        raise NotImplementedError(f"codec {CODEC_ID}: the size of a frame is not known beforehand")
