"""Lock a file between the processes of a machine."""

from __future__ import annotations

import errno

__all__ = ["locked"]


def locked(file: int, *, wait: bool = False) -> bool:
    """Lock an open file, which is free again when its holder is gone.

    On a system, or a disk, that knows no locks nobody is kept out.

    Parameters
    ----------
    file : int
        A file descriptor.
    wait : bool
        Whether to wait for another process that has it.

    Returns
    -------
    bool
        False where another has it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:  # some file systems of clusters are mounted without locks
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
    return True
