"""Open a store by its recipe, here or in another process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dkist_virtual.errors import StoreCorruptError, StoreMissingError
from dkist_virtual.fits.threads import ThreadLock, open_in_forks
from dkist_virtual.io.locations import is_local, shown
from dkist_virtual.store.format.limits import headers_limit
from dkist_virtual.store.format.references import ReferenceSet, replaced_error
from dkist_virtual.store.read_options import ReadOptions
from dkist_virtual.store.reader import REFERENCE_NAMES, StoreReader, references_in
from dkist_virtual.store.relative.resolve import is_relative
from dkist_virtual.store.zarr_store import FrameStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    import zarr

    from dkist_virtual.store.format.headers import HeaderFile

__all__ = ["OpenStore", "StoreHandle"]


@dataclass(frozen=True)
class StoreHandle:
    """Say how to open a store's frames: the recipe, which pickles.

    A store on disk travels as its URL. References that were made from an ASDF and are stored
    nowhere travel with it.

    Parameters
    ----------
    url : str or None
        The store's directory; None where there is none.
    references : ReferenceSet or None
        Those of a dataset without a store.
    options : ReadOptions
    downloads : tuple of str
        Directories that frames were downloaded to before, and are read from first.
    identity : str or None
        Of the references that were opened first: opening the store again, in another process,
        raises where others are there by then. Never what a store says of itself.
    moved : tuple of (str, tuple of str)
        Arrays whose frames are read elsewhere than the options say, and the places of each.

    Attributes
    ----------
    opened : OpenStore
        The store that is open in this process; all slices of a dataset share it.
    """

    url: str | None = field(repr=False)  # may be signed
    references: ReferenceSet | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    downloads: tuple[str, ...] = ()
    identity: str | None = field(default=None, compare=False)
    moved: tuple[tuple[str, tuple[str, ...]], ...] = ()
    opened: OpenStore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "downloads", tuple(self.downloads))
        object.__setattr__(self, "opened", OpenStore(self))

    @property
    def store(self) -> FrameStore:
        """The frames of the store that is open in this process."""
        return self.opened.store

    @property
    def label(self) -> str | None:
        """The place of the store, to be printed; None where there is none."""
        return None if self.url is None else shown(self.url)

    def __reduce__(self) -> tuple[object, ...]:
        opened = self.opened
        return StoreHandle, (
            self.url, self.references, self.options, opened.downloads, opened.identity,
            tuple(opened.moved.items()),
        )  # fmt: skip


@open_in_forks
class OpenStore:
    """A store that is open in this process: its files are read when they are first needed.

    Attributes
    ----------
    identity : str or None
        Of its references, once they were read.
    downloads : tuple of str
        Directories that frames were downloaded to, and are read from first.
    moved : dict of str to tuple of str
        The places of arrays whose frames are read elsewhere than the options say.
    fetcher : Fetcher
    store : FrameStore
        The frames.
    """

    def __init__(self, recipe: StoreHandle) -> None:
        self.recipe = recipe
        self.url, self._given = recipe.url, recipe.references
        self.identity = recipe.identity
        self.downloads = recipe.downloads
        self.moved = dict(recipe.moved)
        self.fetcher = recipe.options.fetcher()
        self.store = FrameStore(self.references, recipe.options, opened=self)
        self._lock = ThreadLock()
        self._reader = None if recipe.url is None else StoreReader(recipe.url, self.fetcher)
        self._references: ReferenceSet | None = None
        self._header_file: HeaderFile | None = None

    @property
    def reader(self) -> StoreReader:
        """What reads the store's own files."""
        if self._reader is None:
            raise StoreMissingError("this dataset was opened from its ASDF: there is no store")
        return self._reader

    def read_ahead(self, names: Iterable[str]) -> StoreReader:
        """Read the references, and ask for more of the store's files together with them."""
        with self._lock:
            self._reader = self.reader.ahead((*REFERENCE_NAMES, *names))
            self._references = None
            self.references()
        return self.reader

    def references(self) -> ReferenceSet:
        """Read the references once in a process: the tasks of a worker need them at once."""
        with self._lock:
            if self._references is None:
                found = self._given
                if found is None:  # of a server all that may be one is asked for at once
                    found = references_in(self.reader.ahead(REFERENCE_NAMES))
                if self.url is not None:
                    if self.identity not in (None, found.identity):
                        raise replaced_error(self.url)
                    self.identity = found.identity
                self._references = found
            return self._references

    def check_references(self) -> None:
        """Do nothing: a store has its references once."""

    def token(self) -> tuple[object, ...]:
        """Make the store's part of dask's names: all that pixels depend on."""
        where = self.downloads, *self.moved.items()
        return self.url, self.references().identity, where, self._options_token

    @cached_property
    def _options_token(self) -> str:
        from dask.base import tokenize

        # The lengths of chunks are part of a name anyway.
        options = replace(self.recipe.options, chunks="auto")
        token: str = tokenize(*(getattr(options, f.name) for f in fields(options)))
        return token

    def read_first(self, directory: str) -> None:
        """Read frames that are in a directory from there from now on; all slices share this."""
        self.downloads = tuple(dict.fromkeys((directory, *self.downloads)))
        self.moved = {
            array: tuple(dict.fromkeys((directory, *places)))
            for array, places in self.moved.items()
        }
        self.store.look_in_other_places()

    def read_only_from(self, place: str, arrays: Iterable[str]) -> None:
        """Read the frames of some arrays from one place from now on; all slices share this."""
        self.moved |= dict.fromkeys(arrays, (place,))
        self.store.look_in_other_places()

    @property
    def header_file(self) -> HeaderFile:
        """The store's header table, opened once in a process.

        Raises
        ------
        StoreCorruptError
            It is missing from the store, is not such a file, or has other frames.
        StoreReplacedError
            It belongs to another store than was opened.
        """
        if self._header_file is None:
            arrays = self.store.references.arrays
            n_frames = sum(metadata.n_frames for metadata, _ in arrays.values())
            with self._lock:
                if self._header_file is None:
                    self._header_file = self._open_header_file(n_frames)
        return self._header_file

    def _open_header_file(self, n_frames: int) -> HeaderFile:
        from dkist_virtual.store.format.headers import HEADERS_NAME, HeaderFile

        try:
            file = HeaderFile(self.reader.open(HEADERS_NAME, headers_limit(n_frames)))
        except FileNotFoundError as error:
            raise StoreCorruptError(f"{error}: is missing from the store") from None
        self._refuse_other(file)
        if file.n_rows != n_frames:
            raise StoreCorruptError(
                f"{shown(self.url or '')}: {HEADERS_NAME} has {file.n_rows} rows for "
                f"{n_frames} frames. Convert the dataset again"
            )
        return file

    def _refuse_other(self, file: HeaderFile) -> None:
        """Refuse the header table of a store that took this one's place.

        A store and its header table have the same ID. Where one has none, and on this machine,
        where that costs little, the references are read again.
        """
        own = self.store.references.attributes.get("store_id")
        said = own is not None and file.store_id is not None
        if said and file.store_id != own:
            raise replaced_error(file.name)
        if said and not is_local(self.reader.url):
            return
        if references_in(self.reader.again()).identity != self.store.references.identity:
            raise replaced_error(file.name)

    def integer(self, array: str, column: str, position: int) -> int:
        """Get what a scan recorded about a frame's file; -1 where unknown."""
        if self.url is None or (column == "_mtime" and is_relative(self.references())):
            return -1  # copies of a directory with its store have other times
        return self.header_file.integer(column, self._first_rows[array] + position)

    def etag(self, array: str, position: int) -> str | None:
        """Get the ETag that a scan recorded of a frame's file; None where unknown."""
        if self.url is None:
            return None
        return self.header_file.etag(self._first_rows[array] + position)

    @cached_property
    def _first_rows(self) -> dict[str, int]:
        """The row of the header table of each array's first frame."""
        arrays = self.store.references.arrays
        lengths = [metadata.n_frames for metadata, _ in arrays.values()]
        return dict(zip(arrays, itertools.accumulate(lengths, initial=0), strict=False))

    @property
    def group(self) -> zarr.Group:
        """The Zarr v3 group of the store's arrays."""
        import zarr

        self.references()
        return zarr.open_group(self.store, mode="r", zarr_format=3, use_consolidated=False)
