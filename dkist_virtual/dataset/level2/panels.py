"""Draw quantities and profiles of an inversion, each in axes of its own.

They are laid out as ``dkist`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.collection import AlignedDatasets

__all__ = ["plot_profiles", "plot_quantities"]

_COLUMNS: Final = 4
_STOKES: Final = ("I", "Q", "U", "V")
_GAP: Final = 1.8
"""Inches between two images for labels of `_POINTS` on both sides."""
_POINTS: Final = 10.0
_PADS: Final = 0.25
"""Inches of that between labels, whatever their size."""
_SMALLEST: Final = 3.0
_SHARE: Final = 0.65
"""Of the room of an image and the gap beside it: what the gap has at most."""
_NO_LABEL: Final = " "  # an empty one would be filled in


def plot_quantities(
    inversion: AlignedDatasets,
    slice_index: Any,
    figure: Figure | None,
    inversions: str | Iterable[str],
    look: dict[str, Any],
) -> Figure:
    """Draw quantities, see `Inversion.plot`."""
    members = _chosen(inversion, inversions)
    index = members.full_index(_as_index(slice_index))
    for key, ds in members.items():
        left = len(ds.shape) - sum(isinstance(part, int) for part in index)
        if left not in (1, 2):
            # The words of dkist's own error, or of astropy's that dkist shows, are in it.
            hint = (
                "" if left else f": inversion[{key!r}].data[...] gives its value, and if you want "
                "to slice the NDData object without the WCS, you can remove that from a copy"
            )  # fmt: skip
            raise DatasetError(
                f"Slice must reduce inversion data to 1D or 2D: {slice_index!r} leaves {left} axes "
                f"of {key!r}{hint}"
            )
    chosen = members[index]
    figure = _current() if figure is None else figure
    n = len(chosen)
    columns = _COLUMNS if inversions == "all" else min(n, _COLUMNS)
    rows = -(-n // columns)
    gap, points = _room(figure, columns)
    grid = figure.add_gridspec(rows, columns, wspace=gap, hspace=0.35)
    for i, (key, ds) in enumerate(chosen.items()):
        row, column = divmod(i, columns)
        axes = _draw(ds, figure, grid[row, column], look)
        if column:
            axes.set_ylabel(_NO_LABEL)
        if row < rows - 1:
            axes.set_xlabel(_NO_LABEL)
        axes.set_title(key)
        _write_small(axes, points)
    return figure


def plot_profiles(
    profiles: AlignedDatasets,
    slice_index: Any,
    figure: Figure | None,
    names: str | Iterable[str],
    look: dict[str, Any],
) -> Figure:
    """Draw profiles, see `Profiles.plot`."""
    given = [names] if isinstance(names, str) else list(names)
    lines = list(dict.fromkeys(key.partition("_")[0] for key in profiles))
    if names != "all":
        wanted = list(dict.fromkeys(name.partition("_")[0] for name in given))
        if unknown := [line for line in wanted if line not in lines]:
            raise KeyError(f"{unknown[0]!r}: expected one of {', '.join(map(repr, lines))}")
        lines = wanted
    keys = [key for line in lines for key in profiles if key.partition("_")[0] == line]
    chosen = profiles[tuple(keys)][_as_index(slice_index)]
    for key, ds in chosen.items():
        if len(ds.shape) != 2:
            raise DatasetError(
                f"Slice must reduce profile data to 1D: {slice_index!r} leaves {key!r} with the "
                f"shape {ds.shape}, and not a wavelength axis and Stokes"
            )
    figure = _current() if figure is None else figure
    grid = figure.add_gridspec(len(_STOKES), len(lines))
    for column, line in enumerate(lines):
        own = [key for key in keys if key.partition("_")[0] == line]
        own.sort(key=lambda key: not key.endswith("_orig"))  # the fit over what was observed
        for row, stokes in enumerate(_STOKES):
            axes: Axes | None = None
            for key in own:
                observed = key.endswith("_orig")
                style = {"marker": "o", "linestyle": ""} if observed else {}
                profile = chosen[key][..., row]
                if axes is None:
                    axes = _draw(profile, figure, grid[row, column], {**style, **look})
                else:
                    profile.plot(axes=axes, **{**style, **look})
            assert axes is not None
            label = axes.get_xlabel()
            axes.set_ylabel(_NO_LABEL if column else stokes)
            axes.set_xlabel(label if row == len(_STOKES) - 1 else _NO_LABEL)
            if row == 0:
                axes.set_title(line)
    return figure


def _chosen(inversion: AlignedDatasets, keys: str | Iterable[str]) -> AlignedDatasets:
    if keys == "all":
        return inversion
    chosen: AlignedDatasets = inversion[(keys,) if isinstance(keys, str) else tuple(keys)]
    return chosen


def _as_index(slice_index: Any) -> Any:
    return tuple(slice_index) if isinstance(slice_index, Iterable) else slice_index


def _draw(ds: Dataset, figure: Figure, place: Any, look: dict[str, Any]) -> Axes:
    """Draw a dataset in new axes of a figure."""
    axes: Axes = figure.add_subplot(place, projection=ds)
    ds.plot(axes=axes, **look)
    return axes


def _room(figure: Figure, columns: int) -> tuple[float, float]:
    """Find room for the labels on both sides of images in a row.

    Returns the gap between two images, in widths of an image, and the size of letters in points.
    """
    bounds = figure.subplotpars
    wide = figure.bbox.width / figure.dpi * (bounds.right - bounds.left)
    gap = min(_GAP, _SHARE * wide / columns)
    image = (wide - gap * (columns - 1)) / columns
    return gap / image, max(_SMALLEST, _POINTS * (gap - _PADS) / (_GAP - _PADS))


def _write_small(axes: Any, points: float) -> None:
    """Write title and labels in letters of that size, unless theirs is smaller."""
    axes.title.set_fontsize(min(points * 1.2, axes.title.get_fontsize()))
    for coordinate in axes.coords:
        coordinate.set_ticklabel(size=points)
        if label := coordinate.get_axislabel():
            coordinate.set_axislabel(label, fontsize=points)


def _current() -> Figure:
    from matplotlib import pyplot as plt

    return plt.gcf()
