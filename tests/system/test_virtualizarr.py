"""Read our stores with VirtualiZarr's own parsers, and let it write them for others.

Its versions for Python 3.11 open no Zarr v2 array with a compressor, whosever it is: they iterate
over the keys of its configuration. There only stores of plain frames are read in this way; this
package's parser reads all (``tests/publish``).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from golden import BY_NAME, oracle, with_both_stores
from icechunk_repository import repository
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtualizarr.parsers import KerchunkJSONParser, KerchunkParquetParser

from dkist_virtual.store.codecs import FITSBytesCodecV3

COMPRESSORS = sys.version_info >= (3, 12)
NAMES = ("compressed", "int16", "int32", "unsigned", "bytes", "mosaic", "single", "never")
ROUND_TRIPS: tuple[Any, ...] = ("compressed", "int16", "int32", "mosaic")
if not COMPRESSORS:
    NAMES, ROUND_TRIPS = ("int16", "bytes", "mosaic_plain"), ("int16", "mosaic_plain")

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning",
    "ignore::zarr.errors.ZarrUserWarning",
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base = tmp_path_factory.mktemp("virtualizarr")

    return lambda name: with_both_stores(name, base)


def parsed(directory: Path, form: str) -> Any:
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    if form == "json":
        return KerchunkJSONParser()(f"file://{directory}/json/references.json", registry)
    return KerchunkParquetParser()(f"file://{directory}/parquet/references.parq", registry)


def check(opened: Any, expected: dict[str, Any]) -> None:
    for name, pixels in expected.items():
        found = np.asarray(opened[name])
        assert found.dtype.newbyteorder("=") == pixels.dtype
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.every(8)
@pytest.mark.parametrize("form", ["json", "parquet"])
@pytest.mark.parametrize("name", NAMES)
def test_parsers_read_stores(name: str, form: str, made: Any) -> None:
    store = parsed(made(name), form)
    expected = oracle(BY_NAME[name], made(name))
    check(zarr.open_group(store, mode="r", zarr_format=3), expected)


@pytest.mark.every(4)
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_round_trips_through_kerchunk(name: str, made: Any, tmp_path: Path) -> None:
    expected = oracle(BY_NAME[name], made(name))
    virtual = parsed(made(name), "json").to_virtual_dataset(loadable_variables=[])
    virtual.vz.to_kerchunk(str(tmp_path / "again.json"), format="json")
    virtual.vz.to_kerchunk(str(tmp_path / "again.parq"), format="parquet")
    for again in ("again.json", "again.parq"):
        with xr.open_dataset(
            str(tmp_path / again), engine="kerchunk", mask_and_scale=False
        ) as opened:
            for array, pixels in expected.items():
                np.testing.assert_array_equal(opened[array].values, pixels)


@pytest.mark.every(4)
@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_round_trips_through_icechunk(name: str, made: Any, tmp_path: Path) -> None:
    expected = oracle(BY_NAME[name], made(name))
    virtual = parsed(made(name), "json").to_virtual_dataset(loadable_variables=[])
    repo = repository(tmp_path / "repo", made(name))
    session = repo.writable_session("main")
    virtual.vz.to_icechunk(session.store)
    session.commit("frames")
    store = repo.readonly_session("main").store
    check(zarr.open_group(store, mode="r"), expected)


def test_which_versions_read_compressors(made: Any) -> None:
    """The day that all do, all stores can be read here."""
    refuses = pytest.raises(TypeError, match="Expected codec config to be a dict")
    with nullcontext() if COMPRESSORS else refuses:
        parsed(made("compressed"), "json")


def test_the_codec_is_found_by_its_entry_point() -> None:
    codec = zarr.registry.get_codec_class("numcodecs.dkist_fits")
    assert codec is FITSBytesCodecV3
    entry = {
        "name": "numcodecs.dkist_fits",
        "configuration": {"hdu": 1, "dtype": "<f4", "shape": [1, 5, 40]},
    }
    assert codec.from_dict(entry).to_dict() == entry
