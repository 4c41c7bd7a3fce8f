"""Write datasets into Icechunk repositories, and read them by this package and by plain Zarr."""

from __future__ import annotations

import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from icechunk_repository import open_plainly
from inversions import make_inversion
from numpy.testing import assert_array_equal
from zarr.core.buffer import default_buffer_prototype

import dkist_virtual as dv
from dkist_virtual.cli.main import main
from dkist_virtual.errors import (
    DatasetError,
    FrameMissingError,
    LocationError,
    StoreCorruptError,
    StoreError,
    StoreExistsError,
    StoreMissingError,
)
from dkist_virtual.io.event_loop import run

# The package's name of it is that of the function.
to_icechunk_module: Any = import_module("dkist_virtual.publish.icechunk.to_icechunk")

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


def world(ds: Any, at: Any) -> Any:
    return ds.wcs.low_level_wcs.pixel_to_world_values(*at)


def assert_same(found: Any, expected: Any, every: int = 1) -> None:
    """Compare what belongs to a dataset, and its pixels bit for bit; of keywords every n-th."""
    assert type(found) is type(expected)
    for one, other in zip(tiles(found), tiles(expected), strict=True):
        assert_array_equal(np.asarray(one.data), np.asarray(other.data), strict=True)
        assert one.headers.colnames == other.headers.colnames
        for key in other.headers.colnames[::every]:
            assert_array_equal(np.ma.asarray(one.headers[key]), np.ma.asarray(other.headers[key]))
        assert one.unit == other.unit
        assert repr(one.mask) == repr(other.mask)
        assert dict(one.meta["inventory"]) == dict(other.meta["inventory"])
        at = [0] * one.wcs.low_level_wcs.pixel_n_dim
        for here, there in zip(world(one, at), world(other, at), strict=True):
            assert_array_equal(here, there)
        assert one.files.filenames == other.files.filenames
    assert found.meta["inventory"] == expected.meta["inventory"]


@pytest.mark.parametrize("name", ["visp", pytest.param("vbi_mosaic", marks=pytest.mark.slow)])
def test_a_dataset_comes_back_out_of_its_repository(
    name: str, written: Any, converted: Converted
) -> None:
    commit, place = written[name]
    expected = dv.open_dataset(converted(name))
    found = dv.open_dataset(commit.repository)
    assert_same(found, expected)
    assert_same(dv.open_dataset(place), expected, every=20)  # recognised by its files
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


# History ------------------------------------------------------------------------------------------


@pytest.fixture
def grown(converted: Converted, tmp_path: Path) -> tuple[Path, Path, dv.IcechunkCommit]:
    """A repository of the first two raster steps of a dataset, and the store of all of them."""
    store, place = converted("visp"), tmp_path / "grown"
    first = dv.to_icechunk(dv.open_dataset(store)[:, :2], place)
    return store, place, first


def test_a_grown_dataset_is_a_commit_and_the_one_before_still_opens(grown: Any) -> None:
    store, place, first = grown
    everything = dv.open_dataset(store)
    second = dv.to_icechunk(store, place, message="All steps")
    assert second.is_new
    assert second.snapshot != first.snapshot
    assert_same(dv.open_dataset(place), everything, every=20)
    before = dv.open_dataset(f"{first.repository}?snapshot={first.snapshot}")
    assert before.shape == (4, 2, 40, 64)
    assert_same(before, everything[:, :2], every=20)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place)))
    messages = [commit.message for commit in repository.ancestry(branch="main")]
    assert messages[0] == "All steps"
    assert len(messages) == 3
    # A tag and a branch of the first commit.
    repository.create_tag("first", first.snapshot)
    repository.create_branch("old", first.snapshot)
    for chosen in ("tag=first", "branch=old"):
        assert dv.open_dataset(f"{first.repository}?{chosen}").shape == (4, 2, 40, 64)
    with pytest.raises(StoreMissingError, match="has no tag second"):
        dv.open_dataset(f"{first.repository}?tag=second")
    with pytest.raises(StoreMissingError, match="has no branch new"):
        dv.to_icechunk(store, place, branch="new")
    for chosen in ("branch=../new", f"snapshot={first.snapshot[::-1]}"):
        with pytest.raises(StoreMissingError, match=r"has no (branch|snapshot)"):
            dv.open_dataset(f"{first.repository}?{chosen}")


def test_an_open_dataset_stays_that_of_its_snapshot(grown: Any) -> None:
    """Pickled, in another process, and by dask's names."""
    store, place, first = grown
    ds = dv.open_dataset(place)
    sent, name = pickle.dumps(ds.data), ds.data.name
    pixels = np.asarray(ds.data)
    dv.to_icechunk(store, place)
    assert_array_equal(pickle.loads(sent), pixels)
    again = dv.open_dataset(f"{first.repository}?snapshot={first.snapshot}")
    assert again.data.name == name
    assert dv.open_dataset(place)[:, :2].data.name != name
    assert first.snapshot in str(again.overview())


def test_a_commit_in_the_meantime_is_an_error_of_ours(
    grown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, place, _ = grown

    def write_and_lose(session: Any, *rest: Any) -> None:
        written_layout(session, *rest)
        repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place)))
        other = repository.writable_session("main")
        zarr.open_group(other.store, mode="r+").attrs["note"] = "first"
        other.commit("Somebody else's")

    written_layout = to_icechunk_module.write_layout
    monkeypatch.setattr(to_icechunk_module, "write_layout", write_and_lose)
    with pytest.raises(StoreError, match="somebody else committed to branch main") as caught:
        dv.to_icechunk(store, place)
    assert "do the same again" in str(caught.value)
    monkeypatch.undo()
    assert dv.open_dataset(place).shape == (4, 2, 40, 64)
    assert dv.to_icechunk(store, place).is_new
    assert dv.open_dataset(place).shape == (4, 4, 40, 64)
    # What the other one wrote is still there.
    assert open_plainly(place).attrs["note"] == "first"


def test_references_that_another_program_changed_are_refused(grown: Any) -> None:
    _, place, first = grown
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place)))
    # Another program's commit that changes nothing of ours is no reason.
    session = repository.writable_session("main")
    zarr.open_group(session.store, mode="r+").create_group("previews")
    session.commit("Previews")
    ds = dv.open_dataset(place)
    assert ds.shape == (4, 2, 40, 64)
    where = first.containers[0] + "visp_0001.fits"
    session = repository.writable_session("main")
    session.store.set_virtual_ref("data/c/0/0/0/0", where, offset=2880, length=34560)
    session.commit("Another frame")
    with pytest.raises(StoreCorruptError, match="are not those of the header table: 1"):
        dv.open_dataset(place)
    assert dv.open_dataset(f"{first.repository}?snapshot={first.snapshot}").shape == ds.shape
    # What the error says to do mends it.
    assert dv.to_icechunk(ds, place).is_new
    assert dv.open_dataset(place).shape == ds.shape
    assert "previews" in open_plainly(place)


@pytest.mark.parametrize(
    "what",
    ["codec", *(pytest.param(w, marks=pytest.mark.slow) for w in ("bytes", "headers", "array"))],
)
def test_what_another_program_broke_is_written_again(
    what: str, converted: Converted, tmp_path: Path
) -> None:
    store, place = converted("visp"), tmp_path / "repo"
    first = dv.to_icechunk(store, place)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(place)))
    session = repository.writable_session("main")
    group = zarr.open_group(session.store, mode="r+")
    if what == "bytes":
        group["dkist_virtual/headers.parquet"][7] = 0
    elif what == "headers":
        del group["dkist_virtual/headers.parquet"]
    elif what == "array":
        del group["data"]
    else:
        key = "data/zarr.json"
        buffer = run(session.store.get(key, default_buffer_prototype()))
        text = buffer.to_bytes().replace(b'"hdu": 1', b'"hdu": 2')
        run(session.store.set(key, default_buffer_prototype().buffer.from_bytes(text)))
    session.commit("Broken")
    if what == "array":  # too little is left to tell what it was
        with pytest.raises(StoreCorruptError, match=r"array data is missing.*new repository"):
            dv.to_icechunk(store, place)
        repository.create_branch("mended", first.snapshot)
        assert not dv.to_icechunk(store, place, branch="mended").is_new
        return
    if what != "codec":
        with pytest.raises(StoreCorruptError, match=r"headers\.parquet"):
            dv.open_dataset(place)
    assert dv.to_icechunk(store, place).is_new
    array = open_plainly(place, *first.containers)["data"]
    assert_array_equal(array[1, 1], np.asarray(dv.open_dataset(place)[1, 1].data))
    assert not dv.to_icechunk(store, place).is_new


@pytest.mark.slow
def test_a_killed_process_leaves_the_branch_as_it_was(grown: Any, tmp_path: Path) -> None:
    store, place, _ = grown
    program = (
        "import os, signal, sys\n"
        "import dkist_virtual as dv\n"
        "from dkist_virtual.publish.icechunk import to_icechunk as module\n"
        "real = module.write_layout\n"
        "def write(*given):\n"
        "    real(*given)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "module.write_layout = write\n"
        "dv.to_icechunk(sys.argv[1], sys.argv[2])\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(store), str(place)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert dv.open_dataset(place).shape == (4, 2, 40, 64)
    assert dv.to_icechunk(store, place).is_new
    assert_same(dv.open_dataset(place), dv.open_dataset(store))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grown"]


# What is written ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_relative_store_and_names_that_urls_encode(original: Path, tmp_path: Path) -> None:
    """References become absolute, and the header table has them too."""
    directory = tmp_path / "a dir, 100% ü#?"
    shutil.copytree(original / "frames", directory / "frames")
    made = dv.convert(directory / "frames", directory / "s.virtual", relative=True)
    commit = dv.to_icechunk(made.store, tmp_path / "repo")
    # Of a directory that Icechunk cannot name, the one above.
    assert commit.containers == (f"file://{tmp_path}/",)
    found, expected = dv.open_dataset(tmp_path / "repo"), dv.open_dataset(made.store)
    assert_same(found, expected)
    assert found.files.urls == expected.files.urls
    array = open_plainly(tmp_path / "repo", *commit.containers)["data"]
    assert_array_equal(np.asarray(array[1, 1]), np.asarray(expected[1, 1].data))
    assert not dv.to_icechunk(made.store, tmp_path / "repo").is_new
    assert dv.verify(commit.repository).n_wrong == 0


def test_absent_frames_have_no_chunk_and_unscanned_ones_are_refused(
    original: Path, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    shutil.copytree(original / "frames", frames)
    away = sorted(frames.glob("*.fits"))[0]
    away.rename(tmp_path / "away")
    made = dv.convert(frames, tmp_path / "s.virtual")
    with pytest.raises(StoreError, match="1 of 8 frames were not scanned"):
        dv.to_icechunk(made.store, tmp_path / "repo")
    assert not (tmp_path / "repo").exists()
    commit = dv.to_icechunk(made.store, tmp_path / "repo", partial=True)
    assert (commit.n_frames, commit.n_absent, commit.n_left_out) == (8, 0, 1)
    assert "1 without a reference, as they were not scanned" in str(commit)
    ds = dv.open_dataset(tmp_path / "repo")
    with pytest.raises(FrameMissingError):
        ds[0, 0].data.compute()
    # Plain Zarr cannot tell.
    assert np.isnan(open_plainly(tmp_path / "repo", *commit.containers)["data"][0, 0]).all()
    (tmp_path / "away").rename(away)
    ds.files.refresh()
    assert np.isfinite(ds[0, 0].data.compute()).all()


def test_corrections_and_masks_come_back(converted: Converted, tmp_path: Path) -> None:
    import astropy.units as u

    ds = dv.open_dataset(converted("visp")).shift(3 * u.arcsec, -1.5 * u.arcsec)
    ds.mask = np.zeros(ds.shape, bool)
    ds.mask[0, 1] = True
    dv.to_icechunk(ds[:2], tmp_path / "repo")
    found = dv.open_dataset(tmp_path / "repo")
    assert str(found.pointing) == str(ds[:2].pointing)
    assert_array_equal(found.mask, ds.mask[:2])
    at = (3, 4, 5, 1)
    assert_array_equal(world(found, at), world(ds[:2], at))


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [False, True])
def test_an_inversion_comes_back(compressed: bool, tmp_path: Path) -> None:
    made = make_inversion(tmp_path / "made", tmp_path, compressed=compressed)
    commit = dv.to_icechunk(made.asdf, tmp_path / "repo")  # which scans its frames
    found, expected = dv.open_dataset(tmp_path / "repo"), dv.open_dataset(made.asdf)
    assert isinstance(found, dv.Inversion)
    assert isinstance(expected, dv.Inversion)
    assert list(found) == list(expected)
    for key in expected:
        pixels = np.asarray(expected[key].data)
        assert_array_equal(np.asarray(found[key].data), pixels, strict=True)
        plain = open_plainly(tmp_path / "repo", *commit.containers)[
            found[key].provenance.array.name
        ]
        assert_array_equal(np.asarray(plain[...]), pixels)
    assert list(found.profiles) == list(expected.profiles)
    with pytest.raises(DatasetError, match="expected the path of its store"):
        dv.to_icechunk(found, tmp_path / "other")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_dataset_in_a_repository_is_saved_and_written_again(
    written: Any, converted: Converted, tmp_path: Path
) -> None:
    commit, place = written["visp"]
    ds = dv.open_dataset(place)
    ds[:2].save(tmp_path / "part.virtual")
    assert_same(dv.open_dataset(tmp_path / "part.virtual"), dv.open_dataset(converted("visp"))[:2])
    copy = dv.to_icechunk(f"{commit.repository}?snapshot={commit.snapshot}", tmp_path / "copy")
    assert copy.is_new
    assert_same(dv.open_dataset(tmp_path / "copy"), ds)
    assert not dv.to_icechunk(converted("visp"), tmp_path / "copy").is_new


def test_pixels_that_are_in_no_frame_are_refused(converted: Converted, tmp_path: Path) -> None:
    ds = dv.open_dataset(converted("visp"))
    with pytest.raises(DatasetError, match="expected pixels that are in frames"):
        dv.to_icechunk(ds / 2, tmp_path / "repo")
    with pytest.raises(TypeError, match="to_icechunk of a int"):
        dv.to_icechunk(3, tmp_path / "repo")  # type: ignore[arg-type]
    assert not (tmp_path / "repo").exists()


# What is refused ----------------------------------------------------------------------------------


def test_another_dataset_and_other_directories_are_refused(
    written: Any, converted: Converted, tmp_path: Path
) -> None:
    _, place = written["visp"]
    with pytest.raises(DatasetError, match="has the dataset SIM000, and this is SIM001"):
        dv.to_icechunk(converted("visp_plain"), place)
    with pytest.raises(StoreExistsError, match="is not an Icechunk repository"):
        dv.to_icechunk(converted("visp_plain"), converted("visp"))
    strange = icechunk.Repository.create(icechunk.local_filesystem_storage(str(tmp_path / "own")))
    session = strange.writable_session("main")
    zarr.create_group(session.store).create_array("x", shape=(2,), dtype="i4")
    session.commit("Not ours")
    with pytest.raises(StoreExistsError, match="something else than a dataset"):
        dv.to_icechunk(converted("visp"), tmp_path / "own")
    with pytest.raises(StoreMissingError, match="has no dataset of dkist_virtual"):
        dv.open_dataset(tmp_path / "own")


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("icechunk+file:///nowhere/at/all", StoreMissingError, "no Icechunk repository here"),
        ("icechunk+file:///x?snapshots=A", LocationError, "snapshots= after the question mark"),
        ("icechunk+file:///x?tag=A&branch=B", LocationError, "expected one of them"),
        ("icechunk+gs://bucket/x", LocationError, r"expected icechunk\+file://"),
        ("icechunk+https://me:secret@host/x", LocationError, "contains a password"),
    ],
)
def test_addresses_that_name_nothing(address: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        dv.open_dataset(address)
    assert "secret" not in str(caught.value)


def test_bytes_that_are_not_as_they_were_written_are_refused(
    converted: Converted, tmp_path: Path
) -> None:
    dv.to_icechunk(converted("visp"), tmp_path / "repo")
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(str(tmp_path / "repo")))
    session = repository.writable_session("main")
    array = zarr.open_array(session.store, path="dkist_virtual/dataset.asdf", mode="r+")
    array[100] = 7
    session.commit("A byte of the ASDF")
    with pytest.raises(StoreCorruptError, match=r"dataset.asdf: piece 0 of 1 is not as it was"):
        dv.open_dataset(tmp_path / "repo")
    session = repository.writable_session("main")
    root = zarr.open_group(session.store, mode="r+")
    about = dict(root.attrs["dkist_virtual"])
    root.attrs["dkist_virtual"] = {**about, "icechunk": {**about["icechunk"], "version": 2}}
    session.commit("Of the future")
    with pytest.raises(StoreCorruptError, match="its version is 2: this version"):
        dv.open_dataset(tmp_path / "repo")


def test_without_icechunk_one_sentence_says_what_to_install(
    written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(StoreError, match=r"pip install 'dkist-virtual\[icechunk\]'"):
        dv.open_dataset(written["visp"][1])


# The command line ---------------------------------------------------------------------------------


def test_the_command_line(
    converted: Converted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "repo"
    main(["icechunk", str(converted("visp")), str(place), "--message", "Mine"])
    made = capsys.readouterr().out
    assert "16 frames\nFrames are read from file://" in made
    address = made.partition(":")[0] + made.partition(":")[2].partition(":")[0]
    assert address.startswith("icechunk+file")
    main(["info", str(place)])
    assert "VISP Dataset SIM000" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_line_downloads_and_plots(written: Any, tmp_path: Path) -> None:
    place = written["visp"][1]
    main(["download", f"icechunk+file://{place}", str(tmp_path / "copies"), "--slice", "0, 0:2"])
    assert len(list((tmp_path / "copies").glob("*.fits"))) == 2
    main(["plot", f"icechunk+file://{place}", "-o", str(tmp_path / "plot.png")])
    assert (tmp_path / "plot.png").stat().st_size > 1000
