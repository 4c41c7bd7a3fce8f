"""The roles of axes, and what a page opens with, of every instrument and of what is selected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dkist_assets import INVERSION, ROOT, unpacked
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.errors import SelectionError
from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.source import Roles, Source

# stokes, wavelength, time, raster, sky; the frame is made of the last two axes.
SIMULATED: dict[str, tuple[Any, ...]] = {
    "visp": (0, 2, None, 1, (1, 3)),
    "visp_moving": (None, 2, 0, 1, (1, 3)),
    # A repeat takes longer than a step of the wavelength, however many there are of either.
    "vtf": (0, 2, 1, None, (4, 3)),
    "vbi_mosaic": (None, None, 0, None, (2, 1)),
    "cryonirsp": (0, 4, 1, 2, (2, 3)),
    "dlnirsp": (0, 2, 1, None, (4, 3)),
}
REAL: dict[str, tuple[Any, ...]] = {
    "EIT/eit_test_dataset.asdf": (None, None, 0, None, (2, 1)),
    "small_visp/test_visp.asdf": (None, 2, None, 0, (1, 0)),
    # The detector is turned by some 70 degrees, and mirrored.
    "croppable_cryo.asdf.gz": (0, None, 1, None, (3, 4)),
    "croppable_visp.asdf.gz": (0, 2, None, 1, (1, 3)),
    "eit_dataset-0.1.0.asdf": (None, None, 0, None, (2, 1)),
    "large_vbi.asdf.gz": (None, None, 0, None, (2, 1)),
    "large_visp.asdf.gz": (0, 2, None, 1, (1, 3)),
    # A slit 135 arcsec long that is 7 degrees from north, and a raster 3 arcsec wide.
    "test_old_wcs_BRMQY.asdf": (0, 2, None, 1, (1, 3)),
    "test_tiled_dataset-1.3.0_dataset-1.2.0.asdf": (None, None, 0, None, (2, 1)),
    "visp_no_headers.asdf.gz": (None, 2, 0, 1, (1, 3)),
}


QUICK = ("small_visp/test_visp.asdf", "test_old_wcs_BRMQY.asdf", "large_visp.asdf.gz")


def roles_of(ds: Any) -> tuple[Any, ...]:
    source = Source.of(ds)
    roles = source.roles
    ndim = len(source.shape)
    assert roles.frame == tuple(range(ndim))[-2:]
    return roles.stokes, roles.wavelength, roles.time, roles.raster, roles.sky


@pytest.mark.parametrize("name", mostly_slow(SIMULATED, "visp", "vtf", "cryonirsp"))
def test_roles_of_simulated(name: str, datasets: Any) -> None:
    assert roles_of(datasets(name)) == SIMULATED[name]


@pytest.mark.parametrize("name", mostly_slow(REAL, *QUICK))
def test_roles_of_real(name: str, tmp_path: Path) -> None:
    place = unpacked(name, tmp_path) if name.endswith("gz") else ROOT / name
    assert roles_of(dv.open_dataset(place)) == REAL[name]


def test_roles_of_an_inversion(tmp_path: Path) -> None:
    inversion: Any = dv.open_dataset(unpacked(INVERSION, tmp_path))
    # The WCS of its quantities has Stokes parameters along the slit: 508 of them.
    quantity = Source.of(inversion["temperature"])
    assert quantity.roles == Roles(None, None, None, 0, (1, 2), (0, 1))
    assert quantity.roles.main == (0, 1)
    assert quantity.roles.map is None
    assert quantity.middle() == (212, 254, 40)
    assert [p.axes for p in default_state([quantity]).pictures] == [(0, 1)]
    profiles = Source.of(inversion.profiles["FeI630_orig"])
    assert profiles.roles == Roles(3, 2, None, 0, (2, 3), (0, 1))
    assert [(p.axes, p.held) for p in default_state([profiles]).pictures] == [
        ((0, 1), ()),
        ((0, 1), ((3, 3),)),
    ]


# Selections: from six axes to one --------------------------------------------------------------

SELECTED: dict[str, tuple[str, Any, tuple[Any, ...], list[tuple[int, int]]]] = {
    "raster": ("visp", np.s_[:], (0, 2, None, 1, (1, 3)), [(2, 3), (1, 3)]),
    "Stokes I": ("visp", np.s_[0], (None, 1, None, 0, (0, 2)), [(1, 2), (0, 2)]),
    "raster map": ("visp", np.s_[0, :, 20], (None, None, None, 0, (0, 1)), [(0, 1)]),
    "maps in Stokes": ("visp", np.s_[:, :, 20], (0, None, None, 1, (1, 2)), [(1, 2), (1, 2)]),
    "slit image": ("visp", np.s_[0, 1], (None, 0, None, None, None), [(0, 1)]),
    "one step": ("visp", np.s_[:, 1:2], (0, 2, None, None, None), [(2, 3), (2, 3)]),
    "raster, wavelength": ("visp", np.s_[0, :, :, 9], (None, 1, 0, None, None), [(1, 0)]),
    "spectrum": ("visp", np.s_[0, 1, :, 9], (None, 0, None, None, None), []),
    "slit": ("visp", np.s_[0, 1, 20], (None, None, None, None, None), []),
    "steps": ("visp", np.s_[0, :, 20, 9], (None, None, 0, None, None), []),
    "one repeat": ("vtf", np.s_[:, 0], (0, 1, None, None, (3, 2)), [(3, 2), (3, 2)]),
    "one wavelength": ("vtf", np.s_[0, :, 1], (None, None, 0, None, (2, 1)), [(2, 1)]),
    "Q, U": ("vtf", np.s_[1:3], (0, 2, 1, None, (4, 3)), [(4, 3)]),
    "moving map": ("visp_moving", np.s_[:, :, 3], (None, None, 0, 1, (1, 2)), [(1, 2)]),
    "one scan": ("cryonirsp", np.s_[:, 1], (0, 3, None, 1, (1, 2)), [(3, 2), (1, 2)]),
    "one step again": ("cryonirsp", np.s_[0, :, 1], (None, 2, 0, None, None), [(2, 1), (0, 1)]),
}


@pytest.mark.parametrize("what", SELECTED)
def test_selections(what: str, datasets: Any) -> None:
    name, item, roles, pictures = SELECTED[what]
    ds = datasets(name)[item]
    source = Source.of(ds)
    found = source.roles
    assert (found.stokes, found.wavelength, found.time, found.raster, found.sky) == roles
    state = default_state([source])
    assert [picture.axes for picture in state.pictures] == pictures
    assert len(state.point) == ds.data.ndim
    assert all(0 <= pixel < n for pixel, n in zip(state.point, ds.shape, strict=True))


def test_six_axes(datasets: Any) -> None:
    """Of an axis without coordinates nothing is known, and the others are what they were."""
    five = datasets("vtf")

    class Six:
        shape = (2, *five.shape)

        def subject(self) -> Any:
            subject = five.subject()
            return replace(
                subject,
                data=np.zeros(self.shape),
                world=World(five.wcs, self.shape),
                axis_names=("processing", *subject.axis_names),
            )

    assert roles_of(Six()) == (1, 3, 2, None, (5, 4))
    assert [p.axes for p in default_state([Source.of(Six())]).pictures] == [(5, 4), (5, 4)]


def test_computed(datasets: Any) -> None:
    ds = datasets("visp")
    assert roles_of(ds[0] / 2 - ds[3]) == roles_of(ds[0])
    assert roles_of(datasets("vtf").rebin((1, 1, 1, 2, 2))) == SIMULATED["vtf"]


def test_nothing_to_show(datasets: Any) -> None:
    class Nothing:
        shape = ()

    with pytest.raises(SelectionError, match="nothing to show: expected at least one axis"):
        Source.of(Nothing())
