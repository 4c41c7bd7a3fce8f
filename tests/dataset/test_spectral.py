"""Measure spectra of datasets with known ones: results, their WCS, and what is kept."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spectra import absorption, on_real, real, wavelengths_of

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World

STEPS, SLIT = 6, 5


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A raster of ViSP, its real coordinates, with a line that moves from step to step."""
    whole = real("croppable_visp", tmp_path_factory.mktemp("visp"))
    ds = whole[0, 100 : 100 + STEPS, 400:460, 1000 : 1000 + SLIT]
    return on_real(ds, absorption(wavelengths_of(ds), centers(ds)))


def centers(ds: Any) -> Any:
    middle = float(wavelengths_of(ds).mean())
    return middle + 0.004 * np.linspace(-1, 1, STEPS)[:, None, None]


def test_the_centroid_of_a_line_is_where_it_was_put(raster: Any) -> None:
    found = raster.spectral.moments(continuum=100).compute()
    wanted = np.broadcast_to(centers(raster)[..., 0], (STEPS, SLIT))
    np.testing.assert_allclose(found.centroid.data, wanted, atol=1e-6)
    np.testing.assert_allclose(found.width.data, 0.008, rtol=1e-4)
    width = 0.7 * 0.008 * np.sqrt(2 * np.pi)
    np.testing.assert_allclose(found.equivalent_width.data, width, rtol=1e-4)
    assert str(found.centroid.unit) == str(found.equivalent_width.unit) == "nm"


def test_a_result_has_no_wavelength(raster: Any) -> None:
    centroid = raster.spectral.moments().centroid
    for one in (centroid, centroid[2], pickle.loads(pickle.dumps(centroid))[:, 1:]):
        kinds = [axis.kind for part in World(one.wcs, one.shape).parts for axis in part.axes]
        assert "wavelength" not in kinds
        assert {"longitude", "latitude", "time", "stokes"} == set(kinds)
    before = World(raster.wcs, raster.shape).values(3, 0, 2)
    after = World(centroid.wcs, centroid.shape).values(3, 2)
    np.testing.assert_array_equal([before[0], before[2], before[3]], after)
    assert list(centroid[2:4].headers["DATE-AVG"]) == list(raster.headers["DATE-AVG"][2:4])
    assert centroid.lineage.is_computed
    assert centroid.meta["result"]["quantity"] == "centroid"


@pytest.mark.parametrize("name", ["x.zarr", pytest.param("x.fits", marks=pytest.mark.slow)])
def test_a_result_is_saved(raster: Any, tmp_path: Path, name: str) -> None:
    centroid = raster.spectral.moments().centroid
    centroid.save(tmp_path / name, progress=False)
    opened: Any = dv.open_dataset(tmp_path / name)
    np.testing.assert_array_equal(np.asarray(opened.data), np.asarray(centroid.data))
    assert dict(opened.meta["result"]) == centroid.meta["result"]
    kinds = [axis.kind for axis in World(opened.wcs, opened.shape).axes]
    assert kinds == ["longitude", "latitude", "time"]
