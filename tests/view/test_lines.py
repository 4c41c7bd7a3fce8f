"""The lines that a page offers are those of `dv.lines()`, in the medium of the dataset."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import astropy.units as u
import pytest

import dkist_virtual as dv
from dkist_virtual.dataset.plots.viewed import lines_of


@pytest.mark.parametrize("medium", ["air", "vacuum"])
def test_lines_are_in_the_medium_of_the_dataset(medium: str) -> None:
    dataset: Any = SimpleNamespace(meta={"wavelength_medium": medium}, headers={}, wcs=None)
    listed = dv.lines()
    wavelengths = listed[medium].to_value(u.nm)
    assert lines_of(dataset) == tuple(zip(listed["name"], wavelengths, strict=True))
