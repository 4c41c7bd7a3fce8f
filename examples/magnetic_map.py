"""Map a sunspot's field along the line of sight, its azimuth and its polarisation, with errors.

python magnetic_map.py
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf
from dkist_virtual.errors import DKISTVirtualWarning


def main(directory: Path) -> None:
    ds = dv.open_dataset(make_vtf(directory, (4, 2, 17, 36, 48), echo=lambda _: None))
    assert isinstance(ds, dv.Dataset)
    scan = ds[:, 0]

    # Which way +Q points is documented for some instruments, and VTF is not one of them yet.
    polarimetry = scan.polarimetry
    print("Frame of Q and U:", polarimetry.frame)

    # One pass over the frames for the field, its error and how far the line is split.
    line, window = 630.25 * u.nm, 0.024 * u.nm
    found = polarimetry.weak_field(line, window, lande=2.5).compute()
    field = np.ma.masked_array(found.field.data, found.field.mask)
    print(f"Field: {field.min():.0f} to {field.max():.0f} G, {field.mask.mean():.0%} saturated")
    print(f"Error, median: {np.nanmedian(found.error.data):.0f} G")
    for key in ("positive", "sign", "limit", "noise"):
        print(f"  {key}: {found.field.meta['result'][key]}")

    # Where the field is across the line of sight; without any, azimuths are noise.
    linear = polarimetry.linear(line, window).data.compute()
    azimuth = polarimetry.azimuth(line, window)
    strong = linear > 0.05
    print(f"Azimuths of {strong.sum()} pixels,", azimuth.meta["result"]["ambiguity"])

    found.field.save(directory / "field.fits", progress=False)
    again = dv.open_dataset(directory / "field.fits")
    assert isinstance(again, dv.Dataset)
    print("Saved:", again.shape, again.unit, again.meta["result"]["quantity"])


if __name__ == "__main__":
    # Each result that depends on the frame warns of it; it is printed once above.
    warnings.simplefilter("ignore", DKISTVirtualWarning)
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
