"""Parse FITS files of any survey for VirtualiZarr; astropy says what their pixels are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from astropy.io import fits
from icechunk_repository import repository
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import HTTPStore, LocalStore
from virtualizarr import open_virtual_dataset

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.publish.virtualizarr import FITSParser

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning",
    "ignore::zarr.errors.ZarrUserWarning",
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
)


def registry() -> Any:
    return ObjectStoreRegistry({"file://": LocalStore()})


def write(path: Path, number: int) -> Path:
    """An exposure: a primary header, a compressed image, plain and scaled ones, a table."""
    random = np.random.default_rng(number)
    science = random.normal(100, 5, (30, 40)).astype("f4")
    science[3, 4] = np.nan
    image = fits.CompImageHDU(
        science, name="SCI", compression_type="RICE_1", quantize_method=2, tile_shape=(10, 40)
    )
    image.header["EXPTIME"] = 1.5 * (number + 1)
    image.header["HISTORY"] = "made for a test"
    mask = fits.ImageHDU(random.integers(0, 9, (30, 40)).astype("i2"), name="MASK")
    scaled = fits.ImageHDU(random.integers(0, 60000, (2, 5, 7)).astype("u2"), name="SCALED")
    twice = fits.ImageHDU(np.arange(6.0).reshape(2, 3) + number, name="MASK")
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(3))])
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "a telescope"
    fits.HDUList([primary, image, mask, table, scaled, twice]).writeto(path)
    return path


def oracle(path: Path) -> dict[str, Any]:
    with fits.open(path) as hdus:
        numbers = {"SCI": 1, "MASK": 2, "SCALED": 4, "MASK_5": 5}
        return {name: np.array(hdus[number].data) for name, number in numbers.items()}


@pytest.fixture(scope="module")
def exposures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("exposures")
    return [write(directory / f"exposure {number}.fits", number) for number in range(3)]


def check(opened: Any, expected: dict[str, Any]) -> None:
    assert set(opened) == set(expected)
    for name, pixels in expected.items():
        found = np.asarray(opened[name])
        assert found.dtype.newbyteorder("=") == pixels.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("partial_reads", [True, False])
def test_all_images_of_a_file_are_arrays(exposures: list[Path], partial_reads: bool) -> None:
    parser = FITSParser(partial_reads=partial_reads)
    store = parser(str(exposures[0]), registry())
    group = zarr.open_group(store, mode="r", zarr_format=3)
    expected = oracle(exposures[0])
    check({name: group[name][...] for name in group}, expected)
    for name, pixels in expected.items():
        np.testing.assert_array_equal(group[name][..., 1, 1:3], pixels[..., 1, 1:3])
    assert group.attrs["TELESCOP"] == "a telescope"
    attributes = dict(group["SCI"].attrs)
    with fits.open(exposures[0]) as hdus:
        header = hdus[1].header
        for keyword in ("EXPTIME", "BITPIX", "NAXIS1", "EXTNAME", "XTENSION"):
            assert attributes[keyword] == header[keyword]
    assert attributes["HISTORY"].strip() == "made for a test"
    assert "ZCMPTYPE" not in attributes
    assert group["SCALED"].metadata.dimension_names == ("SCALED_z", "SCALED_y", "SCALED_x")


def concatenated(exposures: list[Path], **options: Any) -> xr.Dataset:
    each = [
        open_virtual_dataset(str(path), registry=registry(), parser=FITSParser(**options))
        for path in exposures
    ]
    return xr.concat(each, dim="exposure", coords="minimal", compat="override")


def stacked(exposures: list[Path]) -> dict[str, Any]:
    each = list(map(oracle, exposures))
    return {name: np.stack([one[name] for one in each]) for name in each[0]}


def test_files_are_concatenated_and_written_to_kerchunk(
    exposures: list[Path], tmp_path: Path
) -> None:
    virtual = concatenated(exposures, partial_reads=False)
    virtual.vz.to_kerchunk(str(tmp_path / "all.json"), format="json")
    virtual.vz.to_kerchunk(str(tmp_path / "all.parq"), format="parquet")
    expected = stacked(exposures)
    for name in ("all.json", "all.parq"):
        place = str(tmp_path / name)
        with xr.open_dataset(place, engine="kerchunk", mask_and_scale=False) as opened:
            check({name: opened[name].values for name in opened}, expected)


def test_files_are_concatenated_and_written_to_icechunk(
    exposures: list[Path], tmp_path: Path
) -> None:
    repo = repository(tmp_path / "repo", exposures[0].parent)
    session = repo.writable_session("main")
    concatenated(exposures).vz.to_icechunk(session.store)
    session.commit("exposures")
    group = zarr.open_group(repo.readonly_session("main").store, mode="r")
    check({name: group[name][...] for name in group}, stacked(exposures))
    np.testing.assert_array_equal(group["SCI"][1, 7], stacked(exposures)["SCI"][1, 7])


def test_chosen_hdus(exposures: list[Path]) -> None:
    store = FITSParser(hdu=["mask", 4])(str(exposures[0]), registry())
    group = zarr.open_group(store, mode="r", zarr_format=3)
    expected = oracle(exposures[0])
    check({n: group[n][...] for n in group}, {n: expected[n] for n in ("MASK", "SCALED")})
    place = str(exposures[0])
    with pytest.raises(dv.errors.FrameCorruptError, match=r"0\.fits: the file has no HDU 'FLUX'"):
        FITSParser(hdu="FLUX")(place, registry())
    with pytest.raises(dv.errors.FrameUnsupportedError, match="HDU 3"):
        FITSParser(hdu=3)(place, registry())
    with pytest.raises(dv.errors.FrameMissingError, match="nothing"):
        FITSParser()(place + "nothing", registry())


def test_a_file_that_ends_within_a_table_may_lack_images(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=range(9))])
    hdus = [fits.PrimaryHDU(np.ones((2, 2))), table, fits.ImageHDU(np.ones((2, 2)))]
    path = tmp_path / "a.fits"
    fits.HDUList(hdus).writeto(path)
    path.write_bytes(path.read_bytes()[: 3 * 2880 + 20])
    with pytest.raises(dv.errors.FrameCorruptError, match=r"a\.fits: HDU 1: .*cut short"):
        FITSParser()(str(path), registry())
    assert list(FITSParser(hdu=0)(str(path), registry())._group.arrays) == ["PRIMARY"]


@pytest.mark.parametrize("hdu", [True, -1, "", [], [1.5], 2.5])
def test_hdu_is_checked_when_given(hdu: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="hdu"):
        FITSParser(hdu=hdu)
    with pytest.raises(TypeError, match="hdus"):
        FITSParser(hdus=1)  # type: ignore[call-arg]


def test_secrets_are_not_written_with_references() -> None:
    for url in ("https://user:secret@example.org/a.fits", "https://example.org/a.fits?sig=secret"):
        with pytest.raises(dv.errors.FrameRefusedError, match="password or query") as raised:
            FITSParser()(url, registry())
        assert "secret" not in str(raised.value)


def test_names_from_strangers_stay_names(tmp_path: Path) -> None:
    """An EXTNAME with a slash would be a group of Zarr, and one of Zarr's own names a file."""
    names = ("../x", "zarr.json", "__a", "a/b", "")
    images = [fits.ImageHDU(np.arange(4.0), name=name) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "a.fits")
    group = zarr.open_group(FITSParser()(str(tmp_path / "a.fits"), registry()), mode="r")
    assert set(group) == {"1", "2", "3", "4", "5"}


def test_a_cut_out_fetches_ranges_of_its_image(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 4000, (300, 400)).astype("i2")
    image = fits.CompImageHDU(pixels, compression_type="RICE_1", tile_shape=(1, 400))
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits")
    with FrameServer(tmp_path).running() as server:
        store = HTTPStore(server.url, client_options={"allow_http": True})
        at = ObjectStoreRegistry({server.url: store})
        asked, sent = {}, {}
        for partial in (True, False):
            server.forget()
            parsed = FITSParser(partial_reads=partial)(f"{server.url}/a.fits", at)
            assert len(server.requests) == 1  # the headers
            data: Any = zarr.open_group(parsed, mode="r", zarr_format=3)["COMPRESSED_IMAGE"]
            server.forget()
            np.testing.assert_array_equal(data[7:9, 30:50], pixels[7:9, 30:50])
            asked[partial], sent[partial] = len(server.requests), server.sent
    assert asked == {True: 3, False: 1}
    assert sent[True] < sent[False] / 10


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "virtualizarr", None)
    for parser in (dv.FITSParser(), dv.DKISTParser()):
        with pytest.raises(ImportError, match=r"pip install 'dkist_virtual\[virtualizarr\]'"):
            parser("anything", None)  # type: ignore[arg-type]
