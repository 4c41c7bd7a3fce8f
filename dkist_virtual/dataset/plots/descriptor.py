"""Give a dataset its plotter, which ndcube calls; matplotlib is imported when it is used."""

from __future__ import annotations

from typing import Any

from ndcube.visualization import PlotterDescriptor

__all__ = ["DatasetPlotterDescriptor"]


class DatasetPlotterDescriptor(PlotterDescriptor):
    """As ndcube's, which writes its own signature and words over those of the owner's `plot`."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._property_name = name
        self._attribute_name = f"_{name}"

    def __get__(self, obj: Any, objtype: type | None = None) -> Any:
        if obj is None:
            return None
        own = obj.__dict__.get(self._attribute_name)
        if own is not None:
            # Copies and pickles of a dataset have its plotter, but for themselves.
            return own if own._ndcube is obj else type(own)(obj)
        from dkist_virtual.dataset.plots.plotter import DatasetPlotter

        return DatasetPlotter(obj)

    def __set__(self, obj: Any, value: Any) -> None:
        if not isinstance(value, type):
            raise TypeError(f"plotter = {value!r}: expected a class of plotters, not one of them")
        obj.__dict__[self._attribute_name] = value(obj)
