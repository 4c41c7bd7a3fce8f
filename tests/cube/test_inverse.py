"""Compare the pixels of world coordinates with those that have them, and with other packages."""

from __future__ import annotations

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astropy.wcs import WCS as FITSWCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from dkist_assets import load, unpacked
from gwcs import WCS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reproject import reproject_interp
from samples import mostly_slow
from sunpy.coordinates import HeliographicStonyhurst

import dkist_virtual as dv
from dkist_virtual.cube.inverse.invertible_wcs import InvertibleWCS, plain
from dkist_virtual.cube.inverse.lattice import TOLERANCE

SIMULATED = ("vtf", "visp", "vbi_mosaic", "cryonirsp", "dlnirsp", "visp_moving")
REAL = ("croppable_cryo", "croppable_visp", "large_vbi", "large_visp", "visp_no_headers")
WCSS = (*SIMULATED, *REAL)
QUICK = ("vtf", "croppable_cryo")
EDGES = (-0.49, -0.4, 0.4, 0.49)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def lengths(ds: Any) -> list[int]:
    """Pixels along each pixel axis of a dataset's WCS."""
    return [*ds.shape[::-1], *[1] * ds.wcs.pixel_n_dim][: ds.wcs.pixel_n_dim]


def some_pixels(ds: Any, n: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """Pixels of all kinds: whole ones, between them, and up to the edges of the array."""
    rng, sizes = np.random.default_rng(seed), np.array(lengths(ds))[:, None]
    pixels = rng.uniform(-0.499, sizes - 0.501, (len(sizes), n))
    kind = rng.random(pixels.shape)
    pixels = np.where(kind < 0.5, np.rint(pixels).clip(0, sizes - 1), pixels)
    edge = np.where(rng.random(pixels.shape) < 0.5, 0, sizes - 1)
    return np.where(kind > 0.8, edge + rng.choice(EDGES, pixels.shape), pixels)


def told(wcs: Any, pixels: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    """The pixels that have coordinates, their coordinates, and what can be told from these.

    That is a whole pixel, along an axis along which no coordinate changes between whole ones.
    """
    world = np.array(wcs.pixel_to_world_values(*pixels))
    there = np.isfinite(world).all(axis=0)
    pixels, world = pixels[:, there], world[:, there]
    expected = pixels.copy()
    for axis in range(len(pixels)):
        whole = pixels.copy()
        whole[axis] = np.rint(whole[axis])
        same = (np.array(wcs.pixel_to_world_values(*whole)) == world).all(axis=0)
        expected[axis, same] = whole[axis, same]
    return pixels, world, expected


# Every pixel -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(WCSS, *QUICK))
def test_the_coordinates_of_a_pixel_give_that_pixel(datasets: Any, name: str) -> None:
    wcs = datasets(name).wcs
    _, world, expected = told(wcs, some_pixels(datasets(name), 250))
    assert world.shape[1] > 50
    np.testing.assert_allclose(wcs.world_to_pixel_values(*world), expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", mostly_slow(WCSS, *QUICK))
def test_the_lattice_alone_gives_that_pixel(datasets: Any, name: str) -> None:
    """Also where the transform's own inverse is used, so that nothing depends on its kind."""
    wcs = datasets(name).wcs
    _, world, expected = told(wcs, some_pixels(datasets(name), 250, seed=2))
    np.testing.assert_allclose(wcs.lattice.solve(world), expected, atol=TOLERANCE)


@pytest.mark.parametrize("name", mostly_slow(SIMULATED, "vtf"))
def test_the_coordinates_of_each_whole_pixel_give_it(datasets: Any, name: str) -> None:
    ds = datasets(name)
    few = [np.unique([0, 1, n // 2, n - 1]) if n > 9 else np.arange(n) for n in lengths(ds)]
    pixels = np.array(np.meshgrid(*few)).reshape(len(few), -1).astype(float)
    world = ds.wcs.pixel_to_world_values(*pixels)
    np.testing.assert_allclose(ds.wcs.world_to_pixel_values(*world), pixels, atol=1e-6)


@pytest.mark.parametrize("name", mostly_slow(("vtf", "croppable_cryo"), "vtf"))
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_pixel_comes_back(datasets: Any, name: str, data: Any) -> None:
    ds = datasets(name)
    pixel = [data.draw(st.floats(-0.49, n - 0.51)) for n in lengths(ds)]
    _, world, expected = told(ds.wcs, np.array(pixel)[:, None])
    if world.size:
        found = np.array(ds.wcs.world_to_pixel_values(*world))
        again = np.array(ds.wcs.pixel_to_world_values(*found))
        # Half-way between pixels a coordinate may belong to both.
        near = np.abs(found - expected) <= TOLERANCE
        assert (near | (again == world).all()).all()


# What the transform's own inverse does -----------------------------------------------------------


@pytest.mark.parametrize(
    "name", mostly_slow(SIMULATED[1:] + ("croppable_cryo", "large_vbi"), "visp")
)
def test_where_the_own_inverse_is_right_it_stays_bit_for_bit(datasets: Any, name: str) -> None:
    ds = datasets(name)
    own = plain(ds.wcs)
    assert type(own) is WCS
    pixels = np.array([np.rint(p) for p in some_pixels(ds, 100)]).clip(
        0, np.array(lengths(ds))[:, None] - 1
    )
    world = list(own.pixel_to_world_values(*pixels))
    theirs = np.array(own.invert(*world))
    np.testing.assert_allclose(theirs, pixels, atol=1e-6)
    assert (np.array(ds.wcs.world_to_pixel_values(*world)) == theirs).all()
    # Of contradicting coordinates, as of a target of reproject, it stays too.
    world[0] = world[0] + 0.2 * np.ptp(world[0])
    theirs = np.array(own.invert(*world))
    assert (np.array(ds.wcs.world_to_pixel_values(*world)) == theirs).all()


def test_dkist_inverts_no_coordinates_of_vtf(datasets: Any, simulated: Any) -> None:
    theirs = load(simulated("vtf") / "vtf.asdf").wcs
    world = theirs.pixel_to_world_values(3, 4, 2, 1, 0)
    with pytest.raises(ValueError, match="too many values to unpack"):
        theirs.world_to_pixel_values(*world)
    with pytest.raises(ValueError, match="too many values to unpack"):
        theirs.world_to_pixel(*theirs.pixel_to_world(3, 4, 2, 1, 0))
    ours = datasets("vtf").wcs
    np.testing.assert_allclose(ours.world_to_pixel_values(*world), (3, 4, 2, 1, 0), atol=1e-6)
    objects = ours.pixel_to_world(3, 4, 2, 1, 0)
    np.testing.assert_allclose(ours.world_to_pixel(*objects), (3, 4, 2, 1, 0), atol=1e-6)
    assert [int(index) for index in ours.world_to_array_index(*objects)] == [0, 1, 2, 4, 3]


def test_a_point_outside_spoils_no_other_one(datasets: Any, tmp_path: Path) -> None:
    """dkist's inverse of a real dataset fails for all, where one is before the first frame."""
    theirs = load(unpacked("croppable_cryo.asdf.gz", tmp_path)).wcs
    ds = datasets("croppable_cryo")
    world = [np.stack([one, one]) for one in ds.wcs.pixel_to_world_values(700, 600, 1, 2, 3)]
    world[2][1] = -5000  # seconds before the first frame
    with pytest.raises((ValueError, NotImplementedError)):
        theirs.world_to_pixel_values(*world)
    found = np.array(ds.wcs.world_to_pixel_values(*world))
    np.testing.assert_allclose(found[:, 0], (700, 600, 1, 2, 3), atol=TOLERANCE)
    # Without a frame there is no pointing; the Stokes parameter needs neither.
    assert np.isnan(found[:4, 1]).all()
    assert found[4, 1] == 3


def test_the_edge_of_a_repeat_is_not_that_of_the_one_before(datasets: Any, tmp_path: Path) -> None:
    """dkist's inverse looks for the first half of a repeat's first step behind the repeat before.

    There is no pointing there, for which it fails.
    """
    theirs = load(unpacked("croppable_cryo.asdf.gz", tmp_path)).wcs
    pixel = (875.0, 943.0, -0.4, 1.0, 1.0)
    world = theirs.pixel_to_world_values(*np.array(pixel)[:, None])
    with pytest.raises(NotImplementedError):
        theirs.world_to_pixel_values(*world)
    ours = np.ravel(datasets("croppable_cryo").wcs.world_to_pixel_values(*world))
    np.testing.assert_allclose(ours, pixel, atol=TOLERANCE)


@pytest.mark.slow
def test_half_a_step_may_be_of_two_repeats_and_the_sky_chooses(datasets: Any) -> None:
    """dkist's inverse chooses the wrong one, which sees another place, a pixel away."""
    wcs = datasets("cryonirsp").wcs
    pixel = (21.0, 11.0, -0.5, 1.0, 2.0)
    world = wcs.pixel_to_world_values(*np.array(pixel)[:, None])
    theirs = plain(wcs).invert(*world)
    assert np.ravel(theirs).round(6).tolist() == [21, 11, 2.5, 0, 2]
    away = np.array(wcs.pixel_to_world_values(*theirs)) - world
    assert np.abs(away[1]).item() == pytest.approx(0.06, abs=1e-6)
    np.testing.assert_allclose(np.ravel(wcs.world_to_pixel_values(*world)), pixel, atol=TOLERANCE)


# What a person means -----------------------------------------------------------------------------


def test_coordinates_along_the_fewest_axes_decide_first(datasets: Any) -> None:
    wcs = datasets("vtf").wcs
    first, last = (wcs.pixel_to_world_values(0, 0, place, 0, 0)[2] for place in (0, 2))
    # Frames of three wavelengths follow each other every 10 s: 0, 10, 20, then 30, 40, 50.
    assert wcs.pixel_to_world_values(0, 0, 2, 1, 0)[3] == pytest.approx(50)
    # The first wavelength was observed at 0 and 30 s.
    for time, repeat in ((0, 0), (10, 0), (14, 0), (20, 1), (44, 1)):
        found = wcs.world_to_pixel_values(0, 0, first, time, 1)
        assert (round(float(found[2]), 6), found[3]) == (0, repeat)
    # The last at 20 and 50: at 0 s there is none yet, by more than half a repeat.
    assert np.isnan(wcs.world_to_pixel_values(0, 0, last, 0, 1)[3])
    assert wcs.world_to_pixel_values(0, 0, last, 40, 1)[2:4] == pytest.approx((2, 1))


def test_beyond_tables_there_is_no_pixel_and_lines_go_on(datasets: Any) -> None:
    wcs = datasets("vtf").wcs
    x, y, wavelength, time, stokes = wcs.pixel_to_world_values(60, -20, 1, 1, 2)
    found = wcs.world_to_pixel_values(x, y, wavelength, time, stokes)
    np.testing.assert_allclose(found, (60, -20, 1, 1, 2), atol=TOLERANCE)
    for world in (
        (x, y, 700, time, stokes),
        (x, y, wavelength, 1e6, stokes),
        (x, y, np.nan, time, stokes),
    ):
        found = wcs.world_to_pixel_values(*world)
        assert np.isnan(found[3])
        np.testing.assert_allclose(np.array(found)[[0, 1, 4]], (60, -20, 2), atol=TOLERANCE)
    assert np.isnan(wcs.world_to_pixel_values(x, y, wavelength, time, 9)[4])


def test_shapes_are_those_of_the_coordinates(datasets: Any) -> None:
    wcs = datasets("vtf").wcs
    world = wcs.pixel_to_world_values(1, 2, 1, 0, 3)
    assert np.shape(wcs.world_to_pixel_values(*world)) == (5,)
    two = wcs.world_to_pixel_values(np.full((3, 1), world[0]), *world[1:4], np.full(4, world[4]))
    assert {np.shape(one) for one in two} == {(3, 4)}
    empty = wcs.world_to_pixel_values(*(np.zeros(0) for _ in world))
    assert {np.shape(one) for one in empty} == {(0,)}
    in_units = wcs.invert(*(u.Quantity(v, unit) for v, unit in zip(
        world, wcs.output_frame.unit, strict=True)))  # fmt: skip
    np.testing.assert_allclose(u.Quantity(in_units).to_value(u.pix), (1, 2, 1, 0, 3), atol=1e-6)


# Selections, copies, other packages --------------------------------------------------------------

SLICES: dict[str, Any] = {
    "a plane": np.s_[0, 0],
    "one wavelength": np.s_[:, :, 1],
    "steps": np.s_[1:3, :, ::2, 3:],
    "one frame": np.s_[0, 1, 2],
    "along frames": np.s_[:, 1, :, 5, 5],
    "a line": np.s_[0, 0, 1:, 2, 3],
}


@pytest.mark.parametrize("name", mostly_slow(("vtf", "dlnirsp", "cryonirsp"), "vtf"))
@pytest.mark.parametrize("cut", SLICES)
def test_slices_and_steps(datasets: Any, cut: str, name: str) -> None:
    ds = datasets(name)[SLICES[cut]]
    low = ds.wcs.low_level_wcs
    some = [np.unique([0, n // 3, n - 1]).astype(float) for n in ds.shape[::-1]]
    pixels = np.array(np.meshgrid(*some)).reshape(len(some), -1)
    world = low.pixel_to_world_values(*pixels)
    found = low.world_to_pixel_values(*(world if low.world_n_dim > 1 else [world]))
    np.testing.assert_allclose(np.reshape(found, pixels.shape), pixels, atol=TOLERANCE)


def test_bins_and_corrected_pointing(datasets: Any) -> None:
    pixels = np.array([[3.0, 0, 1, 1, 2], [5.25, 1, 2, 0, 0]]).T
    for ds in (
        datasets("vtf").rebin((1, 1, 1, 5, 4)),
        datasets("vtf").shift(3 * u.arcsec, -4 * u.arcsec, rotation=20 * u.deg),
    ):
        low = ds.wcs.low_level_wcs
        world = low.pixel_to_world_values(*pixels)
        np.testing.assert_allclose(low.world_to_pixel_values(*world), pixels, atol=TOLERANCE)


def test_it_is_a_gwcs_that_copies_pickles_and_is_written_as_one(datasets: Any) -> None:
    wcs = datasets("vtf").wcs
    assert isinstance(wcs, WCS)
    assert wcs.forward_transform is plain(wcs).forward_transform
    world = wcs.pixel_to_world_values(1, 2, 1, 1, 3)
    wcs.world_to_pixel_values(*world)
    for twin in (copy.copy(wcs), copy.deepcopy(wcs), pickle.loads(pickle.dumps(wcs))):
        assert type(twin) is InvertibleWCS
        np.testing.assert_allclose(twin.world_to_pixel_values(*world), (1, 2, 1, 1, 3), atol=1e-6)
    sliced = datasets("vtf")[0, 0].wcs.low_level_wcs
    file = io.BytesIO()
    asdf.AsdfFile({"whole": wcs, "sliced": sliced}).write_to(file)
    file.seek(0)
    with asdf.open(file) as opened:
        assert type(opened["whole"]) is WCS
        assert type(opened["sliced"]) is SlicedLowLevelWCS
        assert type(opened["sliced"]._wcs) is WCS
        assert opened["whole"].pixel_shape == wcs.pixel_shape
        assert opened["whole"].pixel_to_world_values(1, 2, 1, 1, 3) == world


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["a plane", "steps", "along frames"])
def test_a_saved_selection_has_it_too(datasets: Any, tmp_path: Path, cut: str) -> None:
    ds = datasets("vtf")[SLICES[cut]]
    ds.save(tmp_path / "part.virtual", progress=False)
    saved = dv.open_dataset(tmp_path / "part.virtual")
    pixels = [min(1, n - 1) for n in ds.shape[::-1]]
    world = ds.wcs.low_level_wcs.pixel_to_world_values(*pixels)
    found = saved.wcs.low_level_wcs.world_to_pixel_values(*world)
    np.testing.assert_allclose(found, pixels, atol=TOLERANCE)


def test_another_transform_has_another_inverse(datasets: Any) -> None:
    from astropy.modeling.models import Identity, Shift

    wcs = copy.deepcopy(datasets("vtf").wcs)
    world = wcs.pixel_to_world_values(1, 2, 1, 1, 3)
    wcs.world_to_pixel_values(*world)
    wcs.insert_transform("pixel", Shift(10 * u.pix) & Identity(4), after=True)
    np.testing.assert_allclose(wcs.world_to_pixel_values(*world), (-9, 2, 1, 1, 3), atol=1e-6)


def test_threads_get_what_one_gets(datasets: Any) -> None:
    wcs = datasets("croppable_cryo").wcs
    points = [told(wcs, some_pixels(datasets("croppable_cryo"), 20, seed))[1:] for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda of: np.array(wcs.world_to_pixel_values(*of[0])), points))
    for pixels, (_, expected) in zip(found, points, strict=True):
        np.testing.assert_allclose(pixels, expected, atol=TOLERANCE)


# What uses it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", mostly_slow(SIMULATED[:5], "vtf"))
def test_crop_by_values(datasets: Any, name: str) -> None:
    ds = datasets(name)
    low, high = [min(1, n - 1) for n in lengths(ds)], [n - 1 for n in lengths(ds)]
    ends = [tuple(map(float, ds.wcs.pixel_to_world_values(*end))) for end in (low, high)]
    cropped = ds.crop_by_values(*ends, units=ds.wcs.world_axis_units, keepdims=True)
    index = tuple(slice(a, b + 1) for a, b in zip(low[::-1], high[::-1], strict=True))
    assert cropped.shape == ds[index].shape
    assert cropped.files.filenames == ds[index].files.filenames


def hand_made(frame: Any, units: str, values: dict[str, Any], angle: float = 0) -> FITSWCS:
    """A plane of the sky in a FITS header, turned, for the observer of a frame."""
    made = FITSWCS(naxis=2)
    made.wcs.ctype = "HPLN-TAN", "HPLT-TAN"
    made.wcs.cunit = units, units
    for name, value in values.items():
        setattr(made.wcs, name, value)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    made.wcs.pc = [[cos, -sin], [sin, cos]]
    made.wcs.dateobs = frame.obstime.isot
    observer = frame.observer.transform_to(HeliographicStonyhurst(obstime=frame.obstime))
    made.wcs.aux.hgln_obs = observer.lon.to_value("deg")
    made.wcs.aux.hglt_obs = observer.lat.to_value("deg")
    made.wcs.aux.dsun_obs = observer.radius.to_value("m")
    return made


@pytest.mark.parametrize("name", mostly_slow(("vtf", "vbi_mosaic"), "vtf"))
def test_reprojected_to_a_picture_that_is_made_by_hand(datasets: Any, name: str) -> None:
    ds = datasets(name)
    plane = ds[(0,) * (len(ds.shape) - 2)]
    pixels = np.hypot(*np.indices(plane.shape)) + 5
    plane = plane.with_data(pixels)
    middle = SkyCoord(plane.wcs.pixel_to_world(*[(n - 1) / 2 for n in plane.shape[::-1]]))
    header = ds.headers[0]
    own = {
        name: [header[f"{name.upper()}{axis}"] for axis in (1, 2)]
        for name in ("crpix", "crval", "cdelt")
    }
    # A picture about the middle, turned, with finer pixels.
    values = {
        "crval": [middle.Tx.to_value(header["CUNIT1"]), middle.Ty.to_value(header["CUNIT1"])],
        "crpix": [20, 16],
        "cdelt": [0.8 * size for size in own["cdelt"]],
    }
    target = hand_made(middle.frame, header["CUNIT1"], values, 25)
    ours = plane.reproject_to(target, shape_out=(33, 41))
    # Independent of gwcs: the plane that the frame's header describes; its PC is unit.
    source = hand_made(middle.frame, header["CUNIT1"], own)
    theirs, _ = reproject_interp((pixels, source), target, shape_out=(33, 41))
    assert np.isfinite(theirs).mean() > 0.3
    np.testing.assert_array_equal(np.isfinite(ours.data), np.isfinite(theirs))
    np.testing.assert_allclose(ours.data, theirs, atol=0.02)


@pytest.mark.parametrize("name", mostly_slow(SIMULATED[:5], "vtf"))
def test_reprojected_to_a_part_of_itself(datasets: Any, name: str) -> None:
    ds = datasets(name)
    part = (..., slice(1, None), slice(2, 30))
    pixels = np.random.default_rng(3).normal(size=ds.shape)
    cube = ds.with_data(pixels)[part]
    found = ds.with_data(pixels).reproject_to(cube.wcs, shape_out=cube.shape)
    inside = np.isfinite(found.data)
    assert inside.mean() > 0.5  # at the edges rounding may be outside of the array
    np.testing.assert_allclose(found.data[inside], pixels[part][inside], atol=1e-4)


@pytest.mark.parametrize("name", mostly_slow(("vtf", "vbi_mosaic", "dlnirsp"), "vtf"))
def test_plot_coord_in_axes_of_a_plane(datasets: Any, name: str) -> None:
    ds = datasets(name)
    plane = ds[(0,) * (len(ds.shape) - 2)]
    axes = plt.subplot(projection=plane.wcs)
    axes.imshow(np.zeros(plane.shape))
    places = np.array([[3.0, 10, 5.5], [4.0, 2, 9.25]])
    sky = SkyCoord(plane.wcs.pixel_to_world(*places))
    (line,) = axes.plot_coord(sky, "+")
    drawn = line.get_transform().transform(np.transpose(line.get_data()))
    np.testing.assert_allclose(axes.transData.inverted().transform(drawn), places.T, atol=TOLERANCE)


def test_objects_of_the_sky_spectrum_and_time(datasets: Any) -> None:
    """As a person has them: in arcsec, in Angstrom, and a moment in text."""
    wcs = datasets("vtf").wcs
    sky, spectral, moment, stokes = wcs.pixel_to_world(7, 8, 2, 1, 3)
    given = SkyCoord(sky.Tx.to(u.deg), sky.Ty.to(u.deg), frame=sky.frame)
    pixel = wcs.world_to_pixel(given, spectral.to(u.AA), Time(moment.isot), stokes)
    np.testing.assert_allclose(pixel, (7, 8, 2, 1, 3), atol=TOLERANCE)
