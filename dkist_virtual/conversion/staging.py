"""Write a store atomically: build it in a sibling directory, then rename it.

One conversion at a time may use that directory. What a stopped conversion has scanned stays there
for the next one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import (
    DKISTVirtualError,
    StoreError,
    StoreExistsError,
    StoreMissingError,
)
from dkist_virtual.io.locations import absolute, is_local, shown
from dkist_virtual.io.locks import open_locked
from dkist_virtual.store.format.names import (
    HEADERS_NAME,
    JSON_NAME,
    METADATA_NAME,
    PARQUET_NAME,
    POINTING_NAME,
    VERIFY_NAME,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from dkist_virtual.conversion.journal import Journal

__all__ = [
    "Building",
    "alone",
    "build_store",
    "clear_stopped",
    "existing_store",
    "is_being_built",
    "place_for",
    "put_in_place",
    "raise_store_errors",
    "refuse_existing",
    "sweep",
    "sync_all",
    "work_directory",
]

WORTH: Final = 1_000
"""The journal is kept when a conversion fails after this many frames: fewer are scanned again."""


def place_for(store: str | os.PathLike[str]) -> Path:
    """Make the path of a new store absolute; raise `StoreError` unless it is on this machine."""
    place = absolute(store, "store")
    if not is_local(place):
        raise StoreError(
            f"{shown(place)}: a store is written on this machine. Convert to a local directory "
            "and copy it there; base= says where its frames will be"
        )
    try:
        os.fsencode(place).decode()
    except UnicodeDecodeError:
        raise StoreError(
            f"{place}: this name is not UTF-8, and a store names its files in JSON: expected "
            "another name"
        ) from None
    return Path(place)


def refuse_existing(target: Path, overwrite: bool) -> bool:
    """Tell whether a store exists that may be replaced.

    Raises
    ------
    StoreExistsError
        It may not be, or is something else than a store.
    """
    with raise_store_errors(target):
        if not target.exists() and not target.is_symlink():
            return False
    if not overwrite:
        raise StoreExistsError(
            f"{target}: exists already. --overwrite (overwrite=True) replaces it"
        )
    # Replacing deletes: a directory goes only if it is a store and holds nothing else.
    with raise_store_errors(target):
        found = set(os.listdir(target)) if target.is_dir() else set()
    if METADATA_NAME not in found or not {JSON_NAME, PARQUET_NAME} & found:
        raise StoreExistsError(f"{target}: is not a store, so it is not replaced by one")
    known = {JSON_NAME, PARQUET_NAME, METADATA_NAME, HEADERS_NAME, VERIFY_NAME, POINTING_NAME}
    # What writes those two and was killed may leave what it was about to write.
    strange = sorted(
        name for name in found - known if not name.startswith((".verify.", ".pointing."))
    )
    if strange:
        raise StoreExistsError(
            f"{target}: holds {strange[0]}, which is not a store's file, so it is not replaced: "
            "move that elsewhere first"
        )
    return True


def existing_store(store: str | os.PathLike[str]) -> Path:
    """Make the path of a store on this machine absolute; raise `StoreMissingError` without one."""
    target = place_for(store)
    if not refuse_existing(target, overwrite=True):
        raise StoreMissingError(
            f"{target}: no store here. dkist-virtual convert makes one from a dataset's ASDF"
        )
    return target


@contextmanager
def raise_store_errors(target: Path) -> Iterator[None]:
    """Raise the disk's errors, such as a full disk or too long a name, as the store's."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise StoreError(
            f"{target}: cannot be written: {error.strerror or error}. What was there before "
            "stays as it was"
        ) from error


class Building:
    """The directory that a store is built in, as `build_store` makes it.

    Attributes
    ----------
    journal : Journal
        What was scanned, in this conversion or in an earlier one that was stopped.
    """

    def __init__(self, target: Path, work: Path, journal: Journal, overwrite: bool) -> None:
        self.target, self.work, self.journal = target, work, journal
        self.overwrite = overwrite

    def finish(self, write: Callable[[Path], None]) -> None:
        """Write the store's files, by a function that takes a directory, and rename that."""
        new = self.work / self.target.name
        new.mkdir()
        write(new)
        sync_all(new)
        refuse_existing(self.target, self.overwrite)
        put_in_place(new, self.target, self.work)


def put_in_place(new: Path, target: Path, work: Path) -> None:
    """Rename a directory to its place; what was there goes into the directory of the work."""
    from dkist_virtual.io.local_file import sync

    replaced = work / _REPLACED
    try:
        if target.exists():
            target.rename(replaced)
        new.rename(target)
        sync(target.parent)
    except BaseException:
        # Ctrl-C between the two renames would have the old one swept up.
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        raise


def sync_all(directory: Path) -> None:
    """Flush all files below a directory to the disk, before it gets its name."""
    from dkist_virtual.io.local_file import sync

    for place, _, names in os.walk(directory):
        for name in names:
            sync(os.path.join(place, name))
        sync(place)


_LONGEST: Final = 255
"""Bytes that the name of a file may have on today's disks."""

_REPLACED: Final = "replaced by the new one"
_LOCK: Final = "lock"
JOURNAL: Final = "scanned.jsonl"


@contextmanager
def build_store(
    target: Path, about: Mapping[str, object], *, overwrite: bool
) -> Iterator[Building]:
    """Build a store, while no other conversion does.

    Parameters
    ----------
    target : pathlib.Path
        The store.
    about : dict
        What is converted, for JSON: only a conversion of the same resumes a stopped one.
    overwrite : bool

    Raises
    ------
    StoreExistsError
        A store exists there, or another conversion is building one.
    """
    from dkist_virtual.conversion.journal import Journal

    refuse_existing(target, overwrite)
    work = work_directory(target)
    with raise_store_errors(target), alone(work, target):
        sweep(work, target)
        journal = Journal(work / JOURNAL, about)
        try:
            with journal:
                yield Building(target, work, journal, overwrite)
        except BaseException as error:
            if journal.n < WORTH:
                shutil.rmtree(work, ignore_errors=True)
            else:
                sweep(work, target)
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(
                        f"{journal.n} frames have been scanned, and the same command goes on "
                        "from there"
                    ) from error
            raise
        shutil.rmtree(work, ignore_errors=True)


def clear_stopped(target: Path, *, resumes: bool) -> None:
    """Put back a store that a killed conversion was about to replace, and remove what it left.

    Nothing is done where a conversion is at work.

    Parameters
    ----------
    target : pathlib.Path
        The store.
    resumes : bool
        Whether what was scanned stays for the next conversion.
    """
    work = work_directory(target)
    with suppress(StoreExistsError), raise_store_errors(target), alone(work, target):
        sweep(work, target)
        if not (resumes and (work / JOURNAL).exists()):
            shutil.rmtree(work, ignore_errors=True)


def is_being_built(target: Path) -> bool:
    """Tell whether a conversion is building a store, or was stopped while it did."""
    return work_directory(target).exists()


def work_directory(target: Path) -> Path:
    """Name the directory beside a store that it is built in; hashed where it gets too long."""
    with raise_store_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    name = f".{target.name}.part"
    if len(os.fsencode(name)) > _LONGEST and len(os.fsencode(target.name)) <= _LONGEST:
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}.part"
    return target.parent / name


@contextmanager
def alone(
    work: Path, target: Path, what: str = "conversion is writing this store"
) -> Iterator[None]:
    """Keep other processes out of a directory, which is made if need be."""
    while True:
        work.mkdir(exist_ok=True)
        try:
            lock = open_locked(work / _LOCK)
            break
        except FileNotFoundError:  # another conversion has just removed the directory
            continue
    if lock is None:
        raise StoreExistsError(f"{target}: another {what} just now, in {work}")
    try:
        yield
    finally:
        os.close(lock)
        if os.name == "nt":  # which removes no open file
            with suppress(OSError):
                os.remove(work / _LOCK)
                work.rmdir()


def sweep(work: Path, target: Path, keep: Collection[str] = (JOURNAL,)) -> None:
    """Remove what a stopped process left, except its journal and what else is kept."""
    replaced = work / _REPLACED
    if replaced.exists() and not target.exists():  # killed between two renames
        replaced.rename(target)
    for path in work.iterdir():
        if path.name not in (_LOCK, *keep):
            shutil.rmtree(path, ignore_errors=True)
