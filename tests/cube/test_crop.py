"""Select by world coordinates, and compare with every pixel's coordinates by gwcs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord, SpectralCoord, StokesCoord
from astropy.time import Time
from dkist_assets import REAL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from simulated import NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.errors import SelectionError

KEYWORDS = {Time: "time", SpectralCoord: "wavelength", StokesCoord: "stokes", SkyCoord: "sky"}


def small(ds: dv.Dataset) -> dv.Dataset:
    """So much of a real dataset that each of its pixels can be asked for its coordinates."""
    return ds[tuple(slice(n // 3, n // 3 + m) for n, m in zip(ds.shape, (2, 3, 24, 30, 31)))]  # noqa: B905


def shortened(ds: dv.Dataset, name: str) -> dv.Dataset:
    """A dataset; fewer raster steps of the one whose pointing gwcs evaluates step by step."""
    return ds[:, 800:1100] if name == "visp_no_headers" else ds


def pixels(ds: dv.Dataset) -> list[np.ndarray[Any, Any]]:
    """The world values of all pixels: each of the data's shape. Longitudes around 0."""
    low = ds.wcs.low_level_wcs
    values = low.pixel_to_world_values(*np.indices(ds.shape)[::-1].astype(float))
    found = [np.asarray(v, float) for v in (values if low.world_n_dim > 1 else [values])]
    for i, kind in enumerate(low.world_axis_physical_types):
        if kind.endswith(".lon") and low.world_axis_units[i] == "arcsec":
            found[i] = (found[i] + 648000) % 1296000 - 648000
    return found


def coordinates(ds: dv.Dataset, pixel: tuple[int, ...]) -> list[tuple[tuple[int, ...], Any]]:
    """Each high-level coordinate of a pixel, and the world axes that it is made of."""
    low = ds.wcs.low_level_wcs
    objects = ds.wcs.pixel_to_world(*pixel[::-1])
    objects = objects if isinstance(objects, (list, tuple)) else [objects]
    names = [component[0] for component in low.world_axis_object_components]
    order = list(dict.fromkeys(names))
    return [
        (tuple(i for i, n in enumerate(names) if n == name), value)
        for name, value in zip(order, objects, strict=True)
    ]


def expected(
    ds: dv.Dataset, which: tuple[int, ...], ends: list[tuple[int, ...]]
) -> tuple[slice, ...]:
    """By every pixel: the box around those between two values, and those nearest to them."""
    correlated = np.asarray(ds.wcs.low_level_wcs.axis_correlation_matrix)[list(which)].any(axis=0)
    along = [a for a in range(len(ds.shape)) if correlated[len(ds.shape) - 1 - a]]
    first = tuple(slice(None) if a in along else 0 for a in range(len(ds.shape)))
    everywhere = pixels(ds)
    values = np.array([everywhere[i][first] for i in which])
    points = np.array([[everywhere[i][end] for i in which] for end in ends])
    mask = np.ones(values.shape[1:], bool)
    for i in range(len(which)):
        mask &= (values[i] >= points[:, i].min()) & (values[i] <= points[:, i].max())
    for point in points:
        away = np.square(values - point.reshape(-1, *[1] * (values.ndim - 1))).sum(axis=0)
        mask[np.unravel_index(np.argmin(away), away.shape)] = True
    index: list[slice] = [slice(0, n) for n in ds.shape]
    for axis, a in enumerate(along):
        others = tuple(b for b in range(mask.ndim) if b != axis)
        there = np.flatnonzero(mask.any(axis=others))
        index[a] = slice(int(there[0]), int(there[-1]) + 1)
    return tuple(index)


def cut(ds: dv.Dataset, of: dv.Dataset) -> tuple[Any, ...]:
    """What is left of the first dataset in the second, as an index."""
    assert ds.provenance is not None
    assert of.provenance is not None
    found = []
    whole = [axis for axis in of.provenance.cut.axes if isinstance(axis, range)]
    kept = [a for a, axis in enumerate(of.provenance.cut.axes) if isinstance(axis, range)]
    for a, start in zip(kept, whole, strict=True):
        axis = ds.provenance.cut.axes[a]
        if isinstance(axis, int):
            found.append(start.index(axis))
        else:
            found.append(slice(start.index(axis[0]), start.index(axis[-1]) + 1))
    return tuple(found)


@pytest.mark.every(6)
@pytest.mark.parametrize("name", mostly_slow([*NAMES, *REAL], *QUICK, "croppable_visp"))
@settings(
    deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_coordinate_alone_selects_what_lies_between(
    name: str, datasets: Any, data: st.DataObject
) -> None:
    ds = datasets(name)
    if name in REAL:
        ds = small(ds)
    ends = [tuple(data.draw(st.integers(0, n - 1)) for n in ds.shape) for _ in range(2)]
    of_one, of_other = (coordinates(ds, end) for end in ends)
    for (which, one), (_, other) in zip(of_one, of_other, strict=True):
        cropped = ds.crop(one, other, keepdims=True)
        assert cut(cropped, ds) == expected(ds, which, ends), (type(one), ends)


@pytest.mark.parametrize("name", mostly_slow([*NAMES, *REAL], *QUICK, "croppable_visp"))
@pytest.mark.slow
def test_all_coordinates_together_in_any_order(name: str, datasets: Any) -> None:
    ds = shortened(datasets(name), name)
    low = tuple(n // 3 for n in ds.shape)
    high = tuple(min(n // 3 + max(1, n // 6), n - 1) for n in ds.shape)
    one = [value for _, value in coordinates(ds, low)]
    other = [value for _, value in coordinates(ds, high)]
    cropped = ds.crop(one, other[::-1], keepdims=True)
    index = cut(cropped, ds)
    for at, a, b in zip(index, low, high, strict=True):
        assert at.start <= a <= b < at.stop
    assert cut(ds.crop([None, *other], None, one, keepdims=True), ds) == index
    # What was cropped has the coordinates that those pixels had.
    there = cropped.wcs.low_level_wcs.pixel_to_world_values(*[0] * len(ds.shape))
    here = ds.wcs.low_level_wcs.pixel_to_world_values(*[at.start for at in index][::-1])
    np.testing.assert_allclose(there, here, rtol=1e-12)


@pytest.mark.parametrize("name", mostly_slow([*NAMES, *REAL], *QUICK, "croppable_visp"))
def test_the_nearest_plane(name: str, datasets: Any) -> None:
    ds = shortened(datasets(name), name)
    pixel = tuple(n // 2 for n in ds.shape)
    matrix = np.asarray(ds.wcs.low_level_wcs.axis_correlation_matrix)
    given: dict[str, Any] = {}
    held: set[int] = set()
    for which, value in coordinates(ds, pixel):
        keyword = KEYWORDS[type(value)]
        if keyword == "sky":
            continue
        given[keyword] = value
        held |= {a for a in range(ds.data.ndim) if matrix[which[0], ds.data.ndim - 1 - a]}
        chosen = ds.at(**{keyword: value})
        assert len(chosen.shape) == len(ds.shape) - int(matrix[which[0]].sum())
    expected = tuple(
        p if a in held else slice(0, n)
        for a, (p, n) in enumerate(zip(pixel, ds.shape, strict=True))
    )
    assert cut(ds.at(**given), ds) == expected


@pytest.mark.slow
def test_many_pixels_are_not_all_evaluated_and_the_box_is_the_same(datasets: Any) -> None:
    """Above 2**18 pixels a lattice goes first; the box is exact all the same."""
    ds = datasets("large_vbi")[0, 1000:1700, 1500:2300]
    rng = np.random.default_rng(6)
    for _ in range(6):
        ends = [tuple(int(rng.integers(n)) for n in ds.shape) for _ in range(2)]
        if ends[0] == ends[1]:
            continue
        (which, one), *_ = coordinates(ds, ends[0])
        (_, other), *_ = coordinates(ds, ends[1])
        assert cut(ds.crop(one, other, keepdims=True), ds) == expected(ds, which, ends)


@pytest.mark.slow
def test_a_raster_of_the_sky_with_many_pixels(datasets: Any) -> None:
    ds = datasets("croppable_visp")[0, 100:500, 5, ::3]
    rng = np.random.default_rng(7)
    for _ in range(4):
        ends = [tuple(int(rng.integers(n)) for n in ds.shape) for _ in range(2)]
        which, one = next(c for c in coordinates(ds, ends[0]) if isinstance(c[1], SkyCoord))
        other = next(c for _, c in coordinates(ds, ends[1]) if isinstance(c, SkyCoord))
        assert ds.crop(one, other, keepdims=True).shape == tuple(
            at.stop - at.start for at in expected(ds, which, ends)
        )


def test_what_is_asked_for_in_other_words(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    of = {KEYWORDS[type(v)]: v for _, v in coordinates(ds, (2, 300, 400, 1000))}
    plane = cut(ds.crop(of["wavelength"]), ds)
    assert plane == (slice(0, 4), slice(0, 688), 400, slice(0, 2555))
    for same in (
        of["wavelength"].to(u.nm),
        of["wavelength"].to(u.GHz, u.spectral()),
        u.Quantity(of["wavelength"].to(u.AA)),
    ):
        assert cut(ds.crop(same), ds) == plane
        assert cut(ds.at(wavelength=same), ds) == plane
    assert cut(ds.at(stokes="u"), ds)[0] == cut(ds.crop("U"), ds)[0] == 2
    assert cut(ds.crop("Q", "V"), ds)[0] == slice(1, 4)
    assert ds.at(time=of["time"].isot).shape == (4, 976, 2555)
    both = SkyCoord([of["sky"], of["sky"]])
    assert ds.crop(both).shape == (4, 976)
    # What was held has no coordinate any more.
    with pytest.raises(SelectionError, match=r"no axis of stokes.*wavelength"):
        ds[0].crop("V")
    assert ds[:, 5, 7].crop("V").shape == (2555,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"wavelength": "V"}, "wavelength = 'V': expected such as '630.25 nm'"),
        ({"sky": "Q"}, "sky = 'Q': is not sky, but .*stokes"),
        ({"stokes": 630.2 * u.nm}, "is not stokes, but wavelength"),
        ({"time": 630.2 * u.nm}, "is not time, but wavelength"),
        ({"time": "yesterday"}, "time = 'yesterday': expected such as"),
    ],
)
def test_coordinates_under_another_name(given: Any, message: str, datasets: Any) -> None:
    with pytest.raises(SelectionError, match=message):
        datasets("croppable_visp").at(**given)


def test_a_wavelength_as_text(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    expected = ds.at(wavelength=630.3 * u.nm)
    assert ds.at(wavelength="630.3 nm").provenance.cut.axes == expected.provenance.cut.axes


def test_a_gap_between_wavelengths_is_called_one(datasets: Any) -> None:
    ds = datasets("vtf")  # whose wavelengths lie far apart, and in no order
    with pytest.raises(SelectionError, match="no pixel of this selection is there, though its"):
        ds.crop(631 * u.nm)


@pytest.mark.parametrize(
    ("coordinate", "message"),
    [
        (Time("2001-01-01"), "outside of this selection, whose time is 2022-10-24T18:57:45.634 to"),
        (100 * u.nm, "100 nm: outside of this selection, whose wavelength is 630.2425 nm to"),
        (3 * u.kg, "no axis of mass"),
        (3 * u.arcsec, "given as a SkyCoord"),
        ("hello", "not a Stokes parameter"),
        (5, "not a world coordinate"),
        (None, "found none"),
        ([], "found none"),
        (np.nan * u.nm, "not finite"),
        (SkyCoord(3 * u.deg, 4 * u.deg), "cannot be transformed|outside"),
    ],
)
def test_refusals_say_what_there_is(coordinate: Any, message: str, datasets: Any) -> None:
    with pytest.raises(SelectionError, match=message):
        datasets("croppable_visp").crop(coordinate)


def test_bounds_that_are_all_open_select_all(datasets: Any) -> None:
    ds = datasets("croppable_visp")
    assert ds.crop([None] * 3, [None] * 3).shape == ds.shape


def test_nothing_is_read(simulated: Any, tmp_path: Path) -> None:
    """The frames are not there at all."""
    import shutil

    shutil.copy(simulated("vtf") / "vtf.asdf", tmp_path)
    ds = dv.open_dataset(tmp_path / "vtf.asdf")
    assert isinstance(ds, dv.Dataset)
    cropped = ds.crop("Q", "U")
    assert cropped.shape == (2, *ds.shape[1:])
    assert len(cropped.files) == len(ds.files) // 2
    assert len(cropped.headers) == len(cropped.files)
