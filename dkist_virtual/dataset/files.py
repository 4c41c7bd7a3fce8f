"""List the files behind a selection: chunk keys, URLs, names and sizes."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote

import numpy as np

from dkist_virtual.errors import DatasetError, DownloadError, SelectionError, redacted
from dkist_virtual.fits.file_check import Checked
from dkist_virtual.io.download.download import Downloaded, Item, check_names, download
from dkist_virtual.io.locations import Location, absolute, is_local, local_path
from dkist_virtual.store.codecs import FrameSpec
from dkist_virtual.store.format.limits import frame_limit
from dkist_virtual.store.format.references import chunk_key
from dkist_virtual.store.zarr_store import spec_of
from dkist_virtual.text import check_keywords, counted, human_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.datacenter.globus import Transfer

__all__ = ["Files"]


_DOWNLOAD: Final = ("path", "verify", "dry_run", "workers", "progress", "via")
_GLOBUS: Final = ("destination_endpoint", "label", "wait", "embargoed")


@dataclass(frozen=True, eq=False)
class Files:
    """The frames of a selection, in C order.

    ``files[mask]`` are some of them, by a mask with one entry a frame, such as
    ``ds.headers["ATMOS_R0"] > 0.08`` (masked cells count as False), by integers, or by a slice.

    Parameters
    ----------
    arrays : tuple of VirtualArray
        One; for a mosaic one per tile.
    _about : callable
        Takes the number of an array, its frames' positions, and ``"_size"`` or ``"_datasum"``, and
        gives the files' lengths in bytes, or the sums of their HDUs; -1 where not known.
    chosen : numpy.ndarray of int64, optional
        Which of the arrays' frames, counted on from one array to the next; all if not given.
    inventory : dict, optional
        The Data Center's record of the dataset.
    """

    arrays: tuple[VirtualArray, ...]
    _about: Callable[[int, NDArray[np.int64], str], NDArray[np.int64]]
    chosen: NDArray[np.int64] | None = None
    inventory: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def _n_all(self) -> int:
        return sum(array.selection.first(array.metadata.n_frame_axes).size for array in self.arrays)

    def __len__(self) -> int:
        """Number of frames, those without a file included."""
        return self._n_all if self.chosen is None else len(self.chosen)

    def __getitem__(self, item: Any) -> Files:
        """Some of the frames; they need form no rectangle.

        Parameters
        ----------
        item : array of bool or int, slice or int

        Raises
        ------
        SelectionError
            A mask of another length, an index out of range, or of another kind.
        """
        all_of_them = np.arange(self._n_all) if self.chosen is None else self.chosen
        return replace(self, chosen=all_of_them[_index(item, len(self))])

    def _parts(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Of each array its number, its frames' positions, and their places in this selection."""
        first = 0
        for number, array in enumerate(self.arrays):
            positions = array.positions()
            if self.chosen is None:
                yield number, positions, np.arange(first, first + len(positions))
            else:
                own = np.flatnonzero(
                    (self.chosen >= first) & (self.chosen < first + len(positions))
                )
                yield number, positions[self.chosen[own] - first], own
            first += len(positions)

    @cached_property
    def _rows(self) -> list[tuple[VirtualArray, int, str]]:
        """Array, position and URL of each frame."""
        rows: list[Any] = [None] * len(self)
        for number, positions, places in self._parts():
            array = self.arrays[number]
            urls = array.frames_at(positions).urls.tolist()
            for place, position, url in zip(places.tolist(), positions.tolist(), urls, strict=True):
                rows[place] = (array, position, url)
        return rows

    def _known(self, column: str) -> NDArray[np.int64]:
        """What the scan found of each frame, -1 where it did not look."""
        found = np.full(len(self), -1, np.int64)
        for number, positions, places in self._parts():
            if len(positions):
                found[places] = self._about(number, positions, column)
        return found

    @property
    def keys(self) -> list[str]:
        """Zarr chunk keys, such as ``data/0.50.0.0.0``."""
        return [f"{array.name}/{chunk_key(array.metadata, p)}" for array, p, _ in self._rows]

    @property
    def urls(self) -> list[str | None]:
        """Where each frame is read; None where the ASDF names no file."""
        return [array.handle.store.places.find(url) or None for array, _, url in self._rows]

    def where(self) -> list[str | None]:
        """The directory or URL that each frame is read from; None where it is known to be absent.

        Files on this machine are looked up once for each directory, see `refresh`; those of a
        server count as there.
        """
        return [array.handle.store.places.where(url) for array, _, url in self._rows]

    def missing(self) -> list[str]:
        """Names of the frames that are known to be absent, those that the ASDF names."""
        return [
            name
            for name, place in zip(self.names, self.where(), strict=True)
            if place is None and name is not None
        ]

    def refresh(self) -> None:
        """Look again which frames are on this machine, and forget what was learnt of the others.

        After a download, or a deletion. A frame that was replaced needs no refresh: what is known
        of one version of its file is used for no other.
        """
        for array in self.arrays:
            array.handle.store.refresh()

    @property
    def names(self) -> list[str | None]:
        """The frames' names relative to `basepath`; None where the ASDF names no file."""
        return [array.handle.store.places.name(url) or None for array, _, url in self._rows]

    @property
    def filenames(self) -> list[str | None]:
        """The same as `names`, as the ``dkist`` package calls it."""
        return self.names

    @property
    def places(self) -> list[str]:
        """Directories and URLs that the frames are read from, in the order of looking for them.

        Those that were downloaded to come first.
        """
        return list(self.arrays[0].handle.store.places.in_order)

    @property
    def basepath(self) -> Any:
        """The first of `places`, a path where it is on this machine, as ``dkist`` calls it."""
        base = self.places[0]
        return Path(local_path(base)) if is_local(base) else base

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Each file's length in bytes when it was scanned, -1 where it was not."""
        return self._known("_size")

    @property
    def nbytes(self) -> int | None:
        """Length of all files together; None where one of them was never looked at."""
        sizes = self.sizes
        return None if (sizes < 0).any() else int(sizes.sum())

    def here(self) -> int:
        """How many of the files are on this machine, as far as was looked: see `refresh`."""
        n = 0
        for number, positions, _ in self._parts():
            array = self.arrays[number]
            places = array.handle.store.places
            if places.any_local:
                n += places.here(array.frames_at(positions).urls.tolist())
        return n

    def __str__(self) -> str:
        # Every frame of the arrays, whatever is selected of them.
        whole = [
            self._about(number, np.arange(array.metadata.n_frames), "_size")
            for number, array in enumerate(self.arrays)
        ]
        sizes = np.concatenate(whole)
        size = _size(self.sizes)
        if size is None:
            said = "of unknown size"
        else:
            said = size if len(self) == len(sizes) else f"{size} of {_size(sizes)}"
        files = f"{len(self)} of {counted(len(sizes), 'file')}"
        return f"{files}, {said}, {self.here() or 'none'} here already"

    def __repr__(self) -> str:
        return redacted(f"<{type(self).__name__}: {self}, in {self.basepath}>")

    # Elsewhere -----------------------------------------------------------------------------

    def _sources(self) -> Iterator[tuple[str, tuple[str, ...], int, VirtualArray, int]]:
        """Of each file once its name, the places to ask, and which row it is."""
        seen: dict[str, str] = {}
        for row, (array, position, url) in enumerate(self._rows):
            places = array.handle.store.places
            name = places.name(url)
            if not url or seen.get(name) == url:
                continue
            if name in seen:
                raise DownloadError(
                    f"{redacted(name)}: two frames of this selection have that name, at "
                    f"{redacted(seen[name])} and at {redacted(url)}, and one would be written over "
                    "the other: download them one dataset at a time, each to a directory of its own"
                )
            seen[name] = url
            yield name, places.candidates(url), row, array, position

    def _refuse_shared_names(self) -> None:
        """Refuse frames that another file of the dataset would be taken for in a directory.

        Raises
        ------
        DownloadError
        """
        for array, _, url in self._rows:
            if url and (shared := array.handle.store.places.sharing(url)):
                name = redacted(array.handle.store.places.name(url))
                raise DownloadError(
                    f"{name}: two frames of this dataset have that name, at "
                    f"{' and at '.join(map(redacted, shared))}, and in a directory one would be "
                    "taken for the other: download them by to_manifest(), each to a directory of "
                    "its own"
                )

    def to_manifest(self, form: Literal["plain", "aria2", "globus"] = "plain") -> str:
        """A list of the files for another tool, servers before copies on this machine.

        Parameters
        ----------
        form : {"plain", "aria2", "globus"}
            ``URL<TAB>name<TAB>bytes`` a line, the bytes empty where they are not known; an input
            file of aria2c; or of ``globus transfer --batch``, the path at the source endpoint
            and the name at the destination.

        Raises
        ------
        DownloadError
            Names that would lead out of the directory which the other tool writes to.
        """
        sources = list(self._sources())
        check_names((name for name, *_ in sources), os.curdir)
        sizes = self.sizes
        lines = []
        for name, places, row, *_ in sources:
            url = next((place for place in places if not is_local(place)), places[0])
            size = int(sizes[row])
            if form == "plain":
                lines.append(f"{url}\t{name}\t{size if size >= 0 else ''}")
            elif form == "aria2":
                lines.append(f"{url}\n  out={name}")
            elif form == "globus":
                there = Location.of(url)
                path = unquote(there.path) if there.is_web else there.path
                lines.append(f"{shlex.quote(path)} {shlex.quote(name)}")
            else:
                raise ValueError(f"form = {form!r}: expected 'plain', 'aria2' or 'globus'")
        return "".join(f"{line}\n" for line in lines)

    def download(
        self,
        path: str | os.PathLike[str],
        *,
        verify: bool = False,
        dry_run: bool = False,
        workers: int | None = None,
        progress: bool | None = None,
        via: Literal["globus"] | None = None,
        **globus: Any,
    ) -> Downloaded | Transfer:
        """Fetch the files into a directory, from which they are read from then on.

        Files that are there with the right length are left alone. One that was begun goes on where
        it stood, if its server has the same file still. The dataset that the files are of, and all
        its slices, read them here afterwards.

        Parameters
        ----------
        path : path
            A directory; is made where it is not there. Names keep their subdirectories.
        verify : bool
            Whether to hold each file against its DATASUM before it gets its name, those there
            already too.
        dry_run : bool
            Whether only to say which files would be fetched, and how many bytes.
        workers : int, optional
            How many at once; by default as the setting ``dkist_virtual.concurrency``.
        progress : bool, optional
            Whether to show a bar on standard error; by default on a terminal.
        via : {"globus"}, optional
            Have Globus transfer them from the Data Center, with the dataset's ASDF. `path` is
            then one of the destination, in which ``{instrument}/{dataset_id}`` is filled in.
        **globus
            destination_endpoint, label, wait, embargoed: as `globus.transfer` takes them.

        Returns
        -------
        Downloaded, or Transfer
            Prints as a summary.

        Raises
        ------
        DownloadError
            Files that did not come, each with its cause, once the others are there; or names
            that would lead out of the directory.
        AccessError
            Globus, or the Data Center, does not let these frames go.
        """
        check_keywords("download", globus, (*_DOWNLOAD, *_GLOBUS))
        if via == "globus":
            if verify or dry_run or workers is not None:
                raise ValueError("verify, dry_run and workers are not for a transfer by Globus")
            return self._transfer(path, progress=progress, **globus)
        if via is not None:
            raise ValueError(f"via = {via!r}: expected 'globus', or None")
        if globus:
            raise ValueError(f"{', '.join(globus)}: for a transfer by Globus, with via='globus'")
        if workers is not None and workers < 1:
            raise ValueError(f"workers = {workers}: expected 1 or more")
        self._refuse_shared_names()
        sizes = self.sizes
        sums = self._known("_datasum") if verify else np.full(len(self), -1, np.int64)
        items = []
        for name, places, row, array, position in self._sources():
            spec = spec_of(array.metadata)
            target = spec.hdu if isinstance(spec, FrameSpec) else None
            _, offset, _ = array.handle.store.frame(array.name, position)
            checked = Checked(target, offset, int(sums[row]))
            most = frame_limit(spec.shape, np.dtype(array.metadata.dtype).itemsize)
            size = int(sizes[row])
            items.append(Item(name, places, size, array.handle.fetcher, checked, most))
        try:
            done = download(
                items, path, verify=verify, dry_run=dry_run, workers=workers, progress=progress
            )
        finally:
            if not dry_run and os.path.isdir(path):
                for handle in {id(array.handle): array.handle for array in self.arrays}.values():
                    handle.read_first(absolute(path))
        return replace(done, n_nameless=sum(not url for *_, url in self._rows))

    def _transfer(
        self, path: str | os.PathLike[str], *, progress: bool | None, **options: Any
    ) -> Transfer:
        from dkist_virtual.datacenter.globus import transfer

        self._refuse_shared_names()
        names = list(dict.fromkeys(name for name, *_ in self._sources()))
        check_names(names, os.curdir)
        shown = sys.stderr.isatty() if progress is None else progress
        done = transfer(names, self.inventory, path, progress=shown, **options)
        if done.done and done.local is not None:
            for handle in {id(array.handle): array.handle for array in self.arrays}.values():
                handle.read_first(done.local)
        return done

    @property
    def dataset_id(self) -> str:
        """The dataset's ID, by its inventory.

        Raises
        ------
        DatasetError
            The inventory does not say.
        """
        if not self.inventory or not self.inventory.get("datasetId"):
            raise DatasetError("the dataset's inventory names no dataset ID to ask for")
        return str(self.inventory["datasetId"])

    def quality_report(
        self, path: str | os.PathLike[str] = ".", *, form: Literal["pdf", "json"] = "pdf"
    ) -> Path:
        """Fetch the Data Center's quality report of the dataset.

        Parameters
        ----------
        path : path
            A file, or a directory.
        form : {"pdf", "json"}

        Returns
        -------
        pathlib.Path

        Raises
        ------
        SearchError
            It could not be had.
        """
        from dkist_virtual.datacenter.catalogue import fetch_file

        return fetch_file("quality", self.dataset_id, path, form=form)

    def preview_movie(self, path: str | os.PathLike[str] = ".") -> Path:
        """Fetch the Data Center's preview movie of the dataset.

        Parameters
        ----------
        path : path
            A file, or a directory.

        Returns
        -------
        pathlib.Path

        Raises
        ------
        SearchError
            It could not be had.
        """
        from dkist_virtual.datacenter.catalogue import fetch_file

        return fetch_file("movie", self.dataset_id, path)


def _index(item: Any, n: int) -> Any:
    """An index of `n` frames, as numpy takes it."""
    if isinstance(item, slice):
        return item
    given = np.ma.asanyarray(item)
    if not given.size and given.ndim == 1:
        given = given.astype(np.int64) if given.dtype.kind == "f" else given
    if given.dtype.kind == "b" and given.ndim:
        if given.shape != (n,):
            raise SelectionError(
                f"a mask of shape {given.shape} for {n} files: expected one entry for each"
            )
        return np.asarray(given.filled(False))
    if given.dtype.kind not in "iu" or given.ndim > 1 or np.ma.is_masked(given):
        raise SelectionError(
            f"index {item!r}: expected a mask with one entry for each of {n} files, integers or a "
            "slice"
        )
    numbers = np.atleast_1d(np.asarray(given, np.int64))
    outside = numbers[(numbers < -n) | (numbers >= n)]
    if len(outside):
        raise SelectionError(f"index {outside[0]} is out of range for {n} files")
    return numbers


def _size(sizes: NDArray[np.int64]) -> str | None:
    """The sum of lengths of which some may be unknown; None where all are."""
    known = sizes[sizes >= 0]
    if not len(sizes):
        return human_bytes(0)
    if not len(known):
        return None
    if len(known) == len(sizes):
        return human_bytes(int(known.sum()))
    return f"~{human_bytes(float(known.mean()) * len(sizes))}"
