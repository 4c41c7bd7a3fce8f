"""From a DKIST dataset to a virtual Zarr store, and from the store to pixels.

    python convert_and_read.py                  a small simulated VTF dataset, made on the spot
    python convert_and_read.py DATASET.asdf     a dataset of your own, its frames beside the ASDF

The FITS frames stay where they are: only a few files are written, which say where every frame
is, and what its headers and coordinates are. (The simulated dataset needs the extra ``demo``.)
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.wcs import WCS

import dkist_virtual as dv


def main(asdf: Path, workspace: Path) -> None:
    # 1. Convert, once. The beginning of each frame is read, and no pixel is decoded. The result
    #    says how many frames there are, and how many could not be reached.
    store = workspace / "dataset.virtual"
    print(dv.convert(asdf, store), "\n")

    # 2. Open. No frame is read until pixels are computed.
    ds = dv.open_dataset(store)
    if isinstance(ds, dv.TiledDataset):
        ds = ds.flat[0]  # a mosaic holds one dataset for each tile: take the first
    print(ds, "\n")

    # 3. Slice the dataset, not its array: data, WCS, headers and files all follow. The axes over
    #    frames come first: index them away until one file is left.
    frame = ds
    while len(frame.files) > 1:
        frame = frame[0]
    print("One frame:", frame.data.shape, "from", frame.files.names)

    # 4. Compute. Only now is the one file opened and decompressed.
    pixels = frame.data.compute()
    print(f"Its mean: {np.nanmean(pixels):.2f} {ds.unit}")

    # 5. The headers are an astropy Table with one row per frame, and a row works like the
    #    frame's own header.
    if len(frame.headers):
        header = frame.headers[0]
        print(
            "Observed:", header["DATE-BEG"], "| a FITS WCS of", WCS(header, fix=False).naxis, "axes"
        )

    # 6. A cut across frames: one pixel in each frame along the last of their axes. Only those
    #    files are opened.
    n_frame_axes = ds.data.ndim - frame.data.ndim
    pixel = tuple(n // 2 for n in frame.data.shape)
    if n_frame_axes:
        across = ds[(0,) * (n_frame_axes - 1) + (slice(None), *pixel)]
        print(f"Pixel {pixel} through {len(across.files)} files:", across.data.compute().round(1))

        # 7. The world coordinates of its first point: the WCS was sliced with the data.
        wcs = across.wcs.low_level_wcs
        world = np.atleast_1d(wcs.pixel_to_world_values(0))
        for value, name, unit in zip(
            world, wcs.world_axis_physical_types, wcs.world_axis_units, strict=True
        ):
            print(f"  {name} = {value:g} {unit}")

    # 8. No astronomy needed: the same store is a plain Zarr group ...
    group = dv.open_zarr(store)
    print("Arrays of the Zarr group:", sorted(group.array_keys()))

    # 9. ... and to be sure that nothing was lost, frames are compared with what
    #    astropy reads, bit for bit.
    report = dv.verify(store, against="astropy", sample=5)
    print("Compared with astropy:", report.counts)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        workspace = Path(directory)
        if len(sys.argv) > 1:
            main(Path(sys.argv[1]), workspace)
        else:
            from dkist_virtual.demo.vtf import make_vtf

            # (stokes, scan, wavelength, y, x)
            main(make_vtf(workspace / "vtf", (4, 1, 5, 48, 64)), workspace)
