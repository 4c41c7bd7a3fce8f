"""Open files that one process at a time may hold; the lock of a killed process is free again."""

from __future__ import annotations

import os

__all__ = ["open_locked", "unlock"]


def open_locked(path: str | os.PathLike[str], *, wait: bool = False) -> int | None:
    """Open a file for reading and writing, created if need be, and lock it.

    The file itself is locked, so that nothing is left behind; closing it unlocks it. A system or
    disk without locks keeps nobody out.

    Parameters
    ----------
    path : path
        No link.
    wait : bool
        Whether to wait for another process that holds it.

    Returns
    -------
    int or None
        A file descriptor; None where another process holds the file.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        file = os.open(path, flags, 0o666)
        try:
            if not _lock(file, wait):
                os.close(file)
                return None
            # Its holder may have removed or renamed it between the two.
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _lock(file: int, wait: bool) -> bool:
    from filelock import lock_descriptor

    try:
        return lock_descriptor(file, blocking=wait)
    except OSError:  # no locks on this system, or on this disk
        return True


def unlock(file: int) -> None:
    """Unlock a file that stays open: on Windows nothing else reads what is locked."""
    from filelock import unlock_descriptor

    try:
        unlock_descriptor(file)
    except OSError:  # as above
        pass
