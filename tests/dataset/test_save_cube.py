"""Save computed pixels as a cube, and open it again: all that belongs to them is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import dkist_virtual as dv


def test_a_computed_dataset_opens_as_it_was(simulated: Any, tmp_path: Path) -> None:
    ds = dv.open_dataset(simulated("visp_plain"))
    made = (ds * 2)[:, 1:]
    made.save(tmp_path / "made.zarr")
    opened = dv.open_dataset(tmp_path / "made.zarr")
    np.testing.assert_array_equal(opened.data.compute(), made.data.compute())
    assert opened.lineage.source == made.lineage.source
    assert opened.lineage.is_computed
    assert list(opened[1, 0].headers["DATE-AVG"]) == list(made[1, 0].headers["DATE-AVG"])
