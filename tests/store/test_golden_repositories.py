"""Icechunk repositories of both of its formats, as they were first written, still open.

``repositories`` holds a dataset of six compressed frames, that of ``stores/compressed.json``, as
icechunk 1.1.21 (format 1) and 2.3.0 (format 2) wrote it.
"""

from __future__ import annotations

from pathlib import Path

import icechunk
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import StoreError

HERE = Path(__file__).parent
READS = (1,) if icechunk.__version__.startswith("1.") else (1, 2)


@pytest.mark.parametrize("version", [1, 2])
def test_a_repository_gives_what_its_store_gives(version: int) -> None:
    place, frames = HERE / "repositories" / f"format{version}", HERE / "stores" / "datasets"
    if version not in READS:
        with pytest.raises(StoreError, match="of Icechunk's format 2, and icechunk 1"):
            dv.open_dataset(place)
        return
    found = dv.open_dataset(place, frames=frames / "compressed")
    expected = dv.open_dataset(HERE / "stores" / "compressed.json", frames=frames / "compressed")
    assert isinstance(found, dv.Dataset)
    assert isinstance(expected, dv.Dataset)
    assert_array_equal(np.asarray(found.data), np.asarray(expected.data), strict=True)
    assert found.files.names == expected.files.names
    assert found.headers.colnames == expected.headers.colnames
    assert found.unit == expected.unit
    assert dict(found.meta["inventory"]) == {"datasetId": "GOLDN", "instrumentName": "VISP"}
    said = dv.open_zarr(place).attrs["dkist_virtual"]
    assert said["store_id"] == dv.open_zarr(HERE / "stores" / "compressed.json").attrs[
        "dkist_virtual"
    ]["store_id"]  # fmt: skip


def test_a_repository_on_a_web_server() -> None:
    with FrameServer(HERE).running() as server:
        place = f"icechunk+{server.url}/repositories/format1"
        frames = HERE / "stores" / "datasets" / "compressed"
        if 2 not in READS:
            with pytest.raises(StoreError, match="on a web server is read by icechunk 2"):
                dv.open_dataset(place)
            return
        found = dv.open_dataset(place, frames=frames)
        here = dv.open_dataset(HERE / "repositories" / "format1", frames=frames)
        assert isinstance(found, dv.Dataset)
        assert isinstance(here, dv.Dataset)
        assert_array_equal(np.asarray(found.data), np.asarray(here.data), strict=True)
