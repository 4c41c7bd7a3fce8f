"""Arrays of several datasets in one computation: each pixel is of its own frame.

What is right is computed by numpy from the frames as astropy reads them. The same with dkist
1.18.1, whose dask arrays all have one name, is marked as failing: a dkist that was mended fails the
mark.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dkist
import numpy as np
import pytest
from astropy.io import fits
from dkist_assets import load
from ndcube import NDCubeSequence

import dkist_virtual as dv
from dkist_virtual.errors import FrameMissingError

# Their datasets take long to make; a row of `tests/system/test_dkist_calls.py` is quick.
pytestmark = pytest.mark.slow

Array = np.ndarray[Any, Any]
ONE_NAME = (
    "dkist 1.18.1 gives all its dask arrays the name load_files, so that one array's pixels are "
    "read for another's"
)
RECURSION = "dkist 1.18.1: arithmetic of a slice of a dataset raises RecursionError"


@dataclass
class Sets:
    """Datasets of equal shape, by their directories, and how a package opens them.

    Attributes
    ----------
    mosaic, plain, twin
        Directories; `twin` has the shape, the names and the headers of `plain`, and other pixels.
    """

    mosaic: Path
    plain: Path
    twin: Path
    package: Any
    _opened: dict[tuple[Path, str], Any] = field(default_factory=dict)

    def open(self, place: Path, **how: Any) -> Any:
        if self.package is dkist:
            return load(next(place.glob("*.asdf")))
        return dv.open_dataset(place, **how)

    def tiles(self) -> list[Any]:
        return list(self.open(self.mosaic).flat)


def frames(place: Path, names: Any) -> Array:
    """Frames as astropy reads them, in native byte order."""
    found = []
    for name in names:
        with fits.open(place / name) as hdus:
            pixels = next(hdu.data for hdu in hdus if hdu.data is not None)
        found.append(np.squeeze(pixels).astype(pixels.dtype.newbyteorder("=")))
    return np.stack(found)


def pixels(place: Path) -> Array:
    """All pixels of a dataset, (4, 2, 40, 64)."""
    theirs = load(next(place.glob("*.asdf")))
    return frames(place, theirs.files.filenames).reshape(theirs.shape)


def tile_pixels(place: Path) -> list[Array]:
    theirs = load(next(place.glob("*.asdf")))
    return [frames(place, tile.files.filenames) for tile in theirs.flat]


def change(frame: Path, by: float) -> None:
    """Replace a plain frame by one with other pixels, as a new download does."""
    with fits.open(frame) as hdus:
        hdu = fits.PrimaryHDU(hdus[0].data + np.float32(by), hdus[0].header)
    hdu.writeto(frame.with_suffix(".new"))
    frame.with_suffix(".new").replace(frame)


@pytest.fixture(scope="module")
def places(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("combined")
    twin = directory / "twin"
    shutil.copytree(simulated("visp_plain"), twin)
    for number, frame in enumerate(sorted(twin.glob("*.fits"))):
        change(frame, 1000.0 + number)
    return {"mosaic": simulated("vbi_mosaic"), "plain": simulated("visp_plain"), "twin": twin}


@pytest.fixture(params=["threads", "distributed"])
def scheduler(request: pytest.FixtureRequest) -> Iterator[str]:
    """Compute with dask's threads, or on a cluster of processes."""
    if request.param == "threads":
        with dask.config.set(scheduler="threads"):
            yield "threads"
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster),
    ):
        yield "distributed"


def same(got: Any, expected: Any) -> None:
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


# Each returns pixels, and is given those that are right -----------------------------------------


def stacked(sets: Sets) -> tuple[Any, Any]:
    return da.stack([tile.data for tile in sets.tiles()]).compute(), np.stack(
        tile_pixels(sets.mosaic)
    )


def concatenated(sets: Sets) -> tuple[Any, Any]:
    tiles = sets.tiles()
    rows = [
        da.concatenate([tiles[0].data, tiles[1].data], axis=2),
        da.concatenate([tiles[2].data, tiles[3].data], axis=2),
    ]
    right = tile_pixels(sets.mosaic)
    return (
        da.concatenate(rows, axis=1).compute(),
        np.block([[right[0], right[1]], [right[2], right[3]]]),
    )


def difference(sets: Sets) -> tuple[Any, Any]:
    tiles, right = sets.tiles(), tile_pixels(sets.mosaic)
    return (tiles[0].data - tiles[1].data).compute(), right[0] - right[1]


def difference_of_datasets(sets: Sets) -> tuple[Any, Any]:
    (one, other, *_), right = sets.tiles(), tile_pixels(sets.mosaic)
    if sets.package is dkist:  # which takes no two datasets with a WCS each
        return (one[1:] - other[1:].data * other.unit).data.compute(), (right[0] - right[1])[1:]
    same((one - other).data.compute(), right[0] - right[1])
    return (one[1:] - other[1:]).data.compute(), (right[0] - right[1])[1:]


def mean_of_tiles(sets: Sets) -> tuple[Any, Any]:
    tiles, right = sets.tiles(), tile_pixels(sets.mosaic)
    highest = [tile.data.max(axis=(1, 2)) for tile in tiles]
    return da.stack(highest).compute(), np.stack([one.max(axis=(1, 2)) for one in right])


def two_in_one_compute(sets: Sets) -> tuple[Any, Any]:
    one, other = sets.open(sets.plain), sets.open(sets.twin)
    return (
        np.stack(dask.compute(one.data, other.data)),
        np.stack([pixels(sets.plain), pixels(sets.twin)]),
    )


def two_subtracted(sets: Sets) -> tuple[Any, Any]:
    one, other = sets.open(sets.plain), sets.open(sets.twin)
    return (other.data[1:] - one.data[1:]).compute(), (pixels(sets.twin) - pixels(sets.plain))[1:]


def two_slices(sets: Sets) -> tuple[Any, Any]:
    one, other = sets.open(sets.plain)[0], sets.open(sets.twin)[2]
    return (
        np.stack(dask.compute(one.data, other.data)),
        np.stack([pixels(sets.plain)[0], pixels(sets.twin)[2]]),
    )


def one_under_two_selections(sets: Sets) -> tuple[Any, Any]:
    ds, right = sets.open(sets.plain), pixels(sets.plain)
    parts = [ds[0].data, ds[3].data, ds.data[1], ds[2, :, :20].data, ds.data[2, :, 20:]]
    one, other, third, low, high = dask.compute(*parts)
    return np.stack([one, other, third, np.concatenate([low, high], axis=1)]), right[[0, 3, 1, 2]]


def opened_twice(sets: Sets) -> tuple[Any, Any]:
    one, other = sets.open(sets.plain), sets.open(sets.plain)
    return (one.data[3] - other.data[0]).compute(), pixels(sets.plain)[3] - pixels(sets.plain)[0]


def a_sequence(sets: Sets) -> tuple[Any, Any]:
    sequence = NDCubeSequence(sets.tiles())[:, 1]
    return np.stack(dask.compute(*[cube.data for cube in sequence.data])), np.stack(
        [tile[1] for tile in tile_pixels(sets.mosaic)]
    )


BOTH: dict[str, tuple[Callable[[Sets], tuple[Any, Any]], str]] = {
    "da.stack of tiles": (stacked, ONE_NAME),
    "da.concatenate of tiles": (concatenated, ONE_NAME),
    "tile0 - tile1, dask": (difference, ONE_NAME),
    "tile0 - tile1, datasets": (difference_of_datasets, RECURSION),
    "a reduction of each tile": (mean_of_tiles, ONE_NAME),
    "two datasets in one dask.compute": (two_in_one_compute, ONE_NAME),
    "the difference of two datasets": (two_subtracted, ONE_NAME),
    "selections of two datasets": (two_slices, ONE_NAME),
    "one dataset under two selections": (one_under_two_selections, ""),
    "one dataset opened twice": (opened_twice, ""),
    "an NDCubeSequence of tiles": (a_sequence, ONE_NAME),
}


def cases(*, theirs: bool = False) -> list[Any]:
    made = []
    for name, (case, reason) in BOTH.items():
        marks: list[Any] = []
        if theirs and reason:
            marks.append(pytest.mark.xfail(reason=reason, strict=True))
        made.append(pytest.param(case, id=name, marks=marks))
    return made


@pytest.mark.parametrize("case", cases())
@pytest.mark.parametrize("chunks", ["auto", "frame"])
def test_each_pixel_is_of_its_own_frame(
    case: Any, chunks: str, places: dict[str, Path], scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = Sets(**places, package=dv)
    monkeypatch.setattr(sets, "open", lambda place: dv.open_dataset(place, chunks=chunks))
    same(*case(sets))


@pytest.mark.parametrize("case", cases(theirs=True))
def test_the_same_with_dkist(case: Any, places: dict[str, Path]) -> None:
    with dask.config.set(scheduler="threads"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(*case(Sets(**places, package=dkist)))


# What dkist does not have -----------------------------------------------------------------------


def stores(places: dict[str, Path], directory: Path) -> dict[str, Path]:
    made = {}
    for name in ("plain", "twin"):
        made[name] = directory / f"{name}.virtual"
        dv.convert(places[name], made[name], progress=False)
    return made


def test_two_stores(places: dict[str, Path], tmp_path: Path, scheduler: str) -> None:
    made = stores(places, tmp_path)
    one, other = dv.open_dataset(made["plain"]), dv.open_dataset(made["twin"])
    right = pixels(places["plain"]), pixels(places["twin"])
    same(da.stack([one.data, other.data]).compute(), np.stack(right))
    same((other - one).data.compute(), right[1] - right[0])
    same((other[2] - one[1]).data.compute(), right[1][2] - right[0][1])


def test_a_store_by_two_paths(places: dict[str, Path], tmp_path: Path, scheduler: str) -> None:
    made = stores(places, tmp_path)
    (tmp_path / "link.virtual").symlink_to(made["plain"])
    one, other = dv.open_dataset(made["plain"]), dv.open_dataset(tmp_path / "link.virtual")
    right = pixels(places["plain"])
    same(da.stack([one.data, other.data]).compute(), np.stack([right, right]))
    same((one[1] - other[2]).data.compute(), right[1] - right[2])


def test_a_store_and_the_asdf(places: dict[str, Path], tmp_path: Path, scheduler: str) -> None:
    made = stores(places, tmp_path)
    store, asdf = dv.open_dataset(made["plain"]), dv.open_dataset(places["plain"])
    twin = dv.open_dataset(places["twin"])
    right = pixels(places["plain"])
    same(
        da.stack([store.data, asdf.data, twin.data]).compute(),
        np.stack([right, right, pixels(places["twin"])]),
    )
    same((store[0] - asdf[1]).data.compute(), right[0] - right[1])


def test_the_same_frames_from_two_places(places: dict[str, Path], scheduler: str) -> None:
    asdf = places["plain"]
    one, other = dv.open_dataset(asdf), dv.open_dataset(asdf, frames=places["twin"])
    right = pixels(places["plain"]), pixels(places["twin"])
    same(np.stack(dask.compute(one.data, other.data)), np.stack(right))
    same((other - one).data.compute(), right[1] - right[0])


def test_absent_frames_as_nan_and_as_an_error(
    places: dict[str, Path], tmp_path: Path, scheduler: str
) -> None:
    """What one dataset may read as NaN another one does not."""
    shutil.copytree(places["plain"], tmp_path / "part")
    gone = dv.open_dataset(tmp_path / "part").files.names[5]
    (tmp_path / "part" / gone).unlink()
    strict = dv.open_dataset(tmp_path / "part")
    lenient = dv.open_dataset(tmp_path / "part", missing="nan")
    right = pixels(places["plain"])
    right[2, 1] = np.nan
    same(lenient.data.compute(), right)
    with pytest.raises(FrameMissingError):
        strict.data.compute()
    for together in ([lenient.data, strict.data], [strict.data, lenient.data]):
        with pytest.raises(FrameMissingError):
            da.stack(together).compute()
    same(dask.compute(strict[:2].data, lenient[2].data)[1], right[2])


def test_exports_concatenated(places: dict[str, Path], scheduler: str) -> None:
    import xarray as xr

    one, other = dv.open_dataset(places["plain"]), dv.open_dataset(places["twin"])
    both = xr.concat(
        [one.to_xarray(headers=[]), other.to_xarray(headers=[])],
        "dataset",
        coords="minimal",
        compat="override",
    )
    right = np.stack([pixels(places["plain"]), pixels(places["twin"])])
    same(both.data.compute(), right)
    same(both.isel(dataset=1, stokes=2).data.compute(), right[1, 2])
    mosaic = dv.open_dataset(places["mosaic"]).to_xarray(headers=[])
    tiles = tile_pixels(places["mosaic"])
    same((mosaic["data_1_0"].data - mosaic["data_0_1"].data).compute(), tiles[2] - tiles[1])


@pytest.mark.parametrize("through", ["asdf", "store"])
def test_before_and_after_a_frame_was_replaced(
    through: str, places: dict[str, Path], tmp_path: Path, scheduler: str
) -> None:
    """Pixels that were kept stay the old ones, those of a dataset opened later are the new ones."""
    directory = tmp_path / "frames"
    shutil.copytree(places["plain"], directory)
    place = directory
    if through == "store":
        place = tmp_path / "x.virtual"
        dv.convert(directory, place, progress=False, scan="never")
    before = pixels(directory)
    ds = dv.open_dataset(place)
    kept = ds.data.persist()
    same(kept.compute(), before)
    change(directory / ds.files.names[3], 500.0)
    after = pixels(directory)
    assert (after != before).any()
    again = dv.open_dataset(place)
    for together in ([kept, again.data], [again.data, kept]):
        one, other = dask.compute(*together)
        same(one if together[0] is kept else other, before)
        same(other if together[0] is kept else one, after)
    same(da.stack([kept, again.data]).compute(), np.stack([before, after]))
    same((again.data - kept).compute(), after - before)
