"""Write a file beside its place, and rename it when it is complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dkist_virtual.errors import DKISTVirtualError, StoreError, StoreExistsError
from dkist_virtual.io.local_file import written_beside
from dkist_virtual.io.locations import absolute, is_local, local_path, shown

__all__ = ["part_of", "refuse_existing", "target_of"]


@contextmanager
def part_of(place: str | os.PathLike[str], *, overwrite: bool) -> Iterator[str]:
    """Give the path of a file to be written, and rename it to its place.

    Raises
    ------
    StoreExistsError
        There is a file already, or a directory.
    StoreError
        The place is not on this machine, or cannot be written.
    """
    path = target_of(place)
    refuse_existing(path, overwrite)
    try:
        with written_beside(path) as part:
            yield part
            refuse_existing(path, overwrite)
    except OSError as error:
        if isinstance(error, DKISTVirtualError):  # also of a frame that the pixels are read from
            raise
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}. What was there before stays "
            "as it was"
        ) from error


def target_of(place: str | os.PathLike[str], name: str = "place", what: str = "files are") -> str:
    """Return the path of a file to be written; refuse one that is not on this machine.

    `name` of the argument and `what` is written are for messages.
    """
    url = absolute(place, name)
    if not is_local(url):
        raise StoreError(
            f"{shown(url)}: {what} written on this machine: expected a path. Copy it there "
            "afterwards"
        )
    return local_path(url)


def refuse_existing(path: str, overwrite: bool) -> None:
    """Refuse a file that exists, unless it is to be replaced, and a directory."""
    if os.path.lexists(path) and not overwrite:
        raise StoreExistsError(f"{path}: exists already. overwrite=True replaces it")
    if os.path.isdir(path):
        raise StoreExistsError(f"{path}: is a directory: expected the name of a file")
