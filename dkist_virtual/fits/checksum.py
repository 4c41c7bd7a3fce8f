"""Compute the sums of FITS: DATASUM of an HDU's data, CHECKSUM of all of it (4.4.2.7, appendix J).

Both are sums of 32-bit words in which what flows over is added at the other end: sums modulo
2**32 - 1, in which 0 and 2**32 - 1 are the same. Importing this module imports numba.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.fits.errors import FrameCorruptError
from dkist_virtual.fits.hdu import find_hdu, read_hdu, stated_datasum
from dkist_virtual.fits.kernels import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.fits.header import HDUTarget

__all__ = [
    "added",
    "check_datasum",
    "datasum",
    "is_zero",
    "refuse_other_sum",
    "same_sum",
    "turned_datasum",
]

_MODULUS: Final = 2**32 - 1


@njit(nogil=True, cache=True, inline="always")
def _turned(word: np.uint32) -> np.uint32:
    """A word, its bytes turned round: what compilers know as one instruction."""
    return np.uint32(
        (word >> np.uint32(24))
        | ((word >> np.uint32(8)) & np.uint32(0xFF00))
        | ((word << np.uint32(8)) & np.uint32(0xFF0000))
        | ((word << np.uint32(24)) & np.uint32(0xFF000000))
    )


@njit(nogil=True, cache=True)
def _add(words: NDArray[np.uint32]) -> np.uint64:
    """The sum of fewer than 2**32 words, their bytes turned round."""
    total = np.uint64(0)
    for word in words:
        total += np.uint64(_turned(word))
    return total


@njit(nogil=True, cache=True)
def _turn_and_add(words: NDArray[np.uint32]) -> np.uint64:
    """The same, and the words are turned round where they are."""
    total = np.uint64(0)
    for i in range(words.size):
        word = _turned(words[i])
        words[i] = word
        total += np.uint64(word)
    return total


def turned_datasum(pixels: NDArray[Any]) -> int:
    """The sum of big-endian pixels of four bytes, which are put into the machine's own order.

    In one go: for pixels that need no decoding, memory is what takes the time.
    """
    return _folded(int(_turn_and_add(pixels.reshape(-1).view(np.uint32))))


def datasum(data: Any, start: int = 0, stop: int | None = None) -> int:
    """The sum of some bytes, as DATASUM has it.

    Parameters
    ----------
    data : bytes-like
        Contiguous.
    start, stop : int
        Which of them. A last word that is not whole is filled up with zeros, as FITS fills blocks.

    Returns
    -------
    int
        From 0 to 2**32 - 1.
    """
    view = memoryview(data).cast("B")
    stop = len(view) if stop is None else min(stop, len(view))
    start = min(start, len(view))
    n = max(stop - start, 0)
    whole = n - n % 4
    total = int(_add(np.frombuffer(view, np.uint32, whole // 4, start)))
    total += int.from_bytes(bytes(view[start + whole : start + n]).ljust(4, b"\0"), "big")
    return _folded(total)


def _folded(total: int) -> int:
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def added(one: int, other: int) -> int:
    """The sum of two stretches of data, of which the first is a multiple of four bytes long."""
    return _folded(one + other)


def same_sum(one: int, other: int) -> bool:
    """Whether two sums are equal: all ones is another way to write zero."""
    return (one - other) % _MODULUS == 0


def is_zero(total: int) -> bool:
    """Whether a sum is zero, as that of an HDU with a CHECKSUM is."""
    return same_sum(total, 0)


def check_datasum(data: bytes | memoryview, target: HDUTarget) -> bool:
    """Hold an HDU's data against the DATASUM in its own header.

    Parameters
    ----------
    data : bytes or memoryview
        The HDU, or a file with it.
    target : int or str
        Which HDU of a file.

    Returns
    -------
    bool
        Whether there is a sum to hold it against.

    Raises
    ------
    FrameCorruptError
        It sums to something else, or is cut short.
    """
    alone = bytes(data[:9]) == b"XTENSION="
    hdu = read_hdu(data, 0, target) if alone else find_hdu(data, target)
    stated = stated_datasum(hdu.header)
    if stated is None:
        return False
    if hdu.data_stop > len(data):
        raise FrameCorruptError(
            f"HDU {hdu.index}: its data ends at byte {hdu.data_stop}, the bytes at {len(data)}: "
            "the file is cut short"
        )
    refuse_other_sum(datasum(data, hdu.data_start, hdu.stop), stated, hdu.index)
    return True


def refuse_other_sum(found: int, stated: int, target: HDUTarget) -> None:
    """Raise where data sums to something else than it should.

    Raises
    ------
    FrameCorruptError
    """
    if not same_sum(found, stated):
        raise FrameCorruptError(
            f"HDU {target}: its data sums to {found}: expected DATASUM = {stated}. The bytes "
            "changed on their way, or before it"
        )
