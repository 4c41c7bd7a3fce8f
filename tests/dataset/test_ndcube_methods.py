"""Compare ndcube's methods and containers of our datasets with those of an NDCube in memory.

Every public name of ndcube's classes is tried here, or is listed with who checks it: a new one of a
later ndcube fails a test until somebody has looked at it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import NDData, NDUncertainty, StdDevUncertainty
from astropy.wcs.wcsapi import BaseHighLevelWCS
from ndcube import GlobalCoords, NDCollection, NDCube, NDCubeSequence
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.errors import DKISTVirtualWarning


@pytest.fixture(scope="module")
def pair(simulated: Any) -> tuple[dv.Dataset, NDCube]:
    """Axes time, y and x, with a mask and standard deviations: of frames, and in memory."""
    ds = dv.open_dataset(simulated("vbi_mosaic"))[0, 0]
    rng = np.random.default_rng(18)
    mask = rng.random(ds.shape) < 0.2
    spread = StdDevUncertainty(rng.random(ds.shape) + 1)
    mask[0, :2, :2] = True
    cube = NDCube(np.array(ds.data), ds.wcs, unit=ds.unit, mask=mask.copy(), uncertainty=spread)
    ds.mask, ds.uncertainty = mask, StdDevUncertainty(spread.array.copy())
    return ds, cube


def same(ours: Any, theirs: Any, rtol: float = 1e-6) -> None:
    """Both are equal, whatever they are."""
    if isinstance(theirs, NDData):
        if isinstance(theirs, NDCube):
            assert isinstance(ours, dv.Dataset | type(theirs))
            same(ours.wcs, theirs.wcs)
        assert ours.unit == theirs.unit
        same(ours.data, theirs.data, rtol)
        for name in ("mask", "uncertainty"):
            same(getattr(ours, name), getattr(theirs, name), rtol)
    elif isinstance(theirs, NDUncertainty):
        # ndcube's own have no unit where that of the data is meant.
        same(ours.array, theirs.array, rtol)
    elif isinstance(theirs, NDCubeSequence | list | tuple):
        assert len(getattr(ours, "data", ours)) == len(getattr(theirs, "data", theirs))
        for one, other in zip(
            getattr(ours, "data", ours), getattr(theirs, "data", theirs), strict=True
        ):
            same(one, other, rtol)
    elif isinstance(theirs, NDCollection):
        assert list(ours) == list(theirs)
        assert ours.aligned_axes == theirs.aligned_axes
        for name in theirs:
            same(ours[name], theirs[name], rtol)
    elif isinstance(theirs, BaseHighLevelWCS):
        ours, theirs = ours.low_level_wcs, theirs.low_level_wcs
        assert list(ours.world_axis_physical_types) == list(theirs.world_axis_physical_types)
        pixels = np.indices((2,) * theirs.pixel_n_dim).reshape(theirs.pixel_n_dim, -1)
        for one, other in zip(
            np.atleast_2d(ours.pixel_to_world_values(*pixels)),
            np.atleast_2d(theirs.pixel_to_world_values(*pixels)),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, rtol=1e-12)
    elif isinstance(theirs, GlobalCoords):
        assert list(ours.keys()) == list(theirs.keys())
    elif isinstance(theirs, u.Quantity):
        assert ours.unit == theirs.unit
        np.testing.assert_allclose(ours.value, theirs.value, rtol=rtol)
    elif hasattr(theirs, "shape") and hasattr(theirs, "dtype"):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=rtol)
    else:
        assert np.all(ours == theirs)


def corners(cube: Any) -> list[list[float]]:
    low = cube.wcs.low_level_wcs
    ends = (low.pixel_to_world_values(*pixel) for pixel in ((3, 2, 1), (20, 9, 2)))
    return [[float(np.ravel(one)[0]) for one in end] for end in ends]


def by_values(cube: Any, **how: Any) -> Any:
    return cube.crop_by_values(*corners(cube), units=cube.wcs.world_axis_units, **how)


def by_quantities(cube: Any) -> Any:
    units = [u.Unit(unit) for unit in cube.wcs.world_axis_units]
    return cube.crop_by_values(
        *([value * unit for value, unit in zip(end, units, strict=True)] for end in corners(cube))
    )


def by_none(cube: Any) -> Any:
    kept = next(n for n, kind in enumerate(cube.wcs.world_axis_physical_types) if kind == "time")
    unit = u.Unit(cube.wcs.world_axis_units[kept])
    ends = [[None] * len(cube.wcs.world_axis_units) for _ in range(2)]
    for end, values in zip(ends, corners(cube), strict=True):
        end[kept] = values[kept] * unit
    return cube.crop_by_values(*ends)


def reprojected(cube: Any, **how: Any) -> Any:
    frame = cube[0]
    frame.mask = frame.uncertainty = None
    return frame.reproject_to(cube[1].wcs, shape_out=(48, 48), **how)


def spread_of_sum(uncertainty: Any, data: Any, mask: Any, **_: Any) -> Any:
    return type(uncertainty)(np.sqrt((np.asarray(uncertainty.array) ** 2).sum(axis=0)))


def rebinned(cube: Any, *args: Any, **options: Any) -> Any:
    binned = cube.rebin((1, 2, 4), *args, **options)
    assert binned.mask is not None
    # What is below a mask counts for nothing.
    binned = binned.fill_masked(0)
    if binned.uncertainty is not None:
        array = np.where(binned.mask, 0, np.asarray(binned.uncertainty.array))
        binned.uncertainty = type(binned.uncertainty)(array)
    return binned


CUBE: dict[str, Callable[[Any], Any]] = {
    "__getitem__": lambda x: x[1:, 2, 3:9],
    "array_axis_physical_types": lambda x: x.array_axis_physical_types,
    "axis_world_coords time": lambda x: x.axis_world_coords("time"),
    "axis_world_coords_values": lambda x: x.axis_world_coords_values("time"),
    "axis_world_coords_values corners": lambda x: x[0].axis_world_coords_values(pixel_corners=True),
    "combined_wcs": lambda x: x.combined_wcs,
    "crop": lambda x: x.crop(*(x.wcs.pixel_to_world(*at) for at in ((3, 2, 1), (20, 9, 2)))),
    "crop_by_values": by_values,
    "crop_by_values keepdims": lambda x: by_values(x[:2], keepdims=True),
    "crop_by_values quantities": by_quantities,
    "crop_by_values None": by_none,
    "data": lambda x: x.data,
    "explode_along_axis": lambda x: x.explode_along_axis(0),
    "explode_along_axis last": lambda x: x.explode_along_axis(-1)[:2],
    "extra_coords": lambda x: x.extra_coords.keys(),
    "fill_masked": lambda x: x.fill_masked(3),
    "fill_masked unit": lambda x: x.fill_masked(0.003 * u.kct, uncertainty_fill_value=2 * u.ct),
    "global_coords": lambda x: x.global_coords,
    "mask": lambda x: x.mask,
    "psf": lambda x: x.psf,
    "quantity": lambda x: x.quantity,
    "rebin": lambda x: rebinned(x, propagate_uncertainties=False),
    "rebin sum": lambda x: rebinned(x, np.sum, propagate_uncertainties=False),
    "rebin operation": lambda x: rebinned(x, operation=np.max, propagate_uncertainties=False),
    "rebin handle_mask": lambda x: rebinned(x, handle_mask=np.any, propagate_uncertainties=False),
    "rebin ignores": lambda x: rebinned(
        x, operation_ignores_mask=True, propagate_uncertainties=False
    ),
    "rebin propagate": lambda x: rebinned(x, np.sum, propagate_uncertainties=True),
    "rebin function": lambda x: rebinned(x, np.sum, propagate_uncertainties=spread_of_sum),
    "rebin new_unit": lambda x: rebinned(x, new_unit=u.kct, propagate_uncertainties=False),
    "reproject_to": lambda x: reprojected(x).data,
    "reproject_to footprint": lambda x: reprojected(x, return_footprint=True)[1],
    "shape": lambda x: x.shape,
    "squeeze": lambda x: x[:1].squeeze(),
    "squeeze axis": lambda x: x[:1, :1].squeeze(axis=1),
    "squeeze axes": lambda x: x[:1, :1].squeeze(axis=(0, 1)),
    "to": lambda x: x.to("kct"),
    "to_nddata": lambda x: x.to_nddata(wcs=None),
    "to_nddata data": lambda x: x.to_nddata(data=np.ones(x.shape), wcs=None, mask=None),
    "uncertainty": lambda x: x.uncertainty,
    "unit": lambda x: x.unit,
    "wcs": lambda x: x.wcs,
    "+ quantity": lambda x: x + 5 * u.ct,
    "- quantity": lambda x: x - 0.5 * u.kct,
    "quantity -": lambda x: 5 * u.ct - x,
    "+ array": lambda x: x + np.arange(48) * u.ct,
    "* number": lambda x: x * 2,
    "* array": lambda x: x * np.arange(1, 49),
    "/ quantity": lambda x: x / (4 * u.s),
    "- NDData": lambda x: x - NDData(np.ones(x.shape), unit="ct"),
    "-": lambda x: -x,
}

ELSEWHERE = {
    "dimensions": "deprecated by ndcube for shape",
    "meta": "has the headers here: test_state.py",
    "plot plotter": "are our own: tests/plot",
}


@pytest.mark.filterwarnings("ignore::ndcube.utils.exceptions.NDCubeUserWarning")
@pytest.mark.filterwarnings("ignore:.*invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(
    "name", mostly_slow(CUBE, "crop_by_values None", "rebin sum", "squeeze axes", "fill_masked")
)
def test_a_method_of_cubes_gives_what_ndcube_gives(name: str, pair: Any) -> None:
    ds, cube = pair
    same(CUBE[name](ds[...]), CUBE[name](cube[...]))


# Containers -------------------------------------------------------------------------------------


def sequence(cube: Any, axis: int | None = 0) -> NDCubeSequence:
    return NDCubeSequence([cube[0:2], cube[1:3], cube[:2]], common_axis=axis)


def end_of(cube: Any) -> list[Any]:
    low = [cube.wcs.pixel_to_world(*at) for at in ((3, 2, 0), (20, 9, 1))]
    return [tuple(end) if isinstance(end, list | tuple) else (end,) for end in low]


SEQUENCE: dict[str, Callable[[Any], Any]] = {
    "__getitem__": lambda x: sequence(x)[0:2, ..., 3:9],
    "__getitem__ one": lambda x: sequence(x)[1],
    "__getitem__ part": lambda x: sequence(x)[1:, 0],
    "array_axis_physical_types": lambda x: sequence(x).array_axis_physical_types,
    "common_axis_coords": lambda x: sequence(x).common_axis_coords,
    "crop": lambda x: NDCubeSequence([x, x[:2]], common_axis=0).crop(*end_of(x)),
    "crop_by_values": lambda x: sequence(x).crop_by_values(
        *corners(x), units=x.wcs.world_axis_units
    ),
    "cube_like_array_axis_physical_types": lambda x: (
        sequence(x).cube_like_array_axis_physical_types
    ),
    "cube_like_shape": lambda x: [int(n) for n in sequence(x).cube_like_shape],
    "explode_along_axis": lambda x: sequence(x).explode_along_axis(1)[:4],
    "index_as_cube": lambda x: sequence(x).index_as_cube[1:5, 2:4],
    "index_as_cube one": lambda x: sequence(x).index_as_cube[3],
    "sequence_axis_coords": lambda x: sequence(x).sequence_axis_coords,
    "shape": lambda x: [int(n) for n in sequence(x).shape],
    "data": lambda x: sequence(x).data,
}

OF_SEQUENCES = {
    "cube_like_dimensions dimensions cube_like_world_axis_physical_types "
    "world_axis_physical_types": "deprecated by ndcube",
    "plot plot_as_cube plotter": "ndcube's own",
}


def collection(cube: Any) -> NDCollection:
    return NDCollection([("a", cube[:2]), ("b", cube[1:])], aligned_axes=((0, 2), (0, 2)))


def updated(cube: Any) -> NDCollection:
    made = collection(cube)
    made.update(NDCollection([("c", cube[:2] * 2)], aligned_axes=((0, 2),)))
    return made


def popped(cube: Any) -> Any:
    made = collection(cube)
    return made.pop("a"), list(made), made.aligned_axes


COLLECTION: dict[str, Callable[[Any], Any]] = {
    "__getitem__": lambda x: collection(x)[1:, 3:9],
    "__getitem__ one": lambda x: collection(x)[0],
    "__getitem__ keys": lambda x: collection(x)["b",],
    "__getitem__ key": lambda x: collection(x)["b"],
    "aligned_axes": lambda x: collection(x).aligned_axes,
    "aligned_axis_physical_types": lambda x: [
        sorted(types) for types in collection(x).aligned_axis_physical_types
    ],
    "aligned_dimensions": lambda x: [int(n) for n in collection(x).aligned_dimensions],
    "copy": lambda x: collection(x).copy(),
    "update": updated,
    "pop": popped,
}

OF_COLLECTIONS = {
    "clear fromkeys get items keys values": "of dict",
    "popitem setdefault": "refused by ndcube",
}


@pytest.mark.parametrize("name", mostly_slow(SEQUENCE, "__getitem__", "index_as_cube"))
def test_a_sequence_of_datasets_is_one_of_cubes(name: str, pair: Any) -> None:
    ds, cube = pair
    same(SEQUENCE[name](ds), SEQUENCE[name](cube))


@pytest.mark.parametrize("name", mostly_slow(COLLECTION, "__getitem__", "update"))
def test_a_collection_of_datasets_is_one_of_cubes(name: str, pair: Any) -> None:
    ds, cube = pair
    same(COLLECTION[name](ds), COLLECTION[name](cube))


# Nothing is left out ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "tried", "others"),
    [
        (NDCube, CUBE, ELSEWHERE),
        (NDCubeSequence, SEQUENCE, OF_SEQUENCES),
        (NDCollection, COLLECTION, OF_COLLECTIONS),
    ],
)
def test_every_public_name_of_ndcube_is_tried_or_known(
    kind: type, tried: dict[str, Any], others: dict[str, str]
) -> None:
    public = {name for name in dir(kind) if not name.startswith("_")}
    known = {name.split()[0] for name in tried} | {word for key in others for word in key.split()}
    assert public - known == set()


# What ndcube would drop -------------------------------------------------------------------------


def test_masked_pixels_of_an_array_are_filled_in_place(pair: Any) -> None:
    ds, cube = pair
    own = ds.with_data(np.array(ds.data), unit=ds.unit, uncertainty=ds[...].uncertainty)
    theirs = NDCube(
        np.array(cube.data), cube.wcs, unit=cube.unit, mask=cube.mask,
        uncertainty=StdDevUncertainty(cube.uncertainty.array.copy()),
    )  # fmt: skip
    pixels = own.data
    for one in (own, theirs):
        done = one.fill_masked(3 * u.ct, uncertainty_fill_value=1, fill_in_place=True)
        assert done is None
    assert own.data is pixels
    same(own, theirs)
    assert own.fill_masked(1, unmask=True, fill_in_place=True) is None
    assert own.mask is None


def test_a_dataset_is_made_of_a_dataset_by_to_nddata(pair: Any) -> None:
    ds = pair[0][...]
    ds.headers["NOTE"] = 7
    ds.global_coords.add("room", "custom:room", 290 * u.K)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DKISTVirtualWarning)
        twin = ds.to_nddata(nddata_type=dv.Dataset, global_coords="copy", extra_coords="copy")
        half = ds.to_nddata(
            nddata_type=dv.Dataset, data=ds.data / 2, global_coords="copy", extra_coords="copy"
        )
    for made in (twin, half):
        assert isinstance(made, dv.Dataset)
        assert set(made.headers["NOTE"]) == {7}
        assert made.global_coords["room"] == 290 * u.K
    assert twin.files.names == ds.files.names
    assert half.lineage.is_computed
    np.testing.assert_array_equal(half.data, np.array(ds.data) / 2)
