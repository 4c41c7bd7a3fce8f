"""Golden stores: what convert writes, and what open_dataset reads of it.

``golden.py`` says which there are, and how the expected files are written anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import golden as g
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from dkist_assets import load
from golden import BY_NAME, FORMS, GOLDEN, Golden

import dkist_virtual as dv
from dkist_virtual.errors import FrameMissingError, MissingFramesWarning

NAMES = [golden.name for golden in GOLDEN]


@pytest.fixture(scope="session")
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return g.built(request, tmp_path_factory)


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return BY_NAME[request.param]


@pytest.fixture(params=FORMS)
def store(request: pytest.FixtureRequest, golden: Golden, root: Path) -> Path:
    return root / f"{golden.name}.{request.param}"


@pytest.fixture
def directory(golden: Golden, root: Path) -> Path:
    return root / golden.name


# What is written ----------------------------------------------------------------------------


def test_a_store_is_three_files(store: Path) -> None:
    references = "references.json" if store.suffix == ".json" else "references.parq"
    assert {p.name for p in store.iterdir()} == {references, "headers.parquet", "dataset.asdf"}


def test_the_reference_set_is_the_committed_one(
    golden: Golden, store: Path, directory: Path
) -> None:
    assert g.normalised(g.raw_references(store), directory) == g.expected(golden)


def test_there_is_an_expected_file_for_each_and_no_other() -> None:
    assert {path.stem for path in g.EXPECTED.iterdir()} == set(NAMES)


@pytest.mark.every(3)
def test_references_are_where_astropy_finds_the_hdus(
    golden: Golden, store: Path, directory: Path
) -> None:
    refs = g.raw_references(store)
    chunks = {k: v for k, v in refs.items() if isinstance(v, list)}
    assert chunks == g.byte_ranges(golden, directory)


def test_metadata_documents(golden: Golden, store: Path, directory: Path) -> None:
    refs = g.raw_references(store)
    documents = {k: v for k, v in refs.items() if isinstance(v, dict)}
    paths = [p for tile in g.frame_paths(golden, directory).values() for p in tile]
    n = len(golden.shape) - len(golden.hdu_shape[golden.hdu_shape[0] == 1 :])
    dtype = np.dtype(golden.dtype).newbyteorder(">" if golden.verbatim else "<").str
    codec = {
        "id": "dkist_fits", "hdu": golden.hdu, "dtype": dtype, "shape": list(golden.hdu_shape),
    }  # fmt: skip
    root = documents.pop(".zattrs")
    assert set(root) == {"dkist_virtual"}
    root = root["dkist_virtual"]
    assert documents.pop(".zgroup") == {"zarr_format": 2}
    assert root["format_version"] == 1
    assert root["base"] == str(directory)
    assert root["n_frames"] == len(paths)
    all_scanned = golden.scan != "never" and all(p is not None and p.exists() for p in paths)
    n_bytes = sum(p.stat().st_size for p in paths if p is not None) if all_scanned else None
    assert root["n_bytes"] == n_bytes
    assert (root["head_bytes"] is None) == (golden.scan == "never")
    if golden.grid:
        shape = list(np.shape(golden.grid))
        assert root["tiles"] == {"shape": shape, "present": [list(p) for p in golden.places if p]}
    else:
        assert root["tiles"] is None
    for array in golden.arrays:
        assert documents.pop(f"{array}/.zarray") == {
            "zarr_format": 2,
            "shape": list(golden.shape),
            "chunks": [1] * n + list(golden.shape[n:]),
            "dtype": dtype,
            "compressor": None if golden.verbatim else codec,
            "fill_value": "NaN" if golden.dtype[0] == "f" else None,
            "filters": None,
            "order": "C",
            "dimension_separator": ".",
        }
        attributes = documents.pop(f"{array}/.zattrs")
        assert set(attributes) - {"subslice"} == {"_ARRAY_DIMENSIONS", "axis_names", "unit"}
        assert ("subslice" in attributes) == (golden.cut is not None)
    assert documents == {}


def data_and_head(golden: Golden, path: Any) -> list[int | None]:
    """Where astropy says that a frame's pixels begin, and how long what comes before them is."""
    with fits.open(path, disable_image_compression=True) as hdus:
        hdu = hdus[golden.hdu]
        head = hdu._data_offset - hdu._header_offset
        if isinstance(hdu, fits.BinTableHDU):
            return [None, head + hdu.header["NAXIS1"] * hdu.header["NAXIS2"]]
        plain = np.dtype(golden.dtype).kind != "u" or np.dtype(golden.dtype).itemsize == 1
        # Unsigned integers of more than a byte are stored with a BZERO.
        return [hdu._data_offset if plain else None, head]


@pytest.mark.every(3)
def test_own_columns_of_the_header_table(golden: Golden, store: Path, directory: Path) -> None:
    table = pq.read_table(store / "headers.parquet")
    types = {
        "_tile": pa.string(), "_url": pa.string(), "_size": pa.int64(), "_offset": pa.int64(),
        "_length": pa.int64(), "_data": pa.int64(), "_head": pa.int64(), "_mtime": pa.int64(),
        "_etag": pa.string(), "_datasum": pa.int64(),
    }  # fmt: skip
    assert {f.name: f.type for f in table.schema if f.name.startswith("_")} == types
    rows = table.select(list(types)).to_pylist()
    ranges = g.byte_ranges(golden, directory)
    by_array = g.frame_paths(golden, directory)
    keys = [f"{a}/{key}" for a in by_array for key in g.chunk_keys(golden)]
    paths = [path for tile in by_array.values() for path in tile]
    for row, key, path in zip(rows, keys, paths, strict=True):
        scanned = golden.scan != "never" and path is not None and path.exists()
        assert row["_tile"] == (key.split("/")[0].removeprefix("data_") if golden.grid else None)
        assert row["_url"] == (None if path is None else str(path))
        assert row["_size"] == (path.stat().st_size if scanned and path else None)
        assert row["_mtime"] == (path.stat().st_mtime_ns if scanned and path else None)
        assert row["_etag"] is None
        assert [row["_data"], row["_head"]] == (
            data_and_head(golden, path) if scanned else [None] * 2
        )
        if not scanned:
            assert row["_offset"] is row["_length"] is None
        elif golden.verbatim:  # the HDU all the same: the primary, which is the file here
            assert [row["_offset"], row["_length"]] == [0, row["_size"]]
        else:
            assert [row["_offset"], row["_length"]] == ranges[key][1:]


def test_the_store_id_is_what_the_format_page_says(golden: Golden, root: Path) -> None:
    ids = set()
    for form in FORMS:
        refs = g.raw_references(root / f"{golden.name}.{form}")
        about = {a: [refs[f"{a}/.zarray"], refs[f"{a}/.zattrs"]] for a in golden.arrays}
        text = json.dumps(["GOLDN", about], sort_keys=True, separators=(",", ":")).encode()
        for array in golden.arrays:
            for key in g.chunk_keys(golden):
                url, offset, length = [*refs.get(f"{array}/{key}", [""]), -1, -1][:3]
                text += f"{url}\0{offset}\0{length}\n".encode()
        assert refs[".zattrs"]["dkist_virtual"]["store_id"] == hashlib.sha256(text).hexdigest()
        ids.add(hashlib.sha256(text).hexdigest())
    assert len(ids) == 1


# What our door reads ------------------------------------------------------------------------


def datasets(opened: Any) -> list[Any]:
    return opened.flat if isinstance(opened, dv.TiledDataset) else [opened]


def cut(golden: Golden, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return pixels if golden.cut is None else pixels[golden.cut]


@pytest.mark.every(3)
def test_open_dataset_reads_what_astropy_reads(
    golden: Golden, store: Path, directory: Path
) -> None:
    if golden.gone or golden.nameless:
        how_many = f"{len(golden.gone + golden.nameless)} of the {golden.n_frames} frames"
        with pytest.raises(FrameMissingError, match=how_many):
            dv.open_dataset(store).data.compute()  # type: ignore[union-attr]
        return
    expected = g.oracle(golden, directory)
    for ds, array in zip(datasets(dv.open_dataset(store)), golden.arrays, strict=True):
        pixels = ds.data.compute()
        assert pixels.dtype == np.dtype(golden.dtype)
        np.testing.assert_array_equal(pixels, cut(golden, expected[array]), strict=True)


@pytest.mark.every(3)
def test_frames_beside_absent_ones_are_read(golden: Golden, store: Path, directory: Path) -> None:
    expected = g.oracle(golden, directory)
    absent = g.missing(golden)
    group = dv.open_zarr(store)
    for name, pixels in expected.items():
        array: Any = group[name]
        for key in g.chunk_keys(golden):
            at = tuple(map(int, key.split(".")[: len(golden.frame_axes) - golden.single]))
            if f"{name}/{key}" in absent:
                with pytest.raises(FrameMissingError, match=f"{name}/{key}"):
                    array[at]
            else:
                np.testing.assert_array_equal(array[at], pixels[at])


@pytest.mark.every(3)
def test_absent_frames_are_fill_values_where_asked_for(
    golden: Golden, store: Path, directory: Path
) -> None:
    expected = g.oracle(golden, directory)
    opened = datasets(dv.open_dataset(store, missing="nan"))
    for ds, array in zip(opened, golden.arrays, strict=True):
        if (golden.gone or golden.nameless) and golden.dtype[0] != "f":
            with pytest.warns(MissingFramesWarning, match=r"1 absent frame.* read as 0"):
                pixels = ds.data.compute()
        else:
            pixels = ds.data.compute()
        np.testing.assert_array_equal(pixels, cut(golden, expected[array]), strict=True)
    for name, array in dv.open_zarr(store, missing="nan").arrays():
        np.testing.assert_array_equal(array[...], expected[name])


@pytest.mark.every(3)
def test_a_dataset_without_a_store_reads_the_same(golden: Golden, directory: Path) -> None:
    expected = g.oracle(golden, directory)
    opened = datasets(dv.open_dataset(directory, missing="nan"))
    if (golden.gone or golden.nameless) and golden.dtype[0] != "f":
        with pytest.warns(MissingFramesWarning, match="1 absent frame"):
            opened[0].data.compute()
        return
    for ds, array in zip(opened, golden.arrays, strict=True):
        np.testing.assert_array_equal(ds.data.compute(), cut(golden, expected[array]), strict=True)


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_cut_is_what_dkist_makes_of_it(form: str, root: Path) -> None:
    theirs = load(root / "subslice" / "subslice.asdf")
    ours: Any = dv.open_dataset(root / f"subslice.{form}")
    np.testing.assert_array_equal(ours.data.compute(), theirs.data.compute(), strict=True)
    pixel = (3.0, 1.0, 1.0)
    assert ours.wcs.low_level_wcs.pixel_to_world_values(
        *pixel
    ) == theirs.wcs.low_level_wcs.pixel_to_world_values(*pixel)
    assert dv.open_zarr(root / f"subslice.{form}")["data"].shape == (2, 3, 12, 20)  # type: ignore[union-attr]
