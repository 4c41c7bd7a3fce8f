"""Compare fits of datasets with astropy's of each spectrum alone, and results with what was put in.

The Sun is known: lines of a known place on the real coordinates of a ViSP raster, and in a
simulated VTF scan whose wavelengths are not in order.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.modeling import custom_model
from astropy.modeling.fitting import LevMarLSQFitter, LMLSQFitter, TRFLSQFitter
from astropy.modeling.models import Const1D, Gaussian1D, Polynomial1D, Voigt1D
from astropy.nddata import StdDevUncertainty
from spectra import absorption, on_real, out_of_order, real, wavelengths_of

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError

STEPS, SLIT = 4, 3


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Any:
    whole = real("croppable_visp", tmp_path_factory.mktemp("visp"))
    return whole[0, 100 : 100 + STEPS, 400:460, 1000 : 1000 + SLIT]


def centers(ds: Any) -> Any:
    shift = np.linspace(-1, 1, STEPS)[:, None, None] + np.linspace(0, 0.5, SLIT)
    return float(wavelengths_of(ds).mean()) + 0.006 * shift


@pytest.fixture(scope="module")
def raster(empty: Any) -> Any:
    """A line that moves, with noise; one sample is NaN, one spectrum is, and one is masked."""
    pixels = absorption(wavelengths_of(empty), centers(empty)) * np.ones(empty.shape)
    pixels += np.random.default_rng(20).normal(0, 3, empty.shape)
    pixels[1, 33, 1] = np.nan
    pixels[2, :, 2] = np.nan
    mask = np.zeros(empty.shape, bool)
    mask[3, :, 0] = True
    return on_real(empty, pixels, mask=mask)


def dark(ds: Any) -> Any:
    return Const1D(900.0) - Gaussian1D(600.0, float(wavelengths_of(ds).mean()), 0.01)


def alone(model: Any, fitter: Any, x: Any, y: Any, weights: Any = None) -> tuple[Any, Any]:
    """astropy's fit of the samples that are known, and standard deviations."""
    known = np.isfinite(y)
    weights = None if weights is None else weights[known]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = fitter(model, x[known], y[known], weights=weights)
    return fitted.parameters, np.sqrt(np.diag(fitter.fit_info["param_cov"]))


@pytest.mark.parametrize(
    "fitter", [TRFLSQFitter(), pytest.param(LevMarLSQFitter(), marks=pytest.mark.slow)]
)
def test_each_fit_is_astropys_own(raster: Any, fitter: Any) -> None:
    model = dark(raster)
    found = raster.spectral.fit(model, fitter=fitter, initial="model")
    x = np.ravel(wavelengths_of(raster))
    for step, slit in np.ndindex(STEPS, SLIT):
        got = np.array([found[name].data[step, slit] for name in model.param_names])
        known = (step, slit) not in {(2, 2), (3, 0)}
        assert [bool(found[name].mask[step, slit]) for name in model.param_names] == [not known] * 4
        if not known:  # masked, or NaN: not fitted
            assert np.isnan(got).all()
            continue
        values, spread = alone(model, type(fitter)(), x, np.asarray(raster.data)[step, :, slit])
        np.testing.assert_array_equal(got, values)
        deviations = [found[name].uncertainty.array[step, slit] for name in model.param_names]
        np.testing.assert_allclose(deviations, spread, rtol=1e-12)
    assert found.mean_1.meta["result"]["converged"] == "10 of 10 spectra that were fitted"


def test_a_zero_weight_is_the_same_as_no_sample(raster: Any) -> None:
    model, x = dark(raster), np.ravel(wavelengths_of(raster))
    found = raster.spectral.fit(model, initial="model")
    y = np.asarray(raster.data)[1, :, 1]
    weights = np.isfinite(y).astype(float)
    wanted = TRFLSQFitter()(model, x, np.nan_to_num(y), weights=weights)
    got = [found[name].data[1, 1] for name in model.param_names]
    np.testing.assert_allclose(got, wanted.parameters, rtol=1e-9)


def test_the_line_is_where_it_was_put(raster: Any) -> None:
    """From first values of each spectrum, though the model's own are 0.2 nm away from some."""
    model = dark(raster)
    found = raster.spectral.fit(model, fitter=LMLSQFitter())
    fine = ~np.asarray(found.mean_1.mask)
    away = np.asarray(found.mean_1.data) - centers(raster)[:, 0]
    assert np.abs(away[fine]).max() < 1e-4
    assert np.abs(away / found.mean_1.uncertainty.array)[fine].max() < 4
    np.testing.assert_allclose(found.stddev_1.data[fine], 0.008, rtol=0.03)
    np.testing.assert_allclose(found.rms.data[fine], 3, rtol=0.4)
    assert [found[name].unit for name in found] == [u.ct, u.ct, u.nm, u.nm, None, u.ct]


def test_units_bounds_and_values_for_each_spectrum_are_converted(raster: Any) -> None:
    middle = float(wavelengths_of(raster).mean()) * u.nm
    model = Const1D(0.9 * u.kct) - Gaussian1D(
        0.6 * u.kct, middle.to(u.AA), 0.1 * u.AA, bounds={"mean": (6309, 6310)}
    )
    plain = Const1D(900.0) - Gaussian1D(600.0, middle.value, 0.01, bounds={"mean": (630.9, 631)})
    one = raster.spectral.fit(model)
    other = raster.spectral.fit(plain)
    np.testing.assert_allclose(one.mean_1.data, other.mean_1.data, rtol=1e-12)
    assert one.amplitude_1.unit == u.ct
    first = centers(raster)[:, 0]
    each = raster.spectral.fit(
        dark(raster), initial={"mean_1": first * u.nm, "stddev_1": 80 * u.pm}
    )
    np.testing.assert_allclose(each.mean_1.data, other.mean_1.data, atol=1e-8)
    many = Const1D(np.full(first.shape, 900.0)) - Gaussian1D(
        600 + 0 * first, first, 0.01 + 0 * first
    )
    np.testing.assert_allclose(
        raster.spectral.fit(many, initial="model").mean_1.data, other.mean_1.data, atol=1e-8
    )
    called = raster.spectral.fit(dark(raster), initial=lambda x, y: {"mean_1": x[np.nanargmin(
        np.nan_to_num(y, nan=np.inf), axis=-1)]})  # fmt: skip
    np.testing.assert_allclose(called.mean_1.data, other.mean_1.data, atol=1e-8)


def test_fixed_tied_and_other_models(raster: Any) -> None:
    middle = float(wavelengths_of(raster).mean())
    model = Const1D(1000.0, fixed={"amplitude": True}) + Voigt1D(middle, -600, 0.003, 0.015)
    model.fwhm_L_1.tied = lambda model: model.fwhm_G_1 / 5
    part = raster[:2, :, :1]
    found = part.spectral.fit(model, fitter=LMLSQFitter(), covariance=True)
    assert (np.asarray(found.amplitude_0.data) == 1000).all()
    assert found.amplitude_0.uncertainty is None
    np.testing.assert_allclose(found.fwhm_L_1.data, found.fwhm_G_1.data / 5)
    name = "covariance_x_0_1_fwhm_G_1"
    assert found[name].unit == u.nm**2
    assert found.x_0_1.unit == u.nm

    @custom_model
    def level(x: Any, height: float = 1.0) -> Any:
        return height + 0 * x

    flat = part.spectral.fit(level())
    np.testing.assert_allclose(flat.height.data, np.nanmean(np.asarray(part.data), axis=1))
    assert flat.height.unit is None
    line = part.spectral.fit(Polynomial1D(1))
    assert [str(line[name].unit) for name in ("c0", "c1")] == ["ct", "ct / nm"]


def test_continuum_window_weights_and_offset(raster: Any) -> None:
    part = raster[:2, :, :2]
    middle = float(wavelengths_of(raster).mean())
    relative = Const1D(1.0) - Gaussian1D(0.7, middle, 0.01)
    found = part.spectral.fit(relative, continuum=95, line=middle * u.nm, window=0.03 * u.nm)
    assert found.amplitude_1.unit == u.dimensionless_unscaled
    np.testing.assert_allclose(found.amplitude_1.data, 0.7, atol=0.02)
    result = found.amplitude_1.meta["result"]
    assert result["continuum"] == "percentile 95 of all wavelengths"
    low, high = (float(word) for word in result["window"].split()[:3:2])
    np.testing.assert_allclose([low, high], [middle - 0.03, middle + 0.03])

    spread = part.with_data(np.asarray(part.data), unit="ct", mask=part.mask)
    spread.uncertainty = StdDevUncertainty(np.full(part.shape, 3.0))
    weighted = spread.spectral.fit(dark(raster), initial="model")
    same = part.spectral.fit(dark(raster), initial="model", weights=1 / 3)
    for name in weighted:
        np.testing.assert_array_equal(weighted[name].data, same[name].data)
    x, y = np.ravel(wavelengths_of(part)), np.asarray(part.data)[0, :, 0]
    values, deviations = alone(dark(raster), TRFLSQFitter(), x, y, np.full(y.shape, 1 / 3))
    assert weighted.mean_1.data[0, 0] == values[2]
    np.testing.assert_allclose(weighted.mean_1.uncertainty.array[0, 0], deviations[2])
    chi2 = np.asarray(weighted.chi2.data)
    np.testing.assert_allclose(chi2[0], 60, atol=40)
    along = part.spectral.fit(dark(raster), initial="model", weights=np.full(60, 1 / 3))
    np.testing.assert_array_equal(along.mean_1.data, same.mean_1.data)

    offset = np.array([[0.001], [-0.002]]) * u.nm
    moved = part.spectral.fit(dark(raster), wavelength_offset=offset)
    still = part.spectral.fit(dark(raster))
    np.testing.assert_allclose(
        moved.mean_1.data - still.mean_1.data, np.broadcast_to(offset.value, (2, 2)), atol=1e-7
    )


def test_a_scan_that_is_not_in_order() -> None:
    """astropy is given the samples as they follow each other in the array."""
    scan = out_of_order()
    x = np.ravel(wavelengths_of(scan))
    at = 630.25 + 0.002 * np.arange(5)
    scan.data = absorption(wavelengths_of(scan), at, sigma=0.012) * np.ones((7, 4, 5))
    scan.data[2, 1, 1] = np.nan
    model = Const1D(900.0) - Gaussian1D(600.0, 630.25, 0.01)
    found = scan.spectral.fit(model, initial="model")
    for index in np.ndindex(4, 5):
        values, _ = alone(model, TRFLSQFitter(), x, scan.data[(slice(None), *index)])
        got = [found[name].data[index] for name in model.param_names]
        np.testing.assert_allclose(got, values, rtol=1e-8)
    np.testing.assert_allclose(found.mean_1.data, np.broadcast_to(at, (4, 5)), atol=1e-6)
    kinds = [axis.kind for axis in World(found.mean_1.wcs, found.mean_1.shape).axes]
    assert kinds == ["longitude", "latitude"]


def test_results_are_datasets_everywhere(raster: Any, tmp_path: Path) -> None:
    found = raster.spectral.fit(dark(raster), fitter=LMLSQFitter())
    mean = found.mean_1
    assert mean.lineage.is_computed
    assert "TRFLSQFitter" not in mean.meta["result"]["method"]
    assert mean.meta["result"]["method"].startswith("least squares fit of Const1D, Gaussian1D")
    again = pickle.loads(pickle.dumps(mean))[1:, :2]
    np.testing.assert_array_equal(again.data, mean.data[1:, :2])
    np.testing.assert_array_equal(again.uncertainty.array, mean.uncertainty.array[1:, :2])
    plot = mean.plot()
    assert "nm" in plot.colorbar.ax.get_ylabel()
    forms = ("x.zarr", "x.fits")
    for form in forms:
        mean.save(tmp_path / form, progress=False)
        opened: Any = dv.open_dataset(tmp_path / form)
        np.testing.assert_array_equal(np.asarray(opened.data), np.asarray(mean.data))
        np.testing.assert_array_equal(np.asarray(opened.mask), np.asarray(mean.mask))
        np.testing.assert_array_equal(np.asarray(opened.uncertainty.array), mean.uncertainty.array)
        assert opened.unit == u.nm
        assert dict(opened.meta["result"]) == mean.meta["result"]


def test_what_cannot_be_fitted_is_refused(raster: Any) -> None:
    model = dark(raster)
    for given, error, said in (
        ({"nonsense": 1}, TypeError, "fit: no such keyword: nonsense"),
        ({"scheduler": "threads"}, DatasetError, "hold Python's lock"),
        ({"initial": {"mean": 1}}, TypeError, "initial: no such keyword: mean"),
        ({"initial": "guess"}, DatasetError, "'model'"),
        ({"line": 630.2 * u.nm}, SelectionError, "how far the line reaches"),
        ({"weights": np.ones(7)}, DatasetError, "one for each wavelength"),
        ({"fitter": 3}, DatasetError, "one of astropy's"),
    ):
        with pytest.raises(error, match=said):
            raster.spectral.fit(model, **given)
    with pytest.raises(DatasetError, match="the model is for wavelengths in nm"):
        raster.spectral.fit(Gaussian1D(1 * u.W, 630 * u.nm, 1 * u.nm))
    with pytest.raises(DatasetError, match="expected a model of astropy"):
        raster.spectral.fit(Gaussian1D)
    with pytest.raises(SelectionError, match="keep an axis"):
        raster[0, :, 0].spectral.fit(model)

    @custom_model
    def broken(x: Any, height: float = 1.0) -> Any:
        raise ZeroDivisionError("of the user's")

    with pytest.raises(DatasetError, match=r"no spectrum could be fitted.*of the user"):
        raster.spectral.fit(broken(), initial="model")


PROGRAM = """
import os, signal, sys
import numpy as np
from dkist_virtual.dataset.spectral.processes import compute_blocks
from dkist_virtual.science.spectra.line_fit import check_stop

class Block:
    def read(self):
        os.write(1, f"fitting {os.getpid()}\\n".encode())
        while True:
            check_stop()

if __name__ == "__main__":
    list(compute_blocks([(n, Block()) for n in range(9)], "processes", 2))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left(how: Any, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        said = {running.stdout.readline() for _ in range(2)}
        running.send_signal(how)
        running.stdout.read()  # until every process has closed it
    assert len(said) == 2
    assert all(line.startswith("fitting") for line in said)
    assert f"fitting {running.pid}\n" not in said
    assert running.returncode in {signal.SIGINT: (-2, 1, 130), signal.SIGKILL: (-9,)}[how]


@pytest.mark.slow
def test_processes_read_their_own_frames(simulated: Callable[[str], Path]) -> None:
    ds: Any = dv.open_dataset(simulated("vtf"))[0]
    x = np.ravel(wavelengths_of(ds))
    model = Const1D(float(np.nanmean(ds.data[..., 0, 0].compute()))) + Gaussian1D(
        1.0, float(x.mean()), float(np.ptp(x)) / 5
    )
    part = ds[..., :6, :9]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DKISTVirtualWarning)
        here = part.spectral.fit(model, scheduler="synchronous", maxiter=20)
        there = part.spectral.fit(model, scheduler="processes", workers=2, maxiter=20)
    for name in here:
        np.testing.assert_array_equal(here[name].data, there[name].data)
        np.testing.assert_array_equal(here[name].mask, there[name].mask)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_a_cluster_computes_the_same(raster: Any) -> None:
    from distributed import Client

    here = raster.spectral.fit(dark(raster))
    with Client(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0") as one:
        there = raster.spectral.fit(dark(raster))
        done = one.run_on_scheduler(lambda dask_scheduler: dask_scheduler.transition_counter)
        assert done > 0  # the cluster did it
    for name in here:
        np.testing.assert_array_equal(here[name].data, there[name].data)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["x.asdf", "x.nc"])
def test_results_are_saved_in_all_forms(form: str, raster: Any, tmp_path: Path) -> None:
    mean = raster.spectral.fit(dark(raster)).mean_1
    mean.save(tmp_path / form, progress=False, **({"pixels": True} if form == "x.asdf" else {}))
    opened: Any = dv.open_dataset(tmp_path / form)
    np.testing.assert_array_equal(np.asarray(opened.data), mean.data)
    np.testing.assert_array_equal(np.asarray(opened.uncertainty.array), mean.uncertainty.array)
    assert dict(opened.meta["result"]) == mean.meta["result"]
