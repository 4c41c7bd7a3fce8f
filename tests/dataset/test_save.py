"""`Dataset.save` chooses the form of a file by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dkist_virtual as dv


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
    visp[0].save(tmp_path / "part.asdf")
    opened = dv.open_dataset(tmp_path / "part.asdf", frames=visp.files.basepath)
    np.testing.assert_array_equal(opened.data.compute(), visp[0].data.compute())
    with pytest.raises(FileExistsError, match="overwrite=True"):
        visp[0].save(tmp_path / "part.asdf")
    visp[1].save(tmp_path / "part.asdf", overwrite=True)
