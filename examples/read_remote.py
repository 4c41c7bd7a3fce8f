"""Frames on a server: what opening, slicing and reading fetch, and reading the local ones first.

    python read_remote.py

Makes a small dataset, serves it on this machine (`dkist_virtual.demo.server`) and
reads it from there. Needs the extra ``demo``.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.demo.vtf import make_vtf


def main(workspace: Path) -> None:
    archive = workspace / "archive"
    asdf = make_vtf(archive, (4, 1, 5, 48, 64))  # (stokes, scan, wavelength, y, x)
    with FrameServer(archive).running() as server:
        # 1. The data centre converts once: it scans its own disk and writes its server's address.
        print(dv.convert(asdf, workspace / "VTF.virtual", frames=archive, base=server.url), "\n")

        # 2. Opening, printing and slicing fetch nothing of the frames.
        ds = dv.open_dataset(workspace / "VTF.virtual")
        assert isinstance(ds, dv.Dataset)
        spectrum = ds[0, 0, :, 24, 32]
        print("A spectrum:", spectrum.data.shape, "from", len(spectrum.files), "files")
        print("Requests so far:", len(server.requests))

        # 3. Reading fetches: of each frame the header with the tile table, and the tiles.
        print("Its values:", np.round(spectrum.data.compute(), 1))
        total = sum(path.stat().st_size for path in archive.glob("*.fits"))
        print(f"{len(server.requests)} requests, {server.sent:,} of {total:,} bytes")

        # 4. Some frames on this machine: they are read here, the others from the server.
        here = workspace / "here"
        here.mkdir()
        names = [name for name in spectrum.files.names if name is not None]
        for name in names[:3]:
            shutil.copy(archive / name, here)
        both = dv.open_dataset(workspace / "VTF.virtual", frames=[here, server.url])
        assert isinstance(both, dv.Dataset)
        server.forget()
        print(
            "The same:",
            np.array_equal(both[0, 0, :, 24, 32].data.compute(), spectrum.data.compute()),
        )
        places = [place == str(here) for place in both[0, 0].files.where()]
        print(sum(places), "of", len(places), "frames are here")

        # 5. A fault is an error, never a NaN.
        server.fault = lambda path, n: 403  # noqa: ARG005
        try:
            ds[1, 0].data.compute()
        except dv.errors.FrameUnreachableError as error:
            print("Refused:", str(error).replace(server.url, "http://…"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
