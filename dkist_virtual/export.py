"""A dataset as other libraries hold it: an xarray DataArray, or a sunpy Map.

For the first nothing is read. What axes are is taken from the WCS of the selection, so steps, cuts
and single frames need no rules of their own.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.coordinates import ITRS, CartesianRepresentation, SkyCoord, StokesCoord
from astropy.time import Time
from astropy.wcs import WCS

from dkist_virtual._version import __version__
from dkist_virtual.convert import identifiers
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.world import World

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray
    from sunpy.map import GenericMap

    from dkist_virtual.provenance import Provenance
    from dkist_virtual.world import WorldAxis

__all__ = ["HEADERS", "TOLERANCE", "tiles_to_xarray", "to_map", "to_xarray"]

HEADERS: Final = ("DATE-AVG", "LINEWAV", "FRAMEWAV", "XPOSURE", "ATMOS_R0")
"""The header columns that go along by default, where there are such."""

TOLERANCE: Final = 0.25
"""How far, in pixels, the header of a map may be from the WCS: a coordinate stays in its pixel."""

_FEW: Final = 2**18
"""Coordinates along several axes are evaluated at once for so many pixels; of more, when needed."""

_DECODED: Final = ("time", "wavelength", "stokes")
"""Kinds of coordinates that are given otherwise than in the numbers of the WCS."""

_EVALUATING = Lock()
"""dkist's WCS sets the pointing of each frame in a model that all threads share."""


# xarray -------------------------------------------------------------------------------------


def to_xarray(ds: Any, headers: Sequence[str] | None = None) -> xarray.DataArray:
    """A dataset as an xarray DataArray, see `Dataset.to_xarray`."""
    xr = _xarray()
    dims, suffix = _dims(ds), _suffix(ds)
    coords = {**_world_coords(ds, dims, suffix), **_header_coords(ds, headers, dims, suffix)}
    if ds.mask is not None and np.shape(ds.mask) == ds.shape:
        coords[f"mask{suffix}"] = (dims, ds.mask, {"long_name": "true where a pixel is to be left"})
    array: xarray.DataArray = xr.DataArray(
        ds.data, dims=dims, coords=coords, name=f"data{suffix}", attrs=_attrs(ds)
    )
    indexed = {dim for name in array.xindexes for dim in array.coords[name].dims}
    for name, variable in coords.items():
        # One index for each axis, so that .sel(wavelength=630.2) works whatever the axis is called.
        if (
            len(variable[0]) == 1
            and variable[0][0] not in indexed
            and "physical_type" in variable[2]
        ):
            array = array.set_xindex(name)
            indexed.add(variable[0][0])
    return array


def tiles_to_xarray(tiles: Sequence[Any], headers: Sequence[str] | None = None) -> xarray.Dataset:
    """The tiles of a mosaic as the variables of an xarray Dataset, see `TiledDataset.to_xarray`."""
    arrays = [to_xarray(tile, headers) for tile in tiles]
    attrs = {name: value for name, value in arrays[0].attrs.items() if name != "units"}
    dataset: xarray.Dataset = _xarray().Dataset(
        {array.name: array for array in arrays}, attrs=attrs
    )
    return dataset


def _xarray() -> Any:
    try:
        import xarray
    except ImportError:
        raise ImportError(
            'to_xarray: xarray is not installed: pip install "dkist_virtual[xarray]"'
        ) from None
    return xarray


def _suffix(ds: Any) -> str:
    """What the names of a mosaic's tile end in, as in the store: ``_0_1``."""
    source = _source(ds)
    return "" if source is None else source.array.name.removeprefix("data")


def _source(ds: Any) -> Provenance | None:
    """Where the pixels of a dataset come from; None where they come from arithmetic."""
    source: Provenance | None = ds._provenance
    return None if source is None or ds._data is not source.array else source


def _dims(ds: Any) -> tuple[str, ...]:
    source = _source(ds)
    if source is not None:
        stored = source.array.metadata.attributes["_ARRAY_DIMENSIONS"]
        return tuple(stored[axis] for axis in source.array.selection.kept)
    names = [str(name or "") for name in ds.wcs.low_level_wcs.pixel_axis_names[::-1]]
    names = [""] * (len(ds.shape) - len(names)) + names[-len(ds.shape) :]
    return tuple(identifiers([n or f"axis_{axis}" for axis, n in enumerate(names)], None))


def _attrs(ds: Any) -> dict[str, str]:
    inventory = ds.inventory or {}
    known = {
        "units": None if ds.unit is None else ds.unit.to_string(),
        "instrument": inventory.get("instrumentName"),
        "dataset_id": inventory.get("datasetId"),
        "product_id": inventory.get("productId"),
        "made_by": f"dkist_virtual {__version__}",
    }
    return {name: str(value) for name, value in known.items() if value is not None}


# Coordinates of the WCS


def _world_coords(ds: Any, dims: tuple[str, ...], suffix: str) -> dict[str, Any]:
    """The (dims, values, attrs) of each world coordinate, by name."""
    coords: dict[str, Any] = {}
    world = World(ds.wcs, ds.shape)
    for part in filter(None, (world, world.held)):
        together: dict[tuple[int, ...], list[WorldAxis]] = {}
        for axis in part.axes:
            together.setdefault(axis.array_axes, []).append(axis)
        for array_axes, axes in together.items():
            along = tuple(dims[axis] for axis in array_axes)
            for axis, values in zip(axes, _evaluated(ds, part, axes), strict=True):
                name = _coordinate_name(axis, along, dims, suffix, taken=coords)
                coords[name] = (along, values, _coordinate_attrs(part, axis))
    return coords


def _coordinate_name(
    axis: WorldAxis,
    along: tuple[str, ...],
    dims: tuple[str, ...],
    suffix: str,
    taken: Iterable[str],
) -> str:
    stem = identifiers([axis.label], None)[0] if axis.kind == "other" else axis.kind
    # xarray gives the name of a dimension to coordinates along that dimension alone.
    taken = {*taken, *(dim for dim in dims if along != (dim,))}
    stems = (stem, f"{stem}_coordinate", *(f"{stem}_{n}" for n in range(2, 99)))
    return next(f"{free}{suffix}" for free in stems if f"{free}{suffix}" not in taken)


def _coordinate_attrs(world: World, axis: WorldAxis) -> dict[str, Any]:
    attrs: dict[str, Any] = {"long_name": axis.label, "physical_type": axis.physical_type}
    if axis.kind == "time":
        attrs["scale"] = "utc"
    elif axis.kind == "wavelength":
        attrs["units"] = "nm"
    elif axis.unit:
        attrs["units"] = axis.unit
    if axis.kind in ("longitude", "latitude") and world.frame is not None:
        attrs |= _frame_attrs(world.frame)
    return attrs


def _frame_attrs(frame: Any) -> dict[str, Any]:
    """What it takes to make a frame of the sky again."""
    attrs: dict[str, Any] = {"frame": frame.name}
    if getattr(frame, "obstime", None) is not None:
        attrs["obstime"] = frame.obstime.utc.isot
    if getattr(frame, "rsun", None) is not None:
        attrs["rsun_m"] = float(frame.rsun.to_value(u.m))
    observer = getattr(frame, "observer", None)
    if isinstance(observer, str):
        attrs["observer"] = observer
    elif observer is not None:
        where = observer.spherical
        attrs |= {
            "observer": observer.name,
            "observer_lon_deg": float(where.lon.to_value(u.deg)),
            "observer_lat_deg": float(where.lat.to_value(u.deg)),
            "observer_radius_m": float(where.distance.to_value(u.m)),
        }
    return attrs


def _evaluated(ds: Any, world: World, axes: Sequence[WorldAxis]) -> list[Any]:
    """Coordinates that change along the same axes of the array, as xarray is to hold them."""
    array_axes = axes[0].array_axes
    many = math.prod(world.shape[axis] for axis in array_axes) > _FEW
    if many and len(array_axes) > 1 and axes[0].kind not in _DECODED:
        return _lazily(ds, world, axes)
    with _EVALUATING:
        values = world.along(axes)
    return [_decoded(world, axis, of) for axis, of in zip(axes, values, strict=True)]


def _decoded(world: World, axis: WorldAxis, values: NDArray[np.floating[Any]]) -> Any:
    """Values as people write them: moments in UTC, nanometres, Stokes letters."""
    if axis.kind == "time":
        known = np.isfinite(values)
        moments = world.time(np.where(known, values, 0)).to_value("datetime64")
        # A WCS counts seconds as floats from an epoch: what lies below microseconds is noise.
        moments = (moments + np.timedelta64(500, "ns")).astype("M8[us]").astype("M8[ns]")
        return np.where(known, moments, np.datetime64("NaT", "ns"))
    if axis.kind == "stokes":
        return np.array(StokesCoord(values).symbol, dtype=str)
    if axis.kind == "wavelength":
        return u.Quantity(values, axis.unit).to_value(u.nm, u.spectral())
    return values


class _Grid:
    """Coordinates on a grid of pixels, evaluated when they are indexed.

    Parameters
    ----------
    world : World
    axes : sequence of WorldAxis
        That change along the same axes of the array.
    """

    dtype = np.dtype(float)

    def __init__(self, world: World, axes: Sequence[WorldAxis]) -> None:
        self.world, self.axes = world, tuple(axes)
        self.shape = (len(axes), *(world.shape[axis] for axis in axes[0].array_axes))
        self.ndim = len(self.shape)

    def __getitem__(self, item: tuple[int | slice, ...]) -> NDArray[np.floating[Any]]:
        at = [
            np.arange(n, dtype=float)[part]
            for n, part in zip(self.shape[1:], item[1:], strict=True)
        ]
        with _EVALUATING:
            values = np.array(self.world.along(self.axes, [np.atleast_1d(along) for along in at]))
        part: NDArray[np.floating[Any]] = values[
            (item[0], *(slice(None) if along.ndim else 0 for along in at))
        ]
        return part


def _lazily(ds: Any, world: World, axes: Sequence[WorldAxis]) -> list[Any]:
    """Coordinates as dask arrays, in the chunks of the data."""
    import dask.array as da

    grid = _Grid(world, axes)
    chunks: Any = "auto"
    if isinstance(ds.data, da.Array):
        chunks = tuple(ds.data.chunks[axis] for axis in axes[0].array_axes)
    sizes = ((len(axes),), *da.core.normalize_chunks(chunks, grid.shape[1:], dtype=float))  # type: ignore[no-untyped-call]
    array = da.from_array(  # type: ignore[no-untyped-call]
        grid,
        chunks=sizes,
        name=_grid_name(ds, axes, sizes),
        inline_array=True,
        fancy=False,
        meta=np.empty((0,) * grid.ndim),
    )
    return list(array)


def _grid_name(ds: Any, axes: Sequence[WorldAxis], sizes: Any) -> str:
    """The same for the same coordinates, so that arithmetic need not evaluate them to compare."""
    from dask.base import tokenize

    source = _source(ds)
    if source is None:  # nothing says what its WCS is made of
        return f"world-{uuid.uuid4().hex}"
    names = {(axis.kind, axis.name) for axis in axes}
    along = {
        on
        for axis in World(source.wcs, source.cut.shape).axes
        if (axis.kind, axis.name) in names
        for on in axis.array_axes
    }
    pixels = [repr(source.cut.axes[on]) for on in sorted(along)]
    attributes = source.array.handle.store.references.attributes
    token = tokenize(attributes.get("store_id"), source.array.name, sorted(names), pixels, sizes)
    return f"world-{token}"


# Coordinates of the headers


def _header_coords(
    ds: Any, headers: Sequence[str] | None, dims: tuple[str, ...], suffix: str
) -> dict[str, Any]:
    """The (dims, values, attrs) of some header columns, along the axes of the files."""
    if headers is not None and not headers:
        return {}
    table = ds.headers
    if table is None or not len(table):
        if headers is None:
            return {}
        raise DatasetError(f"headers = {list(headers)}: this dataset has no header table")
    if headers is None:
        headers = [keyword for keyword in HEADERS if keyword in table.colnames]
    if unknown := [keyword for keyword in headers if keyword not in table.colnames]:
        raise DatasetError(
            f"headers: no keyword {', '.join(map(repr, unknown))} in the header table of this "
            "dataset: ds.headers.colnames lists those that it has"
        )
    # The axes of the files are the first ones, and there is a row for each file.
    n_axes = next(n for n in range(len(dims) + 1) if math.prod(ds.shape[:n]) == len(table))
    coords = {}
    for keyword in headers:
        column = table[keyword]
        if column.ndim > 1:
            raise DatasetError(f"headers: the cells of {keyword} are arrays: expected one value")
        attrs = {} if column.unit is None else {"units": str(column.unit)}
        values = _column(keyword, column).reshape(ds.shape[:n_axes])
        coords[f"{keyword}{suffix}"] = (dims[:n_axes], values, attrs)
    return coords


def _column(keyword: str, column: Any) -> NDArray[Any]:
    """A header column without a mask: NaN, NaT or None for the cards that a frame did not have."""
    masked, values = np.ma.getmaskarray(column), np.asarray(np.ma.getdata(column))
    if values.dtype.kind == "U" and keyword.startswith("DATE"):
        try:
            moments = Time(values[~masked], format="fits", scale="utc").to_value("datetime64")
        except ValueError:
            pass  # text after all
        else:
            dates = np.full(values.shape, np.datetime64("NaT", "ns"))
            dates[~masked] = moments
            return dates
    if not masked.any():
        return values
    if values.dtype.kind in "iuf":
        return np.asarray(np.where(masked, np.nan, values))
    cells = values.astype(object)
    cells[masked] = None
    return cells


# sunpy --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """A tangent plane of the sky on which pixels lie evenly, in the words of a FITS header.

    Parameters
    ----------
    crval : numpy.ndarray
        Shape (2,): longitude and latitude of the tangent point, degrees.
    crpix : numpy.ndarray
        Shape (2,): its pixel, x first, counted from 0.
    cd : numpy.ndarray
        Shape (2, 2): degrees on the plane, longitude first, a pixel along x and y.
    away : float
        How far the sky is from it at most, pixels.
    """

    crval: NDArray[np.floating[Any]]
    crpix: NDArray[np.floating[Any]]
    cd: NDArray[np.floating[Any]]
    away: float


def to_map(ds: Any, tolerance: float = TOLERANCE) -> GenericMap:
    """A selection with two axes, both on the sky, as a sunpy Map, see `Dataset.to_map`."""
    import sunpy.map

    world = World(ds.wcs, ds.shape)
    _check_spatial(ds, world)
    plane = _plane(ds, world)
    if not plane.away <= tolerance:
        raise SelectionError(
            f"ds.to_map(): a map's header describes a plane, and the sky of this selection is up "
            f"to {plane.away:.3g} pixels away from one: expected {tolerance:g} at most. "
            "ds.to_map(tolerance=...) takes more; ds.wcs says where each pixel lies"
        )
    cards, date = _cards(ds), _date(ds, world)
    frame = world.frame.replicate_without_data(
        obstime=date, observer=_observer(world.frame, cards, date)
    )
    data, crpix, cd = np.asarray(ds.data), plane.crpix, plane.cd  # sunpy rotates no dask array
    moves_on = any(axis.kind == "time" and axis.array_axes for axis in world.axes)
    if moves_on and abs(cd[0, 1]) > abs(cd[1, 1]):  # steps towards longitude lie along x
        data, crpix, cd = data.T, crpix[::-1], cd[:, ::-1]
    scale = np.hypot(*cd.T)
    header = sunpy.map.make_fitswcs_header(
        data.shape,
        SkyCoord(*(plane.crval * u.deg), frame=frame),
        reference_pixel=crpix * u.pix,
        scale=scale * u.deg / u.pix,
        rotation_matrix=cd / scale[:, None],
        wavelength=_wavelength(world, cards),
        unit=ds.unit,
    )
    header = {name: card for name, card in header.items() if not name.startswith("date")}
    if "XPOSURE" in cards:
        cards["TIMEUNIT"] = "ms"  # DKIST's exposures are, where FITS, and sunpy, expect seconds
    return sunpy.map.Map(data, {**cards, "DATE-AVG": date.utc.isot, **header})


def _check_spatial(ds: Any, world: World) -> None:
    """Refuse what is no image of the sky, and say what to index."""
    sky = [axis for axis in world.axes if axis.kind in ("longitude", "latitude")]
    along = sorted({on for axis in sky for on in axis.array_axes})
    if len(sky) < 2 or "observer" not in getattr(world.frame, "frame_attributes", ()):
        raise SelectionError(
            "ds.to_map(): a map shows the sky as an observer sees it: the WCS of this selection "
            "has no such longitude and latitude"
        )
    if along != [0, 1] or len(ds.shape) != 2:
        kept = along[-2:]
        index = ", ".join(":" if axis in kept else "0" for axis in range(len(ds.shape)))
        axes = ", ".join(f"{dim} ({n})" for dim, n in zip(_dims(ds), ds.shape, strict=True))
        raise SelectionError(
            f"ds.to_map(): a map has two axes, along both of which the sky changes; found {axes}, "
            f"and the sky changes along {' and '.join(_dims(ds)[axis] for axis in along) or 'none'}"
            + (f": such as ds[{index}]" if len(kept) == 2 else "")
        )
    if min(ds.shape) < 2:
        raise SelectionError(
            f"ds.to_map(): a map has at least two pixels along each axis, found {ds.shape}"
        )


def _plane(ds: Any, world: World) -> _Plane:
    """The plane that is nearest to the sky of a selection."""
    lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
    assert lon is not None
    assert lat is not None
    timed = {on for axis in world.axes if axis.kind == "time" for on in axis.array_axes}
    # The pointing may jump from step to step; inside of a frame it does not.
    rows, columns = (
        np.arange(n, dtype=float) if axis in timed else np.unique(np.linspace(0, n - 1, 33).round())
        for axis, n in enumerate(ds.shape)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    with _EVALUATING:
        values = world.values(y, x)
    sky = [u.Quantity(values[axis.index].ravel(), axis.unit).to_value(u.deg) for axis in (lon, lat)]
    unknown = ~(np.isfinite(sky[0]) & (np.abs(sky[1]) <= 90))
    if unknown.any():
        raise SelectionError(
            f"ds.to_map(): the WCS gives no position for {unknown.sum()} of the {unknown.size} "
            "pixels that were asked"
        )
    middle = len(sky[0]) // 2
    tangents = [np.array([sky[0][middle], sky[1][middle]]), *_stated_tangent(ds)]
    planes = [_fitted(x.ravel(), y.ravel(), sky, tangent) for tangent in tangents]
    return min(planes, key=lambda plane: plane.away)


def _stated_tangent(ds: Any) -> list[NDArray[np.floating[Any]]]:
    """The tangent point that the header of the first frame names, degrees, if it does."""
    if ds.headers is None or not len(ds.headers):
        return []
    row = ds.headers[0]
    found = {
        str(row[f"CTYPE{n}"]): u.Quantity(row[f"CRVAL{n}"], str(row[f"CUNIT{n}"]))
        for n in range(1, 6)
        if {f"CTYPE{n}", f"CRVAL{n}", f"CUNIT{n}"} <= set(row.keys())
    }
    if not {"HPLN-TAN", "HPLT-TAN"} <= set(found):
        return []
    return [np.array([found[name].to_value(u.deg) for name in ("HPLN-TAN", "HPLT-TAN")])]


def _fitted(x: Any, y: Any, sky: Any, tangent: NDArray[np.floating[Any]]) -> _Plane:
    """The pixels of some positions, evenly laid on the plane that touches the sky at a point."""
    touching = WCS(naxis=2)
    touching.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    touching.wcs.crval = tangent
    on_plane = np.column_stack(touching.wcs_world2pix(*sky, 0)) + 1  # CRPIX is 0, from 1
    pixels = np.column_stack([x, y, np.ones(len(x))])
    matrix = np.linalg.lstsq(pixels, on_plane)[0]
    cd = matrix[:2].T
    off = np.linalg.solve(cd, (pixels @ matrix - on_plane).T)
    return _Plane(tangent, -np.linalg.solve(cd, matrix[2]), cd, float(np.hypot(*off).max()))


_NOT_OF_A_MAP: Final = re.compile(
    # What describes the file, and every word of a WCS: a map's is made from that of the selection.
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|TFIELDS|BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|"
    r"(WCSAXES|WCSNAME|CTYPE\d+|CUNIT\d+|CRPIX\d+|CRVAL\d+|CDELT\d+|CROTA\d+|(PC|CD|PV|PS)\d+_\d+|"
    r"LONPOLE|LATPOLE)[A-Z]?|WAVELNTH|WAVEUNIT|TIMEUNIT|BUNIT"
)


def _cards(ds: Any) -> dict[str, Any]:
    """The cards of a frame, or those that all frames of a selection have in common.

    Of several frames the first beginning and the last end.
    """
    table = ds.headers
    instrument = (ds.inventory or {}).get("instrumentName")
    shared: dict[str, Any] = {} if instrument is None else {"INSTRUME": str(instrument)}
    if table is None or not len(table):
        return shared
    for keyword, value in table[0].items():
        if _NOT_OF_A_MAP.fullmatch(keyword):
            continue
        column = table[keyword]
        if keyword in ("DATE-BEG", "DATE-END"):
            value = (min if keyword == "DATE-BEG" else max)(column.tolist())
        elif len(table) > 1 and not np.ma.filled(column == value, False).all():
            continue
        shared[keyword] = value.item() if isinstance(value, np.generic) else value
    return shared


def _date(ds: Any, world: World) -> Time:
    """The middle of a selection in time, by its headers or else by its WCS."""
    if ds.headers is not None and "DATE-AVG" in ds.headers.colnames and len(ds.headers):
        moments = Time(ds.headers["DATE-AVG"].tolist(), format="fits", scale="utc")
        return Time(moments.mean(), format="isot", precision=6)
    for part in (world, world.held):
        axis = None if part is None else part.of_kind("time")
        if part is not None and axis is not None:
            return Time(part.time(part.along([axis])[0].mean()), precision=6)
    return Time(world.frame.obstime, format="isot", precision=6)


def _observer(frame: Any, cards: dict[str, Any], date: Time) -> Any:
    """Where the telescope was at a moment: the WCS knows it for one moment of the whole dataset."""
    from sunpy.coordinates import HeliographicStonyhurst

    keywords = ("OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z")
    if set(keywords) <= set(cards):
        place = CartesianRepresentation(*(cards[keyword] for keyword in keywords), unit=u.m)
    elif frame.observer is not None:
        place = frame.observer.transform_to(ITRS(obstime=frame.obstime)).cartesian
    else:
        return None  # sunpy says that it takes the Earth's centre
    return ITRS(place, obstime=date).transform_to(HeliographicStonyhurst(obstime=date))


def _wavelength(world: World, cards: dict[str, Any]) -> u.Quantity | None:
    for part in (world, world.held):
        axis = None if part is None else part.of_kind("wavelength")
        if part is not None and axis is not None and not axis.array_axes:
            return u.Quantity(float(part.along([axis])[0]), axis.unit).to(u.nm, u.spectral())
    for keyword in ("FRAMEWAV", "LINEWAV"):
        if keyword in cards:
            return cards[keyword] * u.nm
    return None
