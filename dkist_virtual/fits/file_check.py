"""Check that the bytes of a FITS file are there to its end, and have the sum that they should."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from dkist_virtual.fits.errors import FrameCorruptError
from dkist_virtual.fits.hdu import HDU, find_hdu, read_hdu

if TYPE_CHECKING:
    from dkist_virtual.fits.header import HDUTarget

__all__ = ["Checked", "FileSlices", "check_whole", "verify_datasum"]

PIECE: Final = 2**22
"""Bytes that are summed at a time; a multiple of four."""


class FileSlices(Protocol):
    """The bytes of a file, of which slices are read when they are asked for."""

    def __len__(self) -> int: ...
    def __getitem__(self, item: slice, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """Which HDU of a file is checked, and against which sum.

    Parameters
    ----------
    target : int, str or None
        Index or EXTNAME; None where `offset` says it.
    offset : int
        Where its data begins, where `target` is None.
    datasum : int
        As it was scanned, -1 to take the DATASUM card's.
    """

    target: HDUTarget | None
    offset: int
    datasum: int = -1


def _walk(data: FileSlices) -> Iterator[HDU]:
    """All HDUs, and whether they are there to their end."""
    start = index = 0
    while start < len(data):
        if index:
            # What else may stand after the last HDU are special records (3.5); real frames have a
            # byte or two there.
            if not b"XTENSION".startswith(data[start : start + 8]):
                return
        elif data[:9] != b"SIMPLE  =":
            raise FrameCorruptError(
                f"begins with {data[:9]!r}: expected SIMPLE, so this is no FITS file"
            )
        hdu = read_hdu(data, start, index)  # type: ignore[arg-type]  # slices are bytes
        _refuse_cut(data, hdu)
        yield hdu
        start, index = hdu.stop, index + 1


def check_whole(data: FileSlices, checked: Checked) -> None:
    """Refuse a file that is not FITS to its end, by its own headers, or lacks the HDU wanted.

    Raises
    ------
    FrameCorruptError
    """
    _refuse_empty(data)
    for _ in _walk(data):
        pass
    if checked.target is not None:
        find_hdu(data, checked.target)  # type: ignore[arg-type]  # slices are bytes


def verify_datasum(data: FileSlices, checked: Checked) -> bool:
    """Check the sum of an HDU's data.

    Returns
    -------
    bool
        Whether there was a sum to check it against.

    Raises
    ------
    FrameCorruptError
    """
    from dkist_virtual.fits.checksum import refuse_other_sum
    from dkist_virtual.fits.hdu import stated_datasum

    _refuse_empty(data)
    hdu = _hdu(data, checked)
    _refuse_cut(data, hdu)
    expected = checked.datasum if checked.datasum >= 0 else stated_datasum(hdu.header)
    if expected is None:
        return False
    refuse_other_sum(_sum(data, hdu), expected, hdu.index)
    return True


def _refuse_empty(data: FileSlices) -> None:
    if not len(data):
        raise FrameCorruptError("the file is empty: expected a FITS file")


def _refuse_cut(data: FileSlices, hdu: HDU) -> None:
    if hdu.data_stop > len(data):
        raise FrameCorruptError(
            f"HDU {hdu.index}: its data ends at byte {hdu.data_stop}, the file at {len(data)}: "
            "the file is cut short"
        )


def _sum(data: FileSlices, hdu: HDU) -> int:
    from dkist_virtual.fits.checksum import added, datasum

    total, stop = 0, min(hdu.stop, len(data))
    for begin in range(hdu.data_start, stop, PIECE):
        end = min(begin + PIECE, stop)
        piece = data[begin:end]
        if len(piece) != end - begin:
            raise FrameCorruptError(
                f"HDU {hdu.index}: bytes {begin} to {end} are gone: the file was cut short while "
                "it was read"
            )
        total = added(total, datasum(piece))
    return total


def _hdu(data: FileSlices, checked: Checked) -> HDU:
    if checked.target is not None:
        return find_hdu(data, checked.target)  # type: ignore[arg-type]  # slices are bytes
    for hdu in _walk(data):
        if hdu.data_start == checked.offset:
            return hdu
    raise FrameCorruptError(
        f"no HDU's data begins at byte {checked.offset}, as it did when scanned"
    )
