"""A store's dataset without its WCS says what the one with its WCS says, or is not made."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from dkist_assets import DATASETS, FEW, unpacked
from samples import mostly_slow
from simulated import NAMES

import dkist_virtual as dv
from dkist_virtual.cli.main import main
from dkist_virtual.dataset.open import open_stored, select_alike
from dkist_virtual.dataset.stored import StoredDataset
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.store.format import dataset_asdf
from dkist_virtual.store.format.summary import Summary

GOLDEN = Path(__file__).parents[1] / "store" / "stores"
ASSETS = [name for name in DATASETS if not name.startswith("large")]


def assert_same_overview(store: Path) -> None:
    quick, whole = open_stored(store).overview(), dv.open_dataset(store).overview()
    assert quick == whole
    assert quick.text() == whole.text()
    assert json.dumps(quick.as_json()) == json.dumps(whole.as_json())
    assert quick.html() == whole.html()


@pytest.mark.parametrize("name", mostly_slow(NAMES, "visp_moving", "vbi_mosaic_missing"))
def test_every_instrument(name: str, converted: Callable[[str], Path]) -> None:
    assert isinstance(open_stored(converted(name)), StoredDataset)
    assert_same_overview(converted(name))


@pytest.mark.parametrize("name", mostly_slow(ASSETS, FEW[0]))
def test_every_real_wcs(name: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    dv.convert(unpacked(name, tmp_path), store, scan="never")
    quick = open_stored(store)
    masked = any(ds.mask is not None for ds in tiles_of(dv.open_dataset(store)))
    assert isinstance(quick, StoredDataset) != masked
    assert_same_overview(store)


def tiles_of(ds: Any) -> Iterator[Any]:
    return iter(ds.flat if isinstance(ds, dv.TiledDataset) else [ds])


@pytest.mark.parametrize("name", [path.name for path in GOLDEN.iterdir() if path.suffix])
def test_stores_of_earlier_versions_have_no_summary(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not isinstance(open_stored(GOLDEN / name), StoredDataset)
    main(["info", str(GOLDEN / name)])
    assert capsys.readouterr().out == f"{dv.open_dataset(GOLDEN / name).overview().text()}\n"


def test_a_server_is_asked_for_the_same(converted: Callable[[str], Path]) -> None:
    store = converted("visp_moving")

    def asked(open_it: Callable[[str], Any]) -> list[Any]:
        with FrameServer(store.parent).running() as server:
            overview = open_it(f"{server.url}/{store.name}").overview()
            assert overview.n_frames == 6
            return sorted((method, path) for method, path, *_ in server.requests)

    quick = asked(open_stored)
    assert quick == asked(dv.open_dataset)
    assert quick.count(("GET", f"{store.name}/dataset.asdf")) == 1


INDICES = (0, (slice(None), slice(0, 1)), (..., slice(2, 30, 3)), (0, 0, 0), (0,) * 5, 99, (0,) * 9)


@pytest.mark.parametrize("name", mostly_slow(["visp_moving", "vbi_mosaic_missing"], "visp_moving"))
def test_the_same_files_are_selected(name: str, converted: Callable[[str], Path]) -> None:
    stored, ds = open_stored(converted(name)), dv.open_dataset(converted(name))
    for item in (*INDICES, (0,) * ds.overview().as_json()["shape"].__len__()):
        try:
            expected = select_alike(ds, item).files
        except dv.errors.SelectionError as error:
            with pytest.raises(dv.errors.SelectionError, match=f"^{re.escape(str(error))}$"):
                select_alike(stored, item)
        else:
            found = select_alike(stored, item).files
            assert (found.urls, found.keys) == (expected.urls, expected.keys)
            np.testing.assert_array_equal(found.sizes, expected.sizes)


# What a store says wrongly ----------------------------------------------------------------------

DIGEST = re.compile(rb"\n  digest: '?([0-9a-f]{64})(\{[^'\n]*\})")


@pytest.fixture
def store(converted: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(converted("visp_moving"), tmp_path / "store"))


def rewrite(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the outline of a store's ASDF, and make the digest right again."""
    data = (store / "dataset.asdf").read_bytes()
    found = DIGEST.search(data)
    assert found is not None
    outline = json.loads(found[2])
    change(outline)
    text = json.dumps(outline, separators=(",", ":")).replace(" ", r"\u0020")
    begin = found.start(1)
    data = data[:begin] + b"0" * 64 + text.encode() + data[found.end() :]
    digest = hashlib.sha256(data).hexdigest().encode()
    (store / "dataset.asdf").write_bytes(data[:begin] + digest + data[begin + 64 :])


WRONG: dict[str, Callable[[dict[str, Any]], None]] = {
    "no summary": lambda s: s.clear(),
    "one key less": lambda s: s.pop("unit"),
    "a number for a name": lambda s: s.update(instrument=3),
    "a text for names": lambda s: s.update(axis_names="abcd"),
    "an axis too many": lambda s: s["axis_names"].append("x"),
    "a world axis too many": lambda s: s["world_axes"].append(["a", "b", "c"]),
    "a world axis of two": lambda s: s["world_axes"][0].pop(),
    "another shape": lambda s: s["shapes"][0].__setitem__(0, 99),
    "no shapes": lambda s: s.update(shapes=[]),
    "one shape more": lambda s: s["shapes"].append(s["shapes"][0]),
    "a sky axis that is not there": lambda s: s["sky_axes"].update(latitude=77),
    "another kind of axis": lambda s: s["sky_axes"].update(depth=0),
    "numbers for truth": lambda s: s["correlation"][0].__setitem__(0, 1),
    "a row less": lambda s: s["correlation"].pop(),
    "nothing made it": lambda s: s.update(made_from=[None, None, None]),
    "very many axes": lambda s: s.update(world_axes=s["world_axes"] * 50),
}


@pytest.mark.every(3)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_summary_is_not_used(name: str, store: Path) -> None:
    expected = dv.open_dataset(store).overview() if name == "no summary" else None
    rewrite(store, lambda outline: WRONG[name](outline["summary"]))
    quick = open_stored(store)
    assert not isinstance(quick, StoredDataset)
    if expected is not None:
        assert quick.overview() == expected


INF = float("inf")
GRIDS = ([10**9, 10**9], [1, 1], [2**16, 2], "ab", [1], [INF, 1], [10**12, 0], [10**12, -1])


@pytest.mark.parametrize("grid", GRIDS)
def test_a_wrong_grid_is_not_used(grid: object, store: Path) -> None:
    rewrite(store, lambda outline: outline.update(grid=grid))
    assert not isinstance(open_stored(store), StoredDataset)


@pytest.mark.parametrize("version", [None, 2, "1"])
def test_an_outline_of_another_version_is_not_used(version: object, store: Path) -> None:
    rewrite(store, lambda outline: outline.update(format_version=version))
    assert not isinstance(open_stored(store), StoredDataset)
    rewrite(store, lambda outline: outline.pop("format_version"))
    assert not isinstance(open_stored(store), StoredDataset)


def test_the_outline_can_be_rewritten(store: Path) -> None:
    # Without this, a wrong digest would pass for a wrong summary.
    rewrite(store, lambda outline: outline["summary"].update(unit="DN", future=1))
    quick = open_stored(store)
    assert isinstance(quick, StoredDataset)
    assert quick.overview().unit == "DN"


@pytest.mark.parametrize(("unit", "expected"), [(b"km", "km"), (b"furlongs", None), (b"[1]", None)])
def test_a_unit_that_is_a_plain_text(unit: bytes, expected: str | None, store: Path) -> None:
    path = store / "dataset.asdf"
    data, n = re.subn(rb"\n  unit: [^\n]*", b"\n  unit: " + unit, path.read_bytes())
    assert n == 1
    for content in (data, dataset_asdf._with_digest(data)):
        path.write_bytes(content)
        if expected is None:
            with pytest.raises(StoreCorruptError, match="not the description"):
                dv.open_dataset(store).unit  # noqa: B018
        else:
            assert dv.open_dataset(store).unit == u.Unit(expected)


def test_another_description_is_read_itself(store: Path) -> None:
    path = store / "dataset.asdf"
    data = path.read_bytes()
    assert data.count(b"instrumentName: VISP") == 1
    path.write_bytes(data.replace(b"instrumentName: VISP", b"instrumentName: LISP"))
    quick = open_stored(store)
    assert not isinstance(quick, StoredDataset)
    assert quick.overview().instrument == "LISP"


def test_names_that_yaml_would_escape(tmp_path: Path) -> None:
    from dkist_virtual.store.format.dataset_asdf import read_description, write_description

    store = Path(shutil.copytree(GOLDEN / "plain.json", tmp_path / "store"))
    description = read_description(store / "dataset.asdf")
    shapes = (dv.open_dataset(store).shape,)
    summary = Summary(
        instrument="it's", dataset_id="a: b # c", product_id="é\N{GREEK SMALL LETTER ALPHA}",
        unit="", made_from=("\\u0020 ' \" {x}.asdf", None, "\x1b[31m\n"), shapes=shapes,
        axis_names=tuple("abcd"[: len(shapes[0])]), world_axes=(("a b", "", "'"),), sky_axes={},
        correlation=((True,) * len(shapes[0]),),
    )  # fmt: skip
    write_description(description, store / "dataset.asdf", summary)
    again = read_description(store / "dataset.asdf")
    assert again.summary == summary
    assert again.inventory == description.inventory
    text = open_stored(store).overview().text()
    assert "\x1b" not in text
    assert r"\x1b[31m\n" in text


def test_a_summary_is_checked_when_it_is_made(converted: Callable[[str], Path]) -> None:
    stored = open_stored(converted("visp_moving"))
    assert isinstance(stored, StoredDataset)
    assert Summary.from_json(json.loads(json.dumps(stored.summary.to_json()))) == stored.summary
    for value in (None, [], "text", {}, {**stored.summary.to_json(), "sky_axes": [1]}):
        assert Summary.from_json(value) is None
    with pytest.raises(ValueError, match="summary"):
        replace(stored.summary, unit=3)  # type: ignore[arg-type]
