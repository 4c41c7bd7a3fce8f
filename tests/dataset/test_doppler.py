"""Velocity maps of spectra with a known shift, on the real coordinates and headers of ViSP."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from astropy.time import Time
from matplotlib.figure import Figure
from spectra import absorption, on_real, real, wavelengths_of

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError
from dkist_virtual.science.spectra.velocity import observer_velocity

LIGHT = 299_792.458
REST = 630.31
LINE, WINDOW = REST * u.nm, 0.05 * u.nm
STEPS, SLIT = 4, 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return real("croppable_visp", tmp_path_factory.mktemp("visp"))


@pytest.fixture(scope="module")
def visp(whole: Any) -> Any:
    return whole[0, 100 : 100 + STEPS, :100, 1000 : 1000 + SLIT]


def moving(ds: Any, velocity: Any, rest: float = REST) -> Any:
    """A line that recedes from the telescope by so many km/s."""
    center = rest * (1 + np.asarray(velocity, float) / LIGHT)
    return on_real(ds, absorption(wavelengths_of(ds), center))


@pytest.fixture(scope="module")
def receding(visp: Any) -> Any:
    return moving(visp, 1.0)


def pixels(ds: Any) -> Any:
    return np.ma.filled(np.ma.array(np.asarray(ds.data), mask=ds._mask), np.nan)


METHODS = ["core", "centroid", "bisector"]


@pytest.mark.parametrize("method", METHODS)
def test_one_km_s_away_is_plus_one(receding: Any, method: str) -> None:
    found = receding.doppler(LINE, window=WINDOW, method=method)
    assert found.unit == u.km / u.s
    assert found.shape == (STEPS, SLIT)
    # The parabola and the bisector know the samples alone, 0.0016 nm apart: to 4 m/s.
    np.testing.assert_allclose(pixels(found), 1.0, atol=1e-4 if method == "centroid" else 4e-3)
    said = found.meta["result"]
    assert said["quantity"] == "Doppler velocity"
    assert said["sign"] == "positive: receding (red shift)"
    names = ("observer's velocity", "solar rotation", "gravitational red shift")
    assert all(said[name].startswith("not removed") for name in (*names, "convective blue shift"))
    assert found.lineage.is_computed


def test_a_blue_shift_is_negative(visp: Any) -> None:
    found = moving(visp, -2.0).doppler(LINE, window=WINDOW, method="centroid")
    np.testing.assert_allclose(pixels(found), -2.0, atol=1e-4)


def test_the_telescope_is_taken_out_of_each_frame(visp: Any) -> None:
    """It approaches at 780 m/s, so that a line at rest on the Sun is shifted to the blue."""
    own = np.asarray(visp.headers["OBS_VR"]) / 1e3
    assert own.max() < -0.77
    at_rest = moving(visp, own[:, None, None])
    found = at_rest.doppler(LINE, window=WINDOW, method="centroid", observer=True)
    np.testing.assert_allclose(pixels(found), 0.0, atol=1e-4)
    left = at_rest.doppler(LINE, window=WINDOW, method="centroid")
    np.testing.assert_allclose(pixels(left), own[:, None] * np.ones(SLIT), atol=1e-4)
    said = found[1:].meta["result"]["observer's velocity"]
    assert said.startswith("removed: -779.")
    assert said.endswith(" m/s, OBS_VR of the headers")


def test_obs_vr_of_the_real_raster_is_that_of_astropy(whole: Any) -> None:
    table = whole.headers
    rows = [0, 1500, 2751]
    times = Time([str(table["DATE-AVG"][n]) for n in rows])
    assert np.abs(observer_velocity(times) - np.asarray(table["OBS_VR"])[rows]).max() < 0.1


def changed(ds: Any, keyword: str, value: Any) -> Any:
    made = ds[...]
    made.headers[keyword] = np.asarray(value)
    return made


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-0.63, "OBS_VR is 779.1 m/s from that at DATE-AVG"),  # the simulator's
        (779.5, "OBS_VR is 1559 m/s from that at DATE-AVG"),  # of the other sign
        (np.nan, "OBS_VR is missing in some headers"),
        (-5000.0, "OBS_VR is up to 5000 m/s, more than 1000"),
    ],
)
def test_an_implausible_velocity_is_computed(visp: Any, value: float, said: str) -> None:
    own = np.asarray(visp.headers["OBS_VR"]) / 1e3
    wrong = changed(moving(visp, own[:, None, None]), "OBS_VR", np.full(STEPS, value))
    with pytest.warns(DKISTVirtualWarning, match=f"{said}.*computed by astropy"):
        found = wrong.doppler(LINE, window=WINDOW, method="centroid", observer=True)
    np.testing.assert_allclose(pixels(found), 0.0, atol=2e-4)
    assert "computed by astropy" in found.meta["result"]["observer's velocity"]


def test_without_headers_it_is_computed_at_the_times_of_the_coordinates(visp: Any) -> None:
    own = np.asarray(visp.headers["OBS_VR"]) / 1e3
    binned = moving(visp, own[:, None, None]).rebin((2, 1, SLIT))
    with pytest.warns(DKISTVirtualWarning, match="the headers have no OBS_VR"):
        found = binned.doppler(LINE, window=WINDOW, method="centroid", observer=True)
    np.testing.assert_allclose(pixels(found), 0.0, atol=2e-4)


def test_wavelengths_that_a_velocity_was_taken_out_of_are_refused(receding: Any) -> None:
    corrected = changed(receding, "VELOSYS", np.full(STEPS, -780.0))
    with pytest.raises(DatasetError, match="VELOSYS is -780 m/s: expected 0"):
        corrected.doppler(LINE, window=WINDOW, observer=True)


def test_the_telescope_is_taken_out_once(receding: Any) -> None:
    """Of wavelengths that were calibrated in the Sun's frame not again."""
    values = wavelengths_of(receding).ravel() * u.nm
    for frame, taken in (("observer", -0.7796), ("sun", 0.0)):
        scaled = receding.calibrate_wavelength(values, frame=frame)
        found = scaled.doppler(LINE, window=WINDOW, method="centroid", observer=True)
        np.testing.assert_allclose(pixels(found), 1.0 - taken, atol=4e-4)
        assert ("Sun's frame" in found.meta["result"]["observer's velocity"]) == (frame == "sun")


def test_helium_in_air_and_in_vacuum_is_one_map(visp: Any) -> None:
    values = (1083.03061 + 0.0016 * (np.arange(100) - 50)) * u.nm
    ds = moving(
        visp.calibrate_wavelength(values), [[[1.0]], [[2.0]], [[0.0]], [[-3.0]]], 1083.03061
    )
    how: Any = {"window": 0.06 * u.nm, "method": "centroid"}
    maps = [
        ds.doppler(line, medium=medium, **how)
        for line, medium in [
            (1083.03061 * u.nm, None), (1083.32727 * u.nm, "vacuum"), ("He I 1083.0", None),
            ("He I 1083.0", "vacuum"), ("He I (1083.0 nm)", "air"),
        ]
    ]  # fmt: skip
    truth = np.broadcast_to([[1.0], [2.0], [0.0], [-3.0]], (STEPS, SLIT))
    for one in maps:
        np.testing.assert_allclose(pixels(one), truth, atol=3e-3)  # 0.00001 nm
    assert [one.meta["result"]["medium"] for one in maps[:2]] == ["air", "vacuum"]
    # Vacuum read as air is 82 km/s off.
    with pytest.raises(SelectionError, match="no wavelength is from"):
        ds.doppler(1083.32727 * u.nm, **how)
    off = ds.doppler(1083.32727 * u.nm, window=[1082.97, 1083.09] * u.nm, method="centroid")
    np.testing.assert_allclose(pixels(off) - truth, -82.1, atol=0.1)


def test_rotation_gravity_and_convection_are_taken_out(receding: Any) -> None:
    how: Any = {"window": WINDOW, "method": "centroid"}
    plain = pixels(receding.doppler(LINE, **how))
    rotating = receding.doppler(LINE, rotation="howard", **how)
    # By hand: the surface in the east approaches. At 15 degrees north it turns at 2.86 urad/s,
    # and the Earth goes round at 0.20: 2.66e-6 / s times 1.488e8 km times 417 arcsec is 0.80 km/s.
    assert (pixels(rotating) - plain).mean() == pytest.approx(0.80, abs=0.02)
    assert np.ptp(pixels(rotating)) > 1e-4
    assert rotating.meta["result"]["solar rotation"].startswith("removed: sidereal")
    both = receding.doppler(LINE, gravity=True, convection=-0.3 * u.km / u.s, **how)
    np.testing.assert_allclose(pixels(both), plain - 0.633 + 0.3, atol=1e-3)
    assert both.meta["result"]["gravitational red shift"].startswith("removed: 0.63")


def test_axis_and_quantities_describe_themselves(receding: Any) -> None:
    assert str(receding.spectral.axis) == (
        "SpectralAxis: 100 wavelengths, 630.24248 to 630.40336 nm in air, along axis 1 of the array"
    )
    assert str(receding.spectral) == f"Spectral: measures along {receding.spectral.axis}"
    core = receding.spectral.line_core(line=LINE, window=WINDOW)
    assert "wavelength: nm" in str(core)
    assert "depth: dimensionless" in str(core)


def test_rotation_off_the_disk_is_said(receding: Any) -> None:
    away = receding.shift(5000 * u.arcsec, 0 * u.arcsec)
    with pytest.warns(DKISTVirtualWarning, match="no pixel is on the disk .*ds.footprint") as said:
        found = away.doppler(LINE, window=WINDOW, rotation="howard")
    assert said[0].filename == __file__
    assert np.asarray(found.mask).all()


def test_velocities_relative_to_a_region(visp: Any) -> None:
    steps = np.array([1.0, 2.0, 3.0, 6.0])
    ds = moving(visp, steps[:, None, None])
    how: Any = {"window": WINDOW, "method": "centroid"}
    quiet = np.zeros((STEPS, SLIT), bool)
    quiet[:2] = True
    for reference, value in [
        ("mean", 3.0), ("median", 2.5), (500 * u.m / u.s, 0.5), (quiet, 1.5)
    ]:  # fmt: skip
        found = ds.doppler(LINE, reference=reference, **how)
        np.testing.assert_allclose(pixels(found)[:, 0], steps - value, atol=2e-4)
        np.testing.assert_allclose(pixels(found[2:, 1:])[:, 0], steps[2:] - value, atol=2e-4)
        assert "relative" in found.meta["result"]["reference"]


def test_what_has_no_core_is_masked(receding: Any) -> None:
    values = np.array(receding.data)
    values[0, :, 0] = np.nan
    values[1, :, 1] = 1000.0  # no line
    ds = on_real(receding, values)
    found = ds.doppler(LINE, window=WINDOW)
    expected = np.zeros((STEPS, SLIT), bool)
    expected[0, 0] = expected[1, 1] = True
    np.testing.assert_array_equal(np.asarray(found.mask), expected)
    np.testing.assert_allclose(np.asarray(found.data)[~expected], 1.0, atol=4e-3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "gauss"}, "method='gauss': expected 'core', 'centroid', 'bisector'"),
        ({"level": 0.5}, 'level=0.5 is of method="bisector"'),
        ({"method": "bisector", "level": "0.5"}, "level='0.5': expected a number"),
        ({"observer": "yes"}, "observer='yes': expected True or False"),
        ({"rotation": "newton"}, "rotation='newton': expected 'howard'"),
        ({"convection": -0.3}, "convection=-0.3: expected a velocity"),
        ({"reference": "quiet"}, "reference='quiet': expected \"mean\""),
        ({"reference": np.zeros((STEPS, SLIT), bool)}, "reference is True nowhere"),
        ({"reference": np.ones((2, SLIT), bool)}, "expected that of the map"),
        ({"medium": "Air"}, 'expected "air" or "vacuum"'),
        ({"kind": "both"}, "expected 'absorption' or 'emission'"),
        ({"window": None}, "say how far the line reaches"),
    ],
)
def test_other_options_are_refused(receding: Any, options: Any, said: str) -> None:
    with pytest.raises((DatasetError, SelectionError)) as caught:
        receding.doppler(LINE, **{"window": WINDOW, **options})
    assert said in str(caught.value)
    with pytest.raises(SelectionError, match="above 0"):
        receding.doppler(0 * u.nm, window=[630.3, 630.35] * u.nm)
    with pytest.raises(TypeError, match=r"no such keyword: speed. Expected .*gravity.* observer"):
        receding.doppler(LINE, window=WINDOW, speed=1)


def test_what_a_velocity_cannot_keep_is_refused(receding: Any) -> None:
    unsure = receding[...]
    unsure.uncertainty = StdDevUncertainty(np.ones(unsure.shape))
    with pytest.raises(DatasetError, match="uncertainty = None leaves it behind"):
        unsure.doppler(LINE, window=WINDOW)


@pytest.mark.parametrize(
    "form",
    [
        "x.zarr",
        pytest.param("x.fits", marks=pytest.mark.slow),
        pytest.param("x.nc", marks=pytest.mark.slow),
        pytest.param("x.asdf", marks=pytest.mark.slow),
    ],
)
def test_a_map_is_saved(receding: Any, form: str, tmp_path: Path) -> None:
    found = receding.doppler(LINE, window=WINDOW, observer=True)
    twin = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(pixels(twin), pixels(found))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.save(tmp_path / form, progress=False, **({"pixels": True} if "asdf" in form else {}))
    opened: Any = dv.open_dataset(tmp_path / form)
    np.testing.assert_array_equal(pixels(opened), pixels(found))
    assert opened.unit == found.unit
    assert dict(opened.meta["result"]) == found.meta["result"]


@pytest.mark.slow
def test_a_scan_of_a_known_scene(tmp_path: Path) -> None:
    """VTF takes its wavelengths one after the other; the demo's scene has its own velocities."""
    from dkist_virtual.demo.sunspot import sunspot
    from dkist_virtual.demo.vtf import make_vtf

    make_vtf(tmp_path / "frames", shape=(1, 2, 11, 48, 64), echo=lambda _: None)
    ds: Any = dv.open_dataset(tmp_path / "frames")
    how: Any = {"window": 0.02 * u.nm, "method": "centroid", "most_of_cadence": 1.0}
    found = ds.doppler(630.25 * u.nm, **how)
    truth = np.stack([sunspot((48, 64), scan=scan).velocity for scan in range(2)])
    quiet = np.s_[:, :, :14]
    slope = np.polyfit(truth[quiet].ravel(), pixels(found)[quiet].ravel(), 1)[0]
    assert slope == pytest.approx(1.0, abs=0.1)
    with pytest.warns(DKISTVirtualWarning, match="computed by astropy"):
        taken = ds.doppler(630.25 * u.nm, observer=True, **how)
    away = (pixels(found) - pixels(taken))[:, 0, 0] * 1e3
    times = Time([str(text) for text in ds.headers["DATE-AVG"]]).reshape(2, 11)[:, 5]
    np.testing.assert_allclose(away, observer_velocity(times), atol=2)


def titled(ds: Any) -> tuple[str, str]:
    plot = ds.plot(figure=Figure())
    return plot.axes.get_title(), plot.colorbar.ax.get_ylabel()


def test_a_plot_is_titled_by_its_quantity(receding: Any) -> None:
    """Of what is not an intensity neither Stokes parameter nor wavelength are said."""
    velocity = receding.doppler(REST * u.nm, window=0.05 * u.nm)
    assert titled(velocity) == (
        "VISP BKEWK Doppler velocity (computed)", "Doppler velocity [km / s]"
    )  # fmt: skip
    assert "\n  quantity       Doppler velocity\n" in str(velocity)
    core = receding.spectral.line_core()
    assert titled(core.depth) == ("VISP BKEWK depth (computed)", "depth")
    assert titled(core.intensity) == ("VISP BKEWK intensity (computed)  Stokes I", "intensity [ct]")


def test_zero_is_in_the_middle_of_the_colours_of_velocities(receding: Any) -> None:
    velocity = receding.doppler(LINE, window=0.03 * u.nm)
    image = velocity.plot().image
    low, high = image.get_clim()
    assert image.get_cmap().name == "RdBu_r"  # red recedes
    assert low == -high
    plain = receding.spectral.continuum().plot().image
    assert plain.get_cmap().name == "gray"
    assert plain.get_clim()[0] > 0


def test_a_title_does_not_outlive_its_quantity(receding: Any) -> None:
    """A difference of velocities is computed from velocities, and an array given is of no kind."""
    velocity = receding.doppler(REST * u.nm, window=0.05 * u.nm)
    assert velocity.to("m / s").meta["result"] == velocity.meta["result"]
    depth = receding.spectral.line_core().depth
    for made, unit in ((velocity - velocity, "km / s"), (abs(velocity[1:])[:2] * 2, "km / s")):
        assert titled(made) == ("VISP BKEWK from Doppler velocity (computed)", unit)
        assert made.meta["result"]["computed_from"] == [velocity.meta["result"]]
    both = velocity * depth
    assert both.meta["result"]["quantity"] == "from Doppler velocity and depth"
    assert velocity.meta["result"]["quantity"] == "Doppler velocity"
    given = velocity.with_data(np.zeros(velocity.shape), unit="K")
    assert "result" not in given.meta
    assert titled(given) == ("VISP BKEWK (computed)", "K")
    own = velocity.with_data(np.zeros(velocity.shape), meta={"result": {"quantity": "heat"}})
    assert titled(own)[0] == "VISP BKEWK heat (computed)"


def test_what_is_made_of_a_velocity_is_named_so(whole: Any) -> None:
    ds = moving(whole[0, 100:110, :100, 1000:1010], 1.0)
    velocity = ds.doppler(LINE, window=WINDOW)
    path = velocity.slit([(1, 1), (8, 8)])
    assert path.meta["result"]["quantity"] == "Doppler velocity along a path"
    assert path.meta["result"]["computed_from"] == [velocity.meta["result"]]
    assert "wavelnth" not in velocity.to_map().meta  # LINEWAV is not that of a velocity


def test_a_window_beyond_the_data_says_what_is_there(receding: Any) -> None:
    end = float(wavelengths_of(receding).max())
    width = receding.spectral.equivalent_width(window=[end - 0.01, end + 0.05] * u.nm)
    assert width.meta["result"]["window"].endswith(
        f", of which the selection has {end - 0.01:.10g} to {end:.10g} nm"
    )


def test_a_velocity_of_a_bisector_says_its_level(receding: Any) -> None:
    for level, said in ((0.3, 0.3), (None, 0.5)):
        made = receding.doppler(LINE, window=WINDOW, method="bisector", level=level)
        assert made.meta["result"]["level"] == said
