"""Draw the fields of several datasets on a map of the Sun, or on its disk."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dkist_virtual.cube.screens import assume_screen, check_screen
from dkist_virtual.dataset.dataset import Dataset
from dkist_virtual.dataset.mosaic import TiledDataset
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

if TYPE_CHECKING:
    from astropy.coordinates import BaseCoordinateFrame
    from astropy.time import Time
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray
    from sunpy.map import GenericMap

    from dkist_virtual.cube.world_axes import World

__all__ = ["plot_context"]

_WHAT: Final = "plot_context"

_LONG: Final = 7.0
"""Days over which fields may be turned without a warning."""

_DISK: Final = (2400, 1.0)
"""Pixels of the disk of the Sun, and arcseconds a pixel."""


def plot_context(
    datasets: Any,
    background: GenericMap | Literal["limb"] | None = None,
    *,
    zoom: bool = True,
    rotate: bool | str = True,
    screen: Literal["spherical"] | None = "spherical",
    figure: Figure | SubFigure | None = None,
    cmap: Any = None,
    norm: Any = None,
    clip_interval: Any = None,
) -> Figure | SubFigure:
    """Draw where on the Sun datasets are: the edges of their fields, on a map or on the limb.

    Of each dataset the edge at the middle of its pointings is drawn, at its own time, as the
    observer of the map sees it at the time of the map. Of a mosaic there are all tiles. Reads no
    frame.

    Parameters
    ----------
    datasets : Dataset, TiledDataset, list of them, or dict
        The keys of a dict are what the legend says: by default instrument, ID and time.
    background : sunpy.map.GenericMap or "limb", optional
        Such as a map of AIA or HMI; by default the limb, with lines of Stonyhurst longitude and
        latitude every 15 degrees, as the telescope sees them at the time of the first dataset.
    zoom : bool
        Whether to draw the part with the fields beside the whole.
    rotate : bool or {"howard", "snodgrass", "allen", "rigid"}
        Whether fields turn with the surface of the Sun, from their own time to that of the map, by
        a law of rotation of sunpy's. Without it they stay where they are in space.
    screen : {"spherical"}, optional
        Where what is off the limb is assumed to be: around the telescope, at the distance of the
        Sun. Without it, it is left out where observer or time differ.
    figure : matplotlib.figure.Figure or SubFigure, optional
        To draw in; by default a new one of pyplot's.
    cmap, norm, clip_interval : optional
        Of the image of the map, as `sunpy.map.GenericMap.plot` takes them.

    Returns
    -------
    matplotlib.figure.Figure or SubFigure
        Whose axes have the coordinates of the map.

    Raises
    ------
    DatasetError
        No datasets, or something else; a background that is not a map.

    Examples
    --------
    >>> dv.plot_context([visp, vbi], aia)  # doctest: +SKIP
    """
    from dkist_virtual.plot.charts.context import draw_context
    from dkist_virtual.science.paths.turning import check_law

    law = check_law(_WHAT, rotate)
    check_screen(_WHAT, screen)
    named = _named(datasets)
    fields = [(name, *_fields(of)) for name, of in named]
    from sunpy.map import GenericMap

    is_map = isinstance(background, GenericMap)
    if not is_map and background not in (None, "limb"):
        raise DatasetError(
            f"plot_context: background={background!r}: expected a sunpy map, or 'limb'"
        )
    wcs = background.wcs if isinstance(background, GenericMap) else _limb(fields[0][2])
    outlines = []
    for name, edges, world in fields:
        seen = [_seen(edge, world, wcs, law, screen) for edge in edges]
        if law is not None and (days := _days_apart(world, wcs)) > _LONG:
            warnings.warn(
                f"plot_context: {name} is turned over {days:.0f} days to the time of the map, over "
                "which differential rotation shears it: rotate=False leaves it where it was",
                DKISTVirtualWarning,
                stacklevel=2,
            )
        outlines.append((name, seen))
        if not any(np.isfinite(edge).any() for edge in seen):
            warnings.warn(
                f"plot_context: {name} is not on the side of the Sun that the map shows, or off "
                "its limb: it is left out",
                DKISTVirtualWarning,
                stacklevel=2,
            )
    given = {"cmap": cmap, "norm": norm, "clip_interval": clip_interval}
    look = {name: value for name, value in given.items() if value is not None}
    return draw_context(background if is_map else None, wcs, outlines, zoom, figure, look)


def _named(datasets: Any) -> list[tuple[str, Any]]:
    """List datasets with their names."""
    if isinstance(datasets, (Dataset, TiledDataset)):
        datasets = [datasets]
    if isinstance(datasets, Mapping):
        pairs = [(str(name), of) for name, of in datasets.items()]
    elif isinstance(datasets, Sequence) and not isinstance(datasets, str):
        pairs = [("", of) for of in datasets]
    else:
        pairs = []
    wrong = [of for _, of in pairs if not isinstance(of, (Dataset, TiledDataset))]
    if not pairs or wrong:
        found = type(wrong[0]).__name__ if wrong else repr(datasets)
        raise DatasetError(
            f"plot_context: found {found}: expected a Dataset or TiledDataset, a list of them, or "
            "a dict of names to them"
        )
    return [(name or _name(of), of) for name, of in pairs]


def _tiles(of: Any) -> list[Any]:
    return list(of.flat) if isinstance(of, TiledDataset) else [of]


def _name(of: Any) -> str:
    """Write instrument, ID and time."""
    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.science.paths.turning import moments_of

    record = of.inventory or {}
    words = [record.get("instrumentName"), record.get("datasetId")]
    spans = [moments_of(World(tile.wcs, tile.shape)) for tile in _tiles(of)]
    known = [span for span in spans if span is not None]
    if known:
        first = min(span[0] for span in known).strftime("%Y-%m-%d %H:%M")
        last = max(span[1] for span in known).strftime("%Y-%m-%d %H:%M")
        end = last[11:] if last[:10] == first[:10] else last
        words.append(f"{first} UTC" if first == last else f"{first} to {end} UTC")
    return " ".join(str(word) for word in words if word) or "dataset"


def _fields(of: Any) -> tuple[list[NDArray[np.float64]], World]:
    """Return the edges of all tiles, and the world of the first."""
    from dkist_virtual.science.paths.footprint import edge_of

    found = [edge_of(tile, _WHAT) for tile in _tiles(of)]
    return [edge for _, _, edge in found], found[0][1]


def _middle(world: World) -> Time | None:
    from dkist_virtual.science.paths.turning import moments_of

    span = moments_of(world)
    if span is None:
        return getattr(world.frame, "obstime", None)
    return span[0] + (span[1] - span[0]) / 2


def _own_frame(world: World) -> BaseCoordinateFrame:
    """Return the frame of the telescope's sky at the middle of a dataset's time."""
    from dkist_virtual.science.alignment.reference import frame_at

    frame, middle = world.frame, _middle(world)
    assert frame is not None
    if middle is None or getattr(frame, "observer", None) is None:
        raise DatasetError(
            f"plot_context: the frame of a dataset's sky has no observer or no time: {frame!r}"
        )
    return frame_at(frame, middle)


def _limb(world: World) -> Any:
    """Make the WCS of the disk of the Sun, as a telescope sees it."""
    import astropy.units as u
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS
    from sunpy.map.header_helper import make_fitswcs_header

    n, scale = _DISK
    centre = SkyCoord(0 * u.arcsec, 0 * u.arcsec, frame=_own_frame(world))
    header = make_fitswcs_header((n, n), centre, scale=[scale, scale] * u.arcsec / u.pixel)
    return WCS(header)


def _days_apart(world: World, wcs: Any) -> float:
    from astropy.wcs.utils import wcs_to_celestial_frame

    middle, target = _middle(world), wcs_to_celestial_frame(wcs).obstime
    if middle is None or target is None:
        return 0.0
    return float(abs((target - middle).to_value("day")))


def _seen(
    edge: NDArray[np.float64], world: World, wcs: Any, law: str | None, screen: str | None
) -> NDArray[np.float64]:
    """Return the pixels of the background, x and y, of the edge of a field: NaN if not visible."""
    from contextlib import ExitStack

    from astropy.coordinates import SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame
    from sunpy.coordinates import propagate_with_solar_surface

    from dkist_virtual.science.paths.turning import is_seen

    target = wcs_to_celestial_frame(wcs)
    source = _own_frame(world)
    sky = SkyCoord(edge[:, 0], edge[:, 1], unit="arcsec", frame=source)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", ".*off-disk coordinates")
        stack.enter_context(assume_screen(_WHAT, screen, source))
        if law is not None:
            stack.enter_context(propagate_with_solar_surface(law))
        there = sky.transform_to(target)
        pixels = np.stack(wcs.world_to_pixel(there), axis=-1).astype(float)
    pixels[~is_seen(there)] = np.nan
    return pixels
