"""Stitch a VBI mosaic: tiles whose pointing and brightness are wrong, before and after.

    python stitch.py

Makes a small one first. Needs the extras ``demo`` and ``align``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np

import dkist_virtual as dv
from dkist_virtual.demo.vbi import make_vbi


def spoil(mosaic: dv.TiledDataset) -> dv.TiledDataset:
    """Give the tiles the errors that real ones have: a pointing of their own, and a gain."""
    rng = np.random.default_rng(5)
    tiles = np.full(mosaic.shape, None, object)
    for place in map(tuple, np.argwhere(~mosaic.mask).tolist()):
        dx, dy = rng.uniform(-1.5, 1.5, 2) * u.arcsec
        tiles[place] = (mosaic[place] * rng.uniform(0.8, 1.2)).shift(dx, dy)
    return dv.TiledDataset(tiles, meta=mosaic.meta)


def main(workspace: Path) -> None:
    dv.convert(make_vbi(workspace / "frames"), workspace / "VBI.virtual")
    mosaic = dv.open_dataset(workspace / "VBI.virtual")
    assert isinstance(mosaic, dv.TiledDataset)
    wrong = spoil(mosaic)

    # 1. By their coordinates alone. Nothing is read.
    before = wrong.stitch(combine="first")
    print("Tiles", before.stitching.tiles, "make", before.shape)

    # 2. Moved to where their overlaps agree, and as bright as each other there.
    after = wrong.stitch(register=True, match="gain", combine="feather")
    record = after.stitching
    for place, offset, gain in zip(record.tiles, record.offsets, record.gains, strict=True):
        print("Tile", place, "moved by", np.round(offset, 2), "times", round(float(gain), 3))
    print("The middle is tile", record.middle)
    print(f"Overlaps agree to {record.residual:.2f} pixels")

    # 3. Any part is read of the tiles that reach it.
    part = after[0, 60:90, 60:90]
    print("A part:", part.shape, "of tiles", sorted(part.stitching.headers))
    print("Its first pixel is of", part.stitching.time[0, 0].compute())

    # 4. A picture of both.
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for ax, ds, title in zip(axes, (before, after), ("as pointed", "matched"), strict=True):
        ax.imshow(np.asarray(ds[0].data), origin="lower", vmin=100, vmax=1100, cmap="gray")
        ax.set(title=title, xlabel="Tx, pixels", ylabel="Ty, pixels")
    figure.savefig(workspace / "stitched.png")
    print("Picture:", (workspace / "stitched.png").stat().st_size > 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(Path(directory))
