"""The page of an archive, and the previews on it."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner

import dkist_virtual as dv
from dkist_virtual.cli.main import cli
from dkist_virtual.datacenter.published.table import COLUMNS, NAME, arrow_schema
from dkist_virtual.errors import StoreError, StoreMissingError
from dkist_virtual.publish.page.assets import POLICY
from dkist_virtual.publish.page.picture import Plane, block_means, draw, turned
from dkist_virtual.publish.page.previews import draw_previews, read_record


def catalogue(stores: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a catalogue of these rows, without any store."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    stores.mkdir(exist_ok=True)
    names = [column.name for column in COLUMNS]
    whole = [{name: row.get(name) for name in names} for row in rows]
    pq.write_table(pa.Table.from_pylist(whole, arrow_schema()), stores / NAME)
    return stores


def images(directory: Path) -> list[tuple[Any, Any]]:
    """The header and pixels of each frame, in the order of their names, as astropy reads them."""
    found = []
    for path in sorted(directory.glob("*.fits")):
        with fits.open(path) as hdus:
            hdu = hdus[-1]
            found.append((hdu.header.copy(), np.squeeze(hdu.data)))
    return found


# What is read -------------------------------------------------------------------------------


def planes(store: Path) -> tuple[Any, Any]:
    from dkist_virtual.dataset.loader import open_store
    from dkist_virtual.publish.page.plane import Counted, read_plane
    from dkist_virtual.store.read_options import ReadOptions

    opened = open_store(str(store), ReadOptions())
    counted = Counted.of(opened.handle.store.fetcher)
    opened.handle.store.fetcher = counted
    mosaic = opened.description.grid is not None
    return read_plane(tuple(opened.provenances()), counted, mosaic=mosaic), counted


def test_a_raster_is_shown_as_a_map_of_one_bright_wavelength(
    simulated: Callable[[str], Path], converted: Callable[[str], Path]
) -> None:
    shown, counted = planes(converted("visp"))
    frames = [pixels for header, pixels in images(simulated("visp")) if header["STOKES"] == "I"]
    assert len(frames) == 4 == shown.n_frames
    raster = np.stack(frames, axis=-1)  # wavelength, slit, step
    same = [
        row for row in range(raster.shape[0])
        if np.array_equal(raster[row].astype("f4"), shown.plane.pixels, equal_nan=True)
    ]  # fmt: skip
    assert len(same) == 1
    spectrum = np.nanmean(raster[:, :, 2], axis=1)
    assert spectrum[same[0]] > np.nanmedian(spectrum)
    assert "map" in shown.what
    # The middle frame, and a part of each: header, table and one row of tiles.
    size = sum(path.stat().st_size for path in simulated("visp").glob("*.fits"))
    assert 0 < counted.nbytes < size / 3


@pytest.mark.slow
def test_a_mosaic_is_shown_with_all_its_tiles(
    simulated: Callable[[str], Path], converted: Callable[[str], Path]
) -> None:
    shown, _ = planes(converted("vbi_mosaic_missing"))
    # Their simulated fields are smaller than the sky between them.
    assert (shown.n_frames, shown.what) == (5, "all tiles side by side")
    pixels = shown.plane.pixels
    assert pixels.shape == (158, 158)
    in_time = sorted(images(simulated("vbi_mosaic_missing")), key=lambda one: one[0]["DATE-BEG"])
    # The middle of two is the later one.
    there = {(header["MINDEX1"], header["MINDEX2"]): data for header, data in in_time}
    assert len(there) == 5
    tiles = [pixels[y : y + 50, x : x + 50] for y in (0, 54, 108) for x in (0, 54, 108)]
    filled = [tile for tile in tiles if np.isfinite(tile).any()]
    assert len(filled) == 5
    for data in there.values():
        assert any(np.array_equal(data.astype("f4"), tile) for tile in filled)


def test_a_picture_is_turned_north_up_and_keeps_its_proportions() -> None:
    pixels = np.arange(6, dtype="f4").reshape(2, 3)
    # Along y westward by 2 arcsec, along x southward by 1.
    plane = turned(Plane(pixels, np.array([[0.0, 2.0], [-1.0, 0.0]])))
    np.testing.assert_array_equal(plane.pixels, [[2, 5], [1, 4], [0, 3]])
    np.testing.assert_array_equal(plane.matrix, [[2, 0], [0, 1]])
    data, size = draw(Plane(np.tile(pixels, (50, 50)), np.array([[0.0, 2.0], [-1.0, 0.0]])))
    assert size == (320, 240)  # 100 x 2 by 150 x 1 arcsec
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"
    np.testing.assert_array_equal(
        block_means(np.array([[1, 3, np.nan], [5, 7, np.nan]]), (2, 2)), [[4, np.nan]]
    )
    with pytest.raises(ValueError, match="none of its pixels"):
        draw(Plane(np.full((2, 2), np.nan, "f4")))


def test_previews_are_kept_while_the_store_is_the_same(
    simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    frames, store, previews = (tmp_path / name for name in ("f", "a.virtual", "previews"))
    shutil.copytree(simulated("visp_plain"), frames)
    dv.convert(frames, store, progress=False)
    gone = tmp_path / "gone.virtual"
    stores = {"a": (str(store), "1"), "gone": (str(gone), "1")}
    first = draw_previews(stores, previews, progress=False)
    assert first["a"].file == "a.webp"
    assert first["a"].n_bytes > 0
    assert first["gone"].file == ""
    assert first["gone"].what == "its store cannot be read"
    assert str(gone) in first["gone"].detail
    assert str(tmp_path) not in (previews / "previews.json").read_text()
    assert read_record(previews) == first

    shutil.copytree(frames, tmp_path / "elsewhere")
    for frame in frames.glob("*.fits"):
        frame.unlink()
    data = (previews / "a.webp").read_bytes()
    assert draw_previews(stores, previews, progress=False) == first
    again = draw_previews({"a": (str(store), "2")}, previews, progress=False)
    assert again["a"].what == "its frames are not there"
    assert sorted(os.listdir(previews)) == ["previews.json"]

    there = {"a": str(tmp_path / "elsewhere")}
    found = draw_previews({"a": (str(store), "2")}, previews, frames=there, progress=False)
    assert found["a"].file == "a.webp"
    assert (previews / "a.webp").read_bytes() == data  # deterministic


def test_an_interrupted_run_keeps_what_it_drew(
    converted: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.publish.page import previews

    def drawn(place: str, *rest: Any) -> previews.Preview:
        if place == "b":
            raise KeyboardInterrupt
        return real(place, *rest)

    real = previews._drawn
    monkeypatch.setattr(previews, "_drawn", drawn)
    place = str(converted("visp_plain"))
    stores: dict[str, tuple[str, str | None]] = {"a": (place, "1"), "b": ("b", "1")}
    with pytest.raises(KeyboardInterrupt):
        draw_previews(stores, tmp_path, workers=1, progress=False)
    assert read_record(tmp_path)["a"].file == "a.webp"
    assert sorted(os.listdir(tmp_path)) == ["a.webp", "previews.json"]


# The page -----------------------------------------------------------------------------------


class Parsed(HTMLParser):
    """What a browser makes of a page: its elements, and addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\u202e</title>--><!--"
ATTRIBUTES = frozenset("""
    lang charset http-equiv content name class href id role hidden data-years data-pages for type
    value aria-label aria-labelledby data-instrument data-lines data-start data-end src alt loading
    width height datetime tabindex data-store
""".split())  # fmt: skip  # noqa: SIM905


def test_markup_in_every_text_stays_text(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        column.name: {"text": EVIL, "texts": [EVIL, EVIL]}[column.kind]
        for column in COLUMNS
        if column.kind in ("text", "texts")
    }
    times = {"start": datetime(2024, 1, 2, tzinfo=UTC), "n_frames": 2, "shape": [2, 3]}
    rows = [
        {**row, **times, "base": f"https://x/{EVIL}"},
        {**row, **times, "store": "javascript:alert(1)", "base": "javascript:alert(1)"},
        {**row, **times, "store": "https://data.example.org/A.virtual", "asdf": "A.asdf",
         "base": "https://data.example.org/A"},
        {**row, **times, "store": "https://user:secret@example.org/B.virtual"},
        {**row, **times, "store": "../../etc/C.virtual"},
        {**row, **times, "store": "s3://bucket/D.virtual", "base": "s3://bucket/D"},
    ]  # fmt: skip
    written = dv.write_page(catalogue(tmp_path, rows), title=EVIL, progress=False)
    assert (written.n_datasets, written.n_previews) == (4, 0)
    assert sorted(written.left_out) == [
        "../../etc/C.virtual", "https://…@example.org/B.virtual",
    ]  # fmt: skip
    text = written.index.read_text(encoding="utf-8")
    page = Parsed(text)
    assert page.open == []
    assert len(page.all("script")) == len(page.all("style")) == len(page.all("h1")) == 1
    assert len(page.all("article")) == 4
    assert page.all("img") == []
    assert {name for _, one in page.elements for name in one} <= ATTRIBUTES
    links = [str(one["href"]) for one in page.all("a")]
    assert all(re.match(r"#|\./|https://data\.example\.org/A", link) for link in links)
    assert "https://data.example.org/A/A.asdf" in links
    assert "\u202e" not in text
    assert "secret" not in text
    (policy,) = [one["content"] for one in page.all("meta") if one.get("http-equiv")]
    assert policy == POLICY
    stores = [code["data-store"] for code in page.all("code") if "data-store" in code]
    # Those elsewhere are named as they are.
    assert len(stores) == 2
    assert "./javascript%3Aalert%281%29" in stores
    assert any(re.fullmatch(r"\./(?:[\w./-]|%\w\w)+", str(store)) for store in stores)


def test_headings_labels_and_pictures_are_there_for_everybody(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(converted("visp_plain"), tmp_path / "A.virtual")
    rows = [
        {"store": "A.virtual", "dataset_id": "A", "instrument": "VISP", "store_id": "1"},
        {"store": "B.virtual", "dataset_id": "B", "embargoed": True, "store_id": "2"},
        {"store": "C.virtual", "dataset_id": "C", "status": "REMOVED"},
    ]
    written = dv.write_page(catalogue(tmp_path, rows), url="https://x.org/s/", progress=False)
    assert (written.n_datasets, written.n_previews) == (2, 1)
    assert written.without == {"the dataset is under embargo": 1}
    page = Parsed(written.index.read_text(encoding="utf-8"))
    (picture,) = page.all("img")
    assert (tmp_path / str(picture["src"])).is_file()
    assert str(picture["alt"]).startswith("VISP A: the spectrum")
    ids = [one["id"] for _, one in page.elements if "id" in one]
    assert len(set(ids)) == len(ids)
    assert {one["for"] for one in page.all("label")} == {
        one["id"] for tag in ("input", "select") for one in page.all(tag)
    }
    assert {one["aria-labelledby"] for one in page.all("article")} <= set(ids)
    assert all("hidden" in one for one in page.all("form"))  # without a script
    assert 'dv.open_dataset("https://x.org/s/A.virtual")' in "".join(page.text)


def test_frames_are_read_where_an_archive_is_here() -> None:
    from dkist_virtual.publish.page.write import _frames_of

    frames = {"https://x.org/archive/": "/archive", "https://x.org/archive/a": "/other/a"}
    for base, place in (
        ("https://x.org/archive/p/B", "/archive/p/B"),
        ("https://x.org/archive", "/archive"),
        ("https://x.org/archive/a/B/", "/other/a/B"),
        ("https://x.org/archives/p", None),
        ("https://x.org/archive/../p", None),
        (None, None),
    ):
        assert _frames_of({"base": base}, frames) == place
    assert _frames_of({"base": "https://x.org"}, "/here") == "/here"


def test_many_datasets_are_on_pages_that_stay(tmp_path: Path) -> None:
    def row(n: int) -> dict[str, Any]:
        year, day = (2022, n) if n < 240 else (2023, n - 240)
        start = datetime.fromordinal(datetime(year, 1, 1).toordinal() + day)  # noqa: DTZ001
        return {
            "store": f"D{n:03d}.virtual", "dataset_id": f"D{n:03d}", "instrument": "VBI",
            "start": start.replace(tzinfo=UTC), "end": start.replace(tzinfo=UTC),
            "lines": ["H alpha"],
        }  # fmt: skip

    def files() -> dict[str, tuple[bytes, int]]:
        return {
            str(path.relative_to(tmp_path)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in [tmp_path / "index.html", *sorted((tmp_path / "pages").glob("*"))]
        }

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "2019-1.html").write_text("of former datasets")
    (tmp_path / "pages" / "mine.html").write_text("somebody else's")
    catalogue(tmp_path, [row(n) for n in range(250)])
    written = dv.write_page(tmp_path, previews=False)
    assert (written.n_datasets, written.n_pages) == (250, 5)
    before = files()
    names = {"2022-1.html", "2022-2.html", "2022-3.html", "2022.json", "2023-1.html", "2023.json"}
    assert set(before) == {"index.html", "pages/mine.html", *(f"pages/{name}" for name in names)}
    rows = json.loads(before["pages/2022.json"][0])
    assert [entry[2] for entry in rows] == [f"D{n:03d}" for n in range(239, -1, -1)]
    for page, anchor, *_ in rows:
        assert f'id="{anchor}"'.encode() in before[f"pages/{page}"][0]
    assert before["index.html"][0].count(b"<article") == 100

    assert dv.write_page(tmp_path, previews=False) == written
    assert files() == before
    catalogue(tmp_path, [row(n) for n in range(251)])
    dv.write_page(tmp_path, previews=False)
    changed = {name for name, what in files().items() if what != before[name]}
    assert changed == {"index.html", "pages/2023-1.html", "pages/2023.json"}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"url": "https://a.org/?key=secret"}, ValueError, "without a password or a query"),
        ({"url": "javascript:alert(1)"}, ValueError, "expected the address of a web server"),
        ({"previews": 1}, TypeError, "previews = 1"),
        ({"picture": True}, TypeError, "picture"),
    ],
)
def test_wrong_options_are_refused(
    options: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=re.escape(said)) as raised:
        dv.write_page(catalogue(tmp_path, []), **options)
    assert "secret" not in str(raised.value)


def test_the_command_line_refuses_what_a_page_cannot_have(tmp_path: Path) -> None:
    for options, said in (
        (["--title", "A"], "--title is for the page: expected --page with it"),
        (["--workers", "2"], "--workers is for the page: expected --page with it"),
        (["--page", "--url", "ftp://a.org"], "expected the address of a web server"),
    ):
        result = CliRunner().invoke(cli, ["catalogue", str(tmp_path), *options])
        assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
        assert said in result.output
    for options, said in (
        (["--title", "A"], "--title is for the page: expected --page with it"),
        (["--records", __file__], "is not JSON"),
        (["--page", "--url", "ftp://a.org"], "expected the address of a web server"),
    ):
        result = CliRunner().invoke(
            cli, ["convert", "--all", str(tmp_path), "--to", str(tmp_path / "stores"), *options]
        )
        assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
        assert said in result.output


def test_a_page_needs_a_catalogue_on_this_machine(tmp_path: Path) -> None:
    with pytest.raises(StoreMissingError, match="dkist-virtual catalogue"):
        dv.write_page(tmp_path)
    with pytest.raises(StoreError, match="written on this machine"):
        dv.write_page("https://data.example.org/stores")
    with pytest.raises(StoreError, match="written on this machine"):
        dv.write_catalogue("https://data.example.org/stores")
