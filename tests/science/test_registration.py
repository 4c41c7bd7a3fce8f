"""Tiles are moved to where their overlaps agree, and made as bright as each other there."""

from __future__ import annotations

import builtins
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from suns import LIMB, SCALE, mosaic, scene, tile

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.stitching.overlaps import Measured
from dkist_virtual.science.stitching.solve import solve

PLACES = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 1), (2, 2)]


def sky(ds: dv.Dataset) -> tuple[Any, Any]:
    y, x = np.indices(ds.shape[-2:])
    found = ds.wcs.pixel_to_world(x, y)
    return found.Tx.to_value(u.arcsec), found.Ty.to_value(u.arcsec)


def errors() -> Any:
    """Pointing errors of up to 5 pixels; the middle tile is where it says."""
    wrong = np.random.default_rng(3).uniform(-5, 5, (3, 3, 2))
    wrong[0, 0], wrong[0, 1] = (5, -5), (-5, 5)  # the largest, against each other
    wrong[1, 1] = 0
    return wrong


def steps() -> Any:
    gains = np.exp(np.random.default_rng(4).normal(0, 0.1, (3, 3)))
    gains[1, 1] = 1
    return gains


@pytest.mark.slow
@pytest.mark.parametrize("around", [(-160.0, 80.0), (LIMB * np.cos(0.5), LIMB * np.sin(0.5))])
def test_tiles_with_pointing_errors_and_gain_steps(around: tuple[float, float]) -> None:
    wrong, gains = errors(), steps()
    tiles = mosaic(shape=(72, 76), overlap=30, around=around, rotation=0.1, errors=wrong,
                   gains=gains, missing=((2, 0),))  # fmt: skip
    before = tiles.stitch()
    ds = tiles.stitch(register=True, match="gain", order="cubic", combine="feather")
    record = ds.stitching
    assert list(record.tiles) == PLACES
    # What was added to Tx and Ty takes the error away: by hand, a tile that says 5 pixels of
    # 0.5 arcsec too much Tx, and 5 too little Ty, needs -2.5 and +2.5 arcsec.
    found = record.offsets.to_value(u.arcsec)
    np.testing.assert_allclose(found[0], [-2.5, 2.5], atol=0.02)
    np.testing.assert_allclose(
        found, [-SCALE * wrong[place] for place in PLACES], atol=0.05 * SCALE
    )
    np.testing.assert_allclose(record.gains, [1 / gains[place] for place in PLACES], rtol=3e-3)
    assert max(pair.residual for pair in record.pairs if pair.weight > 0.1) < 0.1
    lon, lat = sky(ds)
    there = ~np.asarray(ds.mask)
    share = np.percentile(np.abs(np.asarray(ds.data) - scene(lon, lat))[there], [50, 99])
    assert share[0] < 0.1
    assert share[1] < 1.0
    lon, lat = sky(before)
    there = ~np.asarray(before.mask)
    worse = np.percentile(np.abs(np.asarray(before.data) - scene(lon, lat))[there], [50, 99])
    assert (worse > 20 * share).all()
    assert "moved by up to" in str(record)


def test_two_tiles_are_moved_by_hand_computed_numbers() -> None:
    # The second says it is 3 pixels further west and 2 further south than it is, and is 1.25 times
    # as bright: -1.5 and +1.0 arcsec, and a factor of 0.8, put that right.
    two = dv.TiledDataset(
        np.array(
            [tile((0, 0), (64, 64)), tile((20, 0), (64, 64), error=(3, -2), gain=1.25)], object
        )
    )
    record = two.stitch(register=True, match="gain").stitching
    assert record.middle == (0,)
    np.testing.assert_allclose(record.offsets.to_value(u.arcsec), [[0, 0], [-1.5, 1]], atol=0.01)
    np.testing.assert_allclose(record.gains, [1, 0.8], rtol=1e-3)
    (pair,) = record.pairs
    np.testing.assert_allclose(pair.shift, [-3, 2], atol=0.02)
    assert pair.correlation > 0.999


@pytest.mark.slow
def test_numbers_that_are_added() -> None:
    off = np.arange(9.0).reshape(3, 3) * 3 - 12
    tiles = mosaic(offsets=off)
    record = tiles.stitch(match="offset").stitching
    np.testing.assert_allclose(record.additions, -off.ravel(), atol=0.1)
    assert (record.gains == 1).all()
    negative = mosaic(offsets=np.full((3, 3), -200.0))
    with pytest.raises(DatasetError, match="factors are of brightnesses above 0"):
        negative.stitch(match="gain")


def test_a_pair_that_does_not_agree_counts_less() -> None:
    places = [(n,) for n in range(4)]
    true = np.array([[0.0, 0], [1, 2], [-2, 1], [3, -1]])
    pairs = [
        Measured(a, b, tuple(true[b] - true[a]), 0.9, 1000)
        for a, b in ((0, 1), (1, 2), (2, 3), (0, 2), (1, 3))
    ]
    pairs[1] = Measured(1, 2, (4.0, 4.0), 0.4, 200)
    values, away, weights = solve("register", places, pairs, 0, 0.2)
    np.testing.assert_allclose(values, true, atol=0.02)
    assert np.argmin(weights) == 1
    assert away[1] == pytest.approx(np.hypot(7, 5), abs=0.1)
    with pytest.raises(DatasetError, match=r"tiles \[3\] do not overlap.*search=.*mosaic.mask"):
        solve("register", places, [*pairs[:2], Measured(2, 3, (0, 0), 0.1, 500)], 0, 0.2)


def test_tiles_that_do_not_overlap_are_refused() -> None:
    apart = dv.TiledDataset(np.array([tile((0, 0)), tile((60, 0))], object))
    with pytest.raises(DatasetError, match=r"register=True.*tiles \[1\] do not overlap"):
        apart.stitch(register=True)
    with pytest.raises(DatasetError, match=r"match=.*tiles \[1\] do not overlap"):
        apart.stitch(match="gain")
    assert apart.stitch().stitching.tiles == ((0,), (1,))
    with pytest.raises(ValueError, match="plane=3"):
        apart.stitch(register=True, plane=3)


def test_without_scikit_image_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name.startswith("skimage"):
            raise ImportError(name)
        return original(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    two = dv.TiledDataset(np.array([tile((0, 0)), tile((15, 0))], object))
    with pytest.raises(ImportError, match=r"dkist-virtual\[align\]"):
        two.stitch(register=True)
