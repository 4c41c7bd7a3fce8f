"""Compare stores with astropy: what is compared, what counts as different, what is reported."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from samples import mostly_slow
from simulated import NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, StoreMissingError
from dkist_virtual.verification.against_astropy import (
    Comparison,
    FrameCheck,
    Outcome,
    _difference,
    compare,
)

Copy = Callable[[str], Path]


@pytest.fixture
def copy(simulated: Callable[[str], Path], tmp_path: Path) -> Copy:
    """A simulated dataset in the test's own directory, with a store beside it; the directory."""

    def copied(name: str) -> Path:
        shutil.copytree(simulated(name), tmp_path / "data")
        dv.convert(tmp_path / "data", tmp_path / "store")
        return tmp_path / "data"

    return copied


@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_simulated_datasets_are_equal(
    name: str, simulated: Callable[[str], Path], converted: Callable[[str], Path]
) -> None:
    for place in (converted(name), simulated(name) / f"{name}.asdf"):
        report = compare(place, sample=3)
        assert report.counts == {"equal": 3}
        assert (report.ok, report.exit_status) == (True, 0)
        assert report.n_frames == len(list(simulated(name).glob("*.fits")))


def test_all_frames_without_a_sample(copy: Copy) -> None:
    directory = copy("visp_moving")
    report = compare(directory.parent / "store")
    assert report.counts == {"equal": 6}
    assert [check.key for check in report.checks] == [
        f"data/{i}.{j}.0.0" for i in range(2) for j in range(3)
    ]
    assert {Path(check.url or "").name for check in report.checks} == {
        path.name for path in directory.glob("*.fits")
    }
    assert report.against.startswith("astropy ")


@pytest.mark.every(10)
@pytest.mark.parametrize(
    ("sample", "chosen"),
    [(1, [0]), (2, [0, 5]), (3, [0, 2, 5]), (6, [0, 1, 2, 3, 4, 5]), (99, [0, 1, 2, 3, 4, 5])],
)
def test_a_sample_is_spread_from_first_to_last(sample: int, chosen: list[int], copy: Copy) -> None:
    report = compare(copy("visp_moving").parent / "store", sample=sample)
    keys = [f"data/{i}.{j}.0.0" for i in range(2) for j in range(3)]
    assert [check.key for check in report.checks] == [keys[i] for i in chosen]
    assert report.n_frames == 6


@pytest.mark.slow
def test_mosaics_are_sampled_over_all_tiles(simulated: Callable[[str], Path]) -> None:
    report = compare(simulated("vbi_mosaic"), sample=4)
    assert [check.key.split("/")[0] for check in report.checks] == [
        "data_0_0", "data_0_1", "data_1_0", "data_1_1"
    ]  # fmt: skip


# What does not come out equal -------------------------------------------------------------------


def frame(directory: Path, number: int) -> Path:
    return sorted(directory.glob("*.fits"))[number]


def outcomes(place: Path, **how: Any) -> dict[str, str]:
    return {check.key: check.outcome for check in compare(place, **how).checks}


def test_absent_unreachable_and_broken_are_three_things(copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    by_url = {check.url: check.key for check in compare(store).checks}
    keys = [by_url[str(frame(directory, i))] for i in range(6)]
    gone, loop, short, other = (frame(directory, i) for i in range(4))
    when = other.stat()
    shutil.copy(frame(directory, 4), other)  # another frame's bytes decode as themselves
    os.utime(other, ns=(when.st_atime_ns, when.st_mtime_ns))
    gone.unlink()
    loop.unlink()
    loop.symlink_to(loop.name)
    os.truncate(short, short.stat().st_size // 2)
    assert [outcomes(store)[key] for key in keys][:3] == ["absent", "unreachable", "refused"]
    report = compare(store)
    assert (report.ok, report.exit_status) == (False, 1)
    assert f"refused: {keys[2]} {short}: " in str(report)
    short.unlink()  # absent and unreachable frames are nothing that a decoder is to blame for
    os.remove(other)
    report = compare(store)
    assert report.counts == {"absent": 3, "unreachable": 1, "equal": 2}
    assert (report.ok, report.exit_status) == (True, 3)
    assert "reads; 4 frames could not be compared: 3 absent and 1 unreachable." in str(report)


@pytest.mark.slow
def test_nothing_to_compare_is_no_success(copy: Copy) -> None:
    directory = copy("visp_moving")
    for path in directory.glob("*.fits"):
        path.unlink()
    report = compare(directory.parent / "store")
    assert (report.counts, report.exit_status, report.ok) == ({"absent": 6}, 2, False)
    assert "No frame could be read. Say where they are" in str(report)
    report = compare(directory.parent / "store", frames=directory / "nowhere")
    assert (report.counts, report.exit_status) == ({"unreachable": 6}, 2)


@pytest.mark.slow
def test_frames_elsewhere(copy: Copy) -> None:
    directory = copy("visp_moving")
    moved = directory.rename(directory.parent / "moved")
    assert compare(directory.parent / "store").counts == {"unreachable": 6}
    assert compare(directory.parent / "store", frames=moved).counts == {"equal": 6}


def test_arguments(tmp_path: Path, simulated: Callable[[str], Path]) -> None:
    wrong: Any = "another"
    with pytest.raises(ValueError, match="against = 'another': expected 'astropy'"):
        compare(tmp_path, against=wrong)
    with pytest.raises(ValueError, match="sample = 0: expected 1 or more"):
        compare(tmp_path, sample=0)
    with pytest.raises(StoreMissingError, match="no store here"):
        compare(tmp_path)
    with pytest.raises(DatasetError, match="no such file"):
        compare(tmp_path / "nowhere.asdf")


NAN = np.float32(np.nan)
OTHER_NAN = np.array([0x7FC00001], "u4").view("f4")[0]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (np.arange(6, dtype="f4"), np.arange(6, dtype=">f4")),
        (np.arange(6, dtype="i2"), np.arange(6, dtype=">i2")),
        (np.arange(6, dtype="u1"), np.arange(6, dtype="u1")),
        (np.array([1, NAN], "f4"), np.array([1, OTHER_NAN], ">f4")),
        (np.array([1, np.nan], "f8"), np.array([1, -np.nan], "f8")),
        (np.arange(6, dtype="f4")[::2], np.arange(6, dtype="f4")[::2]),
    ],
)
def test_what_is_equal(ours: Any, theirs: Any) -> None:
    assert _difference(ours, theirs) == ""


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (np.zeros(3, "f4"), np.zeros((1, 3), "f4"), r"shape \(3,\), astropy has \(1, 3\)"),
        (np.zeros(3, "f4"), np.zeros(3, "f8"), "type float32, astropy has float64"),
        (np.zeros(3, "i2"), np.zeros(3, "u2"), "type int16, astropy has uint16"),
        (np.zeros(3, "f4"), -np.zeros(3, "f4"), r"3 of 3 pixels, the first at \(0,\): .*0\.0"),
        (np.array([1, 2, NAN], "f4"), np.array([1, 2, 3], "f4"), r"1 of 3 .* at \(2,\): .*nan.*3"),
        (np.array([[1, 2], [3, 4]], "i4"), np.array([[1, 2], [0, 5]], "i4"), r"2 of 4 .*\(1, 0\)"),
        (
            np.array([1.0], "f4"),
            np.nextafter(np.array([1.0], "f4"), np.float32(2)),
            r"1 of 1 pixels, the first at \(0,\)",
        ),
    ],
)
def test_what_is_different(ours: Any, theirs: Any, said: str) -> None:
    assert re.match(said, _difference(ours, theirs))


def report_of(*outcomes_: Outcome) -> Comparison:
    checks = tuple(
        FrameCheck(f"data/{i}.0.0", f"/home/ada/f{i}.fits", o, f"/home/ada/f{i}.fits: why")
        for i, o in enumerate(outcomes_)
    )
    return Comparison("ABCDE", "VISP", "astropy 7", 100, checks, {"ZCMPTYPE": "RICE_1"}, {})


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (["equal"], 0),
        (["equal", "absent", "unreachable"], 3),
        (["equal", "different"], 1),
        (["refused"], 1),
        (["different", "absent"], 1),
        (["absent", "unreachable"], 2),
        ([], 2),
    ],
)
def test_exit_status(found: list[Outcome], status: int) -> None:
    report = report_of(*found)
    assert report.exit_status == status
    assert report.ok == (status in (0, 3))
    assert json.loads(json.dumps(report.as_json()))["ok"] == report.ok
    assert ("bit for bit what astropy 7 reads" in str(report)) == (status in (0, 3))
    said = "2 frames could not be compared: 1 absent and 1 unreachable."
    assert (said in str(report)) == (status == 3)


def test_what_differs_is_named_and_asked_for() -> None:
    report = report_of("equal", "different", "absent")
    lines = str(report).splitlines()
    assert lines[0] == "VISP ABCDE: 3 of 100 frames looked at, 2 compared with astropy 7"
    assert "  different: data/1.0.0 /home/ada/f1.fits: why" in lines
    assert "  1 absent, 1 different, 1 equal" in lines
    assert "one of the files named above" in lines[-2]
    assert json.loads(lines[-1])["different"] == ["FRAME: why"]


# What we ask users to send ----------------------------------------------------------------------


@pytest.mark.slow
def test_the_line_to_send_tells_nothing_of_people_and_places(copy: Copy) -> None:
    directory = copy("visp")
    short = frame(directory, 3)
    os.truncate(short, short.stat().st_size // 2)
    frame(directory, 5).unlink()
    report = compare(directory.parent / "store")
    line = str(report).splitlines()[-1]
    sent = json.loads(line)
    assert sent["counts"] == {"equal": 14, "refused": 1, "absent": 1}
    assert len(sent["different"]) == 1
    assert str(directory) not in line
    assert str(directory.parent) not in line
    with fits.open(frame(directory, 0), disable_image_compression=True) as hdus:
        header = hdus[1].header
    # No value of the header but those of how pixels are stored, and by which pipeline.
    told = {str(value) for value in sent["form"].values()}
    for keyword in ("OBSERVER", "OBSPR_ID", "PROP_ID", "EXPER_ID", "NETWORK"):
        value = str(header.get(keyword, ""))
        if value:
            assert value not in told, keyword
            assert f'"{value}"' not in line, keyword
    assert {key: header[key] for key in sent["form"]} == sent["form"]
    assert sent["form"]["ZCMPTYPE"] == "RICE_1"


def test_progress_only_when_asked_for_or_on_a_terminal(
    copy: Copy, capfd: pytest.CaptureFixture[str]
) -> None:
    store = copy("visp_moving").parent / "store"
    compare(store, sample=2)
    assert capfd.readouterr() == ("", "")
    compare(store, sample=2, progress=True)
    assert "2/2" in capfd.readouterr().err
