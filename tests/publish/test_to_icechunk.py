"""Write datasets into Icechunk repositories, and read them by this package and by plain Zarr."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from icechunk_repository import open_plainly
from numpy.testing import assert_array_equal

import dkist_virtual as dv

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning", "ignore::zarr.errors.ZarrUserWarning"
)

Converted = Callable[[str], Path]


@pytest.fixture(scope="module")
def written(
    converted: Converted, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[dv.IcechunkCommit, Path]]:
    """Repositories of three datasets, with what was said of the commits."""
    directory = tmp_path_factory.mktemp("repositories")
    made = {}
    for name in ("visp", "visp_plain", "vbi_mosaic"):
        place = directory / name
        made[name] = dv.to_icechunk(converted(name), place), place
    return made


def tiles(ds: Any) -> list[Any]:
    return list(ds.flat) if isinstance(ds, dv.TiledDataset) else [ds]


def assert_same(found: Any, expected: Any) -> None:
    """Compare what belongs to a dataset beside its pixels, and these bit for bit."""
    assert type(found) is type(expected)
    for one, other in zip(tiles(found), tiles(expected), strict=True):
        assert_array_equal(np.asarray(one.data), np.asarray(other.data), strict=True)
        assert one.headers.colnames == other.headers.colnames
        for key in other.headers.colnames:
            assert_array_equal(np.ma.asarray(one.headers[key]), np.ma.asarray(other.headers[key]))
        assert one.unit == other.unit
        assert repr(one.mask) == repr(other.mask)
        assert dict(one.meta["inventory"]) == dict(other.meta["inventory"])
        at = [0] * one.wcs.pixel_n_dim
        assert repr(one.wcs.pixel_to_world_values(*at)) == repr(
            other.wcs.pixel_to_world_values(*at)
        )
        assert one.files.filenames == other.files.filenames
    assert found.meta["inventory"] == expected.meta["inventory"]


@pytest.mark.parametrize("name", ["visp", "vbi_mosaic"])
def test_a_dataset_comes_back_out_of_its_repository(
    name: str, written: Any, converted: Converted
) -> None:
    commit, place = written[name]
    expected = dv.open_dataset(converted(name))
    found = dv.open_dataset(commit.repository)
    assert_same(found, expected)
    assert_same(dv.open_dataset(place), expected)  # recognised by its files
    one = tiles(found)[0]
    assert_array_equal(pickle.loads(pickle.dumps(one.data)), one.data)


@pytest.mark.parametrize("name", ["visp", "visp_plain"])
def test_plain_zarr_reads_whole_frames_and_parts(
    name: str, written: Any, converted: Converted, simulated: Converted
) -> None:
    commit, place = written[name]
    assert commit.containers == (f"file://{simulated(name)}/",)
    array = open_plainly(place, *commit.containers)["data"]
    expected = np.asarray(dv.open_dataset(converted(name)).data)
    for index in (..., (1, 1), (0, 1, slice(3, 5), slice(2, 9, 3)), (slice(None), 0, 7, 1)):
        assert_array_equal(np.asarray(array[index]), expected[index])


def test_what_has_not_changed_is_not_committed_again(written: Any, converted: Converted) -> None:
    commit, place = written["visp"]
    again = dv.to_icechunk(converted("visp"), place)
    assert (again.snapshot, again.is_new) == (commit.snapshot, False)
    assert "nothing is new" in str(again)
