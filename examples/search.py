"""From a search to pixels: find a dataset, open it by its ID, look at it, fetch a part of it.

    python search.py

The Data Center runs on this machine (`dkist_virtual.demo.data_center`), with a small simulated
dataset. Against the real one leave out everything that has to do with ``center``. Needs
the extra ``demo``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.data_center import DataCenter
from dkist_virtual.demo.vtf import make_vtf


def main(workspace: Path) -> None:
    make_vtf(workspace / "archive" / "VTF", (4, 1, 5, 48, 64))  # (stokes, scan, wavelength, y, x)
    center = DataCenter(workspace / "archive")
    with center.running(), center.asked(workspace / "home"):
        # 1. Search. A dataset has to meet all conditions.
        found = dv.search(instrument="VTF", spectral_line="Fe I 6302", stokes="IQUV")
        print("Found:", found["Dataset ID"].tolist(), found["Number of Frames"].tolist())

        # 2. A search that finds nothing says what to loosen.
        print(dv.search(instrument="VTF", time=("1999-01-01", "1999-12-31")))

        # 3. Open it by a row, or by its ID. Frames come from Globus; here, by HTTP.
        ds = dv.open_dataset(found[0], frames=f"{center.url}/VTF")
        assert isinstance(ds, dv.Dataset)
        print(ds.inventory["instrumentName"] if ds.inventory else None, ds.shape, ds.unit)
        again = dv.open_dataset(found["Product ID"][0], frames=f"{center.url}/VTF")
        print("The same:", again.shape == ds.shape)

        # 4. A spectrum, from the tiles that it needs.
        center.forget()
        spectrum = ds[0, 0, :, 24, 32]
        print("Spectrum:", np.round(spectrum.data.compute(), 1))
        print(len({path for _, path, *_ in center.requests}), "of", len(ds.files), "frames asked")

        # 5. One scan of Stokes I to the disk, where it is read afterwards.
        print(len(ds[0].download(workspace / "frames").items), "files fetched")
        mpl.use("agg")
        ds[0, 0, 2].plot().save(workspace / "frame.png", dpi=50)
        print("Picture:", (workspace / "frame.png").is_file())

        # 6. Without frames=, they are where Globus has them, which cannot be read directly.
        try:
            dv.open_dataset(found[0])[0, 0, 0].data.compute()
        except dv.errors.FrameUnreachableError as error:
            print("Refused:", "via='globus'" in str(error))
        # ds.download("/~/dkist/{instrument}/{dataset_id}", via="globus") transfers them.


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
