"""Find how bright the frames of scans are, beside the line that they scan."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["brightness_of_scans", "brightness_of_times"]


def brightness_of_scans(
    means: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find the brightness of each frame from the means of the frames of several scans.

    The logarithm of a mean is that of the mean line at its wavelength, and that of a brightness
    that changes linearly in time from the middle of one scan to that of the next, before the first
    and beyond the last as between the first and the last two. Both are found together, by least
    squares: a brightness that grows during each scan is not taken for a slope of the line.

    Parameters
    ----------
    means, times : numpy.ndarray
        Of shape (scans, wavelengths), at least two of both. Means that are not positive numbers
        count for nothing.

    Returns
    -------
    numpy.ndarray
        Of the same shape, with a mean of 1 over all frames.
    """
    n_scans, n_waves = means.shape
    order = np.argsort(times.mean(axis=1))
    nodes = times.mean(axis=1)[order]
    use = np.isfinite(means) & (means > 0)
    logs = np.log(np.where(use, means, 1.0))
    weights = np.zeros((n_scans, n_waves, n_scans))
    where = np.clip(np.searchsorted(nodes, times) - 1, 0, n_scans - 2)
    share = (times - nodes[where]) / (nodes[where + 1] - nodes[where])
    np.put_along_axis(weights, where[..., None], (1 - share)[..., None], axis=-1)
    np.put_along_axis(weights, where[..., None] + 1, share[..., None], axis=-1)
    of_line = np.broadcast_to(np.eye(n_waves), (n_scans, n_waves, n_waves))
    equations = np.concatenate([of_line, weights], axis=-1)[use]
    # The brightness has a mean of 1: the line has the rest.
    total = np.concatenate([np.zeros(n_waves), weights.reshape(-1, n_scans).sum(axis=0)])
    left = np.vstack([equations, total])
    found = np.linalg.lstsq(left, np.append(logs[use], 0.0), rcond=None)[0]
    brightness = np.exp(weights @ found[n_waves:])
    return np.asarray(brightness / brightness.mean())


def brightness_of_times(
    times: NDArray[np.float64], known: NDArray[np.float64], levels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate a level that is known at some times, linearly.

    Parameters
    ----------
    times : numpy.ndarray
        Of the frames, of any shape.
    known, levels : numpy.ndarray
        When the level was measured, in the same unit, and the level: of shape (n,).

    Returns
    -------
    numpy.ndarray
        Of the shape of `times`, with a mean of 1.

    Raises
    ------
    DatasetError
        Frames that are further outside of the times than these are apart, or levels that are not
        positive numbers.
    """
    good = np.isfinite(levels) & (levels > 0)
    if good.sum() < 2:
        raise DatasetError(
            "normalise: expected positive broadband levels at two times at least, found "
            f"{int(good.sum())}"
        )
    order = np.argsort(known[good])
    at, level = known[good][order], levels[good][order]
    apart = float(np.diff(at).max())
    if times.min() < at[0] - apart or times.max() > at[-1] + apart:
        raise DatasetError(
            f"normalise: the first broadband frame is {at[0] - times.min():.6g} s after the first "
            f"of the scans, and the last one {at[-1] - times.max():.6g} s after their last: "
            "expected some at the times of all"
        )
    found = np.interp(times, at, level)
    return np.asarray(found / found.mean())
