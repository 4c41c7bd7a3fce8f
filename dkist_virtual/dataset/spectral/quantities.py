"""Hold quantities that were measured together, and compute them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Quantities"]


class Quantities(Mapping[str, Any]):
    """Datasets by name, each also an attribute: ``q.centroid`` is ``q["centroid"]``.

    Parameters
    ----------
    datasets : mapping of str to Dataset
        Of one shape, computed from the same pixels.
    """

    def __init__(self, datasets: Mapping[str, Any]) -> None:
        self._datasets = dict(datasets)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._datasets[name]
        except KeyError:
            raise KeyError(f"{name!r}: expected one of {', '.join(self._datasets)}") from None

    def __getattr__(self, name: str) -> Any:
        found = self.__dict__.get("_datasets", {}).get(name)
        if found is None:
            names = ", ".join(self.__dict__.get("_datasets", {}))
            raise AttributeError(f"Quantities: no quantity {name!r}: expected one of {names}")
        return found

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._datasets]

    def __iter__(self) -> Iterator[str]:
        return iter(self._datasets)

    def __len__(self) -> int:
        return len(self._datasets)

    def compute(self, **options: Any) -> Quantities:
        """Compute all of them at once, and return them with their pixels in memory.

        Frames are read once for all of them.

        Parameters
        ----------
        **options
            As `dask.compute` takes them, such as ``scheduler=``.
        """
        from dask.base import compute

        pixels = {name: (ds.data, ds.mask) for name, ds in self._datasets.items()}
        found = compute(pixels, **options)[0]
        return Quantities(
            {
                name: ds._new_instance(data=found[name][0], mask=found[name][1])
                for name, ds in self._datasets.items()
            }
        )

    def __repr__(self) -> str:
        lines = [f"Quantities of shape {next(iter(self.values())).shape}:" if len(self) else
                 "Quantities: none"]  # fmt: skip
        for name, ds in self._datasets.items():
            lines.append(f"  {name}: {_said(ds.unit)}")
        return "\n".join(lines)


def _said(unit: Any) -> str:
    """Write a unit; that of plain numbers, which astropy writes as nothing, in words."""
    return "without a unit" if unit is None else str(unit) or "dimensionless"
