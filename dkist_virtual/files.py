"""The files behind a selection: chunk keys, URLs, names and sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_virtual.convert import human_bytes
from dkist_virtual.references import chunk_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from dkist_virtual.arrays import VirtualArray

__all__ = ["Files"]


@dataclass(frozen=True, eq=False)
class Files:
    """The frames of a selection, in C order.

    Parameters
    ----------
    arrays : tuple of VirtualArray
        One; for a mosaic one per tile.
    _sizes : callable
        Takes the number of an array and its frames' positions, and gives the files' lengths in
        bytes, -1 where a file was never looked at.
    """

    arrays: tuple[VirtualArray, ...]
    _sizes: Callable[[int, NDArray[np.int64]], NDArray[np.int64]]

    def __len__(self) -> int:
        """Number of frames, those without a file included."""
        return sum(array.selection.first(array.metadata.n_frame_axes).size for array in self.arrays)

    def _rows(self) -> Iterator[tuple[VirtualArray, int, str]]:
        for array in self.arrays:
            positions = array.positions().tolist()
            yield from zip(
                [array] * len(positions), positions, array.frames().urls.tolist(), strict=True
            )

    @property
    def keys(self) -> list[str]:
        """Zarr chunk keys, such as ``data/0.50.0.0.0``."""
        return [f"{array.name}/{chunk_key(array.metadata, p)}" for array, p, _ in self._rows()]

    @property
    def urls(self) -> list[str | None]:
        """Where each frame is read; None where the ASDF names no file."""
        return [array.handle.store.places.find(url) or None for array, _, url in self._rows()]

    def where(self) -> list[str | None]:
        """The directory or URL that each frame is read from; None where it is known to be absent.

        Files on this machine are looked up once for each directory, see `refresh`; those of a
        server count as there.
        """
        return [array.handle.store.places.where(url) for array, _, url in self._rows()]

    def missing(self) -> list[str]:
        """Names of the frames that are known to be absent, those that the ASDF names."""
        return [
            name
            for name, place in zip(self.names, self.where(), strict=True)
            if place is None and name is not None
        ]

    def refresh(self) -> None:
        """Look again which frames are on this machine: after a download, or a deletion."""
        for array in self.arrays:
            array.handle.store.places.refresh()

    @property
    def names(self) -> list[str | None]:
        """The frames' names relative to `basepath`; None where the ASDF names no file."""
        names: list[str | None] = []
        for array, _, url in self._rows():
            base = f"{array.handle.store.references.attributes['base'].rstrip('/')}/"
            names.append(url.removeprefix(base) or None)
        return names

    @property
    def filenames(self) -> list[str | None]:
        """The same as `names`, as the ``dkist`` package calls it."""
        return self.names

    @property
    def basepath(self) -> Any:
        """The directory or URL that frames are read from: a path where it is on this machine.

        Of several places the first one.
        """
        from pathlib import Path

        from dkist_virtual.fetch import is_local, local_path

        store = self.arrays[0].handle.store
        base = (*store.places.named, store.places.base)[0]
        return Path(local_path(base)) if is_local(base) else base

    @property
    def nbytes(self) -> int | None:
        """Length of all files together; None where one of them was never looked at."""
        total = 0
        for number, array in enumerate(self.arrays):
            sizes = self._sizes(number, array.positions())
            if (sizes < 0).any():
                return None
            total += int(sizes.sum())
        return total

    def __str__(self) -> str:
        whole = sum(array.metadata.n_frames for array in self.arrays)
        n_bytes = self.nbytes
        size = "of unknown size" if n_bytes is None else human_bytes(n_bytes)
        return f"{len(self)} of {whole} files, {size}, in {self.basepath}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"
