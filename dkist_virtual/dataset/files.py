"""List the files behind a selection: chunk keys, URLs, names and sizes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote

import numpy as np

from dkist_virtual.dataset.file_manager import FileManagerNames
from dkist_virtual.errors import DownloadError, SelectionError, redacted
from dkist_virtual.fits.file_check import Checked
from dkist_virtual.io.download.download import Downloaded, Item, Progress, check_names, download
from dkist_virtual.io.locations import Location, absolute, is_local
from dkist_virtual.store.format.references import chunk_key
from dkist_virtual.store.frame_spec import FrameSpec
from dkist_virtual.store.zarr_store import spec_of
from dkist_virtual.text import check_keywords, counted, human_bytes, shows_progress

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.dataset.provenance import Provenance

__all__ = ["Files"]


_DOWNLOAD: Final = ("path", "verify", "dry_run", "workers", "progress", "via")
_GLOBUS: Final = ("destination_endpoint", "label", "wait", "embargoed")


@dataclass(eq=False)  # not frozen, as basepath may be set: see __setattr__
class Files(FileManagerNames):
    """The frames of a selection, in C order.

    ``files[mask]`` are some of them, by a mask with one entry a frame, such as
    ``ds.headers["ATMOS_R0"] > 0.08`` (masked cells count as False), by integers, or by a slice.

    Parameters
    ----------
    sources : tuple of Provenance
        One; for a mosaic one per tile.
    chosen : numpy.ndarray of int64, optional
        Which of the arrays' frames, counted on from one array to the next; all if not given.
    inventory : dict, optional
        The Data Center's record of the dataset.
    shared : bool
        Whether several arrays have frames in one file, each of which is listed once.
    present : numpy.ndarray of bool, optional
        Of a mosaic: where in its grid the tiles are.
    """

    sources: tuple[Provenance, ...]
    chosen: NDArray[np.int64] | None = None
    inventory: dict[str, Any] | None = field(default=None, repr=False)
    shared: bool = field(default=False, repr=False)
    present: NDArray[np.bool_] | None = field(default=None, repr=False)

    def __setattr__(self, name: str, value: object) -> None:
        if name != "basepath" and (name in vars(self) or name not in self.__dataclass_fields__):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    @property
    def arrays(self) -> tuple[VirtualArray, ...]:
        """One array; for a mosaic one per tile."""
        return tuple(source.array for source in self.sources)

    @property
    def _n_all(self) -> int:
        return sum(source.n_frames for source in self.sources)

    def __len__(self) -> int:
        """Number of frames, those without a file included."""
        return self._n_all if self.chosen is None else len(self.chosen)

    def __getitem__(self, item: slice | ArrayLike | tuple[Any, ...]) -> Files:
        """Select some of the frames; they need not form a rectangle.

        An integer, a slice or a mask counts the frames in their order; two indices or more are for
        the axes of `fileuri_array`, as in ``dkist``.
        """
        if isinstance(item, tuple) and len(item) > 1:
            item = self._by_axes(item)
        all_of_them = np.arange(self._n_all) if self.chosen is None else self.chosen
        return replace(self, chosen=all_of_them[_index(item, len(self))])

    def _by_axes(self, item: tuple[Any, ...]) -> NDArray[np.int64]:
        if self.chosen is not None or len(self.sources) != 1:
            raise SelectionError(
                f"index {item!r}: files that were chosen, or are of several tiles, have one axis: "
                "expected integers, a slice or a mask"
            )
        shape = self.sources[0].array.frame_shape
        try:
            chosen: NDArray[np.int64] = np.arange(len(self)).reshape(shape)[item].ravel()
        except IndexError as error:
            raise SelectionError(f"index {item!r} of files of shape {shape}: {error}") from None
        return chosen

    def each_once(self) -> Files:
        """Select each file once: the first of the frames that are in it."""
        first: dict[str, int] = {}
        row = 0
        for source, positions, _ in self._parts():
            for url in source.array.frames_at(positions).urls.tolist():
                first.setdefault(url or f"\0{row}", row)  # frames without a file stay
                row += 1
        return replace(self[np.fromiter(first.values(), np.int64)], shared=True)

    def _parts(self) -> Iterator[tuple[Provenance, NDArray[np.int64], NDArray[np.int64]]]:
        """Give each array's source, its frames' positions, and their places in this selection."""
        first = 0
        for source in self.sources:
            positions = source.array.positions()
            if self.chosen is None:
                yield source, positions, np.arange(first, first + len(positions))
            else:
                own = np.flatnonzero(
                    (self.chosen >= first) & (self.chosen < first + len(positions))
                )
                yield source, positions[self.chosen[own] - first], own
            first += len(positions)

    @cached_property
    def _rows(self) -> list[tuple[VirtualArray, int, str]]:
        """Array, position and URL of each frame."""
        rows: list[Any] = [None] * len(self)
        for source, positions, places in self._parts():
            urls = source.array.frames_at(positions).urls.tolist()
            for place, position, url in zip(places.tolist(), positions.tolist(), urls, strict=True):
                rows[place] = (source.array, position, url)
        return rows

    def _known(self, column: str) -> NDArray[np.int64]:
        """Read what a scan found of each frame, -1 where it did not look."""
        found = np.full(len(self), -1, np.int64)
        for source, positions, places in self._parts():
            if len(positions):
                found[places] = source.read_scan(column, positions + source.first_row)
        return found

    @property
    def keys(self) -> list[str]:
        """Zarr chunk keys, such as ``data/0.50.0.0.0``."""
        return [f"{array.name}/{chunk_key(array.metadata, p)}" for array, p, _ in self._rows]

    @property
    def urls(self) -> list[str | None]:
        """The URL that each frame is read from; None where the ASDF names no file."""
        return [array.places.find(url) or None for array, _, url in self._rows]

    def where(self) -> list[str | None]:
        """Return the directory or URL of each frame; None if it is known to be absent.

        Each directory on this machine is listed once, see `refresh`; remote files count as present.
        """
        return [array.places.where(url) for array, _, url in self._rows]

    def missing(self) -> list[str]:
        """Return the names of the frames that are known to be absent, as the ASDF names them."""
        return [
            name
            for name, place in zip(self.names, self.where(), strict=True)
            if place is None and name is not None
        ]

    def refresh(self) -> None:
        """Check again which frames are on this machine, and forget which remote ones are absent.

        Use it after a download or a deletion. A frame that was replaced needs no refresh: each
        version of its file is cached by itself.
        """
        for array in self.arrays:
            array.handle.store.refresh()

    @property
    def names(self) -> list[str | None]:
        """The frames' names relative to `basepath`; None where the ASDF names no file."""
        return [array.places.name(url) or None for array, _, url in self._rows]

    @property
    def filenames(self) -> list[str | None]:
        """The same as `names`, as the ``dkist`` package calls it."""
        return self.names

    @property
    def places(self) -> list[str]:
        """The directories and URLs that are searched for the frames, in order: downloads first."""
        return list(self.arrays[0].places.in_order)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Each file's length in bytes when it was scanned, -1 where it was not."""
        return self._known("_size")

    @property
    def nbytes(self) -> int | None:
        """Length of all files together; None where one of them was never scanned."""
        sizes = self.sizes
        return None if (sizes < 0).any() else int(sizes.sum())

    def here(self) -> int:
        """Count the files that are on this machine, as of the last `refresh`."""
        n = 0
        for source, positions, _ in self._parts():
            places = source.array.places
            if places.any_local:
                n += places.here(source.array.frames_at(positions).urls.tolist())
        return n

    def _all_sizes(self) -> NDArray[np.int64]:
        """Read the length of every file of the arrays, whatever is selected of them."""
        found: dict[str, int] = {}
        sizes = []
        for source in self.sources:
            n = source.array.metadata.n_frames
            own = source.read_scan("_size", source.first_row + np.arange(n))
            sizes.append(own)
            if self.shared:
                urls = source.array.frames_at(np.arange(n)).urls.tolist()
                found.update(zip(urls, own.tolist(), strict=True))
        return np.array([*found.values()]) if self.shared else np.concatenate(sizes)

    def __str__(self) -> str:
        sizes = self._all_sizes()
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
        """Give for each file, once, its name, the places to read it from, and its row."""
        seen: dict[str, str] = {}
        for row, (array, position, url) in enumerate(self._rows):
            places = array.places
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
        """Refuse frames whose name another file of the dataset has."""
        for array, _, url in self._rows:
            if url and (shared := array.places.sharing(url)):
                name = redacted(array.places.name(url))
                raise DownloadError(
                    f"{name}: two frames of this dataset have that name, at "
                    f"{' and at '.join(map(redacted, shared))}, and in a directory one would be "
                    "mistaken for the other: download them by to_manifest(), each to a directory "
                    "of its own"
                )

    def to_manifest(self, form: Literal["plain", "aria2", "globus"] = "plain") -> str:
        """List the files for another tool, by remote URLs rather than copies on this machine.

        Parameters
        ----------
        form : {"plain", "aria2", "globus"}
            ``URL<TAB>name<TAB>bytes`` a line, the bytes empty where they are not known; an input
            file of aria2c; or of ``globus transfer --batch``, the path at the source endpoint
            and the name at the destination.
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
        path: str | os.PathLike[str] | None = None,
        destination_endpoint: str | None = None,
        progress: bool | Literal["verbose"] | Callable[[Progress], object] | None = None,
        wait: bool | None = None,
        label: str | None = None,
        *,
        verify: bool = False,
        dry_run: bool = False,
        workers: int | None = None,
        via: Literal["globus"] | None = None,
        **globus: Any,
    ) -> Downloaded | Transfer:
        """Download the files into a directory, and read them there from then on.

        Files that are there with the right length are skipped. A partial download is resumed if its
        server still has the same file. The dataset of these files, and all its slices, read them
        here afterwards.

        Parameters
        ----------
        path : path, optional
            A directory; it is made if needed. Names keep their subdirectories. By default
            `basepath`, where that is on this machine.
        verify : bool
            Whether to check each file's DATASUM before it gets its name, also of files that are
            there already.
        dry_run : bool
            Whether only to say which files would be downloaded, and how many bytes.
        workers : int, optional
            How many at once; by default as the setting ``dkist_virtual.concurrency``.
        progress : bool, "verbose" or callable, optional
            Whether to show a bar on standard error; by default on a terminal. "verbose" is for
            Globus. A function is called some times a second, in this thread, with a record of
            ``n_done`` of ``n_files``, and ``n_bytes`` of ``total``, which is None where it is not
            known. An exception of its own ends the download, as Ctrl-C does.
        via : {"globus"}, optional
            Have Globus transfer them from the Data Center, with the dataset's ASDF. `path` is
            then one of the destination, in which ``{instrument}/{dataset_id}`` is filled in. So it
            is where a `destination_endpoint` is named.
        destination_endpoint, label, wait, **globus
            destination_endpoint, label, wait, embargoed: as `globus.transfer` takes them.

        Returns
        -------
        Downloaded, or Transfer
            Prints as a summary.

        Raises
        ------
        DownloadError
            Some files could not be downloaded, each with its cause, the others are there; or a
            name leads out of the directory.
        AccessError
            Globus or the Data Center refuses access to these frames.
        """
        check_keywords("download", globus, (*_DOWNLOAD, *_GLOBUS))
        if progress not in (True, False, None, "verbose") and not callable(progress):
            raise ValueError(
                f"progress = {progress!r}: expected True, False, None, a function, or 'verbose' "
                "with Globus"
            )
        named = {"destination_endpoint": destination_endpoint, "label": label, "wait": wait}
        globus = {key: value for key, value in named.items() if value is not None} | globus
        path = self._own_directory() if path is None else path
        if via is None and destination_endpoint is not None:
            via = "globus"  # nothing else has endpoints, and dkist asks for no more
        if via == "globus":
            if verify or dry_run or workers is not None or callable(progress):
                raise ValueError(
                    "verify, dry_run and workers are not for a transfer by Globus, nor is a "
                    "function for progress"
                )
            return self._transfer(path, progress=progress, **globus)
        if via is not None:
            raise ValueError(f"via = {via!r}: expected 'globus', or None")
        if globus:
            raise ValueError(f"{', '.join(globus)}: for a transfer by Globus, with via='globus'")
        if isinstance(progress, str):
            raise ValueError("progress = 'verbose': for a transfer by Globus, with via='globus'")
        if workers is not None and workers < 1:
            raise ValueError(f"workers = {workers}: expected 1 or more")
        self._refuse_shared_names()
        sizes = self.sizes
        every = Files(self.sources) if self.shared else self
        checks: dict[str, list[Checked]] = {}
        sums = every._known("_datasum") if verify else np.full(len(every), -1, np.int64)
        for row, (array, position, url) in enumerate(every._rows):
            if self.shared or verify:
                checks.setdefault(url, []).append(_checked(array, position, int(sums[row])))
        items = []
        for name, places, row, array, position in self._sources():
            found = checks.get(self._rows[row][2]) or [_checked(array, position, -1)]
            checked = replace(found[0], others=tuple(found[1:] if self.shared else ()))
            most = array.handle.store.references.file_limits[array.name]
            size = int(sizes[row])
            items.append(Item(name, places, size, array.handle.opened.fetcher, checked, most))
        try:
            done = download(
                items, path, verify=verify, dry_run=dry_run, workers=workers, progress=progress
            )
        finally:
            if not dry_run and os.path.isdir(path):
                self._read_first(absolute(path))
        return replace(done, n_nameless=sum(not url for *_, url in self._rows))

    def _transfer(self, path: str | os.PathLike[str], *, progress: Any, **options: Any) -> Transfer:
        from dkist_virtual.datacenter.globus import transfer

        self._refuse_shared_names()
        names = list(dict.fromkeys(name for name, *_ in self._sources()))
        check_names(names, os.curdir)
        done = transfer(names, self.inventory, path, progress=shows_progress(progress), **options)
        if done.done and done.local is not None:
            self._read_first(done.local)
        return done

    def _own_directory(self) -> str | os.PathLike[str]:
        """Return the directory of the files, to download to."""
        base = self.basepath
        if isinstance(base, str):
            raise ValueError(
                f"path: the frames are read from {redacted(base)}: expected a directory on this "
                "machine to download them to, as in ds.download('frames')"
            )
        return base

    def _read_first(self, directory: str) -> None:
        """Search a directory first for the frames of these datasets."""
        for handle in {id(array.handle): array.handle for array in self.arrays}.values():
            handle.opened.read_first(directory)


def _checked(array: VirtualArray, position: int, datasum: int) -> Checked:
    """Say which HDU of a frame's file is checked after a download."""
    spec = spec_of(array.metadata)
    target = spec.hdu if isinstance(spec, FrameSpec) else None
    _, offset, _ = array.handle.store.frame(array.name, position)
    return Checked(target, offset, datasum)


def _index(item: Any, n: int) -> Any:
    """Check an index of `n` frames, and return it as numpy takes it."""
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
    """Return the sum of lengths, some of which may be unknown; None where all are."""
    known = sizes[sizes >= 0]
    if not len(sizes):
        return human_bytes(0)
    if not len(known):
        return None
    if len(known) == len(sizes):
        return human_bytes(int(known.sum()))
    return f"~{human_bytes(float(known.mean()) * len(sizes))}"
