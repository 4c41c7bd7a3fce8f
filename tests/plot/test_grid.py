"""Compare coordinates from a few pixels with the WCS's own at every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.wcs.wcsapi import HighLevelWCSWrapper
from samples import mostly_slow

from dkist_virtual.cube.world_axes import World, wrap
from dkist_virtual.plot.planes import shown_axes
from dkist_virtual.plot.sky_grid import TOLERANCE, PlaneGrid, PlaneWCS, sky_axes, sky_grid

if TYPE_CHECKING:
    import dkist_virtual as dv

SKY: dict[str, Any] = {
    "vtf": (0, 0, 0),
    "vbi_mosaic": (0,),
    "vbi_mosaic_missing": (1,),
    "dlnirsp": (0, 1, 3),
    "visp": (0, slice(None), 3),
    "visp_moving": (0, slice(None), 3),
    "cryonirsp": (0, 1, slice(None), slice(None), 5),
    "croppable_visp": (0, slice(None), 500, slice(0, 2555, 50)),
    "croppable_cryo": (0, 1, 1),
    "large_vbi": (2, slice(0, 600), slice(100, 500)),
    "large_visp": (0, slice(None), 20),
}


def plane(ds: dv.Dataset) -> tuple[Any, PlaneGrid, Any, Any]:
    """A plane of the sky, its grid, and the coordinates of its pixels by the WCS itself."""
    subject = ds.subject()
    shown = shown_axes(subject.world)
    assert shown.y is not None
    grid = sky_grid(subject, shown, [0.0] * len(ds.shape))
    y, x = np.indices((ds.shape[shown.y], ds.shape[shown.x]))
    pixels: list[Any] = [None, None]
    pixels[shown.x], pixels[shown.y] = x, y
    values = ds.wcs.low_level_wcs.pixel_to_world_values(*pixels[::-1])
    sky = sky_axes(subject, shown)
    assert sky is not None
    exact = [np.asarray(values[axis.index]) for axis in sky]
    return shown, grid, (x, y), np.stack([wrap(exact[0], "arcsec"), exact[1]])


@pytest.mark.every(8)
@pytest.mark.parametrize(
    "name", mostly_slow(SKY, "vtf", "vbi_mosaic_missing", "visp", "croppable_visp")
)
def test_every_pixel_within_the_tolerance(name: str, datasets: Any) -> None:
    _, grid, (x, y), exact = plane(datasets(name)[SKY[name]])
    away = np.abs(grid.world(x, y) - exact) / grid.per_pixel[:, None, None]
    assert away.max() <= 2 * TOLERANCE
    # Back to where it came from.
    np.testing.assert_allclose(grid.pixels(*grid.world(x, y)), [x, y], atol=0.01)


def test_few_pixels_are_asked_for(datasets: Any) -> None:
    ds = datasets("large_vbi")[0]
    subject = ds.subject()
    asked = 0
    values = subject.world.values

    def counted(*positions: Any) -> Any:
        nonlocal asked
        asked += max(np.size(p) for p in positions)
        return values(*positions)

    subject.world.values = counted
    sky_grid(subject, shown_axes(World(ds.wcs, ds.shape)), [0.0, 0.0])
    assert asked < 2000  # of 16,777,216


def test_a_grid_that_no_lattice_of_few_pixels_says() -> None:
    """A jump from one column to the next: every one of them becomes a lattice point."""
    steps = np.cumsum(np.where(np.arange(200) % 7 == 3, 2.5, 1.0))

    def evaluate(x: Any, y: Any) -> Any:
        return np.stack([np.interp(x, np.arange(200), steps), y * 0.5])

    grid = PlaneGrid.of(evaluate, (40, 200))
    y, x = np.indices((40, 200))
    np.testing.assert_allclose(grid.world(x, y), evaluate(x, y), atol=1e-9)
    assert grid.error < 1e-9


def test_positions_that_are_uneven_are_all_asked_for_soon() -> None:
    """As those of a raster are, each of which costs an evaluation of its own."""
    steps = np.arange(688) + np.random.default_rng(22).normal(0, 0.3, 688)
    asked = 0

    def evaluate(x: Any, y: Any) -> Any:
        nonlocal asked
        asked += np.unique(x).size
        return np.stack([np.interp(x, np.arange(688), steps), y + np.sin(y / 500)])

    grid = PlaneGrid.of(evaluate, (2555, 688))
    assert asked < 1.2 * 688
    y, x = np.indices((2555, 688))[:, ::50]
    np.testing.assert_allclose(grid.world(x, y), evaluate(x, y), atol=0.05)
    assert grid.error < 0.05


def test_unknown_coordinates_stay_unknown() -> None:
    def evaluate(x: Any, y: Any) -> Any:
        values = np.stack([x * 1.0, y * 2.0])
        values[:, x > 8] = np.nan
        return values

    grid = PlaneGrid.of(evaluate, (10, 12))
    assert np.isnan(grid.world(11, 3)).all()
    np.testing.assert_allclose(grid.world(4, 3), [4, 6])


@pytest.mark.parametrize("name", mostly_slow(["vtf", "large_vbi", "visp"], "vtf"))
def test_astropys_view_of_it(name: str, datasets: Any) -> None:
    ds = datasets(name)[SKY[name]]
    shown, grid, _, _ = plane(ds)
    subject = ds.subject()
    shape = (ds.shape[shown.y], ds.shape[shown.x])
    wcs = HighLevelWCSWrapper(
        PlaneWCS(grid, subject.world.frame, sky_axes(subject, shown), shape)  # type: ignore[arg-type]
    )
    here = wcs.pixel_to_world(2, 3)
    pixel: list[Any] = [None, None]
    pixel[shown.x], pixel[shown.y] = 2, 3
    found = ds.wcs.pixel_to_world(*pixel[::-1])
    there = next(c for c in (found if isinstance(found, list) else [found]) if hasattr(c, "frame"))
    assert here.separation(there).arcsec < 0.01 * max(grid.pixel_size)
    np.testing.assert_allclose(wcs.world_to_pixel(here), (2, 3), atol=0.01)
    assert wcs.array_shape == shape
