"""Compare the overview of a dataset with kept texts, and with WCSs that others made.

The texts in ``overviews`` were read by a person; they are compared to the letter. Write them anew,
and read the difference before it is committed, with
``PYTHONPATH=tests/support:. python tests/dataset/test_overview.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from dkist_assets import DATASETS, FEW, load, unpacked
from overviews import a_mosaic, an_overview, spectrograph
from samples import mostly_slow

from dkist_virtual.dataset.overview import Overview, describe_wcs

TEXTS = Path(__file__).with_name("overviews")
PRINTED: dict[str, Callable[[], str]] = {
    "dataset.txt": lambda: an_overview().text() + "\n",
    "mosaic.txt": lambda: a_mosaic().text() + "\n",
    "without_inventory.txt": lambda: (
        an_overview(instrument=None, dataset_id=None, store=None, made_from=None).text() + "\n"
    ),
    "array_alone.txt": lambda: an_array_alone().text() + "\n",
}

ASSETS = [name for name in DATASETS if not name.startswith("large")]


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_the_text_is_the_kept_one(name: str) -> None:
    assert PRINTED[name]() == (TEXTS / name).read_text(encoding="utf-8")


def test_every_kept_text_is_compared() -> None:
    assert {path.name for path in TEXTS.iterdir()} == set(PRINTED)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"n_bytes": None}, "frames         12 of 2,752, size not known (not all were scanned)"),
        ({"total_frames": None, "total_bytes": None}, "frames         12, 25.2 MB"),
        ({"total_bytes": None}, "frames         12 of 2,752, 25.2 MB"),
        ({"product_id": None}, "product ID     -"),
        ({"unit": None}, "unit           -"),
        ({"unit": ""}, "unit           dimensionless"),
        ({"made_from": ("V.asdf", None, None)}, "made from      V.asdf"),
        (
            {"made_from": ("V.asdf", None, "dataset-1.3.0")},
            "made from      V.asdf, dataset-1.3.0",
        ),
        ({"computed_from": "9 frames in /d"}, "computed from  9 frames in /d"),
        ({"missing": "nan"}, "absent frames  are read as NaN (missing='nan')"),
        ({"missing": "nan", "dtype": "int16"}, "absent frames  are read as 0 (missing='nan')"),
    ],
)
def test_text_says_what_is_known_and_what_is_not(changes: dict[str, Any], line: str) -> None:
    assert f"  {line}" in an_overview(**changes).text().splitlines()


def an_array_alone() -> Overview:
    """An overview without frames."""
    axes, world, correlation = describe_wcs(spectrograph(), (12, 976, 2555))
    return Overview(
        kind="Dataset",
        dtype="float64",
        shape=(12, 976, 2555),
        array="numpy.ndarray",
        array_axes=axes,
        world_axes=world,
        correlation=correlation,
    )


def test_json_of_an_array_without_frames_has_the_same_keys() -> None:
    assert list(an_array_alone().as_json()) == list(an_overview().as_json())


class Page(HTMLParser):
    """The tables of a page as rows of texts, by caption; and every tag and attribute."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.attributes: set[str] = set()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.paragraphs: list[str] = []
        self.caption = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "table":
            self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "caption":
            self.caption = ""
        elif tag == "p":
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data: str) -> None:
        if self.open[-1] == "caption":
            self.caption += data
        elif self.open[-1] == "p":
            self.paragraphs[-1] += data
        else:
            assert self.open[-1] in ("td", "th"), data
            self.rows[-1][-1] += data


def test_html_holds_the_fields() -> None:
    overview = an_overview()
    page = Page(overview.html())
    assert page.open == []
    assert list(page.tables) == [
        "VISP Dataset BKEWK",
        "Array axes",
        "World axes",
        "Which world coordinate changes along which array axis",
    ]
    facts = dict(page.tables["VISP Dataset BKEWK"])
    assert facts["product ID"] == overview.product_id
    assert facts["frames"] == "12 of 2,752, 25.2 MB of 5.78 GB"
    assert facts["data"] == overview.array
    assert facts["unit"] == overview.unit
    assert facts["frames in"] == overview.place
    assert facts["store"] == overview.store
    axes = [(int(index), name, int(size)) for index, name, size in page.tables["Array axes"][1:]]
    assert tuple(axes) == overview.array_axes
    world = [(int(row[0]), *row[1:]) for row in page.tables["World axes"][1:]]
    named = [(index, *(text or "-" for text in rest)) for index, *rest in overview.world_axes]
    assert world == named
    matrix = page.tables["Which world coordinate changes along which array axis"]
    assert matrix[0][1:] == ["0 step", "1 place along the slit", "2 dispersion axis"]
    assert [[{"x": True, ".": False}[mark] for mark in row[1:]] for row in matrix[1:]] == [
        list(row) for row in overview.correlation
    ]


def test_html_of_a_mosaic_holds_the_tiles() -> None:
    page = Page(a_mosaic().html())
    assert page.tables["Tiles"] == [
        ["Tiles", "j=0", "j=1", "j=2"],
        ["i=0", ".", "x", "x"],
        ["i=1", "x", ".", "."],
    ]
    assert page.paragraphs == ["Data, unit and axes of tile [0, 1], the first that is there."]


def test_html_escapes_and_stands_alone() -> None:
    hostile = "<script>alert('&amp;')</script>\""
    overview = an_overview(
        instrument=hostile,
        dataset_id=hostile,
        product_id=hostile,
        place=hostile,
        store=hostile,
        made_from=(hostile, hostile, hostile),
        unit=hostile,
        array=hostile,
        array_axes=tuple((n, hostile, size) for n, size in enumerate((12, 976, 2555))),
        world_axes=((0, hostile, hostile, hostile),),
        correlation=((True, False, True),),
    )
    page = Page(overview.html())
    plain = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td"}
    assert page.tags == plain
    assert page.attributes == {"class", "style", "scope"}
    assert dict(page.tables[f"{hostile} Dataset {hostile}"])["frames in"] == hostile
    assert page.tables["World axes"][1] == ["0", hostile, hostile, hostile]
    assert "url(" not in overview.html()


def test_json_goes_out_and_comes_back() -> None:
    overview = an_overview()
    record = overview.as_json()
    assert json.loads(json.dumps(record)) == record
    assert record["array_axes"][1] == {"index": 1, "name": "place along the slit", "size": 976}
    assert record["world_axes"][1] == {
        "index": 1,
        "name": "slit & step",
        "physical_type": "custom:pos",
        "unit": "arcsec",
    }
    assert record["made_from"] == {
        "asdf": "VISP_L1_BKEWK.asdf",
        "date": "2024-05-01",
        "version": "dataset-1.2.0",
    }
    assert record["tiles"] is None
    # What is a field of its own and plain comes out under its name.
    assert record["further_places"] == []
    elsewhere = an_overview(further_places=("/data", "/more")).as_json()
    assert (elsewhere["place"], elsewhere["further_places"]) == (overview.place, ["/data", "/more"])
    for key in set(record) - {"array_axes", "world_axes", "made_from", "tiles", "further_places"}:
        value = getattr(overview, key)
        assert record[key] == json.loads(json.dumps(value)), key


def test_json_has_the_same_keys_whatever_is_known() -> None:
    bare = an_overview(
        instrument=None,
        dataset_id=None,
        product_id=None,
        n_bytes=None,
        total_frames=None,
        total_bytes=None,
        store=None,
        made_from=None,
        unit=None,
    )
    keys = list(an_overview().as_json())
    assert list(bare.as_json()) == keys
    assert list(a_mosaic().as_json()) == keys
    assert bare.as_json()["made_from"] is None
    assert a_mosaic().as_json()["tiles"] == {"shape": [2, 3], "present": [[0, 1], [0, 2], [1, 0]]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": (12, 976)}, "array_axes has"),
        ({"shape": (12, 975, 2555)}, "array_axes has"),
        ({"correlation": ((True, True, True),)}, "correlation has rows"),
        ({"correlation": ((True,),) * 4}, "correlation has rows"),
        ({"total_frames": 11}, "n_frames is 12"),
        ({"n_frames": None}, "n_frames is None, place 'https:"),
        ({"place": None}, "place None, missing 'raise'"),
        ({"missing": None}, "missing None"),
        ({"n_frames": None, "place": None}, "place None, missing 'raise'"),
        ({"grid": (1, 1), "present": ((0, 0),)}, "grid is"),
        ({"kind": "TiledDataset"}, "grid is None"),
        ({"present": ((0, 0),)}, "present is"),
        ({"kind": "TiledDataset", "grid": (1, 2), "present": ((1, 0),)}, "row-major"),
        ({"kind": "TiledDataset", "grid": (1, 2), "present": ((0, 1), (0, 0))}, "row-major"),
        ({"kind": "TiledDataset", "grid": (1, 2)}, "at least one tile"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        an_overview(**changes)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asdf")


@pytest.mark.parametrize("name", mostly_slow(ASSETS, *FEW))
def test_axes_of_every_dataset_are_those_that_dkist_has(name: str, directory: Path) -> None:
    loaded = load(unpacked(name, directory))
    tiles = loaded._data.compressed() if hasattr(loaded, "tiles_shape") else [loaded]
    for tile in tiles:
        low = tile.wcs.low_level_wcs
        axes, world, correlation = describe_wcs(tile.wcs, tile.data.shape)
        assert [axis[0] for axis in axes] == list(range(tile.data.ndim))
        assert tuple(axis[2] for axis in axes) == tile.data.shape
        assert tuple(axis[1] for axis in axes) == tuple(reversed(low.pixel_axis_names))
        assert [axis[1:] for axis in world] == [
            (name, physical, unit)
            for name, physical, unit in zip(
                low.world_axis_names,
                low.world_axis_physical_types,
                low.world_axis_units,
                strict=True,
            )
        ]
        np.testing.assert_array_equal(correlation, low.axis_correlation_matrix[:, ::-1])


def test_a_sliced_wcs_keeps_what_is_left() -> None:
    low = SlicedLowLevelWCS(spectrograph(), (slice(None), 5, slice(3, 9)))
    axes, world, correlation = describe_wcs(HighLevelWCSWrapper(low), (12, 6))
    assert describe_wcs(low, (12, 6)) == (axes, world, correlation)
    assert axes == ((0, "step", 12), (1, "dispersion axis", 6))
    assert [axis[1] for axis in world] == ["wavelength", "slit & step", ""]
    assert correlation == ((False, True), (True, False), (True, False))


def test_the_array_of_a_single_frame_has_the_last_axes_of_its_wcs() -> None:
    axes, world, correlation = describe_wcs(spectrograph(), (976, 2555))
    assert axes == ((0, "place along the slit", 976), (1, "dispersion axis", 2555))
    assert len(world) == 4
    full = spectrograph().axis_correlation_matrix[:, ::-1]
    np.testing.assert_array_equal(correlation, full[:, 1:])


def test_an_array_with_more_axes_than_its_wcs_has_them_in_front() -> None:
    axes, _, correlation = describe_wcs(spectrograph(), (4, 12, 976, 2555))
    assert [axis[1] for axis in axes] == [
        "axis_0",
        "step",
        "place along the slit",
        "dispersion axis",
    ]
    full = spectrograph().axis_correlation_matrix[:, ::-1]
    np.testing.assert_array_equal(np.asarray(correlation)[:, 1:], full)
    assert not np.asarray(correlation)[:, 0].any()


def test_an_array_without_axes_still_has_a_world() -> None:
    axes, world, correlation = describe_wcs(spectrograph(), ())
    assert (axes, len(world), correlation) == ((), 4, ((),) * 4)
    overview = an_overview(shape=(), array_axes=axes, correlation=correlation)
    assert "World axis  Name" in overview.text()
    assert "Array axis" not in overview.text()
    assert list(Page(overview.html()).tables) == ["VISP Dataset BKEWK", "World axes"]


def test_names_given_come_before_those_of_the_wcs() -> None:
    axes, _, _ = describe_wcs(spectrograph(), (2, 3, 4), ["raster", None, ""])
    assert [axis[1] for axis in axes] == ["raster", "place along the slit", "dispersion axis"]
    with pytest.raises(ValueError, match="axis_names has 2 entries: expected 3"):
        describe_wcs(spectrograph(), (2, 3, 4), ["a", "b"])


def test_a_wcs_without_names_or_types_makes_empty_texts() -> None:
    axes, world, correlation = describe_wcs(WCS(naxis=2), (3, 4))
    assert axes == ((0, "axis_0", 3), (1, "axis_1", 4))
    assert world == ((0, "", "", ""), (1, "", "", ""))
    assert correlation == ((False, True), (True, False))


def test_the_room_imports_nothing_heavy() -> None:
    code = (
        "import sys, dkist_virtual.dataset.overview\n"
        "heavy = {'dkist', 'sunpy', 'matplotlib', 'numba', 'gwcs', 'asdf'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "[]\n", run.stderr


if __name__ == "__main__":
    TEXTS.mkdir(exist_ok=True)
    for name, printed in PRINTED.items():
        (TEXTS / name).write_text(printed(), encoding="utf-8")
