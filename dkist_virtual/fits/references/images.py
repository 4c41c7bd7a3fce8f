"""Walk the headers of a FITS file, and say where the bytes of its images are.

Pure: a walk is a generator, as in `dkist_virtual.fits.partial`, that yields requests of byte ranges
and is sent their bytes. The data between two headers is not requested. Byte ranges are half-open
and count from the first byte of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dkist_virtual.fits.errors import FrameCorruptError, FrameUnsupportedError
from dkist_virtual.fits.file_check import refuse_empty
from dkist_virtual.fits.frame_spec import FrameSpec
from dkist_virtual.fits.hdu import (
    HDU,
    MAX_HEADER,
    TruncatedHeaderError,
    has_image,
    is_named,
    layout_of,
    name_of,
    read_hdu,
)
from dkist_virtual.fits.layout import PlainImage
from dkist_virtual.fits.partial import FIRST_READ
from dkist_virtual.fits.tiled.decoders import refuse_unknown

if TYPE_CHECKING:
    import numpy as np

    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.layout import Image
    from dkist_virtual.fits.partial import A, Q, Reading, Source

__all__ = [
    "ImageReference",
    "all_images",
    "one_image",
    "refuse_other_formats",
    "walk_headers",
]

_OTHERS: Final = {
    b"\x1f\x8b": "gzip",
    b"\x1f\x9d": "compress (.Z)",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
"""How files begin that were compressed as a whole."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """Say where the image of one HDU is in its file, and what its pixels are.

    Parameters
    ----------
    hdu : HDU
        Its header, and where header and data begin in the file.
    size : int
        Bytes of the file.
    layout : PlainImage or CompressedImage
        Its pixels' type, shape and scaling.

    Raises
    ------
    FrameCorruptError
        The file ends before the image does.
    """

    hdu: HDU
    size: int
    layout: Image

    def __post_init__(self) -> None:
        self.hdu.check_complete(self.size)

    @classmethod
    def of(cls, hdu: HDU, size: int) -> ImageReference:
        """Describe the image of an HDU.

        Raises
        ------
        FrameCorruptError
            Its keywords are missing or contradict each other, or the file ends before it does.
        FrameUnsupportedError
            It has no image, or an empty one, or is compressed in an unknown way.
        """
        layout = layout_of(hdu)
        if not isinstance(layout, PlainImage):
            refuse_unknown(layout)
        return cls(hdu, size, layout)

    @property
    def index(self) -> int:
        """The HDU's number in the file, 0 for the primary."""
        assert isinstance(self.hdu.index, int)
        return self.hdu.index

    @property
    def name(self) -> str:
        """The HDU's EXTNAME, as astropy finds it; empty without one, PRIMARY for the primary."""
        return name_of(self.hdu)

    @property
    def offset(self) -> int:
        """The first byte of the HDU's header: with `length`, what the codec decodes."""
        return self.hdu.start

    @property
    def length(self) -> int:
        """Bytes of the HDU, header, data and padding, but not beyond the end of the file."""
        return min(self.hdu.stop, self.size) - self.hdu.start

    @property
    def pixels(self) -> tuple[int, int] | None:
        """First byte and number of bytes of the pixels; None where they have to be decoded.

        They are numbers of `layout.raw_dtype`, which is big-endian, in C order.
        """
        if isinstance(self.layout, PlainImage) and self.layout.is_verbatim:
            return self.hdu.data_start, self.layout.nbytes
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the image in array order, as the file has it: the reverse of NAXISn or ZNAXISn."""
        return self.layout.shape

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels after scaling, native byte order."""
        return self.layout.dtype

    def spec(self, target: HDUTarget | None = None) -> FrameSpec:
        """Describe it as the codec's configuration does.

        Parameters
        ----------
        target : int or str, optional
            How the configuration names the HDU; by default by its index.
        """
        dtype = self.dtype.newbyteorder("<").str
        return FrameSpec(self.index if target is None else target, dtype, self.shape)


def refuse_other_formats(head: bytes | memoryview) -> None:
    """Refuse a file that begins like one that was compressed as a whole.

    Raises
    ------
    FrameCorruptError
        It is empty.
    FrameUnsupportedError
        It was compressed: a part of it can be read only after all that is before.
    """
    refuse_empty(bytes(head[:6]))
    begin = bytes(head[:6])
    for magic, name in _OTHERS.items():
        if begin.startswith(magic):
            raise FrameUnsupportedError(
                f"the file as a whole was compressed with {name}, so that no part of it can be "
                "read alone: expected FITS, whose images may be tile-compressed. Uncompress it, or "
                "compress its images with fpack"
            )


def walk_headers(
    source: Source[Q, A],
    size: int,
    visit: Callable[[HDU], bool],
    head: bytes | memoryview = b"",
    first_read: int = FIRST_READ,
) -> Reading[Q, A, int]:
    """Read the headers of a file one after the other, until a visitor has seen enough.

    Parameters
    ----------
    source : callable
        Makes requests of byte ranges, and the bytes out of their answers.
    size : int
        Bytes of the file.
    visit : callable
        Is given every HDU, with positions in the file; returns whether to stop there.
    head : bytes, optional
        The first bytes of the file, where they are at hand.
    first_read : int
        How many bytes to request of a header; of one that is longer, more.

    Returns
    -------
    int
        How many HDUs were seen. After the last one may be other bytes (3.5).

    Raises
    ------
    FrameCorruptError
        The file is empty, is not FITS, ends within a header, or an HDU's sizes cannot be.
    FrameUnsupportedError
        A header is longer than any; or as `refuse_other_formats`.
    FrameError
        What `visit` raises.
    """
    data, begin = memoryview(head), 0  # the bytes at hand, and where they are in the file
    start = index = 0
    n = first_read
    if not size:
        refuse_empty(b"")
    while start < size or not index:
        if start == 0 and data:
            refuse_other_formats(data)
        at_hand = bytes(data[start - begin : start - begin + 9])
        if index and at_hand and not b"XTENSION=".startswith(at_hand):
            return index
        try:
            hdu = read_hdu(data, start - begin, index)
        except TruncatedHeaderError as error:
            there = begin + len(data)
            if there >= size or n > 4 * MAX_HEADER:
                if index and size - start < 9:
                    return index  # a stray byte or two
                raise FrameCorruptError(str(error)) from None
            n = 4 * n if begin == start and data else first_read
            (fetched,) = yield from source([(start, min(start + n, size))])
            data, begin = memoryview(fetched), start
            continue
        hdu = replace(hdu, start=start, data_start=hdu.data_start + begin)
        index += 1
        if visit(hdu):
            return index
        start = hdu.stop
    return index


def one_image(
    source: Source[Q, A],
    size: int,
    target: HDUTarget | None = None,
    head: bytes | memoryview = b"",
    note: Callable[[HDU], object] = lambda hdu: None,  # noqa: ARG005
) -> Reading[Q, A, ImageReference]:
    """Find the image of one HDU.

    Parameters
    ----------
    source, size, head
        As in `walk_headers`.
    target : int or str, optional
        Index or EXTNAME; by default the only image with pixels.
    note : callable, optional
        Is given every HDU that is passed on the way, and the one that is found.

    Raises
    ------
    FrameCorruptError
        The file has no such HDU; or as `walk_headers` and `ImageReference.of`.
    FrameUnsupportedError
        It has several images with pixels, or none, where no `target` is given; or as
        `walk_headers` and `ImageReference.of`.
    """
    seen: list[HDU] = []
    found: list[HDU] = []

    def visit(hdu: HDU) -> bool:
        seen.append(hdu)
        note(hdu)
        if (target is None and has_image(hdu)) or (target is not None and is_named(hdu, target)):
            found.append(hdu)
        return len(found) == (2 if target is None else 1)

    n = yield from walk_headers(source, size, visit, head)
    if target is not None and not found:
        raise FrameCorruptError(f"the file has no HDU {target!r}: it ends after {n} HDU(s)")
    if not found:
        raise FrameUnsupportedError(
            f"no HDU has an image with pixels: found {', '.join(map(_described, seen))}"
        )
    if len(found) > 1:
        raise FrameUnsupportedError(
            f"{' and '.join(map(_described, found))} both have images: expected one. Say which, by "
            "index or EXTNAME, as hdu= (--hdu)"
        )
    return ImageReference.of(found[0], size)


def all_images(
    source: Source[Q, A], size: int, head: bytes | memoryview = b""
) -> Reading[Q, A, tuple[ImageReference, ...]]:
    """Find all images with pixels of a file, in its order; HDUs without are passed over.

    Parameters and errors are those of `walk_headers` and `ImageReference.of`.
    """
    found: list[ImageReference] = []

    def visit(hdu: HDU) -> bool:
        if has_image(hdu):
            found.append(ImageReference.of(hdu, size))
        return False

    yield from walk_headers(source, size, visit, head)
    return tuple(found)


def _described(hdu: HDU) -> str:
    """Name an HDU, and say what it is, for messages."""
    kind = hdu.header.string("XTENSION", "IMAGE")
    what = "" if has_image(hdu) else " (empty)" if kind == "IMAGE" else f" ({kind})"
    name = name_of(hdu)
    return f"HDU {hdu.index}{f' {name!r}' if name else ''}{what}"
