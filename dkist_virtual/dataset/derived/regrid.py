"""Bin and reproject pixels, WCS, masks, uncertainties and coordinates.

State that the new pixels cannot have is refused, and the error says how to leave it behind.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import astropy.units as u
import numpy as np
from astropy.nddata import StdDevUncertainty

from dkist_virtual.cube.screens import assume_screen, check_screen, warn_of_lost
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.derived.state import FrameCube
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.science.spectra.medium import stated_by_headers
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    import dask.array as da
    from astropy.wcs.wcsapi import BaseHighLevelWCS

    from dkist_virtual.cube.computed_array import PixelFunction, Pixels

__all__ = ["RegriddedCube"]

_IGNORES_NAN: Final = (np.nansum, np.nanmean)
_FOLLOWED: Final = (np.sum, np.mean, *_IGNORES_NAN)
"""Operations that standard deviations follow."""


class RegriddedCube(FrameCube):
    """An NDCube that bins lazily, and says what it cannot keep."""

    def rebin(
        self,
        bin_shape: Sequence[int] | u.Quantity,
        operation: PixelFunction = np.mean,
        **options: Any,
    ) -> Self:
        """Make one pixel of several neighbours; reads nothing.

        Parameters
        ----------
        bin_shape : sequence of int
            Pixels that become one, for each axis; a divisor of its length, or -1 for all of it.
        operation : callable
            Such as `numpy.mean`, `numpy.sum`, `numpy.median`, or a function of your own that takes
            an array and ``axis=``, a tuple, and is given numpy arrays. ``function=`` is another
            name of it.
        **options
            As `ndcube.NDCube.rebin` takes them: operation_ignores_mask, handle_mask,
            propagate_uncertainties, new_unit; and the options of a propagate_uncertainties. By
            default standard deviations, and uncertainties that can be represented as such, follow
            sums and means, as independent of each other.

        Returns
        -------
        Dataset
            Its WCS is right at the centre of each bin. It has no headers, as none of them is that
            of a pixel any more.

        Raises
        ------
        DatasetError
            Bins that do not fit, or that would add Stokes parameters to each other; an uncertainty
            that does not follow the operation, or a point spread function.
        """
        if "function" in options:  # as dkist's documentation calls it
            if operation is not np.mean:
                raise TypeError("rebin: operation and function are two names of one argument")
            operation = options.pop("function")
        propagate = options.get("propagate_uncertainties", False)
        if not callable(propagate):
            # With them ndcube calls a function; without, it ignores what it does not know.
            of_its_own = ("propagation_operation", "correlation") if propagate else ()
            check_keywords("rebin", options, (*_REBIN, *of_its_own))
        sizes = self._bins(bin_shape)
        # Of a WCS with more axes than the data, a slice has only the data's.
        cube = self[...]
        if max(sizes) == 1:
            return self
        self._refuse("rebin", psf="its pixels are those of before")
        if (
            propagate
            and isinstance(cube.mask, np.ndarray)
            and not isinstance(cube.data, np.ndarray)
        ):
            from dask.array import from_array

            # ndcube indexes the one by the other.
            cube.mask = from_array(cube.mask, chunks=cube.data.chunks)
        spread = None
        if cube.uncertainty is not None and "propagate_uncertainties" not in options:
            spread = _spread_of_bins(cube, sizes, operation, options)
        coords, cube._extra_coords = cube.extra_coords, type(cube.extra_coords)()
        binned: Self = super(RegriddedCube, cube).rebin(
            sizes, _make_lazy(operation, masked=_uses_mask(cube, options)), **options
        )
        binned._data = _without_mask(binned._data)
        _forget_rows(binned, self)
        binned._past = f"{self.lineage.source}, binned by {sizes}"
        if spread is not None:
            binned.uncertainty = spread
        cube._extra_coords = coords
        binned._coordinates_from(cube, sizes=sizes)
        return binned

    def _bins(self, bin_shape: Sequence[int] | u.Quantity) -> tuple[int, ...]:
        if isinstance(bin_shape, u.Quantity):
            bin_shape = bin_shape.to_value(u.pixel)
        given = np.asarray(bin_shape)
        if given.shape != (len(self.shape),) or not np.array_equal(given, np.rint(given)):
            raise DatasetError(
                f"bin_shape {bin_shape!r}: expected a whole number for each of the "
                f"{len(self.shape)} axes of {self.shape}"
            )
        sizes = tuple(
            n if size == -1 else int(size) for size, n in zip(given, self.shape, strict=True)
        )
        stokes = World(self.wcs, self.shape).of_kind("stokes")
        for axis, (size, n) in enumerate(zip(sizes, self.shape, strict=True)):
            if size < 1 or n % size:
                raise DatasetError(
                    f"bin_shape {sizes}: {size} does not divide the {n} pixels of axis {axis}. "
                    f"ds[...] can leave some of them out"
                )
            if size > 1 and stokes is not None and axis in stokes.array_axes:
                raise DatasetError(
                    f"bin_shape {sizes}: axis {axis} is {stokes.label}, and a mean of Stokes "
                    "parameters is not one. ds.data is a dask array that numpy's functions take"
                )
        return sizes

    def reproject_to(
        self,
        target_wcs: BaseHighLevelWCS,
        *args: Any,
        screen: Literal["spherical"] | None = None,
        **options: Any,
    ) -> Any:
        """Reproject, as `ndcube.NDCube.reproject_to` does; reads the frames.

        The result has no headers, as none of them is that of a pixel any more. A pixel to which a
        masked one contributes is masked. Uncertainties and point spread functions are refused.

        Parameters
        ----------
        target_wcs : WCS
        *args, **options
            As `ndcube.NDCube.reproject_to` and functions of `reproject` take them.
        screen : {"spherical"}, optional
            Where positions off the limb of the Sun are assumed to be, which is needed where
            observer or time of `target_wcs` are others than the dataset's: on
            `sunpy.coordinates.SphericalScreen` around the dataset's observer, ``only_off_disk``.
            By default they are NaN, with a warning. It is refused with ``parallel=`` and with
            ``return_type="dask"``, which compute positions in other processes, or later.
        """
        check_screen("reproject_to", screen)
        later = [
            o for o in ("parallel", "return_type") if options.get(o) not in (None, False, "numpy")
        ]
        if screen is not None and later:
            raise DatasetError(
                f"reproject_to: screen={screen!r} is not known to what computes in other "
                f"processes, or later: leave out {' and '.join(later)}"
            )
        algorithm = options.get("algorithm", args[0] if args else "interpolation")
        check_keywords("reproject_to", options, _reprojection_keywords(algorithm))
        self._refuse(
            "reproject_to",
            psf="its pixels are those of before",
            uncertainty="pixels that are made of the same ones are not independent",
        )
        if self.extra_coords.keys():
            warnings.warn(
                f"reproject_to: the extra coordinates {', '.join(self.extra_coords.keys())} are of "
                "the pixels before, and are left behind",
                DKISTVirtualWarning,
                stacklevel=2,
            )
        world = World(self.wcs, self.shape)
        if screen is None:
            warn_of_lost("reproject_to", world, target_wcs, stacklevel=2)
        with assume_screen("reproject_to", screen, world.frame):
            result = super().reproject_to(target_wcs, *args, **options)
        cube = result[0] if isinstance(result, tuple) else result
        cube._unit = self.unit  # which ndcube forgets
        _forget_rows(cube, self)
        cube._past = f"{self.lineage.source}, reprojected"
        cube._coordinates_from(self, index=())
        if self.mask is not None and not isinstance(self.mask, bool):
            twin = self._new_instance(
                data=np.asarray(self.mask, float), mask=None, uncertainty=None
            )
            with assume_screen("reproject_to", screen, world.frame):
                parts = super(RegriddedCube, twin).reproject_to(target_wcs, *args, **options)
            share = parts[0] if isinstance(parts, tuple) else parts
            cube.mask = np.nan_to_num(np.asarray(share.data)) > _TRACE
        else:
            cube.mask = self.mask
        return result

    def _refuse(self, what: str, **reasons: str) -> None:
        """Refuse to leave behind what the user has set."""
        for name, reason in reasons.items():
            if getattr(self, name) is not None:
                word = {"psf": "point spread function"}.get(name, name)
                raise DatasetError(
                    f"{what}: the {word} of this dataset does not follow, as {reason}. "
                    f"ds.{name} = None leaves it behind"
                )


def _forget_rows(result: FrameCube, cube: FrameCube) -> None:
    """Take the headers of frames out of a result: no row is that of a pixel any more."""
    result._stitching = None
    if cube.provenance is not None:
        result.meta = {**result.meta.without_headers(), **stated_by_headers(cube)}


_REBIN: Final = (
    "operation_ignores_mask", "handle_mask", "propagate_uncertainties", "new_unit",
)  # fmt: skip


def _reprojection_keywords(algorithm: str) -> Iterable[str]:
    """Return the keywords of `reproject_to` with one of reproject's functions."""
    import inspect
    from importlib import import_module

    function = {"adaptive": "reproject_adaptive", "exact": "reproject_exact"}.get(
        algorithm, "reproject_interp"
    )
    known = inspect.signature(getattr(import_module("reproject"), function)).parameters
    return {"algorithm", *known} - {"input_data", "output_projection"}


_TRACE: Final = 1e-3
"""A weight in an interpolation that is more than rounding of positions."""


def _spread_of_bins(
    cube: FrameCube, sizes: tuple[int, ...], operation: PixelFunction, options: dict[str, Any]
) -> StdDevUncertainty:
    """Compute the standard deviation of sums and means of independent pixels."""
    own: Any = cube.uncertainty
    try:
        known = own.represent_as(StdDevUncertainty)
    except TypeError:  # astropy's for an uncertainty of unknown kind
        known = None
    if known is None or not any(operation is one for one in _FOLLOWED):
        name = getattr(operation, "__name__", str(operation))
        raise DatasetError(
            f"rebin by {name}: what becomes of an uncertainty of type {own.uncertainty_type!r} is "
            "not known here: standard deviations follow numpy.sum and numpy.mean. "
            "propagate_uncertainties=False leaves it behind, and a function, as ndcube takes it, "
            "says what becomes of it"
        )
    shape = [
        n for size, whole in zip(sizes, cube.shape, strict=True) for n in (whole // size, size)
    ]
    axes = tuple(range(1, len(shape), 2))
    counted = np.ones(cube.shape, bool)
    if cube.mask is not None and not options.get("operation_ignores_mask"):
        counted = np.broadcast_to(np.logical_not(cube.mask), cube.shape)
    if operation in _IGNORES_NAN:
        counted = counted & ~np.isnan(cube.data)
    squares = np.where(counted, known.array**2, 0).reshape(shape).sum(axis=axes)
    spread = np.sqrt(squares)
    if operation in (np.mean, np.nanmean):
        counts = counted.reshape(shape).sum(axis=axes)
        spread = spread / np.where(counts, counts, np.nan)
    return StdDevUncertainty(spread, unit=known.unit, copy=False)


def _uses_mask(cube: FrameCube, options: dict[str, Any]) -> bool:
    """Return whether a function of bins is given masked arrays."""
    without = cube.mask is None or (isinstance(cube.mask, bool) and not cube.mask)
    return not (without or options.get("operation_ignores_mask"))


def _median_of_known(array: np.ndarray, axis: tuple[int, ...]) -> Any:
    median: PixelFunction = np.ma.median  # typed by the newer numpy alone
    masked: PixelFunction = np.ma.masked_invalid
    return median(masked(array), axis=axis)


_MEDIANS: Final[dict[PixelFunction, PixelFunction]] = {
    np.median: np.ma.median,
    np.nanmedian: _median_of_known,
}


def _make_lazy(operation: PixelFunction, *, masked: bool) -> PixelFunction:
    """Make a function of bins lazy: for numpy's own dask calls its own, which reads in chunks."""
    import dask.array as da

    if masked and operation in _MEDIANS:  # numpy's use masked pixels too
        return partial(_in_whole_bins, _MEDIANS[operation])
    name = getattr(operation, "__name__", "")
    known = hasattr(da, name) and getattr(np, name, None) is operation
    return operation if known else partial(_in_whole_bins, operation)


def _in_whole_bins(
    operation: PixelFunction, array: np.ndarray | da.Array, axis: tuple[int, ...]
) -> Any:
    if isinstance(array, np.ndarray):
        return operation(array, axis=axis)
    whole = array.rechunk(dict.fromkeys(axis, -1))
    dtype = operation(np.ones((1,) * array.ndim, array.dtype), axis=axis).dtype
    return whole.map_blocks(operation, axis=axis, drop_axis=axis, dtype=dtype)


def _without_mask(array: Pixels) -> Pixels:
    import dask.array as da

    # dask tells by `_meta` alone what type its chunks will be.
    masked = isinstance(getattr(array, "_meta", None), np.ma.MaskedArray)
    return da.ma.getdata(array) if masked else array
