"""Lock files between processes; a killed process frees its locks."""

from __future__ import annotations

import os
from contextlib import suppress

__all__ = ["open_locked", "unlock"]


def open_locked(path: str | os.PathLike[str], *, wait: bool = False) -> int | None:
    """Open a file to read and write, created if need be, and lock it; closing it unlocks it.

    The file itself is locked, so that nothing is left behind. Without locks on a system or disk it
    is opened all the same.

    Parameters
    ----------
    path : path
        Links are not followed.
    wait : bool
        Whether to wait for another process that has the lock.

    Returns
    -------
    int or None
        A file descriptor; None where another process has the lock.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        file = os.open(path, flags, 0o666)
        try:
            if not _lock(file, wait):
                os.close(file)
                return None
            # Another process may have removed or renamed it before it was locked.
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
    """Unlock a file that stays open: Windows lets nobody else read a locked one."""
    from filelock import unlock_descriptor

    with suppress(OSError):  # as above
        unlock_descriptor(file)
