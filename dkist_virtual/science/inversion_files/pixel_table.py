"""List the pixels of a region, for the way back from files to a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["TABLE", "directory_of", "format_head", "format_rows", "parse_table"]

TABLE: Final = "pixels.txt"
"""The name of the table in the directory of a region."""


def directory_of(number: int) -> str:
    """Return the directory of a pixel's files: those of a thousand pixels are in one."""
    return f"{number // 1000:04d}/{number:07d}"


def format_head(pixel_axes: Sequence[int]) -> str:
    """Write the first line of the table, with the axes of the array that pixels are counted on."""
    indices = " ".join(f"index_axis_{axis}" for axis in pixel_axes)
    return f"# number {indices} Tx[arcsec] Ty[arcsec] mu directory\n"


def format_rows(
    first: int,
    index: NDArray[np.int64],
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    mu: NDArray[np.float64],
) -> str:
    """Write a line for each of some pixels.

    Parameters
    ----------
    first : int
        The number of the first of them.
    index : array, (pixel, axis)
        Their places along the axes of the dataset's array.
    longitude, latitude : array, (pixel,)
        In arcsec.
    mu : array, (pixel,)
    """
    rows = zip(index.tolist(), longitude.tolist(), latitude.tolist(), mu.tolist(), strict=True)
    return "".join(
        f"{n} {' '.join(map(str, at))} {lon:.4f} {lat:.4f} {cosine:.6f} {directory_of(n)}\n"
        for n, (at, lon, lat, cosine) in enumerate(rows, start=first)
    )


def parse_table(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Read the numbers, the places (pixel, axis) and the directories of a table of pixels.

    Raises
    ------
    ValueError
        It is not such a table.
    """
    head, *lines = text.splitlines()
    if not head.startswith("# number "):
        raise ValueError("expected a line '# number index_axis_... directory'")
    n_axes = sum(name.startswith("index_axis_") for name in head.split())
    rows = [line.split() for line in lines if line.strip()]
    if any(len(row) != n_axes + 5 for row in rows):
        raise ValueError(f"expected {n_axes + 5} columns in each line")
    numbers = np.array([int(row[0]) for row in rows], np.int64)
    places = np.array([[int(one) for one in row[1 : n_axes + 1]] for row in rows], np.int64)
    return numbers, places.reshape(len(rows), n_axes), [row[-1] for row in rows]
