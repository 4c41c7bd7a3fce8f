"""A dataset of as many frames as are wanted: one small compressed frame under many names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import gwcs
import gwcs.coordinate_frames as cf
import numpy as np
from astropy.modeling.models import Scale
from astropy.table import Table
from frames import compressed

SHAPE = (1, 12, 20)
PIXELS = np.random.default_rng(5).normal(1000, 50, SHAPE).astype("f4")


def name_of(i: int) -> str:
    return f"frame_{i:06d}.fits"


def write_asdf(path: Path, n: int, *, dataset_id: str = "MANYS", **change: Any) -> Path:
    """The ASDF of `n` frames, whether they are there or not; `change` goes into the inventory."""
    axes = [u.pix] * 3
    pixels = cf.CoordinateFrame(3, ["PIXEL"] * 3, (0, 1, 2), unit=axes, axes_names=("x", "y", "t"))
    world = cf.CoordinateFrame(3, ["SPATIAL"] * 3, (0, 1, 2), unit=[u.m] * 3, name="world")
    transform = Scale(1.0) & Scale(1.0) & Scale(1.0)
    node = {
        "fileuris": [name_of(i) for i in range(n)],
        "target": 1,
        "datatype": "float32",
        "shape": list(SHAPE),
    }
    headers = Table(
        {
            "FRAME": np.arange(n),
            "NAME": [f"n{i}" for i in range(n)],
            "EXPOSURE": np.arange(n) / 7,
            "TELESCOP": ["DKIST"] * n,
        }
    )
    tree = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": gwcs.WCS(forward_transform=transform, input_frame=pixels, output_frame=world),
        "unit": u.ct,
        "meta": {"headers": headers, "inventory": {"datasetId": dataset_id, **change}},
    }
    tag = "asdf://dkist.nso.edu/tags/dataset-1.3.0"
    asdf.AsdfFile({"dataset": asdf.tagged.TaggedDict(tree, tag)}).write_to(path)
    return path


def write_frames(directory: Path, n: int, first: int = 0) -> None:
    """Frames `first` to `n`: hard links to one file, but for each that a test writes anew."""
    directory.mkdir(parents=True, exist_ok=True)
    frame = directory / name_of(first)
    if not frame.exists():
        frame.write_bytes(compressed(PIXELS))
    for i in range(first + 1, n):
        os.link(frame, directory / name_of(i))


def rewrite(directory: Path, i: int, scale: float = 2.0) -> None:
    """Another frame in the place of one, a file of its own."""
    path = directory / name_of(i)
    path.unlink()
    path.write_bytes(compressed((PIXELS * scale).astype("f4"), cards=[("NEW", i)]))
    os.utime(path, ns=(1, 1_700_000_000_000_000_000 + i))
