"""Conversions: what they write, what they refuse, and what they leave behind when stopped.

Datasets are the golden ones, made by astropy, asdf and dkist. What a store holds is read with
json and pyarrow, and compared with astropy and the file system.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import termios
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asdf
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from dkist_assets import NOT_DATASETS, unpacked
from golden import BY_NAME, raw_references, write_dataset
from simulated import once
from watches import opened_frames

import dkist_virtual as dv
from dkist_virtual.errors import (
    DatasetError,
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
    FrameUnsupportedError,
    HeaderWarning,
    StoreError,
    StoreExistsError,
)

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("originals")


@pytest.fixture
def make(originals: Path, tmp_path: Path) -> Make:
    """``make(name)``: a copy of a golden dataset, in ``data/``; gives the ASDF."""

    def copy(name: str, to: str = "data") -> Path:
        def write(directory: Path) -> Path:
            write_dataset(BY_NAME[name], directory)
            return directory

        shutil.copytree(once(originals / name, write), tmp_path / to)
        return tmp_path / to / f"{name}.asdf"

    return copy


def frames_of(asdf_path: Path) -> list[Path]:
    """The frames that are on disk, in chunk order."""
    return sorted(p for p in asdf_path.parent.rglob("*.fits") if p.parent.name != "gone")


def root_of(store: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = raw_references(store)[".zattrs"]["dkist_virtual"]
    return attributes


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()
    }


# What is refused --------------------------------------------------------------------------------


def rewrite(path: Path, data: np.ndarray[Any, Any], **compression: Any) -> None:
    image = fits.CompImageHDU(data, name="OBSERVATION", **compression)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)


def cut(to: int | float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        os.truncate(path, int(to if isinstance(to, int) else path.stat().st_size * to))

    return change


def table_instead(path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("A", "E", array=np.zeros(3))])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)


PIXELS = np.arange(240, dtype="f4").reshape(1, 12, 20)

BROKEN: dict[str, tuple[Callable[[Path], None], type[FrameError], str]] = {
    "empty": (
        lambda p: p.write_bytes(b"") and None,
        FrameCorruptError,
        "the file is empty: expected a FITS file",
    ),
    "not FITS": (
        lambda p: p.write_bytes(b"<!DOCTYPE html>" * 400) and None,
        FrameCorruptError,
        "HDU 0: begins with b'<!DOCTYPE': expected SIMPLE or XTENSION, so this is not FITS",
    ),
    "cut in the primary header": (cut(200), FrameCorruptError, "HDU 0: no END card in 200 bytes"),
    "cut after the primary": (cut(2880), FrameCorruptError, "has no HDU 1: it ends after 1 HDU(s)"),
    "cut in the header": (
        cut(2880 + 800),
        FrameCorruptError,
        "HDU 1: no END card in 800 bytes: the header is cut short",
    ),
    "cut in the heap": (cut(2880 * 3), FrameCorruptError, ", the file at 8640: the file is cut"),
    "another shape": (
        lambda p: rewrite(p, np.zeros((1, 12, 21), "f4")),
        FrameCorruptError,
        "HDU 1: ZNAXISn = (21, 12, 1): expected (20, 12, 1)",
    ),
    "fewer axes": (
        lambda p: rewrite(p, np.zeros((12, 20), "f4")),
        FrameCorruptError,
        "HDU 1: ZNAXISn = (20, 12): expected (20, 12, 1)",
    ),
    "another type": (
        lambda p: rewrite(p, PIXELS.astype("f8")),
        FrameCorruptError,
        "HDU 1: ZBITPIX = -64, which is float64: expected float32, the datatype of the ASDF",
    ),
    "integers": (
        lambda p: rewrite(p, PIXELS.astype("i2")),
        FrameCorruptError,
        "HDU 1: ZBITPIX = 16, which is int16: expected float32, the datatype of the ASDF",
    ),
    "a table": (table_instead, FrameUnsupportedError, "HDU 1: XTENSION = 'BINTABLE', no image"),
    "unknown compression": (
        lambda p: p.write_bytes(p.read_bytes().replace(b"'RICE_1  '", b"'SQUASH_1'", 1)),
        FrameUnsupportedError,
        "ZCMPTYPE = 'SQUASH_1' is not supported: known are ",
    ),
}  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize("how", BROKEN)
    @pytest.mark.parametrize("which", [0, 3])
    def test_a_broken_frame(self, how: str, which: int, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        change, kind, said = BROKEN[how]
        broken = frames_of(path)[which]
        change(broken)
        with pytest.raises(kind) as caught:
            dv.convert(path, tmp_path / "store")
        message = str(caught.value)
        assert type(caught.value) is kind
        assert message.startswith(f"{broken}: ")
        assert said in message
        assert "\n" not in message
        assert os.listdir(tmp_path) == ["data"]

    def test_where_the_data_should_end(self, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        frame = frames_of(path)[2]
        with fits.open(frame, disable_image_compression=True) as hdus:
            info = hdus[1].fileinfo()
            end = info["datLoc"] + hdus[1].header["PCOUNT"]
            end += hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
        os.truncate(frame, end)  # only padding is gone: every pixel is there
        dv.convert(path, tmp_path / "whole")
        os.truncate(frame, end - 1)
        with pytest.raises(FrameCorruptError) as caught:
            dv.convert(path, tmp_path / "store")
        assert f"HDU 1: its data ends at byte {end}, the file at {end - 1}:" in str(caught.value)

    def test_plain_frames_by_their_own_keywords(self, make: Make, tmp_path: Path) -> None:
        path = make("plain")
        frame = frames_of(path)[1]
        for data, said in (
            (PIXELS[:, :, :19], "HDU 0: NAXISn = (19, 12, 1): expected (20, 12, 1)"),
            (PIXELS.astype("f8"), "HDU 0: BITPIX = -64, which is float64: expected float32"),
        ):
            fits.PrimaryHDU(data).writeto(frame, overwrite=True)
            with pytest.raises(FrameCorruptError) as caught:
                dv.convert(path, tmp_path / "store")
            assert str(caught.value).startswith(f"{frame}: {said}")
        assert os.listdir(tmp_path) == ["data"]

    def test_a_neighbour_scaled_otherwise(self, make: Make, tmp_path: Path) -> None:
        path = make("unsigned")
        first, _, third, _ = frames_of(path)
        fits.PrimaryHDU(np.zeros((5, 7), "i2")).writeto(third, overwrite=True)  # no BZERO
        with pytest.raises(FrameCorruptError) as caught:
            dv.convert(path, tmp_path / "store")
        assert str(caught.value) == (
            f"{third}: HDU 0: BSCALE = 1, BZERO = 0, BLANK = None makes int16 pixels: "
            f"expected uint16, as in {first}"
        )
        assert os.listdir(tmp_path) == ["data"]

    def test_a_missing_frame_when_all_are_asked_for(self, make: Make, tmp_path: Path) -> None:
        path = make("half")
        with pytest.raises(FrameMissingError) as caught:
            dv.convert(path, tmp_path / "store", scan="always")
        gone = path.parent / "frame_01.fits"
        assert str(caught.value) == (
            f"2 of 6 frames are absent and 0 not reachable, the first: {gone}: no such file"
        )
        assert os.listdir(tmp_path) == ["data"]

    def test_a_place_that_is_not_there_when_all_are_asked_for(
        self, make: Make, tmp_path: Path
    ) -> None:
        path = make("compressed")
        with pytest.raises(FrameUnreachableError, match="0 of 6 frames are absent and 6 not"):
            dv.convert(path, tmp_path / "store", scan="always", frames=tmp_path / "nowhere")
        assert os.listdir(tmp_path) == ["data"]

    @pytest.mark.parametrize("name", NOT_DATASETS)
    def test_an_asdf_without_a_dataset(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        path = unpacked(name, tmp_path / "in")
        with pytest.raises(DatasetError) as caught:
            dv.convert(path, tmp_path / "store")
        assert str(path) in str(caught.value)
        assert "expected the" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert os.listdir(tmp_path) == ["in"]

    def test_no_asdf_at_all(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        for place in (tmp_path / "in", tmp_path / "nowhere.asdf"):
            with pytest.raises(DatasetError):
                dv.convert(place, tmp_path / "store")
        assert os.listdir(tmp_path) == ["in"]

    def test_the_store_itself_is_no_dataset(self, make: Make, tmp_path: Path) -> None:
        dv.convert(make("compressed"), tmp_path / "store")
        with pytest.raises(DatasetError, match="part of a store, which open_dataset opens"):
            dv.convert(tmp_path / "store" / "dataset.asdf", tmp_path / "again")

    def test_arguments(self, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        wrong: Any = "sometimes"
        with pytest.raises(ValueError, match="scan = 'sometimes': expected 'auto', 'always'"):
            dv.convert(path, tmp_path / "store", scan=wrong)
        with pytest.raises(ValueError, match="references = 'sometimes': expected 'auto', 'json'"):
            dv.convert(path, tmp_path / "store", references=wrong)
        with pytest.raises(StoreError, match="s3://bucket/store: a store is written on this"):
            dv.convert(path, "s3://bucket/store")


# Absent, unreachable, not looked at -------------------------------------------------------------


class TestScanModes:
    def test_auto_counts_what_is_absent(self, make: Make, tmp_path: Path) -> None:
        done = dv.convert(make("half"), tmp_path / "store")
        counted = (done.n_frames, done.n_scanned, done.n_absent, done.n_unreachable)
        assert counted == (6, 4, 2, 0)
        assert "4 scanned, 2 absent (the first: " in str(done)
        assert len(done.missing) == 2
        assert str(done).endswith(f"{done.missing[0]})")
        assert all(reason.endswith(".fits: no such file") for reason in done.missing)
        assert "NOT ONE" not in str(done)

    def test_auto_tells_absent_from_unreachable(self, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        frames = frames_of(path)
        frames[1].unlink()
        frames[4].unlink()
        frames[4].symlink_to(frames[4].name)  # opening it fails, and not for want of a file
        done = dv.convert(path, tmp_path / "store")
        assert (done.n_scanned, done.n_absent, done.n_unreachable) == (4, 1, 1)
        assert "4 scanned, 1 absent, 1 not reachable (the first: " in str(done)
        assert frames[1].name in done.missing[0]
        lengths = [len(raw_references(tmp_path / "store")[f"data/{i}.{j}.0.0"])
                   for i in range(2) for j in range(3)]  # fmt: skip
        assert lengths == [3, 1, 3, 3, 1, 3]  # those not seen are referred to as whole files

    @pytest.mark.parametrize("there", [True, False])
    def test_none_at_all_is_said_loudly(self, there: bool, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        if there:
            (tmp_path / "empty").mkdir()
        done = dv.convert(path, tmp_path / "store", frames=tmp_path / "empty")
        absent, unreachable = (6, 0) if there else (0, 6)
        assert (done.n_scanned, done.n_absent, done.n_unreachable) == (0, absent, unreachable)
        loud, line = str(done).splitlines()
        assert loud.startswith("NOT ONE of 6 frames could be reached")
        assert f"0 scanned, 6 {'absent' if there else 'not reachable'} (the first: " in line

    def test_never_opens_no_frame(self, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        with opened_frames() as opened:
            done = dv.convert(path, tmp_path / "store", scan="never")
        assert opened == []
        assert (done.n_frames, done.n_scanned, done.n_absent, done.n_unreachable) == (6, 0, 0, 0)
        assert str(done).startswith("No frame was scanned")
        with opened_frames() as opened:  # the same watch sees a scan
            dv.convert(path, tmp_path / "scanned", scan="auto")
        assert sorted(opened) == [frame.name for frame in frames_of(path)]

    def test_never_needs_no_frames(self, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        shutil.move(path, tmp_path / "alone.asdf")
        shutil.rmtree(path.parent)
        dv.convert(tmp_path / "alone.asdf", tmp_path / "store", scan="never", base="https://a.org")
        references = raw_references(tmp_path / "store")
        assert references["data/1.2.0.0"] == ["https://a.org/frame_05.fits"]


# What is written --------------------------------------------------------------------------------


def test_frames_and_base(make: Make, tmp_path: Path) -> None:
    path = make("plain")  # names with a directory, a blank and an umlaut
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(path.parent / "Tag 1", elsewhere / "Tag 1")
    name = BY_NAME["plain"].named(3)
    url = "https://example.org/data"

    def result(**places: Any) -> tuple[str, list[Any], int]:
        done = dv.convert(path, tmp_path / "store", overwrite=True, **places)
        references = raw_references(tmp_path / "store")
        return (
            references[".zattrs"]["dkist_virtual"]["base"],
            references["data/1.0.0.0"],
            done.n_scanned,
        )

    beside = str(path.parent)
    assert result() == (beside, [f"{beside}/{name}"], 0)
    scanned = [2880, 12 * 20 * 4]
    there = str(elsewhere)
    assert result(frames=elsewhere) == (there, [f"{there}/{name}", *scanned], 6)
    assert result(base=elsewhere) == (there, [f"{there}/{name}", *scanned], 6)
    assert result(frames=elsewhere, base=url) == (url, [f"{url}/{name}", *scanned], 6)
    assert result(frames=f"{there}/", base=f"{url}/") == (url, [f"{url}/{name}", *scanned], 6)
    assert result(frames=f"file://{there}", base=url)[2] == 6
    # A disk that is away for a night costs no store.
    before = raw_references(tmp_path / "store")
    with pytest.raises(StoreError, match=r"stays as it was\. Not one of 6 frames.*--scan never"):
        result(base=elsewhere, frames=path.parent)
    assert raw_references(tmp_path / "store") == before
    assert result(base=elsewhere, frames=path.parent, scan="never")[::2] == (there, 0)


def test_relative_places_become_absolute(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make("compressed")
    monkeypatch.chdir(tmp_path)
    done = dv.convert(f"data/{path.name}", "store", frames="data")
    assert root_of(tmp_path / "store")["base"] == str(path.parent)
    assert done.store == str(tmp_path / "store")


def heads(path: Path, hdu: int) -> int:
    """Header and tile table of a frame's HDU in bytes, by astropy."""
    with fits.open(path, disable_image_compression=True) as hdus:
        info, header = hdus[hdu].fileinfo(), hdus[hdu].header
        table = header["NAXIS1"] * header["NAXIS2"] if "ZIMAGE" in header else 0
        return int(info["datLoc"] - info["hdrLoc"] + table)


@pytest.mark.parametrize("references", ["json", "parquet"])
@pytest.mark.parametrize("name", ["compressed", "plain", "mosaic", "half", "never", "null_names"])
def test_root_attributes(name: str, references: Any, make: Make, tmp_path: Path) -> None:
    path = make(name)
    golden = BY_NAME[name]
    if name == "compressed":  # one header is longer than the others
        with fits.open(frames_of(path)[2], mode="update") as hdus:
            for i in range(60):
                hdus[1].header[f"CARD{i}"] = i
    done = dv.convert(path, tmp_path / "store", scan=golden.scan, references=references)
    frames = frames_of(path) if golden.scan != "never" else []
    root = root_of(tmp_path / "store")
    total = golden.n_frames * len(golden.places)
    complete = len(frames) == total
    assert root["n_frames"] == total == done.n_frames
    assert root["n_bytes"] == (sum(p.stat().st_size for p in frames) if complete else None)
    assert root["head_bytes"] == max((heads(p, golden.hdu) for p in frames), default=None)
    assert done.n_bytes == sum(p.stat().st_size for p in frames)
    assert done.n_scanned == len(frames)


def null_below_zero(values: list[int]) -> list[int | None]:
    return [None if value < 0 else value for value in values]


@pytest.mark.parametrize("name", ["compressed", "plain", "mosaic", "half", "never", "null_names"])
def test_own_columns_of_the_header_table(name: str, make: Make, tmp_path: Path) -> None:
    path = make(name)
    golden = BY_NAME[name]
    for i, frame in enumerate(frames_of(path)):
        with fits.open(frame, disable_image_compression=True) as hdus:
            # DATASUM of what is stored, in all but the first frame.
            hdus.writeto(tmp_path / "new.fits", checksum=i > 0)
        (tmp_path / "new.fits").replace(frame)
        os.utime(frame, ns=(0, 1_700_000_000_123_456_789 + i))
    dv.convert(path, tmp_path / "store", scan=golden.scan)
    table = pq.read_table(tmp_path / "store" / "headers.parquet").to_pydict()
    references = raw_references(tmp_path / "store")
    n = golden.n_frames * len(golden.places)
    assert all(len(table[c]) == n for c in ("_tile", "_url", "_size", "_offset", "_length",
                                            "_mtime", "_etag", "_datasum"))  # fmt: skip
    row = 0
    for array, place in zip(golden.arrays, golden.places, strict=True):
        for index in range(golden.n_frames):
            own = {key: table[key][row] for key in table if key.startswith("_")}
            nameless = index in golden.nameless
            frame = path.parent / golden.named(row)
            assert own["_tile"] == (None if place is None else f"{place[0]}_{place[1]}")
            assert own["_url"] == (None if nameless else str(frame))
            assert own["_etag"] is None
            key = f"{array}/" + ".".join(
                map(str, [*np.unravel_index(index, golden.frame_axes)]
                    + [0] * (len(golden.shape) - len(golden.frame_axes)))
            )  # fmt: skip
            assert references.get(key, [None])[0] == own["_url"]
            if golden.scan == "never" or nameless or not frame.exists():
                assert {own[k] for k in ("_size", "_offset", "_length", "_mtime", "_datasum")} == {
                    None
                }
            else:
                with fits.open(frame, disable_image_compression=True) as hdus:
                    info = hdus[golden.hdu].fileinfo()
                    sum_ = hdus[golden.hdu].header.get("DATASUM")
                assert own["_size"] == frame.stat().st_size
                assert own["_mtime"] == frame.stat().st_mtime_ns
                assert own["_offset"] == info["hdrLoc"]
                assert own["_length"] == info["datLoc"] + info["datSpan"] - info["hdrLoc"]
                assert own["_datasum"] == (None if sum_ is None else int(sum_))
            row += 1
    if golden.scan != "never":
        assert any(value is not None for value in table["_datasum"])


@pytest.mark.parametrize(("n", "written"), [(5000, "references.json"), (5001, "references.parq")])
def test_parquet_above_5000_frames(n: int, written: str, tmp_path: Path) -> None:
    many: Any = range(n)  # null names: nobody needs so many frames
    golden = replace(BY_NAME["int16"], name="many", frame_axes=(n,), nameless=many)
    done = dv.convert(write_dataset(golden, tmp_path / "data"), tmp_path / "store")
    assert (done.n_frames, done.n_absent) == (n, n)
    assert sorted(os.listdir(tmp_path / "store")) == ["dataset.asdf", "headers.parquet", written]


def test_both_formats_hold_the_same(make: Make, tmp_path: Path) -> None:
    path = make("half")
    dv.convert(path, tmp_path / "json", references="json")
    dv.convert(path, tmp_path / "parquet", references="parquet")
    assert raw_references(tmp_path / "json") == raw_references(tmp_path / "parquet")


# The type of integers that nobody has looked at --------------------------------------------------


def unscanned(tmp_path: Path, dtype: str, columns: dict[str, Any]) -> str:
    """The dtype of the store of an unscanned dataset with these columns in its header table."""
    golden = replace(BY_NAME["int16"], name="made", dtype=dtype, hdu_shape=(8, 7), scan="never")
    path = write_dataset(golden, tmp_path / "data")
    with asdf.open(path, lazy_load=False, memmap=False) as file:
        dataset = file["dataset"]
        table = dataset.meta["headers"]
        for name, values in columns.items():
            table[name] = values
        dataset.meta["headers"] = table
        asdf.AsdfFile({"dataset": dataset}).write_to(tmp_path / "changed.asdf")
    dv.convert(tmp_path / "changed.asdf", tmp_path / "store", scan="never", overwrite=True)
    found: str = raw_references(tmp_path / "store")["data/.zarray"]["dtype"]
    return found


def masked(values: list[float]) -> MaskedColumn:
    return MaskedColumn(values, mask=[True, *[False] * (len(values) - 1)])


@pytest.mark.parametrize(
    ("dtype", "columns"),
    [
        ("i2", {}),
        ("i2", {"BZERO": [0] * 4, "BSCALE": [1] * 4}),
        ("i2", {"BZERO": [32768] * 4}),
        ("i2", {"BZERO": [32768.0] * 4, "BSCALE": [1.0] * 4}),
        ("i4", {"BZERO": [2147483648] * 4}),
        ("u1", {"BZERO": [-128] * 4}),
        ("i2", {"BSCALE": [0.5] * 4}),
        ("i4", {"BSCALE": [0.5] * 4, "BZERO": [7] * 4}),
        ("f4", {"BSCALE": [1.0, 1.0, 2.0, 1.0]}),
        ("i2", {"BSCALE": [0.5, 0.25, 2.0, 3.0]}),  # another scale in each: one type all the same
    ],
)
def test_unscanned_integers_take_their_type_from_the_header_table(
    dtype: str, columns: dict[str, Any], tmp_path: Path
) -> None:
    header = {key: values[0] for key, values in columns.items()}
    raw = np.arange(35).reshape(5, 7).astype(dtype)
    hdu = fits.PrimaryHDU(raw)
    hdu.header.update(header)
    hdu.writeto(tmp_path / "one.fits")  # astropy keeps the pixels' bytes as they are
    with fits.open(tmp_path / "one.fits", "readonly", do_not_scale_image_data=True) as hdus:
        assert hdus[0].data.dtype.newbyteorder("=") == raw.dtype
    with fits.open(tmp_path / "one.fits") as hdus:
        astropy = hdus[0].data.dtype.newbyteorder("=")
    assert np.dtype(unscanned(tmp_path, dtype, columns)).newbyteorder("=") == astropy


def test_a_header_table_of_two_types_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="make pixels of int16, uint16: expected one type"):
        unscanned(tmp_path, "i2", {"BZERO": masked([1.0, 32768, 32768, 32768])})
    assert not (tmp_path / "store").exists()


def test_a_scaling_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="BZERO in the ASDF's header table"):
        unscanned(tmp_path, "i2", {"BZERO": ["a", "b", "c", "d"]})


def test_mixed_types_in_the_header_table_are_said(make: Make, tmp_path: Path) -> None:
    # An ASDF has no such column; a table that something else filled may have one.
    from dkist_virtual.store.format.headers import HeaderFile, write_headers

    mixed = Table({"A": np.array([1, "two", None], object), "B": [1, 2, 3]})
    assert write_headers(tmp_path / "h.parquet", mixed, {}) == ["A"]
    assert list(HeaderFile(tmp_path / "h.parquet").headers()["A"])[:2] == ["1", "two"]


def test_nothing_is_warned_of_otherwise(make: Make, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", HeaderWarning)
        dv.convert(make("compressed"), tmp_path / "store")


# Which ASDF -------------------------------------------------------------------------------------


def test_of_several_asdfs_the_newest_and_that_is_said(make: Make, tmp_path: Path) -> None:
    path = make("compressed")
    for name, age in (("older.asdf", 1), ("newest.asdf", 9), ("another.asdf", 5)):
        shutil.copy(path, path.parent / name)
        os.utime(path.parent / name, (age, age))
    os.utime(path, (3, 3))
    done = dv.convert(path.parent, tmp_path / "store")
    assert done.asdf == path.parent / "newest.asdf"
    said, line = str(done).splitlines()
    assert said == (
        "Took newest.asdf, the newest; passed over: another.asdf, compressed.asdf, older.asdf"
    )
    assert line.startswith(f"{tmp_path / 'store'}: ")
    # One that is named is taken, and there is nothing to say.
    done = dv.convert(path.parent / "older.asdf", tmp_path / "second")
    assert done.asdf.name == "older.asdf"
    assert "Took" not in str(done)


# What stands there already ----------------------------------------------------------------------


class TestOverwrite:
    @pytest.mark.parametrize("references", ["json", "parquet"])
    def test_a_store_only_when_told_to(self, references: Any, make: Make, tmp_path: Path) -> None:
        path, store = make("compressed"), tmp_path / "store"
        dv.convert(path, store, references=references)
        before = contents(store)
        with pytest.raises(StoreExistsError, match=r"exists already\. --overwrite"):
            dv.convert(path, store, scan="never")
        assert contents(store) == before
        other = "json" if references == "parquet" else "parquet"
        dv.convert(path, store, scan="never", overwrite=True, references=other)
        assert raw_references(store)["data/0.0.0.0"] == [str(frames_of(path)[0])]
        assert sorted(os.listdir(store)) == [
            "dataset.asdf", "headers.parquet",
            "references.json" if other == "json" else "references.parq",
        ]  # fmt: skip
        assert sorted(os.listdir(tmp_path)) == ["data", "store"]

    def test_a_failing_conversion_keeps_the_old_one(self, make: Make, tmp_path: Path) -> None:
        path, store = make("compressed"), tmp_path / "store"
        dv.convert(path, store)
        before = contents(store)
        frames_of(path)[5].write_bytes(b"")
        with pytest.raises(FrameCorruptError, match="is empty"):
            dv.convert(path, store, overwrite=True)
        assert contents(store) == before
        assert sorted(os.listdir(tmp_path)) == ["data", "store"]

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize(
        "files",
        [
            {},
            {"thesis.tex": b"years of work"},
            {"dataset.asdf": b"#ASDF", "frame_00.fits": b"pixels"},
            {"references.json": b"{}"},
            {"references.json": b"{}", "dataset.asdf": b"#ASDF", "notes.txt": b"mine"},
        ],
        ids=lambda files: "+".join(files) or "empty",
    )
    def test_nothing_else_is_ever_replaced(
        self, files: dict[str, bytes], overwrite: bool, make: Make, tmp_path: Path
    ) -> None:
        path, target = make("compressed"), tmp_path / "target"
        target.mkdir()
        for name, data in files.items():
            (target / name).write_bytes(data)
        with opened_frames() as opened, pytest.raises(StoreExistsError, match=str(target)):
            dv.convert(path, target, overwrite=overwrite)
        assert contents(target) == files
        assert opened == []  # refused before any work is done

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_files_and_dangling_links(self, overwrite: bool, make: Make, tmp_path: Path) -> None:
        path = make("compressed")
        (tmp_path / "file").write_bytes(b"mine")
        (tmp_path / "link").symlink_to("nowhere")
        for name in ("file", "link"):
            with pytest.raises(StoreExistsError):
                dv.convert(path, tmp_path / name, overwrite=overwrite)
        assert (tmp_path / "file").read_bytes() == b"mine"
        assert os.readlink(tmp_path / "link") == "nowhere"

    def test_directories_above_are_made(self, make: Make, tmp_path: Path) -> None:
        dv.convert(make("compressed"), tmp_path / "a" / "b" / "store")
        assert os.listdir(tmp_path / "a" / "b") == ["store"]

    def test_others_may_read_it_as_the_umask_says(self, make: Make, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            dv.convert(make("compressed"), tmp_path / "store")
        finally:
            os.umask(before)
        assert (tmp_path / "store").stat().st_mode & 0o777 == 0o750
        assert (tmp_path / "store" / "references.json").stat().st_mode & 0o777 == 0o640


# Killed and interrupted -------------------------------------------------------------------------

# The command, stopped at one of its own system calls, which python's audit of it names: it says
# so, and goes on when its standard input is closed.
PAUSED = """
import os, signal, sys
# A shell starts what it puts into the background deaf to Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
event, position, name = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def pause(what, args):
    if what == event and str(args[position]).endswith(name):
        print("paused", flush=True)
        sys.stdin.readline()
sys.addaudithook(pause)
from dkist_virtual.cli.main import main
main(sys.argv[4:])
"""

STAGES = {
    "scanning": ("open", "0", "frame_03.fits"),
    "renaming": ("os.rename", "1", "/store"),
}


@contextmanager
def paused(stage: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PAUSED, *STAGES[stage], "convert", *arguments]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if line != "paused\n":
            pytest.fail(f"{line}{process.communicate()}")
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_kill_leaves_no_store(make: Make, tmp_path: Path) -> None:
    path = make("compressed")
    with paused("renaming", str(path), str(tmp_path / "store")) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "store").exists()
    # What was being written lies hidden beside it, and is in nobody's way.
    (left,) = [name for name in os.listdir(tmp_path) if name != "data"]
    assert left.startswith(".store.")
    assert left.endswith(".part")
    assert "references.json" in os.listdir(tmp_path / left / "store")
    assert dv.convert(path, tmp_path / "store").n_scanned == 6


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "overwrite"), [("scanning", False), ("renaming", True)])
def test_interrupting_leaves_nothing(
    stage: str, overwrite: bool, make: Make, tmp_path: Path
) -> None:
    path, store = make("compressed"), tmp_path / "store"
    before: dict[str, bytes] | None = None
    if overwrite:
        dv.convert(path, store, scan="never")
        before = contents(store)
    with paused(stage, str(path), str(store), *["--overwrite"] * overwrite) as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()  # closes its standard input
        assert process.returncode == 130
    assert "Interrupted: nothing was left half done." in said
    assert "Traceback" not in said
    assert sorted(os.listdir(tmp_path)) == ["data", "store"] if overwrite else ["data"]
    if before is not None:
        assert contents(store) == before


# Progress ---------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_progress_bar_on_a_terminal_only(make: Make, tmp_path: Path) -> None:
    path = make("compressed")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "dkist_virtual.cli.main",
            "convert",
            str(path),
            str(tmp_path / "store"),
        ],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    )
    os.close(theirs)
    printed, _ = process.communicate()
    assert process.returncode == 0
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux says that a terminal's other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert b"Scanning" in shown
    assert b"6/6" in shown
    assert printed.startswith(f"{tmp_path / 'store'}: ")
    assert printed.count("\n") == 1


def test_no_progress_bar_in_a_pipe(
    make: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dv.convert(make("compressed"), tmp_path / "store")
    assert capfd.readouterr() == ("", "")
    dv.convert(tmp_path / "data", tmp_path / "second", progress=True)
    assert "6/6" in capfd.readouterr().err


def test_the_closing_line(make: Make, tmp_path: Path) -> None:
    done = dv.convert(make("plain"), tmp_path / "store")
    n_bytes = sum(p.stat().st_size for p in frames_of(tmp_path / "data" / "plain.asdf"))
    assert str(done) == (
        f"{tmp_path / 'store'}: {n_bytes / 1000:.3g} kB of 6 frames in {done.seconds:.1f} s, "
        "6 scanned"
    )
    assert json.loads((tmp_path / "store" / "references.json").read_bytes())["version"] == 1


@pytest.mark.parametrize("name", ["frames", "base"])
def test_several_places_are_refused_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=rf"{name} = \['a', 'b'\]: expected one directory or URL"):
        dv.convert(tmp_path, tmp_path / "store", **{name: ["a", "b"]})  # type: ignore[arg-type]
