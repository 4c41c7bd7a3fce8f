"""Check one frame against the store: its file, HDU, sums and keywords.

Pure: it is given the bytes of the file, and what the store's own tables say.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.errors import (
    DKISTVirtualError,
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fits.decode import check_layout, decode_image
from dkist_virtual.fits.hdu import (
    HDU,
    find_data,
    find_hdu,
    layout_of,
    stated_datasum,
    walk_hdus,
)
from dkist_virtual.fits.layout import CompressedImage, Image
from dkist_virtual.store.format.verify_json import Finding, Outcome
from dkist_virtual.store.integrity import scanned_version

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from dkist_virtual.fits.header import HDUTarget, Header
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.store.format.frame_index import FrameEntry

__all__ = ["KEYWORDS", "Finding", "Stated", "check_frame", "outcome_of"]

KEYWORDS: Final = (
    "DATE-BEG", "DATE-AVG", "DATE-END", "LINEWAV", "FRAMEWAV", "XPOSURE", "POL_NOIS",
    "DINDEX3", "DINDEX4", "DINDEX5", "DINDEX6", "DINDEX7", "MINDEX1", "MINDEX2",
    "CRVAL1", "CRVAL2", "CRVAL3", "CRPIX1", "CRPIX2", "CRPIX3", "CDELT1", "CDELT2", "CDELT3",
    "PC1_1", "PC1_2", "PC2_1", "PC2_2", "CTYPE1", "CTYPE2", "CTYPE3", "CUNIT1", "CUNIT2", "CUNIT3",
)  # fmt: skip
"""When, at which wavelength and where on the Sun a frame was taken, and its place in the dataset.
FRAMEVOL and CHECKSUM are left out: the pipeline edits the first after the second was written."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a store says of one frame.

    Parameters
    ----------
    target : int, str or None
        Which HDU; None where the store knows only where its pixels begin.
    dtype : numpy.dtype
    shape : tuple of int
        The HDU's, or without a leading 1 where `target` is None.
    data_start : int
        Where the pixels begin in the file, where `target` is None.
    file : FrameEntry
        What the scan found of the file, and of the HDU in it.
    header : mapping
        The header table's row, as far as it is compared; empty where there is none. None for
        masked cells and NaN, which are cards that are not there.
    same_file : bool
        Whether it is the very file that was scanned, and no copy.
    """

    target: HDUTarget | None
    dtype: np.dtype
    shape: tuple[int, ...]
    data_start: int
    file: FrameEntry
    header: Mapping[str, object]
    same_file: bool


def outcome_of(error: DKISTVirtualError) -> Outcome:
    """The outcome for a frame that cannot be read."""
    if isinstance(error, FrameMissingError):
        return "absent"
    if isinstance(error, FrameUnreachableError):
        return "unreachable"
    return "corrupt" if isinstance(error, FrameCorruptError) else "refused"


def check_frame(key: str, url: str, reply: Reply, stated: Stated) -> tuple[Finding, Header | None]:
    """Check a frame's whole file, `reply`, against what the store says of it.

    Also gives the header of the HDU, where there is one.
    """
    data = memoryview(reply.data)
    if 0 <= stated.file.size != len(data):
        detail = f"the file has {len(data)} bytes: it had {stated.file.size} when it was scanned"
        return Finding(key, url, "changed", detail), None
    if not re.match(rb"SIMPLE  = {20}T", data[:30]):  # FITS 4.0, 4.4.1.1
        detail = f"not a FITS file: it begins with {bytes(data[:30])!r}, expected SIMPLE = T"
        return Finding(key, url, "corrupt", detail), None
    try:
        hdu = _hdu(data, stated)
        layout = layout_of(hdu)
    except FrameError as error:
        return Finding(key, url, outcome_of(error), str(error)), None
    notes: list[str] = []
    changed = list(_changes(hdu, layout, len(data), stated))
    try:
        broken = [*_sums(data, hdu, layout, stated, notes)]
    except FrameError as error:
        detail = "; ".join([str(error), *changed])
        return Finding(key, url, outcome_of(error), detail), hdu.header
    mtime = -1 if not stated.same_file else stated.file.mtime
    if scanned_version(url, mtime).is_same(reply.version) is False:
        notes.append("the file was modified since the scan")
    outcome: Outcome = "corrupt" if broken else "changed" if changed else "good"
    return Finding(key, url, outcome, "; ".join([*broken, *changed]), tuple(notes)), hdu.header


def _hdu(data: memoryview, stated: Stated) -> HDU:
    if stated.target is not None:
        return find_hdu(data, stated.target)
    return find_data(walk_hdus(data), stated.data_start)


def _changes(hdu: HDU, layout: Image, size: int, stated: Stated) -> Iterator[str]:
    """Say in what a whole frame is not the one that the store describes."""
    where = hdu.start, min(hdu.stop, size) - hdu.start
    if stated.file.offset >= 0 and where != (stated.file.offset, stated.file.length):
        yield (
            f"HDU {hdu.index}: begins at byte {where[0]}, {where[1]} bytes long: it was scanned at "
            f"{stated.file.offset}, {stated.file.length} bytes long"
        )
    shape = layout.shape
    if stated.target is None and len(shape) > len(stated.shape):
        shape = shape[len(shape) - len(stated.shape) :]
    try:
        check_layout(layout, hdu.index, dtype=stated.dtype)
    except FrameCorruptError as error:
        yield str(error)
    if stated.target is None and (layout.bscale, layout.bzero) != (1, 0):
        yield (
            f"HDU {hdu.index}: BSCALE = {layout.bscale:g}, BZERO = {layout.bzero:g}: its pixels "
            "are read without scaling"
        )
    if shape != stated.shape:
        yield f"HDU {hdu.index}: an image of {layout.shape}: expected {stated.shape}"
    yield from _changed_keywords(hdu.header, stated.header)
    # The sum of the image before compression: the table's DATASUM is the file's ZDATASUM.
    ours, theirs = _text(hdu.header, "ZDATASUM"), str(stated.header.get("DATASUM") or "").strip()
    if ours and theirs and ours != theirs:
        yield f"ZDATASUM = {ours}: the header table has DATASUM = {theirs}, the image's own"


def _sums(
    data: memoryview, hdu: HDU, layout: Image, stated: Stated, notes: list[str]
) -> Iterator[str]:
    """Say what is broken: the sums of the HDU as it is stored, and of the image in it.

    Raises
    ------
    FrameError
        The image does not decode.
    """
    from dkist_virtual.fits.checksum import datasum, is_zero, same_sum

    hdu.check_complete(len(data))
    found, card = datasum(data, hdu.data_start, hdu.stop), stated_datasum(hdu.header)
    good = card is not None and same_sum(found, card)
    if card is not None and not good:
        yield f"HDU {hdu.index}: its data sums to {found}: expected DATASUM = {card}"
    elif (scanned := stated.file.datasum) >= 0 and not same_sum(found, scanned):
        yield f"HDU {hdu.index}: its data sums to {found}: it was {scanned} when scanned"
    if _text(hdu.header, "CHECKSUM") and not is_zero(datasum(data, hdu.start, hdu.stop)):
        if card is None:
            yield f"HDU {hdu.index}: CHECKSUM does not hold, and there is no DATASUM"
        elif good:
            # The data is as it was: the header was edited, as DKIST's pipeline does.
            notes.append(
                "CHECKSUM does not hold, DATASUM does: the header was edited after it was written"
            )
    if card is None:
        notes.append("there is no DATASUM: that the frame decodes is all that was found out")
    pixels = decode_image(layout, data[hdu.start :], parallel=True)
    yield from _image_sum(hdu.header, layout, pixels)


def _image_sum(header: Header, layout: Image, pixels: NDArray[np.generic]) -> Iterator[str]:
    """Check ZDATASUM, the sum of the image before compression, where nothing was lost."""
    from dkist_virtual.fits.checksum import datasum, same_sum

    card = _text(header, "ZDATASUM")
    if not isinstance(layout, CompressedImage) or not (card.isdecimal() and len(card) <= 10):
        return
    scaled = (layout.bscale, layout.bzero, layout.blank) != (1, 0, None)
    if layout.quantised or scaled or "ZBLANK" in layout.columns:
        return  # the sum is of other numbers than these
    found = datasum(pixels.astype(pixels.dtype.newbyteorder(">")).reshape(-1).view("u1").data)
    if not same_sum(found, int(card)):
        yield f"HDU {header.hdu}: its pixels sum to {found}: expected ZDATASUM = {card}"


# Keywords -------------------------------------------------------------------------------------


def _changed_keywords(header: Header, row: Mapping[str, object]) -> Iterator[str]:
    """Say which of `KEYWORDS` differ between a header and its row of the table."""
    for keyword in (keyword for keyword in KEYWORDS if keyword in row):
        expected = row[keyword]
        found = header.first(keyword)
        if isinstance(expected, np.generic):
            expected = expected.item()
        if not _same(found, expected):
            yield f"{keyword} = {found}: the header table has {expected}"


def _same(found: object, expected: object) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        return found.rstrip() == expected.rstrip()
    numbers = (int, float)
    if isinstance(found, numbers) and isinstance(expected, numbers):
        # The digits of a card's 20 characters.
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=0)
    if isinstance(expected, str) and found is not None:
        return str(found) == expected.strip()  # a column of mixed types is of strings
    return found is None and expected is None


def _text(header: Header, keyword: str) -> str:
    return str(header.first(keyword) or "").strip()
