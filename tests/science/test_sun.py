"""Mu and limb darkening: compared with sunpy's geometry, and with numbers computed by hand."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from numpy.testing import assert_allclose
from sunpy.coordinates import Heliocentric
from suns import tile_wcs

import dkist_virtual as dv
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.sun import on_the_disk
from dkist_virtual.errors import DatasetError, SelectionError
from dkist_virtual.science.sun.disk import cosine_of_angle
from dkist_virtual.science.sun.limb_darkening import CHROMOSPHERIC, intensity


def sunpy_mu(ds: Any) -> Any:
    """By sunpy's own point on the sphere: the angle of its vertical and the line of sight."""
    world = World(ds.wcs, ds.shape)
    values = world.values(*np.indices(ds.shape, float))
    lon, lat = (values[world.of_kind(kind).index] for kind in ("longitude", "latitude"))
    sky = SkyCoord(lon * u.arcsec, lat * u.arcsec, frame=world.frame)
    point = sky.make_3d().transform_to(
        Heliocentric(observer=world.frame.observer, obstime=world.frame.obstime)
    )
    at = np.stack([point.x.to_value(u.m), point.y.to_value(u.m), point.z.to_value(u.m)])
    to_observer = -at
    to_observer[2] += world.frame.observer.radius.to_value(u.m)
    lengths = np.linalg.norm(at, axis=0) * np.linalg.norm(to_observer, axis=0)
    return (at * to_observer).sum(axis=0) / lengths


def test_mu_by_hand() -> None:
    # At half of the apparent radius, the sine of the angle is one half: mu is sqrt(3) / 2.
    edge = np.arcsin(1 / 215)
    half = np.arcsin(0.5 / 215)
    found = cosine_of_angle([0, half, -half, 0, edge * 1.0001, np.pi], [0, 0, 0, half, 0, 0], 215.0)
    assert_allclose(found[:4], [1, np.sqrt(3) / 2, np.sqrt(3) / 2, np.sqrt(3) / 2], atol=1e-12)
    assert np.isnan(found[4:]).all()  # beyond the limb, and behind the observer


@pytest.mark.slow
def test_mu_of_a_raster_is_that_of_sunpy(datasets: Callable[[str], Any]) -> None:
    ds = datasets("croppable_visp")
    mu = ds.mu
    assert mu.shape == (688, 2555)
    assert mu.unit == u.dimensionless_unscaled
    some = mu[::170, ::400]
    assert_allclose(some.data.compute(), sunpy_mu(some), atol=1e-9)
    assert mu.lineage.is_computed
    assert mu.meta["result"]["quantity"] == "mu"
    assert not {"stokes", "wavelength"} & set(mu.lineage.common())
    assert [row["VSPSTP"] for row in mu.headers[:3]] == [0, 1, 2]
    again = pickle.loads(pickle.dumps(mu[:3, :5]))
    np.testing.assert_array_equal(again.data, mu.data[:3, :5])


def test_each_image_has_its_own_pointing(datasets: Callable[[str], Any]) -> None:
    ds = datasets("large_vbi")[:, ::600, ::700]
    mu = ds.mu
    assert mu.shape == ds.shape
    assert_allclose(mu.data.compute(), sunpy_mu(ds), atol=1e-9)
    assert np.ptp(mu.data[:, 0, 0].compute()) > 0
    smap = mu[0].to_map()
    np.testing.assert_array_equal(smap.data, mu[0].data)
    assert json.loads(smap.meta["result"]) == mu.meta["result"]
    assert json.loads(mu.to_xarray().attrs["result"]) == mu.meta["result"]


@pytest.fixture
def at_the_limb() -> dv.Dataset:
    """An image across the north limb, whose continuum is that of the published law."""
    wcs = tile_wcs((100.0, 950.0), (90, 60))
    return dv.Dataset(np.ones((90, 60)), wcs=wcs, unit="ct")


def test_mu_is_nan_beyond_the_limb(at_the_limb: dv.Dataset) -> None:
    mu = np.asarray(at_the_limb.mu.data)
    sky = at_the_limb.wcs.pixel_to_world(*np.indices((60, 90))).T
    radius = np.hypot(np.tan(sky.Tx), np.tan(sky.Ty))
    edge = np.tan(np.arcsin((sky.frame.rsun / sky.frame.observer.radius).to_value("")))
    np.testing.assert_array_equal(np.isnan(mu), radius.value > edge)
    assert 0.2 < np.isnan(mu).mean() < 0.8


def test_interpolated_positions_are_those_of_the_wcs(
    datasets: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = datasets("large_vbi")[1, 1000:1100, 2000:2140]
    quick = np.asarray(ds.mu.data)
    monkeypatch.setattr("dkist_virtual.science.sun.disk._NODES", 1000)
    np.testing.assert_allclose(quick, np.asarray(ds.mu.data), atol=1e-9)


def test_a_selection_without_the_sky_has_no_mu(datasets: Callable[[str], Any]) -> None:
    with pytest.raises(SelectionError, match="positions on the sky"):
        _ = datasets("croppable_visp")[:, 3, :, 5].mu


# Limb darkening ---------------------------------------------------------------------------------


def test_laws_by_hand() -> None:
    # Neckel (2005) at 500 nm: 1/lambda = 2, 1/lambda**5 = 32. By hand, of mu**0 to mu**5:
    # 0.221516, 1.338854, -1.490246, 1.874596, -1.328236, 0.383516.
    by_hand = 0.221516 + 0.5 * (
        1.338854 + 0.5 * (-1.490246 + 0.5 * (1.874596 + 0.5 * (-1.328236 + 0.5 * 0.383516)))
    )
    found = intensity([1.0, 0.5, np.nan], 500.0, law="neckel 2005")
    assert_allclose(found, [1, by_hand, np.nan], atol=2e-6)
    assert_allclose(by_hand, 0.681676, atol=1e-6)
    # Neckel and Labs (1994) at 541.76 nm, a row of their table.
    row = (0.26073, 1.27428, -1.30352, 1.47085, -0.96618, 0.26384)
    by_hand = sum(value * 0.5**power for power, value in enumerate(row))
    assert_allclose(intensity([0.5], 541.76, law="neckel labs 1994"), [by_hand], atol=1e-12)


def test_laws_agree_and_are_one_at_disk_centre() -> None:
    mu = np.linspace(0.1, 1, 10)
    for wavelength in (393.0, 450.3, 486.5, 630.2, 854.9, 1083.8):
        one, other = (intensity(mu, wavelength, law=law) for law in
                      ("neckel 2005", "neckel labs 1994"))  # fmt: skip
        assert_allclose(one, other, atol=0.011)
        assert_allclose([one[-1], other[-1]], 1, atol=3e-5)
        assert (np.diff(one) > 0).all()


def test_the_table_has_the_published_ratio_of_mean_to_central_intensity() -> None:
    # Column 9 of Neckel and Labs (1994): the mean over the disk, 2 * integral of P mu dmu.
    mu = (np.arange(2000) + 0.5) / 2000
    for wavelength, ratio in ((390.915, 0.7204), (579.88, 0.8125), (1098.95, 0.8890)):
        mean = (2 * mu * intensity(mu, wavelength, law="neckel labs 1994")).mean()
        assert_allclose(mean, ratio, atol=6e-5)


def test_dividing_by_it_flattens_a_continuum(at_the_limb: dv.Dataset) -> None:
    law = at_the_limb.limb_darkening(wavelength=630.1 * u.nm)
    sun = at_the_limb.with_data(100 * law.data, unit="ct")
    flat = np.asarray((sun / law).data)
    mu = np.asarray(at_the_limb.mu.data)
    assert_allclose(flat[mu > 0], 100, rtol=1e-12)
    np.testing.assert_array_equal(np.isnan(flat), np.isnan(mu))
    assert (sun / law).unit == u.ct


def test_every_wavelength_of_a_raster_has_its_own(datasets: Callable[[str], Any]) -> None:
    ds = datasets("croppable_visp")[:, :3, ::100, 5:9]
    law = ds.limb_darkening()
    assert (law.shape, (ds / law).shape) == ((1, 3, 10, 4), ds.shape)
    world = World(ds.wcs, ds.shape)
    wavelengths = world.along([world.of_kind("wavelength")])[0]
    expected = intensity(ds.mu.data.compute()[:, None], wavelengths[:, None], law="neckel 2005")
    assert_allclose(law.data.compute()[0], expected, rtol=1e-12)
    assert "Neckel 2005" in law.meta["result"]["source"]
    assert law.squeeze().shape == (3, 10, 4)
    scan = datasets("vtf")[0, :, :, :3, :4]
    assert (scan / scan.limb_darkening(law="neckel labs 1994")).shape == scan.shape
    image = datasets("large_vbi")[0, :9, :8]
    assert image.limb_darkening().meta["result"]["wavelength"] == "450.4000 nm"  # its LINEWAV


@pytest.mark.parametrize("name", ["H alpha", "Ca II 854.2", "Na I D2"])
def test_chromospheric_lines_are_refused(at_the_limb: dv.Dataset, name: str) -> None:
    inside = CHROMOSPHERIC[name][0] * u.nm
    with pytest.raises(DatasetError, match=name):
        at_the_limb.limb_darkening(wavelength=inside)
    with pytest.raises(DatasetError, match=name):  # the same line, in vacuum
        at_the_limb.limb_darkening(wavelength=inside * 1.00028)


def test_what_no_law_is_for_is_refused(
    at_the_limb: dv.Dataset, datasets: Callable[[str], Any]
) -> None:
    with pytest.raises(DatasetError, match="He I 1083"):
        datasets("croppable_cryo").limb_darkening()
    for wavelength in (380, 1430):
        with pytest.raises(DatasetError, match="no coefficients"):
            at_the_limb.limb_darkening(wavelength=wavelength * u.nm)
    with pytest.raises(DatasetError, match="neckel 2005"):
        at_the_limb.limb_darkening(law="linear", wavelength=500 * u.nm)
    with pytest.raises(DatasetError, match="one wavelength"):
        at_the_limb.limb_darkening(wavelength=500)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="LINEWAV"):
        at_the_limb.limb_darkening()


@pytest.mark.slow
@pytest.mark.parametrize("form", [".zarr", ".fits", ".asdf", ".nc"])
def test_mu_is_saved_and_opened(datasets: Callable[[str], Any], tmp_path: Path, form: str) -> None:
    mu = datasets("croppable_visp").mu[10:13, 20:26]
    options = {"pixels": True} if form == ".asdf" else {}
    mu.save(tmp_path / f"mu{form}", progress=False, **options)
    again = dv.open_dataset(tmp_path / f"mu{form}")
    np.testing.assert_array_equal(again.data, mu.data)
    assert again.meta["result"] == mu.meta["result"]
    assert again.lineage.is_computed
    sky, own = again.wcs.pixel_to_world(2, 1)[0], mu.wcs.pixel_to_world(2, 1)[0]
    assert sky.separation(own) < 1e-6 * u.arcsec


def test_mu_of_many_images_is_computed_by_few_at_once(
    datasets: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_the_disk, "_CHUNK", 2 * 8 * 9)
    ds = datasets("large_vbi")[:, :8, :9]
    assert ds.mu.data.chunks == ((2, 1), (8,), (9,))
    assert_allclose(ds.mu.data.compute(), sunpy_mu(ds), atol=1e-9)
