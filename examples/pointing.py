"""Correct the pointing: by hand, along a raster, by the headers of the frames; and in a store.

    python pointing.py [DIRECTORY]

Takes the coordinates of a real observation off the limb, which the package ``dkist`` carries
without its frames, and paints a corona into it. Needs the extra ``demo``.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf

KNOTS = [(-1110, 260), (-1130, 190), (-1180, 240)] * u.arcsec
"""Where bright knots are, as another instrument would say."""


def paint_corona(ds: dv.Dataset) -> dv.Dataset:
    """Put a corona with some bright knots on the sky of an image."""
    y, x = np.indices(ds.shape)
    sky = ds.wcs.pixel_to_world(x, y)
    light = 2000 * (np.hypot(sky.Tx, sky.Ty) / (960 * u.arcsec)).to_value(u.one) ** -8
    for tx, ty in KNOTS:
        away = np.hypot(sky.Tx - tx, sky.Ty - ty).to_value(u.arcsec)
        light += 500 * np.exp(-((away / 6) ** 2))
    return ds.with_data(light, unit="ct")


def main(directory: Path) -> None:
    make_vtf(directory / "frames", shape=(4, 3, 5, 96, 128), echo=lambda _: None)
    ds = dv.open_dataset(directory / "frames")
    assert isinstance(ds, dv.Dataset)

    # 1. +dx is to the west, +dy to the north; the correction is kept by all that is made of it.
    moved = ds.shift(3 * u.arcsec, -1.5 * u.arcsec)
    print("Corrected by", moved[0, 1:3, :, ::2].pointing)
    print("Taken away again:", moved.unshifted().pointing)

    # 2. One value for each of the five wavelengths, then a rotation about the field's centre.
    drift = np.linspace(0, 0.4, ds.shape[2]) * u.arcsec
    print("Corrected by", ds.shift(drift[None, None]).shift(rotation=0.3 * u.deg).pointing)

    # 3. A store remembers a correction, and forgets it.
    dv.convert(directory / "frames", directory / "vtf.virtual", progress=False)
    dv.shift_store(directory / "vtf.virtual", 3 * u.arcsec)
    print("The store says", dv.open_dataset(directory / "vtf.virtual").pointing)
    dv.shift_store(directory / "vtf.virtual", reset=True)

    # 4. The pointing in each frame's own FITS header, where the dataset's WCS has another one.
    packed = files("dkist") / "data" / "test" / "croppable_cryo.asdf.gz"
    asdf = directory / "cryo.asdf"
    asdf.write_bytes(gzip.decompress(packed.read_bytes()))
    frame = dv.Dataset.from_asdf(asdf)[0, 2, 0, ::16, ::16]
    by_headers = paint_corona(frame.shift("headers"))
    figure = plt.figure(figsize=(9, 4.5), layout="constrained")
    for n, (title, one) in enumerate(
        [("by the dataset's WCS", by_headers.unshifted()), ("by the frame's header", by_headers)]
    ):
        image = one.to_map()
        axes = figure.add_subplot(1, 2, n + 1, projection=image)
        image.plot(axes=axes, cmap="gray", title=title)
        knots = SkyCoord(*KNOTS.T, frame=image.coordinate_frame)
        axes.plot_coord(knots, "o", ms=16, mfc="none", color="tab:red")
    figure.savefig(directory / "corona.png", dpi=100)
    print("Cryo-NIRSP is corrected by", by_headers.pointing)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else made))
