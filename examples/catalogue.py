"""A catalogue of stores: written beside them, searched from a web server, opened from by ID.

    python catalogue.py

The web server runs on this machine (`dkist_virtual.demo.server`), with a small simulated archive.
Any other server of files does. Needs the extra ``demo``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u

import dkist_virtual as dv
from dkist_virtual.demo.archive import make_archive
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.demo.vtf import make_vtf


def main(work: Path) -> None:
    pattern = make_vtf(work / "VTF", (2, 2, 5, 48, 64), echo=lambda _: None)
    make_archive(work / "served" / "archive", [pattern], 3)
    server = FrameServer(work / "served")
    with server.running():
        # 1. What the data centre does: stores of all datasets, and their catalogue.
        stores = work / "served" / "stores"
        base = f"{server.url}/archive"
        dv.convert_archive(work / "served" / "archive", stores, base=base)
        print(dv.write_catalogue(stores).n_stores, "stores in the catalogue")

        # 2. What its users do: the words of dv.search, and one request.
        place = f"{server.url}/stores"
        server.forget()
        found = dv.search(wavelength=630.25 * u.nm, stokes="IQUV", catalogue=place)
        print("Found:", found["Dataset ID"].tolist(), "with", len(server.requests), "request")

        # 3. Open one by its row, or by its ID. Frames are read from the server.
        ds = dv.open_dataset(found[0])
        again = dv.open_dataset(found["Dataset ID"][0], catalogue=place)
        print("Mean:", ds[0, 0].data.mean().compute(), again[0, 0].data.mean().compute())

        # 4. A search that finds nothing says what to loosen.
        print(dv.search(instrument="VISP", catalogue=place))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
