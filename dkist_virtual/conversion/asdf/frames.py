"""Read which frames an array of a DKIST ASDF has: their names, shape, type and HDU."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.io.locations import last_name, local_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.conversion.asdf.tree import Node
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.store.format.frame_index import Names
    from dkist_virtual.store.format.names import Place

__all__ = ["Frames", "check_names"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLAIN_NAME = re.compile(r"[\w-][\w.-]*")
_ABSOLUTE_PATH = re.compile(r"/|file:/|[A-Za-z]:[\\/]|\\\\")


@dataclass(frozen=True, eq=False)
class Frames:
    """Describe the frames of one array: of the dataset, a tile of a mosaic, or of an inversion.

    Parameters
    ----------
    index : Place
        The place ``[i, j]`` in dkist's array of tiles, or the name of an inversion's array; None
        where the dataset has one array.
    names : numpy.ndarray of object
        File names as the ASDF has them, None where it has null. The shape is that of the frame
        axes as dkist gives them: that of ``fileuris``, and ``()`` for a single frame.
    hdu_shape : tuple of int
        The shape of a frame's HDU in the ASDF, a leading 1 kept.
    dtype : numpy.dtype
        The pixels' type in the ASDF, in native byte order.
    target : int or str
        Index or EXTNAME of the HDU that holds the pixels.
    subslice : tuple of int or slice, optional
        The cut that the dataset starts with: one entry for each axis of ``shape``.

    Raises
    ------
    DatasetError
        The ASDF lists no frames, or a shape is invalid.
    """

    index: Place
    names: NDArray[np.object_]
    hdu_shape: tuple[int, ...]
    dtype: np.dtype
    target: HDUTarget
    subslice: tuple[int | slice, ...] | None = None

    def __post_init__(self) -> None:
        if self.names.size == 0:
            raise DatasetError("fileuris is empty: expected at least one frame")
        if not self.hdu_shape or min(self.hdu_shape) < 1:
            raise DatasetError(
                f"shape is {list(self.hdu_shape)}: expected one or more axes of at least 1 pixel"
            )
        if self.subslice is not None and len(self.subslice) != len(self.shape):
            raise DatasetError(
                f"subslice covers {len(self.subslice)} axes: expected {len(self.shape)}, "
                f"the axes of an array of shape {self.shape}"
            )
        self.names.setflags(write=False)

    @classmethod
    def of_node(cls, node: Node, index: Place) -> Frames:
        """Read the plain node of a file manager.

        Parameters
        ----------
        node : mapping
            With the keys ``fileuris``, ``target``, ``datatype``, ``shape`` and, optionally,
            ``subslice``, as in every version of the file manager.
        index : Place
            As in `Frames`.
        """
        missing = [key for key in ("fileuris", "target", "datatype", "shape") if key not in node]
        if missing:
            raise DatasetError(f"data lacks {', '.join(missing)}: expected a DKIST file manager")
        names = np.array(node["fileuris"], dtype=object)
        for name in names.flat:
            if not (name is None or isinstance(name, str)):
                raise DatasetError(
                    f"fileuris holds {name!r}: expected names or null, in lists of equal length"
                )
        n_uri_axes, stored = names.ndim, list(node.get("subslice") or ())
        if names.size == 1:
            # dkist drops all frame axes of a single frame, whatever the WCS has, and indexes with
            # the cut: None, before all else, is a frame axis after all.
            n_added = 0
            while not n_uri_axes and stored[n_added : n_added + 1] == [None]:
                n_added += 1
            names, stored = names.reshape((1,) * n_added), stored[n_added:]
            n_uri_axes += n_added
        try:
            dtype = np.dtype(node["datatype"]).newbyteorder("=")
        except TypeError as error:
            raise DatasetError(f"datatype is {node['datatype']!r}: {error}") from error
        target = node["target"]
        if isinstance(target, bool) or not isinstance(target, (int, str)):
            raise DatasetError(f"target is {target!r}: expected an HDU's index or EXTNAME")
        uncut = cls(index, names, tuple(map(int, node["shape"])), dtype, target)
        cut = _subslice(stored, n_uri_axes, len(uncut.shape))
        return replace(uncut, subslice=cut)

    @property
    def shape(self) -> tuple[int, ...]:
        """The uncut array: the frame axes, then the HDU's less one leading 1, as dkist does."""
        frame_axes: tuple[int, ...] = self.names.shape
        return frame_axes + without_leading_axis(self.hdu_shape)

    @property
    def cut_shape(self) -> tuple[int, ...]:
        """The shape of the dataset: of the array, or of the cut that it starts with."""
        if self.subslice is None:
            return self.shape
        lengths = zip(self.subslice, self.shape, strict=True)
        return tuple(len(range(n)[cut]) for cut, n in lengths if isinstance(cut, slice))

    @property
    def n_frames(self) -> int:
        """How many frames there are, those without a name included."""
        return int(self.names.size)

    @cached_property
    def relative_names(self) -> NDArray[np.object_]:
        """The names to append to a directory or URL, shaped like ``names``; None stays None.

        Raises
        ------
        DatasetError
            If a name leads out of the directory that it is relative to, or names no file.
        """
        relative = np.empty(self.names.shape, dtype=object)
        relative.reshape(-1)[:] = [
            None if name is None else _relative(str(name)) for name in self.names.flat
        ]
        relative.setflags(write=False)
        return relative

    @cached_property
    def chunk_names(self) -> Names:
        """The relative names in chunk order, as StringDType; empty where there is none."""
        return np.array([name or "" for name in self.relative_names.flat], np.dtypes.StringDType())


def _subslice(stored: Any, n_uri_axes: int, n_axes: int) -> tuple[int | slice, ...] | None:
    """The cut as dkist applies it when it loads a dataset.

    In the file it covers the HDU's axes only; dkist puts as many full slices before it as
    ``fileuris`` is nested deep, and indexes the array with that. For a single frame in a list,
    whose frame axis is dropped, this moves the cut one axis on. The pixels that a scientist gets
    from ``dkist`` are what counts, so it is the same here.
    """
    if not stored:
        return None
    cut: list[int | slice] = [slice(None)] * n_uri_axes
    for entry in stored:
        if isinstance(entry, list) and 1 <= len(entry) <= 3:
            cut.append(slice(*entry))
        elif isinstance(entry, int) and not isinstance(entry, bool):
            cut.append(entry)
        else:
            raise DatasetError(
                f"subslice holds {entry!r}: expected an integer or [start, stop, step]"
            )
    return tuple(cut) + (slice(None),) * (n_axes - len(cut))


def check_names(frames: tuple[Frames, ...], label: object) -> None:
    """Refuse frames of different files that would have one name in a directory.

    Frames with absolute names are read by the last part of their names, beside the ASDF or where
    the user says.

    Parameters
    ----------
    frames : tuple of Frames
        All of the dataset.
    label : str or path
        The ASDF, for messages.

    Raises
    ------
    DatasetError
    """
    if not any((part.names != part.relative_names).any() for part in frames):
        return
    named: dict[str, str] = {}
    for part in frames:
        pairs: Iterator[tuple[Any, Any]] = zip(
            part.names.flat, part.relative_names.flat, strict=True
        )
        for name, relative in pairs:
            if name is None:
                continue
            full = name if _URL.match(name) or _ABSOLUTE_PATH.match(name) else relative
            if named.setdefault(relative, full) != full:
                raise DatasetError(
                    f"{label}: fileuris holds {named[relative]!r} and {full!r}, which are "
                    f"both {relative!r} in a directory: expected frames whose names differ. "
                    "Which file belongs to which frame cannot be told"
                )


def _relative(name: str) -> str:
    """Make a name relative to a directory or URL.

    Raises
    ------
    DatasetError
        If it leads out of that directory, or names no file.
    """
    if _ABSOLUTE_PATH.match(name):  # file: too, which is percent-encoded
        name = re.split(r"[\\/]", local_path(name))[-1]
    elif _URL.match(name):
        name = last_name(name)
    elif _PLAIN_NAME.fullmatch(name):
        return name
    relative = posixpath.normpath(name) if name else ""
    bad = relative in ("", ".", "..") or ".." in re.split(r"[\\/]", relative)
    if bad or re.search("[\ud800-\udfff\0]", relative):
        raise DatasetError(
            f"fileuris holds {name!r}: expected the name of a file in or below the dataset's "
            "directory"
        )
    return relative
