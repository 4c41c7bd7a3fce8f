"""Polarimetry of datasets: the real coordinates and headers of ViSP, profiles of a known field."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from spectra import on_real, real, wavelengths_of

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError

STEPS, SLIT = 4, 3
FIELD = np.array([-3000.0, -200.0, 50.0, 200.0])
WIDTH = 0.005  # nm, standard deviation
AZIMUTH, INCLINATION = 70.0, 30.0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("visp")


@pytest.fixture(scope="module")
def raster(place: Path) -> Any:
    """A raster of ViSP with a field of its own in each step; its line is at `line_of`."""
    ds = real("croppable_visp", place)[:, 100 : 100 + STEPS, :60, 1000 : 1000 + SLIT]
    return on_real(ds, profiles(wavelengths_of(ds) - line_of(ds)))


def line_of(ds: Any) -> Any:
    return float(np.median(wavelengths_of(ds)))


def profiles(x: Any) -> Any:
    """Stokes profiles in counts, by components displaced by the Zeeman splitting, in nm."""
    split = 4.67e-13 * 2.5 * 6302.9**2 / 10 * FIELD[:, None, None]

    def component(at: Any) -> Any:
        return 600 * np.exp(-0.5 * ((x[0] - at) / WIDTH) ** 2)

    blue, pi, red = component(-split), component(0), component(split)
    across, along = np.sin(np.radians(INCLINATION)) ** 2, np.cos(np.radians(INCLINATION))
    linear, angle = -(pi - (blue + red) / 2) / 2 * across, 2 * np.radians(AZIMUTH)
    i = 1000 - (pi * across + (blue + red) / 2 * (1 + along**2)) / 2
    found = i, linear * np.cos(angle), linear * np.sin(angle), (blue - red) / 2 * along
    return np.stack(np.broadcast_arrays(*found, np.zeros((1, 1, SLIT)))[:4])


def weak(ds: Any, **options: Any) -> Any:
    line = line_of(ds) * u.nm
    return ds.polarimetry.weak_field(line, 0.03 * u.nm, **{"lande": 2.5, **options})


def values(ds: Any) -> Any:
    return np.asarray(ds.data)


# The field --------------------------------------------------------------------------------------


def test_the_field_of_each_pixel(raster: Any) -> None:
    found = weak(raster).compute()
    assert list(found) == ["field", "error", "splitting"]
    field = found.field
    assert (field.shape, str(field.unit), str(found.splitting.unit)) == ((STEPS, SLIT), "G", "")
    wanted = FIELD * np.cos(np.radians(INCLINATION))
    assert_allclose(values(field)[1:, 0], wanted[1:], rtol=0.03)
    np.testing.assert_array_equal(field.mask, np.repeat(FIELD < -1000, SLIT).reshape(STEPS, SLIT))
    said = field.meta["result"]
    assert said["positive"] == "towards the observer"
    assert said["sign"].startswith("V is positive on the blue side")
    assert said["lande"] == 2.5
    assert said["stokes_frame"].startswith("SDO/HMI and Hinode-SP: +Q perpendicular")
    assert "CALVERS is 2.0.2" in said["stokes_frame"]
    assert field.lineage.is_computed
    kinds = {axis.kind for axis in World(field.wcs, field.shape).axes}
    assert kinds == {"longitude", "latitude", "time"}
    assert not {"stokes", "wavelength"} & set(field.lineage.common())
    assert list(field.headers["DATE-AVG"]) == list(raster.headers["DATE-AVG"][:STEPS])


def test_samples_that_are_not_in_order_and_moved_wavelengths(raster: Any) -> None:
    same = values(weak(raster).field)
    order = np.random.default_rng(6).permutation(60)
    mixed = raster.with_data(values(raster)[:, :, order], unit="ct")
    mixed = mixed.calibrate_wavelength(wavelengths_of(raster).ravel()[order] * u.nm)
    np.testing.assert_allclose(values(weak(mixed).field), same, rtol=1e-9)
    # The same line, of samples whose wavelengths are all 0.01 nm more than the WCS says.
    moved = raster.polarimetry.weak_field(
        (line_of(raster) + 0.01) * u.nm, [630.0, 631.0] * u.nm, lande=2.5,
        wavelength_offset=np.full((STEPS, SLIT), 10.0) * u.pm,
    )  # fmt: skip
    whole = raster.polarimetry.weak_field(line_of(raster) * u.nm, [630.0, 631.0] * u.nm, lande=2.5)
    np.testing.assert_allclose(values(moved.field), values(whole.field), rtol=1e-4)


def test_a_window_of_the_first_wavelengths(raster: Any) -> None:
    at = wavelengths_of(raster).ravel()
    found = raster.polarimetry.weak_field(at[30] * u.nm, [at[0], at[55]] * u.nm, lande=2.5)
    assert found.field.meta["result"]["window"].endswith("56 wavelengths")
    assert_allclose(values(found.field)[1:], values(weak(raster).field)[1:], rtol=1e-3)


def test_a_line_by_its_name(raster: Any) -> None:
    # At 630.25 nm there is the wing of our line: only what is said is looked at.
    said = raster.polarimetry.weak_field("Fe I 630.25", [630.24, 630.3] * u.nm).field.meta["result"]
    assert (said["line"], said["lande"]) == ("Fe I 630.25, 630.24936 nm", 2.5)


def test_the_noise_may_be_given(raster: Any) -> None:
    low = wavelengths_of(raster).min()
    plain, given = weak(raster), weak(raster, noise=2 * u.ct)
    from_map = weak(raster, noise=np.full((STEPS, SLIT), 4.0))
    quiet = weak(raster, continuum=[low, low + 0.01] * u.nm)
    np.testing.assert_array_equal(values(plain.field), values(given.field))
    np.testing.assert_allclose(values(from_map.error), 2 * values(given.error))
    assert values(quiet.error)[1:].max() < 0.1 * values(given.error)[1:].min()
    assert quiet.field.meta["result"]["noise"] == "standard deviation of V in the continuum"
    mask = np.arange(STEPS * SLIT).reshape(STEPS, SLIT) == SLIT + 1
    of_dataset = given.field.with_data(np.full((STEPS, SLIT), 2.0), unit="ct", mask=mask)
    error = values(weak(raster, noise=of_dataset).error)
    assert not np.isnan(values(given.error)[mask]).any()
    np.testing.assert_array_equal(np.isnan(error), mask | np.isnan(values(given.error)))
    with pytest.raises(DatasetError, match="noise in K: expected a standard deviation in ct"):
        weak(raster, noise=2 * u.K)


def test_masked_pixels_and_nan_give_none(raster: Any) -> None:
    mask = np.zeros(raster.shape, bool)
    mask[3, 1, 30, 0] = True  # of V
    mask[0, 2, 30, 1] = True  # of I
    pixels = values(raster).copy()
    pixels[3, 3, 31, 2] = np.nan
    ds = raster.with_data(pixels, unit="ct", mask=mask)
    found = np.array(weak(ds, limit=None).field.mask)
    wanted = np.zeros((STEPS, SLIT), bool)
    wanted[1, 0] = wanted[2, 1] = wanted[3, 2] = True
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("form", [".zarr", ".fits", ".asdf", ".nc"])
def test_a_field_is_saved_drawn_and_a_map(raster: Any, tmp_path: Path, form: str) -> None:
    field = weak(raster).field
    field.save(
        tmp_path / f"b{form}", progress=False, **({"pixels": True} if form == ".asdf" else {})
    )
    opened: Any = dv.open_dataset(tmp_path / f"b{form}")
    np.testing.assert_array_equal(values(opened), values(field))
    np.testing.assert_array_equal(np.asarray(opened.mask), np.asarray(field.mask))
    assert dict(opened.meta["result"]) == field.meta["result"]
    assert (opened.unit, opened.lineage.is_computed) == (u.G, True)
    again = pickle.loads(pickle.dumps(field))[1:]
    np.testing.assert_array_equal(values(again), values(field)[1:])
    assert json.loads(field.to_map(tolerance=5).meta["result"]) == field.meta["result"]
    field.plot(figure=Figure())
    assert not {"stokes", "wavelength"} & set(field.subject().held)


# Polarisation -----------------------------------------------------------------------------------


def test_azimuth_and_its_zero(raster: Any) -> None:
    found = raster.polarimetry.azimuth(line_of(raster) * u.nm, 0.03 * u.nm)
    assert_allclose(values(found), AZIMUTH, atol=0.01)
    assert found.unit == u.deg
    said = found.meta["result"]
    assert said["zero"] == "+Q: +Q perpendicular and -Q parallel to the Sun's central meridian"
    assert said["sense"] == "counterclockwise on the sky"
    assert "180 degrees" in said["ambiguity"]


def test_degrees(raster: Any) -> None:
    i, q, _, v = values(raster)
    polarimetry = raster.polarimetry
    u_ = values(raster)[2]
    assert_allclose(values(polarimetry.linear()), (np.hypot(q, u_) / i).max(axis=1))
    found = polarimetry.circular(line_of(raster) * u.nm, 0.03 * u.nm)
    assert_allclose(values(found), np.sign(FIELD)[:, None] * np.abs(v / i).max(axis=1))
    assert "noise" in found.meta["result"]
    assert found.unit == u.dimensionless_unscaled


def test_turned_frames(raster: Any, tmp_path: Path) -> None:
    turned = raster.polarimetry.rotated(20 * u.deg)
    assert turned.unit == raster.unit
    np.testing.assert_array_equal(values(turned)[[0, 3]], values(raster)[[0, 3]])
    assert_allclose(values(turned.polarimetry.azimuth()), AZIMUTH - 20, atol=0.01)
    assert "rotated by 20 deg counterclockwise" in str(turned.polarimetry.frame)
    turned.save(tmp_path / "turned.zarr", progress=False)
    assert dv.open_dataset(tmp_path / "turned.zarr").polarimetry.frame == turned.polarimetry.frame
    north = raster.polarimetry.rotated(to="north")
    assert_allclose(values(north)[1:3], -values(raster)[1:3], atol=1e-9)
    # The slit runs almost to north, and away from the centre of the disk, at Tx -421 and
    # Ty 212 arcsec (of this cut), is 153.3 degrees counterclockwise of west.
    slit = values(raster.polarimetry.rotated(to="slit").polarimetry.azimuth())
    assert_allclose(slit, (AZIMUTH - 90) % 180, atol=1)
    lon, lat = _middle(raster)
    radial = values(raster.polarimetry.rotated(to="radial").polarimetry.azimuth())
    assert_allclose(radial, (AZIMUTH - np.degrees(np.arctan2(lat, lon))) % 180, atol=0.05)
    with pytest.raises(DatasetError, match="needs to know where"):
        turned.polarimetry.rotated(to="north")


def _middle(ds: Any) -> Any:
    world = World(ds.wcs, ds.shape)
    found = world.values(*((n - 1) / 2 for n in ds.shape))
    return [float(found[world.of_kind(kind).index]) for kind in ("longitude", "latitude")]


def test_crosstalk_is_measured_and_removed(raster: Any) -> None:
    low = wavelengths_of(raster).min()
    quiet = [low, low + 0.01] * u.nm
    clean = values(raster)
    shares = np.array([0.02, -0.004, 0.01])[:, None, None, None]
    ds = raster.with_data(np.concatenate([clean[:1], clean[1:] + shares * clean[:1]]), unit="ct")
    found = ds.polarimetry.crosstalk(quiet)
    assert list(found) == ["Q", "U", "V"]
    for share, one in zip(shares.ravel(), found.values(), strict=True):
        assert_allclose(values(one), share, atol=1e-6)
    without = ds.polarimetry.remove_crosstalk(quiet)
    assert_allclose(values(without), clean, atol=1e-3)
    assert without.meta["result"]["quantity"].startswith("Stokes parameters without")
    assert without.polarimetry.frame == ds.polarimetry.frame
    assert not np.asarray(without.mask).any()


def test_crosstalk_off_the_limb_is_refused(raster: Any) -> None:
    over = raster.shift(dx=-600 * u.arcsec, dy=600 * u.arcsec)
    assert np.isnan(values(over.mu)).all()
    low = wavelengths_of(raster).min()
    quiet = [low, low + 0.01] * u.nm
    with pytest.raises(SelectionError, match="off the limb"):
        over.polarimetry.crosstalk(quiet)
    with pytest.raises(SelectionError, match="off the limb"):
        over.polarimetry.remove_crosstalk(quiet)
    assert np.asarray(over.polarimetry.crosstalk(quiet, off_limb="mask").V.mask).all()


def test_a_field_of_a_scan_is_of_no_stokes_parameter(simulated: Any) -> None:
    ds = dv.open_dataset(simulated("vtf"))
    assert isinstance(ds, dv.Dataset)
    shown = ds[:, 0, :, :6, :8]
    at = wavelengths_of(shown).ravel()
    with pytest.warns(DKISTVirtualWarning, match="VTF"):
        found = shown.polarimetry.circular()
    for one in (found, found[1:4], pickle.loads(pickle.dumps(found))):
        kinds = {axis.kind for part in World(one.wcs, one.shape).parts for axis in part.axes}
        assert kinds == {"longitude", "latitude", "time"}
        assert "stokes" not in one.lineage.common()
    sky, own = (
        one if hasattr(one, "separation") else one[0]
        for one in (ds.wcs.pixel_to_world(3, 2) for ds in (found, shown[0, len(at) // 2]))
    )  # fmt: skip
    assert sky.separation(own) < 1e-6 * u.arcsec


# What is refused, and warned of -----------------------------------------------------------------


def test_an_unknown_frame_is_warned_of(raster: Any) -> None:
    ds = raster[:]
    ds.headers["CALVERS"] = "1.3.0"
    assert ds.polarimetry.frame.name == "unknown"
    with pytest.warns(DKISTVirtualWarning, match=r"April 2023"):
        found = ds.polarimetry.azimuth()
    assert found.meta["result"]["zero"] == "+Q: unknown"
    with pytest.raises(DatasetError, match="where"):
        ds.polarimetry.rotated(to="radial")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # V and the size of Q and U do not depend on the frame
        assert "unknown" in weak(ds).field.meta["result"]["stokes_frame"]
        ds.polarimetry.linear()
    ds.headers["INSTRUME"] = "VTF"
    with pytest.warns(DKISTVirtualWarning, match="VTF"):
        weak(ds)


def test_what_is_missing_is_refused(raster: Any) -> None:
    line = line_of(raster) * u.nm
    with pytest.raises(SelectionError, match="Stokes parameter"):
        _ = raster[3].polarimetry
    with pytest.raises(SelectionError, match="Stokes V is needed"):
        weak(raster[:3])
    with pytest.raises(DatasetError, match="Landé factor"):
        raster.polarimetry.weak_field(line, 0.03 * u.nm)
    with pytest.raises(SelectionError, match="five"):
        raster.polarimetry.weak_field(line, 0.002 * u.nm, lande=2.5)
    with pytest.raises(DatasetError, match="limit"):
        weak(raster, limit=-1)
    with pytest.raises(DatasetError, match="how"):
        raster.polarimetry.linear(how="median")
    with pytest.raises(DatasetError, match="give an angle"):
        raster.polarimetry.rotated()
    with pytest.raises(TypeError, match="unexpected keyword argument 'widow'"):
        raster.polarimetry.linear(widow=1)
    with pytest.raises(DatasetError, match="expected a length"):
        weak(raster, wavelength_offset=0.01)
    ds = raster[...]
    ds.uncertainty = StdDevUncertainty(np.ones(ds.shape))
    own, quiet = ds.polarimetry, [630.0, 631.0] * u.nm
    measures = own.linear, own.circular, own.azimuth, lambda: own.crosstalk(quiet)
    for measure in (*measures, lambda: weak(ds)):
        with pytest.raises(DatasetError, match="uncertainty = None leaves it behind"):
            measure()
