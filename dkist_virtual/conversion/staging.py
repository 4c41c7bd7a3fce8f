"""Write a store atomically: build it in a sibling directory, then rename it.

It is built in a directory beside its place, which one conversion at a time holds, and renamed at
the end. What a conversion that was stopped has looked at stays there for the next one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dkist_virtual.conversion.journal import Journal
from dkist_virtual.errors import DKISTVirtualError, StoreError, StoreExistsError
from dkist_virtual.io.local_file import sync
from dkist_virtual.io.locations import absolute, is_local, shown
from dkist_virtual.io.locks import open_locked
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME
from dkist_virtual.store.format.headers import HEADERS_NAME
from dkist_virtual.store.format.references import JSON_NAME, PARQUET_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

__all__ = ["Building", "building", "place_for", "refuse_existing", "telling_disk"]

WORTH: Final = 1_000
"""Frames whose looks are kept when a conversion fails: fewer are looked at anew in no time."""


def place_for(store: str | os.PathLike[str]) -> Path:
    """The directory that a store is to be, on this machine.

    Raises
    ------
    StoreError
        It is somewhere else.
    """
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
    """Whether there is a store already, which may be replaced.

    Raises
    ------
    StoreExistsError
        It may not; or something else stands there.
    """
    with telling_disk(target):
        if not target.exists() and not target.is_symlink():
            return False
    if not overwrite:
        raise StoreExistsError(
            f"{target}: exists already. --overwrite (overwrite=True) replaces it"
        )
    # Replacing deletes: a directory goes only if it is a store and holds nothing else.
    with telling_disk(target):
        found = set(os.listdir(target)) if target.is_dir() else set()
    if METADATA_NAME not in found or not {JSON_NAME, PARQUET_NAME} & found:
        raise StoreExistsError(f"{target}: is no store, so it is not replaced by one")
    known = {JSON_NAME, PARQUET_NAME, METADATA_NAME, HEADERS_NAME, "verify.json"}
    # A verification that was killed may leave what it was about to write.
    strange = sorted(name for name in found - known if not name.startswith(".verify."))
    if strange:
        raise StoreExistsError(
            f"{target}: holds {strange[0]}, which belongs to no store, so it is not replaced: move "
            "that elsewhere first"
        )
    return True


@contextmanager
def telling_disk(target: Path) -> Iterator[None]:
    """Say of which store an error of the disk is: a full one, a name that is too long for it.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise StoreError(
            f"{target}: cannot be written: {error.strerror or error}. What stood there before "
            "stays as it was"
        ) from error


class Building:
    """The directory that a store is built in, made by `building`.

    Attributes
    ----------
    journal : Journal
        What was looked at, in this conversion or in one before that was stopped.
    """

    def __init__(self, target: Path, work: Path, journal: Journal, overwrite: bool) -> None:
        self.target, self.work, self.journal = target, work, journal
        self.overwrite = overwrite

    def finish(self, write: Callable[[Path], None]) -> None:
        """Write the store's files, and put it in its place.

        Parameters
        ----------
        write : callable
            Writes them into the directory that it is given.
        """
        new = self.work / self.target.name
        new.mkdir()
        write(new)
        _sync_all(new)
        refuse_existing(self.target, self.overwrite)
        replaced = self.work / _REPLACED
        try:
            if self.target.exists():
                self.target.rename(replaced)
            new.rename(self.target)
            sync(self.target.parent)
        except BaseException:
            # Ctrl-C between the two would leave the old store to be swept up.
            if replaced.exists() and not self.target.exists():
                replaced.rename(self.target)
            raise


def _sync_all(directory: Path) -> None:
    """Have all files below a directory survive the machine, before it gets its name."""
    for place, _, names in os.walk(directory):
        for name in names:
            sync(os.path.join(place, name))
        sync(place)


_LONGEST = 255
"""Bytes that the name of a file may have on the disks of today."""

_REPLACED = "replaced by the new one"
_LOCK, _JOURNAL = "lock", "scanned.jsonl"


@contextmanager
def building(target: Path, about: Mapping[str, Any], *, overwrite: bool) -> Iterator[Building]:
    """Build a store, alone.

    Parameters
    ----------
    target : pathlib.Path
        Where it is to be.
    about : dict
        What is converted, for JSON: only a conversion of the same goes on from where one stopped.
    overwrite : bool

    Raises
    ------
    StoreExistsError
        A store stands there, or another conversion is building one.
    """
    refuse_existing(target, overwrite)
    work = _work_directory(target)
    with telling_disk(target), _alone(work, target):
        _sweep(work, target)
        journal = Journal(work / _JOURNAL, about)
        try:
            with journal:
                yield Building(target, work, journal, overwrite)
        except BaseException as error:
            if journal.n < WORTH:
                shutil.rmtree(work, ignore_errors=True)
            else:
                _sweep(work, target)
                if isinstance(error, KeyboardInterrupt):
                    raise KeyboardInterrupt(
                        f"{journal.n} frames have been scanned, and the same command goes on "
                        "from there"
                    ) from error
            raise
        shutil.rmtree(work, ignore_errors=True)


def _work_directory(target: Path) -> Path:
    """Where a store is built: beside its place, under its name as far as the disk has room."""
    with telling_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    name = f".{target.name}.part"
    if len(os.fsencode(name)) > _LONGEST and len(os.fsencode(target.name)) <= _LONGEST:
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}.part"
    return target.parent / name


@contextmanager
def _alone(work: Path, target: Path) -> Iterator[None]:
    """Keep other conversions out of a directory, which is made if need be."""
    while True:
        work.mkdir(exist_ok=True)
        try:
            lock = open_locked(work / _LOCK)
            break
        except FileNotFoundError:  # another conversion has just removed the directory
            continue
    if lock is None:
        raise StoreExistsError(
            f"{target}: another conversion is writing this store just now, in {work}"
        )
    try:
        yield
    finally:
        os.close(lock)
        if os.name == "nt":  # which removes no open file
            with suppress(OSError):
                os.remove(work / _LOCK)
                work.rmdir()


def _sweep(work: Path, target: Path) -> None:
    """Remove what a conversion left half done, but for its journal."""
    replaced = work / _REPLACED
    if replaced.exists() and not target.exists():  # killed between two renames
        replaced.rename(target)
    for path in work.iterdir():
        if path.name not in (_LOCK, _JOURNAL):
            shutil.rmtree(path, ignore_errors=True)
