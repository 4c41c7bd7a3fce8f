"""Save datasets as FITS, netCDF and ASDF; astropy, sunpy, asdf and the package read the files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import numpy as np
import pytest
import sunpy.map
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import StdDevUncertainty
from astropy.wcs import WCS, FITSFixedWarning

import dkist_virtual as dv
from dkist_virtual.dataset.save.files.fits_file import express
from dkist_virtual.errors import (
    DatasetError,
    DKISTVirtualWarning,
    FrameMissingError,
    StoreExistsError,
    StoreMissingError,
)

NAMES = ("visp", "visp_moving", "vbi_mosaic", "vtf", "cryonirsp", "dlnirsp")
QUICK = ("visp",)
EACH = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in NAMES]


def slow(name: str) -> Any:
    """A case for make test-slow."""
    return pytest.param(name, marks=pytest.mark.slow)


ENDINGS = ["fits", slow("nc"), slow("asdf")]


def save(ds: Any, place: Path, **options: Any) -> Any:
    """Save, and open again; a note on wavelengths that are not in order may be said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not in order", category=DKISTVirtualWarning)
        ds.save(place, progress=False, **options)
    return dv.open_dataset(place)


def with_all(ds: Any) -> Any:
    """A computed dataset with mask, uncertainty, PSF, columns and meta of its own."""
    rng = np.random.default_rng(19)
    made = ds * 2
    made.mask = rng.random(made.shape) > 0.9
    made.uncertainty = StdDevUncertainty(rng.random(made.shape))
    made.psf = np.eye(3)
    made.headers["NUMBER"] = np.arange(len(made.headers))
    made.headers["WORD"] = ["a", ""] * (len(made.headers) // 2) + ["end"] * (len(made.headers) % 2)
    made.meta["note"] = "mine"
    return made


def sky_of(wcs: Any, *pixels: Any) -> SkyCoord:
    """The position on the sky, of all that a WCS says of a pixel."""
    found = wcs.pixel_to_world(*pixels)
    return (
        found if isinstance(found, SkyCoord) else next(w for w in found if isinstance(w, SkyCoord))
    )


def same_place(one: SkyCoord, other: SkyCoord, arcsec: float = 1e-3) -> None:
    """The same longitude and latitude, as the same observer sees them at the same time."""
    assert np.abs((one.Tx - other.Tx).to_value("arcsec")).max() < arcsec
    assert np.abs((one.Ty - other.Ty).to_value("arcsec")).max() < arcsec
    assert one.observer.separation_3d(other.observer) < 1 * u.m
    assert abs(one.obstime - other.obstime) < 1 * u.us
    assert one.rsun == other.rsun


def same_headers(one: Any, other: Any) -> None:
    assert one.colnames == other.colnames
    for name in one.colnames:
        a, b = np.ma.asarray(one[name]), np.ma.asarray(other[name])
        assert a.dtype == b.dtype, name
        np.testing.assert_array_equal(np.ma.getmaskarray(a), np.ma.getmaskarray(b), name)
        np.testing.assert_array_equal(a.compressed(), b.compressed(), name)


def same_dataset(got: Any, ds: Any) -> None:
    """Pixels bit for bit, WCS at random pixels, headers, unit, mask, uncertainty, and the rest."""
    assert (type(got), got.shape, got.dtype, got.unit) == (type(ds), ds.shape, ds.dtype, ds.unit)
    assert np.asarray(got.data).tobytes() == np.asarray(ds.data).tobytes()
    if ds.mask is None:
        assert got.mask is None
    else:
        np.testing.assert_array_equal(got.mask, ds.mask)
    if ds.uncertainty is None:
        assert got.uncertainty is None
    else:
        assert type(got.uncertainty) is type(ds.uncertainty)
        np.testing.assert_array_equal(got.uncertainty.array, ds.uncertainty.array)
        assert got.uncertainty.unit == ds.uncertainty.unit
    same_headers(got.headers, ds.headers)
    assert got.meta["inventory"] == ds.meta["inventory"]
    assert got.lineage.is_computed == ds.lineage.is_computed
    rng = np.random.default_rng(20)
    pixels = [rng.random(100) * (n - 1) for n in ds.shape[::-1]]
    ours, theirs = (one.wcs.low_level_wcs for one in (got, ds))
    for a, b in zip(
        np.atleast_2d(ours.pixel_to_world_values(*pixels)),
        np.atleast_2d(theirs.pixel_to_world_values(*pixels)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert str(got.global_coords) == str(ds.global_coords)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", EACH)
def test_a_computed_dataset_opens_as_it_was(
    name: str, ending: str, datasets: Any, tmp_path: Path
) -> None:
    ds = with_all(datasets(name))
    got = save(ds, tmp_path / f"cube.{ending}")
    same_dataset(got, ds)
    assert got.meta["note"] == "mine"
    np.testing.assert_array_equal(got.psf, ds.psf)
    assert got.lineage.source == ds.lineage.source
    # Its parts, and what is made of them, have the right parts of it, rows of the headers included.
    same_headers(got[..., 2:7].headers, ds.headers)
    same_headers((got[0] * 2).headers, ds[0].headers)
    assert list(got[0].headers["NUMBER"]) == list(ds[0].headers["NUMBER"])
    assert str(ds.provenance.n_frames) in str(got)
    part = got[0, 1:, ..., 3:9] + got[0, 1:, ..., 3:9]
    np.testing.assert_array_equal(part.data, 2 * np.asarray(ds[0, 1:, ..., 3:9].data))
    assert part.wcs.low_level_wcs.pixel_n_dim == len(part.shape)
    # A second time: nothing is lost, and nothing is added.
    same_dataset(save(got, tmp_path / f"again.{ending}"), ds)


@pytest.mark.parametrize("name", EACH)
def test_astropy_reads_what_was_saved_as_fits(name: str, datasets: Any, tmp_path: Path) -> None:
    """Every pixel, card, cell and sum; nothing that fits.verify finds."""
    ds = with_all(datasets(name))
    place = tmp_path / "cube.fits"
    save(ds, place)
    with fits.open(place, checksum=True) as file:
        file.verify("exception")
        image = file["DATA"]
        assert file[0] is image
        np.testing.assert_array_equal(image.data, ds.data)
        assert u.Unit(image.header["BUNIT"]) == ds.unit
        assert image.header["INSTRUME"] == ds.headers["INSTRUME"][0]
        assert "computed from" in str(image.header["HISTORY"])
        np.testing.assert_array_equal(file["MASK"].data, ds.mask)
        np.testing.assert_array_equal(file["UNCERT"].data, ds.uncertainty.array)
        assert file["UNCERT"].header["UTYPE"] == "StdDevUncertainty"
        assert list(file["HEADERS"].data["NUMBER"]) == list(ds.headers["NUMBER"])
        assert all({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(image.header, fobj=file)
        pixels = [np.random.default_rng(21).integers(0, n, 50) for n in ds.shape[::-1]]
        more = [np.zeros(50)] * (wcs.naxis - len(pixels))
        sky = sky_of(wcs, *pixels, *more)
    same_place(sky, sky_of(ds.wcs, *pixels))


@pytest.mark.parametrize("ending", ["fits", slow("nc"), "asdf"])
def test_names_that_urls_do_not_have(ending: str, datasets: Any, tmp_path: Path) -> None:
    ds = datasets("visp")[0] * 1
    place = tmp_path / "\u00fc #1 %20?"
    place.mkdir()
    np.testing.assert_array_equal(save(ds, place / f"\u03c3 #2.{ending}").data, ds.data)


@pytest.mark.parametrize("ending", ["fits", "nc", "asdf"])
def test_a_frame_that_is_absent_is_not_a_fault_of_the_file(
    ending: str, simulated: Any, tmp_path: Path
) -> None:
    ds = dv.open_dataset(simulated("visp"), frames=tmp_path)[0] * 1
    with pytest.raises(FrameMissingError, match="absent"):
        ds.save(tmp_path / f"cube.{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["fits", *map(slow, ("nc", "asdf"))])
def test_a_corrected_pointing_is_that_of_the_file(
    ending: str, datasets: Any, tmp_path: Path
) -> None:
    """10 arcsec to the west and 5 to the south, for astropy as well, and never a second time."""
    ds = datasets("visp")[0]
    shifted = ds.shift(10 * u.arcsec, -5 * u.arcsec) * 1
    place = tmp_path / f"cube.{ending}"
    got = save(shifted, place)
    before, after = sky_of(ds.wcs, 3, 4, 1), sky_of(got.wcs, 3, 4, 1)
    assert (after.Tx - before.Tx).to_value("arcsec") == pytest.approx(10, abs=1e-9)
    assert (after.Ty - before.Ty).to_value("arcsec") == pytest.approx(-5, abs=1e-9)
    assert got.pointing is None
    assert "dx +10 arcsec, dy -5 arcsec (before it was saved)" in str(got)
    twice = save(got.shift(1 * u.arcsec, 0 * u.arcsec), tmp_path / f"twice.{ending}")
    assert "dx +10 arcsec, dy -5 arcsec (before" in str(twice)
    assert "then dx +1 arcsec, dy +0 arcsec (before" in str(twice)
    moved = sky_of(twice.wcs, 3, 4, 1)
    assert (moved.Tx - before.Tx).to_value("arcsec") == pytest.approx(11, abs=1e-9)
    assert (moved.Ty - before.Ty).to_value("arcsec") == pytest.approx(-5, abs=1e-9)
    again = save(got, tmp_path / f"again.{ending}")
    same_place(sky_of(again.wcs, 3, 4, 1), after)
    if ending == "fits":
        with fits.open(place) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(file[0].header, fobj=file)
            assert "pointing corrected" in str(file[0].header["HISTORY"])
        same_place(sky_of(wcs, *[np.array(n) for n in (3, 4, 1)], *[0] * (wcs.naxis - 3)), after)


def test_asdf_alone_reads_what_was_saved_as_asdf(datasets: Any, tmp_path: Path) -> None:
    ds = with_all(datasets("visp"))
    save(ds, tmp_path / "cube.asdf")
    with asdf.open(tmp_path / "cube.asdf") as file:
        cube = file["cube"]
        np.testing.assert_array_equal(cube["data"], ds.data)
        np.testing.assert_array_equal(cube["mask"], ds.mask)
        np.testing.assert_array_equal(cube["uncertainty"]["array"], ds.uncertainty.array)
        assert u.Unit(cube["unit"]) == ds.unit
        same_headers(cube["headers"], ds.headers)
        assert type(cube["wcs"]).__module__.startswith("gwcs")
        assert cube["wcs"].pixel_to_world(3, 4, 1, 2)[1] == ds.wcs.pixel_to_world(3, 4, 1, 2)[1]


@pytest.mark.slow
def test_sunpy_makes_the_map_of_a_plane(datasets: Any, tmp_path: Path) -> None:
    """A frame, and a raster at one wavelength: as `to_map`, and where the WCS says."""
    for number, ds in enumerate((datasets("vbi_mosaic")[1], datasets("visp")[0, :, 5])):
        place = tmp_path / f"{number}.fits"
        save(ds, place)
        smap = sunpy.map.Map(place)
        np.testing.assert_array_equal(smap.data, ds.data)
        same_place(smap.pixel_to_world(3 * u.pix, 2 * u.pix), sky_of(ds.wcs, 3, 2))
        assert smap.unit == ds.unit
        assert smap.instrument == ds.headers["INSTRUME"][0]


@pytest.mark.slow
def test_frames_that_were_observed_stay_observed(datasets: Any, tmp_path: Path) -> None:
    ds = datasets("visp")[0, 1:3, :, 4:40:3]
    for place, options in (
        (tmp_path / "a.fits", {}),
        (tmp_path / "a.nc", {}),
        (tmp_path / "a.asdf", {"pixels": True}),
    ):
        got = save(ds, place, **options)
        same_dataset(got, ds)
        assert not got.lineage.is_computed


@pytest.mark.slow
def test_a_mosaic_has_an_image_for_each_tile(simulated: Any, tmp_path: Path) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic_missing"))
    mosaic.meta["note"] = "mine"
    got = save(mosaic, tmp_path / "mosaic.fits")
    assert got.shape == mosaic.shape
    np.testing.assert_array_equal(got.mask, mosaic.mask)
    assert got.meta["note"] == "mine"
    for place in map(tuple, np.argwhere(~np.asarray(mosaic.mask)).tolist()):
        same_dataset(got[place], mosaic[place])
    with fits.open(tmp_path / "mosaic.fits", checksum=True) as file:
        file.verify("exception")
        names = [hdu.name for hdu in file if hdu.name.startswith("DATA")]
        first = names[0].removeprefix("DATA_").split("_")
        np.testing.assert_array_equal(file[names[0]].data, mosaic[tuple(map(int, first))].data)
    with pytest.raises(DatasetError, match="pixels of one dataset"):
        mosaic.save(tmp_path / "mosaic.asdf", pixels=True)


TYPES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float64",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TYPES)
def test_pixels_of_all_types_are_the_same_bit_for_bit(
    name: str, datasets: Any, tmp_path: Path
) -> None:
    ds = datasets("visp")[0, 0]
    kind = np.dtype(name)
    ends: list[Any] = [np.nan, -0.0, np.inf, 1e-320]
    if kind.kind in "iu":
        ends = [np.iinfo(kind).min, np.iinfo(kind).max, 0, 1]
    elif name == "bool":
        ends = [0, 1]
    array = np.resize(np.array(ends, kind), ds.shape)
    own = ds.with_data(array, unit="ct")
    for ending in ("fits", "nc", "asdf"):
        got = save(own, tmp_path / f"{name}.{ending}")
        assert got.dtype == kind
        assert np.asarray(got.data).tobytes() == array.tobytes()
    with fits.open(tmp_path / f"{name}.fits", checksum=True) as file:
        np.testing.assert_array_equal(file[0].data, array)


@pytest.mark.slow
def test_masked_pixels_are_nan_if_that_is_asked_for(datasets: Any, tmp_path: Path) -> None:
    ds = datasets("visp")[0, 1] * 1
    ds.mask = np.zeros(ds.shape, bool)
    ds.mask[3:6, 4] = True
    plain = save(ds, tmp_path / "plain.fits")
    gone = save(ds, tmp_path / "nan.fits", nan=True)
    np.testing.assert_array_equal(plain.data, ds.data)
    np.testing.assert_array_equal(gone.data, np.where(ds.mask, np.nan, ds.data))
    whole = ds.with_data(np.zeros(ds.shape, int))
    with pytest.raises(DatasetError, match="have no NaN"):
        whole.save(tmp_path / "int.fits", nan=True)


def test_what_cannot_be_saved_is_refused_and_nothing_is_written(
    datasets: Any, tmp_path: Path
) -> None:
    ds = datasets("visp")[0, 0]
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (ds.with_data(ds.data.astype(complex)), {}, DatasetError, "no pixels of complex128"),
        (ds, {"wcs": "near"}, ValueError, "expected 'exact' or 'approximate'"),
        (ds, {"tolerance": 0}, ValueError, "above 0"),
        (ds, {"compress": True}, TypeError, "compress"),
    ]
    for one, options, error, said in cases:
        with pytest.raises(error, match=said):
            one.save(tmp_path / "cube.fits", **options)
        assert list(tmp_path.iterdir()) == []
    save(ds, tmp_path / "cube.fits")
    with pytest.raises(StoreExistsError, match="overwrite=True replaces it"):
        ds.save(tmp_path / "cube.fits")
    save(ds * 3, tmp_path / "cube.fits", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["cube.fits"]
    for options in ({"frames": tmp_path}, {"missing": "nan"}):
        with pytest.raises(DatasetError, match="has its pixels in itself"):
            dv.open_dataset(tmp_path / "cube.fits", **options)


def test_a_file_that_fails_half_way_is_not_there(datasets: Any, tmp_path: Path) -> None:
    ds = datasets("visp")[0, 0]

    def fail(block: Any) -> Any:
        raise RuntimeError("half way")

    bad = ds.with_data(ds.data.map_blocks(fail, dtype=ds.dtype, meta=np.empty((0, 0), ds.dtype)))
    for ending in ("fits", "nc", "asdf"):
        with pytest.raises(RuntimeError, match="half way"):
            bad.save(tmp_path / f"cube.{ending}", progress=False)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_wcs_that_fits_cannot_express_is_refused_or_approximate(
    datasets: Any, tmp_path: Path
) -> None:
    """The raster of BKEWK is a plane to a fifth of a pixel, and a table exactly."""
    ds = datasets("croppable_visp")[0, :, 0, :20]
    ds = ds.with_data(np.zeros(ds.shape), unit="ct")
    save(ds, tmp_path / "exact.fits")
    with fits.open(tmp_path / "exact.fits") as file:
        assert {"HPLN-TAB", "HPLT-TAB"} <= {file[0].header[f"CTYPE{n}"] for n in (1, 2)}
    with pytest.warns(DKISTVirtualWarning, match="pixels away from that of the dataset"):
        ds.save(tmp_path / "near.fits", wcs="approximate", tolerance=5, progress=False)
    with pytest.warns(DKISTVirtualWarning, match=r"no tangent plane is within 0\.01 pixels"):
        ds.save(tmp_path / "table.fits", wcs="approximate", tolerance=0.01, progress=False)
    smap = sunpy.map.Map(tmp_path / "near.fits")
    same_place(smap.pixel_to_world(3 * u.pix, 300 * u.pix), sky_of(ds.wcs, 3, 300), 1)
    # And it opens with the WCS that it had.
    same_dataset(dv.open_dataset(tmp_path / "near.fits"), ds)


def test_other_fits_files_are_refused_as_before(simulated: Any) -> None:
    frame = next(Path(simulated("visp")).glob("*.fits"))
    with pytest.raises(StoreMissingError, match="is a file, and not an ASDF"):
        dv.open_dataset(frame)


@pytest.mark.slow
def test_without_its_extension_a_file_has_the_wcs_of_its_header(
    datasets: Any, tmp_path: Path
) -> None:
    ds = datasets("visp")[0]
    save(ds, tmp_path / "cube.fits")
    with fits.open(tmp_path / "cube.fits") as file:
        fits.HDUList(list(file[:1])).writeto(tmp_path / "bare.fits")
    got = dv.open_dataset(tmp_path / "bare.fits")
    np.testing.assert_array_equal(got.data, ds.data)
    assert got.headers is None
    same_place(sky_of(got.wcs, 5, 6, 1), sky_of(ds.wcs, 5, 6, 1))


# The table of the page ---------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "save-as-fits.md"

OF_THE_PAGE: dict[str, tuple[str, Any]] = {
    "ViSP, BKEWK (688 steps)": ("croppable_visp", ...),
    "ViSP, simulated": ("visp", ...),
    "VBI, a tile of a mosaic": ("large_vbi", ...),
    "VBI, a frame of it": ("large_vbi", 1),
    "VTF, simulated": ("vtf", ...),
    "Cryo-NIRSP, BMPNP": ("croppable_cryo", ...),
    "Cryo-NIRSP, a frame of it": ("croppable_cryo", (0, 1, 2)),
    "Cryo-NIRSP, simulated": ("cryonirsp", ...),
    "DL-NIRSP, simulated": ("dlnirsp", ...),
}


def rows_of_the_page() -> dict[str, list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    return {name: rest for name, *rest in cells[2:]}


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=[] if "BMPNP" in row else [pytest.mark.slow]) for row in OF_THE_PAGE],
)
def test_the_page_says_what_fits_can_express(row: str, datasets: Any) -> None:
    assert set(rows_of_the_page()) == set(OF_THE_PAGE)
    name, index = OF_THE_PAGE[row]
    made = express(datasets(name)[index])
    assert made.unsaid == ()
    assert made.away < 1e-3
    forms = {code.replace("AWAV", "WAVE"): form for code, form in made.forms.items()}
    assert forms["HPLN"] == forms["HPLT"]
    assert rows_of_the_page()[row] == [forms.get(c, "") for c in ("HPLN", "WAVE", "TIME", "STOKES")]
