"""A directory with frames and their store may be moved, copied and served: references are relative.

The pixels are compared with those of the dataset opened from its ASDF, which needs no references.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.cli.main import cli
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameError, FrameRefusedError
from dkist_virtual.io.safety import split_relative
from dkist_virtual.store.relative.write import relative_base

FORMS = mostly_slow(["json", "parquet"], "json")


@pytest.fixture(scope="module")
def pixels(simulated: Callable[[str], Path]) -> Any:
    return dv.open_dataset(simulated("visp_plain")).data.compute()


@pytest.fixture
def folder(simulated: Callable[[str], Path], tmp_path: Path) -> Path:
    return shutil.copytree(simulated("visp_plain"), tmp_path / "here" / "BKEWK")


def references(store: Path) -> dict[str, Any]:
    refs: dict[str, Any] = json.loads((store / "references.json").read_text())["refs"]
    return refs


def urls(store: Path) -> list[str]:
    return [value[0] for value in references(store).values() if isinstance(value, list)]


def check(place: Path | str, pixels: Any, expected: Path | str) -> None:
    """Open a store, and read it: from the frames in a directory."""
    ds = dv.open_dataset(place)
    np.testing.assert_array_equal(ds.data.compute(), pixels)
    assert {os.path.dirname(url) for url in ds.files.urls} == {str(expected)}
    assert ds.files.places == [str(expected)]
    assert all(name.startswith("visp_plain_00") for name in ds.files.names)


# Moved ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_with_its_store_is_renamed_copied_and_served(
    form: Any, folder: Path, pixels: Any, tmp_path: Path
) -> None:
    dv.convert(folder, folder / "all.virtual", relative=True, references=form)
    part = dv.open_dataset(folder / "all.virtual")[1:, 1]
    part.save(folder / "part.virtual", relative=True, references=form)
    check(folder / "all.virtual", pixels, folder)
    if form == "json":
        assert set(urls(folder / "all.virtual")) == {f"../visp_plain_{n:04}.fits" for n in range(8)}
        root = json.loads(references(folder / "all.virtual")[".zattrs"])["dkist_virtual"]
        assert root["base"] == ".."
    moved = folder.rename(tmp_path / "renamed")
    check(moved / "all.virtual", pixels, moved)
    copy = tmp_path / "a disk" / "copy#2"
    # Without the times of the files.
    shutil.copytree(moved, copy, copy_function=shutil.copyfile)
    shutil.rmtree(moved)
    check(copy / "all.virtual", pixels, copy)
    check(copy / "part.virtual", pixels[1:, 1], copy)
    with FrameServer(tmp_path).running() as server:
        there = f"{server.url}/a%20disk/copy%232"
        check(f"{there}/all.virtual", pixels, there)
        check(f"{there}/part.virtual", pixels[1:, 1], there)
        there = f"{server.url}/a%20disk"
        assert (
            dv.open_zarr(f"{there}/copy%232/all.virtual")["data"][0, 0, 3, 4] == pixels[0, 0, 3, 4]
        )


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "parquet"])
def test_stores_beside_frames_and_below(
    form: Any, folder: Path, pixels: Any, tmp_path: Path
) -> None:
    """Frames in a directory below the store's, and in one beside it."""
    for store, begin in (
        (folder.parent / "all.virtual", "../BKEWK"),
        (folder.parent / "stores" / "all.virtual", "../../BKEWK"),
        (folder / "stores" / "all.virtual", "../.."),
    ):
        dv.convert(folder, store, relative=True, references=form)
        if form == "json":
            assert {os.path.dirname(url) for url in urls(store)} == {begin}
        inside = store.relative_to(folder.parent)
        moved = tmp_path / "moved"
        shutil.copytree(folder.parent, moved)
        check(moved / inside, pixels, moved / folder.name)
        with FrameServer(moved).running() as server:
            check(f"{server.url}/{inside.as_posix()}", pixels, f"{server.url}/{folder.name}")
        shutil.rmtree(moved)
        shutil.rmtree(store)


@pytest.mark.slow
def test_names_keep_their_directories_and_frames_is_for_them(
    folder: Path, pixels: Any, tmp_path: Path
) -> None:
    dv.convert(folder, folder / "all.virtual", relative=True)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    for file in folder.glob("*.fits"):
        file.unlink()
    ds = dv.open_dataset(folder / "all.virtual", frames=elsewhere)
    np.testing.assert_array_equal(ds.data.compute(), pixels)
    with pytest.raises(FrameError, match=r"visp_plain_0000\.fits"):
        dv.open_dataset(folder / "all.virtual").data.compute()
    # Saved with absolute references again.
    ds[0].save(tmp_path / "far" / "away" / "part.virtual")
    assert set(map(os.path.dirname, urls(tmp_path / "far" / "away" / "part.virtual"))) == {
        str(elsewhere)
    }


@pytest.mark.slow
def test_a_link_to_a_store_is_the_store(folder: Path, pixels: Any, tmp_path: Path) -> None:
    dv.convert(folder, folder / "all.virtual", relative=True)
    (tmp_path / "link.virtual").symlink_to(folder / "all.virtual")
    (tmp_path / "linked").symlink_to(folder)
    check(tmp_path / "link.virtual", pixels, folder)
    check(tmp_path / "linked" / "all.virtual", pixels, folder)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "parquet"])
def test_an_update_and_another_conversion_keep_what_is_known(
    form: Any, folder: Path, pixels: Any
) -> None:
    store = folder / "all.virtual"
    dv.convert(folder, store, relative=True, references=form)
    moved = folder.rename(folder.with_name("renamed"))
    store = moved / "all.virtual"
    asdf = moved / "visp_plain.asdf"
    newer = shutil.copy(asdf, moved / "newer.asdf")
    done = dv.update(store, newer)
    assert (done.n_frames, done.n_kept) == (8, 8)
    check(store, pixels, moved)
    done = dv.convert(asdf, store, relative=True, overwrite=True, references=form)
    assert (done.n_scanned, done.n_kept) == (8, 8)
    check(store, pixels, moved)
    assert dv.verify(store).ok


@pytest.mark.slow
def test_the_command_line(folder: Path, simulated: Callable[[str], Path]) -> None:
    done = CliRunner().invoke(
        cli, ["convert", str(folder), str(folder / "all.virtual"), "--relative", "--scan", "never"]
    )
    assert done.exit_code == 0, done.output
    assert set(map(os.path.dirname, urls(folder / "all.virtual"))) == {".."}


# How far they may lead ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("../a.fits", (1, "a.fits")),
        ("../b/a.fits", (1, "b/a.fits")),
        ("../../b/a.fits", (2, "b/a.fits")),
        ("..", (1, "")),
        ("../..", (2, "")),
        ("../../../a.fits", None),
        ("../b/../../../a.fits", None),
        ("a.fits", None),
        ("./../a.fits", None),
        ("/a/../b.fits", None),
        ("..a/b.fits", None),
        ("https://example.org/../a.fits", None),
        ("", None),
    ],
)
def test_what_is_a_relative_reference(url: str, found: tuple[int, str] | None) -> None:
    assert split_relative(url) == found


ESCAPES = [
    "../../../secret.fits",
    "../b/../../../secret.fits",
    "../..//secret.fits",
    "../../b/./secret.fits",
    "..",
    "../",
    "..\\secret.fits",
    "../C:/secret.fits",
    "../%2e%2e/%2e%2e/secret.fits",
]


@pytest.mark.parametrize("url", mostly_slow(ESCAPES, ESCAPES[0]))
def test_a_reference_that_leads_further_is_refused(url: str, folder: Path, tmp_path: Path) -> None:
    store = folder / "stores" / "all.virtual"
    dv.convert(folder, store, relative=True, scan="never")
    shutil.copy(folder / "visp_plain_0000.fits", tmp_path / "secret.fits")
    document = json.loads((store / "references.json").read_text())
    document["refs"]["data/0.0.0.0"][0] = url
    (store / "references.json").write_text(json.dumps(document))
    ds = dv.open_dataset(store)
    with pytest.raises((FrameRefusedError, FrameError)):
        ds[0, 0].data.compute()
    ds[0, 1].data.compute()
    with FrameServer(tmp_path).running() as server:
        there = dv.open_dataset(f"{server.url}/here/BKEWK/stores/all.virtual")
        server.forget()
        with pytest.raises(FrameError):
            there[0, 0].data.compute()
        asked = {path for _, path, *_ in server.requests}
        assert not any("secret" in path and not path.startswith("here/") for path in asked)


@pytest.mark.slow
@pytest.mark.parametrize("base", ["../../..", "../x/../../.."])
def test_a_base_that_leads_further_is_not_resolved(base: str, folder: Path) -> None:
    dv.convert(folder, folder / "all.virtual", relative=True, scan="never")
    document = json.loads((folder / "all.virtual" / "references.json").read_text())
    root = json.loads(document["refs"][".zattrs"])
    root["dkist_virtual"]["base"] = base
    document["refs"][".zattrs"] = json.dumps(root)
    (folder / "all.virtual" / "references.json").write_text(json.dumps(document))
    with pytest.raises(FrameRefusedError, match="leads further than one may"):
        dv.open_dataset(folder / "all.virtual")[0, 0].data.compute()


@pytest.mark.slow
def test_a_store_at_the_root_of_a_server_leads_nowhere_above(folder: Path, pixels: Any) -> None:
    store = folder / "stores" / "all.virtual"
    dv.convert(folder, store, relative=True, scan="never")
    with FrameServer(store.parent).running() as server:
        ds = dv.open_dataset(f"{server.url}/all.virtual")
        with pytest.raises(FrameRefusedError, match="leads further than one may"):
            ds[0, 0].data.compute()
        # Named by the user, they are read.
        ds = dv.open_dataset(f"{server.url}/all.virtual", frames=folder)
        np.testing.assert_array_equal(ds[0, 0].data.compute(), pixels[0, 0])


def test_frames_that_are_too_far_are_refused_when_the_store_is_written(
    folder: Path, simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    far = tmp_path / "far" / "away" / "all.virtual"
    with pytest.raises(ValueError, match=r"relative: the frames are in .*expected them in"):
        dv.convert(folder, far, relative=True)
    with pytest.raises(ValueError, match="relative: the frames are in"):
        dv.open_dataset(folder)[0].save(far, relative=True)
    with pytest.raises(ValueError, match="expected one of them"):
        dv.convert(folder, folder / "x.virtual", base="https://example.org", relative=True)
    with pytest.raises(ValueError, match=r"frames are in https://example\.org/x"):
        relative_base(folder / "x.virtual", "https://example.org/x")
    assert sorted(path.suffix for path in folder.iterdir()) == [".asdf"] + [".fits"] * 8
    assert not far.exists()
    assert relative_base(far, str(tmp_path / "far")) == "../.."
    assert relative_base(far, str(tmp_path / "far" / "frames")) == "../../frames"


# The other door -------------------------------------------------------------------------------


OTHER = """
import json, sys
import numpy as np, xarray as xr
place, form, out = sys.argv[1:]
if form == "working directory":  # that is the store
    names = ["references.json"]
    ds = xr.open_dataset("references.json", engine="kerchunk")
else:
    import fsspec
    with fsspec.open(f"{place}/all.virtual/references.json") as file:
        document = json.load(file)
    for key, value in document["refs"].items():
        if isinstance(value, list):
            value[0] = place + value[0].removeprefix("..")
    ds = xr.open_dataset(document, engine="kerchunk")
np.save(out, ds["data"].values)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["working directory", "absolute", "server"])
def test_a_plain_reader_of_kerchunk_references(
    form: str, folder: Path, pixels: Any, tmp_path: Path
) -> None:
    dv.convert(folder, folder / "all.virtual", relative=True)
    (tmp_path / "other.py").write_text(OTHER)
    with FrameServer(folder).running() as server:
        place = server.url if form == "server" else folder
        subprocess.run(
            [sys.executable, tmp_path / "other.py", place, form, tmp_path / "found.npy"],
            cwd=folder / "all.virtual" if form == "working directory" else "/",
            check=True,
        )
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), pixels)
