"""Download many files at once to a directory.

A file gets its final name once it is whole (`part_file`); nothing is written outside the directory
(`file_names`); a file that cannot be fetched does not stop the others.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

from dkist_virtual.errors import (
    DownloadError,
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.fits.file_check import verify_datasum
from dkist_virtual.io.download.file_names import check_names
from dkist_virtual.io.download.item import Item
from dkist_virtual.io.download.part_file import PART, open_part
from dkist_virtual.io.download.report import Downloaded, Progress, failed
from dkist_virtual.io.event_loop import gather, run
from dkist_virtual.io.local_file import FileBytes
from dkist_virtual.io.locations import absolute, is_local, local_path
from dkist_virtual.io.settings import setting
from dkist_virtual.text import counted, shows_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tqdm import tqdm

__all__ = ["Downloaded", "Item", "Progress", "check_names", "download"]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors of a disk that every file would meet."""


# The run ------------------------------------------------------------------------------------


def download(
    items: Sequence[Item],
    destination: str | os.PathLike[str],
    *,
    verify: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    progress: bool | Callable[[Progress], object] | None = None,
) -> Downloaded:
    """Fetch files into a directory, which is created if needed.

    Parameters
    ----------
    verify : bool
        Whether to check the DATASUM of each file; also of those there already, which are fetched
        again if they are broken.
    dry_run : bool
        Whether only to list the files that would be fetched.
    workers : int, optional
        How many at once; by default the setting ``dkist_virtual.concurrency``.
    progress : bool or callable, optional
        Whether to show a bar on standard error; by default on a terminal. A function is called
        with a `Progress` some times a second, in this thread. An exception of its own ends the
        download as Ctrl-C does: what is there stays, and so do the parts of other files.

    Raises
    ------
    DownloadError
        Some files were not fetched, but the others were; or names may not be written.
    """
    place = os.fspath(destination)
    if not is_local(place):
        raise DownloadError(f"{place}: is not a directory on this machine: downloads go to a disk")
    root = local_path(absolute(place))
    if os.path.exists(root) and not os.path.isdir(root):
        raise DownloadError(f"{place}: is a file: expected a directory, or nothing")
    check_names((item.name for item in items), root)
    under_way = _Run(root, verify)
    wanted, n_here = [], 0
    for item in items:
        if under_way.is_here(item):
            n_here += 1
        else:
            wanted.append(replace(item, urls=under_way.elsewhere(item)))
    known = sum(item.size for item in wanted if item.size >= 0)
    if dry_run or not wanted:
        return Downloaded(
            place, tuple(wanted), n_here, n_bytes=known if dry_run else 0,
            n_unverified=under_way.n_unverified, dry_run=dry_run,
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
    report = progress if callable(progress) else None
    shown = False if callable(progress) else progress
    with _bar(wanted, known, shown) as bar:
        under_way.bar = bar
        under_way.all_of(wanted, n, report)
    if under_way.failures:
        n, done = len(under_way.failures), len(items) - len(under_way.failures)
        verb = "was" if n == 1 else "were"
        lost = f"{n} of {len(items)} files {verb}" if done else f"{counted(n, 'file')} {verb}"
        others = "the other is there" if done == 1 else f"the other {done} are there"
        rest = f", {others}" if done else ""
        raise failed(
            f"{lost} not fetched into {place}{rest}. Run it again to fetch the missing ones",
            under_way.failures,
        )
    return Downloaded(
        place,
        tuple(wanted),
        n_here,
        n_bytes=under_way.n_bytes,
        n_unverified=under_way.n_unverified,
        seconds=time.monotonic() - began,
    )


def _bar(wanted: Sequence[Item], known: int, progress: bool | None) -> tqdm[NoReturn]:
    from tqdm import tqdm

    shown = shows_progress(progress)
    partly = any(item.size < 0 for item in wanted)
    bar: tqdm[NoReturn] = tqdm(
        total=None if partly else known,  # until one of unknown length is there
        unit="B", unit_scale=True, disable=not shown, desc="Downloading",
    )  # fmt: skip
    bar.set_postfix_str(f"0/{len(wanted)} files")
    return bar


class _Run:
    """A download in progress."""

    bar: tqdm[NoReturn]

    def __init__(self, root: str, verify: bool) -> None:
        self.root = root
        self.verify = verify
        self.failures: dict[str, str] = {}
        self.n_bytes = self.n_done = self.n_unverified = 0
        self._given_up = ""
        self._unreached = 0
        self._counting = threading.Lock()
        self._known = self._n_unknown = self._learnt = self._n_learnt = 0
        self._n_there = 0

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
        """List the places to fetch from, without this directory."""
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

    def all_of(
        self, items: Sequence[Item], n: int, report: Callable[[Progress], object] | None
    ) -> None:
        """Fetch, `n` at once, on fsspec's event loop."""
        self._known = sum(item.size for item in items if item.size >= 0)
        self._n_unknown = sum(item.size < 0 for item in items)
        left = iter(items)

        async def some() -> None:
            for item in left:
                if self._given_up:
                    self.failures[item.name] = f"not tried: {self._given_up}"
                    continue
                await self._one(item, n)
                self.n_done += 1
                self.bar.set_postfix_str(f"{self.n_done}/{len(items)} files")

        def tell() -> None:
            if report is not None:
                total = None if self._n_unknown else self._known
                report(Progress(self.n_done, len(items), self._n_there, total))

        tell()
        try:
            run(
                gather(some() for _ in range(min(n, len(items)))),
                patience=10,
                meanwhile=None if report is None else tell,
            )
            tell()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{self.n_done} of {len(items)} files were fetched into {self.root}; parts of the "
                f"others stay beside them as *{PART}. Run it again to continue from here"
            ) from None

    async def _one(self, item: Item, n: int) -> None:
        try:
            await self._fetch(item)
            self._unreached = 0
        except FrameError as error:
            self.failures[item.name] = str(error)
            # Otherwise a server that is down would cost a timeout for every file.
            if isinstance(error, FrameUnreachableError):
                self._unreached += 1
                if self._unreached >= max(2 * n, 16):
                    self._given_up = f"the {self._unreached} files before could not be reached"
        except DownloadError as error:
            self.failures[item.name] = str(error)
            if error.errno in _FULL:
                self._given_up = str(error)

    async def _fetch(self, item: Item) -> None:
        absent: FrameMissingError | None = None
        failed: FrameError | None = None
        for url in item.urls:
            try:
                if not await self._fetch_from(url, item):
                    # The part of an earlier run was of another file: without it, then.
                    await self._fetch_from(url, item)
                return
            except FrameMissingError as error:
                absent = absent or error
            except FrameError as error:  # another place may have it
                failed = failed or error
        nowhere = FrameMissingError("no URL is known for it")
        raise failed or absent or nowhere

    async def _fetch_from(self, url: str, item: Item) -> bool:
        """Fetch a file from one place; return False if the part of an earlier run was broken."""
        part = await open_part(self.path(item), url, item.size, self._count, item.most)
        resumed = part.have
        with self._counting:
            self._n_there += resumed
        if not self.bar.disable:
            self.bar.initial += resumed  # does not belong to the rate
            self.bar.n += resumed
        try:
            if not part.whole:
                try:
                    await item.fetcher.pour(url, part)
                except FrameCorruptError:  # none of the bytes are of use
                    await asyncio.to_thread(part.remove)
                    raise

            def check(path: str) -> None:
                item.check_whole(path)
                if self.verify:
                    self._check(path, item)

            try:
                await asyncio.to_thread(part.finish, check)
            except FrameError as error:
                self._count(-part.have)
                if resumed:
                    return False
                raise error.at(url) from error
            if item.size < 0:
                self._learn(part.have)
            return True
        finally:
            part.close()

    def _learn(self, length: int) -> None:
        """Estimate the total: files of unknown length are like those fetched so far."""
        self._learnt += length
        self._n_learnt += 1
        self.bar.total = self._known + self._n_unknown * self._learnt // self._n_learnt

    def _count(self, n: int) -> None:
        with self._counting:
            self.n_bytes += max(n, 0)
            self._n_there += n
            self.bar.update(n)
