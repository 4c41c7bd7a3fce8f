"""Compare arithmetic, units and bins with numpy and astropy on the frames that dkist reads."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import dask.array as da
import numpy as np
import pytest
from astropy.nddata import NDData, NDDataRef, StdDevUncertainty, UnknownUncertainty
from astropy.nddata import VarianceUncertainty as Variance
from dataset_checks import assert_same_headers, indices, tiles_of
from dkist_assets import VISP, load, unpacked, with_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ndcube import NDCube
from samples import mostly_slow
from simulated import MOSAICS, NAMES, QUICK
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, SelectionError

Array = np.ndarray[Any, Any]


class Case:
    """A dataset of ours, and what dkist and astropy know of the same frames."""

    def __init__(self, place: Path) -> None:
        self.ds: dv.Dataset = tiles_of(dv.open_dataset(place))[0]
        theirs = tiles_of(load(place))[0]
        pixels = theirs.data.compute()
        self.pixels: Array = pixels.astype(pixels.dtype.newbyteorder("="))
        self.quantity = u.Quantity(self.pixels, theirs.unit, dtype=self.pixels.dtype)
        self.headers = theirs.headers
        self.wcs = theirs.wcs.low_level_wcs
        frames = theirs.files.shape[: self.pixels.ndim]
        n = int(np.prod(np.shape(theirs.files.fileuri_array)))
        shape = np.shape(theirs.files.fileuri_array)
        # Of each pixel, the header row of its frame.
        rows = np.arange(n).reshape(shape + (1,) * (self.pixels.ndim - len(shape)))
        self.rows: Array = np.broadcast_to(rows, self.pixels.shape)
        assert frames
        self.names = [str(name) for name in theirs.files.filenames]


@pytest.fixture(scope="module")
def cases(simulated: Any) -> Callable[[str], Case]:
    made: dict[str, Case] = {}

    def case(name: str) -> Case:
        if name not in made:
            made[name] = Case(simulated(name))
        return made[name]

    return case


@pytest.fixture
def vtf(cases: Any) -> Case:
    return cases("vtf")  # type: ignore[no-any-return]


def assert_same(ds: dv.Dataset, expected: Any) -> None:
    """Pixels bit for bit, type and unit."""
    got, values = np.asarray(ds.data), np.asarray(getattr(expected, "value", expected))
    assert got.dtype == values.dtype == ds.data.dtype
    assert ds.shape == got.shape == values.shape
    assert np.array_equal(got, values, equal_nan=got.dtype.kind == "f")
    assert ds.unit == getattr(expected, "unit", None)


def worlds(low: Any, pixels: Array) -> list[Array]:
    """World values at some places in array order: shape (places, axes)."""
    values = low.pixel_to_world_values(*pixels.T[::-1])
    return [np.asarray(v, float) for v in (values if low.world_n_dim > 1 else [values])]


def assert_of_rows(ds: dv.Dataset, case: Case, rows: Array) -> None:
    """The headers are those that dkist has for the frames of these pixels, in order."""
    assert ds.headers is not None
    assert_same_headers(ds.headers, case.headers[np.unique(rows)])


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "x - q": lambda x: x - 5 * u.ct,
    "x - kq": lambda x: x - 0.005 * u.kct,
    "kq - x": lambda x: 5 * u.kct - x,
    "x + float32 q": lambda x: x + np.float32(3) * u.ct,
    "0 + x": lambda x: 0 + x,
    "x * 2": lambda x: x * 2,
    "2.5 * x": lambda x: 2.5 * x,
    "numpy * x": lambda x: np.float64(2) * x,
    "x / 3": lambda x: x / 3,
    "1 / x": lambda x: 1 / x,
    "x / q": lambda x: x / (3 * u.s),
    "q / x": lambda x: (3 * u.s) / x,
    "x * unit": lambda x: x * u.s,
    "x / unit": lambda x: x / u.s,
    "x // q": lambda x: x // (7 * u.ct),
    "q // x": lambda x: 7 * u.kct // x,
    "x % q": lambda x: x % (7 * u.ct),
    "q % x": lambda x: (7 * u.kct) % x,
    "x ** 2": lambda x: x**2,
    "x ** 0.5": lambda x: x**0.5,
    "2 ** ratio": lambda x: 2 ** (x / (1000 * u.ct)),
    "-x": operator.neg,
    "+x": operator.pos,
    "abs": lambda x: abs(-x),
    "sqrt": np.sqrt,
    "log10": lambda x: np.log10(x / (10 * u.ct)),
    "isfinite": np.isfinite,
    "x > q": lambda x: x > 1 * u.kct,
    "q > x": lambda x: 1 * u.kct > x,
    "x <= q": lambda x: x <= 950 * u.ct,
    "row >= x": lambda x: np.arange(x.shape[-1]) * u.kct >= x,
    "to": lambda x: x.to("kct"),
    "row": lambda x: x * np.arange(x.shape[-1]),
    "list": lambda x: x * list(range(x.shape[-1])),
    "row * x": lambda x: np.arange(x.shape[-1], dtype="f4") * x,
    "row of q": lambda x: x - np.linspace(0, 3, x.shape[-1]) * u.kct,
    "row of q - x": lambda x: np.linspace(0, 3, x.shape[-1]) * u.kct - x,
    "column": lambda x: x / np.arange(1, x.shape[-2] + 1)[:, None],
    "all of them": lambda x: (abs(x - 900 * u.ct) / (2 * u.s)) ** 2 - x**2 / u.s**2,
    "self": lambda x: x / x,
    "maximum": lambda x: np.maximum(x, 1 * u.kct),
    "arctan2": lambda x: np.arctan2(x, 1 * u.kct),
}


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value|overflow):RuntimeWarning")
@pytest.mark.slow
def test_arithmetic_is_astropys(name: str, operation: Any, cases: Any) -> None:
    case = cases(name)
    with opened_frames() as opened:
        result = operation(case.ds)
        text = str(result)
        assert opened == []
    assert isinstance(result, dv.Dataset)
    assert_same(result, operation(case.quantity))
    assert result.wcs is case.ds.wcs
    assert_of_rows(result, case, case.rows)
    assert result.inventory == case.ds.inventory
    n = len(case.headers)
    assert f"computed from  {n} frames in {case.ds.files.basepath}\n" in text
    with pytest.raises(DatasetError, match=rf"computed from {n} frames in .*are in no files"):
        result.files  # noqa: B018
    with pytest.raises(DatasetError, match="are in no files"):
        result.download("nowhere")


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_a_dataset_by_a_slice_of_it(name: str, cases: Any) -> None:
    case = cases(name)
    ds, q = case.ds, case.quantity
    for axis in range(q.ndim):
        index = (slice(None),) * axis
        one, rest = (*index, slice(0, 1)), (*index, slice(1, None))
        with opened_frames() as opened:
            result = ds / ds[one]
            assert opened == []
        assert_same(result, q / q[one])
        assert result.wcs is ds.wcs
        assert_of_rows(result, case, case.rows)
        # A slice of the left one keeps its own world and rows.
        assert_same(ds[rest] - ds[one].to("kct"), q[rest] - q[one].to("kct"))
        assert_of_rows(ds[rest] - ds[one], case, case.rows[rest])
        # The right one's, where only that has the shape.
        assert_same(ds[one] - ds, q[one] - q)
    assert_same(ds[1] / ds[0], q[1] / q[0])
    assert_of_rows(ds[1] / ds[0], case, case.rows[1])
    assert_same(ds - ds[0], q - q[0])  # the last axes, as numpy does


def test_other_operands(vtf: Case) -> None:
    ds, q, pixels = vtf.ds, vtf.quantity, vtf.pixels
    dark = da.full((30, 44), 3.0, dtype="f4", chunks=10)
    assert_same(ds * dark, q * np.full((30, 44), 3.0, "f4"))
    assert_same(dark * ds, np.full((30, 44), 3.0, "f4") * q)
    mean = ds.data.mean(axis=(3, 4), keepdims=True)
    expected = q - mean.compute() * u.ct
    with opened_frames() as opened:
        result = ds - NDData(mean, unit="ct")
        assert opened == []
    assert_same(result, expected)
    assert_same(ds - NDData(ds.data.max(), unit="ct"), q - pixels.max() * u.ct)
    cube = NDCube(pixels, vtf.ds.wcs, unit="kct")
    assert_same(ds + cube, q + pixels * u.kct)
    both = cube + ds  # Python asks the subclass first
    assert isinstance(both, dv.Dataset)
    assert_same(both, pixels * u.kct + q)
    unitless = ds / (1 * u.ct)
    assert_same(unitless + 5, q / (1 * u.ct) + 5)
    assert_same((ds * 1000).to("kct") / ds, (q * 1000).to("kct") / q)
    assert_same((ds.to("kct") / ds).to(""), (q.to("kct") / q).to(""))


@pytest.mark.slow
def test_operands_of_another_dataset(cases: Any) -> None:
    visp, plain = cases("visp"), cases("visp_plain")
    assert_same(
        visp.ds / plain.ds[:, :1],
        visp.quantity / plain.quantity[:, :1],
    )
    tiles = [tile.data.compute() for tile in tiles_of(load(cases("vbi_mosaic").ds.files.basepath))]
    ours = dv.open_dataset(cases("vbi_mosaic").ds.files.basepath).flat
    assert np.array_equal((ours[0] - ours[1]).data.compute(), tiles[0] - tiles[1])


def test_integers(vtf: Case) -> None:
    numbers = np.arange(1, 1321, dtype="i4").reshape(30, 44)
    ds, q = (
        dv.Dataset(numbers, vtf.ds[0, 0, 0].wcs, unit="ct"),
        u.Quantity(numbers, "ct", dtype="i4"),
    )
    for operation in (lambda x: x * 2, lambda x: x / 2, lambda x: x - 3 * u.kct, lambda x: -x):
        assert_same(operation(ds), operation(q))
    assert_same(ds**-1.0, q**-1.0)


def test_a_dataset_without_a_unit(vtf: Case) -> None:
    ds = dv.Dataset(vtf.pixels, vtf.ds.wcs)
    assert_same(ds + 5, vtf.pixels + 5)
    assert_same(ds / (2 * u.s), vtf.pixels / (2 * u.s))
    assert_same((ds * u.ct).to("kct"), (vtf.pixels * u.ct).to("kct"))
    assert "computed from  an array" in str(ds)
    with pytest.raises(DatasetError, match="have no unit"):
        ds.to("kct")


# Nothing stale --------------------------------------------------------------------------------


@pytest.mark.slow
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_slices_and_operations_in_any_order(vtf: Case, data: st.DataObject) -> None:
    ds, expected, rows = vtf.ds, vtf.quantity, vtf.rows
    plain = ds
    chosen = st.sampled_from(["x - kq", "x * 2", "kq - x", "row of q", "self", "to", "abs"])
    with opened_frames() as opened:
        for _ in range(data.draw(st.integers(1, 3))):
            name = data.draw(chosen)
            if not ds.unit.is_equivalent(u.ct) and "q" in name:
                continue
            if name == "to":
                unit = data.draw(st.sampled_from([ds.unit, 1000 * ds.unit]))
                ds, expected = ds.to(unit), expected.to(unit)
            else:
                ds, expected = OPERATIONS[name](ds), OPERATIONS[name](expected)
            if expected.ndim > 1:
                index = data.draw(indices(ds.shape))
                ds, expected, rows, plain = ds[index], expected[index], rows[index], plain[index]
        ds = ds * 1
        expected = expected * 1
        assert opened == []
    assert_same(ds, expected)
    assert_of_rows(ds, vtf, rows)
    places = np.array(list({(0,) * ds.data.ndim, tuple(n - 1 for n in ds.shape)}))
    for ours, theirs in zip(
        worlds(ds.wcs.low_level_wcs, places), worlds(plain.wcs.low_level_wcs, places), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


LATER: dict[str, Callable[[Any], Any]] = {
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
    "steps": lambda x: x[::2, ..., 1::3],
    "inside": lambda x: x[..., 3:9, 2:-2],
    "twice": lambda x: x[1:][..., ::2][..., 1:],
    "crop": lambda x: x.crop(x.wcs.pixel_to_world(*[0] * len(x.shape)), keepdims=True),
    "squeeze": lambda x: x[:1].squeeze(),
}


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@pytest.mark.slow
def test_headers_follow_every_selection_or_are_gone(name: str, cases: Any) -> None:
    case = cases(name)
    results = {
        "quotient": case.ds / case.ds[:1],
        "difference": 3 * u.kct - case.ds,
        "root": np.sqrt(abs(case.ds)),
        "converted": case.ds.to("kct"),
    }
    for how, select in LATER.items():
        plain = select(case.ds)
        rows = plain.provenance.rows()
        assert len(plain.files) == len(rows)
        for result in results.values():
            later = select(result)
            assert later.shape == plain.shape, how
            assert_same_headers(later.headers, case.headers[rows])
            assert list(later.headers["DATE-AVG"]) == list(plain.headers["DATE-AVG"])
            with pytest.raises(DatasetError, match="are in no files"):
                later.files  # noqa: B018
            with pytest.raises(DatasetError, match="are in no files"):
                (later * 2).files  # noqa: B018
            assert "computed from" in str(later)
            bins = [n if n % 2 else 2 for n in later.shape]
            bins[: len(later.shape) - 2] = [1] * (len(later.shape) - 2)
            if max(bins) == 1:
                continue
            binned = later.rebin(bins)
            assert binned.headers is None
            assert (binned * 2)[..., :1].headers is None
            assert "binned by" in str(binned[..., :1])
            with pytest.raises(DatasetError, match="binned by"):
                binned[..., :1].files  # noqa: B018


def test_world_selection_after_arithmetic(vtf: Case) -> None:
    ds = vtf.ds
    ratio = ds / ds[:, :, :1]
    first_two = np.array([[0, 0, 0, 0, 0], [0, 0, 1, 0, 0]])
    wavelengths = worlds(vtf.wcs, first_two)[2] * u.nm
    with opened_frames() as opened:
        region = ratio.crop("V", wavelengths)
        plane = ratio.at(stokes="Q")[:, 1]
        assert opened == []
    expected = vtf.quantity / vtf.quantity[:, :, :1]
    assert_same(region, expected[3, :, :2])
    assert_same(plane, expected[1, :, 1])
    assert_same_headers(plane.headers, ds.at(stokes="Q")[:, 1].headers)


def test_only_what_is_needed_is_read(vtf: Case) -> None:
    names = np.array(vtf.names).reshape(4, 2, 3)
    ratio = (vtf.ds - 3 * u.ct) / vtf.ds[:, :, :1].to("kct")
    with opened_frames() as opened:
        cut = ratio[1, 0, 2, 3:5, 7]
        cut.headers  # noqa: B018
        assert opened == []
        got = cut.data.compute()
    assert set(opened) == {names[1, 0, 2], names[1, 0, 0]}
    expected = (vtf.quantity - 3 * u.ct) / vtf.quantity[:, :, :1].to("kct")
    assert np.array_equal(got, expected[1, 0, 2, 3:5, 7].value)
    # No more pixels of them than these: the selection went to the frames, not dask's chunks.
    shapes = [operand.shape for operand in cut._data.operands]
    assert shapes == [(2,), (2,)]
    assert cut._data.operands[1].operands[0].shape == (2,)
    # Down to a single pixel of an operand.
    frame, expected = vtf.ds[0, 0, 0], vtf.quantity[0, 0, 0]
    assert_same((frame / frame[3])[:, 5], (expected / expected[3])[:, 5])
    row = np.arange(1, 45, dtype="f4")
    assert_same((frame / row / da.from_array(row))[2:, 5][::2], (expected / row / row)[2::2, 5])


@pytest.mark.slow
def test_many_operations_upon_each_other(vtf: Case) -> None:
    total, expected = vtf.ds[0, 0], vtf.quantity[0, 0]
    for _ in range(500):
        total, expected = total + vtf.ds[1, 0], expected + vtf.quantity[1, 0]
    assert_same(total[1], expected[1])
    assert_same(sum(vtf.ds[i] for i in range(4)), sum(vtf.quantity[i] for i in range(4)))


# What is refused ------------------------------------------------------------------------------


def test_units_that_do_not_go_together(vtf: Case) -> None:
    ds = vtf.ds
    with opened_frames() as opened:
        for operation in (
            lambda: ds + 5, lambda: 5 - ds, lambda: ds + 5 * u.s, lambda: 5 * u.s - ds,
            lambda: ds + ds.data, lambda: ds % 2, lambda: np.log(ds), lambda: 2**ds,
            lambda: ds - ds * ds, lambda: ds.to("s"),
        ):  # fmt: skip
            with pytest.raises(u.UnitsError):
                operation()
        with pytest.raises(
            u.UnitsError,
            match=r"np.add of pixels of shape \(4, .*\) in \[ct\] and 5 without a unit: .*5 \* u",
        ):
            ds + 5
        with pytest.raises(ValueError, match="scalar power"):
            ds ** np.arange(44)
        with pytest.raises(ValueError, match="scalar power"):
            ds ** np.full(44, 2)
        with pytest.raises(ValueError, match="scalar power"):
            ds ** da.from_array(np.array(2))  # not known before it is computed
        assert (ds ** np.array(2)).unit == u.ct**2
        assert opened == []


def test_shapes_that_do_not_go_together(cases: Any) -> None:
    vtf, visp = cases("vtf").ds, cases("visp").ds
    with pytest.raises(DatasetError, match=r"do not fit together.*ds\[:, 0:1\]"):
        vtf / vtf[:, :, 0]
    with pytest.raises(DatasetError, match=r"would give \(4, 2, 3, 30, 44\), and no dataset"):
        vtf[:1] / vtf[:, :1]
    with pytest.raises(DatasetError, match="no dataset among them has a WCS"):
        vtf[0, 0, 0] * np.ones((5, 30, 44))
    # Four Stokes parameters and four steps: numpy would multiply the one by the other.
    with pytest.raises(DatasetError, match=r"axis 0 of \(4, 40, 64\), .*stokes.* with axis 1"):
        visp / visp[:, 0]
    with pytest.raises(DatasetError, match="would be combined with"):
        visp[0] / visp[:, 0]
    other = visp[:, 0].to_nddata(wcs=None)
    expected = cases("visp").quantity
    assert_same(visp[0] / other, expected[0] / expected[:, 0])


def test_transposed_slices_of_one_dataset_are_told_apart(cases: Any) -> None:
    # Longitude and latitude both change along both: only the place in the array says which.
    tile = cases("vbi_mosaic").ds
    assert tile.shape == (3, 48, 48)
    with pytest.raises(DatasetError, match="would be combined with"):
        tile[0, :, 0] / tile[0, 0, :]


def test_what_is_no_arithmetic(vtf: Case) -> None:
    ds = vtf.ds
    for other in ("5", None, {}, object()):
        with pytest.raises(TypeError, match=r"unsupported operand|concatenate"):
            ds + other
        with pytest.raises(TypeError, match="unsupported operand"):
            other / ds
    with pytest.raises(TypeError, match=r"np.diff of a dataset: write np.diff\(ds.data"):
        np.diff(ds)
    with pytest.raises(TypeError, match=r"np.add.reduce of a dataset"):
        np.add.reduce(ds)
    with pytest.raises(TypeError, match=r"np.add of a dataset with out="):
        np.add(ds, 1 * u.ct, out=np.zeros(ds.shape))
    with pytest.raises(TypeError, match=r"np.modf of a dataset"):
        np.modf(ds)
    with pytest.raises(ValueError, match="true and false pixels is neither"):
        bool(ds > 5 * u.ct)
    assert ds
    assert ds == ds  # as ndcube's: the same object
    assert ds != ds[...]
    assert len({ds, ds[0]}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(MOSAICS, *QUICK))
def test_a_mosaic_is_computed_tile_by_tile(name: str, simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated(name))
    assert isinstance(mosaic, dv.TiledDataset)
    for operation in (lambda: mosaic / 2, lambda: np.float64(2) * mosaic, lambda: -mosaic):
        with pytest.raises(TypeError, match=r"operand|ufunc"):
            operation()
    tiles = np.full(mosaic.shape, None, object)
    for place in np.argwhere(~mosaic.mask):
        tiles[tuple(place)] = mosaic[tuple(place)] / 2
    half = dv.TiledDataset(tiles, mosaic.meta.without_headers())
    assert len(half.combined_headers) == len(mosaic.combined_headers)
    assert "computed from" in str(half)
    with pytest.raises(DatasetError, match="are in no files"):
        half.files  # noqa: B018


# Masks and uncertainties ----------------------------------------------------------------------


def with_attributes(ds: dv.Dataset, seed: int, kind: type = StdDevUncertainty) -> dv.Dataset:
    rng = np.random.default_rng(seed)
    ds = ds[...]
    ds.mask = rng.random(ds.shape) < 0.3
    ds.uncertainty = kind(rng.random(ds.shape) * 10)
    return ds


@pytest.mark.parametrize("kind", [StdDevUncertainty, Variance])
@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "divide"])
def test_masks_and_uncertainties_are_nddatas(operation: str, kind: Any, vtf: Case) -> None:
    one, two = (with_attributes(vtf.ds[i, 0], i, kind) for i in (0, 1))
    apply = {"divide": operator.truediv, "multiply": operator.mul, "subtract": operator.sub}
    with opened_frames() as opened:
        result = apply.get(operation, operator.add)(one, two)
        cut = result[1:, ::2, 5]
        assert opened == []
    refs = [
        NDDataRef(
            vtf.pixels[i, 0].astype(float), unit="ct", mask=ds.mask,
            uncertainty=kind(ds.uncertainty.array),
        )
        for i, ds in enumerate((one, two))
    ]  # fmt: skip
    theirs = getattr(refs[0], operation)(refs[1])
    expected = theirs.uncertainty.represent_as(StdDevUncertainty).array
    assert isinstance(result.uncertainty, StdDevUncertainty)
    np.testing.assert_allclose(np.asarray(result.uncertainty.array), expected, rtol=2e-7)
    assert result.uncertainty.unit == theirs.unit
    np.testing.assert_array_equal(result.mask, theirs.mask)
    np.testing.assert_allclose(np.asarray(cut.uncertainty.array), expected[1:, ::2, 5], rtol=2e-7)
    np.testing.assert_array_equal(cut.mask, theirs.mask[1:, ::2, 5])


def test_a_mask_and_an_uncertainty_of_one_operand(vtf: Case) -> None:
    ds = with_attributes(vtf.ds[0, 0], 7)
    sigma = ds.uncertainty.array
    shifted, scaled, flipped = ds - 1 * u.kct, ds * (2 * u.s), -ds
    np.testing.assert_allclose(np.asarray(shifted.uncertainty.array), sigma)
    np.testing.assert_allclose(np.asarray(scaled.uncertainty.array), 2 * sigma)
    np.testing.assert_allclose(np.asarray(flipped.uncertainty.array), sigma)
    assert scaled.uncertainty.unit == u.ct * u.s
    np.testing.assert_allclose(np.asarray(ds.to("kct").uncertainty.array), sigma / 1000)
    for result in (shifted, scaled, flipped, ds.to("kct")):
        np.testing.assert_array_equal(result.mask, ds.mask)
    stretched = vtf.ds[0] * ds[:1]
    np.testing.assert_array_equal(stretched.mask, np.broadcast_to(ds.mask[:1], stretched.shape))
    masked = vtf.ds[0, 0] * np.ma.MaskedArray(np.ones((30, 44), "f4"), ds.mask[0])
    np.testing.assert_array_equal(masked.mask, np.broadcast_to(ds.mask[0], masked.shape))
    with pytest.warns(DKISTVirtualWarning, match="sqrt: how these uncertainties follow"):
        assert np.sqrt(ds).uncertainty is None
    with pytest.warns(DKISTVirtualWarning, match="to: how these uncertainties follow"):
        assert ds.to("kct", [(u.ct, u.kct)]).uncertainty is None
    ds.uncertainty = UnknownUncertainty(sigma)
    with pytest.warns(DKISTVirtualWarning, match="not known"):
        assert (ds * 2).uncertainty is None


# Bins -----------------------------------------------------------------------------------------


def binned(pixels: Array, bins: tuple[int, ...], operation: Any) -> Array:
    shape = [
        n for length, size in zip(pixels.shape, bins, strict=True) for n in (length // size, size)
    ]
    return operation(pixels.reshape(shape), axis=tuple(range(1, len(shape), 2)))  # type: ignore[no-any-return]


def percentile(array: Array, axis: Any) -> Array:
    return np.percentile(array, 75, axis=axis)  # type: ignore[no-any-return]


def bins_of(ds: dv.Dataset) -> tuple[int, ...]:
    """The least divisor of each axis, but of Stokes."""
    sizes = [next(k for k in (2, 3, 5, 7, n) if n % k == 0) for n in ds.shape]
    if ds.wcs.low_level_wcs.world_axis_physical_types[-1] == "phys.polarization.stokes":
        sizes[0] = 1
    return tuple(sizes)


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
@pytest.mark.parametrize("operation", [np.mean, np.sum, np.nanmax, np.median, percentile])
@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")
def test_bins_are_numpys(name: str, operation: Any, cases: Any) -> None:
    case = cases(name)
    sizes = bins_of(case.ds)
    with opened_frames() as opened:
        result = case.ds.rebin(sizes, operation)
        text = str(result)
        assert opened == []
    expected = binned(case.pixels, sizes, operation)
    got = result.data.compute()
    assert result.data.dtype == got.dtype == expected.dtype
    rtol = 1e-6 if operation in (np.mean, np.sum) else 0  # dask adds in another order
    np.testing.assert_allclose(got, expected, rtol=rtol)
    assert result.unit == case.ds.unit
    assert result.headers is None
    assert result.inventory == case.ds.inventory
    assert f"binned by {sizes}" in text
    with pytest.raises(DatasetError, match="binned by"):
        result.files  # noqa: B018


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_the_wcs_is_right_at_the_centre_of_each_bin(name: str, cases: Any) -> None:
    case = cases(name)
    low = case.wcs
    sizes = np.array(bins_of(case.ds))
    result = case.ds.rebin(tuple(sizes))
    rng = np.random.default_rng(1)
    places = rng.integers(0, result.shape, (10, len(sizes)))
    for ours, theirs in zip(
        worlds(result.wcs.low_level_wcs, places),
        worlds(low, (places + 0.5) * sizes - 0.5),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, equal_nan=True)
    assert result.wcs.low_level_wcs.array_shape in (None, result.shape)
    # Slices of it, with steps, twice.
    cut = result[..., ::2, 1:][..., 1::2, ::3]
    inside = rng.integers(0, cut.shape, (10, len(cut.shape)))
    before = inside.copy()
    before[:, -1] = inside[:, -1] * 3 + 1
    before[:, -2] = (inside[:, -2] * 2 + 1) * 2
    for ours, theirs in zip(
        worlds(cut.wcs.low_level_wcs, inside),
        worlds(low, (before + 0.5) * sizes - 0.5),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13, equal_nan=True)
    np.testing.assert_array_equal(
        cut.data.compute(), result.data.compute()[..., ::2, 1:][..., 1::2, ::3]
    )


def test_bins_of_stepped_slices(vtf: Case) -> None:
    every = vtf.ds[0, 0, 0, ::2, 1::3]  # 15 x 15 pixels, at 0, 2, 4, ... and 1, 4, 7, ...
    result = every.rebin((5, 3), np.median)
    np.testing.assert_array_equal(
        result.data.compute(), binned(vtf.pixels[0, 0, 0, ::2, 1::3], (5, 3), np.median)
    )
    y, x = np.mgrid[:3, :5]
    ours = result.wcs.low_level_wcs.pixel_to_world_values(x, y)
    frame = vtf.ds[0, 0, 0].wcs.low_level_wcs
    theirs = frame.pixel_to_world_values(1 + 3 * (3 * x + 1), 2 * (5 * y + 2))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_continuum_from_a_window(vtf: Case) -> None:
    with opened_frames() as opened:
        result = vtf.ds / vtf.ds[..., 4:12].rebin((1, 1, 1, 1, -1), np.median)
        assert opened == []
    expected = vtf.quantity / np.median(vtf.quantity[..., 4:12], axis=-1, keepdims=True)
    assert_same(result, expected)
    assert_of_rows(result[1], vtf, vtf.rows[1])


def test_masked_bins(vtf: Case) -> None:
    ds = vtf.ds[0, 0]
    mask = np.random.default_rng(3).random(ds.shape) < 0.5
    mask[0, :2, :2] = True
    ds.mask = mask
    result = ds.rebin((1, 2, 2), np.sum)
    expected = binned(np.ma.MaskedArray(vtf.pixels[0, 0], mask), (1, 2, 2), np.ma.sum)
    np.testing.assert_array_equal(result.mask, expected.mask)
    got = result.data.compute()
    assert type(got) is np.ndarray
    np.testing.assert_allclose(got[~expected.mask], expected.compressed(), rtol=1e-6)


def test_bins_that_are_refused(vtf: Case) -> None:
    ds = vtf.ds
    with pytest.raises(DatasetError, match=r"axis 0 is .*stokes"):
        ds.rebin((4, 1, 1, 1, 1))
    with pytest.raises(DatasetError, match="2 does not divide the 3 pixels of axis 2"):
        ds.rebin((1, 1, 2, 1, 1))
    for bad in ((2, 2), (1, 1, 1, 1, 1.5), (1, 1, 1, 1, 0), 2):
        with pytest.raises(DatasetError, match="bin_shape"):
            ds.rebin(bad)
    assert ds.rebin((1,) * 5) is ds
    assert ds.rebin([1, 1, 1, 2, 2] * u.pixel).shape == (4, 2, 3, 15, 22)


def test_bins_of_a_single_frame_whose_wcs_has_more_axes(tmp_path: Path) -> None:
    def single(node: dict[str, Any]) -> None:
        node["fileuris"] = str(np.ravel(node["fileuris"])[0])

    ds = dv.open_dataset(with_files(tmp_path / "one.asdf", tmp_path, single, n_rows=1))
    assert isinstance(ds, dv.Dataset)
    assert ds.wcs.low_level_wcs.pixel_n_dim > len(ds.shape)
    result = ds.rebin((5, 4))
    low = load(unpacked(VISP, tmp_path)).wcs.low_level_wcs
    ours = result.wcs.low_level_wcs.pixel_to_world_values(3, 2)
    theirs = low.pixel_to_world_values(4 * 3.5 - 0.5, 5 * 2.5 - 0.5, *[0] * (low.pixel_n_dim - 2))
    names = [low.world_axis_names.index(n) for n in result.wcs.low_level_wcs.world_axis_names]
    np.testing.assert_allclose(ours, [theirs[i] for i in names])
    assert (ds * 2)[::2].shape == (ds.shape[0] // 2, ds.shape[1])


# A computed dataset as an object ----------------------------------------------------------------


def test_computed_datasets_pickle_without_pixels(vtf: Case, tmp_path: Path) -> None:
    dv.convert(vtf.ds.files.basepath, tmp_path / "store")
    ds = dv.open_dataset(tmp_path / "store")
    ratio = ((ds - 3 * u.ct) / ds[:, :, :1])[1:]
    expected = ((vtf.quantity - 3 * u.ct) / vtf.quantity[:, :, :1])[1:]
    plain = len(pickle.dumps(ds[1:]))
    ratio.data  # noqa: B018  # a graph, which stays here
    with opened_frames() as opened:
        sent = pickle.dumps(ratio)
        twin, deep, shallow = pickle.loads(sent), copy.deepcopy(ratio), copy.copy(ratio)
        assert opened == []
    assert len(sent) < plain + 10_000 < vtf.pixels.nbytes
    for other in (twin, deep, shallow):
        assert_same(other, expected)
        assert_of_rows(other[0], vtf, vtf.rows[1:][0])
        with pytest.raises(DatasetError, match="are in no files"):
            other.files  # noqa: B018


def test_what_ndcube_makes_of_computed_datasets(vtf: Case) -> None:
    double, expected = vtf.ds * 2, vtf.quantity * 2
    assert_same(double[:1].squeeze(), expected[0])
    for i, part in enumerate(double.explode_along_axis(0).data):
        assert_same(part, expected[i])
        assert_of_rows(part, vtf, vtf.rows[i])
        assert_of_rows(part[1], vtf, vtf.rows[i, 1])
    assert np.array_equal(double[0, 0].quantity, expected[0, 0])
    assert np.array_equal(double.to_nddata(wcs=None).data.compute(), expected.value)


def test_replaced_pixels_lie_in_no_files(vtf: Case) -> None:
    ds = vtf.ds[0, 0]
    ds.data = vtf.pixels[0, 0] + 1
    with pytest.raises(DatasetError, match="are in no files"):
        ds.files  # noqa: B018
    assert_of_rows(ds[1], vtf, vtf.rows[0, 0, 1])
    expected = u.Quantity(vtf.pixels[0, 0] + 1, "ct", dtype="f4")
    assert_same(ds[1:, ::2], expected[1:, ::2])


def test_the_pixels_of_frames_are_not_written_to(vtf: Case) -> None:
    array = vtf.ds[0, 0].data
    with pytest.raises(TypeError, match=r"dask.array.where"):
        array[0] = 0
    own = array.copy()
    own[0] = 0
    assert not own[0].compute().any()
    assert np.array_equal(vtf.ds[0, 0].data.compute(), vtf.pixels[0, 0])


def test_reprojected_datasets_have_no_headers(cases: Any) -> None:
    ds = cases("vbi_mosaic").ds
    frame = ds[0]
    # The same shape as before: nothing but the WCS tells it from the frame.
    result, footprint = frame.reproject_to(ds[2].wcs, shape_out=frame.shape, return_footprint=True)
    assert result.shape == footprint.shape == frame.shape
    assert result.headers is None
    assert result.unit == frame.unit
    assert "reprojected" in str(result[::2])
    with pytest.raises(DatasetError, match="reprojected"):
        result.files  # noqa: B018
    with pytest.raises(SelectionError):
        result[1, 1]


def test_plots_of_computed_datasets_read_one_plane(vtf: Case) -> None:
    from matplotlib.figure import Figure

    names = np.array(vtf.names).reshape(4, 2, 3)
    with opened_frames() as opened:
        ratio = vtf.ds[1:] / vtf.ds[0]
        plot = ratio.plot(figure=Figure())
    assert set(opened) == {names[1, 0, 0], names[0, 0, 0]}
    expected = vtf.pixels[1, 0, 0] / vtf.pixels[0, 0, 0]
    assert np.array_equal(plot.image.get_array(), expected)
