"""Slice several datasets together along the axes that are aligned.

The collection is ndcube's, with what a dataset of frames needs: indexing that reads nothing, meta
that is read when it is first used, copies and pickles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

from ndcube import NDCollection

from dkist_virtual.cube import selection
from dkist_virtual.dataset.level2.alignment import own_index, remaining_axes
from dkist_virtual.dataset.summary import axis_names
from dkist_virtual.errors import DatasetError, SelectionError

if TYPE_CHECKING:
    from dkist_virtual.cube.selection import BasicIndex
    from dkist_virtual.dataset.dataset import Dataset

_Along: TypeAlias = tuple[tuple[str, object], ...]
"""Names and pixels of axes."""

__all__ = ["AlignedDatasets", "Unread", "aligned_names"]


class Unread(Protocol):
    """A meta that is read when it is first used."""

    def read(self) -> dict[str, Any]:
        """Read it."""


class AlignedDatasets(NDCollection):  # type: ignore[misc]  # ndcube comes without types
    """Several datasets by their keys, which are sliced together along their aligned axes.

    Parameters
    ----------
    key_data_pairs : mapping, or sequence of (str, Dataset)
    aligned_axes : tuple of int, tuple of tuple of int, "all" or None
        As `ndcube.NDCollection` takes it.
    meta : dict, optional
        Of the whole collection.
    """

    _meta: dict[str, Any] | Unread | None

    def __init__(
        self,
        key_data_pairs: Mapping[str, Dataset] | Iterable[tuple[str, Dataset]],
        aligned_axes: Any = None,
        meta: dict[str, Any] | Unread | None = None,
        **kwargs: Any,
    ) -> None:
        pairs = key_data_pairs.items() if isinstance(key_data_pairs, Mapping) else key_data_pairs
        super().__init__(list(pairs), aligned_axes=aligned_axes, meta=meta, **kwargs)

    @property
    def meta(self) -> dict[str, Any] | None:
        """What is known of the collection as a whole."""
        if self._meta is not None and not isinstance(self._meta, dict):
            self._meta = self._meta.read()
        return self._meta

    @meta.setter
    def meta(self, value: dict[str, Any] | Unread | None) -> None:
        self._meta = value

    def _shared_meta(self) -> dict[str, Any] | Unread | None:
        """Return the meta for a part of this collection, which has its own keys."""
        return dict(self._meta) if isinstance(self._meta, dict) else self._meta

    # Selecting ------------------------------------------------------------------------------

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, str):
            if item not in self:
                raise KeyError(f"{item!r}: expected one of {', '.join(map(repr, self))}")
            return super().__getitem__(item)
        words = [isinstance(part, str) for part in item] if isinstance(item, tuple | list) else []
        if words and all(words):
            return self._part([(key, self[key]) for key in item], self._axes_of(item))
        if any(words):
            raise TypeError(
                f"index {item!r}: keys and slices are mixed: expected keys, or integers and slices"
            )
        return self._slice(self.full_index(item))

    def _axes_of(self, keys: Iterable[str]) -> tuple[tuple[int, ...], ...] | None:
        axes = self.aligned_axes
        return None if axes is None else tuple(axes[key] for key in keys)

    def full_index(self, item: Any) -> BasicIndex:
        """Check an index of the aligned axes, and complete it."""
        if self.aligned_axes is None:
            raise SelectionError(
                f"index {item!r}: the datasets of this {type(self).__name__} have no aligned axes: "
                "slice them one by one"
            )
        return selection.full_index(item, self.n_aligned_axes)

    def _slice(self, index: BasicIndex) -> Self:
        """Slice all members by an index of their aligned axes."""
        self._check_aligned()
        axes = self.aligned_axes
        pairs = [(key, ds[own_index(len(ds.shape), axes[key], index)]) for key, ds in self.items()]
        left = tuple(remaining_axes(axes[key], index) for key in self)
        return self._part(pairs, left if left and left[0] else None)

    def _part(
        self, pairs: list[tuple[str, Dataset]], axes: tuple[tuple[int, ...], ...] | None
    ) -> Self:
        """Make a collection of members of this one, or of parts of them."""
        # As ndcube makes its own parts, whose axes are known to be aligned.
        return type(self)(pairs, axes, meta=self._shared_meta(), sanitize_inputs=False)

    def _check_aligned(self) -> None:
        """Refuse members that do not have the same pixels along their aligned axes."""
        first: _Along | None = None
        for key, ds in self.items():
            found = _along(ds, self.aligned_axes[key])
            if first is None:
                first, first_key = found, key
            elif found != first:
                raise misaligned_error(
                    f"One or more of the datasets in this {type(self).__name__} do not match the "
                    f"rest: along their aligned axes {key!r} has {_said(found)}, and "
                    f"{first_key!r} {_said(first)}. Slice all of them together, before a member "
                    "is replaced"
                )

    # Copies ---------------------------------------------------------------------------------

    def copy(self) -> Self:
        """Copy the collection, not its members."""
        return self._part(list(self.items()), self._axes_of(self))

    __copy__ = copy

    def __reduce__(self) -> tuple[object, ...]:
        # A dict's own way would set the members one by one, which ndcube refuses.
        return _made, (type(self), list(self.items()), self._axes_of(self), self._state())

    def _state(self) -> dict[str, Any]:
        return {"_meta": self._meta}


def _made(
    cls: type[AlignedDatasets],
    pairs: list[tuple[str, Dataset]],
    axes: tuple[tuple[int, ...], ...] | None,
    state: dict[str, Any],
) -> AlignedDatasets:
    made = cls(pairs, axes, sanitize_inputs=False)
    made.__dict__.update(state)
    return made


def aligned_names(collection: AlignedDatasets) -> list[str]:
    """Name the aligned axes, as the first member names its own; without its WCS, if possible."""
    for key, ds in collection.items():
        return [_names(ds)[axis] for axis in collection.aligned_axes[key]]
    return []


def _names(ds: Dataset) -> list[str]:
    if ds.provenance is not None and len(stored := axis_names(ds) or []) == len(ds.shape):
        return stored
    names = list(ds.wcs.low_level_wcs.pixel_axis_names)[::-1]
    return names if len(names) == len(ds.shape) else [""] * len(ds.shape)


def _along(ds: Dataset, axes: tuple[int, ...]) -> _Along:
    """Give names and pixels of some axes of a dataset: which ones of its frames, if known."""
    names, pixels = _names(ds), [range(n) for n in ds.shape]
    if ds.provenance is not None:
        cut = ds.provenance.cut
        left = [part for part in cut.axes if isinstance(part, range)]
        if len(left) == len(pixels):
            pixels = left
    return tuple((names[axis], pixels[axis]) for axis in axes)


def _said(along: _Along) -> str:
    return ", ".join(f"{name or 'an axis'} {pixels}" for name, pixels in along)


@cache
def _misaligned() -> type[Exception]:
    # dkist raises its warning as an error here, and notebooks may catch that.
    from dkist.utils.exceptions import DKISTUserWarning

    class MisalignedError(DatasetError, DKISTUserWarning):  # type: ignore[misc]
        """The datasets of a collection are not aligned."""

    return MisalignedError


def misaligned_error(text: str) -> Exception:
    """Make the error for members that are not aligned."""
    return _misaligned()(text)
