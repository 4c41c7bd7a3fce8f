"""FITS files of any survey become one array: astropy, kerchunk and xarray read the same."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.fits.card import Undefined
from astropy.wcs import WCS

import dkist_virtual as dv
from dkist_virtual.errors import (
    DatasetError,
    FrameCorruptError,
    FrameMissingError,
    FrameRefusedError,
    FrameUnreachableError,
    FrameUnsupportedError,
    HeaderWarning,
    SelectionError,
    StoreExistsError,
)

FILTERS = ("g", "r")
TIMES = ("2024-01-01T00:00:00", "2024-01-01T00:00:07.5", "2024-01-02T00:00:00")


def pixels(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(100, 3, (12, 10)).astype("f4")


def header(time: str, band: str, number: int) -> fits.Header:
    made = fits.Header()
    made["DATE-OBS"], made["FILTER"], made["SEQ"] = time, band, number
    made["EXPTIME"], made["GOOD"], made["BUNIT"] = 1.5 * number, number % 2 == 0, "adu"
    made["CTYPE1"], made["CTYPE2"] = "RA---TAN", "DEC--TAN"
    made["CRVAL1"], made["CRVAL2"], made["CDELT1"], made["CDELT2"] = 10.0 + number, 5.0, -0.1, 0.1
    made["HISTORY"] = "first line"
    made["HISTORY"] = f"line of {number}"
    if number == 3:
        made["SEEING"] = (0.7, "[arcsec] of this file alone")
    return made


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six compressed files: of three times and two filters, in no order of their names."""
    directory = tmp_path_factory.mktemp("night")
    number = 0
    for band in FILTERS:
        for time in TIMES:
            image = fits.CompImageHDU(
                pixels(number), header(time, band, number), name="SCI", compression_type="RICE_1",
                quantize_method=2, dither_seed=number + 1,
            )  # fmt: skip
            primary = fits.PrimaryHDU()
            primary.header["TELESCOP"], primary.header["SEQ"] = "of the primary", -1
            table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=[1, 2])])
            fits.HDUList([primary, image, table]).writeto(directory / f"{7 - number}.fits")
            number += 1
    return directory


def of_astropy(path: Path | str, hdu: int | str = 1) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = fits.getdata(path, hdu)
    return found


def grid_of_astropy(night: Path) -> np.ndarray[Any, Any]:
    """By time and filter."""
    numbers = [[7 - t - 3 * f for f in range(2)] for t in range(3)]
    return np.array([[of_astropy(night / f"{n}.fits") for n in row] for row in numbers])


def same(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(np.asarray(ours), theirs)
    assert np.asarray(ours).dtype.newbyteorder("=") == theirs.dtype.newbyteorder("=")


# Readers ----------------------------------------------------------------------------------------


def test_plain_files_need_no_codec_and_have_the_references_of_kerchunk(tmp_path: Path) -> None:
    import kerchunk.fits
    import xarray as xr

    for n in range(2):
        fits.PrimaryHDU(pixels(n)).writeto(tmp_path / f"{n}.fits")
    made = dv.fits_references(str(tmp_path / "?.fits"), tmp_path / "all.json")
    refs = json.loads((tmp_path / "all.json").read_text())["refs"]
    for n in range(2):
        theirs = kerchunk.fits.process_file(str(tmp_path / f"{n}.fits"))
        assert refs[f"data/{n}.0.0"] == theirs["PRIMARY/0.0"]
        zarray = json.loads(theirs["PRIMARY/.zarray"])
        ours = json.loads(refs["data/.zarray"])
        assert (ours["dtype"], ours["compressor"], ours["filters"]) == (zarray["dtype"], None, None)
    expected = np.array([of_astropy(tmp_path / f"{n}.fits", 0) for n in range(2)])
    with xr.open_dataset(str(tmp_path / "all.json"), engine="kerchunk") as ds:
        assert ds["data"].dims == ("file", "y", "x")
        same(ds["data"].values, expected)
    same(made.array()[...], expected)
    assert str(made).startswith("2 files, HDU 0: (file 2, y 12, x 10) of float32")


def test_kerchunk_reads_compressed_files_wrongly(night: Path) -> None:
    """It takes the compressed bytes for pixels, and says nothing: that is why there is a codec."""
    import kerchunk.fits

    path = night / "7.fits"
    theirs = kerchunk.fits.process_file(str(path))
    _, offset, length = theirs["SCI/0.0"]
    wrong = np.frombuffer(path.read_bytes()[offset : offset + length], ">f4")
    assert not np.array_equal(wrong, of_astropy(path).ravel())
    made = dv.fits_references(path)
    assert made.codec == {"id": "fits_image", "hdu": 1, "dtype": "<f4", "shape": [12, 10]}
    same(made.array()[...], of_astropy(path))


@pytest.mark.parametrize("name", ["night.json", "night.parq", "night.virtual"])
def test_every_form_reads_as_astropy(night: Path, tmp_path: Path, name: str) -> None:
    import xarray as xr

    target = tmp_path / name
    dv.fits_references(night.glob("*.fits"), target, by=("DATE-OBS", "FILTER"))
    expected = grid_of_astropy(night)
    place = target / "references.json" if name.endswith("virtual") else target
    with xr.open_dataset(str(place), engine="kerchunk") as ds:
        assert ds["data"].dims == ("date_obs", "filter", "y", "x")
        assert ds["data"].attrs["axis_values"] == {
            "date_obs": list(TIMES), "filter": list(FILTERS),
        }  # fmt: skip
        same(ds["data"].values, expected)
    beside = target / "headers.parquet" if target.suffix == ".virtual" else None
    table = pq.read_table(beside or tmp_path / "night.headers.parquet")
    assert table["SEQ"].to_pylist() == [0, 3, 1, 4, 2, 5]
    assert table["SEEING"].to_pylist() == [None, 0.7, None, None, None, None]
    same(dv.open_zarr(target)["data"][1:, :, 3:9, ::2], expected[1:, :, 3:9, ::2])
    if beside:
        with pytest.raises(DatasetError, match=r"dv\.open_zarr opens it"):
            dv.open_dataset(target)


KINDS: list[tuple[str, Callable[[int], Any]]] = [
    ("u2", lambda n: fits.PrimaryHDU(np.arange(n, n + 24, dtype="u2").reshape(4, 6))),
    ("i1", lambda n: fits.ImageHDU(np.arange(-5, n + 5, 1, "i1")[:8])),
    ("u1", lambda n: fits.ImageHDU(np.full((1, 3, 4), n, "u1"))),
    ("i8", lambda n: fits.ImageHDU(np.full((2, 2, 3, 4), n + 2**40, "i8"))),
    ("f8", lambda n: fits.PrimaryHDU(np.linspace(0, n, 12).reshape(3, 4))),
    ("gzip", lambda n: fits.CompImageHDU(pixels(n), compression_type="GZIP_2", quantize_level=0)),
    ("plio", lambda n: fits.CompImageHDU(np.full((9, 8), n, "i2"), compression_type="PLIO_1")),
    (
        "hcomp",
        lambda n: fits.CompImageHDU(
            pixels(n).astype("i4"), compression_type="HCOMPRESS_1", tile_shape=(12, 10)
        ),
    ),
    ("nan", lambda n: fits.CompImageHDU(np.where(pixels(n) > 100, np.nan, pixels(n)))),
]


@pytest.mark.parametrize(("kind", "make"), KINDS, ids=[kind for kind, _ in KINDS])
def test_pixels_are_those_of_astropy(kind: str, make: Callable[[int], Any], tmp_path: Path) -> None:
    index = 0
    for n in (3, 4):
        image = make(n)
        index = 0 if isinstance(image, fits.PrimaryHDU) else 1
        hdus = [image] if index == 0 else [fits.PrimaryHDU(), image]
        fits.HDUList(hdus).writeto(tmp_path / f"{n}.fits")
    paths = [tmp_path / "3.fits", tmp_path / "4.fits"]
    expected = np.array([of_astropy(path, index) for path in paths])
    made = dv.fits_references(paths, tmp_path / "a.virtual")
    assert made.shape == expected.shape  # an axis of length 1 is kept
    assert (made.codec is None) == (kind in ("u1", "i8", "f8"))
    same(made.array()[...], expected)
    same(dv.open_zarr(tmp_path / "a.virtual")["data"][1], expected[1])


def test_scaled_and_blank_integers_are_floats(tmp_path: Path) -> None:
    for n in range(2):
        hdu = fits.PrimaryHDU(np.arange(12, dtype="i2").reshape(3, 4))
        hdu.header["BSCALE"], hdu.header["BZERO"], hdu.header["BLANK"] = 0.5 + n, 10, 7
        hdu.writeto(tmp_path / f"{n}.fits")
    paths = sorted(tmp_path.glob("*.fits"))
    made = dv.fits_references(paths)
    same(made.array()[...], np.array([of_astropy(path, 0) for path in paths]))
    assert np.isnan(made.array()[0, 1, 3])


# Axes -------------------------------------------------------------------------------------------


def test_lists_give_the_axes(night: Path) -> None:
    a, b, c = (night / f"{n}.fits" for n in (2, 3, 4))
    assert dv.fits_references(a, hdu=np.int64(1)).shape == (12, 10)
    assert dv.fits_references([a]).dims == ("file", "y", "x")
    nested = dv.fits_references([[a, b], [c, None]], dims=("time", "band"))
    assert nested.dims == ("time", "band", "y", "x")
    same(nested.array()[1, 0], of_astropy(c))
    with pytest.raises(FrameMissingError, match=r"data/1.1.0.0: no file is named"):
        nested.array()[1, 1]
    assert np.isnan(nested.array(missing="nan")[1, 1]).all()
    assert nested.headers["SEQ"].tolist() == [5, 4, 3, None]
    array = np.array([str(a), str(b)])
    same(dv.fits_references(array, dims=("t", "row", "column")).array()[1], of_astropy(b))
    manifest = nested.manifest()
    assert manifest["paths"].shape == (2, 2, 1, 1)
    assert manifest["paths"][0, 1, 0, 0] == b.as_uri()
    assert manifest["paths"][1, 1, 0, 0] == ""
    start, n = (int(manifest[key][0, 1, 0, 0]) for key in ("offsets", "lengths"))
    assert b.read_bytes()[start : start + n].startswith(b"XTENSION")


def test_a_manifest_has_the_names_that_virtualizarr_looks_for(night: Path, tmp_path: Path) -> None:
    spaced, percent = tmp_path / "a b ü.fits", tmp_path / "a%20b.fits"
    for path in (spaced, percent):
        path.write_bytes((night / "2.fits").read_bytes())
    assert dv.fits_references(spaced).manifest()["paths"].item() == f"file://{spaced}"
    with pytest.raises(FrameRefusedError, match="expected a name without them"):
        dv.fits_references(percent).manifest()


def test_a_hole_in_a_grid_is_said_or_left(night: Path) -> None:
    some = [night / f"{n}.fits" for n in (7, 6, 5, 4, 3)]
    with pytest.raises(DatasetError, match=r"5 files do not fill a grid of 3 DATE-OBS by 2 FILTER"):
        dv.fits_references(some, by=("DATE-OBS", "FILTER"))
    made = dv.fits_references(some, by=("date-obs", "filter"), missing="absent")
    assert made.frame_shape == (3, 2)
    with pytest.raises(FrameMissingError):
        made.array()[2, 1]
    same(made.array()[:2], grid_of_astropy(night)[:2])


@pytest.mark.parametrize(
    ("files", "options", "kind", "message"),
    [
        (["7", "7"], {"by": "SEQ"}, DatasetError, r"SEQ = 0, as .*7\.fits has"),
        (["7", "6"], {"by": "NIGHT"}, DatasetError, r"7\.fits: NIGHT is missing"),
        (["7", "6"], {"by": ("SEQ", "seq")}, ValueError, "named twice"),
        (["7", None], {"by": "SEQ"}, ValueError, "files has None"),
        ([], {}, DatasetError, "empty list"),
        ([["7"], ["7", "6"]], {}, DatasetError, "entry 1 of a list is a list of 2"),
        ({"7"}, {}, TypeError, "files: set"),
        (["7", "none"], {}, FrameMissingError, r"1 of 2 files are absent.*none\.fits"),
        (["7", "far/none"], {"missing": "absent"}, FrameUnreachableError, "1 not reachable"),
        (["none"], {"missing": "absent"}, FrameMissingError, "not one of 1 file"),
        (["7"], {"dims": ("a", "b")}, ValueError, "2 names: expected 1.* or 3"),
        (["7"], {"hdu": "ERR"}, FrameCorruptError, r"7\.fits: the file has no HDU 'ERR'"),
        (["7"], {"hdu": 2}, FrameUnsupportedError, "no image"),
        (["7"], {"hdu": -1}, ValueError, "hdu = -1: expected an index from 0, or an EXTNAME"),
        (["7"], {"hdu": ("SCI", 1)}, TypeError, r"hdu = \('SCI', 1\): expected an index"),
        (["7"], {"missing": "nan"}, ValueError, "expected 'raise' or 'absent'"),
    ],
)
def test_what_makes_no_array_is_refused(
    night: Path, files: Any, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    def path(name: Any) -> Any:
        if isinstance(name, list):
            return list(map(path, name))
        return name and night / f"{name}.fits"

    given = path(files) if isinstance(files, list) else files
    with pytest.raises(kind, match=message):
        dv.fits_references(given, **options)


def test_files_that_differ_are_named(night: Path, tmp_path: Path) -> None:
    first = night / "7.fits"
    other = fits.CompImageHDU(np.zeros((12, 9), "f4"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), other]).writeto(tmp_path / "narrow.fits")
    with pytest.raises(DatasetError, match=r"narrow\.fits: HDU 1: NAXIS1 = 9: expected 10, as in"):
        dv.fits_references([first, tmp_path / "narrow.fits"])
    other = fits.CompImageHDU(np.zeros((12, 10), "i2"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), other]).writeto(tmp_path / "whole.fits")
    with pytest.raises(DatasetError, match=r"HDU 1: BITPIX = 16, .* int16 pixels: expected float"):
        dv.fits_references([first, tmp_path / "whole.fits"])
    moved = fits.CompImageHDU(pixels(1), fits.Header({"BUNIT": "adu"}), name="SCI")
    table = fits.BinTableHDU(name="T")
    fits.HDUList([fits.PrimaryHDU(), table, moved]).writeto(tmp_path / "moved.fits")
    made = dv.fits_references([first, tmp_path / "moved.fits"])
    assert made.hdu == "SCI"
    same(made.array()[1], of_astropy(tmp_path / "moved.fits", "SCI"))
    moved = fits.CompImageHDU(pixels(1), name="X")
    fits.HDUList([fits.PrimaryHDU(), table, moved]).writeto(tmp_path / "named.fits")
    with pytest.raises(DatasetError, match=r"image is in HDU 2 'X': expected HDU 1"):
        dv.fits_references([first, tmp_path / "named.fits"])


def test_files_that_are_not_fits_are_named(night: Path, tmp_path: Path) -> None:
    import gzip

    (tmp_path / "a.fits.gz").write_bytes(gzip.compress((night / "7.fits").read_bytes()))
    with pytest.raises(FrameUnsupportedError, match=r"a\.fits\.gz: the file as a whole .* gzip"):
        dv.fits_references(tmp_path / "a.fits.gz")
    (tmp_path / "cut.fits").write_bytes((night / "7.fits").read_bytes()[:9000])
    with pytest.raises(FrameCorruptError, match=r"cut\.fits: HDU 1: .*cut short"):
        dv.fits_references(tmp_path / "cut.fits")
    with pytest.raises(DatasetError, match=r"is a directory: expected files"):
        dv.fits_references(tmp_path)
    with pytest.raises(FrameMissingError, match="no file fits this pattern"):
        dv.fits_references(f"{tmp_path}/*.fit")
    (tmp_path / "a\nb.fits").write_bytes((night / "7.fits").read_bytes())
    with pytest.raises(DatasetError, match="line breaks"):
        dv.fits_references([tmp_path / "a\nb.fits"])
    with pytest.raises(ValueError, match="password or a query"):
        dv.fits_references(["https://example.org/a.fits?token=SECRET"])


# Headers ----------------------------------------------------------------------------------------


def test_headers_are_those_of_astropy(night: Path) -> None:
    paths = sorted(night.glob("*.fits"))
    made = dv.fits_references(paths)
    for row, path in zip(made.headers, paths, strict=True):
        theirs = fits.getheader(path, 1)
        for keyword in made.headers.colnames:
            value = theirs.get(keyword, Undefined())
            if keyword in ("EXTNAME", "XTENSION", "PCOUNT", "GCOUNT"):
                continue
            if isinstance(value, Undefined):
                assert np.ma.is_masked(row[keyword])
            else:
                expected = "\n".join(value) if keyword == "HISTORY" else value
                assert row[keyword] == expected, keyword
        assert {*theirs} <= {*made.headers.colnames}
    kinds = {key: made.headers[key].dtype.kind for key in ("SEQ", "EXPTIME", "GOOD", "FILTER")}
    assert kinds == {"SEQ": "i", "EXPTIME": "f", "GOOD": "b", "FILTER": "U"}
    assert made.headers["SEEING"].description == "[arcsec] of this file alone"
    assert list(made.header(2)["HISTORY"]) == list(fits.getheader(paths[2], 1)["HISTORY"])
    with warnings.catch_warnings(action="ignore"):
        ours, theirs = WCS(made.header(2)), WCS(fits.getheader(paths[2], 1))
    found = ours.wcs_pix2world([[4, 5]], 0)
    assert found.tolist() == theirs.wcs_pix2world([[4, 5]], 0).tolist()
    with pytest.raises(SelectionError, match="outside of"):
        made.header(6)
    assert made.array().attrs["unit"] == "adu"


def test_the_primary_header_is_added_where_it_is_asked_for(night: Path) -> None:
    path = night / "7.fits"
    assert "TELESCOP" not in dv.fits_references(path).headers.colnames
    table = dv.fits_references(path, primary=True).headers
    assert table["TELESCOP"].tolist() == ["of the primary"]
    assert table["SEQ"].tolist() == [0]  # the image's own


def test_what_a_table_cannot_say_is_said(tmp_path: Path) -> None:
    for n, value in enumerate((1, "two")):
        hdu = fits.PrimaryHDU(pixels(n))
        hdu.header["MIXED"] = value
        hdu.header.append(("AGAIN", 1), end=True)
        hdu.header.append(("AGAIN", 2), end=True)
        hdu.header["BUNIT"] = ("adu", "electron")[n]
        hdu.writeto(tmp_path / f"{n}.fits")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        made = dv.fits_references(sorted(tmp_path.glob("*.fits")))
    said = [str(w.message) for w in caught if w.category is HeaderWarning]
    assert len(said) == 3
    assert {w.filename for w in caught if w.category is HeaderWarning} == {__file__}
    assert any("keywords AGAIN occur several times" in text for text in said)
    assert any("keywords MIXED have values of several types" in text for text in said)
    assert any("BUNIT differs" in text for text in said)
    assert made.headers["MIXED"].tolist() == ["1", "two"]
    assert made.headers["AGAIN"].tolist() == [1, 1]


def test_headers_of_strangers_are_bounded_and_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.conversion.fits_files import table

    hdu = fits.PrimaryHDU(pixels(0))
    hdu.header["OBJECT"], hdu.header["RA"] = "red XX", 1.0
    hdu.writeto(tmp_path / "a.fits")
    data = (tmp_path / "a.fits").read_bytes()
    data = data.replace(b"red XX", b"red \x1bX").replace(b"         1.0", b"         1,0")
    (tmp_path / "a.fits").write_bytes(data)
    made = dv.fits_references(tmp_path / "a.fits")
    assert made.headers["OBJECT"].tolist() == ["red \x1bX"]
    assert "\x1b" not in str(made.headers["OBJECT",])
    assert made.header()["OBJECT"] == "red ?X"
    assert made.headers["RA"].tolist() == [None]  # is not FITS
    monkeypatch.setattr(table, "MOST_TEXT", 5)
    with pytest.warns(HeaderWarning, match="OBJECT have too much text for a table: they are left"):
        assert "OBJECT" not in dv.fits_references(tmp_path / "a.fits").headers.colnames
    monkeypatch.setattr(table, "MOST_CELLS", 5)
    with pytest.raises(DatasetError, match="more than 5 keywords in 1 files make too large"):
        dv.fits_references(tmp_path / "a.fits")


# Files that are written, and a server -----------------------------------------------------------


def test_nothing_else_is_replaced(night: Path, tmp_path: Path) -> None:
    made = dv.fits_references(night / "7.fits")
    for name in ("a.json", "a.parq", "a.virtual"):
        made.write(tmp_path / name)
        with pytest.raises(StoreExistsError, match="exists already"):
            made.write(tmp_path / name)
        made.write(tmp_path / name, overwrite=True)
    (tmp_path / "a.virtual" / "mine.txt").write_text("keep")
    (tmp_path / "b.json").mkdir()
    for name in ("a.virtual", "b.json"):
        with pytest.raises(StoreExistsError, match="something else"):
            made.write(tmp_path / name, overwrite=True)
    with pytest.raises(ValueError, match=r"a\.json is for json: expected one that ends in \.parq"):
        made.write(tmp_path / "a.json", references="parquet")
    with pytest.raises(ValueError, match="relative: other readers"):
        made.write(tmp_path / "c.json", relative=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "a.headers.parquet", "a.json", "a.parq", "a.virtual", "b.json",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def served(night: Path) -> Iterator[Any]:
    from dkist_virtual.demo.server import FrameServer

    large = np.random.default_rng(1).normal(size=(1000, 100)).astype("f4")
    image = fits.CompImageHDU(large, name="SCI", compression_type="GZIP_1", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(night / "large")
    with FrameServer(night).running() as server:
        yield server
    (night / "large").unlink()


@pytest.mark.parametrize("name", ["all.json", "all.parq", "all.virtual"])
def test_directories_above_are_made(night: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "not" / "yet" / name
    dv.fits_references(night / "7.fits", target)
    np.testing.assert_array_equal(dv.open_zarr(target)["data"][:], of_astropy(night / "7.fits"))


def test_a_cut_out_is_read_in_ranges(night: Path, tmp_path: Path, server: Any) -> None:
    url = f"{server.url}/large"
    made = dv.fits_references([url, f"{server.url}/gone"], tmp_path / "s.virtual", missing="absent")
    assert server.sent < 60_000  # of 400 kB
    expected = of_astropy(night / "large")
    for array in (made.array(), dv.open_zarr(tmp_path / "s.virtual")["data"]):
        server.forget()
        same(array[0, 500:502, 3:8], expected[500:502, 3:8])
        assert server.sent < 60_000
        with pytest.raises(FrameMissingError):
            array[1]
    (night / "s.json").write_text(made.to_json() or "")
    (night / "local.json").write_text(dv.fits_references(night / "7.fits").to_json() or "")
    same(dv.open_zarr(f"{server.url}/s.json")["data"][0, 3], expected[3])
    with pytest.raises(FrameRefusedError, match=r"refers to .*7\.fits"):
        dv.open_zarr(f"{server.url}/local.json")["data"][0]
    moved = dv.fits_references(
        [night / "large", night / "7.fits"][:1], tmp_path / "m.virtual", base=server.url
    )
    assert json.loads(moved.to_json() or "")["refs"]["data/0.0.0"][0] == url
    same(dv.open_zarr(tmp_path / "m.virtual")["data"][0, 7], expected[7])


def test_a_store_with_its_files_can_be_moved(night: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    shutil.copy(night / "7.fits", before)
    dv.fits_references(before / "7.fits", before / "s.virtual", relative=True)
    before.rename(after)
    same(dv.open_zarr(after / "s.virtual")["data"][...], of_astropy(night / "7.fits"))


GOLDEN = Path(__file__).with_name("survey")


def test_the_golden_store_opens_and_is_written_again(tmp_path: Path) -> None:
    """``survey`` has two files and their store, as the first version wrote it, relative to them."""
    expected = np.array([of_astropy(GOLDEN / f"{n}.fits") for n in range(2)])
    array = dv.open_zarr(GOLDEN / "all.virtual")["data"]
    same(array[...], expected)
    same(array[1, 3:5, ::3], expected[1, 3:5, ::3])
    for n in range(2):
        shutil.copy(GOLDEN / f"{n}.fits", tmp_path)
    dv.fits_references(f"{tmp_path}/*.fits", tmp_path / "all.virtual", by="SEQ", relative=True)
    ours, golden = (place / "all.virtual" for place in (tmp_path, GOLDEN))
    name = "references.json"
    assert json.loads((ours / name).read_text()) == json.loads((golden / name).read_text())
    tables = [pq.read_table(one / "headers.parquet") for one in (ours, golden)]
    for table in tables:
        assert table.schema.metadata == tables[1].schema.metadata
    old, new = (table.drop_columns(["_mtime"]) for table in tables)
    assert new.equals(old)


def test_the_command_writes_the_same(night: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from dkist_virtual.cli.main import cli

    out, files = str(tmp_path / "a.json"), f"{night}/?.fits"
    given = ["references", files, "--to", out, "--by", "DATE-OBS", "--by", "FILTER", "--hdu", "sci"]
    result = CliRunner().invoke(cli, given, catch_exceptions=False)
    assert result.output.startswith(f"{out}: 6 files, HDU 'sci': (date_obs 3, filter 2, y 12")
    made = dv.fits_references(files, by=("DATE-OBS", "FILTER"), hdu="sci")
    assert json.loads(Path(out).read_text()) == json.loads(made.to_json() or "")
    twice = ["--to", str(tmp_path / "b.json"), "--by", "SEQ", "--by", "seq"]
    wrong = CliRunner().invoke(cli, ["references", files, *twice])
    assert wrong.exit_code == 2
    assert "named twice" in wrong.output
