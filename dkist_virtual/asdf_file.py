"""A dataset's ASDF, wherever it is, as a file on this machine: dkist reads no others."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dkist_virtual.errors import DatasetError, FrameError, StoreCorruptError, redacted
from dkist_virtual.fetch import absolute, is_local, local_path
from dkist_virtual.source import find_asdf
from dkist_virtual.trust import check_asdf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.fetch import Fetcher

__all__ = ["asdf_on_disk"]


@contextmanager
def asdf_on_disk(
    place: str | os.PathLike[str], fetcher: Fetcher
) -> Iterator[tuple[Path, str, tuple[Path, ...]]]:
    """An ASDF as a file, for as long as it is read.

    Parameters
    ----------
    place : path or URL
        The ASDF; on this machine also a directory with one.
    fetcher : Fetcher

    Yields
    ------
    path : pathlib.Path
        A temporary file, where the ASDF is not on this machine.
    directory : str
        The directory or URL that it is in, absolute.
    others : tuple of pathlib.Path
        Older ones beside it.

    Raises
    ------
    DatasetError
        There is none, or it cannot be had.
    """
    text = os.fspath(place)
    if is_local(text):
        path, others = find_asdf(Path(local_path(text)).expanduser())
        yield path, absolute(path.resolve().parent), tuple(others)
        return
    directory, _, name = absolute(text.partition("?")[0]).rpartition("/")
    try:
        data = fetcher.read(text)
    except FrameError as error:
        said = str(error)
        raise DatasetError(said if redacted(text) in said else f"{text}: {said}") from error
    try:
        check_asdf(data, redacted(text))
    except StoreCorruptError as error:
        raise DatasetError(str(error)) from error
    with TemporaryDirectory(prefix="dkist-virtual-") as temporary:
        # Under its own name, which errors and the store's history give.
        path = Path(temporary) / (name or "dataset.asdf")
        path.write_bytes(data)
        yield path, directory, ()
