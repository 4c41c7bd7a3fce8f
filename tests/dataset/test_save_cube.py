"""Save computed pixels as a cube, and open it again: all that belongs to them is the same."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from dkist_assets import unpacked
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.dataset.save.cube.layout import choose_layout
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import (
    DatasetError,
    FrameMissingError,
    StoreCorruptError,
    StoreError,
    StoreExistsError,
    StoreMissingError,
    StoreReplacedError,
)
from dkist_virtual.store.cubes.cube_store import CubeStore
from dkist_virtual.store.format.header_table import same_cells

ROOT = Path(__file__).parents[2]


def check_same(found: Any, expected: Any) -> None:
    """Compare two datasets: pixels bit for bit, coordinates at random pixels, and all beside."""
    ours, theirs = np.asarray(found.data), np.asarray(expected.data)
    assert ours.dtype == theirs.dtype
    assert ours.tobytes() == theirs.tobytes()
    assert found.unit == expected.unit
    assert found.lineage.source == expected.lineage.source
    assert set(found.lineage.common()) >= set(expected.lineage.common())
    if expected.mask is None or isinstance(expected.mask, bool):
        assert found.mask is expected.mask
    else:
        np.testing.assert_array_equal(np.asarray(found.mask), np.asarray(expected.mask))
    spread = expected.uncertainty
    assert type(found.uncertainty) is type(spread)
    if spread is not None:
        assert found.uncertainty.unit == spread.unit
        np.testing.assert_array_equal(np.asarray(found.uncertainty.array), np.asarray(spread.array))
    places = np.random.default_rng(0)
    for _ in range(4):
        pixel = [places.integers(0, n) for n in expected.shape[::-1]]
        np.testing.assert_allclose(
            np.array(found.wcs.low_level_wcs.pixel_to_world_values(*pixel), float),
            np.array(expected.wcs.low_level_wcs.pixel_to_world_values(*pixel), float),
            rtol=0, atol=1e-9,
        )  # fmt: skip
    assert (found.headers is None) == (expected.headers is None)
    if expected.headers is not None:
        assert found.headers.colnames == expected.headers.colnames
        for name in expected.headers.colnames:
            assert same_cells(found.headers[name], expected.headers[name]), name
    assert {k: found.meta[k] for k in found.meta if k != "headers"} == {
        k: expected.meta[k] for k in expected.meta if k != "headers"
    }
    assert np.array_equal(found.psf, expected.psf) if expected.psf is not None else True
    assert list(found.extra_coords.keys()) == list(expected.extra_coords.keys())
    # ndcube's bins forget the coordinates that were dropped before, which the saved WCS has.
    assert set(found.global_coords.keys()) >= set(expected.global_coords.keys())


def saved(ds: Any, place: Path, **options: Any) -> Any:
    """Save, and open again, as another process would."""
    ds.save(place, **options)
    return pickle.loads(pickle.dumps(dv.open_dataset(place)))


def with_state(ds: dv.Dataset) -> dv.Dataset:
    """A dataset with all that a user may set."""
    random = np.random.default_rng(1)
    made = ds[...]
    made.mask = random.random(ds.shape) > 0.5
    made.uncertainty = StdDevUncertainty(random.random(ds.shape))
    made.meta["note"] = "mine"
    made.headers["NUMBER"] = np.arange(len(made.headers))
    made.psf = np.eye(3)
    made.global_coords.add("room", "custom:room", 290 * u.K)
    made.extra_coords.add("step", (0,), np.arange(ds.shape[0]) * u.s)
    return made


MADE: dict[str, Callable[[dv.Dataset], Any]] = {
    "all that was set": lambda ds: with_state(ds) * 3,
    "arithmetic": lambda ds: ds / 2,
    "frames": lambda ds: ds[0],
    "fill values": lambda ds: ds[0].with_data(np.full(ds[0].shape, np.nan), mask=ds[0] < ds[0]),
    "a mask of all": lambda ds: ds.with_data(ds.data, mask=True),
    "bins": lambda ds: ds[0].rebin((1, 1, 4)),
    "combined": lambda ds: ds - ds[:, :, 0:1],
    "integers": lambda ds: ds[0].with_data(np.arange(ds[0].data.size).reshape(ds[0].shape)),
    "complex": lambda ds: ds[0].with_data(np.asarray(ds[0].data) * 1j),
    "bools": lambda ds: ds[0] > 0 * u.ct,
    "of dask": lambda ds: ds.with_data(ds.data.map_blocks(np.sqrt), unit="km/s"),
    "cut and stepped": lambda ds: (ds * 2)[:, 1:, ::2, 3:20],
    "an array": lambda ds: dv.Dataset(
        np.ones(ds[0, 0].shape), wcs=ds[0, 0].wcs, meta={"headers": ds[0].headers, "a": 1}
    ),
}


@pytest.mark.parametrize("name", mostly_slow(MADE, "cut and stepped"))
def test_a_computed_dataset_opens_as_it_was(name: str, simulated: Any, tmp_path: Path) -> None:
    made = MADE[name](dv.open_dataset(simulated("visp_plain")))
    opened = saved(made, tmp_path / "made.zarr")
    check_same(opened, made)
    check_same(opened[0, -1:], made[0, -1:])
    again = saved(opened, tmp_path / "again.zarr")
    check_same(again, opened)


@pytest.mark.slow
def test_it_says_that_it_is_computed_and_from_what(simulated: Any, tmp_path: Path) -> None:
    ds = dv.open_dataset(simulated("visp_plain"))
    opened = saved(ds / 2, tmp_path / "half.zarr")
    assert opened.lineage.is_computed
    assert f"computed from  {len(ds.headers)} frames in {simulated('visp_plain')}" in str(opened)
    assert opened.lineage.source in str(opened)
    with pytest.raises(DatasetError, match="are in no files"):
        opened.files  # noqa: B018
    about = json.loads((tmp_path / "half.zarr" / "zarr.json").read_text())["attributes"]
    about = about["dkist_virtual_cube"]
    assert about["record"]["datasets"] == [ds.inventory["datasetId"]]
    assert about["arrays"][0]["operations"].startswith("divide(")
    copied = saved(ds, tmp_path / "copy.zarr")
    assert not copied.lineage.is_computed
    assert "a copy of" in str(copied)


@pytest.mark.slow
def test_tiles_keep_their_places(simulated: Any, tmp_path: Path) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    assert isinstance(mosaic, dv.TiledDataset)
    tiles = np.full(mosaic.shape, None, object)
    for place in map(tuple, np.argwhere(~np.asarray(mosaic.mask)).tolist()):
        tiles[place] = mosaic[place] * 2
    first = tuple(np.argwhere(~np.asarray(mosaic.mask))[0].tolist())
    tiles[first] = tiles[first].rebin((1, 2, 2))
    made = dv.TiledDataset(tiles, mosaic.meta.without_headers())
    opened = saved(made, tmp_path / "mosaic.zarr")
    np.testing.assert_array_equal(opened.mask, made.mask)
    for place in map(tuple, np.argwhere(~np.asarray(made.mask)).tolist()):
        check_same(opened[place], made[place])
    row = saved(mosaic.flat, tmp_path / "row.zarr")
    assert row.shape == mosaic.flat.shape


@pytest.mark.slow
def test_others_read_it_without_this_package(simulated: Any, tmp_path: Path) -> None:
    import xarray
    import zarr

    made = with_state(dv.open_dataset(simulated("visp_plain"))) * 2
    made.save(tmp_path / "made.zarr")
    made.psf = None  # xarray has no place for it
    expected = np.asarray(made.data)
    group = zarr.open_group(tmp_path / "made.zarr", mode="r")
    np.testing.assert_array_equal(group["data"][...], expected)
    np.testing.assert_array_equal(group["mask"][...], made.mask)
    seen = xarray.open_zarr(tmp_path / "made.zarr")
    np.testing.assert_array_equal(seen["data"].values, expected)
    np.testing.assert_array_equal(seen["uncertainty"].values, np.asarray(made.uncertainty.array))
    assert seen["data"].attrs["unit"] == "ct"
    assert seen["data"].dims == made.to_xarray(headers=[]).dims
    np.testing.assert_array_equal(dv.open_zarr(tmp_path / "made.zarr")["data"][0], expected[0])


# Reading ----------------------------------------------------------------------------------------


@pytest.fixture
def chunked(
    simulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, np.ndarray]:
    """A cube of many chunks in many shards, and its pixels."""
    monkeypatch.setattr("dkist_virtual.dataset.save.cube.layout.SHARD_BYTES", 2_000)
    ds = dv.open_dataset(simulated("visp_plain"))
    (ds * 2).save(tmp_path / "chunked.zarr", chunks=(1, 1, 5, 5))
    return tmp_path / "chunked.zarr", np.asarray(ds.data) * 2


def test_a_slice_reads_its_chunks_alone(
    chunked: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, expected = chunked
    asked: list[tuple[str, int]] = []
    ask = CubeStore._ask

    def counted(self: CubeStore, key: str, byte_range: Any) -> bytes:
        data = ask(self, key, byte_range)
        if "/c/" in key:
            asked.append((key, len(data)))
        return data

    monkeypatch.setattr(CubeStore, "_ask", counted)
    ds: Any = dv.open_dataset(place)
    assert asked == []
    size = sum(path.stat().st_size for path in (place / "data" / "c").rglob("*") if path.is_file())
    np.testing.assert_array_equal(np.asarray(ds[0][1][2].data), expected[0, 1, 2])
    # Newer versions of zarr read neighbouring chunks of a shard together, with what is between.
    n_shards = sum(path.is_file() for path in (place / "data" / "c").rglob("*"))
    assert len({key for key, _ in asked}) < n_shards / 4
    assert sum(n for _, n in asked) < size / 4
    asked.clear()
    np.testing.assert_array_equal(np.asarray(ds.data[0][1][2, 3:5]), expected[0, 1, 2, 3:5])
    assert len(asked) == 2


@pytest.mark.slow
def test_chunks_are_those_that_were_asked_for(chunked: tuple[Path, np.ndarray]) -> None:
    place, expected = chunked
    frames: Any = dv.open_dataset(place, chunks="frame")
    assert {len(set(lengths)) for lengths in frames.data.chunks} == {1}
    assert frames.data.chunks[1] == (1,) * expected.shape[1]
    mine: Any = dv.open_dataset(place, chunks=(1, 2, -1, 10))
    assert mine[0].data.chunks[0][0] == 2
    with pytest.raises(ValueError, match="for 2 axes"):
        dv.open_dataset(place, chunks=(1, 2))


@pytest.mark.slow
def test_it_is_read_from_a_server(chunked: tuple[Path, np.ndarray]) -> None:
    place, expected = chunked
    with FrameServer(place.parent).running() as server:
        ds: Any = dv.open_dataset(f"{server.url}/chunked.zarr")
        np.testing.assert_array_equal(np.asarray(ds[1, 0].data), expected[1, 0])
        assert len(ds.headers) == expected.shape[0] * expected.shape[1]


def test_bytes_that_are_gone_or_changed_are_errors(chunked: tuple[Path, np.ndarray]) -> None:
    place, expected = chunked
    shard = next(path for path in sorted((place / "data" / "c").rglob("*")) if path.is_file())
    data = bytearray(shard.read_bytes())
    ds: Any = dv.open_dataset(place)
    data[-20] ^= 1
    shard.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="Save the cube again"):
        np.asarray(ds.data)
    shard.write_bytes(data[: len(data) // 2])
    with pytest.raises(StoreCorruptError, match=r"(?i)save the cube again|shorter"):
        np.asarray(ds.data)
    shard.unlink()
    with pytest.raises(StoreCorruptError, match="missing from the cube"):
        np.asarray(ds.data)
    (place / "headers.parquet").unlink()
    with pytest.raises(StoreCorruptError, match="missing from the store"):
        ds.headers.columns  # noqa: B018
    assert expected.size


@pytest.mark.slow
def test_another_cube_in_its_place_is_not_read(chunked: tuple[Path, np.ndarray]) -> None:
    place, _ = chunked
    ds: Any = dv.open_dataset(place)
    (ds + 1 * u.ct).save(place, overwrite=True)  # of itself, too
    with pytest.raises(StoreReplacedError):
        np.asarray(ds.data)


def test_options_for_frames_are_refused(chunked: tuple[Path, np.ndarray]) -> None:
    place, _ = chunked
    with pytest.raises(ValueError, match="frames is for frames"):
        dv.open_dataset(place, frames=place)
    with pytest.raises(ValueError, match="verify is for frames"):
        dv.open_dataset(place, verify=True)


def test_a_store_on_a_server_may_end_in_zarr(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "visp.zarr").symlink_to(converted("visp"))
    with FrameServer(tmp_path).running() as server:
        place = f"{server.url}/visp.zarr"
        ds: Any = dv.open_dataset(place, frames=tmp_path)
        assert ds.shape == dv.open_dataset(converted("visp")).shape
        assert "data" in dv.open_zarr(place)
        for name in ("none.zarr", "none.virtual"):
            with pytest.raises(StoreMissingError):
                dv.open_dataset(f"{server.url}/{name}", frames=tmp_path)


@pytest.mark.slow
def test_the_command_line(chunked: tuple[Path, np.ndarray], capsys: Any) -> None:
    from dkist_virtual.cli.main import main

    place, _ = chunked
    main(["info", str(place)])
    assert "computed from" in capsys.readouterr().out
    for command in (["verify"], ["download", str(place.parent / "there")]):
        with pytest.raises(SystemExit) as left:
            main([command[0], str(place), *command[1:]])
        assert left.value.code == 1
        assert "computed from" in capsys.readouterr().err


# Writing ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_there_stays_until_it_may_go(simulated: Any, tmp_path: Path) -> None:
    ds: Any = dv.open_dataset(simulated("visp_plain"))[0]
    place = tmp_path / "made.zarr"
    (ds * 2).save(place)
    with pytest.raises(StoreExistsError, match="exists already"):
        ds.save(place)
    (ds * 3).save(place, overwrite=True)
    np.testing.assert_array_equal(np.asarray(dv.open_dataset(place).data), np.asarray(ds.data) * 3)
    (place / "notes.txt").write_text("mine")
    with pytest.raises(StoreExistsError, match=r"notes\.txt"):
        ds.save(place, overwrite=True)
    other = tmp_path / "other.zarr"
    other.mkdir()
    with pytest.raises(StoreExistsError, match="not a saved cube"):
        ds.save(other, overwrite=True)
    with pytest.raises(TypeError, match="no such keyword: shards"):
        ds.save(tmp_path / "x.zarr", shards=(1, 1, 1))
    with pytest.raises(DatasetError, match="chunks"):
        ds.save(tmp_path / "x.zarr", chunks=(1, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made.zarr", "other.zarr"]


@pytest.mark.slow
def test_absent_frames_raise_or_are_nan(simulated: Any, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(simulated("visp_plain"), tmp_path / "frames")
    files = sorted((tmp_path / "frames").rglob("*.fits"))
    ds: Any = dv.open_dataset(tmp_path / "frames")
    gone = ds[0, 1].files.names[0]
    next(path for path in files if path.name == Path(gone).name).unlink()
    with pytest.raises(FrameMissingError):
        (dv.open_dataset(tmp_path / "frames") * 2).save(tmp_path / "made.zarr")
    assert not (tmp_path / "made.zarr").exists()
    nan: Any = dv.open_dataset(tmp_path / "frames", missing="nan")
    opened = saved(nan * 2, tmp_path / "made.zarr")
    assert np.isnan(np.asarray(opened[0, 1].data)).all()
    assert not np.isnan(np.asarray(opened[0, 0].data)).any()


@pytest.mark.slow
def test_a_full_disk_is_a_sentence(
    simulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.dataset.save.cube import shards

    def full(*_: object, **how: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards, "_compute", full)
    ds: Any = dv.open_dataset(simulated("visp_plain"))
    with pytest.raises(StoreError, match="No space left on device"):
        (ds * 2).save(tmp_path / "made.zarr")
    assert list(tmp_path.iterdir()) == []


def test_what_was_stopped_is_not_opened_and_goes_on(
    simulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.dataset.save.cube import shards

    ds: Any = dv.open_dataset(simulated("visp_plain"))
    place = tmp_path / "made.zarr"
    compute, done = shards._compute, []

    def stopped(writing: Any, task: Any, **how: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task)
        return compute(writing, task, **how)

    monkeypatch.setattr(shards, "_compute", stopped)
    monkeypatch.setattr("dkist_virtual.dataset.save.cube.layout.SHARD_BYTES", 2_000)
    with pytest.raises(KeyboardInterrupt, match=r"2 of .* the same call goes on"):
        (ds * 2).save(place, chunks=(1, 1, 10, 25))
    assert not place.exists()
    (work,) = tmp_path.iterdir()
    for half in (work, work / "made.zarr"):
        with pytest.raises(StoreError, match="save it again"):
            dv.open_dataset(half)
    monkeypatch.setattr(
        shards, "_compute", lambda *a, **k: (done.append(a[1]), compute(*a, **k))[1]
    )
    (ds * 2).save(place, chunks=(1, 1, 10, 25))
    assert len(done) == len({str(task) for task in done})  # no part twice
    np.testing.assert_array_equal(np.asarray(dv.open_dataset(place).data), np.asarray(ds.data) * 2)
    assert [path.name for path in tmp_path.iterdir()] == ["made.zarr"]


@pytest.mark.slow
def test_another_dataset_begins_anew(
    simulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.dataset.save.cube import save_cube

    ds: Any = dv.open_dataset(simulated("visp_plain"))
    root = save_cube.write_root

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(save_cube, "write_root", stopped)
    with pytest.raises(KeyboardInterrupt):
        (ds * 2).save(tmp_path / "made.zarr")
    monkeypatch.setattr(save_cube, "write_root", root)
    opened = saved(ds * 3, tmp_path / "made.zarr")
    np.testing.assert_array_equal(np.asarray(opened.data), np.asarray(ds.data) * 3)


def test_layouts_cover_every_pixel_once() -> None:
    cases: list[Any] = [
        ((4, 688, 976, 2555), 4, None), ((10, 4, 30, 2048, 2048), 8, None), ((1000,), 4, None),
        ((3, 48, 48), 4, None), ((20, 4096, 4096), 4, ((1,) * 20, (4096,), (4096,))),
        ((250, 100, 100), 8, ((116, 116, 18), (100,), (33, 33, 34))),
        ((7, 50, 60), 4, ((3, 3, 1), (7,) * 7 + (1,), (60,))),
    ]  # fmt: skip
    for shape, itemsize, source in cases:
        layout = choose_layout(shape, itemsize, source)
        sizes, n = 0, 0
        for block, shards in layout.parts():
            sizes += int(np.prod([part.stop - part.start for part in block]))
            n += len(shards)
        assert sizes == np.prod(shape)
        assert n == layout.n_shards
        assert np.prod(layout.chunks) * itemsize <= 2**23


_LOOK = """
    import json, sys
    import numpy as np
    import dkist_virtual as dv

    ds = dv.open_dataset(sys.argv[1])
    step, slit = 3, 17
    part = ds[0, step]
    values = ds.wcs.low_level_wcs.pixel_to_world_values(slit, 5, step, 0)
    spectrum = np.asarray(ds[0, step, :, slit].data)
    row = part.headers[0]
    print(json.dumps([spectrum.tolist(), [float(v) for v in np.ravel(values)],
                      {key: str(row[key]) for key in row.keys()}, str(ds.unit)]))
"""


@pytest.mark.slow
def test_a_calibrated_raster_is_the_same_in_a_new_process(datasets: Any, tmp_path: Path) -> None:
    """The real WCS and headers of a raster: normalised, shifted, cropped, saved."""
    raster = datasets("croppable_visp")[:, 100:112, :40, 200:260]
    random = np.random.default_rng(3)
    counts = raster.with_data(random.normal(1000, 20, raster.shape), unit="ct")
    quiet = random.normal(900, 10, (40, 1)) * u.ct
    made = (counts / quiet).shift(3.5 * u.arcsec, np.linspace(0, -2, 12) * u.arcsec)[:, 2:, 4:, 5:]
    made.save(tmp_path / "made.zarr")
    code = textwrap.dedent(_LOOK)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(tmp_path / "made.zarr")]
    out = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    spectrum, values, header, unit = json.loads(out)
    assert spectrum == np.asarray(made[0, 3, :, 17].data).tolist()
    expected = made.wcs.low_level_wcs.pixel_to_world_values(17, 5, 3, 0)
    np.testing.assert_allclose(values, np.ravel(np.array(expected, float)), rtol=0, atol=1e-9)
    row = made[0, 3].headers[0]
    assert header == {key: str(row[key]) for key in row.keys()}  # noqa: SIM118  # some are masked
    assert unit == str(made.unit)
    opened: Any = dv.open_dataset(tmp_path / "made.zarr")
    assert "corrected by" in str(opened)
    assert opened.pointing is None  # it is in the WCS


# Large ones -------------------------------------------------------------------------------------

_SAVE = """
    import sys
    from pathlib import Path
    import numpy as np
    import dask.array as da
    import dkist_virtual as dv

    part = dv.open_dataset(sys.argv[1])[0, :{n}]
    noise = da.random.default_rng(0).random(part.shape, chunks=(1, -1, -1))
    part.with_data(noise, unit="km/s").save(sys.argv[2])
    # Of this program alone: ru_maxrss begins with what the tests' process had when it forked.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0 kB"]
    print(noise.nbytes, 1024 * int(*(s.split()[1] for s in lines if s.startswith("VmHWM"))))
"""


def run_saving(n: int, asdf: Path, place: Path) -> subprocess.Popen[str]:
    code = textwrap.dedent(_SAVE).format(n=n)
    command = [sys.executable, "-c", code, str(asdf), str(place)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for its memory")
def test_two_gigabytes_take_less_than_500_megabytes_of_memory(tmp_path: Path) -> None:
    saving = run_saving(100, unpacked("croppable_visp.asdf.gz", tmp_path), tmp_path / "noise.zarr")
    out, _ = saving.communicate()
    assert saving.returncode == 0
    n_bytes, peak = map(int, out.split())
    assert n_bytes > 1.9e9
    assert peak < 500e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_and_repeated_it_goes_on(tmp_path: Path) -> None:
    asdf, place = unpacked("croppable_visp.asdf.gz", tmp_path), tmp_path / "noise.zarr"
    journal = tmp_path / ".noise.zarr.part" / "written.jsonl"
    saving = run_saving(12, asdf, place)
    while saving.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") > 4:
            os.kill(saving.pid, signal.SIGKILL)
            break
    saving.communicate()
    assert saving.returncode == -signal.SIGKILL
    assert not place.exists()
    done = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    written = {
        path: path.stat().st_mtime_ns
        for name, number in done
        for path in [journal.parent / "noise.zarr" / name / "c" / "/".join(map(str, number))]
    }
    saving = run_saving(12, asdf, place)
    saving.communicate()
    assert saving.returncode == 0
    for path, when in written.items():
        now = place / path.relative_to(journal.parent / "noise.zarr")
        assert now.stat().st_mtime_ns == when  # not written again
    opened: Any = dv.open_dataset(place)
    import dask.array as da

    noise = da.random.default_rng(0).random(opened.shape, chunks=(1, -1, -1))
    np.testing.assert_array_equal(np.asarray(opened.data), np.asarray(noise))


@pytest.mark.slow
def test_a_cluster_computes(
    simulated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    ds: Any = dv.open_dataset(simulated("visp_plain"))
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        (ds * 2).save(tmp_path / "made.zarr", chunks=(1, 1, 5, 25))
        opened: Any = dv.open_dataset(tmp_path / "made.zarr")
        found = opened.data.compute()
        # Neither the bar nor the file goes to the workers.
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        (ds * 2).save(tmp_path / "made.asdf")
        monkeypatch.undo()
    expected = np.asarray(ds.data) * 2
    np.testing.assert_array_equal(found, expected)
    again: Any = dv.open_dataset(tmp_path / "made.asdf")
    np.testing.assert_array_equal(np.asarray(again.data), expected)
