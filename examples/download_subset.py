"""Fetch the frames of a selection, and read them from this machine afterwards.

    python download_subset.py

Makes a small dataset and serves it on this machine (`dkist_virtual.demo.server`).
Needs the extra ``demo``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.demo.vtf import make_vtf


def main(workspace: Path) -> None:
    archive, here = workspace / "archive", workspace / "here"
    make_vtf(archive, (4, 2, 5, 48, 64), echo=lambda _: None)  # (stokes, scan, wavelength, y, x)
    with FrameServer(archive).running() as server:
        dv.convert(archive, workspace / "VTF.virtual", frames=archive, base=server.url)
        ds = dv.open_dataset(workspace / "VTF.virtual")
        assert isinstance(ds, dv.Dataset)

        # 1. Which files, and how large: before anything is fetched.
        scan = ds[0, 1]
        print(scan.files)
        print(scan.files.keys[0], "is", scan.files.names[0])
        print("To come:", scan.download(here, dry_run=True).n_bytes == scan.files.nbytes)

        # 2. Fetch them, and check each against its DATASUM. The same again fetches nothing.
        print(len(scan.download(here, verify=True).items), "files fetched")
        print(len(scan.download(here).items), "fetched the second time")

        # 3. The dataset and its slices read them here.
        server.forget()
        print("Mean:", np.round(scan.data.mean().compute(), 1), "|", ds[0, 1, 2].files)
        print(len(server.requests), "requests")

        # 4. Frames that form no rectangle, by what their headers say.
        good = ds.files[ds.seeing.good(r0=10 * u.cm)]
        good.download(here)
        print("Good seeing:", good)

        # 5. A frame that cannot be fetched does not stop the others.
        gone = ds[1].files.names[0]
        server.fault = lambda path, n: 404 if path == gone else None  # noqa: ARG005
        try:
            ds[1].download(here)
        except dv.errors.DownloadError as error:
            print("Failed:", list(error.failures) == [gone])
        print(ds[1].files)

        # 6. A list for another tool.
        print(scan.files.to_manifest("aria2").count("out="), "files for aria2")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
