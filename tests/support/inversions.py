"""Small level 2 inversions: FITS files that astropy writes, and an ASDF that dkist's classes write.

The world coordinates are those of the inversion in the ``dkist`` package, of which these have a
corner.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from dkist_assets import INVERSION, load, unpacked

N_FILES, SLIT, DEPTH, STOKES = 3, 6, 5, 4

#: Key, unit and length of the last axes of each quantity and profile.
QUANTITIES = {
    "optical_depth": u.pix,
    "temperature": u.K,
    "mag strength": u.T,
    "velocity": u.m / u.s,
}
PROFILES = {"NaID_orig": 11, "NaID_fit": 11, "FeI630_orig": 7, "FeI630_fit": 7}

#: What each file's primary header says, which an inversion's own table has.
OF_FILES = ("INSTRUME", "DATE-BEG", "ATMOS_R0", "FILENAME")
#: What the headers of the images say.
OF_QUANTITIES = ("EXTNAME", "BTYPE", "BUNIT", "CRPIX1", "LEVEL")
OF_PROFILES = ("EXTNAME", "BTYPE", "BUNIT", "CRPIX1", "WAVELNTH", "LEVEL", "ION")


@dataclass(frozen=True)
class Made:
    """An inversion: its ASDF, its files, and the pixels that astropy was given, by key."""

    asdf: Path
    files: tuple[Path, ...]
    pixels: dict[str, np.ndarray[Any, Any]]


def make_inversion(
    directory: Path, unpack_in: Path, *, compressed: bool = False, by_name: bool = False
) -> Made:
    """Write an inversion: all images of a time are HDUs of one file.

    Parameters
    ----------
    directory : pathlib.Path
        Where to write it.
    unpack_in : pathlib.Path
        A directory for dkist's own inversion, which may be used again.
    compressed : bool
        Whether the images are RICE_1-compressed tables of float32, or plain float64.
    by_name : bool
        Whether the ASDF names HDUs by EXTNAME, or by number.
    """
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    shapes = dict.fromkeys(QUANTITIES, (SLIT, DEPTH))
    shapes |= {key: (SLIT, n, STOKES) for key, n in PROFILES.items()}
    dtype = "f4" if compressed else "f8"
    pixels = {
        key: (rng.normal(size=(N_FILES, *shape)).cumsum(axis=-1) + 10 * i).astype(dtype)
        for i, (key, shape) in enumerate(shapes.items())
    }
    names = [f"INV_TESTS_2024_04_17T20_25_2{i}_L2.fits" for i in range(N_FILES)]
    files = tuple(directory / name for name in names)
    for i, file in enumerate(files):
        hdus: list[Any] = [fits.PrimaryHDU(header=fits.Header(_of_file(i, file.name)))]
        for number, key in enumerate(shapes):
            header = fits.Header(_of_image(i, number, key))
            data = pixels[key][i][None]
            if compressed:
                hdus.append(fits.CompImageHDU(data, header, compression_type="RICE_1"))
            else:
                hdus.append(fits.ImageHDU(data, header))
        fits.HDUList(hdus).writeto(file, checksum=True, overwrite=True)
    path = _write_asdf(directory, unpack_in, files, shapes, by_name=by_name, dtype=np.dtype(dtype))
    return Made(path, files, pixels)


def _of_file(i: int, name: str) -> list[tuple[str, Any]]:
    values = ("VISP", f"2024-04-17T20:25:2{i}.500", 0.05 + 0.01 * i, name)
    return list(zip(OF_FILES, values, strict=True))


def _of_image(i: int, number: int, key: str) -> list[tuple[str, Any]]:
    cards: list[tuple[str, Any]] = [
        ("EXTNAME", key.upper()),
        ("BTYPE", f"type of {key}"),
        ("BUNIT", "K"),
        ("CRPIX1", 0.5 + i + number),
    ]
    if key in PROFILES:
        # A number here and a text there: one table of both has a column of text.
        return [*cards, ("WAVELNTH", 589.9), ("LEVEL", 2), ("ION", key.partition("_")[0])]
    return [*cards, ("LEVEL", "two")]


def _write_asdf(
    directory: Path,
    unpack_in: Path,
    files: tuple[Path, ...],
    shapes: dict[str, tuple[int, ...]],
    *,
    by_name: bool,
    dtype: np.dtype[Any],
) -> Path:
    from dkist import Dataset, Inversion
    from dkist.dataset.inversion import Profiles
    from dkist.io.dask.loaders import AstropyFITSLoader
    from dkist.io.dask.striped_array import FileManager

    real = load(unpacked(INVERSION, unpack_in))
    inventory = {**real.meta["inventory"], "inversionId": "inv.TESTS", "frameCount": N_FILES}
    members = {}
    for number, (key, shape) in enumerate(shapes.items()):
        manager = FileManager.from_parts(
            [file.name for file in files],
            key.upper() if by_name else number + 1,
            dtype.name,
            (1, *shape),
            loader=AstropyFITSLoader,
            basepath=directory,
        )
        wcs = real.profiles[key].wcs if key in PROFILES else real["temperature"].wcs
        keywords = OF_PROFILES if key in PROFILES else OF_QUANTITIES
        rows = [dict(_of_image(i, number, key)) for i in range(N_FILES)]
        headers = Table({name: [row[name] for row in rows] for name in keywords})
        unit = u.ct if key in PROFILES else QUANTITIES[key]
        meta = {"headers": headers, "inventory": inventory}
        if key in PROFILES:
            meta["ion"] = key.partition("_")[0]
        made = Dataset(manager._generate_array(), wcs=wcs, meta=meta, unit=unit)
        made._file_manager = manager
        members[key] = made
    profiles = Profiles(
        {key: members[key] for key in PROFILES},
        aligned_axes=((0, 1, 3),) * len(PROFILES),
        meta={"axes": real.profiles.meta["axes"]},
    )
    of_files = [dict(_of_file(i, file.name)) for i, file in enumerate(files)]
    meta = {
        "axes": real.meta["axes"],
        "l1gwcs": real.meta["l1gwcs"],
        "inventory": inventory,
        "headers": Table({name: [row[name] for row in of_files] for name in OF_FILES}),
    }
    inversion = Inversion(
        {key: members[key] for key in QUANTITIES},
        aligned_axes=((0, 1, 2),) * len(QUANTITIES),
        meta=meta,
        profiles=profiles,
    )
    path = directory / "INV_TESTS.asdf"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", asdf.exceptions.AsdfWarning)
        asdf.AsdfFile({"inversion": inversion}).write_to(path)
    return path
