"""Make datasets of an open cube."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dkist_virtual.cube.computed_array import compute
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray, opened_selection
from dkist_virtual.dataset.loader import Opened
from dkist_virtual.dataset.provenance import FrameHeaders, LazyMeta, LazyUnit, Provenance, Tile
from dkist_virtual.errors import DatasetError, StoreCorruptError, StoreError
from dkist_virtual.io.locations import is_local, join, local_path, shown
from dkist_virtual.store.cubes.cube_document import ADDED_NAME, LINEAGE_NAME, CubeArray
from dkist_virtual.store.cubes.cube_handle import CubeHandle
from dkist_virtual.store.cubes.presence import is_unfinished_cube
from dkist_virtual.store.format.dataset_asdf import (
    METADATA_NAME,
    Description,
    StoredDescription,
    ignore_expected_warnings,
    read_description,
)
from dkist_virtual.store.format.limits import check_asdf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dkist_virtual.cube.computed_array import Computed
    from dkist_virtual.dataset.derived.lineage import Part
    from dkist_virtual.dataset.derived.state import FrameCube
    from dkist_virtual.store.read_options import ReadOptions

_Cube = TypeVar("_Cube", bound="FrameCube")

__all__ = ["OpenedCube", "open_cube"]


def open_cube(place: str, options: ReadOptions) -> OpenedCube:
    """Open a cube by its directory or URL.

    Raises
    ------
    StoreMissingError, StoreCorruptError
    StoreError
        It is still being written, or was stopped meanwhile.
    ValueError
        An option is for frames, of which a cube reads none.
    """
    if is_unfinished_cube(place):
        raise StoreError(
            f"{shown(place)}: a cube that is being written, or that was stopped: save it again to "
            "the same place, and it goes on from there"
        )
    handle = CubeHandle(place, None, options)
    document = handle.cube.document
    has_nan = options.missing != "raise"
    of_frames = {"frames": options.frames, "missing": has_nan, "verify": options.verify}
    for name, given in of_frames.items():
        if given:
            raise ValueError(
                f"{name} is for frames, and the pixels of {shown(place)} are its own: expected "
                f"none. dv.open_dataset(...) without {name}= opens it"
            )
    description = _description(handle, METADATA_NAME)
    if (description.grid, description.indices) != (
        document.grid, tuple(array.index for array in document.arrays),
    ):  # fmt: skip
        raise StoreCorruptError(
            f"{shown(join(place, METADATA_NAME))}: describes other arrays than the cube has: save "
            "it again"
        )
    return OpenedCube(handle, None, description)


def _description(handle: CubeHandle, name: str) -> Description | StoredDescription:
    place = join(handle.cube.place, name)
    if is_local(place):
        return read_description(local_path(place))
    return read_description(io.BytesIO(_read(handle, name)))


def _read(handle: CubeHandle, name: str) -> bytes:
    try:
        return handle.cube.reader(name)
    except FileNotFoundError:
        place = join(handle.cube.place, name)
        raise StoreCorruptError(f"{shown(place)}: is missing from the cube") from None


@dataclass(frozen=True, eq=False)
class OpenedCube(Opened):
    """An open cube, of which datasets are made: see `Opened`."""

    @property
    def cube_handle(self) -> CubeHandle:
        """What opens it."""
        assert isinstance(self.handle, CubeHandle)
        return self.handle

    @property
    def is_inversion(self) -> bool:
        """Whether it has the arrays of an inversion: no cube has."""
        return False

    @property
    def is_row(self) -> bool:
        """Whether it is a mosaic with one axis."""
        return self.cube_handle.cube.document.is_row

    def provenances(self) -> Iterator[Provenance]:
        """Give the frames of each array whose pixels are of one frame each."""
        for array, provenance in zip(self._arrays(), self._frames(), strict=True):
            if array.has_frames and provenance is not None:
                yield provenance

    def _arrays(self) -> tuple[CubeArray, ...]:
        return self.cube_handle.cube.document.arrays

    def _tile_of(self, number: int) -> Tile:
        about = self._arrays()[number]
        shape = tuple(map(int, self.cube_handle.cube.array(about.name).shape))
        return Tile(
            self.description,
            number,
            shape,
            added_meta=frozenset(about.added_meta),
            added_keywords=frozenset(about.added_keywords),
            applied=about.pointing,
        )

    def _frames(self) -> list[Provenance | None]:
        """Return the frames of each array, None where a pixel is not of one of them."""
        found: list[Provenance | None] = []
        row = 0
        for number, about in enumerate(self._arrays()):
            tile = self._tile_of(number)
            found.append(self._provenance(about.name, row, tile) if about.has_frames else None)
            if (one := found[-1]) is not None:
                row += one.array.metadata.n_frames
        return found

    def _provenance(self, name: str, row: int, tile: Tile) -> Provenance:
        array = self._frame_array(name)
        if array.shape != tile.shape:
            raise StoreCorruptError(
                f"{shown(self.cube_handle.cube.place)}: {name} has shape {tile.shape}, and its "
                f"frames {array.shape}: save the cube again"
            )
        return Provenance(array, None, row, tile, Selection.whole(array.shape))

    def _frame_array(self, name: str) -> VirtualArray:
        arrays = self.handle.store.references.arrays
        if name not in arrays:
            raise StoreCorruptError(
                f"{shown(self.cube_handle.cube.place)}: there are no frames of {name}: save the "
                "cube again"
            )
        return VirtualArray(self.handle, name, opened_selection(arrays[name][0]))

    def datasets(self, cls: type[_Cube]) -> list[_Cube]:
        """Make a dataset of each array, in the order of the tiles."""
        frames = self._frames()
        others = self._others(sum(one.array.metadata.n_frames for one in frames if one is not None))
        added = self._added()
        row = sum(len(one.rows()) for one in [*frames, *_origins(others)] if one is not None)
        made = []
        for number, (about, origin) in enumerate(zip(self._arrays(), frames, strict=True)):
            rows = slice(row, row + about.header_rows)
            row += about.header_rows
            ds = self._dataset(cls, number, about, origin, rows)
            if about.parts:
                first = ds.lineage.parts
                ds._combined = first + tuple(others[part.name] for part in about.parts)
            self._add(ds, added[number] if added else {})
            made.append(ds)
        return made

    def _dataset(
        self, cls: type[_Cube], number: int, about: CubeArray, origin: Provenance | None,
        rows: slice,
    ) -> _Cube:  # fmt: skip
        from dkist_virtual.cube.sliced_wcs import UnslicedWCS

        handle = self.cube_handle
        pixels = self._array(about.name, about)
        tile = self._tile_of(number) if origin is None else origin.tile
        meta: Any = LazyMeta(self.description, number)
        if origin is None:
            # That of a dataset that was made of an array may have had neither.
            meta = {
                key: value
                for key, value in meta.read().items()
                if value or key not in ("history", "inventory")
            }
            if about.header_rows:
                meta["headers"] = handle.cube.header_file.headers(np.r_[rows])
        ds = cls(
            pixels,
            UnslicedWCS(tile),
            provenance=origin,
            mask=self._mask(about),
            unit=LazyUnit(tile),
            meta=meta,
        )
        ds._past, ds._opened_with, ds._columns = about.past, tile, about.columns
        if about.uncertainty is not None:
            ds.uncertainty = self._uncertainty(about)
        return ds

    def _array(self, name: str, about: CubeArray) -> ZarrArray:
        copied = about.is_copy and name == about.name
        array = ZarrArray.of(self.cube_handle, name, about.frame_axes, is_copy=copied)
        expected = self.cube_handle.cube.array(about.name).shape
        if array.shape != tuple(expected):
            raise StoreCorruptError(
                f"{shown(self.cube_handle.cube.place)}: {name} has shape {array.shape}: expected "
                f"{tuple(expected)}, that of {about.name}. Save the cube again"
            )
        if not self.handle.options.by_rule or self.handle.options.chunks == "frame":
            try:
                array.dask_chunks()  # checks what the user wants
            except ValueError as error:
                where = "" if about.index is None else f"tile {name}: "
                raise ValueError(f"{where}{error}") from None
        return array

    def _mask(self, about: CubeArray) -> Computed | bool | None:
        if not about.mask_array:
            return about.mask
        mask, _ = compute(_same, [self._array(about.mask_name, about)], [None])
        return mask

    def _uncertainty(self, about: CubeArray) -> Any:
        from astropy import nddata

        kinds = {
            "std": nddata.StdDevUncertainty,
            "var": nddata.VarianceUncertainty,
            "ivar": nddata.InverseVariance,
            "unknown": nddata.UnknownUncertainty,
        }
        spread = about.uncertainty
        assert spread is not None
        array = self._array(about.uncertainty_name, about)
        return kinds[spread.type](array.dask(), unit=spread.unit, copy=False)

    def _others(self, row: int) -> Mapping[str, Part]:
        """Read what was combined with the arrays, by name."""
        from astropy.units import Unit

        from dkist_virtual.dataset.derived.lineage import Part

        named = {part.name: part for about in self._arrays() for part in about.parts}
        if not named:
            return {}
        description = _description(self.cube_handle, LINEAGE_NAME)
        if list(description.indices) != list(named):
            raise StoreCorruptError(
                f"{shown(join(self.cube_handle.cube.place, LINEAGE_NAME))}: describes other parts "
                "than the cube names: save it again"
            )
        found: dict[str, Part] = {}
        for number, (name, about) in enumerate(named.items()):
            headers = None
            tile = Tile(description, number, ())
            shape = tile.stated.wcs.low_level_wcs.array_shape
            if about.frames:
                array = self._frame_array(name)
                shape = array.shape
                tile = Tile(description, number, shape)
                whole = Selection.whole(shape)
                headers = FrameHeaders(Provenance(array, None, row, tile, whole))
                row += array.metadata.n_frames
            if shape is None:
                raise StoreCorruptError(
                    f"{shown(self.cube_handle.cube.place)}: {name} has no shape: save it again"
                )
            unit = None if about.unit is None else Unit(about.unit)
            whole = Selection.whole(shape)
            found[name] = Part(Tile(description, number, tuple(shape)).wcs, whole, headers, unit)
        return found

    def _added(self) -> list[dict[str, Any]]:
        """Read what a user had added to the datasets; empty where there is no such file."""
        import asdf

        place = join(self.cube_handle.cube.place, ADDED_NAME)
        try:
            data = self.cube_handle.cube.reader(ADDED_NAME)
        except FileNotFoundError:
            return []
        try:
            check_asdf(data, shown(place))
            with (
                ignore_expected_warnings(),
                asdf.open(io.BytesIO(data), lazy_load=False, memmap=False) as file,
            ):
                arrays = [dict(one) for one in file.tree["arrays"]]
            if len(arrays) != len(self._arrays()):
                raise DatasetError(f"of {len(arrays)} arrays")
        except MemoryError:
            raise
        except Exception as error:  # each package has errors of its own
            raise StoreCorruptError(
                f"{shown(place)}: not what was added to a dataset: {type(error).__name__}: {error}"
            ) from error
        return arrays

    def _add(self, ds: FrameCube, added: Mapping[str, Any]) -> None:
        # By ndcube's private names: its public ones check again what the dataset had.
        for name, kind, value in added.get("global_coords", ()):
            ds._global_coords._internal_coords[str(name)] = (str(kind), value)
        if (tables := added.get("extra_coords")) is not None:
            extra = type(ds.extra_coords)()
            extra._wcs, extra._mapping = tables.get("wcs"), tables.get("mapping")
            extra._lookup_tables = [
                (tuple(map(int, axes)) if len(axes) > 1 else int(axes[0]), table)
                for axes, table in tables.get("lookup_tables") or ()
            ]
            extra._dropped_tables = list(tables.get("dropped_tables") or ())
            ds._extra_coords = extra
        if (psf := added.get("psf")) is not None:
            ds.psf = np.array(psf)


def _origins(others: Mapping[str, Part]) -> list[Provenance]:
    return [part.headers.provenance for part in others.values() if part.headers is not None]


def _same(pixels: Any) -> Any:
    """Return pixels as they are: for a mask, which is a computation where it is lazy."""
    return pixels
