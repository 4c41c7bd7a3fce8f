"""Describe the frames of an array: which HDU they are, and their pixels' type and shape."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from dkist_virtual.fits.decode import Window, decode_frame, whole_window
from dkist_virtual.fits.errors import CodecConfigurationError, DKISTVirtualError
from dkist_virtual.fits.layout import BITPIX_DTYPES, PlainImage
from dkist_virtual.fits.partial import (
    FIRST_READ,
    GAP_BYTES,
    FrameMap,
    plain_extent,
    plain_map,
    read_steps,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.partial import A, Q, Reading, Source

__all__ = [
    "CODEC_ID",
    "IMAGE_CODEC_ID",
    "RAW_CODEC_ID",
    "FrameSpec",
    "ImageSpec",
    "RawSpec",
    "without_leading_axis",
]

CODEC_ID: Final = "dkist_fits"
"""The codec's name in metadata, both Zarr versions."""

IMAGE_CODEC_ID: Final = "fits_image"
"""Its neutral name, for images of any survey: the same configuration, bytes and pixels."""

RAW_CODEC_ID: Final = "dkist_raw"
"""The name of the codec for plain frames, in Zarr v3 alone: in Zarr v2 they need none."""

_DTYPES = frozenset(f"<{code}" for code in [*BITPIX_DTYPES.values(), "u2", "u4", "u8"]) | {
    "|u1",
    "|i1",
}


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """Say which HDU of a file is a frame, and check it as a codec's configuration.

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
    CodecConfigurationError
        One of these has no such value; a subclass may name another class as its `error`.
    """

    hdu: HDUTarget
    dtype: str
    shape: tuple[int, ...]

    codec_id: ClassVar[str] = CODEC_ID
    error: ClassVar[type[DKISTVirtualError]] = CodecConfigurationError

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

    def _wrong(self, key: str, found: object, expected: str) -> DKISTVirtualError:
        return self.error(f"codec {self.codec_id}: {key} = {found!r}: expected {expected}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a configuration; anything missing or unknown is an error."""
        if not isinstance(config, dict):
            raise cls.error(f"codec {cls.codec_id}: configuration = {config!r}: expected a map")
        given = {key: value for key, value in config.items() if key != "id"}
        if set(given) != {"hdu", "dtype", "shape"}:
            raise cls.error(
                f"codec {cls.codec_id}: has {', '.join(sorted(given)) or 'nothing'}: "
                "expected hdu, dtype and shape"
            )
        return cls(**given)

    def to_config(self) -> dict[str, object]:
        """Return the configuration as metadata have it, without the codec's name."""
        return {"hdu": self.hdu, "dtype": self.dtype, "shape": list(self.shape)}

    def decode(self, data: bytes | memoryview) -> NDArray[np.generic]:
        """Decode one frame to pixels of this shape and type, native byte order."""
        return decode_frame(data, self.hdu, dtype=self.dtype, shape=self.shape, parallel=True)

    def window(self, chunk: Window) -> Window:
        """Return the HDU's axes of a window of a chunk: their leading axes of 1 may differ."""
        return ((range(1),) * len(self.shape) + chunk)[-len(self.shape) :]

    def steps(
        self,
        source: Source[Q, A],
        window: Window,
        frame: FrameMap | None = None,
        head_bytes: int = FIRST_READ,
        gap: int = GAP_BYTES,
        out: NDArray[np.generic] | None = None,
        *,
        bounded: bool = False,
    ) -> Reading[Q, A, tuple[FrameMap | None, NDArray[np.generic]]]:
        """Read a window of a frame in steps: see `dkist_virtual.fits.partial.read_steps`."""
        return read_steps(
            source,
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
class ImageSpec(FrameSpec):
    """Say which HDU of a file is an image, and check it as `fits_image`'s configuration."""

    codec_id = IMAGE_CODEC_ID


@dataclass(frozen=True, slots=True)
class RawSpec:
    """Describe frames whose bytes are their pixels.

    Parameters
    ----------
    dtype : str
        As numpy writes it, byte order included.
    shape : tuple of int
        Of a frame, without a leading 1.

    Raises
    ------
    CodecConfigurationError
        These are not big-endian numbers; a subclass may name another class as its `error`.
    """

    dtype: str
    shape: tuple[int, ...]

    error: ClassVar[type[DKISTVirtualError]] = CodecConfigurationError

    def __post_init__(self) -> None:
        if np.dtype(self.dtype).kind not in "iuf" or np.dtype(self.dtype).str[0] == "<":
            raise self.error(
                f"codec {RAW_CODEC_ID}: dtype = {self.dtype!r}: expected big-endian numbers"
            )
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a configuration; anything missing or unknown is an error."""
        if set(config) != {"dtype", "shape"}:
            raise cls.error(f"codec {RAW_CODEC_ID}: expected dtype and shape")
        return cls(config["dtype"], config["shape"])

    def to_config(self) -> dict[str, object]:
        """Return the configuration as metadata have it, without the codec's name."""
        return {"dtype": self.dtype, "shape": list(self.shape)}

    def decode(self, data: bytes | memoryview) -> NDArray[np.generic]:
        """Decode one frame to pixels in native byte order."""
        return plain_map(self.dtype, self.shape).decode(whole_window(self.shape), [(0, data)])

    def window(self, chunk: Window) -> Window:
        """Return the frame's axes of a window of a chunk: their leading axes of 1 may differ."""
        return ((range(1),) * len(self.shape) + chunk)[len(chunk) :]

    def rows(self, window: Window) -> tuple[int, int] | None:
        """Return the bytes of a window that is one piece of the frame; None where it is not."""
        layout = plain_map(self.dtype, self.shape).layout
        assert isinstance(layout, PlainImage)
        first, last = plain_extent(layout, window)
        # Its pixels are different ones: as many as there are from the first to the last are all.
        whole = last - first == math.prod(map(len, window)) * layout.raw_dtype.itemsize
        return (first, last) if whole else None

    def steps(
        self,
        source: Source[Q, A],
        window: Window,
        frame: FrameMap | None = None,  # noqa: ARG002  # there is nothing to look up
        head_bytes: int = 0,  # noqa: ARG002
        gap: int = 0,
        out: NDArray[np.generic] | None = None,
        *,
        bounded: bool = False,  # noqa: ARG002  # every range is known to be inside
    ) -> Reading[Q, A, tuple[FrameMap | None, NDArray[np.generic]]]:
        """Read a window of a frame in steps: its rows from the first to the last."""
        return read_steps(
            source,
            0,
            dtype=self.dtype,
            shape=self.shape,
            window=window,
            frame=plain_map(self.dtype, self.shape),
            head_bytes=0,
            gap=gap,
            out=out,
        )


def without_leading_axis(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop a leading axis of length 1 from an HDU's shape: an array of frames lacks it."""
    return shape[1:] if shape[:1] == (1,) else shape
