"""Follow a moving blob along a path, and measure its speed; then the light curve of a region.

    python space_time.py

Makes a small dataset first. Needs the extra ``demo``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf

SPEED = 40.0  # km/s
KM = 725.27  # an arcsecond on the Sun, from the Earth


def main(workspace: Path) -> None:
    make_vtf(workspace / "frames", shape=(4, 8, 3, 48, 64), echo=str)
    images = dv.open_dataset(workspace / "frames")[0, :, 1]

    # 1. A blob that moves to the west. With the data of yours, leave this out.
    t, y, x = np.indices(images.shape)
    sky, time = images.wcs.pixel_to_world(x, y, t)
    middle = sky[0, 24, 32]
    seconds = (time - time.min()).to_value("s")
    west = (sky.Tx - middle.Tx).arcsec + 6 - SPEED / KM * seconds
    north = (sky.Ty - middle.Ty).arcsec
    moving = images + 4000 * np.exp(-(west**2 + north**2) / 4) * u.ct

    # 2. A path from east to west. Nothing is read.
    offsets = [-12, 12] * u.arcsec
    path = SkyCoord(middle.Tx + offsets, middle.Ty + [0, 0] * u.arcsec, frame=middle.frame)
    diagram = moving.slit(path, width=2 * u.arcsec)
    print("Along the path:", diagram.shape, "of", len(diagram.headers), "frames")

    # 3. Its slope is the speed: positive, as the distance counts from the east.
    bright = np.asarray(diagram - images.slit(path, width=2 * u.arcsec))
    _, distance, when = diagram.wcs.pixel_to_world(*np.indices(diagram.shape)[::-1])
    where = (bright * distance.to_value("arcsec")).sum(axis=1) / bright.sum(axis=1)
    slope = np.polyfit((when[:, 0] - when[0, 0]).to_value("s"), where, 1)[0]
    print(f"Speed: {slope * KM:.1f} km/s")

    # 4. The light curve of a circle that the blob crosses.
    curve = moving.light_curve((middle, 3 * u.arcsec))
    print("Circle:", curve.meta["result"]["pixels"], "pixels, brightest in frame",
          int(np.argmax(np.asarray(curve.data))))  # fmt: skip

    # 5. A picture.
    diagram.plot().save(workspace / "space_time.png")
    plt.close("all")
    print("Picture:", (workspace / "space_time.png").stat().st_size > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
