"""Download many files at once to a directory.

Nothing has its final name before all of it is there (`parts`); nothing is written outside the
directory, whatever a store says its frames are called; one file that cannot be had keeps none
of the others from coming.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
import time
import unicodedata
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import (
    DownloadError,
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fits.errors import one_line
from dkist_virtual.fits.file_check import Checked, check_whole, verify_datasum
from dkist_virtual.io.download.document_check import DocumentKind, check_document
from dkist_virtual.io.download.part_file import MOST, PART, PART_NOTES, Part
from dkist_virtual.io.fetcher import absolute, gathered, is_local, local_path
from dkist_virtual.io.local_file import FileBytes, is_something_else
from dkist_virtual.io.safety import unsafe_name
from dkist_virtual.io.settings import setting
from dkist_virtual.text import ALIKE, counted, human_bytes, same_causes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dkist_virtual.io.fetcher import Fetcher

__all__ = ["Downloaded", "Item", "check_names", "download"]

_SHOWN: Final = 10
"""So many files of a dry run are listed, and `Downloaded.items` has them all."""

_LISTED: Final = 50
"""So many failures are written out; `DownloadError.failures` has them all."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What the disk says to every file alike."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file to be fetched.

    Parameters
    ----------
    name : str
        Below the destination.
    urls : tuple of str
        Where it may be, in the order in which to ask.
    size : int
        Length when it was scanned, -1 where it was not.
    fetcher : Fetcher
    checked : Checked
        What verifying it looks at.
    most : int
        How many bytes it may have, where its length is not known.
    kind : str, optional
        What kind of file it is, where it is not FITS.
    """

    name: str
    urls: tuple[str, ...] = field(repr=False)  # may be signed
    size: int
    fetcher: Fetcher = field(repr=False)
    checked: Checked
    most: int = MOST
    kind: DocumentKind | None = None

    def check_whole(self, path: str) -> None:
        """Refuse a file that is of another kind, or not whole.

        Raises
        ------
        FrameCorruptError
        OSError
            It cannot be read.
        """
        if self.kind is None:
            with FileBytes(path) as data:
                check_whole(data, self.checked)
        else:
            check_document(path, self.kind)


@dataclass(frozen=True)
class Downloaded:
    """What a download did, or would do.

    Attributes
    ----------
    destination : str
    items : tuple of Item
        Files that were fetched; of a dry run those that would be.
    n_here : int
        Files that were there already.
    n_nameless : int
        Frames for which the ASDF names no file.
    n_bytes : int
        Bytes that came; of a dry run those of the files of known size.
    n_unverified : int
        Files that hold no DATASUM, where they were to be verified.
    seconds : float
    dry_run : bool
    """

    destination: str
    items: tuple[Item, ...]
    n_here: int
    n_nameless: int = 0
    n_bytes: int = 0
    n_unverified: int = 0
    seconds: float = 0.0
    dry_run: bool = False

    def __str__(self) -> str:
        n = len(self.items)
        files, where = f"{n} file{'s' * (n != 1)}", one_line(self.destination)
        more = f", {self.n_here} {'were' if self.n_here != 1 else 'was'} there already"
        if self.n_nameless:
            more += f", {counted(self.n_nameless, 'frame')} without a file"
        if self.dry_run:
            unknown = sum(item.size < 0 for item in self.items)
            size = human_bytes(self.n_bytes) if unknown < n or not n else "unknown size"
            if 0 < unknown < n:
                size += f" and {unknown} of unknown size"
            lines = [
                one_line(item.name) + (f"\t{item.size}" if item.size >= 0 else "")
                for item in self.items[:_SHOWN]
            ]
            if n > _SHOWN:
                lines.append(f"and {n - _SHOWN} more: Files.to_manifest() lists them all")
            return "\n".join([*lines, f"{where}: {files} to fetch, {size}{more}"])
        if self.n_unverified:
            more += f", {self.n_unverified} without a DATASUM to verify"
        rate = f" ({human_bytes(self.n_bytes / self.seconds)}/s)" if self.seconds and n else ""
        size = human_bytes(self.n_bytes)
        return f"{where}: {files} fetched, {size} in {self.seconds:.1f} s{rate}{more}"


# Names --------------------------------------------------------------------------------------


def check_names(names: Iterable[str], destination: str) -> None:
    """Refuse names that would be written outside a directory, or over each other.

    Parameters
    ----------
    names : iterable of str
    destination : str
        Need not be there.

    Raises
    ------
    DownloadError
        Naming each of them.
    """
    failures: dict[str, str] = {}
    root = os.path.realpath(absolute(destination))
    taken: dict[str, str] = {}
    directories: dict[str, str] = {}
    safe: dict[str, bool] = {}
    for name in dict.fromkeys(names):
        parts = name.split("/")
        if reason := _unsafe(name):
            failures[name] = reason
            continue
        parent = "/".join(parts[:-1])
        if parent not in safe:
            real = os.path.realpath(os.path.join(root, *parts[:-1]))
            safe[parent] = real == root or os.path.commonpath([real, root]) == root
        if not safe[parent]:
            failures[name] = f"{parent} is a link that leads out of {destination}"
        elif os.path.isdir(os.path.join(root, name)):
            failures[name] = "a directory of that name is there"
        elif is_something_else(os.path.join(root, name)):
            failures[name] = "something of that name is there that is no regular file"
        # Disks that do not tell cases apart would make one file of two.
        folded = _folded(name)
        other = taken.setdefault(folded, name)
        if other != name:
            failures[name] = f"is the same as {other} where upper and lower case are alike"
        for depth in range(1, len(parts)):
            directories.setdefault(_folded("/".join(parts[:depth])), name)
    for folded, name in directories.items():
        if folded in taken:
            failures[name] = f"needs a directory where {taken[folded]} is a file"
    if failures:
        raise _told(
            f"{len(failures)} names would not be written safely below {destination}; nothing was "
            "fetched",
            failures,
        )


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _unsafe(name: str) -> str:
    """Why a name may not be written below a directory; empty where it may."""
    if reason := unsafe_name(name):
        return reason
    if name.casefold().endswith((PART, PART_NOTES)):
        return f"ends in {PART}, which is kept for files on their way"
    return ""


def _told(message: str, failures: dict[str, str]) -> DownloadError:
    lines = []
    told = sorted(failures.items())
    for group in same_causes((name.rpartition("/")[2], cause) for name, cause in told):
        some = [told[number] for number in group]
        if len(some) < ALIKE:
            lines += [f"  {name!r}: {cause}" for name, cause in some]
        else:
            (first, cause), (last, _) = some[0], some[-1]
            lines.append(f"  {len(some)} files from {first!r} to {last!r}, the first: {cause}")
    if len(lines) > _LISTED:
        lines[_LISTED:] = [f"  and {len(lines) - _LISTED} more: see the error's `failures`"]
    return DownloadError(message, failures, lines)


# The run ------------------------------------------------------------------------------------


def download(
    items: Sequence[Item],
    destination: str | os.PathLike[str],
    *,
    verify: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    progress: bool | None = None,
) -> Downloaded:
    """Fetch files into a directory.

    Parameters
    ----------
    items : sequence of Item
        Each name once.
    destination : path
        Is made where it is not there.
    verify : bool
        Whether to hold each file against its DATASUM; those there already too, which are fetched
        anew where they are broken.
    dry_run : bool
        Whether only to say what would be fetched.
    workers : int, optional
        How many at once; by default as the setting ``dkist_virtual.concurrency``.
    progress : bool, optional
        Whether to show a bar on standard error; by default on a terminal.

    Raises
    ------
    DownloadError
        Files that did not come, the others being there; or names that may not be written.
    """
    place = os.fspath(destination)
    if not is_local(place):
        raise DownloadError(f"{place}: is no directory on this machine: downloads go to a disk")
    root = local_path(absolute(place))
    if os.path.exists(root) and not os.path.isdir(root):
        raise DownloadError(f"{place}: is a file: expected a directory, or nothing")
    check_names((item.name for item in items), root)
    run = _Run(root, verify)
    wanted, n_here = [], 0
    for item in items:
        if run.is_here(item):
            n_here += 1
        else:
            wanted.append(replace(item, urls=run.elsewhere(item)))
    known = sum(item.size for item in wanted if item.size >= 0)
    if dry_run or not wanted:
        return Downloaded(
            place, tuple(wanted), n_here, n_bytes=known if dry_run else 0,
            n_unverified=run.n_unverified, dry_run=dry_run,
        )  # fmt: skip
    for directory in {os.path.dirname(os.path.join(root, item.name)) for item in wanted}:
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as error:
            raise DownloadError(
                f"{directory}: cannot be made: {error.strerror or error}"
            ) from error
    began = time.monotonic()
    n = max(1, int(setting("concurrency")) if workers is None else workers)
    with _bar(wanted, known, progress) as bar:
        run.bar = bar
        run.all_of(wanted, n)
    if run.failures:
        n, done = len(run.failures), len(items) - len(run.failures)
        verb = "was" if n == 1 else "were"
        lost = f"{n} of {len(items)} files {verb}" if done else f"{counted(n, 'file')} {verb}"
        others = "the other is there" if done == 1 else f"the other {done} are there"
        rest = f", {others}" if done else ""
        raise _told(
            f"{lost} not fetched into {place}{rest}. The same again fetches what is missing",
            run.failures,
        )
    return Downloaded(
        place,
        tuple(wanted),
        n_here,
        n_bytes=run.n_bytes,
        n_unverified=run.n_unverified,
        seconds=time.monotonic() - began,
    )


def _bar(wanted: Sequence[Item], known: int, progress: bool | None) -> Any:
    from tqdm import tqdm

    shown = sys.stderr.isatty() if progress is None else progress
    partly = any(item.size < 0 for item in wanted)
    bar = tqdm(
        total=None if partly else known,  # until one of unknown length is there
        unit="B",
        unit_scale=True,
        disable=not shown,
        desc="Downloading",
    )
    bar.set_postfix_str(f"0/{len(wanted)} files")
    return bar


class _Run:
    """One download under way.

    Parameters
    ----------
    root : str
    verify : bool
    """

    def __init__(self, root: str, verify: bool) -> None:
        self.root = root
        self.verify = verify
        self.failures: dict[str, str] = {}
        self.n_bytes = self.n_done = self.n_unverified = 0
        self.bar: Any = None
        self._given_up = ""
        self._in_vain = 0
        self._counting = threading.Lock()
        self._known = self._n_unknown = self._learnt = self._n_learnt = 0

    def path(self, item: Item) -> str:
        return os.path.join(self.root, *item.name.split("/"))

    def is_here(self, item: Item) -> bool:
        """Whether a file is there, whole as far as its length shows."""
        path = self.path(item)
        try:
            if 0 <= item.size != os.stat(path).st_size:
                return False
            item.check_whole(path)
            if self.verify:
                self._check(path, item)
        except (FrameError, OSError):
            return False
        return True

    def elsewhere(self, item: Item) -> tuple[str, ...]:
        """The places to ask, this directory not being one."""
        own = os.path.realpath(self.path(item))
        return tuple(
            url
            for url in item.urls
            if not is_local(url) or os.path.realpath(local_path(url)) != own
        )

    def _check(self, path: str, item: Item) -> None:
        with FileBytes(path) as data:
            is_checked = verify_datasum(data, item.checked)
        if not is_checked:
            with self._counting:
                self.n_unverified += 1

    def all_of(self, items: Sequence[Item], n: int) -> None:
        """Fetch, `n` at once, on fsspec's event loop."""
        from fsspec.asyn import get_loop

        self._known = sum(item.size for item in items if item.size >= 0)
        self._n_unknown = sum(item.size < 0 for item in items)
        left = iter(items)
        ended = threading.Event()

        async def some() -> None:
            for item in left:
                if self._given_up:
                    self.failures[item.name] = f"not tried: {self._given_up}"
                    continue
                await self._one(item, n)
                self.n_done += 1
                self.bar.set_postfix_str(f"{self.n_done}/{len(items)} files")

        async def every() -> None:
            try:
                await gathered(some() for _ in range(min(n, len(items))))
            finally:
                ended.set()

        running = asyncio.run_coroutine_threadsafe(every(), get_loop())
        try:
            running.result()
        except BaseException as error:
            running.cancel()
            ended.wait(10)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(
                    f"{self.n_done} of {len(items)} files were fetched into {self.root}; what is "
                    f"there of the others stays beside them as *{PART}. The same again goes on "
                    "from here"
                ) from None
            raise

    async def _one(self, item: Item, n: int) -> None:
        try:
            await self._fetched(item)
            self._in_vain = 0
        except FrameError as error:
            self.failures[item.name] = str(error)
            # A server that answers nobody would be waited for once for every file.
            if isinstance(error, FrameUnreachableError):
                self._in_vain += 1
                if self._in_vain >= max(2 * n, 16):
                    self._given_up = f"the {self._in_vain} files before could not be reached"
        except DownloadError as error:
            self.failures[item.name] = str(error)
            if error.errno in _FULL:
                self._given_up = str(error)

    async def _fetched(self, item: Item) -> None:
        absent: FrameMissingError | None = None
        failed: FrameError | None = None
        for url in item.urls:
            try:
                if not await self._from(url, item):
                    # The bytes of an earlier run were not the file's: without them, then.
                    await self._from(url, item)
                return
            except FrameMissingError as error:
                absent = absent or error
            except FrameError as error:  # another place may have it, whole
                failed = failed or error
        nowhere = FrameMissingError("no place that it could be fetched from is known")
        raise failed or absent or nowhere

    async def _from(self, url: str, item: Item) -> bool:
        """Fetch a file from one place; False where what an earlier run left was broken."""
        part = await asyncio.to_thread(
            Part, self.path(item), url, item.size, self._moved, item.most
        )
        resumed = part.have
        if not self.bar.disable:
            self.bar.initial += resumed  # is no part of the rate
            self.bar.n += resumed
        try:
            if not part.whole:
                try:
                    await item.fetcher.pour(url, part)
                except FrameCorruptError:  # of what came nothing is of use
                    await asyncio.to_thread(part.remove)
                    raise

            def check(path: str) -> None:
                item.check_whole(path)
                if self.verify:
                    self._check(path, item)

            try:
                await asyncio.to_thread(part.finish, check)
            except FrameError as error:
                self._moved(-part.have)
                if resumed:
                    return False
                raise error.at(url) from error
            if item.size < 0:
                self._learn(part.have)
            return True
        finally:
            part.close()

    def _learn(self, length: int) -> None:
        """Show a total, in which files of unknown length are like those of them that came."""
        self._learnt += length
        self._n_learnt += 1
        self.bar.total = self._known + self._n_unknown * self._learnt // self._n_learnt

    def _moved(self, n: int) -> None:
        with self._counting:
            self.n_bytes += max(n, 0)
            self.bar.update(n)
