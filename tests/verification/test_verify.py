"""Verify a store by its frames: what is found, what is kept in verify.json, who is warned."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from frames import LOSSLESS, compressed, edited, plain, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from simulated import NAMES, QUICK

import dkist_virtual as dv
from dkist_virtual.cli.main import main
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.errors import (
    ChangedFrameWarning,
    FrameCorruptError,
    StoreError,
    VerificationWarning,
)
from dkist_virtual.fits.checksum import check_datasum, datasum, is_zero, same_sum
from dkist_virtual.store.format.verify_json import Verification
from dkist_virtual.verification.frame import Finding

Copy = Callable[..., Path]


@pytest.fixture
def copy(simulated: Callable[[str], Path], tmp_path: Path) -> Copy:
    """A simulated dataset of one's own, with a store beside it; the directory of its frames."""

    def copied(name: str, **how: Any) -> Path:
        shutil.copytree(simulated(name), tmp_path / "data")
        dv.convert(tmp_path / "data", tmp_path / "store", **how)
        return tmp_path / "data"

    return copied


def frame(directory: Path, number: int) -> Path:
    return sorted(directory.glob("*.fits"))[number]


def with_cards(path: Path, **cards: Any) -> None:
    """Edit the cards of a frame in its very bytes, as a pipeline would; sums as they were."""
    data = path.read_bytes()
    with fits.open(path, disable_image_compression=True) as hdus:
        header = hdus[-1].header
        start, stop = hdus[-1]._header_offset, hdus[-1]._data_offset
        for keyword, value in cards.items():
            header[keyword.replace("_", "-") if "DATE" in keyword else keyword] = value
        made = header.tostring().encode()
    assert len(made) == stop - start
    path.write_bytes(data[:start] + made + data[stop:])


def outcomes(report: Verification) -> dict[str, str]:
    return {Path(f.url or "").name: f.outcome for f in report.findings}


# What is good -----------------------------------------------------------------------------------


@pytest.mark.every(3)
@pytest.mark.parametrize("name", mostly_slow(NAMES, *QUICK))
def test_simulated_datasets_are_good(
    name: str, simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    dv.convert(simulated(name), tmp_path / "store")
    n = len(list(simulated(name).glob("*.fits")))
    report = dv.verify(tmp_path / "store")
    assert report.counts == {"good": n}
    assert (report.ok, report.exit_status, report.complete) == (True, 0, True)
    assert len(report.wcs) == min(n, 8)
    assert max(report.wcs.values()) < 1e-6
    assert not report.notes
    assert dv.verify(simulated(name)).counts == {"good": n}


@pytest.mark.every(3)
@pytest.mark.parametrize(
    ("selection", "sample", "n"),
    [(None, 5, 5), ("0", None, 6), ("0, 1", None, 3), ("..., 3:9", 2, 2)],
)
def test_a_part_of_it(selection: Any, sample: Any, n: int, copy: Copy) -> None:
    store = copy("vtf").parent / "store"
    report = dv.verify(store, selection=selection, sample=sample)
    assert (report.n_frames, report.n_chosen, report.counts) == (24, n, {"good": n})


@pytest.mark.slow
def test_a_selection_of_a_mosaic_is_one_of_every_tile(copy: Copy) -> None:
    store = copy("vbi_mosaic").parent / "store"
    assert dv.verify(store, selection="0").counts == {"good": 4}


# What is not ------------------------------------------------------------------------------------


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 2880)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(2880))


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    with fits.open(path, disable_image_compression=True) as hdus:
        at = hdus[-1]._data_offset
    data[at + 1000] ^= 1
    path.write_bytes(data)


def another(path: Path) -> None:
    """Another frame of the dataset, under this one's name, and as long."""
    data = bytearray(next(p for p in sorted(path.parent.glob("*.fits")) if p != path).read_bytes())
    path.write_bytes(data)


WRONG: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "shorter": (cut_short, "changed", r"has \d+ bytes: it had \d+"),
    "longer": (longer, "changed", r"has \d+ bytes: it had \d+"),
    "a bit": (flipped, "corrupt", r"sums to \d+: expected DATASUM"),
    "empty": (lambda path: os.truncate(path, 0), "changed", "has 0 bytes"),
    "a date": (lambda p: with_cards(p, DATE_BEG="2020-01-01T00:00"), "changed", "DATE-BEG = 2020"),
    "a number": (lambda p: with_cards(p, LINEWAV=1.5), "changed", r"LINEWAV = 1\.5: .* 630\.25"),
    "an index": (lambda p: with_cards(p, DINDEX3=77), "changed", "DINDEX3 = 77"),
    "gone": (os.unlink, "absent", "no such file"),
    "no FITS": (lambda p: p.write_bytes(bytes(p.stat().st_size)), "corrupt", "not a FITS"),
}  # fmt: skip


@pytest.mark.every(8)
@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("name", ["visp_moving", "visp_plain"])
def test_what_is_wrong_is_found(name: str, what: str, copy: Copy) -> None:
    directory = copy(name)
    store = directory.parent / "store"
    n = len(list(directory.glob("*.fits")))
    spoil, outcome, said = WRONG[what]
    victim = frame(directory, 2)
    spoil(victim)
    report = dv.verify(store)
    assert report.counts == {"good": n - 1, outcome: 1}
    (finding,) = report.findings
    assert (finding.url, finding.outcome) == (str(victim), outcome)
    assert re.search(said, finding.detail), finding.detail
    assert report.exit_status == (3 if outcome == "absent" else 1)
    assert str(victim) in str(report)


@pytest.mark.slow
def test_another_frame_under_its_name_is_found_by_its_keywords(copy: Copy) -> None:
    directory = copy("visp_plain")  # whose files are of one length
    another(frame(directory, 5))
    (finding,) = dv.verify(directory.parent / "store").findings
    assert finding.outcome in ("changed", "corrupt")
    assert "DATE-" in finding.detail
    assert "when scanned" in finding.detail  # its sum is good, and not this frame's


@pytest.mark.slow
def test_a_hdu_that_moved(copy: Copy) -> None:
    directory = copy("visp_moving")
    path = frame(directory, 0)
    data = path.read_bytes()
    with fits.open(path, disable_image_compression=True) as hdus:
        start = hdus[1]._header_offset
    moved = data[:start] + plain(np.zeros(3, "u1"), primary=False)[2880:] + data[start:]
    path.write_bytes(moved)
    report = dv.verify(directory.parent / "store")
    assert outcomes(report) == {path.name: "changed"}
    found = dv.verify(directory.parent / "data")  # its ASDF knows no lengths, and names HDU 1
    assert outcomes(found) == {path.name: "changed"}


@pytest.mark.slow
def test_a_stale_checksum_with_a_good_datasum_is_a_note(copy: Copy) -> None:
    directory = copy("visp")
    with_cards(frame(directory, 3), FRAMEVOL=12345)
    with_cards(frame(directory, 4), FRAMEVOL=12345)
    report = dv.verify(directory.parent / "store")
    assert report.counts == {"good": 16}
    assert report.exit_status == 0
    (note, modified) = sorted(report.notes)
    assert "CHECKSUM does not hold, DATASUM does" in note
    assert "modified since the scan" in modified
    assert set(report.notes.values()) == {2}
    assert "note, 2 frames: CHECKSUM" in str(report)


def test_a_checksum_that_does_not_hold_without_a_datasum_is_corrupt(copy: Copy) -> None:
    directory = copy("visp_moving")
    path = frame(directory, 0)
    with_cards(path, DATASUM="")
    (finding,) = dv.verify(directory.parent / "store").findings
    assert finding.outcome == "corrupt"
    assert "CHECKSUM does not hold, and there is no DATASUM" in finding.detail


def test_integers_are_held_against_the_sum_of_their_image(copy: Copy) -> None:
    # Lossless: ZDATASUM is the sum of the image that was compressed, and that is what decodes.
    from dkist_virtual.fits.decode import decode_image
    from dkist_virtual.fits.hdu import find_hdu, layout_of
    from dkist_virtual.verification.frame import _image_sum

    for data, how in (
        (scene((6, 40), "i4"), {}), (scene((6, 40), "i2"), {}), (scene((6, 40), "u1"), {}),
        (scene((6, 40)), {"algorithm": "GZIP_2", "method": LOSSLESS}),
    ):  # fmt: skip
        file = compressed(data, **how)
        hdu = find_hdu(file, 1)
        pixels = decode_image(layout_of(hdu), memoryview(file)[hdu.start :])
        swapped = data.astype(data.dtype.newbyteorder(">"))
        good = fits.ImageHDU(swapped)
        good.add_datasum()
        for card, wrong in ((good.header["DATASUM"], 0), ("12345", 1)):
            changed = edited(file, 1, {"ZDATASUM": card})
            header = find_hdu(changed, 1).header
            assert len(list(_image_sum(header, layout_of(hdu), pixels))) == wrong


@pytest.mark.slow
def test_the_tables_datasum_is_the_images(copy: Copy) -> None:
    directory = copy("visp_moving")
    path = frame(directory, 1)
    with_cards(path, ZDATASUM="12345")
    (finding,) = dv.verify(directory.parent / "store").findings
    assert "ZDATASUM = 12345: the header table has DATASUM" in finding.detail


@pytest.mark.slow
def test_nothing_there_is_no_success(copy: Copy) -> None:
    directory = copy("visp_moving")
    for path in directory.glob("*.fits"):
        path.unlink()
    report = dv.verify(directory.parent / "store")
    assert (report.counts, report.exit_status, report.ok) == ({"absent": 6}, 2, False)
    report = dv.verify(directory.parent / "store", frames=directory / "nowhere")
    assert (report.counts, report.exit_status) == ({"unreachable": 6}, 2)
    assert "Say where they are" in str(report)


# The sky ----------------------------------------------------------------------------------------


@pytest.mark.every(6)
@pytest.mark.parametrize("name", ["vtf", "visp_moving", "dlnirsp"])
def test_positions_that_differ_are_said_by_how_much(name: str, copy: Copy) -> None:
    directory = copy(name)
    store = directory.parent / "store"
    for path in directory.glob("*.fits"):
        with fits.open(path, disable_image_compression=True) as hdus:
            header = hdus[-1].header
            number = next(n for n in "123" if header[f"CTYPE{n}"].startswith("HPLT"))
            moved = {f"CRVAL{number}": header[f"CRVAL{number}"] + 2.5 / 3600}
        with_cards(path, **moved)
    report = dv.verify(store)
    assert report.exit_status == 1
    assert set(report.off) == set(report.wcs)
    assert np.allclose(list(report.wcs.values()), 2.5, atol=0.01)
    assert "DIFFER FROM" in str(report)
    assert "2.5 arcsec" in str(report)
    with pytest.warns(VerificationWarning, match=r"positions on the sky are 2\.5 arcsec away"):
        dv.open_dataset(store)
    within = dv.verify(store, tolerance=3.0)
    assert within.off == {}


# What is kept -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_opening_warns_of_what_was_found_until_it_is_good_again(copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    path = frame(directory, 1)
    data, when = path.read_bytes(), path.stat()
    flipped(path)
    report = dv.verify(store)
    told = json.loads((store / "verify.json").read_text())
    assert told["format_version"] == 1
    assert told["store_id"] == report.store_id
    assert told["counts"] == {"good": 5, "corrupt": 1}
    assert told["complete"]
    with pytest.warns(VerificationWarning, match="1 of 6 frames looked at are not what it says"):
        dv.open_dataset(store)
    path.write_bytes(data)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert dv.verify(store).ok  # and says nothing of the last one
    dv.open_dataset(store)


@pytest.mark.slow
def test_absent_frames_are_no_warning(copy: Copy) -> None:
    directory = copy("visp_moving")
    frame(directory, 1).unlink()
    assert dv.verify(directory.parent / "store").exit_status == 3
    dv.open_dataset(directory.parent / "store")


@pytest.mark.slow
def test_another_store_is_not_warned_of(copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    flipped(frame(directory, 1))
    dv.verify(store)
    kept = (store / "verify.json").read_text()
    dv.convert(directory, store, overwrite=True, base="https://example.org", frames=directory)
    (store / "verify.json").write_text(kept)
    dv.open_dataset(store)


@pytest.mark.every(8)
@pytest.mark.parametrize("text", ["", "[]", '{"format_version": 2}', "null", "[" * 10**5, '{"a"'])
def test_a_file_that_is_none_is_said_and_keeps_nobody_out(text: str, copy: Copy) -> None:
    store = copy("visp_moving").parent / "store"
    (store / "verify.json").write_text(text)
    with pytest.warns(VerificationWarning, match="cannot be read"):
        dv.open_dataset(store)
    assert dv.verify(store).ok


@pytest.mark.every(8)
@pytest.mark.parametrize(
    "name", ["tolerance", "wcs", "counts", "findings", "when", "n_done", "seconds", "store_id"]
)
def test_nor_one_whose_words_are_of_other_types(name: str, copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    flipped(frame(directory, 1))
    told = dv.verify(store).as_json()
    (store / "verify.json").write_text(json.dumps({**told, name: [1]}))
    with pytest.warns(VerificationWarning, match="cannot be read"):
        dv.open_dataset(store)


@pytest.mark.every(6)
@pytest.mark.parametrize("card", ["CTYPE1", "CUNIT1", "CRVAL2"])
def test_a_header_that_gives_no_wcs_is_a_finding(card: str, copy: Copy) -> None:
    directory = copy("visp_plain")
    store = directory.parent / "store"
    path = frame(directory, 3)
    value = {"CTYPE1": "XXXX-TAN", "CUNIT1": "m", "CRVAL2": 1e5}[card]
    fits.setval(path, card, value=value)
    report = dv.verify(store)
    assert report.n_done == report.n_chosen
    assert [f.outcome for f in report.findings] == ["changed"]
    assert f"{card} = " in report.findings[0].detail
    assert report.exit_status == 1


@pytest.mark.slow
def test_an_error_of_the_machine_is_no_finding(copy: Copy) -> None:
    """The packages of the WCS make a directory when they are imported."""
    store = copy("visp_plain").parent / "store"
    hindrance = store.parent / "a file, where a directory is to be made"
    hindrance.touch()
    done = subprocess.run(
        [sys.executable, "-m", "dkist_virtual.cli.main", "verify", str(store)],
        env={**os.environ, "SUNPY_CONFIGDIR": str(hindrance)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert str(hindrance) in done.stderr
    assert "changed" not in done.stdout
    assert not (store / "verify.json").exists()


@pytest.mark.slow
def test_a_header_that_is_no_text_is_a_finding(copy: Copy) -> None:
    directory = copy("visp_plain")
    path = frame(directory, 3)
    data = bytearray(path.read_bytes())
    data[80 * 20 + 40] ^= 0x80
    path.write_bytes(data)
    report = dv.verify(directory.parent / "store")
    assert report.n_done == report.n_chosen
    assert len(report.findings) == 1


@pytest.mark.slow
def test_a_file_that_is_no_fits_by_its_first_card(copy: Copy) -> None:
    directory = copy("visp_moving")
    path = frame(directory, 1)
    data = bytearray(path.read_bytes())
    data[29] ^= 1
    path.write_bytes(data)
    (finding,) = dv.verify(directory.parent / "store").findings
    assert finding.outcome == "corrupt"
    assert "expected SIMPLE = T" in finding.detail


@pytest.mark.slow
def test_plain_pixels_that_are_scaled_by_now(copy: Copy) -> None:
    directory = copy("visp_plain")
    path = frame(directory, 2)
    data = path.read_bytes()
    at = data.index(b"OBJECT  =")
    path.write_bytes(data[:at] + b"BSCALE  =                  2.0".ljust(80) + data[at + 80 :])
    (finding,) = dv.verify(directory.parent / "store").findings
    assert finding.outcome == "changed"
    assert "BSCALE = 2" in finding.detail


@pytest.mark.slow
def test_a_glance_elsewhere_takes_no_warning_away(copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    flipped(frame(directory, 1))
    dv.verify(store)
    kept = (store / "verify.json").read_text()
    elsewhere = Path(shutil.copytree(directory, directory.parent / "elsewhere"))
    for how in ({"sample": 1}, {"frames": elsewhere}):
        report = dv.verify(store, **how)  # type: ignore[arg-type]
        assert "1 frame: found wrong on" in str(report)
        assert (store / "verify.json").read_text() == kept
    with pytest.warns(VerificationWarning, match="1 of"):
        dv.open_dataset(store)
    shutil.copy(elsewhere / frame(directory, 0).name, frame(directory, 0))
    assert not dv.verify(store).ok


@pytest.mark.slow
def test_a_copy_of_the_frames_has_a_verification_of_its_own(copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    elsewhere = Path(shutil.copytree(directory, directory.parent / "elsewhere"))
    flipped(frame(elsewhere, 1))
    assert dv.verify(store, frames=elsewhere).exit_status == 1
    dv.open_dataset(store)  # whose own frames nobody called wrong
    with pytest.warns(VerificationWarning, match="1 of 6"):
        dv.open_dataset(store, frames=[directory, elsewhere])
    assert dv.verify(store, sample=2).exit_status == 0
    own = (store / "verify.json").read_text()
    assert json.loads(own)["what"]["places"] == [str(directory)]
    dv.open_dataset(store, frames=elsewhere)
    assert dv.verify(store, frames=elsewhere).exit_status == 1
    assert (store / "verify.json").read_text() == own
    told = json.loads(own)
    (store / "verify.json").write_text(json.dumps({**told, "what": {}, "counts": {"corrupt": 1}}))
    with pytest.warns(VerificationWarning, match="1 of 2"):  # of an earlier version
        dv.open_dataset(store, frames=elsewhere)


@pytest.mark.slow
def test_no_password_is_kept(copy: Copy) -> None:
    directory = copy("visp_moving")
    with FrameServer(directory).running() as server:
        place = server.url.replace("http://", "http://user:S3KRET@")
        report = dv.verify(directory.parent / "store", frames=place, sample=2)
    assert report.n_done == 2
    assert "S3KRET" not in (directory.parent / "store" / "verify.json").read_text()


@pytest.mark.slow
def test_nothing_is_kept_where_that_was_asked_for(copy: Copy) -> None:
    store = copy("visp_moving").parent / "store"
    dv.verify(store, keep=False)
    assert not (store / "verify.json").exists()
    (store / "verify.json").mkdir()
    with pytest.raises(StoreError, match=r"verify\.json.*keep=False"):
        dv.verify(store)
    assert [p.name for p in store.iterdir() if p.name.startswith(".verify")] == []


@pytest.mark.slow
def test_one_that_was_stopped_goes_on(copy: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    from dkist_virtual.verification import verify as room

    directory = copy("visp")
    store = directory.parent / "store"
    flipped(frame(directory, 0))
    looked: list[str] = []
    check = room.check_frame

    def counted(key: str, *rest: Any) -> Any:
        if len(looked) == 9:
            raise KeyboardInterrupt
        looked.append(key)
        return check(key, *rest)

    monkeypatch.setattr(room, "check_frame", counted)
    with pytest.raises(KeyboardInterrupt, match=r"\d of 16 frames were looked at\. The same again"):
        dv.verify(store, workers=1)
    begun = json.loads((store / "verify.json").read_text())
    assert not begun["complete"]
    assert begun["n_done"] == 9
    looked.clear()
    monkeypatch.setattr(
        room, "check_frame", lambda key, *rest: (looked.append(key), check(key, *rest))[1]
    )
    report = dv.verify(store)
    assert len(looked) == 7
    assert report.counts == {"good": 15, "corrupt": 1}
    assert report.complete
    looked.clear()
    dv.verify(store)  # one that is complete is begun anew
    assert len(looked) == 16


@pytest.mark.slow
def test_another_verification_is_none_to_go_on_with(copy: Copy) -> None:
    store = copy("visp").parent / "store"
    report = dv.verify(store)
    told = {**report.as_json(), "n_done": 8, "counts": {"good": 8}}
    (store / "verify.json").write_text(json.dumps(told))
    assert dv.verify(store, sample=3).counts == {"good": 3}
    (store / "verify.json").write_text(json.dumps(told))
    assert dv.verify(store, resume=False).counts == {"good": 16}
    (store / "verify.json").write_text(json.dumps(told))
    assert dv.verify(store).counts == {"good": 16}


def test_a_report_comes_back_from_json() -> None:
    finding = Finding("data/0.0", "https://a.org/x", "corrupt", "why", ("a note",))
    report = Verification(
        "store", "id", "ABCDE", "VISP", {"sample": None}, 3, 3, 3, {"good": 2, "corrupt": 1},
        {"a note": 1}, (finding,), {"data/0.0": 0.5, "data/1.0": float("inf")}, 0.1, "2026", 1.5,
    )  # fmt: skip
    again = Verification.from_json(json.loads(json.dumps(report.as_json())))
    assert again == report
    assert str(again) == str(report)


@pytest.mark.parametrize(
    ("counts", "off", "status"),
    [
        ({"good": 3}, False, 0), ({"good": 3, "absent": 1}, False, 3),
        ({"good": 2, "unreachable": 1}, False, 3), ({"absent": 2}, False, 2), ({}, False, 2),
        ({"good": 2, "corrupt": 1}, False, 1), ({"changed": 1}, False, 1), ({"good": 1}, True, 1),
        ({"good": 1, "refused": 1, "absent": 4}, False, 1),
    ],
)  # fmt: skip
def test_exit_status(counts: dict[str, int], off: bool, status: int) -> None:
    report = Verification(
        "s", None, None, None, {}, 9, 9, 9, counts, wcs={"a": 5.0 if off else 0.0}
    )
    assert report.exit_status == status
    assert report.ok == (status in (0, 3))


# A server ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_store_on_a_server(copy: Copy) -> None:
    directory = copy("visp")
    with FrameServer(directory.parent).running() as server:
        remote = directory.parent / "remote"
        dv.convert(directory, remote, base=f"{server.url}/data", frames=directory)
        server.forget()
        report = dv.verify(f"{server.url}/remote")
        assert report.counts == {"good": 16}
        assert not (remote / "verify.json").exists()
        frames = [path for _, path, *_ in server.requests if path.endswith(".fits")]
        assert len(frames) == len(set(frames)) == 16  # each was asked for once
        server.fault = lambda path, n: 403 if path.endswith("0003.fits") else None
        report = dv.verify(f"{server.url}/remote")
        assert report.counts == {"good": 15, "unreachable": 1}
        server.fault = no_fault
        local = dv.verify(f"{server.url}/store")  # which names files of this machine
        assert local.counts == {"refused": 16}
        assert "allow_local" in local.findings[0].detail
        assert dv.verify(f"{server.url}/store", allow_local=True).ok
        flipped(frame(directory, 2))
        dv.verify(remote)
        with pytest.warns(VerificationWarning, match="1 of 16"):
            dv.open_dataset(f"{server.url}/remote")


# The command ------------------------------------------------------------------------------------


def run(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    return int(left.value.code or 0)


@pytest.mark.slow
def test_the_command(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    assert run("verify", store) == 0
    assert "6 of 6 frames looked at" in capfd.readouterr().out
    assert run("verify", store, "--slice", "0", "--json", "--no-keep") == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["counts"], told["ok"], told["exit_status"]) == ({"good": 3}, True, 0)
    assert run("verify", store, "--against", "astropy", "--sample", "2") == 0
    assert "2 compared with astropy" in capfd.readouterr().out
    frame(directory, 0).unlink()
    assert run("verify", store, "--anew") == 3
    flipped(frame(directory, 1))
    assert run("verify", store, "--workers", "2") == 1
    assert "corrupt: data/" in capfd.readouterr().out


def test_the_bar(copy: Copy, capfd: pytest.CaptureFixture[str]) -> None:
    store = copy("visp_moving").parent / "store"
    dv.verify(store, sample=2)
    assert capfd.readouterr() == ("", "")
    dv.verify(store, sample=2, progress=True)
    assert "2/2" in capfd.readouterr().err


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="sample = 0: expected 1 or more"):
        dv.verify(tmp_path, sample=0)
    with pytest.raises(ValueError, match="tolerance = -1"):
        dv.verify(tmp_path, tolerance=-1)
    with pytest.raises(ValueError, match="selection: is not taken with against"):
        dv.verify(tmp_path, against="astropy", selection="0")


# Checked reads ----------------------------------------------------------------------------------


@pytest.mark.every(10)
@pytest.mark.parametrize("name", ["visp", "visp_plain", "vbi_mosaic_missing", "cryonirsp"])
@pytest.mark.parametrize("how", ["store", "asdf", "zarr", "server"])
def test_checked_reads_refuse_bytes_that_changed(name: str, how: str, copy: Copy) -> None:
    directory = copy(name)
    store = directory.parent / "store"
    keys = {str(path): None for path in directory.glob("*.fits")}
    ds = dv.open_dataset(store, verify=True)
    tile = ds.flat[0] if isinstance(ds, dv.TiledDataset) else ds
    good = tile.data.compute()
    victim = Path(str(tile.files.urls[0]))
    assert str(victim) in keys
    with fits.open(victim, disable_image_compression=True) as hdus:
        at, n = hdus[-1]._data_offset, hdus[-1].header["NAXIS1"]
        rows = hdus[-1].header["NAXIS2"]
    data = bytearray(victim.read_bytes())
    # The last byte of a scale, or of a pixel: both decode as if nothing had happened.
    data[at + (n - 1 if name != "visp_plain" else rows * n * 4 - 1)] ^= 1
    when = victim.stat()
    victim.write_bytes(data)
    os.utime(victim, ns=(when.st_atime_ns, when.st_mtime_ns))
    place: Any = directory if how == "asdf" else store

    def read(verify: bool) -> Any:
        if how == "zarr":
            group = dv.open_zarr(store, verify=verify)
            array = group[min(group.array_keys())]  # zarr gives them in any order
            return array[(0,) * (len(array.shape) - 2)]
        opened = dv.open_dataset(place, verify=verify)
        opened = opened.flat[0] if isinstance(opened, dv.TiledDataset) else opened
        return opened[(0,) * (len(opened.shape) - 2)].data.compute()

    if how == "server":
        with FrameServer(directory).running() as server:
            place = directory.parent / "remote"
            dv.convert(directory, place, base=server.url, frames=directory)
            read(verify=False)
            with pytest.raises(FrameCorruptError, match="sums to"):
                read(verify=True)
        return
    first = read(verify=False)
    assert first.shape == good[(0,) * (good.ndim - 2)].shape
    with pytest.raises(FrameCorruptError, match=r"sums to \d+: expected DATASUM"):
        read(verify=True)


@pytest.mark.slow
def test_checked_reads_reach_workers(copy: Copy) -> None:
    import pickle

    directory = copy("visp_moving")
    ds = dv.open_dataset(directory.parent / "store", verify=True)
    assert isinstance(ds, dv.Dataset)
    array = pickle.loads(pickle.dumps(ds.provenance.array))  # type: ignore[union-attr]
    path = Path(str(ds.files.urls[0]))
    when = path.stat()
    flipped(path)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    with pytest.raises(FrameCorruptError, match="sums to"):
        array[0, 0]


def test_a_cut_out_is_not_summed(copy: Copy) -> None:
    directory = copy("visp")
    ds = dv.open_dataset(directory.parent / "store", verify=True)
    assert isinstance(ds, dv.Dataset)
    path = Path(str(ds.files.urls[0]))
    when = path.stat()
    flipped(path)
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert ds[0, 0, :1, :1].data.compute().shape == (1, 1)


def test_a_file_that_was_modified_is_warned_of_once(copy: Copy) -> None:
    directory = copy("visp_moving")
    store = directory.parent / "store"
    ds = dv.open_dataset(store)
    ds.data.compute()
    for path in directory.glob("*.fits"):
        os.utime(path, ns=(0, 10**18))
    with pytest.warns(ChangedFrameWarning, match="was modified since") as caught:
        ds.data.compute()
    assert len(caught) == 1
    ds.data.compute()
    elsewhere = directory.parent / "elsewhere"  # a copy has a time of its own
    shutil.copytree(directory, elsewhere, copy_function=shutil.copy)
    dv.open_dataset(store, frames=elsewhere).data.compute()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 40), st.integers(0, 400))
def test_the_sum_is_astropys(data: bytes, start: int, stop: int) -> None:
    part = data[start:stop]
    padded = np.frombuffer(part + bytes(-len(part) % 4), np.uint8)
    expected = int(fits.ImageHDU()._compute_checksum(padded)) if len(part) else 0
    assert same_sum(datasum(data, start, stop), expected)
    assert datasum(data, start, stop) == expected


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "f4", "f8"])
def test_what_astropy_wrote_holds(dtype: str, tmp_path: Path) -> None:
    for i, hdu in enumerate(
        (fits.ImageHDU(scene((7, 33), dtype)), fits.CompImageHDU(scene((7, 33), dtype)))
    ):
        path = tmp_path / f"{i}.fits"
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, checksum=True)
        data = path.read_bytes()
        assert check_datasum(data, 1)
        assert is_zero(datasum(data, 2880))
        with fits.open(path, disable_image_compression=True) as hdus:
            at = hdus[1]._data_offset
        wrong = bytearray(data)
        wrong[at] ^= 4
        with pytest.raises(FrameCorruptError, match="sums to"):
            check_datasum(bytes(wrong), 1)
        assert not is_zero(datasum(wrong, 2880))


# Killed -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kill_leaves_a_whole_file_or_none(copy: Copy) -> None:
    store = copy("visp").parent / "store"
    code = (
        "import os, signal, sys\nimport dkist_virtual as dv\n"
        "from dkist_virtual.verification import verify as room\n"
        "room._BETWEEN = 0.0\nn = 0\n"
        "def hook(event, args):\n"
        "    global n\n"
        "    n += event == 'os.rename'\n"
        "    if n == int(sys.argv[2]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(hook)\ndv.verify(sys.argv[1], progress=False)\n"
    )
    for n in (1, 5):
        words = [sys.executable, "-W", "ignore", "-c", code, store, str(n)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode != 0, done.stderr
        if n > 1:
            assert not json.loads((store / "verify.json").read_text())["complete"]
        else:
            assert not (store / "verify.json").exists()
    assert dv.verify(store).counts == {"good": 16}
    # What was being written is in the way of nobody.
    assert any(name.startswith(".verify.") for name in os.listdir(store))
    dv.convert(store.parent / "data", store, overwrite=True)
    assert not any(name.startswith(".verify.") for name in os.listdir(store))


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    import dask

    with dask.config.set({"dkist_virtual.backoff": 0.001, "dkist_virtual.timeout": 5}):
        yield
