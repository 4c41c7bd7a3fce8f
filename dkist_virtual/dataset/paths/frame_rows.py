"""Keep the header rows of frames of which one value, or one line of values, is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dkist_virtual.dataset.provenance import FrameHeaders, Meta

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dkist_virtual.cube.selection import BasicIndex
    from dkist_virtual.dataset.provenance import LazyMeta

__all__ = ["FrameRows"]


class FrameRows(Meta):
    """The meta of values of which each has a frame: slices of the dataset have their rows.

    By the names that ndcube gives to a meta that is sliced with its cube.

    Parameters
    ----------
    plain : mapping or LazyMeta
    headers : FrameHeaders
        Of a selection of the frames with the same axes, and two more: those of the sky.
    own : int
        How many axes the values have beside those of the frames, after them.
    """

    __ndcube_can_slice__ = True
    __ndcube_can_rebin__ = True

    def __init__(
        self, plain: Mapping[str, Any] | LazyMeta, headers: FrameHeaders, own: int
    ) -> None:
        super().__init__(plain, headers)
        self._own = own

    @property
    def slice(self) -> _Slicer:
        """What is indexed as the dataset is."""
        return _Slicer(self)

    def rebin(self, rebinned_shape: Any = None, *_: Any, **__: Any) -> dict[str, Any]:  # noqa: ARG002
        """Return the meta of bins, of which no header row is that of a frame."""
        return self.without_headers()

    def select(self, index: BasicIndex) -> FrameRows:
        """Return that of a part of the dataset."""
        n = len(index) - self._own
        own = sum(isinstance(entry, slice) for entry in index[n:])
        assert isinstance(self._headers, FrameHeaders)
        rows = self._headers.select((*index[:n], slice(None), slice(None)))
        return FrameRows(self.without_headers(), rows, own)

    def with_whole_headers(self) -> FrameRows:
        """Return the same with a copy of the headers, for another dataset of the same shape."""
        assert isinstance(self._headers, FrameHeaders)
        twin = FrameHeaders(self._headers.provenance)
        twin.copy_rows(self._headers)
        return FrameRows(self.without_headers(), twin, self._own)

    def __deepcopy__(self, memo: dict[int, object]) -> FrameRows:
        import copy

        assert isinstance(self._headers, FrameHeaders)
        plain = copy.deepcopy(self.without_headers(), memo)
        return FrameRows(plain, copy.deepcopy(self._headers, memo), self._own)


class _Slicer:
    def __init__(self, meta: FrameRows) -> None:
        self._meta = meta

    def __getitem__(self, index: Sequence[Any]) -> FrameRows:
        return self._meta.select(tuple(index))
