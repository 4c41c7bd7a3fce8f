"""Compare numpy's functions of datasets with numpy and astropy on the same pixels in memory."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable
from copy import copy as copy_of
from typing import Any

import astropy.units as u
import dask.array as da
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from samples import mostly_slow
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.dataset.derived import numpy_functions
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def opened(simulated: Any) -> tuple[dv.Dataset, u.Quantity]:
    """Two axes of frames and two of pixels, and a Quantity of the same pixels."""
    ds = dv.open_dataset(simulated("vtf"))[0]
    pixels = np.array(ds.data)
    return ds, u.Quantity(pixels, ds.unit, dtype=pixels.dtype)


@pytest.fixture
def pair(opened: Any) -> tuple[dv.Dataset, u.Quantity]:
    ds, quantity = opened
    return ds[...], quantity


def same(found: Any, expected: Any, rtol: float = 0) -> None:
    assert getattr(found, "unit", None) == getattr(expected, "unit", None)
    values, theirs = (np.asarray(getattr(one, "value", one)) for one in (found, expected))
    assert values.dtype == theirs.dtype
    np.testing.assert_allclose(values, theirs, rtol=rtol, atol=0)


# One value for each pixel -----------------------------------------------------------------------

LEVEL = 950 * u.ct
COLUMN = np.linspace(0.9, 1, 44) * u.kct

PER_PIXEL: dict[str, Callable[[Any], Any]] = {
    "clip": lambda x: np.clip(x, 900 * u.ct, LEVEL),
    "clip below": lambda x: np.clip(x, 0.9 * u.kct, None),
    "clip by keyword": lambda x: np.clip(x, max=LEVEL),
    "clip a_max": lambda x: np.clip(x, a_min=None, a_max=LEVEL),
    "clip by a row": lambda x: np.clip(x, COLUMN, 2 * COLUMN),
    "clip by itself": lambda x: np.clip(x, x[:1], LEVEL),
    "clip a number": lambda x: np.clip(x / u.ct, 900, 950),
    "round": lambda x: np.round(x, 1),
    "around": lambda x: np.around(x, decimals=-2),
    "round()": lambda x: np.round(x) if isinstance(x, u.Quantity) else round(x),
    "fix": np.fix,
    "where zero": lambda x: np.where(x > LEVEL, x, 0),
    "where nan": lambda x: np.where(x > LEVEL, np.nan, x),
    "where both": lambda x: np.where(x > LEVEL, x, -x),
    "where units": lambda x: np.where(x > LEVEL, x.to("kct"), x),
    "where numbers": lambda x: np.where(x > LEVEL, 1.0, 0.0),
    "where an array": lambda x: np.where(np.arange(44) > 20, x, 0),
    "nan_to_num": lambda x: np.nan_to_num(x * np.nan),
    "nan_to_num unit": lambda x: np.nan_to_num(x * np.nan, nan=3 * u.ct),
    "real": np.real,
    "imag": np.imag,
    "angle": np.angle,
    "angle deg": lambda x: np.angle(x, deg=True),
    "isclose": lambda x: np.isclose(x, LEVEL, rtol=0.01, atol=1 * u.ct),
    "isreal": np.isreal,
    "iscomplex": np.iscomplex,
    "isposinf": lambda x: np.isposinf(x / u.ct),
    "isneginf": lambda x: np.isneginf(x / u.ct),
    "isfinite": np.isfinite,
    "sinc": lambda x: np.sinc(x * u.rad / u.ct),
    "i0": lambda x: np.i0(x / (500 * u.ct)),
    "interp": lambda x: np.interp(x, [0, 900, 2000] * u.ct, [0, 1, 2] * u.s),
    "and": lambda x: (x > 900 * u.ct) & (x < LEVEL),
    "or": lambda x: (x > LEVEL) | np.isnan(x),
    "xor": lambda x: (x > LEVEL) ^ True,
    "not": lambda x: ~(x > LEVEL),
    "reflected and": lambda x: np.full(44, True) & (x > LEVEL),
    "reflected or": lambda x: False | (x > LEVEL),
    "logical": lambda x: np.logical_and(x > 900 * u.ct, x < LEVEL),
    "quantity in another unit -": lambda x: 2 * u.kct - x,
    "quantity in another unit >": lambda x: 2 * u.kct > x,
    "array of another unit /": lambda x: COLUMN / x,
    "array of another unit +": lambda x: COLUMN + x,
    "maximum of another unit": lambda x: np.maximum(COLUMN, x),
    "maximum": lambda x: np.maximum(x, LEVEL),
}


@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero|overflow):RuntimeWarning")
@pytest.mark.parametrize(
    "name",
    mostly_slow(
        PER_PIXEL,
        "clip",
        "where both",
        "nan_to_num",
        "interp",
        "and",
        "round()",
        "array of another unit +",
    ),
)
def test_functions_of_each_pixel_give_datasets(name: str, pair: Any) -> None:
    ds, quantity = pair
    call = PER_PIXEL[name]
    with opened_frames() as read:
        result = call(ds)
        assert read == []
    assert isinstance(result, dv.Dataset)
    expected = call(quantity)
    assert result.unit == getattr(expected, "unit", None)
    found, values = np.array(result.data), np.asarray(getattr(expected, "value", expected))
    assert found.dtype == values.dtype == result.data.dtype
    np.testing.assert_array_equal(found, values)
    assert result.lineage.is_computed
    assert len(result.headers) == len(ds.headers)
    cut, part = result[1, ..., 3:5], values[1, ..., 3:5]
    np.testing.assert_array_equal(np.array(cut.data), part)
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(np.array(again[1].data), values[1])


def test_every_function_of_each_pixel_is_tried() -> None:
    tried = inspect.getsource(inspect.getmodule(same)).partition("PER_PIXEL:")[2]
    for name in numpy_functions._PER_PIXEL:
        assert f"np.{name}" in tried


def test_only_the_selected_pixels_are_read(pair: Any) -> None:
    ds, quantity = pair
    limited = np.where(ds > LEVEL, np.clip(ds, 900 * u.ct, LEVEL), ds)
    with opened_frames() as read:
        cut = limited[0, 1, 2:4].data.compute()
    assert len(set(read)) == 1
    expected = np.where(quantity > LEVEL, np.clip(quantity, 900 * u.ct, LEVEL), quantity)
    np.testing.assert_array_equal(cut, expected[0, 1, 2:4].value)


def test_the_pixels_that_where_chooses_give_headers_masks_and_deviations(pair: Any) -> None:
    ds, quantity = pair
    one, two = ds[0], ds[1]
    rng = np.random.default_rng(7)
    for each in (one, two):
        each.mask = rng.random(each.shape) < 0.3
        each.uncertainty = StdDevUncertainty(rng.random(each.shape))
    chosen = quantity[0] > LEVEL
    result = np.where(ds[0] > LEVEL, two, one)
    np.testing.assert_array_equal(result.mask, np.where(chosen, two.mask, one.mask))
    np.testing.assert_array_equal(
        np.asarray(result.uncertainty.array),
        np.where(chosen, two.uncertainty.array, one.uncertainty.array),
    )
    assert list(result.headers["DATE-AVG"]) == list(two.headers["DATE-AVG"])
    assert len(result.lineage.parts) == 2
    with pytest.warns(DKISTVirtualWarning, match="np.greater: how"):
        masked = one > LEVEL
    result = np.where(masked, two, 0)
    np.testing.assert_array_equal(
        result.mask,
        np.where(chosen, two.mask, False) | one.mask,  # of an unknown condition too
    )
    np.testing.assert_array_equal(result[0].mask, np.asarray(result.mask)[0])
    # Limits and NaN leave deviations as they are.
    for kept in (np.clip(one, 900 * u.ct, LEVEL), np.nan_to_num(one)):
        np.testing.assert_array_equal(np.asarray(kept.uncertainty.array), one.uncertainty.array)
        np.testing.assert_array_equal(kept.mask, one.mask)
    with pytest.warns(DKISTVirtualWarning, match="np.round: how these uncertainties follow"):
        assert np.round(one).uncertainty is None
    with pytest.warns(DKISTVirtualWarning, match="np.clip: how"):
        assert np.clip(one, two, None).uncertainty is None


# All pixels -------------------------------------------------------------------------------------

OF_ALL: dict[str, Callable[[Any], Any]] = {
    "mean": np.mean,
    "mean of axes": lambda x: np.mean(x, axis=(1, 2), keepdims=True),
    "mean f8": lambda x: np.mean(x, dtype="f8"),
    "sum": lambda x: np.sum(x, 0),
    "std": lambda x: np.std(x, ddof=1),
    "var": lambda x: np.var(x, axis=-1),
    "max": np.max,
    "amin": lambda x: np.amin(x, axis=0),
    "ptp": np.ptp,
    "argmax": np.argmax,
    "argmin": lambda x: np.argmin(x, axis=1),
    "nanmean": np.nanmean,
    "nanmax": lambda x: np.nanmax(x, axis=1),
    "nansum": np.nansum,
    "nanstd": np.nanstd,
    "median": lambda x: np.median(x, axis=0),
    "nanmedian": np.nanmedian,
    "percentile": lambda x: np.percentile(x, [5, 95]),
    "nanpercentile": lambda x: np.nanpercentile(x, 5, axis=0),
    "quantile": lambda x: np.quantile(x, 0.3, method="lower"),
    "nanquantile": lambda x: np.nanquantile(x, 0.3),
    "histogram": lambda x: np.histogram(x, bins=7)[0],
    "edges": lambda x: np.histogram(x, 7, range=(0 * u.ct, 2 * u.kct))[1],
    "all": lambda x: np.all(x > 0 * u.ct),
    "any": lambda x: np.any(x > LEVEL, axis=0),
    "prod": lambda x: np.prod((x[0, 0] / x[0, 0]).to("")),
    "count_nonzero": lambda x: np.count_nonzero(x > LEVEL),
    "argwhere": lambda x: np.argwhere(x > LEVEL),
    "flatnonzero": lambda x: np.flatnonzero(x > LEVEL),
    "where": lambda x: np.where(x > LEVEL)[1],
    "nonzero": lambda x: np.nonzero(x > LEVEL)[0],
    "array_equal": lambda x: np.array_equal(x, x),
    "allclose": lambda x: np.allclose(x, x + 1 * u.ct, atol=2 * u.ct),
    "array_equiv": lambda x: np.array_equiv(x[:1], x),
    "shape": np.shape,
    "ndim": np.ndim,
    "size": np.size,
    "complex": np.iscomplexobj,
    "len": len,
    "Quantity": lambda x: u.Quantity(x, dtype=np.float32),
    "a profile": lambda x: u.Quantity(list(x[:, 3, 4]), dtype=np.float32),
}


@pytest.mark.parametrize("name", mostly_slow(OF_ALL, "mean", "amin", "median", "where", "len"))
def test_functions_of_all_pixels_give_numbers_with_a_unit(name: str, pair: Any) -> None:
    ds, quantity = pair
    call = OF_ALL[name]
    same(call(ds[1]), call(quantity[1]), rtol=2e-6)


def test_masked_pixels_are_left_out_or_refused(pair: Any) -> None:
    ds, quantity = pair[0][0, 1], pair[1][0, 1]
    mask = np.random.default_rng(3).random(ds.shape) < 0.3
    ds.mask = mask
    hidden = np.where(mask, np.float32(np.nan), quantity)
    for function in (np.nanmean, np.nanmax, np.nanmedian, np.nanstd):
        same(function(ds), function(hidden), rtol=2e-6)
    for function in (np.mean, np.max, np.amin, np.median, np.std):
        with pytest.raises(DatasetError, match=r"np.nan\w+\(ds\) leaves them out, and NaN too"):
            function(ds)
    for call in (lambda: np.histogram(ds), lambda: np.any(ds > LEVEL), lambda: np.argmax(ds)):
        with pytest.raises(DatasetError, match=r"ds.fill_masked\(value, unmask=True\) gives them"):
            call()
    ds.mask = da.from_array(np.zeros_like(mask))
    same(np.mean(ds), np.mean(quantity), rtol=2e-6)
    ds.mask = True
    with pytest.raises(DatasetError, match="masked pixels"):
        np.sum(ds)


# Arrays -----------------------------------------------------------------------------------------


def test_arrays_of_a_dataset_are_its_pixels(pair: Any) -> None:
    ds, quantity = pair
    for found in (np.asarray(ds), np.array(ds), np.asanyarray(ds), ds.to_numpy()):
        assert type(found) is np.ndarray
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, quantity.value)
    np.testing.assert_array_equal(np.asarray(ds, "f8"), quantity.value.astype("f8"))
    with pytest.raises(ValueError, match="copy=False: its pixels have to be read"):
        np.array(ds, copy=False)
    with opened_frames() as read:
        stacked = da.stack([ds[0], ds[1] * 2])
        assert read == []
    np.testing.assert_array_equal(np.array(stacked[1]), 2 * quantity[1].value)
    own = np.arange(1320.0).reshape(30, 44)
    held = dv.Dataset(own, ds[0, 0].wcs)
    assert np.asarray(held) is own
    assert np.array(held) is not own
    assert np.array(held, copy=False) is own


def test_arrays_of_masked_pixels(pair: Any) -> None:
    ds, quantity = pair[0][0, 1], pair[1][0, 1].value
    mask = np.random.default_rng(3).random(ds.shape) < 0.3
    ds.mask = mask
    np.testing.assert_array_equal(np.asarray(ds), np.where(mask, np.nan, quantity))
    np.testing.assert_array_equal(np.array(ds.to_dask_array()), np.asarray(ds))
    of_numpy = np.ma.array(ds)
    np.testing.assert_array_equal(of_numpy.mask, mask)
    assert of_numpy.mean() == pytest.approx(np.ma.array(quantity, mask=mask).mean())
    of_numpy[0] = np.ma.masked
    np.testing.assert_array_equal(ds.mask, mask)
    numbers = ds.with_data(quantity.astype("i4"))
    with pytest.raises(DatasetError, match=r"int32, a type without NaN: ds.fill_masked\(value, "):
        np.asarray(numbers)
    assert np.asarray(numbers.fill_masked(-1, unmask=True)).min() == -1
    numbers.mask = np.zeros(mask.shape, bool)
    np.testing.assert_array_equal(np.asarray(numbers), quantity.astype("i4"))


def stack_of(tiles: list[dv.Dataset]) -> Array:
    return np.array(tiles)


def test_lists_of_datasets_are_arrays_of_datasets(pair: Any) -> None:
    ds = pair[0]
    tiles = [ds[0], ds[1][..., :9], ds[0, 1]]
    with opened_frames() as read:
        for found in (
            np.array(tiles).reshape(3, 1),
            np.array([copy_of(tile) for tile in tiles]).reshape((3, 1)),
            np.array([[tile] for tile in tiles]),
            np.array([[tiles[0]], [tiles[1]], [tiles[2]]], dtype=object),
            np.array(tiles, object)[:, None],
        ):
            assert found.shape == (3, 1)
            assert all(isinstance(tile, dv.Dataset) for tile in found.flat)
        grid = np.full((2, 2), None, object)
        grid[0, 0] = tiles[0]
        mosaic = dv.TiledDataset([[tiles[0], tiles[0]]])  # type: ignore[arg-type]
        assert mosaic.shape == (1, 2)
        for _ in range(200):  # Python specialises such a line
            assert stack_of(tiles).dtype == object
        assert read == []
    # Arrays, as of any other arrays.
    assert np.asarray([tiles[0], tiles[0]]).shape == (2, *tiles[0].shape)
    assert np.array([tiles[0]], dtype=float).shape == (1, *tiles[0].shape)


def test_other_libraries_take_the_pixels(pair: Any) -> None:
    import pandas as pd
    import xarray as xr
    from matplotlib.figure import Figure
    from scipy.ndimage import gaussian_filter

    frame, pixels = pair[0][0, 1], pair[1][0, 1].value
    mask = pixels > np.median(pixels)
    axes = Figure().add_subplot()
    np.testing.assert_array_equal(axes.imshow(frame).get_array(), pixels)
    np.testing.assert_array_equal(axes.pcolormesh(frame).get_array(), pixels)
    assert np.array_equal(axes.plot(frame[3])[0].get_ydata(), pixels[3])
    assert np.array_equal(axes.hist(frame[3])[0], np.histogram(pixels[3])[0])
    axes.contour(frame)
    frame.mask = mask
    np.testing.assert_array_equal(np.ma.getmaskarray(axes.imshow(frame).get_array()), mask)
    frame.mask = None
    np.testing.assert_array_equal(pd.DataFrame(frame).to_numpy(), pixels)
    np.testing.assert_array_equal(pd.Series(frame[3]).to_numpy(), pixels[3])
    np.testing.assert_array_equal(gaussian_filter(frame, 1), gaussian_filter(pixels, 1))
    np.testing.assert_array_equal(xr.DataArray(frame).values, pixels)


def test_a_dataset_is_iterated_by_its_first_axis(pair: Any) -> None:
    ds, quantity = pair
    assert [part.shape for part in ds] == [ds.shape[1:]] * len(ds)
    assert sum(ds[:, 0, 3, 4]) == sum(quantity[:, 0, 3, 4])
    plain = ds[:, 0, 3, 4].with_data(np.arange(float(len(ds))))
    assert list(plain) == list(range(len(ds)))


# What is refused --------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "out": (lambda x: np.clip(x, 0, 1, out=np.zeros(3)), r"np.clip of a dataset with out=: it"),
    "casting": (lambda x: np.clip(x, 0, 1, casting="no"), "with casting=: it takes a, a_min"),
    "where=": (lambda x: np.mean(x, where=True), "np.mean of a dataset with where=: it takes a, a"),
    "initial": (lambda x: np.max(x, initial=3), "np.max of a dataset with initial="),
    "copy=": (lambda x: np.nan_to_num(x, copy=False), "np.nan_to_num of a dataset with copy="),
    "ufunc where": (lambda x: np.sqrt(x, where=True), "np.sqrt of a dataset with where="),
    "dtype": (lambda x: np.add(x, x, dtype="f8"), "np.add of a dataset with dtype="),
    "weights": (lambda x: np.percentile(x, 5, weights=x), "with weights="),
    "both limits": (lambda x: np.clip(x, 1, 2, min=1), "takes a_min and a_max, or min and max"),
    "dataset as option": (lambda x: np.interp(x, x, [1]), "xp= takes no dataset"),
    "dataset as number": (lambda x: np.percentile([1, 2], x), "np.percentile: .* takes no dataset"),
    "where of two": (lambda x: np.where(x > LEVEL, x), "takes a condition, or a condition, x and"),
    "diff": (np.diff, r"np.diff of a dataset: write np.diff\(ds.data, ...\), which dask"),
    "trapezoid": (np.trapezoid, r"write np.trapezoid\(ds.quantity, ...\), which rea"),
    "norm": (np.linalg.norm, r"np.linalg.norm of a dataset: write"),
    "fft": (np.fft.fft, r"np.fft.fft of a dataset: write np.fft.fft\(ds.data"),
    "stack": (lambda x: np.stack([x, x]), r"NDCubeSequence\(\[a, b\], common_axis=0\) of ndcube"),
    "concatenate": (lambda x: np.concatenate([x, x]), r"np.concatenate\(\[a.data, b.data\]\) joi"),
    "zeros_like": (np.zeros_like, r"ds.with_data\(np.zeros\(ds.shape\)\)"),
    "copy": (np.copy, r"copy.copy\(ds\) is a dataset of its own, and np.array\(ds\) an array"),
    "matmul": (lambda x: np.ones((3, 44)) @ x, "np.matmul of a dataset"),
    "any of counts": (np.any, r"np.any of pixels in \[ct\]: has no meaning for a unit"),
    "bits of counts": (lambda x: x & 3, r"in \[ct\] and 3 .* true and false pixels, as in \(ds >"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused_by_name(name: str, pair: Any) -> None:
    call, said = REFUSED[name]
    with opened_frames() as read, pytest.raises(TypeError, match=said):
        call(pair[0])
    assert read == []


def test_every_function_of_numpy_has_a_meaning_or_a_line() -> None:
    """Those of this numpy, and one that a later numpy may have."""

    def later(a: Any) -> None: ...

    later.__module__ = "numpy"
    functions = [later, *filter(callable, vars(np).values())]
    dispatched = type(np.clip)
    known = {one for kind in numpy_functions._KINDS.values() for one in kind}
    known |= {*numpy_functions._ABOUT, np.squeeze}
    for function in functions:
        if (isinstance(function, dispatched) and function not in known) or function is later:
            with pytest.raises(
                TypeError, match=rf"np\.{function.__name__} of (a dataset|datasets): "
            ):
                numpy_functions.call_numpy(function, (), {})


def test_units_are_checked_as_astropy_does(pair: Any) -> None:
    ds, quantity = pair
    for call in (
        lambda x: np.clip(x, 1, 2), lambda x: np.where(x > LEVEL, x, 3), np.sinc, np.prod,
        lambda x: np.nan_to_num(x, nan=3), lambda x: np.isclose(x, 3), np.exp,
    ):  # fmt: skip
        with pytest.raises(u.UnitsError):
            call(quantity)
        with pytest.raises(u.UnitsError, match=r"in \[ct\]"):
            call(ds)
