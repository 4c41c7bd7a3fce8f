"""Overviews of a dataset and a mosaic that do not exist, with every field set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gwcs
import gwcs.coordinate_frames as cf
from astropy import units as u
from astropy.modeling.models import Mapping, Polynomial2D, Scale

from dkist_virtual.dataset.overview import Overview, describe_wcs


def spectrograph() -> gwcs.WCS:
    """Pixels (dispersion, slit, step): wavelength, then a place that both slit and step change."""
    pixels = cf.CoordinateFrame(
        3,
        ["PIXEL"] * 3,
        (0, 1, 2),
        unit=[u.pix] * 3,
        axes_names=("dispersion axis", "place along the slit", "step"),
        name="pixels",
    )
    world = cf.CoordinateFrame(
        4,
        ["SPECTRAL", "LINEAR", "LINEAR", "LINEAR"],
        (0, 1, 2, 3),
        unit=[u.nm, u.arcsec, u.s, u.one],
        axes_names=("wavelength", "slit & step", "", "part"),
        axis_physical_types=("em.wl", "custom:pos", "time", "custom:part"),
        name="world",
    )
    place = Polynomial2D(1, c0_0=0, c1_0=1, c0_1=2)
    transform = Mapping((0, 1, 2, 2, 1)) | Scale(0.1) & place & Scale(3) & Scale(1)
    return gwcs.WCS(transform, input_frame=pixels, output_frame=world)


def an_overview(**changes: Any) -> Overview:
    axes, world, correlation = describe_wcs(spectrograph(), (12, 976, 2555))
    plain = Overview(
        kind="Dataset",
        instrument="VISP",
        dataset_id="BKEWK",
        product_id="L1-ABCDE",
        n_frames=12,
        n_bytes=25_200_000,
        total_frames=2752,
        total_bytes=5_780_000_000,
        place="https://example.org/pid_1_1/BKEWK",
        store="visp.store",
        made_from=("VISP_L1_BKEWK.asdf", "2024-05-01", "dataset-1.2.0"),
        dtype="float32",
        shape=(12, 976, 2555),
        unit="ct",
        array="dask array (12, 976, 2555), chunks (1, 976, 2555), float32",
        array_axes=axes,
        world_axes=world,
        correlation=correlation,
        missing="raise",
    )
    return replace(plain, **changes)


def a_mosaic() -> Overview:
    return an_overview(
        kind="TiledDataset",
        grid=(2, 3),
        present=((0, 1), (0, 2), (1, 0)),
        total_frames=None,
        total_bytes=None,
    )
