"""A dataset in xarray, as a sunpy map, with units, and on a cluster of this machine.

python export.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u
from distributed import Client

import dkist_virtual as dv
from dkist_virtual.demo.vtf import make_vtf


def main(directory: Path) -> None:
    ds = dv.open_dataset(make_vtf(directory, (4, 2, 5, 48, 64), echo=lambda _: None))
    assert isinstance(ds, dv.Dataset)

    # xarray: coordinates have the same names for every instrument. Nothing is read for it.
    array = ds.to_xarray(headers=["ATMOS_R0"])
    print("xarray:", dict(array.sizes), sorted(map(str, array.coords)))
    plane = array.sel(stokes="V").sel(wavelength=630.25, method="nearest")
    print("Nearest to 630.25 nm:", plane.shape, f"at {plane.wavelength.item():.3f} nm")

    # sunpy: two axes, both on the sky.
    smap = ds[0, 0, 2].to_map()
    print(
        "Map:", smap.data.shape, smap.instrument, smap.wavelength.round(3), smap.coordinate_system
    )

    # Units: `to` reads nothing, `quantity` reads.
    gain = [(u.ct, u.electron, lambda n: 3.5 * n, lambda n: n / 3.5)]
    print("Electrons:", ds.to(u.electron, equivalencies=gain)[0, 0, 0, 24, 32:35].quantity.round(1))

    # A cluster: nothing else changes.
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=":0"):
        print("Mean, by two workers:", plane.mean().compute().item())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
