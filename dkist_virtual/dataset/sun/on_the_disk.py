"""Give datasets the geometry of the Sun: mu, and the darkening of the continuum to the limb."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import dask.array
    from astropy.units import Quantity
    from numpy.typing import NDArray

    from dkist_virtual.science.sun.disk import DiskGeometry

__all__ = ["OnTheDisk"]

_CHUNK: Final = 2**21
"""About how many pixels of mu are computed together."""


class OnTheDisk:
    """A dataset whose pixels are on the disk of the Sun, or off its limb."""

    wcs: Any
    shape: tuple[int, ...]
    headers: Any
    lineage: Any

    @property
    def mu(self) -> Self:
        """Mu, the cosine of the heliocentric angle, at each position on the sky; reads no frame.

        1 at the centre of the disk, 0 at the limb, and NaN off it: the cosine of the angle between
        the line of sight and the vertical of the surface. The result has the axes along which the
        position changes, and its pixels are computed when they are used. It equals sunpy's within
        1e-6, except within 1 arcsec of the limb, where an error of 1e-4 arcsec makes more. Each
        step of a raster and each image has its own pointing; the distance of the observer is that
        of the middle of the dataset, which changes by less than 2e-5 in an hour.

        Raises
        ------
        SelectionError
            No position on the sky changes along this selection, or no observer is known.

        Examples
        --------
        >>> ds.mu.plot()  # doctest: +SKIP
        """
        from dkist_virtual.science.sun.disk import DiskGeometry

        geometry = DiskGeometry.of(self.wcs, self.shape, "mu")
        kept = tuple(slice(None) if n in geometry.axes else 0 for n in range(len(self.shape)))
        made: Self = _on(self, kept, _lazy_mu(geometry, 1), "mu", {
            "quantity": "mu", "method": "cosine of the heliocentric angle, of the angle between "
            "the line of sight and the vertical; NaN off the limb",
            "distance": f"{geometry.distance:.6f} solar radii",
        })  # fmt: skip
        return made

    def limb_darkening(
        self, *, law: str = "neckel 2005", wavelength: Quantity | None = None
    ) -> Self:
        """Compute how much darker the quiet continuum is than at disk centre; reads no frame.

        ``ds / ds.limb_darkening()`` removes it. The result is I(mu) / I(1), 1 at the centre of the
        disk and NaN off the limb, and has the axes of this dataset: those along which it does not
        change are one pixel long, so that arithmetic stretches them (``.squeeze()`` drops them).

        Parameters
        ----------
        law : {"neckel 2005", "neckel labs 1994"}
            Neckel (2005): smooth functions of the wavelength, for 300 to 372.98 and 385 to
            1100 nm. Neckel and Labs (1994): their table, interpolated, for 390.915 to 1098.95 nm.
            They differ by less than 0.011.
        wavelength : Quantity, optional
            Of the continuum, one for all pixels. By default that of each pixel; of images that have
            no wavelength in their coordinates, LINEWAV of their headers.

        Raises
        ------
        DatasetError
            A wavelength in a line that is formed in the chromosphere, such as H alpha, Ca II or
            He I 1083, or for which the law has no coefficients; or none is known.
        SelectionError
            As of `mu`.

        Examples
        --------
        >>> flat = ds / ds.limb_darkening()  # doctest: +SKIP
        >>> flat = ds / ds.limb_darkening(wavelength=854 * u.nm)  # doctest: +SKIP
        """
        from functools import partial

        from dkist_virtual.cube.computed_array import compute
        from dkist_virtual.science.sun.disk import DiskGeometry
        from dkist_virtual.science.sun.limb_darkening import LAWS, check_wavelengths, intensity

        if law not in LAWS:
            raise DatasetError(
                f"limb_darkening: law {law!r}: expected one of {', '.join(map(repr, LAWS))}"
            )
        geometry = DiskGeometry.of(self.wcs, self.shape, "limb_darkening")
        nm, axes = _wavelengths(self, wavelength)
        check_wavelengths(nm, LAWS[law])
        kept = tuple(
            slice(None) if n in (*geometry.axes, *axes) else slice(0, 1)
            for n in range(len(self.shape))
        )
        mu = _lazy_mu(geometry, nm.size)[
            tuple(slice(None) if n in geometry.axes else None for n in range(len(self.shape)))
        ]
        pixels, _ = compute(partial(intensity, law=law), [mu, nm], [None, None])
        said = f"{nm.min():.4f} nm" if nm.size == 1 else f"{nm.min():.4f} to {nm.max():.4f} nm"
        made: Self = _on(self, kept, pixels, "limb darkening", {
            "quantity": "limb darkening", "method": "I(mu) / I(1) of the continuum; NaN off the "
            "limb", "law": law, "source": LAWS[law].source, "wavelength": said,
        })  # fmt: skip
        return made


def _on(
    ds: Any, kept: tuple[slice | int, ...], pixels: Any, what: str, result: dict[str, str]
) -> Any:
    """Put what was computed of the coordinates on those of a dataset."""
    import astropy.units as u

    of = ds[kept]
    made = of._new_instance(data=pixels, unit=u.dimensionless_unscaled, mask=None, uncertainty=None)
    made.meta["result"] = result
    made._past = f"{what} of the coordinates of {ds.lineage.source}"
    return made


def _lazy_mu(geometry: DiskGeometry, repeats: int) -> dask.array.Array:
    """Make a dask array of mu, a few frames in a chunk, of which each will be used repeatedly."""
    from uuid import uuid4

    import dask.array as da

    from dkist_virtual.cube.sliced_wcs import forget_dropped
    from dkist_virtual.cube.virtual_array import pieces

    forget_dropped(geometry.wcs)  # what it holds does not pickle
    frame = math.prod(geometry.shape[axis] for axis in geometry.smooth)
    at_once = max(1, _CHUNK // max(1, frame * repeats))
    chunks: list[tuple[int, ...]] = []
    for axis, n in zip(reversed(geometry.axes), reversed(geometry.own_shape), strict=True):
        if axis in geometry.smooth:
            chunks.append((n,))
            continue
        size = min(at_once, n)
        at_once //= size if size == n else at_once
        at_once = max(1, at_once)
        chunks.append(pieces(n, size))
    array: dask.array.Array = da.map_blocks(
        _mu_block, geometry, chunks=tuple(reversed(chunks)), dtype=np.float64,
        meta=np.empty((0,) * len(chunks)), name=f"mu-{uuid4().hex}",
    )  # fmt: skip
    return array


def _mu_block(geometry: DiskGeometry, block_info: Any = None) -> NDArray[np.float64]:
    window: Sequence[tuple[int, int]] = block_info[None]["array-location"]
    return geometry.mu(window)


def _wavelengths(ds: Any, given: Quantity | None) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Return wavelengths in nm that broadcast to the dataset, and the axes they change along."""
    import astropy.units as u

    from dkist_virtual.cube.world_axes import World

    if given is not None:
        if not isinstance(given, u.Quantity) or given.size != 1:
            raise DatasetError(
                f"limb_darkening: wavelength={given!r}: expected one wavelength with its unit, as "
                "in 630.1 * u.nm"
            )
        return np.array(float(np.ravel(given.to_value(u.nm, u.spectral()))[0])), ()
    world = World(ds.wcs, ds.shape)
    axis = world.of_kind("wavelength")
    if axis is not None and axis.array_axes:
        values = world.along([axis])[0]
        shape = [n if k in axis.array_axes else 1 for k, n in enumerate(ds.shape)]
        in_nm = np.asarray((values * u.Unit(axis.unit)).to_value(u.nm, u.spectral()), float)
        return in_nm.reshape(shape), axis.array_axes
    found = _dropped_wavelength(world)
    found = _header_wavelength(ds) if found is None else found
    if found is not None:
        return np.array(found), ()
    raise DatasetError(
        "limb_darkening: neither the coordinates nor LINEWAV of the headers say one wavelength: "
        "wavelength= takes it, as in wavelength=450.3 * u.nm"
    )


def _dropped_wavelength(world: Any) -> float | None:
    import astropy.units as u

    for part in world.parts:
        axis = part.of_kind("wavelength")
        if axis is not None and not axis.array_axes:
            value = float(np.ravel(part.along([axis])[0])[0])
            return float((value * u.Unit(axis.unit)).to_value(u.nm, u.spectral()))
    return None


def _header_wavelength(ds: Any) -> float | None:
    headers = ds.headers
    if headers is None or "LINEWAV" not in headers.colnames:
        return None
    values = np.ma.asarray(headers["LINEWAV"]).compressed()
    return float(values[0]) if len(values) and np.ptp(values) == 0 else None
