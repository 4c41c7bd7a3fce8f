"""Read parts of frames with Icechunk, by our Zarr v3 codec."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from golden import BY_NAME, oracle, write_dataset
from icechunk_repository import repository

import dkist_virtual as dv
from dkist_virtual.store.codecs import FITSCodecV3, FrameSpec

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning",
    "ignore::zarr.errors.ZarrUserWarning",
    "ignore::DeprecationWarning",
)


def test_icechunk_reads_parts_of_frames_inside_of_their_chunks(tmp_path: Path) -> None:
    """By the codec that reads parts: Icechunk refuses a range that ends beyond a chunk."""
    directory = tmp_path / "frames"
    dv.convert(write_dataset(BY_NAME["compressed"], directory), directory / "json")
    refs = json.loads((directory / "json" / "references.json").read_bytes())["refs"]
    repo = repository(tmp_path / "repo", directory)
    session = repo.writable_session("main")
    config = json.loads(refs["data/.zarray"])
    codec = FITSCodecV3(FrameSpec.from_config(config["compressor"]))
    array: Any = zarr.create_array(
        session.store, name="data", shape=config["shape"], chunks=config["chunks"],
        dtype="float32", serializer=codec, compressors=None, fill_value=np.nan,
    )  # fmt: skip
    for key, reference in refs.items():
        if not key.rsplit("/", 1)[-1].startswith(".z"):
            url, offset, length = reference
            chunk = "data/c/" + key.partition("/")[2].replace(".", "/")
            session.store.set_virtual_ref(chunk, f"file://{url}", offset=offset, length=length)
    expected = oracle(BY_NAME["compressed"], directory)["data"]
    for index in (..., (1, 2), (0, 1, slice(3, 5), slice(2, 9, 3)), (slice(None), 0, 7, 1)):
        np.testing.assert_array_equal(np.asarray(array[index]), expected[index])
