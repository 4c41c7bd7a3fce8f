"""Commit a dataset to an Icechunk repository while it grows, and read it by plain Zarr as well.

    python icechunk_history.py [DIRECTORY]

Simulates a dataset, and makes a store and a repository in the directory. Needs the extras
``demo`` and ``icechunk``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import zarr

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 2, 5, 48, 64), echo=lambda _: None)
    dv.convert(directory / "frames", directory / "VTF.virtual", progress=False)
    ds = dv.open_dataset(directory / "VTF.virtual")
    assert isinstance(ds, dv.Dataset)

    # 1. The first time step, then both: two commits. The same once more is none.
    repository = directory / "VTF.icechunk"
    first = dv.to_icechunk(ds[:, :1], repository, progress=False)
    second = dv.to_icechunk(directory / "VTF.virtual", repository, progress=False)
    again = dv.to_icechunk(directory / "VTF.virtual", repository, progress=False)
    print("Something new:", first.is_new, second.is_new, again.is_new)

    # 2. The newest snapshot, and the one before.
    newest = dv.open_dataset(repository)
    before = dv.open_dataset(f"{first.repository}?snapshot={first.snapshot}")
    print("Shapes:", before.shape, newest.shape)

    # 3. Plain Zarr reads the frames in the places that its user authorises.
    icechunk.set_logs_filter("error")
    local = getattr(icechunk.credentials, "LocalFileSystemAccess", None)
    opened = icechunk.Repository.open(
        icechunk.local_filesystem_storage(str(repository)),
        authorize_virtual_chunk_access=dict.fromkeys(second.containers, local),
    )
    array: Any = zarr.open_group(opened.readonly_session("main").store, mode="r")["data"]
    ours = np.asarray(ds[0, 1, 2, 10:20, 30:40].data)
    print("Equal:", np.array_equal(array[0, 1, 2, 10:20, 30:40], ours))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))
