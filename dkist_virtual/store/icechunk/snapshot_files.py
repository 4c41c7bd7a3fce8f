"""Read the files of a store that are kept as arrays in a snapshot."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.event_loop import run
from dkist_virtual.io.local_file import RangedFile
from dkist_virtual.io.locations import join, shown
from dkist_virtual.store.icechunk.layout import FILES_GROUP, MOST_JSON, PIECE, StoredFile
from dkist_virtual.store.icechunk.repository import import_icechunk, translate_errors
from dkist_virtual.store.reader import StoreReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import icechunk

    from dkist_virtual.store.icechunk.address import RepositoryAddress

__all__ = ["SnapshotReader", "bytes_at"]


def bytes_at(session: icechunk.Session, key: str, address: RepositoryAddress) -> bytes | None:
    """Read the bytes at a key of a snapshot; None where there are none.

    Raises
    ------
    StoreError
        The repository cannot be read.
    """
    from zarr.core.buffer import default_buffer_prototype

    import_icechunk()  # refuses a forked process
    prototype = default_buffer_prototype()

    async def get() -> Any:
        return await session.store.get(key, prototype)

    with translate_errors(address):
        found = run(get())
    return None if found is None else bytes(found.to_bytes())


@dataclass(frozen=True, slots=True)
class SnapshotReader(StoreReader):
    """Read the files of a store by their names, out of a snapshot.

    Parameters
    ----------
    url : str
        The repository's.
    fetcher : Fetcher
    session : icechunk.Session
    address : RepositoryAddress
    files : dict of str to StoredFile
    """

    session: icechunk.Session | None = None
    address: RepositoryAddress | None = None
    files: dict[str, StoredFile] | None = None

    def ahead(self, names: Iterable[str]) -> SnapshotReader:  # noqa: ARG002
        """Return the same: nothing is requested ahead."""
        return self

    def again(self) -> SnapshotReader:
        """Return the same: a snapshot never changes."""
        return self

    def below(self, name: str) -> StoreReader:
        """Refuse: a repository keeps no directories."""
        raise FileNotFoundError(shown(join(self.url, name)))

    def marked(self, name: str) -> tuple[bytes, str]:
        """Read a file; the mark is always the same."""
        file = self._file(name)
        return b"".join(self.piece(name, number) for number in range(file.n_pieces)), ""

    def marks(self, names: Sequence[str]) -> list[str]:
        """Get the marks of some files."""
        return [""] * len(names)

    def open(self, name: str, most: int) -> BinaryIO:
        """Open a file to read it in parts."""
        file = self._file(name)
        if file.size > most:
            raise StoreCorruptError(
                f"{shown(join(self.url, name))}: has {file.size} bytes: expected at most {most}"
            )
        return cast("BinaryIO", io.BufferedReader(_PieceFile(self, name, file), PIECE))

    def _file(self, name: str) -> StoredFile:
        assert self.files is not None
        if name not in self.files:
            raise FileNotFoundError(shown(join(self.url, name)))
        return self.files[name]

    def piece(self, name: str, number: int) -> bytes:
        """Read a piece of a file.

        Raises
        ------
        StoreCorruptError
            It is missing, or other bytes than were written.
        """
        assert self.session is not None
        assert self.address is not None
        place = shown(join(self.url, name))
        key = f"{FILES_GROUP}/{name}/c/{number}"
        data = bytes_at(self.session, key, self.address)
        if data is None or len(data) > max(PIECE, MOST_JSON):
            raise StoreCorruptError(f"{place}: piece {number} of it is missing from the repository")
        try:
            return self._file(name).check(number, data)
        except ValueError as error:
            raise StoreCorruptError(f"{place}: {error}. Write the dataset again") from error


class _PieceFile(RangedFile):
    """A file in pieces, of which the last two that were read are kept."""

    def __init__(self, reader: SnapshotReader, name: str, file: StoredFile) -> None:
        super().__init__(join(reader.url, name), file.size)
        self._reader, self._of = reader, name
        self._pieces: dict[int, bytes] = {}
        self._lock = ThreadLock()

    def _piece(self, number: int) -> bytes:
        with self._lock:
            if number not in self._pieces:
                data = self._reader.piece(self._of, number)
                while len(self._pieces) > 1:
                    del self._pieces[next(iter(self._pieces))]
                self._pieces[number] = data
            return self._pieces[number]

    def read_range(self, start: int, n: int) -> bytes:
        """Read a range that is inside the file."""
        parts = []
        while n > 0:
            number, at = divmod(start, PIECE)
            part = self._piece(number)[at : at + n]
            parts.append(part)
            start, n = start + len(part), n - len(part)
        return b"".join(parts)
