"""Draw fields on the Sun: where astropy and sunpy put their corners."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from sunpy.coordinates import propagate_with_solar_surface
from sunpy.map import GenericMap, Map
from sunpy.map.header_helper import make_fitswcs_header
from suns import tile
from turning_sun import telescope

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError


def corners(ds: dv.Dataset) -> SkyCoord:
    """The corners of the outermost pixels of an image, by astropy."""
    ny, nx = ds.shape
    x = np.array([-0.5, nx - 0.5, nx - 0.5, -0.5])
    y = np.array([-0.5, -0.5, ny - 0.5, ny - 0.5])
    return ds.wcs.pixel_to_world(x, y)


def area(tx: Any, ty: Any) -> float:
    """Of a ring, with the sign of its direction (the shoelace formula)."""
    return float((tx[:-1] * ty[1:] - tx[1:] * ty[:-1]).sum() / 2)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_footprint_goes_around_the_outermost_pixels(mirrored: bool) -> None:
    ds = tile((-160, 80), (20, 30), rotation=25, mirrored=mirrored)
    ring = ds.footprint()
    tx, ty = ring.Tx.arcsec, ring.Ty.arcsec
    assert (tx[0], ty[0]) == (tx[-1], ty[-1])
    known = corners(ds)
    np.testing.assert_allclose(tx[:-1].reshape(4, -1)[:, 0], known.Tx.arcsec, atol=1e-3)
    np.testing.assert_allclose(ty[:-1].reshape(4, -1)[:, 0], known.Ty.arcsec, atol=1e-3)
    # 20 x 30 pixels of half an arcsecond; a mirrored detector goes the other way around.
    assert area(tx, ty) == pytest.approx(-150 if mirrored else 150, rel=1e-4)


@pytest.mark.slow
def test_the_footprint_of_a_mirrored_detector_and_of_a_slit(datasets: Any) -> None:
    """Of BMPNP, which is off the limb, and of BKEWK."""
    cryo = datasets("croppable_cryo")[0]
    ring = cryo.footprint()
    at = cryo.wcs.pixel_to_world([-0.5, 1750.5], [-0.5, 1887.5], [1, 1], [1, 1])
    sky = next(one for one in at if isinstance(one, SkyCoord))
    tx = ring.Tx.arcsec[:-1].reshape(4, -1)[::2, 0]
    np.testing.assert_allclose(tx, sky.Tx.arcsec, atol=0.01)
    assert area(ring.Tx.arcsec, ring.Ty.arcsec) < 0
    slit = datasets("croppable_visp")[0, 600, 0]
    line = slit.footprint()
    sky = slit.wcs.pixel_to_world(np.array([0, 2554]))
    np.testing.assert_allclose(line[[0, -1]].Ty.arcsec, sky.Ty.arcsec, atol=1e-6)
    with pytest.raises(SelectionError, match="no extent on the sky"):
        datasets("croppable_visp")[0, 600, :, 5].footprint()


def sun(time: str, scale: float = 8.0) -> GenericMap:
    from astropy.time import Time

    frame = telescope(Time(time))
    centre = SkyCoord(0 * u.arcsec, 0 * u.arcsec, frame=frame)
    header = make_fitswcs_header(
        (300, 300), centre, scale=[scale, scale] * u.arcsec / u.pixel, rotation_angle=10 * u.deg
    )
    return Map(np.random.default_rng(1).random((300, 300)), header)


def lines_of(axes: Any) -> dict[str, Any]:
    named = {line.get_label(): line for line in axes.lines}
    return {name: line.get_xydata() for name, line in named.items() if not name.startswith("_")}


@pytest.mark.slow
def test_fields_are_where_the_map_sees_them(datasets: Any) -> None:
    """An hour later, and turned with the Sun: by sunpy alone."""
    ds = datasets("large_vbi")
    image = sun("2023-10-16T19:47:30")
    figure = dv.plot_context({"VBI": ds}, image, figure=Figure())
    assert len(figure.axes) == 2
    drawn = lines_of(figure.axes[0])["VBI"]
    low = ds.wcs.low_level_wcs
    lon, lat, *_ = low.pixel_to_world_values(-0.5, -0.5, 1)
    start = SkyCoord(
        lon * u.Unit(low.world_axis_units[0]), lat * u.Unit(low.world_axis_units[1]),
        frame=telescope(ds.wcs.pixel_to_world(0, 0, 1)[1]),
    )  # fmt: skip
    with propagate_with_solar_surface():
        there = start.transform_to(image.coordinate_frame)
    x, y = image.wcs.world_to_pixel(there)
    assert drawn[0] == pytest.approx((float(x), float(y)), abs=0.02)
    # Without turning it stays in space: 14.33 degrees a day of 964 arcsec are 10.04 arcsec an hour
    # in the middle of the disk, and 9.72 here. A pixel has eight.
    still = dv.plot_context(ds, image, figure=Figure(), rotate=False, zoom=False)
    (other,) = lines_of(still.axes[0]).values()
    away = np.hypot(*(drawn[0] - other[0]))
    assert away == pytest.approx(9.72 / 8, rel=0.01)


def test_panels_leave_room_for_each_other() -> None:
    figure = dv.plot_context(tile((0, 0)))
    figure.canvas.draw()  # a warning of a layout that was not applied would be an error
    whole, part = (axes.get_tightbbox(figure.canvas.get_renderer()) for axes in figure.axes)
    assert whole.x1 < part.x0
    plt.close(figure)


def test_fields_are_drawn_on_the_limb() -> None:
    ds = tile((-900, 300), (40, 60))  # across the limb
    mosaic = dv.TiledDataset(np.array([[tile((0, 80))], [tile((24, 80), seconds=3.0)]], object))
    figure = dv.plot_context({"spot": ds, "mosaic": mosaic}, figure=Figure())
    whole, part = figure.axes
    assert list(lines_of(whole)) == ["spot", "mosaic"]
    assert "2023-10-16 18:47 UTC" in figure.get_suptitle()
    ring = np.concatenate(
        [line.get_xydata() for line in part.lines if len(line.get_xydata()) == 65]
    )
    assert np.isfinite(ring).all()  # off the limb too, at its own time
    (left, right), (bottom, top) = part.get_xlim(), part.get_ylim()
    assert left < ring[:, 0].min() < ring[:, 0].max() < right
    assert bottom < ring[:, 1].min() < ring[:, 1].max() < top


def test_what_cannot_be_drawn_is_refused() -> None:
    ds = tile((0, 0))
    for wrong in ([], 3, "dataset", [ds, None]):
        with pytest.raises(DatasetError, match="expected a Dataset or TiledDataset"):
            dv.plot_context(wrong)
    with pytest.raises(DatasetError, match="expected a sunpy map, or 'limb'"):
        dv.plot_context(ds, "disk")
    with pytest.raises(DatasetError, match="rotate='solid'"):
        dv.plot_context(ds, rotate="solid")
    # Two weeks later it is behind the Sun.
    with (
        pytest.warns(DKISTVirtualWarning, match="is not on the side of the Sun"),
        pytest.warns(DKISTVirtualWarning, match="is turned over 14 days"),
    ):
        dv.plot_context(ds, sun("2023-10-30T18:47:00"), figure=Figure())
