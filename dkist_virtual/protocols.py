"""Describe objects of other packages that come without types, as far as they are used here.

What is no more specific than `Any` in a signature says nothing to its reader. Each class here names
the attributes and methods that the package uses, and where they are documented.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DaskClient", "DaskFuture", "LowLevelWCS"]


class LowLevelWCS(Protocol):
    """A WCS that converts numbers: `astropy.wcs.wcsapi.BaseLowLevelWCS` (APE 14)."""

    @property
    def pixel_n_dim(self) -> int: ...
    @property
    def world_n_dim(self) -> int: ...
    @property
    def pixel_shape(self) -> tuple[int, ...] | None: ...
    @property
    def array_shape(self) -> tuple[int, ...] | None: ...
    @property
    def pixel_axis_names(self) -> Sequence[str]: ...
    @property
    def world_axis_names(self) -> Sequence[str]: ...
    @property
    def world_axis_physical_types(self) -> Sequence[str | None]: ...
    @property
    def world_axis_units(self) -> Sequence[str]: ...
    @property
    def world_axis_object_components(self) -> Sequence[tuple[Any, ...]]: ...
    @property
    def world_axis_object_classes(self) -> dict[str, tuple[Any, ...]]: ...
    @property
    def axis_correlation_matrix(self) -> NDArray[np.bool_]: ...
    def pixel_to_world_values(self, *pixel_arrays: Any) -> Any: ...
    def world_to_pixel_values(self, *world_arrays: Any) -> Any: ...


class DaskFuture(Protocol):
    """What a cluster is computing: `distributed.Future`."""

    def result(self) -> Any: ...


class DaskClient(Protocol):
    """A client of a cluster: `distributed.Client`."""

    def submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> DaskFuture: ...
    def nthreads(self) -> dict[str, int]: ...
    def cancel(self, futures: Iterable[DaskFuture]) -> Any: ...
