"""Check one frame against the store: its file, HDU, sums and keywords.

Pure, but for what it is given: the bytes of the file, and what the store's own tables say.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import FrameCorruptError, FrameError
from dkist_virtual.fits.decode import check_layout, decode_image
from dkist_virtual.fits.hdu import HDU, find_hdu, layout_of, stated_datasum, walk_hdus
from dkist_virtual.fits.layout import CompressedImage, Image
from dkist_virtual.store.format.verify_json import Finding, Outcome
from dkist_virtual.store.integrity import Scanned

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dkist_virtual.fits.header import HDUTarget, Header
    from dkist_virtual.io.remote.request import Reply
    from dkist_virtual.store.format.frame_index import FrameEntry

__all__ = ["KEYWORDS", "Stated", "check_frame", "differing_keywords"]

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
    """What a store says of one frame; -1 where it does not.

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
    header: Mapping[str, Any]
    same_file: bool


def check_frame(key: str, url: str, reply: Reply, stated: Stated) -> tuple[Finding, Header | None]:
    """Hold a frame's file against what the store says of it.

    Parameters
    ----------
    key, url : str
    reply : Reply
        All of the file.
    stated : Stated

    Returns
    -------
    finding : Finding
    header : Header or None
        The HDU's, where there is one.
    """
    data = memoryview(reply.data)
    if 0 <= stated.file.size != len(data):
        said = f"the file has {len(data)} bytes: it had {stated.file.size} when it was scanned"
        return Finding(key, url, "changed", said), None
    if not re.match(rb"SIMPLE  = {20}T", data[:30]):  # FITS 4.0, 4.4.1.1
        said = f"no FITS file: it begins with {bytes(data[:30])!r}, expected SIMPLE = T"
        return Finding(key, url, "corrupt", said), None
    try:
        hdu = _hdu(data, stated)
        layout = layout_of(hdu)
    except FrameError as error:
        outcome: Outcome = "corrupt" if isinstance(error, FrameCorruptError) else "refused"
        return Finding(key, url, outcome, str(error)), None
    notes: list[str] = []
    changed = list(_changes(hdu, layout, len(data), stated))
    try:
        broken = [*_sums(data, hdu, layout, stated, notes)]
    except FrameError as error:
        outcome = "corrupt" if isinstance(error, FrameCorruptError) else "refused"
        return Finding(key, url, outcome, "; ".join([str(error), *changed])), hdu.header
    mtime = -1 if not stated.same_file else stated.file.mtime
    if reply.mtime is not None and not Scanned.same_time(url, reply.mtime, mtime):
        notes.append("the file was modified since the scan")
    outcome = "corrupt" if broken else "changed" if changed else "good"
    return Finding(key, url, outcome, "; ".join([*broken, *changed]), tuple(notes)), hdu.header


def _hdu(data: memoryview, stated: Stated) -> HDU:
    if stated.target is not None:
        return find_hdu(data, stated.target)
    for hdu in walk_hdus(data):
        if hdu.data_start == stated.data_start:
            return hdu
    raise FrameCorruptError(
        f"no HDU's data begins at byte {stated.data_start}, as it did when it was scanned"
    )


def _changes(hdu: HDU, layout: Image, size: int, stated: Stated) -> Iterator[str]:
    """What is whole, and another frame's."""
    where = hdu.start, min(hdu.stop, size) - hdu.start
    if stated.file.offset >= 0 and where != (stated.file.offset, stated.file.length):
        yield (
            f"HDU {hdu.index}: lies at byte {where[0]}, {where[1]} bytes long: it was scanned at "
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
            "are read as they stand"
        )
    if shape != stated.shape:
        yield f"HDU {hdu.index}: an image of {layout.shape}: expected {stated.shape}"
    for keyword, found, expected in differing_keywords(hdu.header, stated.header):
        yield f"{keyword} = {found}: the header table has {expected}"
    yield from _other_image(hdu.header, stated.header)


def _other_image(header: Header, row: Mapping[str, Any]) -> Iterator[str]:
    """The sum of the image before it was compressed: the table's DATASUM is the file's ZDATASUM."""
    ours, theirs = _text(header, "ZDATASUM"), str(row.get("DATASUM") or "").strip()
    if ours and theirs and ours != theirs:
        yield f"ZDATASUM = {ours}: the header table has DATASUM = {theirs}, the image's own"


def _sums(
    data: memoryview, hdu: HDU, layout: Image, stated: Stated, notes: list[str]
) -> Iterator[str]:
    """What is broken: the sums of the HDU as it is stored, and of the image in it.

    Raises
    ------
    FrameError
        It does not decode.
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
        said = "CHECKSUM does not hold"
        if card is None:
            yield f"HDU {hdu.index}: {said}, and there is no DATASUM"
        elif good:
            # Of data that is as it was: somebody edited the header, as DKIST's pipeline does.
            notes.append(f"{said}, DATASUM does: the header was edited after it was written")
    if card is None:
        notes.append("there is no DATASUM: that the frame decodes is all that was found out")
    pixels = decode_image(layout, data[hdu.start :], parallel=True)
    yield from _image_sum(hdu.header, layout, pixels)


def _image_sum(header: Header, layout: Image, pixels: Any) -> Iterator[str]:
    """ZDATASUM, which is that of the image before it was compressed, where nothing was lost."""
    from dkist_virtual.fits.checksum import datasum, same_sum

    card = _text(header, "ZDATASUM")
    if not isinstance(layout, CompressedImage) or not (card.isdecimal() and len(card) <= 10):
        return
    scaled = (layout.bscale, layout.bzero, layout.blank) != (1, 0, None)
    if layout.quantised or scaled or "ZBLANK" in layout.columns:
        return  # these are not the numbers that were summed
    found = datasum(pixels.astype(pixels.dtype.newbyteorder(">")).reshape(-1).view("u1"))
    if not same_sum(found, int(card)):
        yield f"HDU {header.hdu}: its pixels sum to {found}: expected ZDATASUM = {card}"


# Keywords -------------------------------------------------------------------------------------


def differing_keywords(
    header: Header, row: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Those of `KEYWORDS` of which header and table do not say the same.

    Parameters
    ----------
    header : Header
    row : mapping
        Of the header table; None for masked cells and NaN, which are cards that are not there.

    Yields
    ------
    keyword, found, expected
        None for a card that is not there.
    """
    for keyword in KEYWORDS:
        if keyword not in row:
            continue
        expected = row[keyword]
        found = header.first(keyword)
        if isinstance(expected, np.generic):
            expected = expected.item()
        if not _same(found, expected):
            yield keyword, found, expected


def _same(found: object, expected: object) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        return found.rstrip() == expected.rstrip()
    numbers = (int, float)
    if isinstance(found, numbers) and isinstance(expected, numbers):
        # What a card's 20 characters can hold.
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=0)
    if isinstance(expected, str) and found is not None:
        return str(found) == expected.strip()  # a column of mixed types is of strings
    return found is None and expected is None


def _text(header: Header, keyword: str) -> str:
    return str(header.first(keyword) or "").strip()
