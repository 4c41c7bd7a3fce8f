"""Give the files of a selection the names that the file manager of ``dkist`` has."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkist_virtual.cube.selection import Selection
from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.io.locations import absolute, is_local, local_path
from dkist_virtual.store.frame_locations import one_place
from dkist_virtual.store.frame_spec import FrameSpec
from dkist_virtual.store.zarr_store import spec_of

if TYPE_CHECKING:
    import dask.array
    from numpy.typing import NDArray

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.datacenter.reports import FetchedFile, QualityReport
    from dkist_virtual.dataset.provenance import Provenance

__all__ = ["FileManagerNames", "Reported"]


class FileManagerNames:
    """The names of `dkist.io.DKISTFileManager`, for a selection of frames."""

    sources: tuple[Provenance, ...]
    chosen: NDArray[np.int64] | None
    inventory: dict[str, Any] | None
    present: NDArray[np.bool_] | None

    @property
    def fileuri_array(self) -> NDArray[Any]:
        """The names of the files, in an array like the axes of the frames: str, or object.

        Names are relative to `basepath`. A single frame has the shape (1,), unless it was selected
        of several. Of a mosaic, the first axes are those of its tiles, with empty names where there
        is none. Some of the frames, ``files[mask]``, are a row.

        Raises
        ------
        DatasetError
            The tiles of a mosaic have different numbers of frames.
        """
        if self.chosen is not None:
            return _names_array(self.names, (len(self.names),))
        arrays = [
            _names_array(
                [source.array.places.name(url) or None for url in source.array.frames().urls],
                _frame_shape(source),
            )
            for source in self.sources
        ]
        if self.present is None:
            return arrays[0]
        shape = _one_of({array.shape for array in arrays}, "fileuri_array")
        whole = np.full((*self.present.shape, *shape), "", np.result_type(*arrays))
        for place, array in zip(np.argwhere(self.present), arrays, strict=True):
            whole[tuple(place)] = array
        return whole

    if TYPE_CHECKING:

        @property
        def names(self) -> list[str | None]:
            """The frames' names."""

        @property
        def arrays(self) -> tuple[VirtualArray, ...]:
            """The arrays."""

        @property
        def places(self) -> list[str]:
            """The places that are searched."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pixels in each file, as its HDU has it: often with a leading 1.

        Raises
        ------
        DatasetError
            The files of different tiles have different shapes.
        """
        return _one_of({_hdu_shape(source) for source in self.sources}, "shape")

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of `dask_array`: the axes of the frames, then those of the pixels in a file."""
        self._refuse_tiles("output_shape")
        frames, pixels = self.fileuri_array.shape, without_leading_axis(self.shape)
        return pixels if math.prod(frames) == 1 else (*frames, *pixels)

    @property
    def dask_array(self) -> dask.array.Array:
        """The pixels of the files as a whole, of type `dask.array.Array`: shape `output_shape`.

        Not cut as the dataset is: its pixels are ``ds.data``.
        """
        import dask.array as da

        self._refuse_tiles("dask_array")
        array = self.arrays[0]
        opened = Selection.whole(array.metadata.shape)
        n = _frame_axes(self.sources[0])
        if self.chosen is None:
            axes = (*array.selection.axes[:n], *opened.axes[n:])
            whole: Any = array.at(Selection(opened.shape, axes)).dask()
        else:
            chosen = array.positions()[self.chosen]
            frames = np.array(np.unravel_index(chosen, opened.shape[:n])).T.tolist()
            parts = [array.at(opened[tuple(frame)]).dask() for frame in frames]
            whole = da.stack(parts) if parts else da.zeros(self.output_shape, array.dtype)
        shaped: dask.array.Array = whole.reshape(self.output_shape)
        return shaped

    def _refuse_tiles(self, name: str) -> None:
        if self.present is not None:
            raise DatasetError(
                f"{name}: the tiles of a mosaic are arrays of their own: mosaic[i, j].files.{name}"
            )

    @property
    def basepath(self) -> Path | str:
        """The first of `places`, a path where it is on this machine, as ``dkist`` calls it.

        Set it, to a path or URL, to read the frames from there alone, from now on. The dataset of
        these files, all its slices and what was computed from them share it; of a mosaic each tile
        has its own, and ``mosaic.files.basepath`` sets it of all.

        Raises
        ------
        DatasetError
            The tiles of a mosaic have different ones.
        """
        bases = {array.places.in_order[0] for array in self.arrays}
        if len(bases) > 1:
            raise DatasetError(
                "basepath: not all tiles have the same one: mosaic[i, j].files.basepath is that of "
                "a tile, and mosaic.files.basepath = PATH sets that of all"
            )
        (base,) = bases
        return Path(local_path(base)) if is_local(base) else base

    @basepath.setter
    def basepath(self, place: str | os.PathLike[str]) -> None:
        if one_place("basepath", place) is None:
            raise TypeError("basepath = None: expected one directory or URL")
        base = absolute(place, "basepath").rstrip("/") or "/"
        for array in self.arrays:
            array.handle.opened.read_only_from(base, [array.name])

    def __eq__(self, other: object) -> bool:
        """Compare names, HDU, type and shape of the files, wherever they are."""
        if not isinstance(other, FileManagerNames):
            return NotImplemented
        return self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash((len(self.names), *self.names[:1]))

    def _compared(self) -> tuple[object, ...]:
        specs = [spec_of(source.array.metadata) for source in self.sources]
        targets = [spec.hdu if isinstance(spec, FrameSpec) else None for spec in specs]
        shapes = [spec.shape for spec in specs]
        return self.names, targets, shapes, [array.dtype for array in self.arrays]

    # From the Data Center -------------------------------------------------------------------

    @property
    def dataset_id(self) -> str:
        """The dataset's ID, by its inventory."""
        return dataset_id(self.inventory)

    def quality_report(
        self,
        path: str | os.PathLike[str] | None = None,
        overwrite: bool | None = None,
        format: str = "pdf",  # noqa: A002  # as dkist calls it
        *,
        form: Literal["pdf", "json"] | None = None,
    ) -> FetchedFile:
        """Fetch the Data Center's quality report of the dataset to a file, or a directory.

        See `dkist_virtual.datacenter.reports.fetch_quality_report`; `form` is another name of
        `format`.
        """
        from dkist_virtual.datacenter.reports import fetch_quality_report

        if form is not None and form not in ("pdf", "json"):
            raise ValueError(f"form = {form!r}: expected 'pdf' or 'json'")
        wanted = format if form is None else form
        return fetch_quality_report(self.dataset_id, path, overwrite, wanted)

    def preview_movie(
        self, path: str | os.PathLike[str] | None = None, overwrite: bool | None = None
    ) -> FetchedFile:
        """Fetch the Data Center's preview movie of the dataset to a file, or a directory.

        See `dkist_virtual.datacenter.reports.fetch_movie`.
        """
        from dkist_virtual.datacenter.reports import fetch_movie

        return fetch_movie(self.dataset_id, path, overwrite)


class Reported:
    """The quality report and the preview movie of a dataset or mosaic, computed ones included."""

    if TYPE_CHECKING:

        @property
        def meta(self) -> Any:
            """The meta."""

        @property
        def inventory(self) -> dict[str, Any] | None:
            """The Data Center's record of the dataset."""

    @property
    def quality_report(self) -> QualityReport:
        """What the meta says of the quality of the observations, as a mapping; empty if nothing.

        Called, it fetches the Data Center's report: ``ds.quality_report(path, overwrite, format)``,
        see `dkist_virtual.datacenter.reports.fetch_quality_report`.
        """
        from dkist_virtual.datacenter.reports import QualityReport, fetch_quality_report

        def fetch(path: Any, overwrite: Any, form: Any) -> FetchedFile:
            return fetch_quality_report(dataset_id(self.inventory), path, overwrite, form)

        return QualityReport(self.meta.get("quality"), fetch)

    def preview_movie(
        self, path: str | os.PathLike[str] | None = None, overwrite: bool | None = None
    ) -> FetchedFile:
        """Fetch the Data Center's preview movie of the whole dataset to a file, or a directory.

        See `dkist_virtual.datacenter.reports.fetch_movie`.
        """
        from dkist_virtual.datacenter.reports import fetch_movie

        return fetch_movie(dataset_id(self.inventory), path, overwrite)


def dataset_id(inventory: dict[str, Any] | None) -> str:
    """Return the ID in an inventory."""
    if not inventory or not inventory.get("datasetId"):
        raise DatasetError("the dataset's inventory names no dataset ID to ask for")
    return str(inventory["datasetId"])


def _names_array(names: list[str | None], shape: tuple[int, ...]) -> NDArray[Any]:
    """Make an array of names: of text, as ``dkist`` does, unless one is None."""
    kind = object if None in names or not names else str
    array: NDArray[Any] = np.array(names, dtype=kind).reshape(shape)
    return array


def _one_of(shapes: set[tuple[int, ...]], name: str) -> tuple[int, ...]:
    if len(shapes) != 1:
        raise DatasetError(
            f"{name}: the tiles differ: {', '.join(map(str, sorted(shapes)))}: "
            f"mosaic[i, j].files.{name} is that of a tile"
        )
    return next(iter(shapes))


def _hdu_shape(source: Provenance) -> tuple[int, ...]:
    """Give the shape of the pixels in each file; where a store does not say it, by the headers."""
    spec = spec_of(source.array.metadata)
    if isinstance(spec, FrameSpec):
        return tuple(spec.shape)
    table = source.headers(source.rows()[:1])
    try:
        n = int(table["NAXIS"][0])
        stated = tuple(int(table[f"NAXIS{axis}"][0]) for axis in range(n, 0, -1))
    except (KeyError, IndexError, TypeError, ValueError):
        return tuple(spec.shape)
    pixels = without_leading_axis(stated)
    whole = source.array.metadata.shape
    fits = bool(pixels) and whole[len(whole) - len(pixels) :] == pixels
    n_files = math.prod(whole[: len(whole) - len(pixels)])
    return stated if fits and n_files == source.array.metadata.n_frames else tuple(spec.shape)


def _frame_axes(source: Provenance) -> int:
    """Count the axes of the array that run over frames, those of length 1 included."""
    return len(source.array.metadata.shape) - len(without_leading_axis(_hdu_shape(source)))


def _frame_shape(source: Provenance) -> tuple[int, ...]:
    n = _frame_axes(source)
    return source.array.selection.first(n).result_shape if n else (1,)
