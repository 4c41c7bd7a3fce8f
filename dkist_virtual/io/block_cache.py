"""A cache on the disk of what was fetched: blocks of files, each of one version of its file.

A directory for each file holds a note of the version that was seen last, and the blocks of it.
Blocks of different versions never stand together, and none is handed out before the server said
that the file is still of its version: it is asked for one byte where nothing else is asked of it.
A server that cannot be reached says nothing; then what is kept of the very file that was scanned is
handed out.
Files are read and written whole, none is mapped into memory; a block that was not written whole,
or did not survive the machine, is no block.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tempfile
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import (
    DKISTVirtualWarning,
    FrameCorruptError,
    FrameForbiddenError,
    FrameLoginError,
    FrameUnreachableError,
)
from dkist_virtual.io.remote.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["BLOCK_BYTES", "BlockCache", "Stated"]

BLOCK_BYTES: Final = 2**18
"""Bytes that are fetched and kept at a time."""

_SUM_BYTES: Final = 4

TRIES: Final = 3
"""How often a range is asked for whose file changes meanwhile."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What a scan found of a file, as far as it did.

    Parameters
    ----------
    size : int
    mtime : int
        In nanoseconds; both -1 where unknown.
    etag : str or None
    """

    size: int
    mtime: int
    etag: str | None

    def is_of(self, reply: Reply) -> bool:
        """Whether what is kept is certainly of the file that was scanned."""
        if reply.total is None or reply.total != self.size:
            return False
        if self.etag is not None and reply.etag is not None:
            return self.etag == reply.etag
        # Servers tell whole seconds, some the next one.
        known = self.mtime >= 0 and reply.mtime is not None
        return known and abs(self.mtime - (reply.mtime or 0)) < 10**9


@dataclass(frozen=True, slots=True)
class BlockCache:
    """Blocks of remote files in a directory on this machine.

    Parameters
    ----------
    directory : str
    """

    directory: str

    async def read(
        self,
        url: str,
        start: int,
        stop: int | None,
        ask: Callable[[int, int | None], Awaitable[Reply]],
        stated: Stated | None = None,
    ) -> Reply:
        """A range of a file, from what is kept and, for the rest, from its server.

        Parameters
        ----------
        url : str
        start : int
        stop : int or None
            Half-open; None for everything from `start` on.
        ask : callable
            Asks the server for a range.
        stated : Stated, optional
            What a scan found of the file.

        Raises
        ------
        FrameCorruptError
            The file changed each time while it was read; what `ask` raises.
        """
        file = _File(self.directory, url)
        about: Reply | None = await asyncio.to_thread(file.about)
        for _ in range(TRIES):
            if about is None or about.total is None or start >= about.total:
                return await self._ask_anew(file, start, stop, ask)
            total = about.total
            end = total if stop is None else min(stop, total)
            numbers = range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES))
            blocks = await asyncio.to_thread(file.blocks, about, numbers)
            lacking = [n for n, block in zip(numbers, blocks, strict=True) if block is None]
            if not lacking:
                try:
                    now = await ask(start, start + 1)
                except (FrameLoginError, FrameForbiddenError):
                    raise
                except FrameUnreachableError:
                    if stated is None or not stated.is_of(about):
                        raise
                    # Nobody can say what stands there now: this is what the scan found.
                    return _cut(about, blocks, start, end)
                if now.version != about.version:
                    about = await asyncio.to_thread(file.forget)
                    continue
                return _cut(about, blocks, start, end)
            runs = _runs(lacking)
            replies = await asyncio.gather(
                *(
                    ask(first * BLOCK_BYTES, min((last + 1) * BLOCK_BYTES, total))
                    for first, last in runs
                )
            )
            if any(reply.version != about.version for reply in replies):
                about = await asyncio.to_thread(file.forget)
                continue
            for (first, _), reply in zip(runs, replies, strict=True):
                pieces = _pieces(reply.data)
                blocks[first - numbers[0] : first - numbers[0] + len(pieces)] = pieces
                await asyncio.to_thread(file.keep, about, first, pieces)
            return _cut(about, blocks, start, end)
        raise FrameCorruptError(
            f"the file changed all {TRIES} times while it was read: expected a file that nobody "
            "replaces meanwhile. Read it again"
        )

    async def _ask_anew(
        self,
        file: _File,
        start: int,
        stop: int | None,
        ask: Callable[[int, int | None], Awaitable[Reply]],
    ) -> Reply:
        """A range of a file of which nothing is kept."""
        first = start // BLOCK_BYTES
        end = None if stop is None else -(-stop // BLOCK_BYTES) * BLOCK_BYTES
        reply = await ask(first * BLOCK_BYTES, end)
        if reply.firm and reply.total is not None:
            whole = _pieces(reply.data)
            if first * BLOCK_BYTES + len(reply.data) < reply.total:
                whole = [piece for piece in whole if len(piece) == BLOCK_BYTES]
            await asyncio.to_thread(file.keep, reply, first, whole)
        begin = start - first * BLOCK_BYTES
        data = bytes(reply.data[begin : None if stop is None else begin + stop - start])
        if not data and start and (stop is None or stop > start):
            raise FrameCorruptError(f"the file is shorter: bytes from {start} on were referenced")
        return replace(reply, data=data)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as the first and last of each run of neighbours."""
    runs = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append((run[0], run[-1]))
    return runs


def _pieces(data: bytes | memoryview) -> list[bytes]:
    return [bytes(data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]


def _cut(about: Reply, blocks: Sequence[bytes | None], start: int, end: int) -> Reply:
    """A range from the blocks that it lies in, all of which are there."""
    data = b"".join(block for block in blocks if block is not None)
    begin = start - start // BLOCK_BYTES * BLOCK_BYTES
    return replace(about, data=data[begin : begin + end - start])


class _File:
    """What is kept of one file."""

    def __init__(self, directory: str, url: str) -> None:
        name = hashlib.sha256(url.encode()).hexdigest()
        self.cache = directory
        self.directory = os.path.join(directory, "blocks", name[:2], name[2:34])
        self.note = os.path.join(self.directory, "version.json")

    def about(self) -> Reply | None:
        """The version that was seen last, without any bytes; None where nothing is kept."""
        try:
            with open(os.open(self.note, os.O_RDONLY | _NONBLOCK), encoding="utf-8") as file:
                total, mtime, etag = json.load(file)
        except (OSError, ValueError, TypeError):
            return None
        whole = isinstance(total, int) and isinstance(mtime, int | None)
        if not whole or not isinstance(etag, str | None):
            return None
        return Reply(b"", total, mtime, etag, firm=True)

    def _of(self, about: Reply) -> str:
        """The directory of a version's blocks."""
        said = json.dumps([about.total, about.mtime, about.etag])
        return os.path.join(self.directory, hashlib.sha256(said.encode()).hexdigest()[:32])

    def blocks(self, about: Reply, numbers: Sequence[int]) -> list[bytes | None]:
        """Blocks of a version, None for those that are not there."""
        return [self._block(os.path.join(self._of(about), str(n)), about, n) for n in numbers]

    @staticmethod
    def _block(path: str, about: Reply, number: int) -> bytes | None:
        length = min(BLOCK_BYTES, (about.total or 0) - number * BLOCK_BYTES)
        try:
            with open(os.open(path, os.O_RDONLY | _NONBLOCK), "rb") as file:
                found = file.read(length + _SUM_BYTES + 1)
        except OSError:
            return None
        data = found[:-_SUM_BYTES]
        return data if len(data) == length and found[-_SUM_BYTES:] == _sum(data) else None

    def keep(self, about: Reply, first: int, pieces: Sequence[bytes]) -> None:
        """Keep blocks of a version; where they cannot be written, that is said once."""
        place = self._of(about)
        try:
            os.makedirs(place, exist_ok=True)
            for number, piece in enumerate(pieces, first):
                _write(os.path.join(place, str(number)), piece + _sum(piece))
            kept = self.about()
            if kept is None or kept.version != about.version:
                note = json.dumps([about.total, about.mtime, about.etag])
                _write(self.note, note.encode())
                for name in set(os.listdir(self.directory)) - {os.path.basename(place)}:
                    shutil.rmtree(os.path.join(self.directory, name), ignore_errors=True)
        except OSError as error:
            warnings.warn(
                f"cache = {self.cache!r}: cannot be written: {error.strerror or error}. What is "
                "fetched is not kept",
                DKISTVirtualWarning,
                stacklevel=2,
            )

    def forget(self) -> None:
        """Keep nothing of the file."""
        shutil.rmtree(self.directory, ignore_errors=True)


_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _sum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_SUM_BYTES, "big")


def _write(path: str, data: bytes) -> None:
    """Write a file that is there whole, or not at all."""
    file, name = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with open(file, "wb") as opened:
            opened.write(data)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
