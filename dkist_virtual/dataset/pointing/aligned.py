"""Give datasets the methods that align them with maps of the Sun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.units import Quantity
    from matplotlib.figure import Figure, SubFigure

    from dkist_virtual.science.alignment.find import Alignment, Model

__all__ = ["AlignedCube"]


class AlignedCube:
    """A dataset that can be aligned with maps of the Sun."""

    _alignment: Alignment | None
    shape: tuple[int, ...]

    @property
    def alignment(self) -> Alignment | None:
        """What `align` found, last, for each step that it was given; None where it was not used.

        Slices have it whole.
        """
        return self._alignment if getattr(self, "pointing", None) is not None else None

    def align(
        self,
        reference: Any,
        *,
        at: Mapping[str, Any] | None = None,
        image: Any = None,
        model: Model = "step",
        search: Quantity | None = None,
        psf: Quantity | None = None,
        least: float = 0.3,
        support: int | None = None,
        screen: Literal["spherical"] | None = None,
    ) -> Self:
        """Correct the pointing by comparing images with maps of the Sun; reads those images.

        Each step, a slit of a raster or an image of a series, is compared with the map nearest in
        time, as the dataset's observer sees it at the time of that step: it is turned with the
        surface of the Sun, resampled, and the finer of both is blurred to the resolution of the
        coarser. Brightness may differ by a factor and an offset in each step.

        It is rigid: a step is shifted as a whole. Destretching, which moves parts of an image
        against each other, is not done, nor are rotation and scale found.

        Parameters
        ----------
        reference : sunpy map, list of them, MapSequence, or Dataset
            One map, or several at different times: such as of HMI or AIA, or images of VBI.
        at : mapping, optional
            Which images are compared, as `at` takes it: ``dict(wavelength=630.1 * u.nm,
            stokes="I")``. The whole dataset is corrected.
        image : Dataset, optional
            In place of that, images on the same pixels: such as a mean over the continuum.
        model : {"constant", "linear", "step"}
            One shift for all, one that changes linearly in time, or one for each step, as pointing
            may drift and jump. All are robust against steps that do not fit.
        search : Quantity, optional
            The largest shift that is looked for along each axis of the images, by default 10
            arcsec.
        psf : Quantity, optional
            Full width at half maximum of the coarser point spread function; by default two pixels
            of the coarser.
        least : float
            The median correlation coefficient under which it is refused.
        support : int, optional
            For ``model="step"``, about how many neighbours on each side support a step, but not
            across a jump; by default those of a slit that are as near as `psf` is wide, and none of
            an image.
        screen : {"spherical"}, optional
            Where positions off the limb are assumed to be, as in `reproject_to`.

        Returns
        -------
        Dataset
            Shifted, as by `shift`; its `alignment` has dx, dy and the quality of each step, and
            `plot_alignment` shows them.

        Raises
        ------
        AlignmentError
            The correlation is weak, the best shift is at the end of the search, or the reference
            does not cover the dataset.
        DatasetError
            A selection that is not of images or slits, or an argument that does not fit.
        ImportError
            scikit-image is not installed: the extra ``align``.

        Examples
        --------
        >>> aligned = ds.align(hmi, at=dict(wavelength=630.1 * u.nm, stokes="I"))  # doctest: +SKIP
        >>> print(aligned.alignment)  # doctest: +SKIP
        """
        from dkist_virtual.cube.pointing import Correction, Pointing
        from dkist_virtual.dataset.pointing.shift import apply_pointing
        from dkist_virtual.science.alignment.find import find_alignment
        from dkist_virtual.science.alignment.steps import Steps

        chosen, axes = _chosen(self, at, image)
        found = find_alignment(
            chosen, reference, model=model, search=search, psf=psf, least=least, support=support,
            screen=screen,
        )  # fmt: skip
        lengths = [1] * len(self.shape)
        for axis in Steps.of(chosen).step_axes:
            lengths[axes[axis]] = chosen.shape[axis]
        shifts = [np.asarray(of.to_value("arcsec")).reshape(lengths) for of in (found.dx, found.dy)]
        if model == "constant":
            shifts = [of[(slice(0, 1),) * of.ndim] for of in shifts]
        correction = Correction(
            at=tuple(range(n) for n in self.shape), dx=shifts[0], dy=shifts[1],
            source=found.source,
        )  # fmt: skip
        made: Self = apply_pointing(self, Pointing((correction,)))
        made._alignment = found
        return made

    def plot_alignment(self, *, figure: Figure | SubFigure | None = None) -> Figure | SubFigure:
        """Draw what `align` compared, before and after it, and what it found for each step.

        Parameters
        ----------
        figure : matplotlib.figure.Figure or SubFigure, optional
            To draw in; by default a new one of pyplot's.

        Raises
        ------
        DatasetError
            The dataset was not aligned.
        """
        from dkist_virtual.dataset.plots.alignment import draw_alignment

        if self.alignment is None:
            raise DatasetError(
                "plot_alignment: this dataset was not aligned: ds.align(reference) gives one that "
                "is"
            )
        return draw_alignment(self.alignment, figure)


def _chosen(ds: Any, at: Mapping[str, Any] | None, image: Any) -> tuple[Any, tuple[int, ...]]:
    """Return the images that are compared, and which axis of the dataset each of their axes is."""
    from dkist_virtual.cube.crop import nearest_index
    from dkist_virtual.cube.points import as_points
    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.text import check_keywords

    every = tuple(range(len(ds.shape)))
    if at is not None and image is not None:
        raise DatasetError("align: at= and image= both choose what is compared: give one of them")
    world = World(ds.wcs, ds.shape)
    if at is not None:
        check_keywords("align: at", at, ("wavelength", "stokes"))
        index = nearest_index(world, as_points(**at))
        return ds[index], tuple(axis for axis in every if isinstance(index[axis], slice))
    if image is None:
        return ds, every
    if not all(hasattr(image, name) for name in ("shape", "wcs", "data", "mask")):
        raise DatasetError(
            f"align: image={type(image).__name__}: expected a dataset. ds[:, 0].with_data(array) "
            "makes one of an array"
        )
    spectral = {
        axis
        for one in world.axes
        if one.kind in ("wavelength", "stokes")
        for axis in one.array_axes
    }
    for axes in (every, tuple(axis for axis in every if axis not in spectral)):
        if tuple(ds.shape[axis] for axis in axes) == tuple(image.shape):
            _check_same_sky(world, World(image.wcs, image.shape), axes)
            return image, axes
    raise DatasetError(
        f"align: image has the shape {tuple(image.shape)}: expected the pixels of this dataset, of "
        f"shape {ds.shape}, without its axes of wavelength and Stokes"
    )


def _check_same_sky(world: Any, other: Any, axes: tuple[int, ...]) -> None:
    """Refuse images whose pixels are elsewhere than those of the dataset."""
    for end in (0.0, 1.0):
        whole = [0.0] * len(world.shape)
        for axis in axes:
            whole[axis] = end * (world.shape[axis] - 1)
        for kind in ("longitude", "latitude"):
            mine, theirs = world.of_kind(kind), other.of_kind(kind)
            if mine is None or theirs is None or mine.unit != theirs.unit:
                raise DatasetError("align: image has not the coordinates of this dataset")
            here = float(world.values(*whole)[mine.index])
            there = float(other.values(*[whole[axis] for axis in axes])[theirs.index])
            if not np.isclose(here, there, rtol=0, atol=1e-6):
                raise DatasetError(
                    f"align: image has the {kind} {there:.4f} {mine.unit} where this dataset has "
                    f"{here:.4f}: expected images made from it, of the same pointing"
                )
