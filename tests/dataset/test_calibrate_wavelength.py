"""A calibrated wavelength scale: kept by all that is made of a dataset, saved, and taken away."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.cube.wavelengths.scale import WavelengthScale
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.wavelengths.calibrate import frame_of
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, StoreCorruptError

PIXEL = (3, 4, 2)  # slit, wavelength, step


@pytest.fixture(scope="session")
def part(datasets: Callable[[str], Any]) -> Any:
    """Stokes I of BKEWK: 5 steps, 12 wavelengths, 6 pixels of the slit."""
    return datasets("croppable_visp")[0, ::150, 100:112, 400:2500:400]


@pytest.fixture(scope="session")
def values() -> Any:
    """Uneven wavelengths: a line with a bend."""
    at = np.arange(12)
    return (630.5 + 0.0016 * at + 1e-5 * at**2) * u.nm


@pytest.fixture(scope="session")
def scaled(part: Any, values: Any) -> Any:
    return part.calibrate_wavelength(values, medium="air")


def wavelengths(ds: Any, *pixel: float) -> float:
    return float(ds.wcs.low_level_wcs.pixel_to_world_values(*pixel)[1])


def test_the_wcs_has_the_wavelengths_that_were_given(part: Any, scaled: Any, values: Any) -> None:
    before, after = part.wcs.low_level_wcs, scaled.wcs.low_level_wcs
    grid = np.meshgrid(*map(np.arange, part.shape[::-1]), indexing="ij")
    own, found = before.pixel_to_world_values(*grid), after.pixel_to_world_values(*grid)
    for number in (0, 2, 3):
        np.testing.assert_array_equal(found[number], own[number])
    expected = np.broadcast_to(values.value[:, None], (12, 5))
    np.testing.assert_array_equal(found[1][0], expected)
    again = after.world_to_pixel_values(*found)
    np.testing.assert_allclose(np.array(again), np.array(grid), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(again[1], grid[1])
    # Between pixels, and beyond the ends, on the line of the two that are next.
    step = np.diff(values.value)
    for at, expected_at in (
        (4.25, values.value[4] + 0.25 * step[4]),
        (-2, values.value[0] - 2 * step[0]),
        (13, values.value[-1] + 2 * step[-1]),
    ):
        value = wavelengths(scaled, 3, at, 2)
        assert value == pytest.approx(expected_at, rel=0, abs=1e-12)
        inverse = scaled.wavelength_scale.pixel_of(value)
        assert float(inverse) == pytest.approx(at, rel=0, abs=1e-8)
    sky = scaled.wcs.pixel_to_world(*PIXEL)
    assert sky[1].to_value(u.nm) == values.value[4]
    assert sky[0].separation(part.wcs.pixel_to_world(*PIXEL)[0]).arcsec == 0


def test_wavelengths_select_by_the_scale(scaled: Any, values: Any) -> None:
    assert scaled.at(wavelength=values[7]).wavelength_scale is None  # its axis is gone
    image = scaled.at(wavelength=values[7])
    assert float(image.global_coords["wavelength"].value) == values[7].value
    cut = scaled.crop(values[[7, 9]])
    assert cut.wavelength_scale.wavelengths.value.tolist() == values[7:10].value.tolist()
    assert scaled.axis_world_coords("em.wl")[0].value.tolist() == values.value.tolist()


def wavelength_at(ds: Any, pixel: list[float]) -> float:
    low = ds.wcs.low_level_wcs
    values = np.atleast_1d(low.pixel_to_world_values(*pixel))
    return float(values[low.world_axis_physical_types.index("em.wl")])


DERIVED: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "slice": (lambda ds: ds[1:, 2:11], lambda v: v[2:11]),
    "steps": (lambda ds: ds[::2, 1::3, ::2][:, 1:], lambda v: v[4::3]),
    "fewer axes": (lambda ds: ds[1, :, 0], lambda v: v),
    "shift": (lambda ds: ds.shift(3 * u.arcsec), lambda v: v),
    "unshifted": (lambda ds: ds.shift(3 * u.arcsec).unshifted(), lambda v: v),
    "arithmetic": (lambda ds: (ds * 2 + ds)[:, 3:], lambda v: v[3:]),
    "with_data": (lambda ds: ds.with_data(np.ones(ds.shape), unit="km/s"), lambda v: v),
    "along_frames": (lambda ds: ds.along_frames("LIGHTLVL"), lambda v: v[:1]),
    "to": (lambda ds: ds.to("kct"), lambda v: v),
    "pickle": (lambda ds: pickle.loads(pickle.dumps(ds)), lambda v: v),
    "copy": (copy.copy, lambda v: v),
    "deepcopy": (copy.deepcopy, lambda v: v),
    "Dataset": (dv.Dataset, lambda v: v),
    "explode": (lambda ds: ds.explode_along_axis(0)[2], lambda v: v),
    "rebin": (lambda ds: ds.rebin((1, 2, 1)), lambda v: (v[::2] + v[1::2]) / 2),
    "of an array": (
        lambda ds: dv.Dataset(np.ones(ds.shape), wcs=ds.wcs, unit="ct")[1:, 2:], lambda v: v[2:]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DERIVED)
def test_what_is_derived_keeps_its_part(scaled: Any, values: Any, name: str) -> None:
    make, of = DERIVED[name]
    got = make(scaled)
    scale, expected = got.wavelength_scale, of(values.value)
    np.testing.assert_array_equal(scale.values, expected)
    assert (scale.medium, scale.frame, scale.method) == ("air", "observer", "values")
    axis = scale.axis
    pixel = [0.0] * got.wcs.low_level_wcs.pixel_n_dim
    pixel[len(got.shape) - 1 - axis] = len(expected) - 1
    assert wavelength_at(got, pixel) == pytest.approx(expected[-1], rel=0, abs=1e-11)
    plain = got.uncalibrated()
    assert plain.wavelength_scale is None
    assert 630 < wavelength_at(plain, pixel) < 630.45
    assert plain.shape == got.shape
    assert (plain.pointing is None) == (got.pointing is None)


def test_a_store_remembers_it_beside_the_data(scaled: Any, values: Any, tmp_path: Path) -> None:
    moved = scaled[:, 2:].shift(3 * u.arcsec)
    moved.save(tmp_path / "part.virtual")
    opened = dv.open_dataset(tmp_path / "part.virtual")
    assert opened.wavelength_scale == moved.wavelength_scale
    assert opened.pointing == moved.pointing
    assert wavelengths(opened, *PIXEL) == values.value[6]
    plain = scaled.uncalibrated()[:, 2:]
    assert wavelengths(opened.uncalibrated(), *PIXEL) == wavelengths(plain, *PIXEL)
    # A shift of the store, and taking it back, leave the wavelengths.
    opened = dv.shift_store(tmp_path / "part.virtual", 1 * u.arcsec)
    assert opened.wavelength_scale == moved.wavelength_scale
    opened = dv.shift_store(tmp_path / "part.virtual", reset=True)
    assert opened.pointing is None
    assert opened.wavelength_scale == moved.wavelength_scale
    stored = json.loads((tmp_path / "part.virtual" / "pointing.json").read_text())
    stored["arrays"]["data"]["wavelengths"]["axis"] = 0
    (tmp_path / "part.virtual" / "pointing.json").write_text(json.dumps(stored))
    with pytest.raises(StoreCorruptError, match=r"pointing\.json: .* expected axis 1.*--reset"):
        dv.open_dataset(tmp_path / "part.virtual").wcs  # noqa: B018
    # Where the axis of wavelengths is dropped, the WCS has what is left of it.
    scaled[:, 4].save(tmp_path / "map.virtual")
    image = dv.open_dataset(tmp_path / "map.virtual")
    assert image.global_coords["wavelength"].value == values.value[4]


@pytest.mark.parametrize("suffix", mostly_slow([".zarr", ".fits", ".nc", ".asdf"], ".asdf"))
def test_other_forms_have_the_wavelengths_themselves(
    scaled: Any, values: Any, tmp_path: Path, suffix: str
) -> None:
    given = scaled.with_data(np.ones(scaled.shape), unit="ct")
    sun = given.calibrate_wavelength(values, medium="air", frame="sun")
    options = {"pixels": True} if suffix == ".asdf" else {}
    sun.save(tmp_path / f"part{suffix}", progress=False, **options)
    opened = dv.open_dataset(tmp_path / f"part{suffix}")
    assert opened.wavelength_scale is None
    grid = np.meshgrid(*map(np.arange, sun.shape[::-1]), indexing="ij")
    for one, other in zip(
        sun.wcs.low_level_wcs.pixel_to_world_values(*grid),
        opened.wcs.low_level_wcs.pixel_to_world_values(*grid),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert frame_of(opened) == frame_of(sun) == "sun"
    assert opened.meta["applied_wavelength_scale"]["medium"] == "air"
    if suffix == ".fits":
        from astropy.io import fits

        assert fits.getheader(tmp_path / "part.fits")["SPECSYS"] == "HELIOCEN"
        assert sun.to_xarray().coords["wavelength"].attrs["frame"] == "sun"
        assert "frame" not in given.to_xarray().coords["wavelength"].attrs
        with fits.open(tmp_path / "part.fits") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(file[0].header, fobj=file)
        assert wcs.wcs.ctype[1].startswith("AWAV")
        found = wcs.array_index_to_world_values(*([0] * (wcs.pixel_n_dim - 3)), 2, 4, 3)[1]
        assert found * 1e9 == pytest.approx(values.value[4], rel=0, abs=1e-10)


def test_what_does_not_fit_is_refused(part: Any, values: Any, datasets: Any) -> None:
    with pytest.raises(DatasetError, match=r"shape \(11,\): expected \(12,\)"):
        part.calibrate_wavelength(values[1:])
    with pytest.raises(TypeError, match="with a unit"):
        part.calibrate_wavelength(values.value)
    with pytest.raises(DatasetError, match="1 of 12 wavelengths are not positive"):
        part.calibrate_wavelength(np.where(np.arange(12) == 3, np.nan, values))
    with pytest.raises(DatasetError, match="frame='moon': expected 'observer' or 'sun'"):
        part.calibrate_wavelength(values, frame="moon")
    with pytest.raises(ValueError, match=r'expected "headers"'):
        part.calibrate_wavelength("header")
    with pytest.raises(DatasetError, match="no axis of wavelengths"):
        part[:, 3].calibrate_wavelength(values)
    with pytest.raises(DatasetError, match="no axis of wavelengths"):
        datasets("large_vbi").calibrate_wavelength(values)
    document = part.calibrate_wavelength(values).wavelength_scale.to_document()
    assert WavelengthScale.from_document(document).to_document() == document
    for wrong in ({}, {**document, "version": 2}, {**document, "values": [1]}, None,
                  {**document, "more": 1}, {**document, "unit": "m/s"}):  # fmt: skip
        with pytest.raises(DatasetError, match="wavelength scale: "):
            WavelengthScale.from_document(wrong)


# The headers ------------------------------------------------------------------------------------


def test_headers_say_another_pixel_than_the_wcs(datasets: Any) -> None:
    """CRVAL2 630.2051 at CRPIX2 -23 is, by hand, 630.2051 + 24 * 0.00162511509639976 at pixel 0."""
    ds = datasets("croppable_visp")[:, ::300]
    with pytest.warns(
        DKISTVirtualWarning,
        match=r"pixel 0 at 630\.24410 nm, and the WCS of the dataset at 630\.24248 nm: up to 1\.00 "
        r"pixels or 0\.77 km/s",
    ):
        made = ds.calibrate_wavelength("headers")
    expected = 630.2051 + (np.arange(976) + 24) * 0.00162511509639976
    scale = made.wavelength_scale
    np.testing.assert_allclose(scale.values, expected, rtol=0, atol=1e-11)
    assert (scale.medium, scale.frame, scale.method) == ("air", "observer", "headers")
    assert "0.77 km/s" in scale.source


def grating(ds: Any) -> Any:
    ds.headers.remove_column("CTYPE2")
    cards = {"CTYPE2": "AWAV-GRA", "PV2_0": 316e3, "PV2_1": 9, "PV2_2": 65.3654}
    for name, value in cards.items():
        ds.headers[name] = value
    return ds


@pytest.mark.filterwarnings("ignore:calibrate_wavelength")
def test_headers_of_a_grating_have_its_curvature(part: Any) -> None:
    """Against the grating equation in closed form: G m wavelength = sin a + sin b."""
    made = grating(part[...]).calibrate_wavelength("headers")
    scale = made.wavelength_scale
    pixel = np.arange(100, 112) + 24  # from CRPIX2 -23
    groove, order, alpha = 316e3, 9, np.deg2rad(65.3654)
    sine = groove * order * 630.2051e-9 - np.sin(alpha)
    # The tangent of the angle on the camera, from the reference pixel, is linear in the pixel.
    slope = groove * order * 0.00162511509639976e-9 / np.cos(np.arcsin(sine))
    angle = np.arcsin(sine) + np.arctan(pixel * slope)
    expected = (np.sin(alpha) + np.sin(angle)) / (groove * order) * 1e9
    np.testing.assert_allclose(scale.values, expected, rtol=0, atol=1e-10)
    linear = 630.2051 + pixel * 0.00162511509639976
    assert 1e-6 < np.abs(expected - linear).max() < 1e-3
    assert "AWAV-GRA" in scale.source
    # A slice of the whole has the same.
    np.testing.assert_array_equal(
        grating(part[:, 3:9:2]).calibrate_wavelength("headers").wavelength_scale.values,
        scale.values[3:9:2],
    )


def test_headers_that_differ_are_refused(part: Any) -> None:
    other = part[...]
    other.headers["CRVAL2"][3] += 0.01
    with pytest.raises(DatasetError, match=r"headers 0 and 3 have CRVAL2 630\.2051 and 630\.2151"):
        other.calibrate_wavelength("headers")
    turned = part[...]
    turned.headers["PC2_1"] = 0.1
    with pytest.raises(DatasetError, match=r"PC2_1 is 0\.1"):
        turned.calibrate_wavelength("headers")
    with pytest.raises(TypeError, match="takes no medium="):
        part.calibrate_wavelength("headers", medium="air")
    array = dv.Dataset(np.ones(part.shape), wcs=part.wcs)
    with pytest.raises(DatasetError, match="no headers of its frames"):
        array.calibrate_wavelength("headers")


@pytest.mark.slow
def test_frames_of_one_wavelength_have_no_scale_in_their_headers(datasets: Any) -> None:
    ds = datasets("vtf")
    with pytest.raises(DatasetError, match="each frame is of one wavelength"):
        ds.calibrate_wavelength("headers")
    # Wavelengths in no order are found again at their pixels.
    low, shape = ds.wcs.low_level_wcs, ds.shape
    grid = np.meshgrid(*(np.arange(min(n, 5)) for n in shape[::-1]), indexing="ij")
    (own,) = World(ds.wcs, shape).along([World(ds.wcs, shape).of_kind("wavelength")])
    made = ds.calibrate_wavelength((own + 1e-3) * u.nm).wcs.low_level_wcs
    found = made.pixel_to_world_values(*grid)
    np.testing.assert_allclose(found[2], low.pixel_to_world_values(*grid)[2] + 1e-3, atol=1e-12)
    again = made.world_to_pixel_values(*found)
    np.testing.assert_allclose(np.array(again), np.array(grid), rtol=0, atol=1e-5)
