"""Compute the sums of FITS: DATASUM of an HDU's data, CHECKSUM of all of it (4.4.2.7, appendix J).

Both add 32-bit words modulo 2**32 - 1, so that 0 and 2**32 - 1 are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.fits.compiled.kernel import Kernel
from dkist_virtual.fits.errors import FrameCorruptError
from dkist_virtual.fits.hdu import HDU, FileSlices, find_in_either, stated_datasum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.header import HDUTarget

__all__ = [
    "check_datasum",
    "check_hdu_datasum",
    "datasum",
    "is_zero",
    "refuse_other_sum",
    "same_sum",
    "turned_datasum",
]

_MODULUS: Final = 2**32 - 1

_PIECE: Final = 2**22
"""Bytes that are read and added at a time; a multiple of four."""

_ADD: Final = Kernel("dkist_virtual.fits.compiled.sums", "add")
_TURN_AND_ADD: Final = Kernel("dkist_virtual.fits.compiled.sums", "turn_and_add")

_SECONDS_A_WORD: Final = 5e-9
"""Without them."""


def turned_datasum(pixels: NDArray[np.generic]) -> int:
    """Add big-endian pixels of four bytes, and put them into the machine's own order in place.

    In one go: for pixels that need no decoding, memory is what takes the time.
    """
    words = pixels.reshape(-1).view(np.uint32)

    def otherwise() -> int:
        total = _sum(words)
        words.byteswap(inplace=True)
        return total

    return _fold(_TURN_AND_ADD.run((words,), otherwise, lambda: _SECONDS_A_WORD * words.size))


def datasum(data: bytes | memoryview, start: int = 0, stop: int | None = None) -> int:
    """Add some bytes, as DATASUM does.

    They begin at `start` and end before `stop`. A last word that is not whole is filled up with
    zeros, as FITS fills blocks. The sum is from 0 to 2**32 - 1.
    """
    view = memoryview(data).cast("B")[start:stop]
    whole = len(view) - len(view) % 4
    words = np.frombuffer(view[:whole], np.uint32)
    total = _ADD.run((words,), lambda: _sum(words), lambda: _SECONDS_A_WORD * words.size)
    return _fold(total + int.from_bytes(bytes(view[whole:]).ljust(4, b"\0"), "big"))


def _sum(words: NDArray[np.uint32]) -> int:
    """Add words, their bytes reversed, with numpy."""
    return int(words.view(">u4").sum(dtype=np.uint64))


def _fold(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def same_sum(one: int, other: int) -> bool:
    """Check whether two sums are equal: all ones is another way to write zero."""
    return (one - other) % _MODULUS == 0


def is_zero(total: int) -> bool:
    """Check whether a sum is zero, as that of an HDU with a CHECKSUM is."""
    return same_sum(total, 0)


def check_datasum(data: bytes | memoryview, target: HDUTarget) -> bool:
    """Check an HDU's data against the DATASUM in its own header; return whether it has one.

    Parameters
    ----------
    data : bytes or memoryview
        The HDU, or a file with it.
    target : int or str
        Which HDU of a file.

    Raises
    ------
    FrameCorruptError
        It sums to something else, or is cut short.
    """
    return check_hdu_datasum(memoryview(data), find_in_either(data, target))


def check_hdu_datasum(data: FileSlices | memoryview, hdu: HDU, expected: int = -1) -> bool:
    """Check an HDU's data, a piece at a time, against a sum: by default that of its own header."""
    hdu.check_complete(len(data))
    stated = expected if expected >= 0 else stated_datasum(hdu.header)
    if stated is None:
        return False
    total, stop = 0, min(hdu.stop, len(data))
    for begin in range(hdu.data_start, stop, _PIECE):
        end = min(begin + _PIECE, stop)
        piece = data[begin:end]
        if len(piece) != end - begin:
            raise FrameCorruptError(
                f"HDU {hdu.index}: bytes {begin} to {end} are gone: the file was cut short while "
                "it was read"
            )
        total = _fold(total + datasum(piece))
    refuse_other_sum(total, stated, hdu.index)
    return True


def refuse_other_sum(found: int, stated: int, target: HDUTarget) -> None:
    """Raise `FrameCorruptError` where data sums to something else than it should."""
    if not same_sum(found, stated):
        raise FrameCorruptError(
            f"HDU {target}: its data sums to {found}: expected DATASUM = {stated}. The bytes "
            "changed on their way, or before it"
        )
