"""Where a page is in the whole dataset, for selections of selections."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from now import Now

from dkist_virtual.view.panels.choose import default_state
from dkist_virtual.view.panels.whole import WholePanel, parts_of, texts_at
from dkist_virtual.view.session import Session
from dkist_virtual.view.source import Source
from dkist_virtual.view.state.model import Model

NAMES = ("Stokes", "raster position", "wavelength", "Ty")
ITEMS = [
    np.s_[:],
    np.s_[1],
    np.s_[1:3, ..., 5],
    np.s_[0, 1:, 3:30:4],
    np.s_[:, 2:3, 7, ::5],
]


@pytest.mark.parametrize("item", ITEMS)
def test_parts_are_those_that_numpy_selects(item: Any, datasets: Any) -> None:
    ds = datasets("visp")
    source = Source.of(ds[item])
    parts = parts_of(source)
    assert [part.length for part in parts] == list(ds.shape)
    for axis, part in enumerate(parts):
        whole = np.broadcast_to(
            np.arange(part.length).reshape([-1 if a == axis else 1 for a in range(4)]), ds.shape
        )
        selected = whole[item]
        assert list(part.pixels) == np.unique(selected).tolist()
        if part.axis is None:
            assert len(part.pixels) == 1
            # The sky has no one value along an axis: of that one, the array's name.
            assert part.name == (*NAMES[:3], "slit position")[axis]
        else:
            assert np.array_equal(np.unique(selected), np.moveaxis(selected, part.axis, 0).ravel()[
                :: selected.size // selected.shape[part.axis]
            ])  # fmt: skip
            # A raster has several positions of the slit, and several places along it.
            is_raster = axis == 1 and source.roles.raster is not None
            assert part.name == ("time" if axis == 1 and not is_raster else NAMES[axis])
        for pixel in range(len(part.pixels)):
            assert part.nearest(part.middle(pixel)) == pixel
        assert part.nearest(-1) == 0
        assert part.nearest(2) == len(part.pixels) - 1


def test_a_selection_again(datasets: Any) -> None:
    ds = datasets("visp")
    (first, _, third, _) = parts_of(Source.of(ds[2:, :, 4:36:3][1, :, 2:9:2]))
    assert first.pixels == range(3, 4)
    assert third.pixels == range(10, 34, 6)[: len(third.pixels)]
    assert third.ends(1, 3) == (16 / 40, 23 / 40)


def test_computed_pixels_are_their_own_whole(datasets: Any) -> None:
    parts = parts_of(Source.of(datasets("visp")[1, :, 3:9] / 2))
    assert [(part.length, part.axis) for part in parts] == [(4, 0), (6, 1), (64, 2)]


def test_texts_are_world_coordinates(datasets: Any) -> None:
    ds = datasets("vtf")
    source = Source.of(ds[1:, 1])
    texts = texts_at(source, parts_of(source), (1, 2, 3, 4))
    sky, wavelength = ds.wcs.array_index_to_world(2, 1, 2, 3, 4)[:2]
    dash = "\N{EN DASH}"
    assert texts[:4] == [
        f"U  1 of 0{dash}2 (whole: 2 of 0{dash}3)",
        f"whole: 1 of 0{dash}1",
        f"{wavelength.to_value('nm'):.4f} nm  2 of 0{dash}2",
        f"{sky.Ty.to_value('arcsec'):.3f} arcsec  3 of 0{dash}29",
    ]
    source = Source.of(ds[2, :, 1])
    assert texts_at(source, parts_of(source), (1, 3, 4))[0] == f"U  whole: 2 of 0{dash}3"


def test_a_click_goes_there(datasets: Any) -> None:
    sources = (Source.of(datasets("visp")[0, 1:]),)
    session = Session(sources, Model(default_state(sources)), Now())  # type: ignore[arg-type]
    panel = WholePanel(session)
    panel.update(None, session.model.state)
    session.model.on_change(panel.update)
    panel._tapped(SimpleNamespace(x=0.99, y=1.2))
    assert session.model.state.point == (2, 20, 32)
    panel._tapped(SimpleNamespace(x=0.01, y=0))  # Stokes I alone is open
    panel._tapped(SimpleNamespace(x=1.3, y=1))  # on the text
    assert session.model.state.point == (2, 20, 32)
    assert panel.here.data["x"] == [0.5 / 4, 3.5 / 4, 20.5 / 40, 32.5 / 64]
    session.model.change(ranges=((1, 10, 20),))
    assert panel.marks.data == {"y": [2], "left": [10 / 40], "right": [20 / 40]}
