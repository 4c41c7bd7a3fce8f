"""Export an image of the sky as a sunpy Map, with a FITS header that fits its WCS."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import astropy.units as u
import numpy as np
from astropy.coordinates import ITRS, CartesianRepresentation, SkyCoord
from astropy.time import Time
from astropy.wcs import WCS

from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.state import own_coordinates
from dkist_virtual.dataset.export.own_meta import exported_meta
from dkist_virtual.dataset.export.xarray_coordinates import dimensions
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError
from dkist_virtual.times import is_blank

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from sunpy.map import GenericMap

    from dkist_virtual.cube.world_axes import Values
    from dkist_virtual.dataset.derived.state import FrameCube
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = ["common_cards", "stated_tangent", "to_map"]


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """A tangent plane of the sky with evenly spaced pixels, in the words of a FITS header."""

    crval: Values  # longitude and latitude of the tangent point, degrees
    crpix: Values  # its pixel, x first, counted from 0
    cd: Values  # degrees on the plane, longitude first, a pixel along x and y
    away: float  # pixels from the sky, at most


def to_map(ds: FrameCube, tolerance: float) -> GenericMap:
    """Export a selection with two axes, both on the sky, as a sunpy Map, see `Dataset.to_map`."""
    import sunpy.map

    world = World(ds.wcs, ds.shape)
    _check_spatial(ds, world)
    plane = _plane(ds, world)
    if not plane.away <= tolerance:
        raise SelectionError(
            f"ds.to_map(): a map's header describes a plane, and the sky of this selection is up "
            f"to {plane.away:.3g} pixels away from one: expected {tolerance:g} at most. "
            "ds.to_map(tolerance=...) takes more; ds.wcs says where each pixel is"
        )
    cards, date = common_cards(ds), _date(ds, world)
    sky: Any = world.frame  # as `_check_spatial` saw
    frame = sky.replicate_without_data(obstime=date, observer=_observer(sky, cards, date))
    data, crpix, cd = np.asarray(ds.data), plane.crpix, plane.cd  # sunpy rotates no dask array
    per_pixel = _values_per_pixel(ds)
    moves_on = any(axis.kind == "time" and axis.array_axes for axis in world.axes)
    if moves_on and abs(cd[0, 1]) > abs(cd[1, 1]):  # steps towards longitude are along x
        data, crpix, cd = data.T, crpix[::-1], cd[:, ::-1]
        per_pixel = {name: value.T for name, value in per_pixel.items()}
    scale = np.hypot(*cd.T)
    wavelength = _wavelength(ds, world, cards)
    if wavelength is not None:  # else what the frames say of it: sunpy asks for EIT's
        cards = {key: card for key, card in cards.items() if key not in ("WAVELNTH", "WAVEUNIT")}
    header = sunpy.map.make_fitswcs_header(
        data.shape,
        SkyCoord(*(plane.crval * u.deg), frame=frame),
        reference_pixel=crpix * u.pix,
        scale=scale * u.deg / u.pix,
        rotation_matrix=cd / scale[:, None],
        wavelength=wavelength,
        unit=ds.unit,
    )
    header = {name: card for name, card in header.items() if not name.startswith("date")}
    if "XPOSURE" in cards:
        cards["TIMEUNIT"] = "ms"  # DKIST's exposures are, where FITS, and sunpy, expect seconds
    if (spread := ds.uncertainty) is not None:
        per_pixel["uncertainty"] = type(spread)(per_pixel["uncertainty"], unit=spread.unit)
    made = {"DATE-AVG": date.utc.isot, **header}
    if ds.lineage.is_computed:
        cards["HISTORY"] = "computed by dkist_virtual: no frame has these pixels"
    own = _own_cards(ds, {*cards, *made, *(name.upper() for name in made)})
    smap = sunpy.map.Map(data, {**cards, **own, **made}, psf=ds.psf, **per_pixel)
    if ds.lineage.is_computed:
        named = (smap.nickname, ds.lineage.quantity, "(computed)")
        smap.nickname = " ".join(part for part in named if part)
    return smap


def _values_per_pixel(ds: FrameCube) -> dict[str, Any]:
    """Return what has a value for each pixel, as numpy arrays."""
    per_pixel = {}
    if ds.mask is not None:
        per_pixel["mask"] = np.broadcast_to(np.asarray(ds.mask), ds.shape).copy()
    if ds.uncertainty is not None:
        per_pixel["uncertainty"] = np.asarray(ds.uncertainty.array)
    return per_pixel


def _own_cards(ds: FrameCube, taken: set[str]) -> dict[str, Any]:
    """Make cards of what the user put into the meta; warn of what is left behind."""
    left = [f"the coordinate {name}" for name in (*own_coordinates(ds), *ds.extra_coords.keys())]
    cards = {}
    for key, value in exported_meta(ds).items():
        if key in taken or key.upper() in taken:
            raise DatasetError(
                f"to_map: meta[{key!r}] would take the place of a card of that name: rename it "
                "before, or set the headers' column"
            )
        if isinstance(value, (str, int, float, bool)):
            cards[key] = value
        else:
            left.append(f"meta[{key!r}]")
    if left:
        warnings.warn(
            f"to_map: {', '.join(left)} is left behind: a map has no place for it",
            DKISTVirtualWarning,
            stacklevel=4,
        )
    return cards


def _check_spatial(ds: FrameCube, world: World) -> None:
    """Refuse a selection that is not an image of the sky, and say what to index."""
    sky = [axis for axis in world.axes if axis.kind in ("longitude", "latitude")]
    along = sorted({on for axis in sky for on in axis.array_axes})
    if len(sky) < 2 or "observer" not in getattr(world.frame, "frame_attributes", ()):
        raise SelectionError(
            "ds.to_map(): a map shows the sky as an observer sees it: the WCS of this selection "
            "has no such longitude and latitude"
        )
    if along != [0, 1] or len(ds.shape) != 2:
        dims, kept = dimensions(ds), along[-2:]
        index = ", ".join(":" if axis in kept else "0" for axis in range(len(dims)))
        axes = ", ".join(f"{dim} ({n})" for dim, n in zip(dims, ds.shape, strict=True))
        raise SelectionError(
            "ds.to_map(): a map has two axes, along both of which the sky changes; found "
            f"{axes}, and the sky changes along {' and '.join(dims[on] for on in along) or 'none'}"
            + (f": select, for instance ds[{index}]" if len(kept) == 2 else "")
        )
    if min(ds.shape) < 2:
        raise SelectionError(
            f"ds.to_map(): a map has at least two pixels along each axis, found {ds.shape}"
        )


def _plane(ds: FrameCube, world: World) -> _Plane:
    """Find the plane that is nearest to the sky of a selection."""
    lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
    assert lon is not None
    assert lat is not None
    timed = {on for axis in world.axes if axis.kind == "time" for on in axis.array_axes}
    # The pointing may jump from step to step, and does not within a frame.
    rows, columns = (
        np.arange(n, dtype=float) if axis in timed else np.unique(np.linspace(0, n - 1, 33).round())
        for axis, n in enumerate(ds.shape)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    values = world.values(y, x)
    sky = [u.Quantity(values[axis.index].ravel(), axis.unit).to_value(u.deg) for axis in (lon, lat)]
    unknown = ~(np.isfinite(sky[0]) & (np.abs(sky[1]) <= 90))
    if unknown.any():
        raise SelectionError(
            f"ds.to_map(): the WCS has no position on the sky, with a latitude within 90 degrees, "
            f"for {unknown.sum()} of the {unknown.size} pixels checked"
        )
    middle = len(sky[0]) // 2
    tangents = [np.array([sky[0][middle], sky[1][middle]]), *stated_tangent(ds)]
    planes = [_fit(x.ravel(), y.ravel(), sky, tangent) for tangent in tangents]
    return min(planes, key=lambda plane: plane.away)


def _frame_headers(ds: FrameCube) -> HeaderTable | None:
    """Return the headers of the selected frames; None where no row is known to be of a pixel."""
    return None if ds.provenance is None else ds.headers


def stated_tangent(ds: FrameCube) -> list[Values]:
    """Read the tangent point in the header of the first frame, degrees, if it is there."""
    headers = _frame_headers(ds)
    if headers is None or not len(headers):
        return []
    row = headers[0]
    found = {
        str(row[f"CTYPE{n}"]): u.Quantity(row[f"CRVAL{n}"], str(row[f"CUNIT{n}"]))
        for n in range(1, 6)
        if {f"CTYPE{n}", f"CRVAL{n}", f"CUNIT{n}"} <= set(row.keys())
    }
    if not {"HPLN-TAN", "HPLT-TAN"} <= set(found):
        return []
    return [np.array([found[name].to_value(u.deg) for name in ("HPLN-TAN", "HPLT-TAN")])]


def _fit(x: Values, y: Values, sky: list[Values], tangent: Values) -> _Plane:
    """Fit evenly spaced pixels to positions, on the plane that touches the sky at a point."""
    touching = WCS(naxis=2)
    touching.wcs.ctype = ["HPLN-TAN", "HPLT-TAN"]
    touching.wcs.crval = tangent
    on_plane = np.column_stack(touching.wcs_world2pix(*sky, 0)) + 1  # CRPIX is 0, from 1
    pixels = np.column_stack([x, y, np.ones(len(x))])
    matrix = np.linalg.lstsq(pixels, on_plane)[0]
    cd = matrix[:2].T
    large, small = np.linalg.svd(cd, compute_uv=False)
    if small <= 1e-6 * large:  # a slit that does not move
        raise SelectionError(
            "ds.to_map(): a map shows an area of the sky, and the pixels of this selection lie on "
            "a line. ds.plot() draws them over time, or over pixels"
        )
    off = np.linalg.solve(cd, (pixels @ matrix - on_plane).T)
    return _Plane(tangent, -np.linalg.solve(cd, matrix[2]), cd, float(np.hypot(*off).max()))


_NOT_OF_A_MAP: Final = re.compile(
    # What describes the file, and every word of a WCS: a map's is made from that of the selection.
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|[PG]COUNT|TFIELDS|BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|"
    r"(WCSAXES|WCSNAME|CNAME\d+|CTYPE\d+|CUNIT\d+|CRPIX\d+|CRVAL\d+|CDELT\d+|CROTA\d+|(PC|CD|PV|PS)\d+_\d+|"
    r"LONPOLE|LATPOLE)[A-Z]?|TIMEUNIT|BUNIT"
)


_OF_PIXELS: Final = re.compile(r"BTYPE|DATA(MIN|MAX|MEAN|MEDN|RMS|KURT|SKEW|P\d\d)")
"""Cards about the pixels of a frame, which are wrong of computed pixels."""


def common_cards(ds: FrameCube) -> dict[str, Any]:
    """Return the cards that all frames of a selection have in common.

    Of several frames, DATE-BEG is the first and DATE-END the last.
    """
    table, computed = _frame_headers(ds), ds.lineage.is_computed
    instrument = (ds.inventory or {}).get("instrumentName")
    shared: dict[str, Any] = {} if instrument is None else {"INSTRUME": str(instrument)}
    if table is None or not len(table):
        return shared
    first = table[0]
    there = ds.lineage.same_columns(first.keys())
    for keyword in there:
        value = first[keyword]
        if _NOT_OF_A_MAP.fullmatch(keyword) or (computed and _OF_PIXELS.fullmatch(keyword)):
            continue
        known = np.ma.compressed(table[keyword])
        if keyword in ("DATE-BEG", "DATE-END"):
            dates = [date for date in known.tolist() if not is_blank(date)]
            if not dates:
                continue
            value = (min if keyword == "DATE-BEG" else max)(dates)
        elif len(known) < len(table) or not (known == value).all():
            continue
        shared[keyword] = value.item() if isinstance(value, np.generic) else value
    return shared


def _date(ds: FrameCube, world: World) -> Time:
    """Return the middle of a selection in time, by its headers or else by its WCS."""
    tables = ds.lineage.other_headers()
    if (own := _frame_headers(ds)) is not None:
        tables.insert(0, own)
    known = [row.get("DATE-AVG") for table in tables for row in table]
    if known and not any(map(is_blank, known)):
        try:
            moments = Time([str(moment) for moment in known], format="fits", scale="utc")
        except ValueError:
            pass  # not dates: the WCS knows
        else:
            return Time(moments.mean(), format="isot", precision=6)
    for part in world.parts:
        if (axis := part.of_kind("time")) is not None:
            return Time(part.time(part.along([axis])[0].mean()), precision=6)
    return Time(getattr(world.frame, "obstime", None), format="isot", precision=6)


def _observer(
    frame: BaseCoordinateFrame, cards: dict[str, Any], date: Time
) -> BaseCoordinateFrame | None:
    """Return where the telescope was: the WCS has it for one moment of the whole dataset."""
    from sunpy.coordinates import HeliographicStonyhurst

    keywords = ("OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z")
    if set(keywords) <= set(cards):
        place = CartesianRepresentation(*(cards[keyword] for keyword in keywords), unit=u.m)
    elif frame.observer is not None:
        place = frame.observer.transform_to(ITRS(obstime=frame.obstime)).cartesian
    else:
        return None  # sunpy says that it takes the Earth's centre
    return ITRS(place, obstime=date).transform_to(HeliographicStonyhurst(obstime=date))


_ROUNDING: Final = 1e-14
"""A wavelength this near to a short number is that number."""


def _wavelength(ds: FrameCube, world: World, cards: dict[str, Any]) -> u.Quantity | None:
    found = [
        (part, axis) for part in world.parts if (axis := part.of_kind("wavelength")) is not None
    ]
    lineage = ds.lineage
    is_of_one = found or not lineage.is_of_intensities
    if is_of_one and lineage.is_computed and "wavelength" not in lineage.common():
        return None
    for part, axis in found:
        if not axis.array_axes:
            value = u.Quantity(float(part.along([axis])[0]), axis.unit).to(u.nm, u.spectral())
            short = float(f"{value.value:.12g}")  # 630.25, where it says 630.2500000000002
            return short * u.nm if abs(short / value.value - 1) < _ROUNDING else value
    for keyword in ("FRAMEWAV", "LINEWAV"):
        if keyword in cards:
            return cards[keyword] * u.nm
    return None
