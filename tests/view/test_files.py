"""Files of a selection are counted exactly, downloaded whole, and named as plain text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import serve_store

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.errors import DatasetError
from dkist_virtual.text import human_bytes
from dkist_virtual.view.actions.chosen_files import ChosenFiles, describe_pixels
from dkist_virtual.view.actions.download_run import DownloadRun, Status

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture(scope="module")
def served(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameServer]:
    with serve_store(simulated("visp_plain"), tmp_path_factory.mktemp("served")) as server:
        yield server


def files_in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


# What is said -------------------------------------------------------------------------------


def test_files_and_bytes_are_exact(server: FrameServer, tmp_path: Path) -> None:
    ds = dv.open_dataset(server.directory / "store")
    chosen = ds[1:3]
    names = chosen.files.names
    size = sum((server.directory / "frames" / name).stat().st_size for name in names)
    found = ChosenFiles.of(chosen)
    assert found == ChosenFiles(4, size, 0, 0, 4, ())
    assert found.lines() == [f"4 files, {size / 1000:.3g} kB ({size:,} bytes): 4 on a server."]
    # A part of each frame is in the same files.
    assert ChosenFiles.of(ds[1:3, :, 5:10, 3]) == found
    assert not server.requests
    chosen[0].download(tmp_path, progress=False)
    assert ChosenFiles.of(chosen) == ChosenFiles(4, size, 0, 2, 2, ())
    assert (
        describe_pixels(ds[1:3, :, 5:10])
        == "2 \u00d7 2 \u00d7 5 \u00d7 64 pixels, 5.12 kB as float32."
    )


def test_unknown_lengths_and_absent_files_are_said(simulated: Any, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "frames"
    shutil.copytree(simulated("visp_plain"), place)
    ds = dv.open_dataset(place)
    gone = ds[2].files.names
    for name in gone:
        (place / name).unlink()
    ds.files.refresh()
    found = ChosenFiles.of(ds)
    assert (found.n, found.n_unknown, found.n_here, found.absent) == (8, 8, 6, tuple(gone))
    first, second = found.lines()
    assert first == (
        "8 files, of unknown length, as they were not scanned: 6 on this machine, 2 absent."
    )
    assert second == f"Absent: {gone[0]}, {gone[1]}."
    some = ChosenFiles(20, 1500, 3, 0, 0, tuple(f"{n}\n<b>\x1b[2J" for n in range(20)), 2)
    first, second, third = some.lines()
    assert "1.5 kB (1,500 bytes) and 3 of unknown length, which were not scanned" in first
    assert second.endswith("and 12 more.")
    assert not set(second) & {"\n", "\x1b"}
    assert third == "2 frames without a file."


def test_a_computed_dataset_has_no_files(datasets: Any) -> None:
    with pytest.raises(DatasetError):
        ChosenFiles.of(datasets("visp_plain") * 2)


def test_a_mosaic_has_the_files_of_its_tiles(converted: Any, simulated: Any) -> None:
    mosaic = dv.open_dataset(converted("vbi_mosaic"))
    found = ChosenFiles.of(mosaic.slice_tiles[1])
    places = [simulated("vbi_mosaic") / name for name in mosaic.slice_tiles[1].files.names]
    assert (found.n, found.n_bytes) == (4, sum(path.stat().st_size for path in places))
    assert describe_pixels(mosaic.slice_tiles[1]) == "4 tiles, 9,216 pixels, 36.9 kB as float32."


# The download -------------------------------------------------------------------------------


def test_a_selection_is_downloaded_with_progress(server: FrameServer, tmp_path: Path) -> None:
    ds = dv.open_dataset(server.directory / "store")
    expected = ds[1:3].data.compute()
    server.forget()
    told: list[Status] = []
    run = DownloadRun(ds[1:3], str(tmp_path), told.append)
    run.start()
    run.wait()
    size = human_bytes(sum(path.stat().st_size for path in files_in(tmp_path)))
    assert told[0] == Status("running", f"0 of 4 files, 0 B of {size}", 0.0)
    assert [one.share for one in told] == sorted(one.share for one in told)
    assert [one.is_over for one in told] == [False] * (len(told) - 1) + [True]
    assert told[-1].phase == "done"
    assert told[-1].text.startswith(f"Done. {tmp_path}: 4 files fetched")
    names = sorted(ds[1:3].files.names)
    assert [path.name for path in files_in(tmp_path)] == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (server.directory / "frames" / name).read_bytes()
    # They are read here from then on.
    server.forget()
    again = ds[1:3].data.compute()
    assert not server.requests
    assert (again[again == again] == expected[again == again]).all()


def test_the_end_leaves_whole_files_and_what_goes_on(server: FrameServer, tmp_path: Path) -> None:
    import dask

    ds = dv.open_dataset(server.directory / "store")
    asked: set[str] = set()
    stalls = threading.Event()

    def fault(path: str, _: int) -> str | None:
        asked.add(path)
        if len(asked) > 3:
            stalls.set()
            return "stall"
        return None

    server.fault = fault
    told: list[Status] = []
    with dask.config.set({"dkist_virtual.concurrency": 1}):
        run = DownloadRun(ds, str(tmp_path), told.append)
        run.start()
        assert stalls.wait(30)
        run.end()
        run.wait()
    assert told[-1].phase == "ended"
    assert told[-1].text.startswith("Ended: 3 of 8 files were fetched. What is there is whole")
    whole = [path for path in files_in(tmp_path) if path.suffix == ".fits"]
    assert len(whole) == 3
    for path in whole:
        assert path.read_bytes() == (server.directory / "frames" / path.name).read_bytes()
    server.fault = no_fault
    last: list[Status] = []
    run = DownloadRun(ds, str(tmp_path), last.append)
    run.start()
    run.wait()
    assert last[-1].phase == "done"
    assert len(files_in(tmp_path)) == 8


def test_failures_are_listed_for_each_file(server: FrameServer, tmp_path: Path) -> None:
    ds = dv.open_dataset(server.directory / "store")
    bad = ds[0].files.names
    server.fault = lambda path, _: 404 if path.rpartition("/")[2] in bad else None
    told: list[Status] = []
    run = DownloadRun(ds, str(tmp_path), told.append)
    run.start()
    run.wait()
    assert told[-1].phase == "failed"
    assert "2 of 8 files were not fetched" in told[-1].text
    assert [one.partition(":")[0] for one in sorted(told[-1].failures)] == sorted(bad)
    assert len(files_in(tmp_path)) == 6


def test_names_that_lead_out_of_the_directory_are_not_fetched(tmp_path: Path) -> None:
    """A download that the files refuse ends the run, with the reason."""

    class Hostile:
        def download(self, path: str, **options: Any) -> None:
            from dkist_virtual.io.download.download import check_names

            check_names(["../out.fits", "<script>alert(1)</script>\n.fits"], path)

    told: list[Status] = []
    run = DownloadRun(Hostile(), str(tmp_path / "here"), told.append)
    run.start()
    run.wait()
    assert told[-1].phase == "failed"
    assert "would not be written safely" in told[-1].text
    assert len(told[-1].failures) == 2
    assert not any("\n" in one for one in told[-1].failures)
    assert not files_in(tmp_path)
