"""Count the requests and bytes of this process, for those who watch what is read."""

from __future__ import annotations

from typing import Final, NamedTuple

from dkist_virtual.fits.threads import ThreadLock

__all__ = ["Traffic", "add", "traffic"]


class Traffic(NamedTuple):
    """What was read.

    Parameters
    ----------
    requests : int
        Ranges of bytes, of files on disks and on servers.
    n_bytes : int
    """

    requests: int
    n_bytes: int


_LOCK: Final = ThreadLock()
_count = Traffic(0, 0)


def add(n_bytes: int) -> None:
    """Count one request, and its bytes."""
    global _count  # noqa: PLW0603  # there is one process
    with _LOCK:
        _count = Traffic(_count.requests + 1, _count.n_bytes + n_bytes)


def traffic() -> Traffic:
    """Return what this process has read since it began."""
    return _count
