"""Open references that VirtualiZarr and kerchunk wrote, and refuse wrong ones."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy.io import fits
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtualizarr import open_virtual_dataset

import dkist_virtual as dv
from dkist_virtual.publish.virtualizarr import FITSParser

TIMES = pd.DatetimeIndex(["2026-01-01", "2026-01-02", "2026-01-03T12:00:00.5"], name="time")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with three exposures, and ``all.json`` and ``all.parq`` by VirtualiZarr."""
    directory = tmp_path_factory.mktemp("written")
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    random = np.random.default_rng(0)
    each = []
    for number in range(3):
        image = fits.CompImageHDU(random.normal(9, 1, (1, 12, 16)).astype("f4"), name="SCI")
        plain = fits.ImageHDU(random.integers(0, 9, (12, 16)).astype("i2"), name="MASK")
        path = directory / f"{number}.fits"
        fits.HDUList([fits.PrimaryHDU(), image, plain]).writeto(path)
        parser = FITSParser(partial_reads=False)
        each.append(open_virtual_dataset(str(path), registry=registry, parser=parser))
    virtual = xr.concat(each, dim=TIMES, coords="minimal", compat="override")
    virtual = virtual.assign_coords(good=("time", [True, False, True]))
    virtual.vz.to_kerchunk(str(directory / "all.json"), format="json")
    virtual.vz.to_kerchunk(str(directory / "all.parq"), format="parquet")
    return directory


def pixels(directory: Path, hdu: int) -> Any:
    each = [fits.getdata(directory / f"{number}.fits", hdu) for number in range(3)]
    return np.stack([np.asarray(one).astype(one.dtype.newbyteorder("=")) for one in each])


@pytest.mark.parametrize("name", ["all.json", "all.parq"])
def test_what_virtualizarr_writes_is_opened(name: str, written: Path) -> None:
    group = dv.open_zarr(written / name)
    assert set(group) == {"SCI", "MASK", "time", "good"}
    for hdu, array in ((1, "SCI"), (2, "MASK")):
        expected = pixels(written, hdu)
        found: Any = group[array]
        np.testing.assert_array_equal(found[...], expected)
        np.testing.assert_array_equal(found[1, ..., 3, 2:9:3], expected[1, ..., 3, 2:9:3])
    assert group["SCI"].attrs["EXTNAME"] == "SCI"
    assert group["SCI"].metadata.dimension_names == ("time", "SCI_z", "SCI_y", "SCI_x")
    np.testing.assert_array_equal(group["good"][...], [True, False, True])
    again = pickle.loads(pickle.dumps(group))
    np.testing.assert_array_equal(again["MASK"][2], pixels(written, 2)[2])
    opened = xr.open_zarr(group.store, consolidated=False, chunks=None, mask_and_scale=False)
    assert (opened["time"].to_index() == TIMES).all()


@pytest.mark.parametrize("name", ["all.json", "all.parq"])
def test_pixels_alone_are_no_dataset(name: str, written: Path) -> None:
    for open_it in (dv.open_dataset, dv.load_dataset):
        with pytest.raises(dv.errors.StoreMissingError, match=r"dv\.open_zarr opens it"):
            open_it(written / name)


def refs_of(written: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((written / "all.json").read_bytes())
    return document


def changed(key: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    def change(refs: dict[str, Any]) -> None:
        refs[key] = json.dumps({**json.loads(refs[key]), **values})

    return change


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda refs: refs.update({key: value})


SCI = "SCI/0.0.0.0"
WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "other codec": (changed("SCI/.zarray", filters=[{"id": "zlib"}]), "SCI: codecs.*fits_image"),
    "two codecs": (changed("SCI/.zarray", compressor={"id": "zlib"}), "SCI: codecs"),
    "codec alone": (changed("SCI/.zarray", filters="fits_image"), "SCI: filters"),
    "unknown key": (
        changed("SCI/.zarray", filters=[{"id": "fits_image", "hdu": 1, "level": 9}]),
        "SCI: codec fits_image: has hdu, level",
    ),
    "other type": (changed("SCI/.zarray", dtype="<f8"), "SCI: "),
    "objects": (changed("SCI/.zarray", dtype="|O"), "SCI: .*dtype"),
    "little-endian": (changed("MASK/.zarray", dtype="<i2"), "MASK: .*big-endian"),
    "fields": (changed("MASK/.zarray", dtype=[["a", "<i2"]]), "MASK: dtype"),
    "parts of images": (changed("SCI/.zarray", chunks=[1, 1, 6, 16]), "SCI: "),
    "Fortran order": (changed("SCI/.zarray", order="F"), "SCI: order"),
    "too many": (changed("MASK/.zarray", shape=[2**40, 12, 16]), "chunks"),
    "no lengths": (changed("MASK/.zarray", shape=[3, -12, 16]), "MASK: shape"),
    "dimensions": (changed("SCI/.zattrs", _ARRAY_DIMENSIONS=["a"]), "SCI: _ARRAY_DIMENSIONS"),
    "group": (put("a/b/.zarray", '{"zarr_format": 2}'), "a/b/.zarray"),
    "both versions": (put("zarr.json", '{"zarr_format": 3}'), "Zarr v3 alone"),
    "climbing name": (put("../x/.zarray", '{"zarr_format": 2}'), "x/.zarray"),
    "no object": (put("x/.zarray", "[]"), "x/.zarray: .*object"),
    "chunk outside": (put("SCI/3.0.0.0", ["/a", 0, 1]), "chunk '3.0.0.0'"),
    "chunk of nothing": (put("lost/0", ["/a", 0, 1]), "lost"),
    "relative": (put(SCI, ["a.fits", 0, 1]), "SCI: reference 'a.fits'"),
    "empty": (put(SCI, ["", 0, 1]), SCI),
    "negative": (put(SCI, ["/a", -1, 1]), SCI),
    "text": (put("good/0", "abc"), "good/0.*base64"),
    "too short": (put("good/0", "base64:" + base64.b64encode(b"\1").decode()), "good: 1 bytes"),
    "two values": (put("good/1", "base64:AQ=="), "good/1"),
    "other value": (lambda refs: refs.update({"good/1": refs.pop("good/0")}), "good/1.*chunk 0"),
    "value of nothing": (put("lost/0", "base64:AQ=="), "lost/0.*chunk of no array"),
    "codec of no name": (changed("SCI/.zarray", filters=[{"id": []}]), "SCI: codecs"),
    "not of FITS": (changed("MASK/.zarray", dtype=">u2"), "MASK: .*>u2.* without a codec"),
    "longer than a chunk": (put("MASK/1.0.0", ["/a", 0, 385]), "MASK/1.0.0: .*385 bytes.* 384"),
    "whole file of pixels": (put("MASK/1.0.0", ["/a"]), "MASK/1.0.0: .*whole file"),
    "true": (put(SCI, ["/a", True, 1]), SCI),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_references_are_refused(wrong: str, written: Path, tmp_path: Path) -> None:
    document = copy.deepcopy(refs_of(written))
    change, said = WRONG[wrong]
    change(document["refs"])
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    with pytest.raises(dv.errors.StoreCorruptError, match=rf"wrong\.json: (?s:.*){said}"):
        dv.open_zarr(tmp_path / "wrong.json")


def in_zarr_v3(written: Path) -> dict[str, Any]:
    """The same references as newer versions of VirtualiZarr write them with ``zarr_format=3``."""
    old = refs_of(written)["refs"]
    new: dict[str, Any] = {}
    for name in ("SCI", "MASK", "good"):
        zarray, zattrs = (json.loads(old[f"{name}/{key}"]) for key in (".zarray", ".zattrs"))
        names = zattrs.pop("_ARRAY_DIMENSIONS")
        dtype = np.dtype(zarray["dtype"])
        codecs = [{"name": "bytes", "configuration": {"endian": "big"}}]
        if name == "SCI":
            config = zarray["filters"][0]
            codecs = [{"name": config.pop("id"), "configuration": config}]
        grid = {"name": "regular", "configuration": {"chunk_shape": zarray["chunks"]}}
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": zarray["shape"],
            "data_type": dtype.name,
            "chunk_grid": grid,
            "chunk_key_encoding": {"name": "default"},
            "codecs": codecs,
            "attributes": zattrs,
            "fill_value": 0,
            "dimension_names": names,
        }
        new[f"{name}/zarr.json"] = json.dumps(document)
        for key in [key for key in old if key.startswith(f"{name}/") and ".z" not in key]:
            new[f"{name}/c/" + key.partition("/")[2].replace(".", "/")] = old[key]
    root = {"zarr_format": 3, "node_type": "group", "attributes": {"by": "a test"}}
    return {"version": 1, "refs": {"zarr.json": json.dumps(root), **new}}


def test_references_in_zarr_v3_are_opened(written: Path, tmp_path: Path) -> None:
    document = in_zarr_v3(written)
    (tmp_path / "all.json").write_text(json.dumps(document))
    group = dv.open_zarr(tmp_path / "all.json")
    for hdu, array in ((1, "SCI"), (2, "MASK")):
        np.testing.assert_array_equal(
            group[array][1:, ..., 3:5], pixels(written, hdu)[1:, ..., 3:5]
        )
    np.testing.assert_array_equal(group["good"][...], [True, False, True])
    assert group.attrs["by"] == "a test"
    assert group["MASK"].metadata.dimension_names == ("time", "MASK_y", "MASK_x")


WRONG_V3: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "sharded": (changed("SCI/zarr.json", codecs=[{"name": "sharding_indexed"}]), "codecs"),
    "compressed": (
        changed(
            "MASK/zarr.json", codecs=[{"name": "bytes"}, {"name": "gzip", "configuration": {}}]
        ),
        "MASK: codecs",
    ),
    "text": (changed("SCI/zarr.json", data_type="string"), "data_type"),
    "other grid": (changed("SCI/zarr.json", chunk_grid={"name": "rectilinear"}), "regular grid"),
    "no codecs": (changed("SCI/zarr.json", codecs=[]), "SCI/zarr.json"),
    "group": (put("a/zarr.json", '{"zarr_format": 3, "node_type": "group"}'), "without groups"),
    "other key": (put("SCI/d/0/0/0/0", ["/a", 0, 1]), "chunk key"),
    "lost chunk": (put("lost/c/0", ["/a", 0, 1]), "no array"),
}


@pytest.mark.parametrize("wrong", WRONG_V3)
def test_wrong_references_in_zarr_v3_are_refused(wrong: str, written: Path, tmp_path: Path) -> None:
    document = in_zarr_v3(written)
    change, said = WRONG_V3[wrong]
    change(document["refs"])
    (tmp_path / "wrong.json").write_text(json.dumps(document))
    with pytest.raises(dv.errors.StoreCorruptError, match=rf"wrong\.json: (?s:.*){said}"):
        dv.open_zarr(tmp_path / "wrong.json")


def test_files_that_are_no_references(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"version": 1, "refs": {}}', '{"version": 1, "refs": []}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(dv.errors.StoreCorruptError, match=r"a\.json"):
            dv.open_zarr(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"version": 1, "refs": {}, "templates": {"u": "/etc"}}')
    with pytest.raises(dv.errors.StoreCorruptError, match="without templates"):
        dv.open_zarr(tmp_path / "a.json")
    with pytest.raises(dv.errors.StoreMissingError, match="no store here"):
        dv.open_zarr(tmp_path / "not there.json")


def test_a_chain_of_addresses_that_leads_nowhere_is_named(written: Path, tmp_path: Path) -> None:
    document = refs_of(written)
    document["refs"]["MASK/0.0.0"] = ["zip://a.fits::file:///none.zip", 0, 384]
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(dv.errors.FrameUnreachableError, match=r"MASK/0\.0\.0: .*none\.zip"):
        dv.open_zarr(tmp_path / "a.json")["MASK"][0]


def test_references_from_a_server_name_no_files_of_this_machine(written: Path) -> None:
    from dkist_virtual.demo.server import FrameServer

    with FrameServer(written).running() as server:
        for name in ("all.json", "all.parq"):
            group = dv.open_zarr(f"{server.url}/{name}")
            with pytest.raises(dv.errors.FrameRefusedError, match="allow_local"):
                group["SCI"][0]
            group = dv.open_zarr(f"{server.url}/{name}", frames=server.url)
            np.testing.assert_array_equal(group["SCI"][2], pixels(written, 1)[2])
        with pytest.raises(dv.errors.StoreMissingError, match=r"gone\.json"):
            dv.open_zarr(f"{server.url}/gone.json")
