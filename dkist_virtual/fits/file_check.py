"""Check that the bytes of a FITS file are there to its end, and have the sum that they should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dkist_virtual.fits.errors import FrameCorruptError
from dkist_virtual.fits.hdu import HDU, FileSlices, find_data, find_hdu, walk_hdus

if TYPE_CHECKING:
    from dkist_virtual.fits.header import HDUTarget

__all__ = ["Checked", "check_whole", "refuse_empty", "verify_datasum"]


@dataclass(frozen=True, slots=True)
class Checked:
    """Say which HDU of a file to check, and against which sum.

    Parameters
    ----------
    target : int, str or None
        Index or EXTNAME; None where `offset` says it.
    offset : int
        Where its data begins, where `target` is None.
    datasum : int
        As it was scanned, -1 to take the DATASUM card's.
    others : tuple of Checked
        More HDUs of the same file to check.
    """

    target: HDUTarget | None
    offset: int
    datasum: int = -1
    others: tuple[Checked, ...] = ()


def check_whole(data: FileSlices, checked: Checked) -> None:
    """Raise `FrameCorruptError` for a file that is not FITS to its end, or lacks the HDU."""
    for _ in _complete_hdus(data):
        pass
    for one in (checked, *checked.others):
        if one.target is not None:
            find_hdu(data, one.target)


def verify_datasum(data: FileSlices, checked: Checked) -> bool:
    """Check the sum of an HDU's data; return whether there was a sum to check, of all HDUs.

    Raises
    ------
    FrameCorruptError
        It sums to something else, or is cut short.
    """
    from dkist_virtual.fits.checksum import check_hdu_datasum

    every = (checked, *checked.others)
    found = [check_hdu_datasum(data, _hdu(data, one), one.datasum) for one in every]
    return all(found)


def _complete_hdus(data: FileSlices) -> Iterator[HDU]:
    """Yield all HDUs of a file, each once its data is there to its end."""
    refuse_empty(data)
    if (first := bytes(data[:9])) != b"SIMPLE  =":
        raise FrameCorruptError(f"begins with {first!r}: expected SIMPLE, so this is not FITS")
    for hdu in walk_hdus(data):
        hdu.check_complete(len(data))
        yield hdu
        # What else may follow the last HDU are special records (3.5); real frames have a byte or
        # two there.
        if not b"XTENSION".startswith(bytes(data[hdu.stop : hdu.stop + 8])):
            return


def _hdu(data: FileSlices, checked: Checked) -> HDU:
    refuse_empty(data)
    if checked.target is not None:
        return find_hdu(data, checked.target)
    return find_data(_complete_hdus(data), checked.offset)


def refuse_empty(data: FileSlices, expected: str = "a FITS file") -> None:
    """Refuse a file without bytes."""
    if not len(data):
        raise FrameCorruptError(f"the file is empty: expected {expected}")
