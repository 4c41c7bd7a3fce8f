"""Read an open dataset of ``dkist`` as its ASDF is read: frames, WCS, headers, meta.

Which frames and pixels it has is asked of its dask array, by running its graph on frames that
record what is selected of them. A graph that does more than select is refused: its pixels are in
no files. The file manager of ``dkist`` does not say it: it forgets all but the last slice.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from astropy.table import Row, Table, vstack

from dkist_virtual.conversion.asdf.frames import Frames
from dkist_virtual.conversion.asdf.source import Source, remaining_meta
from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.io.locations import absolute
from dkist_virtual.store.format.asdf_arrays import check_mask
from dkist_virtual.store.format.dataset_asdf import Description, TileMeta, software
from dkist_virtual.store.format.header_table import same_cells
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from dkist.io.dask.loaders import BaseFITSLoader
    from numpy.typing import NDArray

__all__ = ["Opened", "read_open"]

Axis = tuple[int, range]
"""An axis of the pixels of a frame: its number, and which of its pixels are selected."""


@dataclass(frozen=True, eq=False)
class Opened:
    """An open dataset, or mosaic, of ``dkist``.

    Parameters
    ----------
    source : Source
        As of an ASDF. The tiles of a mosaic that are hidden are among its arrays.
    directory : str
        Absolute, where the names of the frames begin.
    datasets : tuple of dkist.Dataset
        One for each array.
    hidden : numpy.ndarray of bool, optional
        Of a mosaic: which tiles are masked.
    """

    source: Source
    directory: str
    datasets: tuple[Any, ...]
    hidden: NDArray[np.bool_] | None


def read_open(given: Any) -> Opened:
    """Read an open `dkist.Dataset` or `dkist.TiledDataset`.

    Raises
    ------
    DatasetError
        Its pixels are not those of files, or files and headers are not those of the pixels.
    """
    import dkist

    if isinstance(given, dkist.TiledDataset):
        return _read_mosaic(given)
    found = _find(given, None, "")
    directory, (frames,) = _named([found])
    headers = _headers(given, found, "")
    tile = _tile(given, None, frames, {}, "")
    return Opened(
        Source(_NAME, (frames,), _description(None, (tile,), given.meta), headers),
        directory,
        (given,),
        None,
    )


_NAME: Final = Path("an open dkist dataset")
"""What errors say in place of an ASDF's path."""


def _read_mosaic(mosaic: Any) -> Opened:
    # By a private name: the tiles that its mask hides are the user's too.
    array: Any = np.ma.getdata(mosaic._data)
    hidden = np.broadcast_to(np.ma.getmaskarray(mosaic._data), array.shape)
    if array.ndim not in (1, 2):
        raise DatasetError(f"a mosaic of shape {array.shape}; expected one or two axes")
    rows = (1, *array.shape) if array.ndim == 1 else array.shape
    array, hidden = array.reshape(rows), hidden.reshape(rows)
    places = [place for place in np.ndindex(*rows) if hasattr(array[place], "wcs")]
    if not places or all(hidden[place] for place in places):
        raise DatasetError("every tile of this mosaic is masked; expected at least one")
    found = [_find(array[place], place, f"tile {list(place)}: ") for place in places]
    directory, frames = _named(found)
    tiles, tables = [], []
    for place, part, one in zip(places, frames, found, strict=True):
        tile, where = array[place], f"tile {list(place)}: "
        tables.append(_headers(tile, one, where))
        tiles.append(_tile(tile, place, part, remaining_meta(tile.meta), where))
    shown = [not hidden[place] for place in places]
    headers = _with_combined(tables, shown, mosaic.meta.get("headers"))
    description = _description(tuple(map(int, rows)), tuple(tiles), mosaic.meta)
    source = Source(_NAME, tuple(frames), description, headers)
    return Opened(source, directory, tuple(array[place] for place in places), hidden)


def _description(grid: Any, tiles: tuple[TileMeta, ...], meta: Mapping[str, Any]) -> Description:
    origin = {
        "asdf": str(_NAME), "created": None, "version": None, "written_by": "",
        "read_by": software(), "date": None,
    }  # fmt: skip
    return Description(
        grid=grid,
        tiles=tiles,
        inventory=meta.get("inventory"),
        meta=remaining_meta(meta),
        history=meta.get("history", {}),
        origin=origin,
    )


def _tile(given: Any, index: Any, frames: Frames, meta: dict[str, Any], where: str) -> TileMeta:
    mask = given.mask
    if mask is not None:
        mask = np.array(mask, bool)  # a copy: it may be written to
        mask = np.full(frames.cut_shape, mask) if not mask.ndim else mask
        try:
            check_mask(mask, frames.cut_shape)
        except DatasetError as error:
            raise DatasetError(f"{where}{error}") from error
    n_axes = given.wcs.low_level_wcs.pixel_n_dim
    if n_axes < len(frames.cut_shape):
        raise DatasetError(
            f"{where}the WCS has {n_axes} pixel axes for pixels of shape {frames.cut_shape}: "
            "expected one for each axis"
        )
    # A copy: its `pixel_shape` may be corrected.
    return TileMeta(index, copy.copy(given.wcs), given.unit, mask, meta)


# Frames -----------------------------------------------------------------------------------------


class _Probe:
    """A frame that records which of its pixels are selected.

    Parameters
    ----------
    loader : BaseFITSLoader
    axes : tuple of Axis or None
        For each axis, which of the frame's it is; None for one of length 1 that is none of its.
    fixed : dict of int to int
        The axes of the frame of which a single pixel was selected, and that pixel.
    """

    def __init__(
        self, loader: BaseFITSLoader, axes: tuple[Axis | None, ...], fixed: dict[int, int]
    ) -> None:
        self.loader, self.axes, self.fixed = loader, axes, fixed

    @classmethod
    def of(cls, loader: BaseFITSLoader) -> _Probe:
        """Make that of a whole frame, as dkist's task gives it: behind one more axis."""
        axes = [(i, range(n)) for i, n in enumerate(loader.shape)]
        return cls(loader, (None, *axes), {})

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(1 if axis is None else len(axis[1]) for axis in self.axes)

    def __array__(self, *_: object, **__: object) -> Any:
        raise TypeError("there are no pixels")  # nor would numpy take it for a sequence

    def reshape(self, *shape: Any) -> _Probe:
        """Add and remove axes of length 1."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
        # An axis of length 1 is removed as one that has no meaning.
        fixed = {axis[0]: axis[1][0] for axis in self.axes if axis and len(axis[1]) == 1}
        left = [axis for axis in self.axes if axis is not None and len(axis[1]) > 1]
        if [n for n in wanted if n != 1] != [len(axis[1]) for axis in left]:
            raise TypeError("other pixels side by side")
        rest = iter(left)
        axes = tuple(None if n == 1 else next(rest) for n in wanted)
        return _Probe(self.loader, axes, self.fixed | fixed)

    def __getitem__(self, item: Any) -> _Probe:
        items = item if isinstance(item, tuple) else (item,)
        axes: list[Axis | None] = []
        fixed = dict(self.fixed)
        for entry, axis, n in itertools.zip_longest(items, self.axes, self.shape):
            if n is None or not isinstance(entry, (slice, int, np.integer, type(None))):
                raise TypeError(f"index {item!r}")
            pixels = range(n) if axis is None else axis[1]
            chosen = pixels[slice(None) if entry is None else entry]
            if isinstance(chosen, range):
                if not len(chosen):
                    raise TypeError(f"index {item!r}: leaves nothing")
                axes.append(None if axis is None else (axis[0], chosen))
            elif axis is not None:
                fixed[axis[0]] = int(chosen)
        return _Probe(self.loader, tuple(axes), fixed)


@dataclass(frozen=True, eq=False)
class _Found:
    """The frames of a dataset, still without names.

    Parameters
    ----------
    frames : Frames
    loaders : list of BaseFITSLoader
        Of each frame, in C order: who reads it for ``dkist``.
    paths : list of str or None
        Of its file.
    """

    frames: Frames
    loaders: list[BaseFITSLoader]
    paths: list[str | None]


def _find(given: Any, index: Any, where: str) -> _Found:
    """Find the frames of a dataset."""
    shape, probes = _probes(given, where)
    first = probes[0]
    loaders = [probe.loader for probe in probes]
    kinds = {(loader.shape, np.dtype(loader.dtype), loader.target) for loader in loaders}
    alike = all(probe.axes == first.axes and probe.fixed == first.fixed for probe in probes)
    # Each frame is a chunk, and axes of frames come before those of pixels.
    n = sum(axis is None for axis in first.axes)
    in_order = all(axis is None for axis in first.axes[:n])
    if not alike or len(kinds) != 1 or not in_order or any(k > 1 for k in shape[n:]):
        raise DatasetError(f"{where}{_COMPUTED}")
    frames = Frames(
        index, np.full(shape[:n], None, object), tuple(map(int, loaders[0].shape)),
        np.dtype(loaders[0].dtype).newbyteorder("="), loaders[0].target, _cut(first, n),
    )  # fmt: skip
    if frames.cut_shape != tuple(given.data.shape):
        raise DatasetError(f"{where}{_COMPUTED}")
    return _Found(frames, loaders, [_path(loader, where) for loader in loaders])


def _cut(probe: _Probe, n_frame_axes: int) -> tuple[int | slice, ...] | None:
    """Give what was selected of the pixels of each frame, as a dataset begins with it."""
    hdu_shape = tuple(map(int, probe.loader.shape))
    chosen = {axis[0]: axis[1] for axis in probe.axes if axis is not None}
    cut: list[int | slice] = [slice(None)] * n_frame_axes
    lead = len(hdu_shape) - len(without_leading_axis(hdu_shape))
    for axis, n in list(enumerate(hdu_shape))[lead:]:
        pixels = chosen.get(axis)
        if pixels is None:
            cut.append(probe.fixed[axis])
        elif pixels == range(n):
            cut.append(slice(None))
        else:
            cut.append(slice(pixels[0], pixels[-1] + 1, pixels.step))
    return None if all(entry == slice(None) for entry in cut) else tuple(cut)


_COMPUTED: Final = (
    "the pixels of this dkist dataset are not a selection of those of its files: they were "
    "computed, or put there, or divided into other chunks. Load its ASDF, dv.load_dataset(path), "
    "and do the same with that"
)


def _probes(given: Any, where: str) -> tuple[tuple[int, ...], list[_Probe]]:
    """Run the graph of a dataset's array on probes; one for each chunk, and their shape."""
    import dask.array as da
    from dask.core import flatten
    from dask.local import get_sync

    data = given.data
    if getattr(given, "files", None) is None or not isinstance(data, da.Array):
        raise DatasetError(f"{where}{_COMPUTED}")
    graph = {key: _probed(task) for key, task in dict(data.__dask_graph__()).items()}
    keys = list(flatten(data.__dask_keys__()))
    try:
        made = list(get_sync(graph, keys))
    except MemoryError:
        raise
    except Exception as error:  # whatever a computation does with a probe
        raise DatasetError(f"{where}{_COMPUTED}") from error
    if not all(
        isinstance(probe, _Probe)
        and probe.shape == tuple(n[i] for n, i in zip(data.chunks, key[1:], strict=True))
        for key, probe in zip(keys, made, strict=True)
    ):
        raise DatasetError(f"{where}{_COMPUTED}")
    return tuple(data.numblocks), made


def _probed(task: Any) -> Any:
    """Replace the task that reads a frame by its probe."""
    from dkist.io.dask.loaders import BaseFITSLoader

    # dkist's own tasks are tuples; dask may have made one of its Tasks of them.
    parts = task if isinstance(task, tuple) else (None, *getattr(task, "args", ()))
    if len(parts) == 2 and isinstance(parts[1], BaseFITSLoader):
        return _Probe.of(parts[1])
    return task


def _path(loader: BaseFITSLoader, where: str) -> str | None:
    if loader.fileuri is None:
        return None
    try:
        return absolute(loader.absolute_uri)
    except ValueError as error:
        raise DatasetError(f"{where}{error}") from error


def _named(found: Sequence[_Found]) -> tuple[str, list[Frames]]:
    """Name frames below the directory that they have in common, and return that too."""
    directories = {os.path.dirname(path) for one in found for path in one.paths if path is not None}
    base = os.path.commonpath(directories) if directories else os.getcwd()
    named = []
    for one in found:
        names = np.empty(one.frames.names.shape, object)
        names.reshape(-1)[:] = [
            None if path is None else os.path.relpath(path, base) for path in one.paths
        ]
        named.append(replace(one.frames, names=names))
    return base, named


# Headers ----------------------------------------------------------------------------------------


def _headers(given: Any, found: _Found, where: str) -> Table:
    """Copy the header table, after a check that its rows are those of the frames."""
    table = given.meta.get("headers")
    if isinstance(table, Row):  # as dkist slices the table of a single frame
        table = table.table[[table.index]]
    if table is None or (not isinstance(table, Table) and not len(table)):
        return Table()
    if not isinstance(table, Table):
        raise DatasetError(
            f"{where}headers: expected an astropy Table, found {type(table).__name__}"
        )
    if not len(table):
        return Table()
    if len(table) != found.frames.n_frames:
        raise DatasetError(
            f"{where}the header table has {counted(len(table), 'row')} for "
            f"{counted(found.frames.n_frames, 'frame')}, so it cannot be told which row is whose. "
            f"{_SLICE_OURS}"
        )
    if not _rows_are_of(given, table, found.loaders):
        raise DatasetError(
            f"{where}the rows of the header table may be those of other frames, as dkist takes "
            f"them for slices of slices. {_SLICE_OURS}"
        )
    return table.copy()


_SLICE_OURS: Final = "Slice the dataset of dv.load_dataset(path) instead"


def _rows_are_of(given: Any, table: Table, loaders: Sequence[BaseFITSLoader]) -> bool:
    """Tell whether the rows of a header table are those of frames, in their order.

    For a slice, ``dkist`` takes rows by the shape of the array of file names, and that of a slice
    of a slice forgets the first one.
    """
    # The file manager has no public name for these.
    view = given.files._fm._striped_external_array
    if list(map(id, view.loader_array.flat)) != list(map(id, loaders)):
        return False
    if "FILENAME" in table.colnames:
        names = [os.path.basename(str(loader.fileuri)) for loader in loaders]
        stated = list(map(str, table["FILENAME"]))
        if stated == names:
            return True
        if set(stated) <= set(names):
            return False
    while (view := getattr(view, "parent", None)) is not None:
        if view.fileuri_array.shape != view.loader_array.shape:
            return False
    return True


def _with_combined(tables: list[Table], shown: Sequence[bool], combined: object) -> Table:
    """Put the tables of tiles together, with the columns that only the mosaic's own table has.

    That of a part of a mosaic is the whole mosaic's in ``dkist``: it is not looked at.
    """
    stacked = vstack(tables, metadata_conflicts="silent") if any(map(len, tables)) else Table()
    if not isinstance(combined, Table) or not len(stacked):
        return stacked
    owners = np.repeat(np.asarray(shown), [len(table) for table in tables])
    for rows in (np.ones(len(stacked), bool), owners):
        if len(combined) == np.count_nonzero(rows):
            break
    else:
        return stacked
    for name in combined.colnames:
        if name not in stacked.colnames:
            empty: Any = np.ma.masked_all  # which has types in newer versions of numpy alone
            column = empty(len(stacked), combined[name].dtype)
            column[rows] = combined[name]
            stacked[name] = column if np.ma.is_masked(column) else column.data
        elif not same_cells(stacked[name][rows], combined[name]):
            raise DatasetError(
                f"column {name} of the mosaic's combined_headers is not that of its tiles' "
                "headers, so it cannot be told which is right: set it in the tiles, or after "
                "dv.load_dataset"
            )
    return stacked
