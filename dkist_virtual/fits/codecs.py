"""Define the codecs that turn a frame's bytes into pixels, for Zarr v2 (numcodecs) and Zarr v3.

Both hold three things and do nothing themselves: which HDU, and what type and shape its pixels
must have. `dkist_virtual.fits.decode` decodes.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import (
    ArrayBytesCodec,
    ArrayBytesCodecPartialDecodeMixin,
    BytesBytesCodec,
)
from zarr.abc.store import RangeByteRequest, Store

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits.decode import Window, decode_frame, whole_window
from dkist_virtual.fits.layout import BITPIX_DTYPES, PlainImage
from dkist_virtual.fits.partial import (
    FIRST_READ,
    GAP_BYTES,
    FrameMap,
    Steps,
    advance,
    plain_extent,
    plain_map,
    read_steps,
    split_index,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype, NDBuffer
    from zarr.abc.store import ByteGetter
    from zarr.core.array_spec import ArraySpec
    from zarr.core.indexing import SelectorTuple

__all__ = [
    "CODEC_ID",
    "NUMCODECS_ID",
    "RAW_CODEC_ID",
    "FITSBytesCodecV3",
    "FITSCodec",
    "FITSCodecV3",
    "FrameSpec",
    "RawCodecV3",
    "RawSpec",
]

CODEC_ID = "dkist_fits"
"""The codec's name in metadata, both Zarr versions."""

RAW_CODEC_ID = "dkist_raw"
"""The name of the codec for plain frames, in the Zarr v3 view alone: on disk they need none."""

NUMCODECS_ID = f"numcodecs.{CODEC_ID}"
"""What VirtualiZarr calls the codec of a Zarr v2 array in Zarr v3."""

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
        return decode_frame(data, self.hdu, dtype=self.dtype, shape=self.shape, parallel=True)

    def window(self, chunk: Window) -> Window:
        """The HDU's axes of a window of a chunk, which has frame axes and lacks a leading 1."""
        if self.shape[0] == 1:
            return (range(1), *chunk[len(chunk) - len(self.shape) + 1 :])
        return chunk[len(chunk) - len(self.shape) :]

    def steps(
        self,
        window: Window,
        frame: FrameMap | None = None,
        head_bytes: int = FIRST_READ,
        gap: int = GAP_BYTES,
        out: NDArray[np.generic] | None = None,
        *,
        bounded: bool = False,
    ) -> Steps:
        """The steps of reading a window of a frame: see `dkist_virtual.fits.partial.read_steps`."""
        return read_steps(
            self.hdu,
            dtype=self.dtype,
            shape=self.shape,
            window=window,
            frame=frame,
            head_bytes=head_bytes,
            gap=gap,
            out=out,
            bounded=bounded,
        )


@dataclass(frozen=True, slots=True)
class RawSpec:
    """What there is to know of frames whose bytes are their pixels.

    Parameters
    ----------
    dtype : str
        As numpy writes it, byte order included.
    shape : tuple of int
        Of a frame, without a leading 1.
    """

    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if np.dtype(self.dtype).kind not in "iuf" or np.dtype(self.dtype).str[0] == "<":
            raise StoreCorruptError(
                f"codec {RAW_CODEC_ID}: dtype = {self.dtype!r}: expected big-endian numbers"
            )
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a configuration; anything missing or unknown is an error."""
        if set(config) != {"dtype", "shape"}:
            raise StoreCorruptError(f"codec {RAW_CODEC_ID}: expected dtype and shape")
        return cls(config["dtype"], config["shape"])

    def to_config(self) -> dict[str, Any]:
        """The configuration as it stands in metadata, without the codec's name."""
        return {"dtype": self.dtype, "shape": list(self.shape)}

    def decode(self, data: bytes | memoryview) -> NDArray[np.generic]:
        """Pixels of one frame, native byte order."""
        return plain_map(self.dtype, self.shape).decode(whole_window(self.shape), [(0, data)])

    def window(self, chunk: Window) -> Window:
        """The frame's axes of a window of a chunk."""
        return chunk[len(chunk) - len(self.shape) :]

    def rows(self, window: Window) -> tuple[int, int] | None:
        """The bytes of a window that is one piece of the frame; None where it is not."""
        layout = plain_map(self.dtype, self.shape).layout
        assert isinstance(layout, PlainImage)
        first, last = plain_extent(layout, window)
        # Its pixels are different ones: as many as there are from the first to the last are all.
        whole = last - first == math.prod(map(len, window)) * layout.raw_dtype.itemsize
        return (first, last) if whole else None

    def steps(
        self,
        window: Window,
        frame: FrameMap | None = None,  # noqa: ARG002  # there is nothing to look up
        head_bytes: int = 0,  # noqa: ARG002
        gap: int = 0,
        out: NDArray[np.generic] | None = None,
        *,
        bounded: bool = False,  # noqa: ARG002  # every range is known to be inside
    ) -> Steps:
        """The steps of reading a window of a frame: its rows from the first to the last."""
        known = plain_map(self.dtype, self.shape)
        return read_steps(
            0,
            dtype=self.dtype,
            shape=self.shape,
            window=window,
            frame=known,
            head_bytes=0,
            gap=gap,
            out=out,
        )


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
class FITSCodecV3(ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):
    """A frame of FITS as a chunk of a Zarr v3 array: its only codec, array to bytes.

    A selection of a frame fetches its header and tile table, once, and the tiles that it
    touches. A whole frame is one request.

    Parameters
    ----------
    spec : FrameSpec
    """

    spec: FrameSpec | RawSpec

    is_fixed_size = False

    codec_id: ClassVar[str] = CODEC_ID
    spec_class: ClassVar[type[FrameSpec | RawSpec]] = FrameSpec

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its entry in an array's ``codecs``."""
        return cls(cls.spec_class.from_config(data.get("configuration", {})))

    def to_dict(self) -> dict[str, Any]:
        """The codec's entry in an array's ``codecs``."""
        return {"name": self.codec_id, "configuration": self.spec.to_config()}

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

    async def _decode_partial_single(
        self, byte_getter: ByteGetter, selection: SelectorTuple, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        index = selection if isinstance(selection, tuple) else (selection,)
        window, rest = split_index(index, chunk_spec.shape)
        core = self.spec.window(window)
        # A store of ours knows its frames, and keeps their maps; any other one gives bytes.
        read = getattr(getattr(byte_getter, "store", None), "read_window", None)
        if read is not None:
            pixels = await asyncio.to_thread(read, byte_getter.path, core)  # type: ignore[attr-defined]
        else:
            pixels = await self._read(byte_getter, core, chunk_spec.prototype)
        if pixels is None:
            return None
        chosen = pixels.reshape(tuple(map(len, window)))[rest]
        return chunk_spec.prototype.nd_buffer.from_numpy_array(np.asarray(chosen))

    async def _read(
        self, byte_getter: ByteGetter, window: Window, prototype: BufferPrototype
    ) -> NDArray[np.generic] | None:
        """Pixels of part of a frame; None where the frame is absent and that is no error.

        Some stores refuse a range that ends beyond a chunk's end, so none is asked for.
        """
        if getattr(byte_getter, "store", None) is None:  # inside a shard: there are no ranges
            buffer = await byte_getter.get(prototype)
            if buffer is None:
                return None
            frame = await asyncio.to_thread(self.spec.decode, buffer.as_numpy_array().data)
            return frame[tuple(slice(p[0], p[-1] + 1, p.step) for p in window)]
        length = await _length_of(byte_getter)

        async def fetch(start: int, stop: int | None) -> memoryview | None:
            part = None
            if stop is not None:
                part = RangeByteRequest(start, stop if length is None else min(stop, length))
                if part.end <= start:
                    return memoryview(b"")
            buffer = await byte_getter.get(prototype, part)
            return None if buffer is None else buffer.as_numpy_array().data

        steps = self.spec.steps(window, bounded=length is None)
        wanted = next(steps)
        while True:
            fetched = await asyncio.gather(*(fetch(*part) for part in wanted))
            there = [data for data in fetched if data is not None]
            if len(there) < len(fetched):
                return None
            wanted, done = await asyncio.to_thread(advance, steps, there)
            if done is not None:
                return done[1]

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(f"codec {CODEC_ID}: FITS frames are read, never written")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown: how well a frame is compressed stands in the frame."""
        raise NotImplementedError(f"codec {self.codec_id}: the size of a frame is not known")


async def _length_of(byte_getter: Any) -> int | None:
    """The length of a chunk, where its store knows that without reading all of it."""
    if type(byte_getter.store).getsize is Store.getsize:
        return None
    # Each store has errors of its own; what is wrong is said when the chunk is read.
    with suppress(Exception):
        length: int = await byte_getter.store.getsize(byte_getter.path)
        return length
    return None


@dataclass(frozen=True)
class RawCodecV3(FITSCodecV3):
    """A plain frame as a chunk of a Zarr v3 array: a selection reads only its rows.

    zarr's own codec for bytes reads whole chunks.

    Parameters
    ----------
    spec : RawSpec
    """

    codec_id: ClassVar[str] = RAW_CODEC_ID
    spec_class: ClassVar[type[FrameSpec | RawSpec]] = RawSpec


@dataclass(frozen=True)
class FITSBytesCodecV3(BytesBytesCodec):
    """A frame of FITS to its pixels' bytes: what VirtualiZarr makes of a Zarr v2 array's codec.

    It looks up a numcodecs codec under this name, as a Zarr v3 codec from bytes to bytes, of which
    zarr's own codec makes numbers. Whole frames alone are read: `FITSCodecV3` reads parts.

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
        return {"name": NUMCODECS_ID, "configuration": self.spec.to_config()}

    @property
    def codec_config(self) -> dict[str, Any]:
        """The codec's configuration in Zarr v2, for VirtualiZarr's writers."""
        return {"id": CODEC_ID, **self.spec.to_config()}

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        pixels = self.spec.decode(chunk_bytes.as_numpy_array().data)
        if pixels.size != math.prod(chunk_spec.shape):
            raise StoreCorruptError(
                f"codec {NUMCODECS_ID}: shape = {list(self.spec.shape)}: expected one that fits "
                f"into the array's chunks of {list(chunk_spec.shape)}"
            )
        return chunk_spec.prototype.buffer.from_bytes(
            pixels.astype(self.spec.dtype, copy=False).tobytes()
        )

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    async def _encode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(f"codec {NUMCODECS_ID}: FITS frames are read, never written")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown: how well a frame is compressed stands in the frame."""
        raise NotImplementedError(f"codec {NUMCODECS_ID}: the size of a frame is not known")
