"""Turn what a call gives into arrays, texts and lists, whichever package gave it.

Two results are compared as these: pixels, coordinates and headers bit for bit, figures by what is
drawn in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["assert_equal", "drawn", "plain", "world_of"]


def world_of(wcs: Any, shape: tuple[int, ...]) -> list[Any]:
    """World values at the first, the middle and the last pixel, and what they are."""
    low = wcs.low_level_wcs
    pixels = np.array([[0] * len(shape), [n // 2 for n in shape], [n - 1 for n in shape]])
    values = low.pixel_to_world_values(*pixels.T[::-1].astype(float))
    if low.world_n_dim == 1:
        values = [values]
    types = [str(kind) for kind in low.world_axis_physical_types]
    return [types, [np.asarray(value, float) for value in values]]


def drawn(figure: Any) -> list[Any]:
    """What is drawn in a figure: the pixels of images and the values of lines, axes by axes.

    Sliders, buttons and colour bars are left out, and axes with nothing in them.
    """
    figure.canvas.draw()
    found = []
    for axes in figure.get_axes():
        if axes.get_label() == "<colorbar>" or getattr(axes, "_colorbar", None) is not None:
            continue
        images = [_pixels_of(image) for image in axes.get_images()]
        lines = [
            np.ma.filled(np.ma.asarray(line.get_ydata(), float), np.nan)
            for line in axes.get_lines()
            if len(line.get_ydata()) > 2
        ]
        if images or lines:
            found.append({"images": images, "lines": lines})
    return found


def _pixels_of(image: Any) -> Any:
    # A plot of ours gives matplotlib as many pixels as the screen has, and keeps the plane.
    plane = getattr(image, "pixels", None)
    array = image.get_array() if plane is None else plane
    array = np.ma.asarray(array)
    return array.filled(np.nan) if array.dtype.kind == "f" else np.ma.getdata(array)


def plain(value: Any) -> Any:
    """Return a value as numbers, texts, arrays, lists and dicts alone."""
    from astropy.coordinates import BaseCoordinateFrame, SkyCoord, SpectralCoord, StokesCoord
    from astropy.table import Column, Row, Table
    from astropy.time import Time
    from astropy.units import Quantity, UnitBase
    from matplotlib.figure import Figure
    from ndcube import NDCube
    from sunpy.map import GenericMap

    if isinstance(value, np.ma.core.MaskedConstant):
        return "masked"
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, UnitBase):
        return value.to_string()
    if isinstance(value, (np.generic, np.ndarray)) and not isinstance(value, (Quantity, Column)):
        return _array(value)
    if isinstance(value, Time):
        return ["time", value.utc.isot]
    if isinstance(value, StokesCoord):
        return ["stokes", _array(value.value)]
    if isinstance(value, SpectralCoord):
        return ["spectrum", value.unit.to_string(), _array(value.value)]
    if isinstance(value, (SkyCoord, BaseCoordinateFrame)):
        spherical = value.spherical
        return [value.name if hasattr(value, "name") else value.frame.name,
                _array(spherical.lon.arcsec), _array(spherical.lat.arcsec)]  # fmt: skip
    if isinstance(value, Quantity):
        return [value.unit.to_string(), _array(value.value)]
    if isinstance(value, Row):
        return {name: plain(value[name]) for name in value.colnames}
    if isinstance(value, Table):
        return {name: plain(value[name]) for name in value.colnames}
    if isinstance(value, Column):
        return _array(value)
    if isinstance(value, Figure):
        return drawn(value)
    if isinstance(value, GenericMap):
        return [plain(value.data), world_of(value.wcs, value.data.shape), plain(value.unit)]
    if isinstance(value, NDCube):
        data = value.data
        shape = tuple(int(n) for n in data.shape)
        return {
            "class": type(value).__name__,
            "pixels": _array(np.asarray(data)),
            "unit": plain(value.unit),
            "world": world_of(value.wcs, shape),
        }
    if type(value).__name__ == "TiledDataset":
        return ["TiledDataset", value.shape, [plain(tile) for tile in value.flat]]
    if hasattr(value, "compute"):
        return _array(value.compute())
    if isinstance(value, Mapping) or hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) or hasattr(value, "__iter__"):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value)}: what of it should be compared?")


def _array(value: Any) -> Any:
    masked = np.ma.isMaskedArray(value)
    array = np.asarray(value)
    if array.dtype.kind == "O":
        return [plain(item) for item in array.ravel()]
    array = array.astype(array.dtype.newbyteorder("="))
    return [array, np.ma.getmaskarray(value)] if masked and np.ma.is_masked(value) else array


def assert_equal(ours: Any, expected: Any, where: str = "", *, tolerance: float = 0.0) -> None:
    """Compare two plain values: of the same kind, and equal to the last bit unless allowed."""
    if isinstance(expected, np.ndarray) or isinstance(ours, np.ndarray):
        ours, expected = np.asarray(ours), np.asarray(expected)
        assert ours.dtype.kind == expected.dtype.kind, (where, ours.dtype, expected.dtype)
        if tolerance and expected.dtype.kind == "f":
            np.testing.assert_allclose(ours, expected, rtol=tolerance, err_msg=where)
        else:
            np.testing.assert_array_equal(ours, expected, err_msg=where)
    elif isinstance(expected, dict):
        assert isinstance(ours, dict), where
        assert list(ours) == list(expected), where
        for key, value in expected.items():
            assert_equal(ours[key], value, f"{where}[{key!r}]", tolerance=tolerance)
    elif isinstance(expected, list):
        assert isinstance(ours, list), where
        assert len(ours) == len(expected), where
        for number, (one, other) in enumerate(zip(ours, expected, strict=True)):
            assert_equal(one, other, f"{where}[{number}]", tolerance=tolerance)
    else:
        assert ours == expected or (ours != ours and expected != expected), where
