"""An archive's conversion: what is new, changed, gone or wrong, again and again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import contents
from astropy.io import fits
from many import rewrite, write_asdf, write_frames
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.conversion.staging import alone
from dkist_virtual.demo.archive import make_archive
from dkist_virtual.errors import DatasetError, StoreCorruptError, StoreError, StoreExistsError

N = 5


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ASDF with two frames, to be rewritten."""
    directory = tmp_path_factory.mktemp("pattern")
    write_frames(directory, 2)
    rewrite(directory, 1)
    return write_asdf(directory / "m.asdf", 2, startTime="2024-01-02T03:04:05")


@pytest.fixture(scope="module")
def made(pattern: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of five datasets, ``A``, their stores, ``S``, and copies of both."""
    directory = tmp_path_factory.mktemp("archive")
    make_archive(directory / "A", [pattern], N)
    dv.convert_archive(directory / "A", directory / "S", workers=1)
    for name in "AS":
        shutil.copytree(directory / name, directory / "kept" / name)
    return directory


@pytest.fixture
def here(made: Path) -> Path:
    """Archive and stores as they were made, at the same place, to be changed."""
    for path in made.iterdir():
        if path.name != "kept":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in "AS":
        shutil.copytree(made / "kept" / name, made / name)  # times as well
    return made


def outcomes(report: dv.ArchiveReport) -> dict[str, str]:
    return {one.name: one.outcome for one in report.datasets if one.outcome != "unchanged"}


def run(here: Path, **options: Any) -> dv.ArchiveReport:
    return dv.convert_archive(here / "A", here / "S", workers=1, **options)


def asdf_of(here: Path, name: str) -> Path:
    return here / "A" / "pid_1_0" / name / f"{name}.asdf"


def replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


def test_every_dataset_has_a_store_with_its_frames(here: Path, pattern: Path) -> None:
    record = json.loads((here / "S" / "archive.json").read_text())
    names = [f"AAAA{letter}" for letter in "ABCDE"]
    assert sorted(p.name for p in (here / "S").iterdir()) == [
        *(f"{name}.virtual" for name in names), "archive.json",
    ]  # fmt: skip
    assert record["run"]["counts"]["new"] == N
    assert record["run"]["complete"]
    assert record["run"]["n_frames"] == 2 * N
    for number, name in enumerate(names):
        entry = record["datasets"][name]
        data = asdf_of(here, name).read_bytes()
        assert entry["converted"]["sha256"] == hashlib.sha256(data).hexdigest()
        assert (entry["outcome"], entry["size"]) == ("new", len(data))
        ds = dv.open_dataset(here / "S" / f"{name}.virtual")
        assert ds.meta["inventory"]["datasetId"] == name
        assert ds.meta["inventory"]["startTime"] == f"2024-01-02T{3 + number:02d}:04:05"
        for i, frame in enumerate(sorted(pattern.parent.glob("*.fits"))):
            np.testing.assert_array_equal(ds[i].data.compute(), fits.getdata(frame)[0])


def test_what_has_not_changed_is_not_opened(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dkist_virtual.publish.archive.identity as identity
    import dkist_virtual.publish.archive.work as work

    def never(*_: object) -> None:
        raise AssertionError("an unchanged ASDF was read")

    monkeypatch.setattr(identity, "open_regular", never)
    monkeypatch.setattr(work, "_do", never)
    report = run(here)
    assert report.counts["unchanged"] == N
    assert (report.exit_status, report.n_frames) == (0, 2 * N)
    assert "5 unchanged" in str(report)


def test_new_changed_and_touched(here: Path, pattern: Path) -> None:
    make_archive(here / "A", [pattern], 1, first=7)
    replace(asdf_of(here, "AAAAB"), b"T04:04:05", b"T05:05:05")
    touched = asdf_of(here, "AAAAC")
    os.utime(touched, ns=(1, touched.stat().st_mtime_ns + 10**9))
    before = (here / "S" / "AAAAC.virtual").stat().st_ino
    lines: list[str] = []
    dry = run(here, dry_run=True)
    assert outcomes(dry) == {"AAAAB": "updated", "AAAAC": "updated", "AAAAH": "new"}
    assert not (here / "S" / "AAAAH.virtual").exists()
    with opened_frames() as opened:
        report = run(here, on_dataset=lambda one: lines.append(str(one)))
    assert outcomes(report) == {"AAAAB": "updated", "AAAAH": "new"}
    assert len(opened) == 2  # of the new one
    assert sorted(line.partition(",")[0] for line in lines) == [
        "AAAAB.virtual: updated", "AAAAH.virtual: new",
    ]  # fmt: skip
    assert (here / "S" / "AAAAC.virtual").stat().st_ino == before
    ds = dv.open_dataset(here / "S" / "AAAAB.virtual")
    assert ds.meta["inventory"]["startTime"] == "2024-01-02T05:05:05"
    assert outcomes(run(here)) == {}


def test_a_failure_leaves_the_others_and_the_former_store(here: Path) -> None:
    path = asdf_of(here, "AAAAB")
    before = contents(here / "S" / "AAAAB.virtual")
    good = path.read_bytes()
    replace(path, b"dataset-1.3.0", b"dataset-9.9.9")
    replace(asdf_of(here, "AAAAD"), b"T06:04:05", b"T09:05:05")
    report = run(here)
    assert outcomes(report) == {"AAAAB": "failed", "AAAAD": "updated"}
    (failure,) = report.failures
    assert failure.error.startswith("DatasetError: ")
    assert str(path) in failure.error
    assert report.exit_status == 1
    assert contents(here / "S" / "AAAAB.virtual") == before
    entry = json.loads((here / "S" / "archive.json").read_text())["datasets"]["AAAAB"]
    assert entry["error"]["type"] == "DatasetError"
    # It is tried again as long as it fails.
    assert outcomes(run(here)) == {"AAAAB": "failed"}
    path.write_bytes(good)
    assert outcomes(run(here)) in ({}, {"AAAAB": "updated"})
    assert outcomes(run(here)) == {}


def test_a_frame_that_is_cut_short_stays_a_failure(here: Path) -> None:
    frame = min(asdf_of(here, "AAAAB").parent.glob("*.fits"))
    whole = frame.read_bytes()
    frame.unlink()  # it may be a link
    frame.write_bytes(whole[:-2880])
    assert outcomes(run(here)) == {}  # frames of known datasets are not looked at
    report = dv.convert_archive([asdf_of(here, "AAAAB")], here / "S", workers=1, again=True)
    assert outcomes(report)["AAAAB"] == "failed"
    # As it failed: an update would not look at the frame, and succeed.
    assert outcomes(run(here)) == {"AAAAB": "failed"}
    assert outcomes(run(here)) == {"AAAAB": "failed"}
    frame.write_bytes(whole)
    assert outcomes(run(here)) == {"AAAAB": "updated"}


def test_an_asdf_that_becomes_another_dataset_leaves_the_former_store(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dkist_virtual.publish.archive.plan as plan

    path = asdf_of(here, "AAAAB")
    before = contents(here / "S" / "AAAAB.virtual")
    replace(path, b"AAAAB", b"AAAAZ")
    monkeypatch.setattr(plan, "identity_of", lambda *_: plan.Identity("AAAAB"))
    report = dv.convert_archive([path], here / "S", workers=1, again=True)
    assert "is of the dataset AAAAZ: expected AAAAB" in report.failures[1].error
    assert contents(here / "S" / "AAAAB.virtual") == before


def test_a_store_that_a_kill_left_aside_comes_back(here: Path) -> None:
    asdf_of(here, "AAAAB").write_bytes(b"broken")
    shutil.rmtree(asdf_of(here, "AAAAE").parent)
    aside = here / "S" / ".AAAAB.virtual.part" / "replaced by the new one"
    for name in "BE":
        (here / "S" / f".AAAA{name}.virtual.part").mkdir()
    (here / "S" / "AAAAB.virtual").rename(aside)
    assert outcomes(run(here)) == {"AAAAB": "failed", "AAAAE": "withdrawn"}
    assert sorted(p.name for p in (here / "S").iterdir()) == [
        *(f"AAAA{letter}.virtual" for letter in "ABCDE"), "archive.json",
    ]  # fmt: skip


def test_a_full_disk_is_said_and_a_dry_run_knows_what_was_done(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.publish.archive.record import Record

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = asdf_of(here, "AAAAB")
    replace(path, b"T04:04:05", b"T05:05:05")
    with monkeypatch.context() as patch:
        patch.setattr(Record, "write", full)
        with pytest.raises(StoreError, match="S: cannot be written: No space left"):
            run(here)
    before = sorted(here.rglob("*"))
    assert outcomes(run(here, dry_run=True)) == {}
    assert sorted(here.rglob("*")) == before
    assert outcomes(run(here)) == {}


def test_the_store_of_a_withdrawn_dataset_is_kept_or_removed(here: Path) -> None:
    shutil.rmtree(asdf_of(here, "AAAAE").parent)
    report = run(here)
    assert (outcomes(report), report.exit_status) == ({"AAAAE": "withdrawn"}, 0)
    assert (here / "S" / "AAAAE.virtual").is_dir()
    assert outcomes(run(here)) == {"AAAAE": "withdrawn"}
    dry = run(here, withdrawn="remove", dry_run=True)
    assert dry.removed == ("AAAAE.virtual",)
    assert "1 store would be removed" in str(dry)
    assert (here / "S" / "AAAAE.virtual").is_dir()
    report = run(here, withdrawn="remove")
    assert report.removed == ("AAAAE.virtual",)
    assert not (here / "S" / "AAAAE.virtual").exists()
    assert outcomes(run(here)) == {}


@pytest.mark.parametrize("gone", ["all", "most", "a disk"])
def test_a_disk_that_is_away_empties_nothing(here: Path, pattern: Path, gone: str) -> None:
    if gone == "all":
        (here / "A" / "pid_1_0").rename(here / "away")
        with pytest.raises(StoreError, match="is its disk away"):
            run(here, withdrawn="remove")
        (here / "away").rename(here / "A" / "pid_1_0")
    elif gone == "most":
        for name in ("AAAAA", "AAAAB", "AAAAC"):
            asdf_of(here, name).unlink()
        report = run(here, withdrawn="remove")
        assert list(outcomes(report).values()) == ["unseen"] * 3
        assert report.exit_status == 1
    else:
        # Two of seven, which have a directory of their own, and that is empty.
        make_archive(here / "A", [pattern], 2, first=100)
        run(here)
        shutil.rmtree(here / "A" / "pid_1_2")
        (here / "A" / "pid_1_2").mkdir()
        report = run(here, withdrawn="remove")
        assert list(outcomes(report).values()) == ["unseen"] * 2
        assert "is a disk away?" in report.failures[0].error
    assert len(list((here / "S").glob("*.virtual"))) == (7 if gone == "a disk" else 5)


def test_names_that_would_lead_elsewhere_or_be_two_are_refused(
    tmp_path: Path, pattern: Path
) -> None:
    def write(name: str, old: bytes, new: bytes) -> Path:
        path = tmp_path / "A" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pattern.read_bytes().replace(old, new))
        return path

    hostile = write("x/a.asdf", b"datasetId: MANYS", b"datasetId: ../YS")
    write("y/one.asdf", b"datasetId: MANYS", b"datasetIx: MANYS")
    two = [write(f"{d}/two.asdf", b"datasetId: MANYS", b"datasetIx: MANYS") for d in "yz"]
    folded = [write(f"f/{name}.asdf", b"MANYS", name.encode()) for name in ("MaNYS", "MANyS")]
    broken = write("broken.asdf", b"#ASDF", b"#NOPE")
    cut = write("cut.asdf", b"\n...\n", b"\n")
    other = write("other.asdf", b"\ndataset:", b"\ndatabet:")
    untold = [
        write(f"{value.decode()}.asdf", b"datasetId: MANYS", b"datasetId: " + value)
        for value in (b"{a: b}", b"12")
    ]
    device = write("device.asdf", b"MANYS", b"CON")
    (tmp_path / "A" / "circle").symlink_to("circle")
    report = dv.convert_archive(tmp_path / "A", tmp_path / "S", workers=1, scan="never")
    refused = {one.name: one.error for one in report.failures}
    assert refused.keys() == set(map(str, [hostile, *two, *folded, broken, cut, *untold, device]))
    assert "its ID is {'a': 'b'}: expected a text" in refused[str(untold[0])]
    assert list(report.unlisted) == [str(tmp_path / "A" / "circle")]
    assert "cannot be the name of a store" in refused[str(hostile)]
    assert "has no dataset ID" in refused[str(two[0])]
    assert "upper and lower case" in refused[str(folded[0])]
    assert "not an ASDF" in refused[str(broken)]
    assert "is this ASDF complete?" in refused[str(cut)]
    assert report.passed_over == (str(other),)
    assert sorted(p.name for p in (tmp_path / "S").iterdir()) == ["archive.json", "one.virtual"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A", "S"]


def test_of_several_asdfs_the_newest_is_taken(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkist_virtual.publish.archive import find

    newer = here / "A" / "elsewhere" / "deep" / "n.asdf"
    newer.parent.mkdir(parents=True)
    data = asdf_of(here, "AAAAA").read_bytes()
    newer.write_bytes(data.replace(b"T03:04:05", b"T03:04:06"))
    report = run(here, scan="never")
    one = next(one for one in report.datasets if one.name == "AAAAA")
    assert (one.asdf, one.others) == (str(newer), (str(asdf_of(here, "AAAAA")),))
    assert f"passed over: {asdf_of(here, 'AAAAA')}" in str(one)
    ds = dv.open_dataset(here / "S" / "AAAAA.virtual")
    assert ds.meta["inventory"]["startTime"] == "2024-01-02T03:04:06"

    # The older one does not come back where the directory of the newer one is away.
    def names(path: str, own: Any = find._names) -> Any:
        if path.endswith("elsewhere"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return own(path)

    monkeypatch.setattr(find, "_names", names)
    report = run(here, scan="never")
    assert outcomes(report) == {"AAAAA": "unseen"}
    assert "elsewhere cannot be listed: Permission denied" in report.failures[0].error


def test_a_second_run_at_once_is_refused(here: Path) -> None:
    with (
        alone(here / "S" / ".archive.json.part", here / "S"),
        pytest.raises(StoreExistsError, match="another run of convert_archive"),
    ):
        run(here)
    assert outcomes(run(here)) == {}


def test_the_base_of_each_dataset(here: Path) -> None:
    def base(name: str) -> Any:
        return json.loads((here / "S" / f"{name}.virtual" / "references.json").read_bytes())["refs"]

    def check(expected: str, **options: Any) -> None:
        report = run(here, frames=here / "A", **options)
        assert report.counts["updated"] == N
        attributes = json.loads(base("AAAAB")[".zattrs"])["dkist_virtual"]
        assert attributes["base"] == expected

    check("https://x.org/archive/pid_1_0/AAAAB", base="https://x.org/archive")
    check("https://x.org/data/AAAAB", base="https://x.org/data/{dataset_id}")
    check("../../A/pid_1_0/AAAAB", relative=True)
    assert dv.open_dataset(here / "S" / "AAAAB.virtual")[1].data.compute().shape == (12, 20)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"base": "https://x.org/{id}"}, ValueError, r"expected \{dataset_id\} or \{directory\}"),
        ({"base": "https://x.org/?key=1"}, ValueError, "password or a query"),
        ({"base": "https://x.org", "relative": True}, ValueError, "relative and base"),
        ({"withdrawn": "forget"}, ValueError, "expected 'keep' or 'remove'"),
        ({"verify_sample": 0}, ValueError, "from 1 on"),
        ({"workers": 0}, ValueError, "from 1 on"),
        ({"scan": "sometimes"}, ValueError, "expected 'auto'"),
    ],
)
def test_options_are_checked_before_anything_is_done(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        dv.convert_archive(tmp_path / "A", tmp_path / "S", **options)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_not_there(here: Path) -> None:
    with pytest.raises(DatasetError, match="no such directory"):
        dv.convert_archive(here / "B", here / "S")
    (here / "S" / "archive.json").write_text("{}")
    with pytest.raises(StoreCorruptError, match="Move it elsewhere"):
        run(here)
    assert len(list((here / "S").glob("*.virtual"))) == N


def test_a_list(here: Path) -> None:
    places = [asdf_of(here, "AAAAA"), asdf_of(here, "AAAAB"), here / "A" / "none.asdf"]
    (here / "list.txt").write_text("# ours\n" + "\n".join(map(str, places)) + "\n", "utf-8-sig")
    report = dv.convert_archive(f"@{here / 'list.txt'}", here / "L", workers=1)
    assert outcomes(report) == {"AAAAA": "new", "AAAAB": "new", str(places[2]): "failed"}
    assert dv.convert_archive(places[:2], here / "L", workers=1).counts["unchanged"] == 2
    with pytest.raises(ValueError, match=r"expected \{dataset_id\}"):
        dv.convert_archive(places, here / "L", base="https://x.org/archive")


def test_stores_in_the_archive_itself(here: Path) -> None:
    for name in ("AAAAC", "AAAAD", "AAAAE"):
        shutil.rmtree(asdf_of(here, name).parent)
    (here / "A" / "loop").symlink_to(here / "A")
    for n_new in (2, 0):
        report = dv.convert_archive(here / "A", here / "A", workers=1, scan="never")
        assert (report.counts["new"], len(report.datasets)) == (n_new, 2)
        assert report.passed_over == ()


def test_frames_that_come_later_are_found(here: Path) -> None:
    directory = asdf_of(here, "AAAAA").parent
    (directory / "frame_000001.fits").rename(here / "later.fits")
    report = run(here, again=True)
    assert [one.n_absent for one in report.datasets] == [1, 0, 0, 0, 0]
    assert outcomes(run(here)) == {}
    (here / "later.fits").rename(directory / "frame_000001.fits")
    report = run(here)
    assert outcomes(report) == {"AAAAA": "updated"}
    assert sum(one.n_absent for one in report.datasets) == 0


def test_a_directory_of_frames_that_comes_later_is_found(here: Path) -> None:
    asdf = asdf_of(here, "AAAAA")

    def n_bytes() -> int:
        frames = here / "F" / "{dataset_id}"
        return dv.convert_archive([asdf], here / "L", frames=frames, workers=1).n_bytes

    assert n_bytes() == 0
    shutil.copytree(asdf.parent, here / "F" / "AAAAA")
    assert n_bytes() > 0


def test_large_directories_are_not_read_again(
    tmp_path: Path, pattern: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.publish.archive import find

    monkeypatch.setattr(find, "LARGE", 4)
    archive = tmp_path / "A"
    made = make_archive(archive, [pattern], 2)
    for i in range(4):
        (made[0].parent / f"x{i}.fits").touch()
    os.utime(made[0].parent, ns=(1, 10**18))
    listed: list[str] = []
    names = find._names

    def watched(path: str) -> Any:
        listed.append(Path(path).name)
        return names(path)

    monkeypatch.setattr(find, "_names", watched)
    scan: Callable[[], Any] = lambda: dv.convert_archive(  # noqa: E731
        archive, tmp_path / "S", workers=1, scan="never"
    )
    scan()
    assert sorted(listed) == ["A", "AAAAA", "AAAAB", "pid_1_0"]
    listed.clear()
    assert scan().counts["unchanged"] == 2
    assert sorted(listed) == ["A", "AAAAB", "pid_1_0"]
    listed.clear()
    shutil.copyfile(made[0], made[0].with_name("second.asdf"))
    assert len(scan().datasets[0].others) == 1
    assert "AAAAA" in listed


def test_some_frames_of_each_new_store_are_verified(here: Path, pattern: Path) -> None:
    (made,) = make_archive(here / "A", [pattern], 1, first=7)
    report = run(here, verify_sample=1)
    (one,) = (one for one in report.datasets if one.outcome == "new")
    assert one.verified == {"sample": 1, "counts": {"good": 1}, "off": 0, "exit_status": 0}
    assert "; verified: 1 good" in str(one)
    assert (here / "S" / "AAAAH.virtual" / "verify.json").is_file()
    # What is wrong with the frames is not a failure of the conversion, and is said all the same.
    frame = made.parent / "frame_000000.fits"
    data = bytearray(frame.read_bytes())
    data[-2880] ^= 255
    frame.unlink()
    frame.write_bytes(data)
    report = run(here, again=True, verify_sample=2)
    (one,) = report.failures
    assert (one.name, one.outcome, report.exit_status) == ("AAAAH", "updated", 1)
    assert one.verified is not None
    assert one.verified["exit_status"] == 1
    assert "frames of 1 are WRONG" in str(report)


def test_the_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dkist_virtual.cli.main import main

    def command(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["convert", *map(str, arguments)])
        return (int(ended.value.code or 0), *capsys.readouterr())

    everything = ("--all", here / "A", "--to", here / "S")
    status, out, _ = command(*everything)
    assert status == 0
    assert out.startswith(f"{here}/S: 5 datasets of {here}/A in ")
    assert "5 unchanged" in out
    status, out, _ = command(*everything, "--catalogue")
    assert (status, "catalogue.parquet: 5 stores" in out) == (0, True)
    # A known ASDF that is cut short, or has no dataset any more, is not one that is gone.
    asdf_of(here, "AAAAC").write_bytes(asdf_of(here, "AAAAC").read_bytes()[:300])
    replace(asdf_of(here, "AAAAD"), b"\ndataset:", b"\ndatabet:")
    status, out, _ = command(*everything)
    assert status == 1
    assert "AAAAC.virtual: FAILED" in out
    assert "AAAAD.virtual: FAILED: NotADatasetError" in out
    assert "3 unchanged, 2 FAILED" in out
    assert "withdrawn" not in out
    assert (here / "S" / "AAAAD.virtual").is_dir()
    with alone(here / "S" / ".archive.json.part", here / "S"):
        status, _, err = command(*everything)
    assert status == 3
    assert "another run" in err
    for wrong, said in (
        (("--all", here / "A"), "--all needs --to STORES"),
        (("x.asdf", "--all", here / "A"), "takes the place of ASDF and STORE"),
        (("x.asdf", "x.virtual", "--dry-run"), "--dry-run is for a whole archive"),
        ((*everything, "--overwrite"), "expected --again"),
        ((*everything, "--base", "https://x.org/{id}"), "expected {dataset_id}"),
        (("x.asdf",), "Missing argument 'STORE'"),
        ((), "Missing argument 'ASDF'"),
    ):
        status, _, err = command(*wrong)
        assert (status, said in err) == (2, True), err
