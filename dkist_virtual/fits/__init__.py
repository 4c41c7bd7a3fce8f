"""Decode FITS: from bytes to pixels, without any I/O.

Nothing here does I/O or imports anything else of the package: another survey could take this folder
as it is.

- `buffers`: allocate memory for pixels, and use it again when nothing refers to it any more
- `checksum`: compute the sums of FITS: DATASUM of an HDU's data, CHECKSUM of all of it
  (4.4.2.7, appendix J)
- `codecs`: define the codecs that turn a frame's bytes into pixels, for Zarr v2 (numcodecs) and
  Zarr v3
- `compiled/`: have kernels as machine code: from the disk, or compiled in the background
- `decode`: decode pixels from a frame's layout and bytes: whole frames, or the tiles of a
  window
- `errors`: define the errors of reading FITS: bytes that are wrong, or of a kind that is not
  read
- `file_check`: check that the bytes of a FITS file are there to its end, and have the sum that
  they should
- `frame_spec`: describe the frames of an array: which HDU they are, and their pixels' type and
  shape
- `hdu`: parse FITS bytes into a frozen layout: where the HDUs are, and the pixels of one of
  them
- `header`: find the cards of a FITS header by keyword, and parse them when asked (FITS standard
  4.0, 4)
- `kernels`: compile kernels, and keep them on the disk where that is possible
- `layout`: describe an image as frozen values: its pixels' type and scaling, and where their
  bytes are
- `partial`: read part of a frame: say which bytes to fetch, then turn them into pixels
- `references/`: say where the images of a file are, from its headers alone
- `threads`: share the cores: a single frame is decoded by all of them, many frames by one each
- `tiled/`: decode tile-compressed images (FITS standard 4.0, section 10)

Names are imported when they are first used: importing the wing loads neither numpy nor numba nor
zarr.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dkist_virtual.fits.codecs import (
        FITSCodec,
        FITSCodecV3,
        FITSImageCodec,
        FITSImageCodecV3,
    )
    from dkist_virtual.fits.decode import decode_frame, decode_image
    from dkist_virtual.fits.errors import (
        CodecConfigurationError,
        FrameCorruptError,
        FrameError,
        FrameUnsupportedError,
    )
    from dkist_virtual.fits.frame_spec import FrameSpec, ImageSpec
    from dkist_virtual.fits.hdu import find_hdu, layout_of, read_hdu

__all__ = [
    "CodecConfigurationError",
    "FITSCodec",
    "FITSCodecV3",
    "FITSImageCodec",
    "FITSImageCodecV3",
    "FrameCorruptError",
    "FrameError",
    "FrameSpec",
    "FrameUnsupportedError",
    "ImageSpec",
    "decode_frame",
    "decode_image",
    "find_hdu",
    "layout_of",
    "read_hdu",
]

_ROOMS = {
    "FITSCodec": "codecs", "FITSCodecV3": "codecs", "FrameSpec": "frame_spec",
    "FITSImageCodec": "codecs", "FITSImageCodecV3": "codecs", "ImageSpec": "frame_spec",
    "decode_frame": "decode", "decode_image": "decode",
    "find_hdu": "hdu", "layout_of": "hdu", "read_hdu": "hdu",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOMS.get(name, 'errors')}"), name)
    globals()[name] = value
    return value
