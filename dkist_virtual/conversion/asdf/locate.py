"""Find a dataset's ASDF in a directory or at a URL, and give it as a local file."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final, NamedTuple

from dkist_virtual.errors import DatasetError, DKISTVirtualError, FrameError, StoreCorruptError
from dkist_virtual.io.locations import Location, absolute, is_local, local_path, shown
from dkist_virtual.io.safety import unsafe_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["AsdfFile", "asdf_on_disk", "check_place", "find_asdf", "without_replaced"]

#: The Data Center's file names, and its suffixes from oldest to newest, as ``dkist`` ranks them.
_DATA_CENTER_NAME = re.compile(
    r"(?P<stem>[A-Z-]+_L1_\d{8}T\d{6}_[A-Z]{5,})(?P<suffix>_user_tools|_metadata)?\.asdf"
)
_SUFFIXES = (None, "_user_tools", "_metadata")


class AsdfFile(NamedTuple):
    """An ASDF on this machine, and its name for the user.

    Parameters
    ----------
    path : pathlib.Path
        A temporary file, where the ASDF is not on this machine.
    directory : str
        Its directory or URL, absolute.
    others : tuple of pathlib.Path
        Older ones beside it.
    label : str
        The user's path or URL, for messages.
    """

    path: Path
    directory: str
    others: tuple[Path, ...]
    label: str


@contextmanager
def asdf_on_disk(place: str | os.PathLike[str], fetcher: Fetcher) -> Iterator[AsdfFile]:
    """Give an ASDF as a local file, while it is read.

    Parameters
    ----------
    place : path or URL
        The ASDF; on this machine also a directory with one.
    fetcher : Fetcher

    Raises
    ------
    DatasetError
        There is none, or it cannot be fetched.
    """
    text = absolute(place, "asdf")
    if is_local(text):
        path, others = find_asdf(Path(local_path(os.fspath(place))).expanduser())
        yield AsdfFile(path, absolute(path.resolve().parent), tuple(others), str(path))
        return
    location = Location.of(text)
    # Errors and the store's history show its own name, if a file may have that.
    allowed = not unsafe_name(location.name) and len(os.fsencode(location.name)) < LONGEST_NAME
    name = location.name if allowed else "dataset.asdf"
    with ExitStack() as temporary:
        try:
            directory = temporary.enter_context(TemporaryDirectory(prefix="dkist-virtual-"))
            path = Path(directory) / name
            _fetch(text, path, fetcher)
        except OSError as error:
            if isinstance(error, DKISTVirtualError):
                raise
            raise DatasetError(
                f"{shown(text)}: cannot be kept on this machine while it is read: "
                f"{error.strerror or error}"
            ) from error
        yield AsdfFile(path, str(replace(location.parent, query="")), (), shown(text))


def check_place(place: str | os.PathLike[str]) -> None:
    """Raise `DatasetError` where a path of this machine has no ASDF; URLs are not asked."""
    if is_local(absolute(place, "asdf")):
        find_asdf(local_path(os.fspath(place)))


LONGEST_NAME: Final = 200
"""Bytes of a name that any disk allows."""

MOST: Final = 2**31
"""Bytes of an ASDF: one of 200,000 frames has 1.4 GB."""

MOST_UNSTATED: Final = 2**29
"""The same where its server does not state its length."""


class _OnDisk:
    """Write the bytes of a remote file to a local one, as a `Sink`."""

    def __init__(self, path: Path) -> None:
        self.have, self.most = 0, MOST
        self.total: int | None = None
        self.validator: str | None = None
        self.file = open(path, "wb")  # noqa: SIM115  # until `_fetch` closes it

    async def begin(self, total: int | None, validator: str | None) -> None:
        """Start again with no bytes."""
        self.have, self.total, self.validator = 0, total, validator
        self.most = MOST_UNSTATED if total is None else MOST
        self.file.seek(0)
        self.file.truncate()

    async def write(self, pieces: list[bytes]) -> None:
        """Add the next bytes."""
        for piece in pieces:
            self.file.write(piece)
            self.have += len(piece)


def _fetch(url: str, path: Path, fetcher: Fetcher) -> None:
    """Fetch an ASDF into a file, and check the sizes that it states."""
    from dkist_virtual.io.asdf_blocks import IN_ASDFS, check_start
    from dkist_virtual.io.event_loop import run
    from dkist_virtual.io.local_file import FileBytes
    from dkist_virtual.store.format.limits import check_asdf

    sink = _OnDisk(path)
    try:
        run(fetcher.pour(url, sink))
        sink.file.flush()
        with FileBytes(path) as data:
            check_start(data[:5], shown(url))
            check_asdf(data, shown(url), IN_ASDFS)
    except FrameError as error:
        text = str(error)
        raise DatasetError(text if shown(url) in text else f"{shown(url)}: {text}") from error
    except StoreCorruptError as error:
        raise DatasetError(str(error)) from error
    finally:
        sink.file.close()


def find_asdf(place: Path | str) -> tuple[Path, list[Path]]:
    """Choose the ASDF of a dataset in a directory.

    Of several the newest by modification time is taken (ties: the last by name). Left out before
    are those that the Data Center has replaced under a newer kind of name (``..._metadata.asdf``
    over ``..._user_tools.asdf`` over neither, for one dataset), as in ``dkist``, and those without
    a dataset, such as an inversion.

    Parameters
    ----------
    place : pathlib.Path or str
        A directory, or an ASDF, which is then chosen.

    Returns
    -------
    chosen : pathlib.Path
    passed_over : list of pathlib.Path
        The other ASDFs in the directory, by name.

    Raises
    ------
    DatasetError
        There is nothing, or no ASDF in the directory.
    """
    place = Path(place).expanduser()
    if not place.is_dir():
        if not place.exists():
            raise DatasetError(f"{place}: no such file or directory")
        return place, []
    found = sorted(path for path in place.glob("*.asdf") if path.is_file())
    if not found:
        gzipped = sorted(place.glob("*.asdf.gz"))
        hint = f"; {gzipped[0].name} is gzipped: unpack it first" if gzipped else ""
        raise DatasetError(
            f"{place}: no ASDF in this directory; expected a file *.asdf beside the frames{hint}"
        )
    candidates = without_replaced(found)
    if len(candidates) > 1:
        # Where none has a dataset, `read_source` says what the newest is.
        candidates = [path for path in candidates if _names_a_dataset(path)] or candidates
    chosen = max(candidates, key=lambda path: (path.stat().st_mtime_ns, path.name))
    return chosen, [path for path in found if path != chosen]


def without_replaced(paths: list[Path]) -> list[Path]:
    """Leave out what the Data Center has replaced under a newer kind of name."""
    kept: list[Path] = []
    best: dict[str, tuple[int, Path]] = {}
    for path in paths:
        match = _DATA_CENTER_NAME.fullmatch(path.name)
        if match is None:
            kept.append(path)
            continue
        rank = _SUFFIXES.index(match["suffix"])
        best[match["stem"]] = max(best.get(match["stem"], (-1, path)), (rank, path))
    return kept + [path for _, path in best.values()]


def _names_a_dataset(path: Path) -> bool:
    """Tell whether an ASDF's tree has the key ``dataset``, without parsing it."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.startswith(b"dataset:"):
                    return True
                if line.rstrip() == b"...":
                    return False
    except OSError:
        return False
    return False
