"""`Dataset.save` chooses the form of a file by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from inversions import make_inversion

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning


@pytest.fixture(scope="module")
def visp(simulated: Callable[[str], Path]) -> Any:
    return dv.open_dataset(simulated("visp_moving"))


@pytest.mark.parametrize("name", ["part.npy", "part", "part.ASDF", "part.fits.gz", ".virtual"])
def test_a_name_of_no_form_is_refused_with_those_that_there_are(
    name: str, visp: Any, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"the end of the name says") as caught:
        visp.save(tmp_path / name)
    for form in (".virtual", ".zarr", ".fits", ".nc", ".asdf"):
        assert f" {form} (" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_asdf_is_that_of_save_dataset(visp: Any, tmp_path: Path) -> None:
    with pytest.warns(DKISTVirtualWarning, match="names frames that are in .*put it there"):
        visp[0].save(tmp_path / "part.asdf")
    opened = dv.open_dataset(tmp_path / "part.asdf", frames=visp.files.basepath)
    np.testing.assert_array_equal(opened.data.compute(), visp[0].data.compute())
    with pytest.raises(FileExistsError, match="overwrite=True"):
        visp[0].save(tmp_path / "part.asdf")
    with pytest.warns(DKISTVirtualWarning, match="names frames that are in"):
        visp[1].save(tmp_path / "part.asdf", overwrite=True)


def test_an_asdf_says_what_its_wcs_was_corrected_by(visp: Any, tmp_path: Path) -> None:
    moved = visp[0].shift(2 * u.arcsec, 1 * u.arcsec)
    with pytest.warns(DKISTVirtualWarning, match="names frames that are in"):
        moved.save(tmp_path / "part.asdf")
    opened = dv.open_dataset(tmp_path / "part.asdf", frames=visp.files.basepath)
    assert opened.meta["applied_pointing"] == moved.pointing.to_document()
    assert "applied_pointing" not in visp.meta


@pytest.mark.slow
def test_an_inversion_is_an_asdf_and_each_quantity_a_store(tmp_path: Path) -> None:
    made = make_inversion(tmp_path / "made", tmp_path)
    inversion = dv.open_dataset(made.asdf)
    assert isinstance(inversion, dv.Inversion)
    inversion[1:].save(tmp_path / "made" / "part.asdf")
    part = dv.open_dataset(tmp_path / "made" / "part.asdf")
    assert isinstance(part, dv.Inversion)
    with pytest.raises(DatasetError, match=r"An inversion is saved as \.asdf; one of"):
        inversion.save(tmp_path / "inversion.virtual")
    dv.convert(made.asdf, tmp_path / "all.virtual")
    for opened in (inversion, dv.open_dataset(tmp_path / "all.virtual")):
        quantity = opened["temperature"][1:, 2:5]
        quantity.save(tmp_path / "t.virtual", overwrite=True)
        again = dv.open_dataset(tmp_path / "t.virtual")
        np.testing.assert_array_equal(again.data.compute(), quantity.data.compute())
        np.testing.assert_array_equal(again.data.compute(), part["temperature"][:, 2:5].data)
        assert again.files.urls == quantity.files.urls
        assert again.headers.colnames == quantity.headers.colnames
        assert list(again.headers["EXTNAME"]) == list(quantity.headers["EXTNAME"])
        assert (again.unit, set(again.meta) - {"history"}) == (quantity.unit, set(quantity.meta))
