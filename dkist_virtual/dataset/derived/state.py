"""Hold the state of a dataset, and give each derived dataset its part of it.

Mask and uncertainty are checked when they are set. Every derived dataset has its own: writing to
one does not change another.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeAlias

import numpy as np
from astropy.nddata import NDData
from astropy.table import Table
from astropy.wcs.wcsapi import BaseHighLevelWCS
from ndcube import ExtraCoords, NDCube

from dkist_virtual.cube.computed_array import Computed, Pixels, is_source, pack, unpack
from dkist_virtual.cube.saved.zarr_array import ZarrArray
from dkist_virtual.cube.selection import (
    BasicIndex,
    Index,
    Selection,
    full_index,
    single_pixel_error,
)
from dkist_virtual.cube.sliced_wcs import KnownWCS, UnslicedWCS, forget_dropped
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.dataset.derived.lineage import Lineage, Part, quantity_of
from dkist_virtual.dataset.provenance import (
    READING,
    FrameHeaders,
    LazyMeta,
    LazyUnit,
    Meta,
    Provenance,
)
from dkist_virtual.errors import DatasetError
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array
    from astropy.nddata import NDUncertainty
    from astropy.units import UnitBase
    from numpy.typing import NDArray

    from dkist_virtual.dataset.files import Files
    from dkist_virtual.science.alignment.find import Alignment
    from dkist_virtual.science.stitching.record import Stitching

__all__ = ["FrameCube", "Mask", "copy_mask", "own_coordinates", "own_meta", "take_over"]

Mask: TypeAlias = "bool | dask.array.Array | NDArray[np.bool_] | None"

_NDCUBE: Final = {
    "uncertainty", "mask", "meta", "unit", "copy", "psf", "extra_coords", "global_coords",
}  # fmt: skip


class KnownKeys(Protocol):
    """What knows which keys of a meta a dataset was opened with."""

    @property
    def opened_with(self) -> frozenset[str]:
        """Those keys."""


class _UnreadWCS(BaseHighLevelWCS):  # type: ignore[misc]  # astropy comes without types
    """A WCS for `NDCube.__init__`, which insists on one."""

    low_level_wcs = None

    def pixel_to_world(self, *_: object) -> None:
        """Do nothing."""

    def world_to_pixel(self, *_: object) -> None:
        """Do nothing."""


class FrameCube(NDCube):  # type: ignore[misc]  # ndcube comes without types
    """An NDCube that knows the frames that its pixels and headers come from.

    WCS, unit and meta of a stored dataset are read when they are first used.
    """

    _data: Pixels
    _wcs: BaseHighLevelWCS | UnslicedWCS
    _masked: Mask | Computed
    _unit: UnitBase | LazyUnit | None

    def __init__(
        self,
        data: Pixels | NDData,
        wcs: BaseHighLevelWCS | UnslicedWCS | None = None,
        *,
        provenance: Provenance | None = None,
        **kwargs: Any,
    ) -> None:
        check_keywords(type(self).__name__, kwargs, _NDCUBE)
        twin = data if isinstance(data, FrameCube) and wcs in (None, data.wcs) else None
        if twin is not None:  # astropy copies what it knows of an NDData
            provenance = twin.provenance
        self._headers = None if provenance is None else FrameHeaders(provenance)
        if twin is not None and self._headers is not None:
            self._headers.copy_rows(twin._headers)
        self._opened_with: KnownKeys | None = getattr(twin, "_opened_with", None)
        meta = kwargs.get("meta")
        opened = meta.headers if isinstance(meta, Meta) else self._headers
        if isinstance(opened, FrameHeaders):
            self._opened_with = opened.provenance.tile
        self._combined: tuple[Part, ...] = ()  # all datasets that arithmetic combined
        self._columns: tuple[str, ...] = ()  # of header tables, that arithmetic combined
        self._past: str | None = None  # what pixels that are not computed from frames come from
        self._alignment: Alignment | None = getattr(twin, "_alignment", None)
        self._stitching: Stitching | None = getattr(twin, "_stitching", None)
        self._dask: tuple[object, dask.array.Array] | None = None
        unit = kwargs.pop("unit", None)
        stored = isinstance(data, (VirtualArray, ZarrArray))
        if not stored or kwargs.get("uncertainty") is not None:
            unit = unit.read() if isinstance(unit, LazyUnit) else unit
        super().__init__(
            data,
            _UnreadWCS() if isinstance(wcs, UnslicedWCS) else wcs,
            unit=None if isinstance(unit, LazyUnit) else unit,
            **kwargs,
        )
        if isinstance(wcs, UnslicedWCS):
            self._wcs = wcs
        if isinstance(unit, LazyUnit):
            self._unit = unit
        if twin is not None:
            self._data, self._past, self._combined = twin._data, twin._past, twin._combined
            self._columns = twin._columns
            self._coordinates_from(twin)

    @property
    def wcs(self) -> BaseHighLevelWCS:
        """The world coordinates of the data, sliced as the data is."""
        if isinstance(self._wcs, UnslicedWCS):
            with READING:
                if isinstance(unsliced := self._wcs, UnslicedWCS):
                    self._wcs = unsliced.slice()
        return self._wcs

    @wcs.setter
    def wcs(self, value: Any) -> None:
        NDData.wcs.fset(self, value)

    # Pixels ---------------------------------------------------------------------------------

    @property
    def data(self) -> Any:
        """The pixels: a dask array, built from the selection when it is first used.

        Its slices select from the frames, as the dataset's own do. What is computed from it, and
        the data of a computed dataset, is ordinary dask, which reads whole chunks for a slice:
        slice the dataset.
        """
        if is_source(self._data):
            token = self._data.token()
            if self._dask is None or self._dask[0] != token:  # another one after a download
                self._dask = token, self._data.dask()
            return self._dask[1]
        return self._data

    @data.setter
    def data(self, value: Pixels) -> None:
        NDCube.data.fset(self, value)

    @property
    def pixels(self) -> Pixels:
        """Where `data` comes from: a selection of frames, a computation, or an array."""
        return self._data

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        return tuple(self._data.shape)

    @property
    def mask(self) -> Mask:
        """True where a pixel counts for nothing: a bool, an array of the data's shape, or None."""
        if isinstance(self._masked, Computed):
            self._masked = self._masked.dask()  # one array from now on: it may be written to
        return self._masked

    @mask.setter
    def mask(self, value: object) -> None:
        self._masked = _as_mask(value, self.shape)

    @property
    def _mask(self) -> Any:
        # By this name numpy.ma.array asks anything that is not an array for its mask.
        if self.mask is None or self.mask is False:
            return np.ma.nomask
        return np.array(np.broadcast_to(self.mask, self.shape))

    @property
    def uncertainty(self) -> NDUncertainty | None:
        """The uncertainty of each pixel, as astropy has it, or None."""
        return NDData.uncertainty.fget(self)

    @uncertainty.setter
    def uncertainty(self, value: Any) -> None:
        array = getattr(value, "array", value)
        found = np.shape(array)
        if array is not None and found != self.shape:
            raise DatasetError(
                f"uncertainty: expected the shape of the data, {self.shape}, found {found}. "
                "np.broadcast_to(value, ds.shape) has that shape"
            )
        NDData.uncertainty.fset(self, value)

    @property
    def unit(self) -> UnitBase | None:
        """The unit of the pixels, or None."""
        if isinstance(unread := self._unit, LazyUnit):
            self._unit = unread.read()
        return self._unit

    # Frames ---------------------------------------------------------------------------------

    @property
    def provenance(self) -> Provenance | None:
        """The frames that pixels and headers come from; None if a pixel is not of one frame."""
        return None if self._headers is None else self._headers.provenance

    @property
    def headers(self) -> Table | None:
        """The header table, one row per frame of the selection, in C order.

        A row leaves out of its ``keys()`` the cards that its frame did not have, so that
        ``WCS(ds.headers[i])`` works. Arithmetic keeps them; None where a pixel is not of one frame
        any more, as after `rebin`. A dataset that was made of an array has the table that was given
        as ``meta["headers"]``, whole in its slices too: no row of it is known to be of a pixel.
        """
        if self._headers is not None:
            return self._headers.table()
        given = self.meta.get("headers")
        return given if isinstance(given, Table) else None

    @property
    def meta(self) -> Any:
        """What else is known of the dataset, with the header table under ``headers``."""
        return self._meta

    @meta.setter
    def meta(self, value: Any) -> None:
        if isinstance(value, LazyMeta) and self._headers is None:
            value = value.read()
        if isinstance(value, Meta) and self._headers is None:
            value = value.with_whole_headers()
        elif self._headers is not None and not (
            isinstance(value, Meta) and value.headers is self._headers
        ):
            value = Meta(value or {}, self._headers)
        NDData.__dict__["meta"].__set__(self, value)  # `super()` calls no setter

    @property
    def inventory(self) -> dict[str, Any] | None:
        """The Data Center's record of the dataset."""
        record: dict[str, Any] | None = self.meta.get("inventory")
        return record

    @property
    def files(self) -> Files:
        """The files behind the selection.

        Raises
        ------
        DatasetError
            The pixels were computed, and belong to no files.
        """
        from dkist_virtual.dataset.files import Files

        if self.provenance is None or not isinstance(self._data, VirtualArray):
            raise DatasetError(
                f"the pixels of this dataset are computed from {self.lineage.source}, and are in "
                "no files. The dataset that they are computed from has its files, sliced or not: "
                "ds[0].files, where (ds / 2)[0] has none"
            )
        return Files((self.provenance,), inventory=self.inventory)

    @property
    def lineage(self) -> Lineage:
        """What the dataset was made from: the datasets that arithmetic combined."""
        parts, origin = self._combined, self.provenance
        if not parts:
            wcs = self.wcs if origin is None else origin.wcs
            cut = Selection.whole(self.shape) if origin is None else origin.cut
            parts = (Part(wcs, cut, self._headers, self.unit),)
        stored = isinstance(self._data, VirtualArray) or (
            isinstance(self._data, ZarrArray) and self._data.is_copy
        )
        known = frozenset(("inventory", "history", "headers"))
        if self._opened_with is not None:
            known = self._opened_with.opened_with
        return Lineage(
            parts, self._headers, self.unit, stored, self._past, known, self._columns,
            quantity_of(self.meta),
        )  # fmt: skip

    @property
    def stitching(self) -> Stitching | None:
        """What it was stitched of, and the time of each pixel; None if of nothing."""
        return self._stitching

    # Derived datasets -----------------------------------------------------------------------

    def __getitem__(self, item: Index) -> Self:
        index = full_index(item, len(self.shape))
        origin, data = self.provenance, self._data
        frames = origin and origin.select(index)
        cut = Selection.whole(self.shape)[index] if frames is None else frames.cut
        if not cut.result_shape:
            raise single_pixel_error(item)
        mask = self._masked
        if isinstance(mask, Computed):
            mask = mask.select(index)  # made an array when it is used
        elif mask is not None and not isinstance(mask, bool):
            mask = mask[index]
        if origin is not None and frames is not None and data is origin.array:
            chosen: Pixels = frames.array
        elif is_source(data):
            chosen = data.select(index)
        else:
            chosen = data[index]
        sliced = self._new_instance(
            data=chosen,
            wcs=UnslicedWCS(KnownWCS(self.wcs) if origin is None else origin.tile, cut),
            provenance=frames,
            mask=mask,
            uncertainty=None if self.uncertainty is None else self.uncertainty[index],
            meta=_slice_meta(self._meta, index, self.shape),
        )
        sliced._combined = tuple(part.select(index, self.shape) for part in self._combined)
        sliced._stitching = self._stitching and self._stitching.select(index)
        sliced._coordinates_from(self, index)
        return sliced

    # ndcube makes each of its cubes by this private method.
    def _new_instance(self, **changes: Any) -> Self:
        """Make the dataset with some changes, as ndcube makes its results."""
        given: dict[str, Any] = {
            "data": self._data, "wcs": self._wcs, "provenance": self.provenance,
            "unit": self._unit,
            "mask": copy_mask(self._masked), "uncertainty": self.uncertainty, "psf": self.psf,
            "meta": self.meta, **changes,
        }  # fmt: skip
        if isinstance(given["meta"], Meta) and given["provenance"] is not None:
            given["meta"] = given["meta"].shared()
        elif isinstance(given["meta"], dict):
            given["meta"] = _copy_meta(given["meta"])
        made = type(self)(**given)
        if made._headers is not None:
            made._headers.copy_rows(self._headers)
        made._past, made._opened_with = self._past, self._opened_with
        made._alignment = self._alignment
        made._coordinates_from(self)
        made._combined, made._columns = self._combined, self._columns
        made._stitching = self._stitching if made.shape == self.shape else None
        return made

    def _coordinates_from(
        self,
        other: NDCube,
        index: BasicIndex | None = None,
        sizes: Sequence[int] | None = None,
    ) -> None:
        """Copy the coordinates of another cube: all, those of a part of it, or of bins."""
        # ndcube copies no coordinates from cube to cube, so it takes its private names.
        own = OrderedDict(other.global_coords._internal_coords)
        self._global_coords._internal_coords = own
        coords = ExtraCoords()
        coords._wcs, coords._mapping = other.extra_coords._wcs, other.extra_coords._mapping
        coords._lookup_tables = list(other.extra_coords._lookup_tables)
        coords._dropped_tables = list(other.extra_coords._dropped_tables)
        if index is not None and coords.keys():
            coords = other.extra_coords[index]
        if sizes is not None and coords.keys():
            # At the centre of each bin, as the WCS; ndcube's own are at its first pixel.
            middle = [(size - 1) / 2 for size in sizes]
            coords = other.extra_coords.resample(sizes, offset=middle)
        # ndcube forgets what earlier slices have left of a coordinate.
        dropped = [c for c in coords._dropped_tables if c not in other.extra_coords._dropped_tables]
        coords._dropped_tables = [*other.extra_coords._dropped_tables, *dropped]
        self._extra_coords = coords

    def __copy__(self) -> Self:
        return self._new_instance()  # with a mask, headers and meta of its own

    def __getstate__(self) -> dict[str, Any]:
        wcs = self._wcs
        if not isinstance(wcs, UnslicedWCS):
            forget_dropped(wcs)
        elif isinstance(wcs.source, KnownWCS):
            forget_dropped(wcs.source.wcs)
        return {
            **self.__dict__, "_dask": None, "_data": pack(self._data),
            "_masked": pack(self._masked),
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: unpack(value) for name, value in state.items()})
        if self._uncertainty is not None:  # which pickles without the dataset that it is of
            self._uncertainty.parent_nddata = self


def take_over(cube: FrameCube, other: NDCube) -> None:
    """Copy what an NDCube of the same pixels has beside them: uncertainty, PSF and coordinates."""
    spread = other.uncertainty
    if spread is not None:
        cube.uncertainty = type(spread)(spread, copy=True)
    cube.psf = copy.copy(other.psf)
    cube._coordinates_from(other)


def copy_mask(mask: Any) -> Any:
    """Copy a mask, so that writing to it changes no other one; views are read-only."""
    is_view = isinstance(mask, np.ndarray) and not mask.flags.writeable
    return mask if is_view else copy.copy(mask)


def _copy_meta(meta: dict[str, Any]) -> dict[str, Any]:
    """Copy the meta of a dataset that was made of an array, with a header table of its own."""
    if type(meta) is not dict:  # ndcube's, whose values are along axes
        return copy.deepcopy(meta)
    given = meta.get("headers")
    return {**meta, "headers": given.copy()} if isinstance(given, Table) else dict(meta)


def _slice_meta(meta: Any, index: BasicIndex, shape: Sequence[int]) -> Any:
    """Slice a meta of ndcube's whose values are along axes; others are those of every part."""
    if not getattr(meta, "__ndcube_can_slice__", False):
        return meta
    # It has no negative indices.
    parts = zip(index, map(range, shape), strict=True)
    return meta.slice[
        tuple(
            slice(*entry.indices(len(axis))) if isinstance(entry, slice) else axis[entry]
            for entry, axis in parts
        )
    ]


def own_coordinates(cube: NDCube) -> dict[str, tuple[str, Any]]:
    """Return the physical type and value of each coordinate of the whole cube that its user set.

    Those of the WCS are left out; extra coordinates are here where a slice left one value.
    """
    # Not by `global_coords[name]`, which makes a SkyCoord of a longitude that is left alone: by
    # ndcube's private names.
    own = dict(cube.global_coords._internal_coords)
    dropped = cube.extra_coords.dropped_world_dimensions
    if "value" in dropped:
        own |= cube.global_coords._convert_dropped_to_internal(dropped)
    return {str(name): (str(kind), value) for name, (kind, value) in own.items()}


def own_meta(cube: FrameCube) -> dict[str, Any]:
    """Return what the user put into the meta since the dataset was opened."""
    known = cube.lineage.opened_with
    return {key: cube.meta[key] for key in cube.meta if key not in known}


def _as_mask(value: Any, shape: tuple[int, ...]) -> Mask | Computed:
    """Check a mask: a bool, or true and false pixels of a shape that broadcasts to the data's.

    Those pixels may be an array, an NDData or a dataset, such as ``ds > 5 * u.ct``.
    """
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, NDData):
        value = value._data if isinstance(getattr(value, "_data", None), Computed) else value.data
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        value = np.asarray(value)
    if value.dtype.kind not in "biu":
        raise DatasetError(
            f"mask: expected True where a pixel is masked and False elsewhere, found pixels of "
            f"{value.dtype}. A comparison gives such, as in ds.mask = ds > 5 * u.ct"
        )
    if value.dtype != bool:
        value = (value.dask() if isinstance(value, Computed) else value) != 0
    if value.shape == shape:
        mask: Mask | Computed = value
        return mask
    try:
        np.broadcast_to(np.empty(value.shape, bool), shape)
    except ValueError:
        raise DatasetError(
            f"mask: expected the shape of the data, {shape}, or one that broadcasts to it, found "
            f"{value.shape}"
        ) from None
    return np.broadcast_to(value.dask() if isinstance(value, Computed) else value, shape)
