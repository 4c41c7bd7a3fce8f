"""Divide by the continuum, subtract a level with its unit, bin; no frame is read until the end.

python normalise.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf
from dkist_virtual.errors import DatasetError


def main(directory: Path) -> None:
    ds = dv.open_dataset(make_vtf(directory, (4, 2, 5, 48, 64), echo=lambda _: None))
    assert isinstance(ds, dv.Dataset)

    # A level with its unit, and the median of two wavelengths as the continuum.
    signal = ds - 0.004 * u.kct
    continuum = signal[:1, :, :2].rebin((1, 1, 2, 1, 1), np.median)
    contrast = signal / continuum
    print("Contrast:", contrast.shape, "in", repr(str(contrast.unit)), "before a frame is read")

    # Slices, coordinates and headers as before; only the selected pixels are computed.
    profile = contrast[0, 0, :, 24, 32]
    print("A profile:", profile.data.compute().round(3))
    plane = contrast.at(wavelength=630.25 * u.nm, stokes="V")
    print("Frames that it comes from:", plane.headers["DATE-BEG"].tolist())

    # No file has these pixels; the files of the operands are those of the original dataset.
    try:
        print(plane.files)
    except DatasetError as error:
        print("Refused:", error)
    print("The files:", ds.at(wavelength=630.25 * u.nm, stokes="V").files.names)

    # Bins of 4 x 4 pixels: the WCS is right at their centres.
    coarse = contrast[0, 0].rebin((1, 4, 4))
    centre, same = coarse[0].wcs.pixel_to_world(0, 0), ds[0, 0, 0].wcs.pixel_to_world(1.5, 1.5)
    off = centre.separation(same).to_value("arcsec")
    print("Binned:", coarse.shape, f"| centre off by {off:.6f} arcsec")
    print("Headers:", coarse.headers)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
