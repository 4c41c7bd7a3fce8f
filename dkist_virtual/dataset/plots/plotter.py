"""Let `ds.plotter`, and plots of sequences, read as the dataset's own plots do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ndcube.visualization.mpl_plotter import MatplotlibPlotter

from dkist_virtual.dataset.plots.animate import Planes
from dkist_virtual.dataset.plots.draw import draw

__all__ = ["DatasetPlotter", "plot_of"]


def plot_of(ds: Any, axes: object, plot_axes: object, figure: object, look: dict[str, Any]) -> Any:
    """Draw a dataset by its plotter, which the user may have set."""
    plotter = ds.plotter
    if isinstance(plotter, DatasetPlotter):
        return draw(ds, axes, plot_axes, figure, look)
    given = {"axes": axes, "plot_axes": plot_axes, "figure": figure}
    look |= {name: value for name, value in given.items() if value is not None}
    return plotter.plot(**look)


class DatasetPlotter(MatplotlibPlotter):
    """The plotter of a dataset: `plot` is the dataset's own."""

    def plot(self, *args: Any, **options: Any) -> Any:
        """Draw the dataset, see `Dataset.plot`."""
        return self._ndcube.plot(*args, **options)

    def _as_mpl_axes(self) -> tuple[type, dict[str, Any]]:
        """Tell pyplot which axes `projection=ds` makes, of more than two axes those of a frame."""
        made, options = super()._as_mpl_axes()
        if "slices" in options:
            # ndcube's have None, which astropy's axes do not take.
            options["slices"] = [0 if one is None else one for one in options["slices"]]
        return made, options

    def _prep_animate_args(
        self, wcs: Any, plot_axes: Any, axes_units: Any, data_unit: Any
    ) -> tuple[Any, Any, Any, Any]:
        """Prepare what ndcube's plot of a sequence asks of each dataset: pixels not yet read."""
        ds = self._ndcube
        bare = SimpleNamespace(data=Planes(ds, data_unit), mask=None, unit=None)
        prepared: tuple[Any, Any, Any, Any] = MatplotlibPlotter(bare)._prep_animate_args(
            wcs, plot_axes, axes_units, None
        )
        return prepared
