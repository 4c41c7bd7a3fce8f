"""Write the files of hazel."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.dataset.export.inversion.region import Region, positive_q_of
from dkist_virtual.dataset.save.files.part import part_of, refuse_existing, target_of
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.io.local_file import replace_text
from dkist_virtual.science.inversion_files.geometry import line_of_sight
from dkist_virtual.science.inversion_files.hazel import (
    format_profile,
    format_wavelengths,
    format_weights,
    with_noise,
)
from dkist_virtual.text import shows_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INDEX", "RECORD", "read_sigma", "write_hazel"]

INDEX: Final = "pixel_index"
"""The array of our own in the HDF5 file: the places of its pixels in the dataset."""

RECORD: Final = "dkist_virtual"
"""The attribute of our own: what the region is."""


_ROWS: Final = 256
"""Pixels that are written at a time."""


def read_sigma(given: Any, region: Region, what: str) -> NDArray[np.float64]:
    """Read the noise of each wavelength and Stokes parameter, in units of the continuum.

    A number, an array (wavelength,), or one (wavelength, 4), of the wavelengths of the dataset in
    its order. Returned are those that are chosen, by ascending wavelength.
    """
    n = len(region.axis.values)
    sigma = np.asarray(given, float)
    if sigma.shape == (n,):
        sigma = sigma[:, None]
    if sigma.shape not in ((), (n, 1), (n, 4)) or not (sigma > 0).all():
        raise DatasetError(
            f"{what}: sigma of shape {sigma.shape}: expected the noise in units of the continuum, "
            f"above 0: a number, or one for each of the {n} wavelengths of the dataset, ({n},) or "
            f"({n}, 4)"
        )
    return np.broadcast_to(sigma, (n, 4))[region.chosen]


def write_hazel(
    ds: Any, path: str | os.PathLike[str], *, sigma: Any, boundary: Any, positive_q: Any,
    overwrite: bool, progress: bool | None, **keywords: Any,
) -> None:  # fmt: skip
    """Write hazel's files: see `Dataset.to_hazel`."""
    what = "to_hazel"
    target = target_of(path)
    stem, end = os.path.splitext(target)
    if end not in (".h5", ".1d"):
        raise DatasetError(f"{what}: {target}: expected a name that ends in .h5, or in .1d")
    others = [f"{stem}.wavelength", f"{stem}.weights"]
    others += [f"{stem}_mask.h5"] if end == ".h5" else []
    for name in others:
        refuse_existing(name, overwrite)
    region = Region.of(ds, what, **keywords)
    noise = read_sigma(sigma, region, what)
    angle = positive_q_of(ds, what, positive_q)
    from_below = _boundary(boundary, region, what)
    record = region.document() | {
        "code": "hazel",
        "positive_q": f"{angle:g} deg counterclockwise from solar west",
    }
    if end == ".h5":
        _write_many(region, target, stem, noise, angle, from_below, record, overwrite, progress)
    else:
        _write_one(region, target, noise, angle, from_below, overwrite)
    directory = os.path.dirname(os.path.abspath(stem))
    base = os.path.basename(stem)
    replace_text(directory, f"{base}.wavelength", format_wavelengths(region.angstrom))
    letters = [letter for _, letter in region.letters]
    weights = np.isin(np.arange(4), letters).astype(float)
    text = format_weights(np.broadcast_to(weights, (len(region.chosen), 4)))
    replace_text(directory, f"{base}.weights", text)


def _boundary(given: Any, region: Region, what: str) -> NDArray[np.float64] | None:
    """Read what comes from below: a number, or a map of the pixels; None for the default."""
    if given is None:
        return None
    values = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given, float)
    if values.shape not in ((), region.shape):
        raise SelectionError(
            f"{what}: boundary of shape {values.shape}: expected a number, or a map of the "
            f"pixels, of shape {region.shape}"
        )
    return np.broadcast_to(values, region.shape).ravel()


def _write_many(
    region: Region, target: str, stem: str, noise: Any, angle: float, given: Any,
    record: dict[str, Any], overwrite: bool, progress: bool | None,
) -> None:  # fmt: skip
    try:
        import h5py
    except ImportError:
        raise ImportError(
            "to_hazel: HDF5 files are written by h5py: pip install 'dkist_virtual[xarray]'"
        ) from None
    from tqdm import tqdm

    n, size, hidden = len(region.chosen), region.n_pixels, not shows_progress(progress)
    with (
        part_of(target, overwrite=overwrite) as part,
        part_of(f"{stem}_mask.h5", overwrite=overwrite) as mask_part,
        h5py.File(part, "w") as file,
        h5py.File(mask_part, "w") as mask_file,
        tqdm(total=size, desc="Writing", unit="pixel", disable=hidden) as bar,
    ):
        shapes = {"stokes": (size, n, 4), "sigma": (size, n, 4), "LOS": (size, 3),
                  "boundary": (size, n, 4)}  # fmt: skip
        arrays = {}
        for name, shape in shapes.items():
            packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            arrays[name] = file.create_dataset(name, shape, "f8", chunks=(1, *shape[1:]),
                                               **(packed if name != "LOS" else {}))  # fmt: skip
        index = file.create_dataset(INDEX, (size, len(region.pixel_axes)), "i8")
        mask = mask_file.create_dataset("mask", (size,), "i1")
        file.attrs[RECORD] = json.dumps(record)
        for block in region.blocks():
            first, many = block.first, len(block.mu)
            rows = slice(first, first + many)
            arrays["LOS"][rows] = line_of_sight(block.longitude, block.latitude, block.mu, angle)
            index[rows], mask[rows] = block.index, block.seen
            from_below = np.zeros((many, 4))
            on_disk = np.isfinite(block.mu)
            from_below[:, 0] = on_disk if given is None else given[rows]
            for begin in range(0, many, _ROWS):
                here = slice(begin, min(begin + _ROWS, many))
                there = slice(first + here.start, first + here.stop)
                profiles = with_noise(block.stokes[here], noise)
                arrays["stokes"][there], arrays["sigma"][there] = profiles
                arrays["boundary"][there] = np.repeat(from_below[here, None], n, axis=1)
                bar.update(here.stop - here.start)
            del block  # before the next one is read


def _write_one(
    region: Region, target: str, noise: Any, angle: float, given: Any, overwrite: bool
) -> None:
    if region.n_pixels != 1:
        raise DatasetError(
            f"to_hazel: {os.path.basename(target)} is of one pixel, and the region has "
            f"{region.n_pixels}: a name that ends in .h5 takes them"
        )
    (block,) = region.blocks()
    stokes, sigma = with_noise(block.stokes, noise)
    los = line_of_sight(block.longitude, block.latitude, block.mu, angle)
    on_disk = float(np.isfinite(block.mu[0]))
    below = [on_disk if given is None else float(given[0]), 0.0, 0.0, 0.0]
    with part_of(target, overwrite=overwrite) as part, open(part, "w", encoding="ascii") as file:
        file.write(format_profile(los[0], below, stokes[0], sigma[0]))
