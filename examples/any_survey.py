"""FITS files of any survey as one array: a cut-out in time, read by zarr and by xarray.

python any_survey.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from astropy.io import fits

import dkist_virtual as dv


def main(directory: Path) -> None:
    # Six exposures in two filters, quantised and Rice-compressed.
    rng = np.random.default_rng(7)
    for number in range(6):
        header = fits.Header({"DATE-OBS": f"2026-11-26T0{number // 2}:15:00"})
        header["FILTER"] = "gr"[number % 2]
        image = fits.CompImageHDU(rng.normal(200, 5, (96, 128)).astype("f4"), header, name="SCI")
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(directory / f"exp{number}.fits.fz")

    # Headers are read, never pixels; their values make the axes.
    files, out = str(directory / "*.fits.fz"), directory / "night.json"
    night = dv.fits_references(files, out, by=("DATE-OBS", "FILTER"))
    print(night)
    print("Headers:", night.headers["DATE-OBS", "FILTER"][2].as_void())

    # A cut-out reads the tiles that it touches.
    pixels = dv.open_zarr(out)["data"]
    print("By zarr:", pixels[:, 1, 40:42, 60:63].shape)
    with xr.open_dataset(str(out), engine="kerchunk", chunks={}) as ds:
        same = np.array_equal(ds["data"][1, 1], fits.getdata(directory / "exp3.fits.fz", "SCI"))
        print("By xarray:", dict(ds.sizes), "as astropy reads it" if same else "WRONG")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        main(Path(made))
