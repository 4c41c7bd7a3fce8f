"""Frames of different files that have one name: one file would be read for both."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dkist_assets import with_files
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DownloadError, FrameRefusedError

# What an ASDF names ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "same"),
    mostly_slow(
        [
            (("/a/f.fits", "/b/f.fits"), "f.fits"),
            (("https://a.org/1/f.fits", "https://a.org/2/f.fits"), "f.fits"),
            (("file:///a/f%20.fits", "/b/f .fits"), "f .fits"),
            (("C:\\a\\f.fits", "\\\\server\\a\\f.fits"), "f.fits"),
            (("./f.fits", "/a/f.fits"), "f.fits"),
        ],
        (("/a/f.fits", "/b/f.fits"), "f.fits"),
    ),
)
def test_an_asdf_whose_names_end_alike_is_refused(
    names: tuple[str, str], same: str, tmp_path: Path
) -> None:
    def renamed(node: dict[str, Any]) -> None:
        first, second = node["fileuris"], node["fileuris"][1]
        first[0][0], second[3] = names

    path = with_files(tmp_path / "a.asdf", tmp_path, renamed)
    says = "{!r} and {!r}, which are both {!r} in".format(
        *(name.removeprefix("./") for name in names), same
    )
    for opening in (
        lambda: dv.open_dataset(path),
        lambda: dv.convert(path, tmp_path / "store", scan="never", progress=False),
        lambda: dv.convert(path, tmp_path / "store", frames=tmp_path, progress=False),
    ):
        with pytest.raises(DatasetError, match=re.escape(says)):
            opening()
    assert not (tmp_path / "store").exists()


def test_absolute_names_that_differ_and_one_file_named_twice_are_read(tmp_path: Path) -> None:
    def renamed(node: dict[str, Any]) -> None:
        node["fileuris"] = [[f"/a/{i}_{j}.fits" for j in range(20)] for i in range(4)]
        node["fileuris"][1][0] = node["fileuris"][0][0]

    ds: Any = dv.open_dataset(with_files(tmp_path / "a.asdf", tmp_path, renamed))
    assert ds.files.names[:2] == ["0_0.fits", "0_1.fits"]
    assert ds.files.names[20] == "0_0.fits"


# What references name ----------------------------------------------------------------------------


@pytest.fixture(params=["json", "parquet"])
def elsewhere(request: Any, simulated: Any, tmp_path: Path) -> tuple[Path, Any]:
    """A store whose first and sixth frames are files of one name elsewhere; and its pixels."""
    source = simulated("visp_plain")
    store = tmp_path / "store"
    dv.convert(source, store, references=request.param, progress=False)
    before = dv.open_dataset(store)
    whole, names = np.asarray(before.data), before.files.names
    moved = {}
    for position in (0, 5):
        there = tmp_path / f"elsewhere {position}" / "f.fits"
        there.parent.mkdir()
        shutil.copy2(source / names[position], there)
        moved[str(source / names[position])] = str(there)
    if request.param == "json":
        text = (store / "references.json").read_text()
        for old, new in moved.items():
            assert json.dumps(old) in text
            text = text.replace(json.dumps(old), json.dumps(new))
        (store / "references.json").write_text(text)
    else:
        shard = store / "references.parq" / "data" / "refs.0.parq"
        table = pq.read_table(shard)
        urls = [moved.get(url, url) for url in table["path"].to_pylist()]
        at = table.schema.get_field_index("path")
        paths = pa.array(urls).cast(table.schema.field("path").type)
        pq.write_table(table.set_column(at, table.schema.field("path"), paths), shard)
    return store, whole


def test_frames_of_one_name_are_not_read_from_one_file(
    elsewhere: tuple[Path, Any], tmp_path: Path, simulated: Any
) -> None:
    store, whole = elsewhere
    np.testing.assert_array_equal(np.asarray(dv.open_dataset(store).data), whole)

    here = tmp_path / "here"
    shutil.copytree(simulated("visp_plain"), here)
    shutil.copy(tmp_path / "elsewhere 5" / "f.fits", here)
    for frames in (here, [tmp_path / "none", here]):
        ds: Any = dv.open_dataset(store, frames=frames, missing="nan")
        for index in ((0, 0), (2, 1), np.s_[:], (0, 0, 3)):
            with pytest.raises(FrameRefusedError) as raised:
                np.asarray(ds[index].data)
            for part in ("elsewhere 0/f.fits", "elsewhere 5/f.fits", "'f.fits'", "data/"):
                assert part in str(raised.value)
        np.testing.assert_array_equal(np.asarray(ds[1].data), whole[1])
        with pytest.raises(FrameRefusedError):
            dv.open_zarr(store, frames=frames)["data"][0, 0]


def test_a_download_of_one_is_not_taken_for_the_other(
    elsewhere: tuple[Path, Any], tmp_path: Path
) -> None:
    store, whole = elsewhere
    ds: Any = dv.open_dataset(store)
    for part in (ds[0, 0], ds[2], ds):
        with pytest.raises(
            DownloadError, match=r"elsewhere 0/f\.fits and at .*elsewhere 5/f\.fits"
        ):
            part.files.download(tmp_path / "here")
    assert not (tmp_path / "here").exists()

    ds[1].files.download(tmp_path / "here")
    shutil.copy(tmp_path / "elsewhere 5" / "f.fits", tmp_path / "here")
    ds.files.refresh()
    assert ds[1].files.where() == [str(tmp_path / "here")] * 2
    np.testing.assert_array_equal(np.asarray(ds.data), whole)


@pytest.mark.slow
def test_frames_of_one_name_are_not_saved_under_it(
    elsewhere: tuple[Path, Any], tmp_path: Path
) -> None:
    store, _ = elsewhere
    ds: Any = dv.open_dataset(store)
    for part in (ds, ds[0, 0], ds[2]):
        with pytest.raises(DatasetError, match=r"elsewhere 5/f\.fits are both called 'f\.fits'"):
            dv.save_dataset(part, tmp_path / "saved.asdf")
    assert not (tmp_path / "saved.asdf").exists()
    dv.save_dataset(ds[1], tmp_path / "saved.asdf")
