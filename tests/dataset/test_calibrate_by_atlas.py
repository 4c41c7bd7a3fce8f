"""A fit of the wavelengths to an atlas: a known scale is found again, and a bad fit refused.

The truth is made without the package: a grating's wavelengths by astropy, a Sun of Gaussian lines
at rest, displaced by the velocity of the observer, and telluric lines that are not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter1d

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

LIGHT = 299792.458
SOLAR = ((630.30, 0.6, 6e-3), (630.40, 0.5, 5e-3), (630.62, 0.4, 5e-3), (630.73, 0.5, 6e-3))
TELLURIC = ((630.50, 0.5, 2.5e-3), (630.80, 0.4, 2.5e-3))
N = 400  # wavelengths of the dataset, the first 400 of BKEWK


def light(wavelengths: Any, lines: Any) -> Any:
    depths = (1 - d * np.exp(-0.5 * ((wavelengths - c) / s) ** 2) for c, d, s in lines)
    return np.prod(np.array(list(depths)), axis=0)


def truth() -> Any:
    """Wavelengths of a grating whose offset and dispersion differ from those of the WCS."""
    cards = {
        "CTYPE1": "AWAV-GRA", "CUNIT1": "nm", "CRPIX1": N // 2 + 1, "CRVAL1": 630.5750,
        "CDELT1": 0.0016310, "PV1_0": 316e3, "PV1_1": 9, "PV1_2": 65.3654,
    }  # fmt: skip
    return WCS(cards).wcs_pix2world(np.arange(N)[:, None], 0)[:, 0] * 1e9


def spectrum(wavelengths: Any, velocity: float) -> Any:
    """What an observer sees that recedes by a velocity: the Sun's lines are redder by it."""
    return light(wavelengths / (1 + velocity / LIGHT), SOLAR) * light(wavelengths, TELLURIC)


@pytest.fixture(scope="session")
def atlas() -> Any:
    local = pytest.importorskip("solar_wavelength_calibration.atlas.atlas").LocalAtlas
    at = np.arange(629.6, 631.6, 4e-4)
    return local(
        solar_atlas_wavelength=at * u.nm, solar_atlas_transmission=light(at, SOLAR),
        telluric_atlas_wavelength=at * u.nm, telluric_atlas_transmission=light(at, TELLURIC),
    )  # fmt: skip


@pytest.fixture(scope="session")
def frames(datasets: Callable[[str], Any]) -> Any:
    """Four steps of Stokes I and Q, 400 wavelengths, 4 pixels of the slit."""
    part = datasets("croppable_visp")[:2, ::229, :N, ::800]
    rng = np.random.default_rng(20)
    pixels = np.empty(part.shape)
    for step, velocity in enumerate(part.headers["OBS_VR"][: part.shape[1]] / 1e3):
        # Through a spectrograph of a resolving power of 150,000: sigma is 1.095 pixels.
        made = 900 * gaussian_filter1d(spectrum(truth(), float(velocity)), 1.095)
        pixels[0, step] = (made * (1 + 2e-3 * rng.normal(size=(part.shape[3], N)))).T
    pixels[1] = 3.0
    pixels[0, 1, :, 2] = 1e6  # masked below
    pixels[0, 2, 7] = np.nan
    mask = np.zeros(part.shape, bool)
    mask[0, 1, :, 2] = True
    return part.with_data(pixels, unit="ct", mask=mask)


@pytest.fixture(scope="session")
def made(frames: Any, atlas: Any) -> Any:
    return frames.calibrate_wavelength(quiet=frames, atlas=atlas)


def test_a_known_scale_is_found(frames: Any, made: Any) -> None:
    scale, expected = made.wavelength_scale, truth()
    away = (scale.values - expected) / expected * LIGHT
    assert np.abs(away).max() < 0.02, "km/s"
    zero = np.zeros(2)
    before = frames.wcs.low_level_wcs.pixel_to_world_values(zero, [0, N - 1], zero, zero)[1]
    # By hand, 630.5750 - 200 * 0.0016310 is 3.01 km/s from the 630.24248 of the WCS, and
    # 630.5750 + 199 * 0.0016310 is 4.12 from its 630.89090; the curvature takes 0.29 from both.
    off = (expected[[0, -1]] - before) / expected[0] * LIGHT
    np.testing.assert_allclose(off, [2.72, 3.83], atol=0.02)
    assert (scale.medium, scale.frame, scale.method) == ("air", "observer", "atlas")
    fit = scale.fit
    assert fit["order"] == 9
    assert fit["geometry"] == "VSPGRTCN 316, VSPGRTAN -65.3654, VSPARMPS -3.32"
    mean = float(np.mean(frames.headers["OBS_VR"][:4]))  # of Stokes I, from -786.3 to -738.3 m/s
    assert fit["velocity_km_s"] == pytest.approx(mean / 1e3, abs=1e-9)
    assert fit["residual"] < 0.02
    assert fit["n_spectra"] == 15
    assert fit["dispersion_nm"] == pytest.approx(0.0016310, rel=1e-4)
    assert type(scale).from_document(scale.to_document()) == scale
    np.testing.assert_array_equal(made[0, 1:, 5:9, 1].wavelength_scale.values, scale.values[5:9])


def test_the_scale_is_as_the_observer_measures(frames: Any, made: Any) -> None:
    """A line of the Sun is at 630.40 nm (1 - 0.786 km/s / c), as the telescope approached.

    By hand, 630.40 * -0.7863 / 299792.458 = -1.653e-3 nm. In a scale that had taken the velocity
    out it would be at 630.4000, and with the wrong sign at 630.4017; telluric lines are at theirs.
    """
    values = made.wavelength_scale.values
    first = np.asarray(frames.data[0, 0, :, 0])

    def core(around: float) -> float:
        near = np.abs(values - around) < 6e-3
        a, b, _ = np.polyfit(values[near] - around, first[near], 2)
        return float(around - b / (2 * a))

    assert core(630.40) == pytest.approx(630.40 - 1.653e-3, abs=1.5e-4)
    assert core(630.50) == pytest.approx(630.50, abs=1.5e-4)


@pytest.mark.slow
def test_regions_and_geometry_may_be_given(frames: Any, atlas: Any, made: Any) -> None:
    whole = made.wavelength_scale.values
    corners = [frames.wcs.pixel_to_world(x, 0, step, 0)[0] for x, step in ((0, 0), (3, 1))]
    for quiet in (np.s_[0, :2], SkyCoord(corners)):
        scale = frames.calibrate_wavelength(quiet=quiet, atlas=atlas).wavelength_scale
        np.testing.assert_allclose(scale.values, whole, atol=5e-5)
        assert scale.fit["n_spectra"] == 7
    bare = dv.Dataset(
        frames[0].data, wcs=frames[0].wcs, mask=frames[0].mask,
        meta={"headers": frames.headers["OBS_VR", "CTYPE2"]},
    )  # fmt: skip
    with pytest.raises(DatasetError, match=r"grating is not known: .*grating=316"):
        bare.calibrate_wavelength(quiet=bare, atlas=atlas)
    given = {"grating": 316 / u.mm, "order": 9, "incidence": 65.3654 * u.deg}
    with pytest.warns(DKISTVirtualWarning, match="no OBS_VR: computed by astropy") as said:
        scale = bare.calibrate_wavelength(quiet=bare, atlas=atlas, **given).wavelength_scale
    assert any(one.filename == __file__ and "OBS_VR" in str(one.message) for one in said)
    np.testing.assert_allclose(scale.values, whole, atol=5e-6)
    # A region that recedes from us by 2 km/s would have been taken for bluer wavelengths.
    moved = frames.calibrate_wavelength(
        quiet=np.s_[0, :2], atlas=(atlas.solar_atlas_wavelength, atlas.solar_atlas_transmission),
        velocity=2 * u.km / u.s, residual=0.6, search=0.05 * u.nm,
        window=[630.25, 630.45] * u.nm,
    ).wavelength_scale  # fmt: skip
    middle = (moved.values - truth())[90] / truth()[90] * LIGHT
    assert middle == pytest.approx(2.0, abs=0.05)


@pytest.mark.slow
def test_noise_is_refused(frames: Any, atlas: Any) -> None:
    noise = frames.with_data(np.random.default_rng(2).normal(1, 0.1, frames.shape), unit="ct")
    with pytest.raises(DatasetError, match=r"a bad fit: \d+% of the variation .* at most 10%"):
        noise.calibrate_wavelength(quiet=np.s_[0], atlas=atlas)


def test_a_bad_fit_is_refused(frames: Any, atlas: Any) -> None:
    with pytest.raises(DatasetError, match=r"a bad fit: .* at most 1%"):
        frames.calibrate_wavelength(quiet=np.s_[0, :1, :, :1], atlas=atlas, residual=0.01)
    far = (atlas.solar_atlas_wavelength - 20 * u.nm, atlas.solar_atlas_transmission)
    with pytest.raises(DatasetError, match=r"the solar atlas is of 609\.60 to 611\.60 nm"):
        frames.calibrate_wavelength(quiet=frames, atlas=far)
    flat = (atlas.solar_atlas_wavelength, np.ones_like(atlas.solar_atlas_transmission))
    with pytest.raises(DatasetError, match="the atlas has no lines"):
        frames.calibrate_wavelength(quiet=frames, atlas=flat)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"quiet": np.s_[1]}, DatasetError, "Stokes Q: expected intensities"),
        ({"quiet": np.s_[0, :, 3:]}, DatasetError, "397 wavelengths .* those of the dataset, 400"),
        ({"quiet": np.s_[0, :, 3]}, DatasetError, "no axis of wavelengths"),
        ({"quiet": "limb"}, TypeError, "expected a part of the dataset, an index"),
        ({"atlas": "x.npy", "quiet": np.s_[0]}, TypeError, "atlas=str: expected a pair"),
        ({"order": 9}, TypeError, "order= is for a fit to an atlas: expected quiet="),
        ({"quiet": 0, "frame": "sun"}, TypeError, "quiet= is for a fit: expected no frame="),
        ({"quiet": 0, "order": 9.5}, TypeError, r"order=9\.5: expected a whole number"),
        ({"quiet": 0, "grating": 316}, TypeError, "expected one number with a unit, 316 / u.mm"),
        ({"quiet": 0, "order": 15}, DatasetError, "in order 15 at 65.3654 deg send 630.* sine is"),
        ({"quiet": 0, "incidence": 20 * u.deg}, DatasetError, "is 3.1.*: give order="),
        ({"quiet": 0, "residual": 2}, DatasetError, "residual=2: expected a share"),
        ({"quiet": 0, "velocity": 2}, TypeError, "velocity=2: expected a velocity"),
    ],
)
def test_what_does_not_fit_is_refused(
    frames: Any, atlas: Any, options: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        frames.calibrate_wavelength(
            **({"atlas": atlas} | options if "quiet" in options else options)
        )


def named(frames: Any, instrument: str, **cards: float) -> Any:
    ds = frames[0]
    ds.headers.remove_column("INSTRUME")
    ds.headers["INSTRUME"] = instrument
    for name, value in cards.items():
        ds.headers[name] = value
    return ds


@pytest.mark.slow
def test_instruments_have_their_own_cards(frames: Any, atlas: Any, made: Any) -> None:
    def fit(instrument: str, **cards: float) -> Any:
        ds = named(frames, instrument, **cards)
        return ds.calibrate_wavelength(quiet=ds, atlas=atlas).wavelength_scale

    for name, reason in (("VBI", "takes pictures"), ("VTF", "Fabry-Perot")):
        with pytest.raises(DatasetError, match=f"{name} has no grating: .*{reason}"):
            fit(name)
    # The same angles by the cards of Cryo-NIRSP: 63.7054 + 1.66 in, 63.7054 - 1.66 out.
    scale = fit("CRYO-NIRSP", CNGRTCON=316.0, CNGRTPOS=63.7054, CNGRTLAT=1.66)
    assert scale.fit["order"] == 9
    np.testing.assert_allclose(scale.values, made.wavelength_scale.values, atol=2e-6)
    with pytest.raises(DatasetError, match="CNGRTCON is 0: expected the grooves"):
        fit("CRYO-NIRSP", CNGRTCON=0.0, CNGRTPOS=63.7, CNGRTLAT=1.66)
    with pytest.raises(DatasetError, match="expected incidence=, found none"):
        fit("DL-NIRSP", DLGRTCN=23.0, DLGRTAN=150.0)
    other = named(frames, "VISP")
    other.headers["VSPGRTAN"][2] += 1
    with pytest.raises(DatasetError, match=r"VSPGRTAN is -65\.3654 to -64\.3654: expected one"):
        other.calibrate_wavelength(quiet=other, atlas=atlas)


def test_an_atlas_that_cannot_be_downloaded_is_said(
    frames: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """On a port of this machine where nothing listens."""
    import pooch
    from solar_wavelength_calibration import atlas

    monkeypatch.setenv("FTS_ATLAS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(pooch.core.time, "sleep", lambda _: None)  # between its tries
    nowhere = atlas.DownloadConfig(
        base_url="http://127.0.0.1:9/",
        **{f"{one}_reference_atlas_file_name": f"{one}.npy" for one in ("solar", "telluric")},
        **{f"{one}_reference_atlas_hash_id": "md5:0" for one in ("solar", "telluric")},
    )
    with pytest.raises(DatasetError, match=r"cannot be downloaded .*atlas=\(wavelengths"):
        frames.calibrate_wavelength(quiet=0, atlas=atlas.Atlas(nowhere))


def test_the_extra_is_named(frames: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "solar_wavelength_calibration.atlas.atlas", None)
    with pytest.raises(ImportError, match=r"pip install 'dkist_virtual\[spectra\]'"):
        frames.calibrate_wavelength(quiet=0)


def test_doppler_takes_the_motion_of_the_telescope_out_once(frames: Any, made: Any) -> None:
    """The line at 630.40 nm does not move on the Sun: with OBS_VR it is at -0.786 km/s and so on.

    In a scale in the Sun's frame, made here by hand, nothing is left to be subtracted.
    """
    stated = np.array(frames.headers["OBS_VR"][:4]) / 1e3
    options: dict[str, Any] = {"window": 0.03 * u.nm, "method": "centroid"}
    for observer, expected in ((False, stated), (True, 0 * stated)):
        found = made[0].doppler(630.40 * u.nm, observer=observer, **options)
        np.testing.assert_allclose(np.asarray(found.data)[:, 0], expected, atol=0.08)
    sun = made.wavelength_scale.wavelengths / (1 + stated[0] / LIGHT)
    given = frames[0, :1].calibrate_wavelength(sun, frame="sun")
    found = given.doppler(630.40 * u.nm, observer=True, **options)
    np.testing.assert_allclose(np.asarray(found.data)[0, 0], 0, atol=0.08)
    # Moments of a calibrated dataset have no wavelengths, and so no scale.
    assert found.wavelength_scale is None
    assert found.shape == (1, 4)
