"""`align` finds drifts and jumps that were put into what a known Sun looks like.

The Sun of `turning_sun` is a random field on its surface. Datasets have the real coordinates of
BKEWK and of a tile of VBI; what they show is the Sun `dx` to the west and `dy` to the north of what
their coordinates say, so that these have to be added. References are seen from another place,
turned by 30 degrees, of other contrast and noisy.
"""

from __future__ import annotations

import pickle
import re
import sys
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from astropy.wcs import WCS
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter
from sunpy.coordinates import (
    HeliographicStonyhurst,
    Helioprojective,
    propagate_with_solar_surface,
)
from sunpy.map import Map
from sunpy.map.header_helper import make_fitswcs_header
from turning_sun import Sun, telescope

import dkist_virtual as dv
from dkist_virtual.errors import AlignmentError, DatasetError

REFERENCE = 0.6  # arcsec
ALLOWED = 0.1 * REFERENCE


@dataclass(frozen=True)
class Observed:
    """A dataset, how far it is off at each step, and the Sun that it shows."""

    ds: Any
    dx: Any
    dy: Any
    sun: Sun
    middle: SkyCoord

    def map(self, *, hours: float = 0.0, sun: Sun | None = None, **how: Any) -> Any:
        """What another observer sees, 3 degrees farther west and nearer to the Sun."""
        time = self.middle.obstime + hours * u.hour
        observer = HeliographicStonyhurst(3 * u.deg, -2 * u.deg, 0.97 * u.AU, obstime=time)
        frame = Helioprojective(observer=observer, obstime=time)
        with propagate_with_solar_surface():
            there = self.middle.transform_to(frame)
        middle = SkyCoord(there.Tx, there.Ty, frame=frame)
        return (sun or self.sun).map(middle, scale=REFERENCE, **{"noise": 0.1, **how})

    def check(self, aligned: Any, allowed: float = ALLOWED) -> None:
        found = aligned.alignment
        away = np.hypot(
            found.dx.to_value(u.arcsec) - self.dx, found.dy.to_value(u.arcsec) - self.dy
        )
        assert away.shape == np.shape(self.dx)
        assert away.max() < allowed


def raster(datasets: Any, steps: int, slit: slice, jump: tuple[float, float]) -> Observed:
    """BKEWK, of every so many of its 688 steps: Stokes I at one wavelength."""
    ds = datasets("croppable_visp")[0, :: 688 // steps, 0, slit][:steps]
    n, along = ds.shape
    sky, times = ds.wcs.pixel_to_world(*np.meshgrid(np.arange(along), np.arange(n)))
    part = np.arange(n) / (n - 1) - 0.5
    # 3 arcsec over the steps, and a jump.
    dx, dy = 4 + 3 * np.cos(0.6) * part, -3 + 3 * np.sin(0.6) * part
    after = np.arange(n) >= round(0.63 * n)
    dx, dy = dx + after * jump[0], dy + after * jump[1]
    centre = sky[n // 2, along // 2]
    middle = SkyCoord(centre.Tx, centre.Ty, frame=telescope(times[n // 2, 0]))
    across = 1.6 * float(max(np.ptp(sky.Tx), np.ptp(sky.Ty)).to_value(u.arcsec)) + 60
    sun = Sun.around(middle, across=across)
    tx, ty = (of.to_value(u.arcsec) for of in (sky.Tx, sky.Ty))
    pixels = sun.scanned(tx + dx[:, None], ty + dy[:, None], times[:, 0])
    random = np.random.default_rng(3)
    pixels += 2 * random.normal(size=pixels.shape)
    pixels *= 1 + 0.05 * random.normal(size=(n, 1))  # clouds
    return Observed(ds.with_data(pixels, unit="ct"), dx, dy, sun, middle)


@pytest.fixture(scope="module")
def small(datasets: Any) -> Observed:
    return raster(datasets, 43, slice(700, 1700), (-1.2, 0.9))


@pytest.fixture(scope="module")
def reference(small: Observed) -> Any:
    return small.map(shape=(130, 130))


@pytest.fixture(scope="module")
def aligned(small: Observed, reference: Any) -> Any:
    return small.ds.align(reference, search=7 * u.arcsec)


def test_a_drift_and_a_jump_are_found_at_every_step(small: Observed, aligned: Any) -> None:
    small.check(aligned)


@pytest.mark.slow
def test_at_each_of_688_steps(datasets: Any) -> None:
    whole = raster(datasets, 688, slice(None), (-1.2, 0.9))
    maps = [whole.map(hours=hours, seed=seed) for hours, seed in ((-0.25, 1), (0.15, 2))]
    aligned = whole.ds.align(maps)
    whole.check(aligned)
    assert set(np.unique(aligned.alignment.used)) == {0, 1}


# Images -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(datasets: Any) -> Observed:
    """Every 32nd pixel of three images of a tile of VBI, each somewhere else."""
    ds = datasets("large_vbi")[:, ::32, ::32]
    dx, dy = np.array([3.3, -2.1, 0.4]), np.array([-1.0, 2.2, 4.4])
    rows, columns = np.indices(ds.shape[1:])
    centre, time = ds.wcs.pixel_to_world(64, 64, 1)
    middle = SkyCoord(centre.Tx, centre.Ty, frame=telescope(time))
    sun = Sun.around(middle, across=130)
    pixels = np.empty(ds.shape)
    for number in range(3):
        sky, time = ds.wcs.pixel_to_world(columns, rows, np.full(rows.shape, number))
        tx, ty = sky.Tx.to_value(u.arcsec) + dx[number], sky.Ty.to_value(u.arcsec) + dy[number]
        pixels[number] = sun.seen(tx, ty, telescope(time[0, 0]))
    pixels += 2 * np.random.default_rng(1).normal(size=pixels.shape)
    return Observed(ds.with_data(pixels), dx, dy, sun, middle)


@pytest.mark.slow
def test_images_are_found_each_by_itself(images: Observed) -> None:
    aligned = images.ds.align(images.map(hours=0.05, shape=(110, 110)), search=6 * u.arcsec)
    images.check(aligned)


@pytest.mark.slow
def test_one_image_is_found(images: Observed) -> None:
    alone = images.ds[1].align(images.map(hours=0.05, shape=(110, 110)), search=6 * u.arcsec)
    found = alone.alignment
    assert (found.dx.shape, found.quality.shape) == ((), ())
    assert abs(found.dx.to_value(u.arcsec) + 2.1) < ALLOWED
    assert abs(found.dy.to_value(u.arcsec) - 2.2) < ALLOWED


@pytest.mark.slow
def test_a_dataset_is_a_reference(images: Observed) -> None:
    """Images that are where they should be, and the same ones moved: to the hundredth."""
    ds = images.ds[:2]
    moved = ds.shift(-1.25 * u.arcsec, 0.5 * u.arcsec)
    for model in ("constant", "linear", "step"):
        found = moved.align(ds, search=3 * u.arcsec, model=model).alignment
        np.testing.assert_allclose(found.dx.to_value(u.arcsec), 1.25, atol=0.02)
        np.testing.assert_allclose(found.dy.to_value(u.arcsec), -0.5, atol=0.02)


# What is given, and what becomes of it ------------------------------------------------------


def test_signs_are_those_of_numbers_computed_by_hand() -> None:
    """A spot that a map has at (-400, 200), and a dataset at (-403, 201.5): +3 and -1.5.

    Coordinates are Tx = -420 + x and Ty = 180 + y for the map, and 3 less and 1.5 more for the
    dataset, whose spot is at the same pixel, (20, 20).
    """
    time = "2022-10-24T19:15:00"
    y, x = np.indices((41, 41))
    # No symmetry, so that no other orientation fits as well.
    spot = np.exp(-((x - 20) ** 2 / 8 + (y - 20) ** 2 / 18)) + 0.5 * np.exp(
        -((x - 28) ** 2 + (y - 16) ** 2) / 6
    )

    def header(tx: float, ty: float) -> dict[str, Any]:
        return {
            "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
            "CRPIX1": 1, "CRPIX2": 1, "CRVAL1": tx, "CRVAL2": ty, "CDELT1": 1, "CDELT2": 1,
            "DATE-OBS": time, "MJD-OBS": Time(time).mjd, "NAXIS": 2,
            "HGLN_OBS": 0.0, "HGLT_OBS": 5.0, "DSUN_OBS": 1.49e11,
        }  # fmt: skip

    ds = dv.Dataset(spot, WCS(header(-423.0, 181.5)), unit="ct")
    found = ds.align(Map(spot, header(-420.0, 180.0)), search=6 * u.arcsec)
    sky = found.wcs.pixel_to_world(20, 20)
    assert sky.Tx.to_value(u.arcsec) == pytest.approx(-400, abs=0.02)
    assert sky.Ty.to_value(u.arcsec) == pytest.approx(200, abs=0.02)
    assert found.alignment.dx.to_value(u.arcsec) == pytest.approx(3, abs=0.02)
    assert found.alignment.dy.to_value(u.arcsec) == pytest.approx(-1.5, abs=0.02)


def test_the_whole_dataset_is_corrected_and_the_record_stays(small: Observed, aligned: Any) -> None:
    np.testing.assert_array_equal(aligned.data, small.ds.data)
    before, after = (of.wcs.pixel_to_world(500, 30)[0] for of in (small.ds, aligned))
    found = aligned.alignment
    assert (after.Tx - before.Tx).to_value(u.arcsec) == pytest.approx(found.dx[30].value, abs=1e-8)
    assert (after.Ty - before.Ty).to_value(u.arcsec) == pytest.approx(found.dy[30].value, abs=1e-8)
    assert "align with" in str(aligned.pointing)
    for one in (aligned[3:, 10:], aligned * 2, pickle.loads(pickle.dumps(aligned))):
        np.testing.assert_array_equal(one.alignment.quality, found.quality)
    assert small.ds.alignment is None
    assert aligned.unshifted().alignment is None
    assert (found.quality > 0.7).all()
    assert str(found).startswith("model step, 43 steps, 1 maps")


@pytest.mark.slow
def test_axes_of_stokes_and_wavelength_are_corrected_too(
    datasets: Any, small: Observed, reference: Any
) -> None:
    whole = datasets("croppable_visp")[:, ::16, :, 700:1700][:, :43]
    aligned = whole.align(reference, image=small.ds, search=7 * u.arcsec)
    found = aligned.alignment
    assert aligned.shape == whole.shape
    before, after = (of[2, 40, 500].wcs.pixel_to_world(600) for of in (whole, aligned))
    assert (after.Tx - before.Tx).to_value(u.arcsec) == pytest.approx(found.dx[40].value, abs=1e-8)
    with pytest.raises(DatasetError, match=r"axes of .*wavelength.*at=dict"):
        whole.align(reference)
    with pytest.raises(DatasetError, match="of the same pointing"):
        whole.align(reference, image=small.ds.shift(1 * u.arcsec))
    with pytest.raises(DatasetError, match="image has the shape"):
        whole.align(reference, image=small.ds[1:])
    with pytest.raises(DatasetError, match="one of them"):
        whole.align(reference, image=small.ds, at={"stokes": "I"})
    with pytest.raises(TypeError, match="no such keyword: time"):
        whole.align(reference, at={"time": "2022-10-24"})


# Refusals -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_reference_of_something_else_is_refused(small: Observed) -> None:
    other = Sun.around(small.middle, across=150, seed=99)
    with pytest.raises(AlignmentError, match=r"correlation .* weak: 0\.\d\d is .* search="):
        small.ds.align(small.map(sun=other, shape=(130, 130)), search=7 * u.arcsec)


@pytest.mark.slow
def test_a_shift_at_the_end_of_the_search_is_refused(images: Observed) -> None:
    reference = images.map(hours=0.05, shape=(110, 110))
    with pytest.raises(AlignmentError, match=r"dx = \+3\.\d, dy = -1.* end of the search.*search="):
        images.ds[:1].align(reference, search=3.1 * u.arcsec)


@pytest.mark.slow
def test_a_reference_elsewhere_is_refused(small: Observed, reference: Any) -> None:
    with pytest.raises(AlignmentError, match="nothing where the dataset is"):
        small.ds.shift(500 * u.arcsec).align(reference)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "cubic"}, 'model=\'cubic\': expected "constant", "linear" or "step"'),
        ({"search": 5}, "search=5: expected an angle"),
        ({"psf": -1 * u.arcsec}, "expected an angle greater than 0"),
        ({"least": 2}, "expected a correlation from 0 to 1"),
        ({"support": 1.5}, "expected a number of neighbours"),
        ({"screen": "flat"}, 'expected "spherical" or None'),
    ],
)
def test_arguments_are_checked(
    small: Observed, reference: Any, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(DatasetError, match=re.escape(words)):
        small.ds.align(reference, **given)


def test_other_references_are_refused_by_their_type(small: Observed) -> None:
    for other, words in ((3, "type int"), (np.zeros((4, 4)), "type ndarray"), ([], "type list")):
        with pytest.raises(DatasetError, match=words):
            small.ds.align(other)


@pytest.mark.slow
def test_a_figure_shows_it_before_and_after(aligned: Any, small: Observed) -> None:
    figure = aligned.plot_alignment(figure=Figure())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:3] == ["dataset", "reference, before", "reference, after"]
    lines = [line.get_ydata() for line in figure.axes[3].lines]
    np.testing.assert_array_equal(lines[0], aligned.alignment.dx.value)
    with pytest.raises(DatasetError, match="was not aligned"):
        small.ds.plot_alignment()


@pytest.mark.slow
def test_scikit_image_is_named_where_it_is_missing(
    small: Observed, reference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skimage.feature", None)
    with pytest.raises(ImportError, match=r"dkist-virtual\[align\]"):
        small.ds.align(reference)


@pytest.mark.slow
def test_off_the_limb_a_screen_is_asked_for(datasets: Any) -> None:
    """BMPNP is mirrored, and more than 1000 arcsec from the centre; its steps take six minutes."""
    ds = datasets("croppable_cryo")[0, :, :, ::16, ::16]
    rows, columns = np.indices(ds.shape[2:])
    field = gaussian_filter(np.random.default_rng(4).normal(size=(400, 400)), 2.0)
    spline = spline_filter(field / field.std())

    def corona(tx: Any, ty: Any) -> Any:
        """A picture on the plane of the sky, of 1 arcsec pixels."""
        return map_coordinates(spline, [ty - 50, tx + 1350], order=3, prefilter=False)

    pixels = np.empty(ds.shape)
    for place in np.ndindex(ds.shape[:2]):
        sky, _ = ds.wcs.pixel_to_world(
            columns, rows, *(np.full(rows.shape, n) for n in place[::-1])
        )
        pixels[place] = corona(sky.Tx.to_value(u.arcsec) + 4, sky.Ty.to_value(u.arcsec) - 2.5)
    frame = sky.frame.replicate_without_data()
    middle = SkyCoord(-1140 * u.arcsec, 245 * u.arcsec, frame=frame)
    header = make_fitswcs_header((220, 320), middle, scale=[1, 1] * u.arcsec / u.pixel)
    seen = WCS(header).pixel_to_world(*np.indices((220, 320))[::-1])
    reference = Map(corona(*(of.to_value(u.arcsec) for of in (seen.Tx, seen.Ty))), header)
    off = ds.with_data(pixels)
    with pytest.raises(AlignmentError, match='screen="spherical"'):
        off.align(reference)
    found = off.align(reference, screen="spherical").alignment
    assert found.dx.shape == (3, 3)
    np.testing.assert_allclose(found.dx.to_value(u.arcsec), 4, atol=0.3)
    np.testing.assert_allclose(found.dy.to_value(u.arcsec), -2.5, atol=0.3)
