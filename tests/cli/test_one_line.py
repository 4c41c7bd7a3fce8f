"""Check that text of a file, axis or header is printed in one line, whatever characters it has."""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import pickle
import re
import shutil
import string
import sys
import unicodedata
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asdf
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given, settings
from hypothesis import strategies as st
from overviews import an_overview
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual import errors
from dkist_virtual.cli import main as cli
from dkist_virtual.conversion.convert import Conversion
from dkist_virtual.datacenter.globus import Transfer
from dkist_virtual.datacenter.results import Results
from dkist_virtual.fits.errors import one_line
from dkist_virtual.io.download.download import Downloaded, Item
from dkist_virtual.io.download.report import failed
from dkist_virtual.plot.figure_text import in_figure
from dkist_virtual.store.format.asdf_arrays import check_mask, check_strides
from dkist_virtual.store.format.header_table import HeaderTable
from dkist_virtual.store.format.verify_json import Finding, Verification
from dkist_virtual.verification.against_astropy import Comparison, FrameCheck

LIE = "verified: 48 of 48 frames are good"

#: Line breaks, what commands a terminal, what turns text around, and what nobody sees.
ODD = (
    "\n\r\x0b\x0c\x1c\x85\u2028\u2029\x1b\x7f\x9b\0\u061c\u200b\u200d\u200e\u202e\u2066\ufeff\u3164"
)

NASTY = f"a{ODD}\n{LIE}"


def assert_told(text: str, n_lines: int | None = None) -> None:
    """The text says the lie, but nowhere as a line of its own, and hides nothing."""
    assert LIE in text
    assert not any(line.strip().startswith(LIE) for line in text.splitlines())
    assert not set(text) & set(ODD) - {"\n"}
    if n_lines is not None:
        assert len(text.splitlines()) == n_lines


# The function -------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", mostly_slow([0x3164, sys.maxunicode], 0x3164))
def test_every_character_that_breaks_turns_or_hides(last: int) -> None:
    for code in range(last + 1):
        char = chr(code)
        kind = unicodedata.category(char)
        if kind in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or char in ODD:
            shown = one_line(char)
            assert set(shown) <= set(string.printable[:-5]), hex(code)
            assert shown == ascii(char)[1:-1]


@pytest.mark.parametrize(
    "text", ["", "VTF", "Grün", "Å", "δ = 5°", "太陽", "a b", "12\u202f%", "😀", r"C:\x"]
)
def test_other_text_stays(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.slow
@settings(derandomize=True, deadline=None, database=None)
@given(st.text())
def test_any_text_becomes_one_line_that_stays_as_it_is(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert one_line(shown) == shown


def test_dollars_are_no_formula_in_a_figure() -> None:
    shown = in_figure("$x_1$\n")
    assert shown == r"\$x_1\$\n"
    assert in_figure(shown) == shown


# Every edge at which text is printed --------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, (errors.DKISTVirtualError, Warning))
    ],
)
def test_errors_and_warnings(kind: type[Exception]) -> None:
    assert_told(str(kind(NASTY)), 1)
    if issubclass(kind, errors.FrameError):
        assert_told(str(kind("x").at(NASTY)), 1)
    if issubclass(kind, Warning):
        assert_told(warnings.formatwarning(kind(NASTY), kind, "f.py", 1, ""), 1)


def test_the_files_of_a_download_have_a_line_each() -> None:
    error = failed(NASTY, {NASTY: NASTY, "b.fits": "no"})
    for told in (error, pickle.loads(pickle.dumps(error))):
        assert_told(str(told), 3)


@pytest.mark.parametrize("form", ["text", "html"])
@pytest.mark.parametrize(
    "field",
    ["instrument", "dataset_id", "product_id", "place", "further_places", "store", "made_from",
     "computed_from", "unit", "array", "array_axes", "world_axes"],
)  # fmt: skip
def test_an_overview(field: str, form: str) -> None:
    clean, values = an_overview(), {}
    for word in ("clean", NASTY):
        old: Any = getattr(clean, field)
        if field == "further_places":
            values[word] = (word,)
        elif field == "made_from":
            values[word] = (word, word, word)
        elif field == "array_axes":
            values[word] = tuple((index, word, size) for index, _, size in old)
        elif field == "world_axes":
            values[word] = tuple((axis[0], word, word, word) for axis in old)
        else:
            values[word] = word
    texts = {
        word: getattr(replace(clean, **{field: value}), form)() for word, value in values.items()
    }
    shown = texts[NASTY]
    assert not set(shown) & set(ODD) - {"\n"}
    assert LIE.replace("\n", "") in " ".join(shown.split()) or field == "array_axes"
    assert not any(line.strip().startswith(LIE) for line in shown.splitlines())
    if field != "array_axes":  # whose names are set over several lines
        assert shown.count("\n") == texts["clean"].count("\n")
    assert json.loads(json.dumps(replace(clean, **{field: values[NASTY]}).as_json()))


def test_reports() -> None:
    found = Finding("data/0.0", f"https://a.org/{NASTY}", "corrupt", NASTY)
    verification = Verification(
        NASTY, None, NASTY, NASTY, {}, 48, 48, n_done=48, counts={"corrupt": 1, "good": 47},
        notes={NASTY: 1}, findings=(found,), wcs={NASTY: 7.0},
    )  # fmt: skip
    assert_told(str(verification), 6)
    check = FrameCheck("data/0.0", f"https://a.org/{NASTY}", "refused", NASTY)
    comparison = Comparison(NASTY, NASTY, "astropy", 48, (check,), {"ZCMPTYPE": NASTY}, {})
    assert_told(str(comparison), 6)
    conversion = Conversion(
        NASTY, Path(NASTY), 48, 0, 1, 0, (NASTY,), 0, 1.0, passed_over=(Path(NASTY),)
    )
    assert_told(str(conversion), 3)
    items = (Item(NASTY, ("https://a.org/x",), 5),) if "places" in Item.__annotations__ else ()
    assert_told(str(Downloaded(NASTY, items, 0)), 1)
    assert_told(str(Downloaded(NASTY, items, 0, dry_run=True)), 1 + len(items))
    assert_told(str(Transfer(NASTY, NASTY, 1, True, None)), 2)


@pytest.mark.parametrize("n", [3, 200])
def test_header_tables(n: int) -> None:
    clean = {"DATE": ["2023"] * n, "OBSERVER": ["Ada"] * n, "X": ["x"] * n}
    nasty = {"DATE": ["2023"] * n, "OBSERVER": [NASTY] * n, NASTY: ["x"] * n}
    for how in (
        lambda table: "\n".join(table.pformat(max_lines=-1, max_width=-1)),
        lambda table: table._repr_html_(),
        str,
        repr,
        lambda table: str(table[0]),
    ):
        shown = how(HeaderTable(nasty))
        assert not set(shown) & set(ODD) - {"\n"}
        assert not any(line.strip().startswith(LIE) for line in shown.splitlines())
        assert shown.count("\n") == how(HeaderTable(clean)).count("\n")
    assert LIE in HeaderTable(nasty)._repr_html_()


def test_search_results() -> None:
    columns = {"Dataset ID": ["A", "B"], "Instrument": ["VTF", NASTY]}
    results = Results(Table(columns), client=None)
    results.pages = "2 of 9"
    assert_told(str(Results.__mro__[1].__str__(results)))
    assert_told("\n".join(results.pformat(max_lines=-1, max_width=-1)))


@pytest.fixture(scope="module")
def forged(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose URLs, axes, instrument and header values forge lines."""
    directory = tmp_path_factory.mktemp("forged")
    frames = Path(shutil.copytree(simulated("visp_plain"), directory / "frames"))
    store = directory / "forged.virtual"
    dv.convert(frames, store, references="json")
    path = store / "references.json"
    document = json.loads(path.read_text())
    refs = document["refs"]
    for key in refs:
        if not key.rpartition("/")[2].startswith("."):
            refs[key][0] = f"https://127.0.0.1:9/{NASTY}"
            break
    attributes = json.loads(refs["data/.zattrs"])
    attributes["axis_names"] = [f"{i}{NASTY}" for i, _ in enumerate(attributes["axis_names"])]
    refs["data/.zattrs"] = json.dumps(attributes)
    path.write_text(json.dumps(document))
    with (
        open(store / "dataset.asdf", "rb") as file,
        asdf.open(file, lazy_load=False, memmap=False) as f,
    ):
        tree = dict(f.tree)
        tree["inventory"] = {**tree["inventory"], "instrumentName": NASTY, "datasetId": NASTY}
        buffer = io.BytesIO()
        asdf.AsdfFile(tree).write_to(buffer)
    (store / "dataset.asdf").write_bytes(buffer.getvalue())
    return store


def test_a_store_that_forges_lines(
    forged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = Path(shutil.copytree(forged, tmp_path / "copy"))
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ds = dv.open_dataset(forged)
    for text in (str(ds), repr(ds), ds._repr_html_(), *(str(w.message) for w in warned)):
        assert not set(text) & set(ODD) - {"\n"}
        assert not any(line.strip().startswith(LIE) for line in text.splitlines())
    assert_told(str(ds))
    repr(ds.files), str(ds.files)
    with pytest.raises(errors.FrameError) as caught:
        ds[(0,) * (len(ds.shape) - 2)].data.compute()
    assert_told(str(caught.value), 1)
    for words in (
        ["info", str(forged)],
        ["verify", str(forged)],
        ["download", str(forged), "/nowhere"],
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the verification found
            with contextlib.suppress(SystemExit):
                cli.main(words)
        said = capsys.readouterr()
        for text in said:
            assert not set(text) & set(ODD) - {"\n", "\r"}
            assert not any(line.strip().startswith(LIE) for line in text.splitlines())


def test_figures_of_a_store_that_forges_lines(forged: Path) -> None:
    ds = dv.open_dataset(forged, missing="nan")
    plot = ds[-1].plot() if len(ds.shape) > 2 else ds.plot()
    figure = plot.figure
    figure.canvas.draw()
    texts = [text.get_text() for text in figure.findobj(plt.Text)]
    assert any(LIE in text for text in texts)
    for text in texts:
        assert not set(text) & set(ODD) - {"\n"}
        assert not any(line.startswith(LIE) for line in text.splitlines())
    plt.close(figure)


# Names that a store cannot hold -------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", mostly_slow(["a\nb", "a\rb", "a\x1bb", "a\x7fb"], "a\nb"))
def test_a_directory_whose_name_no_reference_may_hold(
    name: str, simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    frames = Path(shutil.copytree(simulated("visp_plain"), tmp_path / name))
    for scan in ("never", "always"):
        with pytest.raises(errors.DatasetError, match=r"contains a line break or another control"):
            dv.convert(frames, tmp_path / "store", scan=scan)
    with pytest.raises(errors.DatasetError, match="control character"):
        dv.convert(simulated("visp_plain"), tmp_path / "store", scan="never", base=str(frames))
    with pytest.raises(errors.DatasetError, match="control character"):
        dv.open_dataset(frames)
    assert not (tmp_path / "store").exists()
    # A link with another name does.
    (tmp_path / "link").symlink_to(frames)
    dv.convert(frames, tmp_path / "store", frames=tmp_path / "link")
    ds = dv.open_dataset(tmp_path / "store")
    assert np.isfinite(ds[(0,) * (len(ds.shape) - 2)].data.compute()).any()


@pytest.mark.every(12)
@pytest.mark.parametrize("name", ["a\u202eb", "a\u200bb", "a\u2028b", "a b", "ä", "a\x85b"])
def test_other_directories_are_stored_right(
    name: str, simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    frames = Path(shutil.copytree(simulated("visp_plain"), tmp_path / name))
    done = dv.convert(frames, tmp_path / "store")
    assert set(str(done)).isdisjoint(ODD)
    ds = dv.open_dataset(tmp_path / "store")
    assert np.isfinite(ds[(0,) * (len(ds.shape) - 2)].data.compute()).any()


# Arrays of an ASDF that cannot be -----------------------------------------------------------------


def tree_of(**arrays: Any) -> Any:
    buffer = io.BytesIO()
    asdf.AsdfFile(arrays).write_to(buffer)
    return asdf.util.load_yaml(io.BytesIO(buffer.getvalue()), tagged=True)


def test_strides_that_are_right_pass() -> None:
    a = np.arange(24.0).reshape(4, 6)
    tree = tree_of(
        fortran=np.asfortranarray(a), turned=a.T, rows=a[::2], part=a[1:3, 2:5], mask=a > 3,
        empty=np.zeros((0, 3)), text=np.array(["ab", "c"]), complex=np.zeros((2, 3), "c8").T,
        records=np.zeros(4, [("x", "f4"), ("y", "i2")])[::2], deep=[{"a": [a.T]}],
    )  # fmt: skip
    check_strides(tree)
    backwards = {"source": 0, "datatype": "float64", "shape": [4, 6], "strides": [-48, -8]}
    check_strides(
        {"a": [backwards, {"source": 0, "datatype": ["ucs4", 3], "shape": [2], "strides": [12]}]}
    )


@pytest.mark.parametrize(
    ("shape", "strides"),
    [
        ([10**6, 10**6], [8, 8]), ([4, 10**12], [8, 0]), ([2, 3], [8, 8]), ([4], [4]), ([4], [-7]),
        ([2, 3], [24]), ([2], ["8"]), (None, [8]), ([-1], [8]), ([2, 3], "8"),
        ([2, 2, 2], [16, 24, 8]),
    ],
)  # fmt: skip
def test_strides_over_the_same_bytes_are_refused(shape: Any, strides: Any) -> None:
    node = {"source": 0, "datatype": "float64", "shape": shape, "strides": strides}
    with pytest.raises(errors.DatasetError, match="an array has shape"):
        check_strides({"dataset": {"mask": node}})


def test_masks() -> None:
    shape = (3, 4)
    for mask in (
        None,
        False,
        np.True_,
        np.zeros(shape, bool),
        np.asfortranarray(np.ones(shape, "u1")),
    ):
        check_mask(mask, shape)
    thin = np.lib.stride_tricks.as_strided(np.zeros(8, bool), shape, (1, 1))
    for mask, message in [
        (np.zeros((4, 3), bool), r"the mask has shape \(4, 3\): expected \(3, 4\)"),
        (np.zeros((1, 3, 4), bool), r"the mask has shape \(1, 3, 4\)"),
        (np.zeros(12, bool), "the mask has shape"),
        ("mask", "the mask has shape"),
        (np.zeros(shape), "the mask is of float64: expected truth values"),
        (np.broadcast_to(np.False_, shape), "strides"),
        (thin, "strides"),
    ]:
        with pytest.raises(errors.DatasetError, match=message):
            check_mask(mask, shape)


@pytest.fixture
def with_mask(simulated: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """``with_mask(text)``: the directory of a dataset whose ASDF has this node as its mask."""
    frames = Path(shutil.copytree(simulated("visp_plain"), tmp_path / "frames"))
    (path,) = frames.glob("*.asdf")
    original = path.read_bytes()
    (node,) = re.findall(rb"\ndataset: !<[^>]*>\n", original)
    version = re.findall(rb"!core/ndarray-([0-9.]+)", original)[0]

    def make(text: str) -> Path:
        mask = f"  mask: !core/ndarray-{version.decode()} {text}\n" if text else ""
        path.write_bytes(original.replace(node, node + mask.encode()))
        return frames

    return make


@pytest.mark.slow
def test_a_mask_of_an_asdf(with_mask: Callable[[str], Path], tmp_path: Path) -> None:
    shape = dv.open_dataset(with_mask("")).shape
    mask = np.random.default_rng(0).random(shape) > 0.5
    inline = json.dumps(mask.tolist())
    frames = with_mask(f"{{data: {inline}, datatype: bool8, shape: {list(shape)}}}")
    dv.convert(frames, tmp_path / "right", scan="never")
    for ds in (dv.open_dataset(frames), dv.open_dataset(tmp_path / "right")):
        np.testing.assert_array_equal(ds.mask, mask)

    huge = [10**6] * len(shape)
    ones = [1] * len(shape)
    block = "source: 0, datatype: bool8, byteorder: little"
    for text, message in {
        f"{{data: {inline}, datatype: bool8, shape: {[*shape, 1]}}}": "the mask",
        f"{{data: {json.dumps(mask[0].tolist())}, datatype: bool8}}": "the mask has shape",
        f"{{{block}, shape: {huge}}}": "the mask has shape",
        f"{{{block}, shape: {huge}, strides: {ones}}}": "expected bytes of its own",
        f"{{{block}, shape: {list(shape)}, strides: {ones}}}": "expected bytes of its own",
        f"{{{block}, shape: {list(shape)}, strides: [1]}}": "one integer for each axis",
    }.items():
        for fail in (
            lambda: dv.open_dataset(frames),
            lambda: dv.convert(frames, tmp_path / "wrong", scan="never"),
        ):
            with_mask(text)
            with pytest.raises(errors.DatasetError, match=message):
                fail()
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize("change", ["more", "fewer", "strides"])
def test_a_mask_of_a_store(change: str, simulated: Callable[[str], Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    dv.convert(simulated("visp_plain"), store, scan="never")
    with open(store / "dataset.asdf", "rb") as file:
        opened = asdf.open(io.BytesIO(file.read()), lazy_load=False, memmap=False)
    shape = dv.open_dataset(store).shape
    tree = dict(opened.tree)

    def write(mask: Any) -> bytes:
        buffer = io.BytesIO()
        tiles = [{**tree["tiles"][0], "mask": mask}]
        asdf.AsdfFile({**tree, "tiles": tiles}).write_to(buffer)
        return buffer.getvalue()

    mask = np.asfortranarray(np.random.default_rng(0).random(shape) > 0.5)
    (store / "dataset.asdf").write_bytes(write(mask))
    np.testing.assert_array_equal(dv.open_dataset(store).mask, mask)
    if change == "strides":
        strides = f"strides: [{', '.join(map(str, mask.strides))}]".encode()
        data = write(mask)
        assert data.count(strides) == 1
        ones = f"strides: [{', '.join('1' for _ in shape)}]".encode()
        (store / "dataset.asdf").write_bytes(data.replace(strides, ones))
        message = "expected bytes of its own"
    else:
        wrong = np.zeros((2, *shape) if change == "more" else shape[1:], bool)
        (store / "dataset.asdf").write_bytes(write(wrong))
        message = r"store: the mask has shape .* Convert again"
    with pytest.raises(errors.StoreCorruptError, match=message):
        dv.open_dataset(store)
