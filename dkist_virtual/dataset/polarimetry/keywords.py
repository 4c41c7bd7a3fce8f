"""Check the keywords of polarimetry, and word what is said of the results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.axis import SpectralAxis

__all__ = [
    "V_SIGN", "axis_of", "check_how", "check_one_of", "has_limb", "off_the_limb", "words",
]  # fmt: skip

V_SIGN: Final = (
    "V is positive on the blue side of an absorption line where the field points to the observer, "
    "as in data of SDO/HMI and Hinode-SP"
)


def check_one_of(function: str, name: str, value: object, known: tuple[str, ...]) -> None:
    """Refuse a word that is not one of some."""
    if value not in known:
        raise DatasetError(
            f"{function}: {name}={value!r}: expected one of {', '.join(map(repr, known))}"
        )


def check_how(function: str, how: object) -> None:
    """Refuse another way to combine a window than the two that there are."""
    check_one_of(function, "how", how, ("maximum", "mean"))


def axis_of(ds: Any) -> SpectralAxis:
    """Find the axis of wavelengths of a dataset."""
    from dkist_virtual.science.spectra.axis import SpectralAxis

    return SpectralAxis.of(ds)


def words(axis: SpectralAxis, used: NDArray[np.bool_] | None) -> str:
    """Say which wavelengths are used."""
    some = axis.values[used]
    return f"{some.min():.4f} to {some.max():.4f} {axis.unit}, {len(some)} wavelengths"


def off_the_limb(ds: Any) -> NDArray[np.bool_]:
    """Return which pixels are off the limb, in a shape that broadcasts to the dataset."""
    from dkist_virtual.science.sun.disk import DiskGeometry

    geometry = DiskGeometry.of(ds.wcs, ds.shape, "crosstalk")
    mu = geometry.mu([(0, n) for n in geometry.own_shape])
    return np.isnan(mu).reshape([n if k in geometry.axes else 1 for k, n in enumerate(ds.shape)])


def has_limb(ds: Any) -> bool:
    """Return whether a part of a dataset is off the limb."""
    from dkist_virtual.science.sun.disk import DiskGeometry

    return DiskGeometry.of(ds.wcs, ds.shape, "crosstalk").has_pixels_off_the_limb()
