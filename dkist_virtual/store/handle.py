"""Open a store by its place, and open it again in another process."""

from __future__ import annotations

import io
import itertools
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import zarr

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    StoreCorruptError,
    StoreError,
    StoreMissingError,
)
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.local_file import StoreFile
from dkist_virtual.io.locations import is_local, join, local_path, shown
from dkist_virtual.store.format.headers import HEADERS_NAME, HeaderFile
from dkist_virtual.store.format.limits import headers_limit
from dkist_virtual.store.format.references import (
    JSON_NAME,
    PARQUET_NAME,
    ReferenceSet,
    read_json,
    replaced_error,
    sha256,
)
from dkist_virtual.store.format.references_parquet import read_parquet
from dkist_virtual.store.read_options import ReadOptions
from dkist_virtual.store.zarr_store import FrameStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dkist_virtual.io.fetcher import Fetcher
    from dkist_virtual.io.remote.request import Reply

__all__ = ["StoreHandle", "StoreReader", "references_in"]


def references_in(read: StoreReader) -> ReferenceSet:
    """Read the references of a store, JSON or parquet, by their known names.

    Raises
    ------
    StoreMissingError
        There is no store.
    StoreCorruptError
        Its references cannot be read.
    """
    try:
        text = read(JSON_NAME)
    except FileNotFoundError:
        pass
    else:
        return read_json(text, join(read.url, JSON_NAME))
    shards = read.below(PARQUET_NAME)
    try:
        shards.keep(".zmetadata", shards(".zmetadata"))
    except FileNotFoundError:
        raise StoreMissingError(
            f"{shown(read.url)}: no store here: expected {JSON_NAME} or {PARQUET_NAME}. "
            "dkist-virtual convert makes one from a dataset's ASDF"
        ) from None
    return read_parquet(shards, shards.url)


REFERENCE_NAMES = (JSON_NAME, f"{PARQUET_NAME}/.zmetadata")


SMALL = (f"{PARQUET_NAME}/.zmetadata", "verify.json")
"""Files of a store that say a few things of it, however many frames it has."""

MOST_OF_SMALL = 2**24
"""Bytes that one of those may have on a server."""


@dataclass(frozen=True, slots=True)
class StoreReader:
    """Reads the store's own files by name.

    Parameters
    ----------
    url : str
        A directory.
    fetcher : Fetcher
    """

    url: str = field(repr=False)  # may be signed
    fetcher: Fetcher
    _known: dict[str, bytes | FrameError] = field(default_factory=dict, repr=False, compare=False)

    def ahead(self, names: Iterable[str]) -> StoreReader:
        """A reader that has asked for some files of a server at once; of a disk it need not."""
        if is_local(self.url):
            return self
        places = [join(self.url, name) for name in names]
        places = [place for place in places if place not in self._known]
        small = {join(self.url, name) for name in SMALL}
        most = [MOST_OF_SMALL if place in small else None for place in places]
        found = self.fetcher.together(places, most)
        known = dict(zip(places, found, strict=True))
        return StoreReader(self.url, self.fetcher, {**self._known, **known})

    def again(self) -> StoreReader:
        """A reader that has asked for nothing yet."""
        return StoreReader(self.url, self.fetcher)

    def keep(self, name: str, data: bytes) -> None:
        """Give these bytes to who asks for a file next."""
        self._known[join(self.url, name)] = data

    def below(self, name: str) -> StoreReader:
        """A reader of a directory inside."""
        return StoreReader(join(self.url, name), self.fetcher, self._known)

    def __call__(self, name: str) -> bytes:
        """A file's bytes.

        Raises
        ------
        FileNotFoundError
            There is none of that name.
        StoreError
            It cannot be asked for.
        """
        return self.marked(name)[0]

    def marked(self, name: str) -> tuple[bytes, str]:
        """A file's bytes, and what tells it from a later one of that name.

        Raises
        ------
        FileNotFoundError, StoreError
        """
        place = join(self.url, name)
        try:
            # Once: who asks again wants to know what stands there by now.
            found = self._known.pop(place, None)
            if isinstance(found, FrameError):
                raise found
            if found is not None:
                return found, ""
            reply = self.fetcher.reply(place)
            return bytes(reply.data), _mark(reply)
        except FrameMissingError as error:
            raise FileNotFoundError(shown(place)) from error
        except FrameError as error:
            # Unreachable: not even the directory is there.
            if is_local(place) and not os.path.lexists(local_path(place)):
                raise FileNotFoundError(shown(place)) from error
            raise _store_error(place, error) from error

    def marks(self, names: Sequence[str]) -> list[str]:
        """What tells some files from later ones of their names, by one request each.

        Of a file that is not there an empty text: reading it says what is wrong.
        """
        with ThreadPoolExecutor(max(1, min(len(names), 16))) as pool:
            return list(pool.map(self._mark, names))

    def _mark(self, name: str) -> str:
        place = join(self.url, name)
        try:
            found = self.fetcher.status(place)
            if found.total is None:  # its length is known to who reads it
                found = self.fetcher.reply(place)
        except FrameError:
            return ""
        return _mark(found)

    def open(self, name: str, most: int) -> Any:
        """A file to be read in parts, of one version: it stays open.

        Parameters
        ----------
        name : str
        most : int
            How many bytes a server may say that it has.

        Raises
        ------
        FileNotFoundError
            There is none of that name.
        StoreError
            It cannot be asked for.
        """
        place = join(self.url, name)
        if is_local(place):
            try:
                return StoreFile(local_path(place))
            except FileNotFoundError as error:
                raise FileNotFoundError(shown(place)) from error
            except OSError as error:
                raise StoreError(f"{shown(place)}: {error.strerror or error}") from error
        return _RemoteFile(place, self.fetcher, most)


def _mark(reply: Reply) -> str:
    """Which version of a file a server, or the disk, answered with."""
    # Weak and strong are the same here: servers that compress some answers call those weak.
    etag = reply.etag and reply.etag.removeprefix("W/")
    return f"{etag or reply.mtime} {reply.total}"


def _store_error(place: str, error: FrameError) -> StoreError:
    text = str(error)
    kind = StoreCorruptError if isinstance(error, FrameCorruptError) else StoreError
    return kind(text if shown(place) in text else f"{shown(place)}: {text}")


class _RemoteFile(io.RawIOBase):
    """A remote file that reads the ranges which it is asked for, and a little ahead."""

    block = 2**20

    def __init__(self, url: str, fetcher: Fetcher, most: int) -> None:
        super().__init__()
        self.name = url
        self._fetcher = fetcher
        self._at, self._begin, self._data = 0, 0, b""
        self._version: Any = None
        self._seen: list[tuple[int, int, str]] = []
        first = self._fetch(0, 2**16)  # all of a small one
        if first.total is None:
            first = self._fetch(-1, -1)
        self._version = first.version
        self._data = bytes(first.data)
        self._seen.append((0, len(self._data), sha256(self._data)))
        self._size = len(first.data) if first.total is None else first.total
        if self._size > most:
            raise StoreCorruptError(
                f"{shown(url)}: the server says that it has {self._size} bytes: expected at most "
                f"{most} for a dataset of so many frames. Convert the dataset again"
            )

    def _fetch(self, start: int, length: int) -> Reply:
        try:
            reply = self._fetcher.reply_up_to(self.name, start, length)
        except FrameMissingError as error:
            raise FileNotFoundError(shown(self.name)) from error
        except FrameError as error:
            raise _store_error(self.name, error) from error
        return reply

    def _read(self, begin: int, length: int) -> None:
        """Have a range of the file in memory, or all of it, of the version that was read before."""
        reply = self._fetch(begin, length)
        if reply.version != self._version:
            # Another file; or the same on another machine of a service, each of which gives it a
            # time of its own. All of it in one answer is of one version, and holds what was read.
            begin, length = 0, self._size
            reply = self._fetch(begin, length)
            data = bytes(reply.data)
            if any(sha256(data[at : at + n]) != seen for at, n, seen in self._seen):
                raise replaced_error(self.name)
        self._data, self._begin = bytes(reply.data), begin
        if len(self._data) != length:
            raise StoreCorruptError(
                f"{shown(self.name)}: bytes {begin} to {begin + length} of {self._size}: only "
                f"{len(self._data)} came"
            )
        self._seen.append((begin, length, sha256(self._data)))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, out: Any) -> int:
        view = memoryview(out)
        n = max(0, min(len(view), self._size - self._at))
        start, stop = self._at - self._begin, self._at - self._begin + n
        if n and not 0 <= start <= stop <= len(self._data):
            # A footer's length stands in its last bytes: what lies before them is read with them.
            begin = min(self._at, max(0, self._size - self.block))
            length = max(self._at + n - begin, min(self.block, self._size - begin))
            self._read(begin, length)
            start = self._at - self._begin
        view[:n] = self._data[start : start + n]
        self._at += n
        return n


_OPENING = ThreadLock()


@dataclass(frozen=True)
class StoreHandle:
    """What it takes to open a store's frames, here or in another process.

    Pickles as the few values that it is: a store on disk travels as its URL. References that
    were made from an ASDF and are stored nowhere travel with it.

    Parameters
    ----------
    url : str or None
        The store's directory; None where there is none.
    references : ReferenceSet or None
        Those of a dataset without a store.
    options : ReadOptions
    downloads : list of str
        Directories that frames were downloaded to since: what they hold is read there.
    identity : str or None
        Of the references that were opened first: opening the store again, in another process,
        raises where others are there by then. Never what a store says of itself.
    """

    url: str | None = field(repr=False)  # may be signed
    references: ReferenceSet | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    downloads: list[str] = field(default_factory=list)
    identity: str | None = field(default=None, compare=False)
    _opened: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def fetcher(self) -> Fetcher:
        """What reads bytes, with the options given."""
        if "fetcher" not in self._opened:
            self._opened["fetcher"] = self.options.fetcher()
        fetcher: Fetcher = self._opened["fetcher"]
        return fetcher

    @property
    def reader(self) -> StoreReader:
        """What reads the store's own files."""
        if self.url is None:
            raise StoreMissingError("this dataset was opened from its ASDF: there is no store")
        if "reader" not in self._opened:
            self._opened["reader"] = StoreReader(self.url, self.fetcher)
        reader: StoreReader = self._opened["reader"]
        return reader

    def open_with(self, names: Iterable[str]) -> StoreReader:
        """Open the store, and ask for more of its files together with its references."""
        with _OPENING:
            self._opened["reader"] = self.reader.ahead((*REFERENCE_NAMES, *names))
            self._opened.pop("references", None)
            self._read_references()
        return self.reader

    def _read_references(self) -> ReferenceSet:
        """The references, read once in a process: the tasks of a worker ask for them at once."""
        with _OPENING:
            if "references" not in self._opened:
                found = self.references
                if found is None:  # of a server all that may be one is asked for at once
                    found = references_in(self.reader.ahead(REFERENCE_NAMES))
                if self.url is not None:
                    if self.identity not in (None, found.identity):
                        raise replaced_error(self.url)
                    object.__setattr__(self, "identity", found.identity)
                self._opened["references"] = found
        references: ReferenceSet = self._opened["references"]
        return references

    @property
    def store(self) -> FrameStore:
        """The store, one in a process; its references are read when they are first needed."""
        if "store" not in self._opened:
            with _OPENING:
                if "store" not in self._opened:
                    options = self.options
                    local = options.allow_local
                    if local is None:
                        local = self.url is None or is_local(self.url)
                    self._opened["store"] = FrameStore(
                        self._read_references,
                        self.fetcher,
                        missing=options.missing,
                        frames=options.places,
                        scanned=self.scanned,
                        scanned_etag=self.scanned_etag,
                        allow_local=local,
                        verify=options.verify,
                        place=self.url,
                        reopened=partial(_store_of, self),
                        downloads=tuple(self.downloads),
                    )
        store: FrameStore = self._opened["store"]
        return store

    def token(self) -> tuple[Any, ...]:
        """What dask's names are made of: all of the store that pixels depend on."""
        from dask.base import tokenize

        if "options" not in self._opened:
            # The lengths of chunks are part of a name anyway.
            options = replace(self.options, chunks="auto")
            self._opened["options"] = tokenize(*(getattr(options, f.name) for f in fields(options)))
        identity = self._read_references().identity
        return self.url, identity, tuple(self.downloads), self._opened["options"]

    def read_first(self, directory: str) -> None:
        """Read here, from now on, the frames that a directory holds; all slices share this."""
        if directory in self.downloads:
            self.downloads.remove(directory)
        self.downloads.insert(0, directory)
        self.store.places.downloads = tuple(self.downloads)
        self.store.places.refresh()

    @property
    def header_file(self) -> HeaderFile:
        """The store's header table, opened once in a process.

        Raises
        ------
        StoreCorruptError
            It is missing from the store, no such file, or not of as many frames.
        StoreReplacedError
            It is of another store than was opened.
        """
        if "headers" not in self._opened:
            arrays = self.store.references.arrays
            n_frames = sum(metadata.n_frames for metadata, _ in arrays.values())
            with _OPENING:
                if "headers" not in self._opened:
                    try:
                        file = HeaderFile(self.reader.open(HEADERS_NAME, headers_limit(n_frames)))
                    except FileNotFoundError as error:
                        raise StoreCorruptError(f"{error}: is missing from the store") from None
                    self._refuse_other(file)
                    if file.n_rows != n_frames:
                        raise StoreCorruptError(
                            f"{shown(self.url or '')}: {HEADERS_NAME} has {file.n_rows} "
                            f"rows for {n_frames} frames. Convert the dataset again"
                        )
                    self._opened["headers"] = file
        headers: HeaderFile = self._opened["headers"]
        return headers

    def _refuse_other(self, file: HeaderFile) -> None:
        """Refuse the header table of a store that took this one's place.

        A store says of itself, and of its header table, which it is. Where it does not say, and on
        this machine, where that costs little, its references are read again.

        Raises
        ------
        StoreReplacedError
        """
        own = self.store.references.attributes.get("store_id")
        said = own is not None and file.store_id is not None
        if said and file.store_id != own:
            raise replaced_error(file.name)
        if said and not is_local(self.reader.url):
            return
        if references_in(self.reader.again()).identity != self.store.references.identity:
            raise replaced_error(file.name)

    def scanned(self, array: str, column: str, position: int) -> int:
        """What a scan found of a frame's file, -1 where nothing did."""
        if self.url is None:
            return -1
        return self.header_file.integer(column, self._row(array, position))

    def scanned_etag(self, array: str, position: int) -> str | None:
        """The ETag that a scan found of a frame's file, None where it found none."""
        if self.url is None:
            return None
        return self.header_file.etag(self._row(array, position))

    def _row(self, array: str, position: int) -> int:
        """Which row of the header table is that of a frame."""
        if "first_rows" not in self._opened:
            arrays = self.store.references.arrays
            lengths = [metadata.n_frames for metadata, _ in arrays.values()]
            firsts = itertools.accumulate(lengths, initial=0)
            self._opened["first_rows"] = dict(zip(arrays, firsts, strict=False))
        first: int = self._opened["first_rows"][array]
        return first + position

    @property
    def group(self) -> zarr.Group:
        """The Zarr v3 group of the store's arrays."""
        self._read_references()
        return zarr.open_group(self.store, mode="r", zarr_format=3, use_consolidated=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "downloads": list(self.downloads), "_opened": {}}


def _store_of(handle: StoreHandle) -> FrameStore:
    """A handle's store: what a store pickles as."""
    return handle.store
