"""Tell valid seeing from values that mean nothing, and choose whole steps by it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import MaskedColumn
from matplotlib.figure import Figure

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.seeing import r0_is_valid, rms_contrast

Datasets = Callable[[str], Any]


@pytest.mark.parametrize(
    ("r0", "ao_lock", "oobshift", "expected"),
    [
        (0.2, True, 17, True),
        (0.2, True, None, True),
        (0.3, True, 100, True),  # the largest that the Data Center keeps
        (0.2, False, 17, False),
        (0.31, True, 17, False),
        (0.2, True, 101, False),
        (-100.0, True, 17, False),
        (0.0, True, 17, False),
        (np.nan, True, 17, False),
    ],
)
def test_the_rule_of_the_data_center(
    r0: float, ao_lock: bool, oobshift: float | None, expected: bool
) -> None:
    outside = None if oobshift is None else [oobshift]
    assert r0_is_valid([r0], [ao_lock], outside).tolist() == [expected]
    assert r0_is_valid([r0], [ao_lock], [np.nan]).tolist() == [expected or (oobshift or 0) > 100]


def steps(datasets: Datasets) -> Any:
    """The ViSP frames, (Stokes, steps), each with a seeing of its own."""
    ds = datasets("visp")[...]
    r0 = np.full((4, 4), 0.1)
    r0[:, 1] = 0.05
    r0[2, 2] = -100.0  # one Stokes parameter of a step, locked all the same
    ds.headers["ATMOS_R0"] = MaskedColumn(r0.ravel(), mask=np.arange(16) == 3)  # I of step 3
    ds.headers["AO_LOCK"] = True
    return ds


def test_stokes_parameters_of_a_step_are_kept_or_dropped_together(datasets: Datasets) -> None:
    ds = steps(datasets)
    good = ds.seeing.good()
    np.testing.assert_array_equal(good.reshape(4, 4), [[True, True, False, False]] * 4)
    better = ds.seeing.good(r0=8 * u.cm)
    np.testing.assert_array_equal(better.reshape(4, 4), [[True, False, False, False]] * 4)
    assert ds.files[better].keys == [f"data/{s}.0.0.0" for s in range(4)]
    assert ds[:, 1:].seeing.good().reshape(4, 3)[0].tolist() == [True, False, False]
    seeing = ds.seeing
    assert np.isnan(seeing.r0[[3, 10]].value).all()
    assert seeing.r0[0] == 10 * u.cm
    assert "valid in 14, 5.0 to 10.0 cm" in str(seeing)
    assert seeing.table()["valid"].sum() == 14
    with pytest.raises(TypeError, match=r"8 \* u\.cm"):
        seeing.good(r0=0.08)  # type: ignore[arg-type]


def test_other_frames_are_masked(datasets: Datasets) -> None:
    ds = steps(datasets)
    ds.mask = np.zeros(ds.shape, bool)
    ds.mask[0, 0, 5] = True
    kept = pickle.loads(pickle.dumps(ds.seeing)).mask_others(r0=8 * u.cm)
    expected = np.zeros(ds.shape, bool)
    expected[:, 1:] = True
    expected[0, 0, 5] = True
    np.testing.assert_array_equal(np.asarray(kept.mask), expected)
    assert not ds.mask[:, 1:].any()
    assert list(kept.headers["ATMOS_R0"]) == list(ds.headers["ATMOS_R0"])
    assert not kept[:, 0, 6:].mask.any()
    with pytest.raises(DatasetError, match="no headers"):
        ds.rebin((1, 2, 1, 1)).seeing  # noqa: B018


def test_seeing_is_drawn_with_gaps(datasets: Datasets) -> None:
    ds = steps(datasets)
    figure = ds.plot_seeing(contrast=True, figure=Figure())
    r0, lock, light, contrast = figure.axes
    np.testing.assert_allclose(r0.lines[0].get_ydata(), [10, 5, np.nan, np.nan])  # steps
    assert lock.lines[0].get_ydata().tolist() == [1.0] * 4
    means = np.asarray(ds.headers["LIGHTLVL"], float).reshape(4, 4).mean(axis=0)
    np.testing.assert_allclose(light.lines[0].get_ydata(), means)
    (ground,) = r0.patches  # from half way between the second and third step
    x = r0.lines[0].get_xdata()
    assert ground.get_x() == pytest.approx((x[1] + x[2]) / 2)
    pixels = np.asarray(ds[0, 2].data, float)
    along_slit = np.nanmean(pixels, axis=0)  # wavelength is the first axis of the frame
    expected = np.nanstd(along_slit) / np.nanmean(along_slit)
    assert ds.seeing.contrast().reshape(4, 4)[:, 2] == pytest.approx([expected] * 4)
    assert contrast.lines[0].get_ydata()[2] == pytest.approx(expected)


def test_an_image_without_structure_has_no_contrast() -> None:
    assert rms_contrast(np.ones((3, 4))) == 0
    assert rms_contrast([[1.0, 3.0], [np.nan, np.nan]]) == pytest.approx(0.5)
    assert np.isnan(rms_contrast(np.full((2, 2), np.nan)))


def test_real_values_that_mean_nothing_are_gaps(datasets: Datasets) -> None:
    ds = datasets("croppable_cryo")  # AO_LOCK is False, and r0 still 6 cm
    seeing = ds.seeing
    assert not seeing.ao_lock.any()
    assert not seeing.good().any()
    assert np.isnan(seeing.r0.value).all()
    assert ds.plot_seeing(figure=Figure()).axes[0].texts[0].get_text() == "no valid value"
    vbi = datasets("large_vbi").seeing
    np.testing.assert_allclose(vbi.r0.to_value("m"), datasets("large_vbi").headers["ATMOS_R0"])


@pytest.mark.slow
def test_what_is_not_valid_is_the_worst_where_tiles_are_stitched(simulated: Any) -> None:
    tiles = dv.open_dataset(simulated("vbi_mosaic"))
    assert isinstance(tiles, dv.TiledDataset)
    first = tiles[0, 0][:]
    other = first.with_data(np.asarray(first.data) + 1000, unit="ct")  # at the same place
    first.headers["ATMOS_R0"] = [0.2, 0.2, -100]
    first.headers["AO_LOCK"] = [True, False, True]
    other.headers["ATMOS_R0"] = 0.1
    other.headers["AO_LOCK"] = True
    ds = dv.TiledDataset(np.array([first, other], object)).stitch(combine="best", resample="shift")
    away = np.asarray(ds.data) - np.asarray(first.data)
    np.testing.assert_allclose(away.mean(axis=(1, 2)), [0, 1000, 1000], atol=1e-3)


def test_a_mosaic_has_the_seeing_of_its_tiles(simulated: Any) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    assert isinstance(mosaic, dv.TiledDataset)
    mosaic[0, 1].headers["ATMOS_R0"] = -100.0
    good = mosaic.seeing.good()
    places = mosaic.tile_of_row
    np.testing.assert_array_equal(good, ~((places == [0, 1]).all(axis=1)))
    assert len(mosaic.files[good]) == 9
    masked = mosaic.seeing.mask_others()
    assert np.asarray(masked[0, 1].mask).all()
    assert not np.asarray(masked[1, 1].mask).any()
    assert len(mosaic.plot_seeing(figure=Figure()).axes) == 3
