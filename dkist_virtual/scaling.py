"""BSCALE, BZERO and BLANK: from the numbers in a file to pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.layouts import Image

__all__ = ["scale_pixels"]


def scale_pixels(
    raw: NDArray[np.generic], layout: Image, blanks: NDArray[np.bool_] | None = None
) -> NDArray[np.generic]:
    """Apply BSCALE, BZERO and BLANK, with the arithmetic of astropy.

    Floats are scaled in their own precision, integers in that of the result. A BLANK is applied
    whatever its value: astropy leaves pixels of BLANK = 0 as they are, against 4.4.2.5.

    Parameters
    ----------
    raw : ndarray
        The pixels as they stand in the file, any byte order; may be returned where it is native
        and nothing is to be done.
    layout : PlainImage or CompressedImage
    blanks : ndarray of bool, optional
        Which pixels are undefined, where that is not said by one value for all of them.

    Returns
    -------
    numpy.ndarray
        Type `layout.dtype`, native byte order, contiguous.
    """
    dtype = layout.dtype
    if layout.bitpix > 0 and dtype.kind in "iu":
        native = np.ascontiguousarray(raw, raw.dtype.newbyteorder("="))
        if layout.bzero == 0:
            return native
        # The offset is half the type's range: adding it flips the highest bit, whose place in a
        # signed and in an unsigned integer is the same.
        flipped: NDArray[np.generic] = native.view(dtype) ^ np.array(
            1 << (8 * dtype.itemsize - 1), f"u{dtype.itemsize}"
        ).view(dtype)
        return flipped
    data = np.ascontiguousarray(raw, dtype)
    scaled = layout.bscale != 1 or layout.bzero != 0
    if blanks is None and layout.bitpix > 0 and layout.blank is not None:
        blanks = raw == layout.blank
    if scaled and data is raw:
        data = raw.copy()
    # A header may ask for more than a float32 holds: that is inf, and nobody's warning.
    with np.errstate(all="ignore"):
        if layout.bscale != 1:
            np.multiply(data, layout.bscale, out=data)
        if layout.bzero != 0:
            np.add(data, layout.bzero, out=data)
    if blanks is not None:
        data[blanks] = np.nan
    return data
