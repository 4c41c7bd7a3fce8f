"""Datasets keep the medium of their wavelengths, also without headers, and when they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from samples import mostly_slow
from spectra import on_real, real

import dkist_virtual as dv
from dkist_virtual.science.spectra.medium import medium_of


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    whole = real("croppable_visp", tmp_path_factory.mktemp("visp"))
    return on_real(whole[0, :4, :6, :2], 1.0)


@pytest.fixture(scope="module", params=["headers", "binned", "vacuum"])
def dataset(request: pytest.FixtureRequest, raster: Any) -> Any:
    if request.param == "headers":
        return raster
    if request.param == "binned":  # has no headers any more
        return raster.rebin((2, 3, 2))
    stated = raster[:2]
    stated.meta["wavelength_medium"] = "vacuum"
    return stated


def expected(ds: Any) -> str:
    return str(ds.meta.get("wavelength_medium", "air"))


@pytest.mark.parametrize("form", mostly_slow(["x.zarr", "x.fits", "x.nc", "x.asdf"], "x.fits"))
def test_what_was_saved_has_the_same_medium(dataset: Any, form: str, tmp_path: Path) -> None:
    assert medium_of(dataset) == expected(dataset)
    options = {"pixels": True} if form == "x.asdf" else {}
    dataset.save(tmp_path / form, progress=False, **options)
    opened: Any = dv.open_dataset(tmp_path / form)
    assert medium_of(opened) == medium_of(opened[:1]) == expected(dataset)
    if form == "x.fits":
        codes = fits.getheader(tmp_path / form)["CTYPE*"].values()
        code = {"air": "AWAV", "vacuum": "WAVE"}[expected(dataset)]
        assert [text[:4] for text in codes if text[:4] in ("AWAV", "WAVE")] == [code]


def test_xarray_says_the_medium(dataset: Any) -> None:
    attrs = dataset.to_xarray().coords["wavelength"].attrs
    assert (attrs["units"], attrs["medium"]) == ("nm", expected(dataset))


def test_reprojected_pixels_keep_the_medium(raster: Any) -> None:
    turned = raster[:, :2].reproject_to(raster[:, :2].wcs, shape_out=(4, 2, 2))
    assert turned.headers is None
    assert medium_of(turned) == "air"
    assert np.isfinite(turned.data).any()
