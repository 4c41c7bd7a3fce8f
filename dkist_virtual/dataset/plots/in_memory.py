"""Read a selection of one axis or two into an `ndcube.NDCube`."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from ndcube import NDCube

from dkist_virtual.errors import SelectionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.dataset.derived.state import FrameCube
    from dkist_virtual.plot.planes import Subject

__all__ = ["read_cube"]


def read_cube(ds: FrameCube, subject: Subject) -> tuple[NDCube, NDArray[np.bool_] | None]:
    """Read the pixels of a selection of one axis or two; mark those of absent frames.

    `subject` is what a plot shows of the selection. Absent frames raise no error: their pixels are
    NaN. The cube has the selection's coordinates, mask, uncertainty and unit; the marks have its
    shape, and are None where all frames are present.
    """
    from dkist_virtual.plot.planes import PlaneReader, ShownAxes

    ndim = len(ds.shape)
    if ndim > 2:
        raise SelectionError(
            f"plot(axes=...) of a selection of shape {ds.shape}: axes show two axes at most: "
            "slice it first, as in ds[0, 0].plot(axes=...). plot(figure=...) draws with sliders"
        )
    whole = ShownAxes(ndim - 1, ndim - 2 if ndim == 2 else None, (), ndim)
    plane = PlaneReader(subject.data, None, whole, keep=0).read([0] * ndim)
    mask: Any = ds.mask if ds.mask is None or isinstance(ds.mask, bool) else np.asarray(ds.mask)
    spread = copy.copy(ds.uncertainty)
    if spread is not None:
        spread = type(spread)(np.asarray(spread.array), unit=spread.unit, copy=False)
    cube: NDCube = ds.to_nddata(
        data=plane.pixels,
        mask=mask,
        uncertainty=spread,
        meta=None,
        nddata_type=NDCube,
        global_coords="copy",
        extra_coords="copy",
    )
    return cube, plane.absent
