"""Cache fetched blocks of remote files on disk, each of one version of its file.

Each file has a directory with its blocks and a note of the version that was seen last. Blocks of
different versions are never mixed, and a block is given out only after the server said that its
file has not changed: where no other byte is missing, one is requested. If the server cannot be
reached, blocks are given out only if they are of the file that was scanned.

Files are read and written whole, none is mapped into memory; a block that is not complete, or
damaged, is ignored.
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
from typing import TYPE_CHECKING, Final, TypeAlias

from dkist_virtual.errors import (
    DKISTVirtualWarning,
    FrameCorruptError,
    FrameForbiddenError,
    FrameLoginError,
    FrameUnreachableError,
)
from dkist_virtual.io.byte_range import SECOND, Reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dkist_virtual.io.byte_range import Request

__all__ = ["BLOCK_BYTES", "BlockCache"]

Ask: TypeAlias = "Callable[[Request], Awaitable[Reply]]"
"""What asks a file's server for bytes of it."""

BLOCK_BYTES: Final = 2**18
"""Bytes of a block."""

_SUM_BYTES: Final = 4

TRIES: Final = 3
"""How often a range is requested whose file keeps changing."""


@dataclass(frozen=True, slots=True)
class BlockCache:
    """Keep blocks of remote files in a directory on this machine."""

    directory: str

    async def read(self, url: str, request: Request, ask: Ask) -> Reply:
        """Answer a request from the cache and, for the rest, from the file's server.

        Parameters
        ----------
        url : str
            The file's, normalised.
        request : Request
        ask : callable
            Asks the server.

        Raises
        ------
        FrameCorruptError
            The file changed each time while it was read; what `ask` raises.
        """
        file = _File(self.directory, url)
        start = request.start

        async def part(begin: int, end: int) -> Reply:
            return await ask(replace(request, offset=begin, length=end - begin))

        about: Reply | None = await asyncio.to_thread(file.about)
        for _ in range(TRIES):
            if about is None or about.total is None or start >= about.total:
                return await self._fetch(file, request, ask)
            total = about.total
            end = total if request.stop is None else min(request.stop, total)
            numbers = range(start // BLOCK_BYTES, -(-end // BLOCK_BYTES))
            blocks = await asyncio.to_thread(file.blocks, about, numbers)
            lacking = [n for n, block in zip(numbers, blocks, strict=True) if block is None]
            if not lacking:
                try:
                    now = await part(start, start + 1)
                except (FrameLoginError, FrameForbiddenError):
                    raise
                except FrameUnreachableError:
                    # Nobody can say what is there now: this is what the scan found. Servers give
                    # whole seconds, some the next one.
                    known = request.scanned
                    if known is None or known.size is None:
                        raise
                    if not known.is_same(about.version, within=SECOND - 1):
                        raise
                    return _cut(about, blocks, start, end)
                if now.version != about.version:
                    about = await asyncio.to_thread(file.forget)
                    continue
                return _cut(about, blocks, start, end)
            runs = _runs(lacking)
            replies = await asyncio.gather(
                *(part(a * BLOCK_BYTES, min((z + 1) * BLOCK_BYTES, total)) for a, z in runs)
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

    async def _fetch(self, file: _File, request: Request, ask: Ask) -> Reply:
        """Answer a request for a file that is not in the cache."""
        start, stop = request.start, request.stop
        first = start // BLOCK_BYTES * BLOCK_BYTES
        if stop is not None:
            length = -(-stop // BLOCK_BYTES) * BLOCK_BYTES - first
            request = replace(request, offset=first, length=length)
        reply = await ask(request)
        if reply.firm and reply.total is not None:
            whole = _pieces(reply.data)
            if first + len(reply.data) < reply.total:
                whole = [piece for piece in whole if len(piece) == BLOCK_BYTES]
            await asyncio.to_thread(file.keep, reply, first // BLOCK_BYTES, whole)
        data = bytes(reply.data[start - first : None if stop is None else stop - first])
        if not data and start and (stop is None or stop > start):
            raise FrameCorruptError(f"the file is shorter: bytes from {start} on were referenced")
        return replace(reply, data=data)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Group ascending numbers into runs of neighbours: the first and last of each."""
    runs = []
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append((run[0], run[-1]))
    return runs


def _pieces(data: bytes | memoryview) -> list[bytes]:
    return [bytes(data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]


def _cut(about: Reply, blocks: Sequence[bytes | None], start: int, end: int) -> Reply:
    """Cut a range out of its blocks, all of which are there."""
    data = b"".join(block for block in blocks if block is not None)
    begin = start - start // BLOCK_BYTES * BLOCK_BYTES
    return replace(about, data=data[begin : begin + end - start])


class _File:
    """The blocks of one file, and the note of its version."""

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
        """Read blocks of a version, None for those that are not there."""
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
        """Write blocks of a version; warn where they cannot be written."""
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
        """Remove all blocks of the file."""
        shutil.rmtree(self.directory, ignore_errors=True)


_NONBLOCK: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _sum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_SUM_BYTES, "big")


def _write(path: str, data: bytes) -> None:
    """Write a file atomically."""
    file, name = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with open(file, "wb") as opened:
            opened.write(data)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
