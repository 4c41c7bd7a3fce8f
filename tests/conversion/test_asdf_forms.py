"""ASDFs with another header table, written by newer packages, or that are not an ASDF at all.

Made from what ``dkist_inventory`` writes, by changes to the text of its tree.
"""

from __future__ import annotations

import gzip
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from dkist_assets import with_files
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import DatasetError, HeaderWarning, StoreCorruptError


def edited(source: Path, target: Path, *changes: tuple[str, str]) -> Path:
    """A copy of an ASDF with each of some words in its tree replaced once."""
    raw = source.read_bytes()
    for old, new in changes:
        assert old.encode() in raw
        raw = raw.replace(old.encode(), new.encode(), 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(raw)
    return target


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    directory = tmp_path_factory.mktemp("served")
    with FrameServer(directory).running() as server:
        yield directory, server


@pytest.fixture(scope="module")
def mosaic(simulated: Callable[[str], Path]) -> Path:
    return simulated("vbi_mosaic") / "vbi_mosaic.asdf"


# A header table that does not match ------------------------------------------------------------


def more_rows_than_frames(directory: Path, _: Path) -> Path:
    def first_only(node: dict[str, Any]) -> None:
        node["fileuris"] = node["fileuris"][:1]

    return with_files(directory / "more.asdf", directory, first_only)


def fewer_rows_than_frames(directory: Path, _: Path) -> Path:
    return with_files(directory / "fewer.asdf", directory, lambda _: None, n_rows=1)


def rows_of_another_tile(directory: Path, mosaic: Path) -> Path:
    """As many rows as frames in all, and not in each tile."""
    return edited(
        mosaic,
        directory / "another.asdf",
        ("{offset: 0, size: 3}", "{offset: 0, size: 4}"),
        ("{offset: 3, size: 3}", "{offset: 4, size: 2}"),
    )


def rows_beyond_the_table(directory: Path, mosaic: Path) -> Path:
    return edited(mosaic, directory / "beyond.asdf", ("offset: 9, size: 3", "offset: 91, size: 3"))


MISMATCHED = {
    more_rows_than_frames: "the header table has 80 rows for 20 frames",
    fewer_rows_than_frames: "the header table has 1 row for 80 frames",
    rows_of_another_tile: r"tile \[0, 0\]: the header table has 4 rows for 3 frames",
    rows_beyond_the_table: r"tile \[1, 1\]: the header table has 0 rows for 3 frames",
}


@pytest.mark.parametrize("form", mostly_slow(MISMATCHED, every=4), ids=lambda form: form.__name__)
def test_a_header_table_that_does_not_match_the_frames_is_left_out(
    form: Callable[[Path, Path], Path], mosaic: Path, tmp_path: Path
) -> None:
    path = form(tmp_path, mosaic)
    says = f"^{re.escape(str(path))}: {MISMATCHED[form]}.*read without headers"
    with pytest.warns(HeaderWarning, match=says):
        ds = dv.open_dataset(path)
    with pytest.warns(HeaderWarning, match=says):
        type(ds).from_asdf(path)
    with pytest.warns(HeaderWarning, match=says):
        dv.convert(path, tmp_path / "store", scan="never", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error", HeaderWarning)
        stored: Any = dv.open_dataset(tmp_path / "store")
    for one in (ds, stored):
        tiles = list(getattr(one, "flat", [one]))
        for tile in tiles:
            assert not tile.headers
            assert not tile[0].headers
            assert tile.to_xarray().shape == tile.shape
        str(one)
        assert len(one.files) == sum(len(tile.files) for tile in tiles)
    if isinstance(stored, dv.TiledDataset):
        assert not stored.combined_headers


@pytest.mark.slow
def test_tables_that_match_are_read_without_a_word(mosaic: Path, simulated: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", HeaderWarning)
        assert len(dv.open_dataset(mosaic).combined_headers) == 12
        assert len(dv.open_dataset(simulated("vtf")).headers) == 24


def test_the_headers_of_a_store_are_not_left_out(simulated: Any, tmp_path: Path) -> None:
    dv.convert(simulated("visp_plain"), tmp_path / "store", scan="never", progress=False)
    headers = tmp_path / "store" / "headers.parquet"
    pq.write_table(pq.read_table(headers).slice(0, 5), headers)
    with pytest.raises(StoreCorruptError, match="5 rows for 8 frames"):
        dv.open_dataset(tmp_path / "store").headers  # noqa: B018


# What newer packages wrote ---------------------------------------------------------------------

NEWER = {
    "a dataset": ("tags/dataset-1.3.0", "tags/dataset-9.9.9"),
    "a file manager": ("tags/file_manager-1.1.0", "tags/file_manager-9.9.9"),
    "a WCS": ("gwcs/wcs-1.4.0", "gwcs/wcs-9.9.9"),
    "a header table": ("table/table-1.3.0", "table/table-9.9.9"),
    "an ASDF standard": ("#ASDF_STANDARD 1", "#ASDF_STANDARD 9"),
    "a file format": ("#ASDF 1.0.0", "#ASDF 9.0.0"),
}
NOT_READ = {
    "cut in its tree": lambda raw: raw[: raw.index(b"\n...\n") // 2],
    "cut in a block": lambda raw: raw[: raw.index(b"\n...\n") + 2000],
    "gzipped": gzip.compress,
    "a FITS file": lambda _: b"SIMPLE  =                    T".ljust(2880),
    "empty": lambda _: b"",
    "a page": lambda _: b"<html>Log in</html>",
}


def openings(directory: Path, server: Any) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Every way to read the one ASDF in a directory: what it is called there, and how."""
    (path,) = directory.glob("*.asdf")
    url = f"{server.url}/{directory.name}/{path.name}"
    store = directory / "store"
    return {
        "path": (str(path), lambda: dv.open_dataset(path)),
        "directory": (str(path), lambda: dv.open_dataset(directory)),
        "URL": (url, lambda: dv.open_dataset(url)),
        "from_asdf": (str(path), lambda: dv.Dataset.from_asdf(path)),
        "convert": (str(path), lambda: dv.convert(path, store, scan="never", progress=False)),
        "convert a URL": (url, lambda: dv.convert(url, store, scan="never", progress=False)),
    }


def check_refused(directory: Path, server: Any) -> list[str]:
    """Try all ways; each names the user's file, and no copy of ours."""
    messages = []
    for name, opening in openings(directory, server).values():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # asdf's own, of tags that it does not know
            with pytest.raises(DatasetError, match=f"^{re.escape(name)}: ") as caught:
                opening()
        assert not re.search(r"dkist.virtual-\w{8}[/\\]", str(caught.value))
        messages.append(str(caught.value))
    assert not (directory / "store").exists()
    return messages


@pytest.mark.slow
@pytest.mark.parametrize("kind", mostly_slow(NEWER, "a dataset", "an ASDF standard"))
def test_what_newer_packages_wrote_is_refused_by_the_name_of_the_file(
    kind: str, simulated: Any, served: tuple[Path, Any]
) -> None:
    directory, server = served[0] / kind.replace(" ", "-"), served[1]
    edited(simulated("vtf") / "vtf.asdf", directory / "mine.asdf", NEWER[kind])
    for message in check_refused(directory, server):
        assert re.search("9[.][0-9][.]", message)
        assert "pip install --upgrade dkist" in message
        assert "not a valid level" not in message


@pytest.mark.parametrize("kind", NOT_READ)
def test_files_that_are_no_whole_asdf_are_refused_alike_from_everywhere(
    kind: str, simulated: Any, served: tuple[Path, Any]
) -> None:
    directory, server = served[0] / kind.replace(" ", "-"), served[1]
    directory.mkdir()
    raw = (simulated("vtf") / "vtf.asdf").read_bytes()
    (directory / "mine.asdf").write_bytes(NOT_READ[kind](raw))
    messages = check_refused(directory, server)
    assert len({message.partition(": ")[2] for message in messages}) == 1
    if kind == "gzipped":
        assert all(message.endswith("unpack it first") for message in messages)


def test_a_directory_with_a_gzipped_asdf_says_to_unpack_it(simulated: Any, tmp_path: Path) -> None:
    (tmp_path / "a.asdf.gz").write_bytes(
        gzip.compress((simulated("vtf") / "vtf.asdf").read_bytes())
    )
    for place in (tmp_path, tmp_path / "a.asdf.gz"):
        with pytest.raises(DatasetError, match=r"a\.asdf\.gz.* gzipped: unpack it first"):
            dv.open_dataset(place)


def test_columns_of_unequal_length_name_the_file(simulated: Any, tmp_path: Path) -> None:
    raw = (simulated("vtf") / "vtf.asdf").read_bytes()
    (column,) = re.findall(rb"name: NAXIS\b", raw)[:1] or [b""]
    assert column
    at = raw.rindex(b"shape: [24]", 0, raw.index(column))
    path = tmp_path / "uneven.asdf"
    path.write_bytes(raw[:at] + b"shape: [23]" + raw[at + 11 :])
    with pytest.raises(DatasetError, match=f"^{re.escape(str(path))}: "):
        dv.open_dataset(path)
