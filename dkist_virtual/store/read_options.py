"""Check the options for reading a dataset, once, and carry them as one object."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.store.frame_locations import cache_of, places_of

if TYPE_CHECKING:
    from dkist_virtual.store.frame_locations import FramePlaces

__all__ = ["AxisNames", "Chunks", "Missing", "ReadOptions", "StorageOptions", "axis_chunks"]


Missing: TypeAlias = Literal["raise", "nan"]

Chunks: TypeAlias = str | int | Sequence[Any] | Mapping[Any, Any]
"""Chunks of a whole array, by rule ("auto", "frame") or as dask takes them."""

StorageOptions: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Options of fsspec's, by URL prefix or protocol."""

AxisNames: TypeAlias = Sequence[Collection[str]]
"""For each axis of an array the names that a user may give it in ``chunks``."""

BY_RULE: Final = ("auto", "frame")
"""Chunks that are chosen again for every selection."""

_KINDS: Final = (
    "expected 'auto', 'frame', or what dask takes: a size such as '64 MiB', a length, or lengths "
    "for each axis, as a tuple or as a dict by number or name of the axis"
)


@dataclass(frozen=True)
class ReadOptions:
    """How to read the frames of a dataset, as a user gave it to `dkist_virtual.open_dataset`.

    Places are made absolute, and all options are checked when the object is made; `chunks` are
    checked again, by `axis_chunks`, once the shape of the whole array is known.

    Parameters
    ----------
    frames : path or URL, or a sequence of them, optional
        Where to read the frames instead of where the store says. Kept as a tuple.
    missing : {"raise", "nan"}
    chunks : {"auto", "frame"} or anything that dask takes
        Of the whole array, whatever is selected of it. Lists and arrays are kept as tuples.
    storage_options : dict, optional
        A protocol or URL prefix to fsspec's options for it.
    cache : path, optional
        A directory that keeps what was fetched.
    allow_local : bool, optional
        Whether the store may refer to files of this machine; by default if it is on it itself.
    verify : bool
        Whether to check whole frames against their sums as they are read.

    Raises
    ------
    TypeError, ValueError
        Naming the option.
    """

    # Neither frames, which may be signed, nor storage_options are shown: workers write what they
    # were given into their logs.
    frames: FramePlaces = field(default=None, repr=False)
    missing: Missing = "raise"
    chunks: Chunks = "auto"
    storage_options: StorageOptions | None = field(default=None, repr=False)
    cache: str | os.PathLike[str] | None = None
    allow_local: bool | None = None
    verify: bool = False

    def __post_init__(self) -> None:
        if self.missing not in ("raise", "nan"):
            raise ValueError(f"missing = {self.missing!r}: expected 'raise' or 'nan'")
        for name, allowed in (("allow_local", "True, False or None"), ("verify", "True or False")):
            given = getattr(self, name)
            if not (isinstance(given, (bool, np.bool_)) or (given is None and "None" in allowed)):
                raise TypeError(f"{name} = {given!r}: expected {allowed}")
        options = {} if self.storage_options is None else self.storage_options
        if not isinstance(options, Mapping):
            raise TypeError(
                f"storage_options is a {type(options).__name__}: expected a dict of a URL prefix "
                "or protocol to the options for it"
            )
        # The user's own dicts and lists may change afterwards.
        copied = {
            place: dict(of) if isinstance(of, Mapping) else of for place, of in options.items()
        }
        object.__setattr__(self, "storage_options", copied)
        object.__setattr__(self, "frames", places_of(self.frames) or None)
        object.__setattr__(self, "cache", cache_of(self.cache))
        object.__setattr__(self, "chunks", _checked(self.chunks))

    @property
    def places(self) -> tuple[str, ...]:
        """The places named in `frames`, absolute; empty if the store's own is read."""
        assert self.frames is None or isinstance(self.frames, tuple)
        return self.frames or ()

    def fetcher(self) -> Fetcher:
        """Make the fetcher that reads bytes with these options."""
        assert self.storage_options is not None  # made a dict above
        return Fetcher(self.storage_options, None if self.cache is None else str(self.cache))

    @property
    def by_rule(self) -> bool:
        """Check whether chunks are chosen again for every selection."""
        return isinstance(self.chunks, str) and self.chunks in BY_RULE


# What `chunks` may be ---------------------------------------------------------------------------


def _checked(chunks: Any) -> Any:
    """Check chunks as far as that is possible without an array; make lists tuples."""
    if chunks is None:
        raise ValueError(f"chunks = None: a dataset is read in chunks: {_KINDS}")
    if isinstance(chunks, str) and chunks in BY_RULE:
        return chunks
    if isinstance(chunks, Mapping):
        for axis in chunks:
            if not isinstance(axis, (int, np.integer, str)) or isinstance(axis, bool):
                raise TypeError(
                    f"chunks = {chunks!r}: {axis!r} is not an axis: expected its number or its name"
                )
        return {
            axis if isinstance(axis, str) else int(axis): _along(of, f"chunks[{axis!r}]")
            for axis, of in chunks.items()
        }
    if isinstance(chunks, (tuple, list, np.ndarray)):
        return tuple(_along(of, f"chunks[{axis}]") for axis, of in enumerate(chunks))
    return _along(chunks, "chunks")


def _along(given: Any, name: str) -> Any:
    """Check the chunks along one axis: a length, lengths, a size, or -1 for one chunk."""
    if given is None:
        return -1
    if isinstance(given, str):
        return _size(given, name)
    if isinstance(given, (tuple, list, np.ndarray)) and np.ndim(given) == 1 and len(given):
        return tuple(_length(each, name, given) for each in given)
    return -1 if _is_whole(given, -1) and given < 0 else _length(given, name, given)


def _size(given: str, name: str) -> str:
    from dask.utils import parse_bytes

    if given == "auto":
        return given
    if given == "frame":
        raise ValueError(
            f"{name} = 'frame': is taken for all axes at once, as chunks='frame'. Along one axis, "
            "1 makes a chunk of each frame"
        )
    try:
        good = parse_bytes(given) > 0
    except ValueError:
        good = False
    if not good:
        raise ValueError(f"{name} = {given!r}: {_KINDS}")
    return given


def _is_whole(number: Any, least: int) -> bool:
    whole = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    return whole and (number >= 1 or number == least)


def _length(number: Any, name: str, given: Any) -> int:
    if not _is_whole(number, 1):
        kind = ValueError if isinstance(number, (int, np.integer, float)) else TypeError
        raise kind(
            f"{name} = {given!r}: expected whole numbers of pixels, 1 or more"
            + (", -1 for all of an axis, 'auto', or a size such as '64 MiB'" * (number is given))
        )
    return int(number)


def axis_chunks(
    chunks: Any, shape: Sequence[int], names: AxisNames, elsewhere: Collection[str] = ()
) -> tuple[Any, ...]:
    """Work out the chunks along each axis of a whole array.

    Parameters
    ----------
    chunks
        As `ReadOptions` keeps them, other than "auto" and "frame".
    shape : sequence of int
    names : sequence of collections of str
        The names of each axis.
    elsewhere : collection of str
        Names of axes of other arrays of the same store: they say nothing of this one.

    Returns
    -------
    tuple
        For each axis a length, the lengths of all its chunks, "auto", a size, or -1 for one chunk.

    Raises
    ------
    ValueError
        Of another number of axes, with an axis that is not there or named twice, or with lengths
        that do not add up.
    """
    n = len(shape)
    if isinstance(chunks, dict):
        along: list[Any] = [-1] * n
        by: dict[int, Any] = {}
        for key, of in chunks.items():
            if isinstance(key, str) and key in elsewhere and not any(key in own for own in names):
                continue
            axis = _axis(key, chunks, shape, names)
            if axis in by:
                raise ValueError(
                    f"chunks = {chunks!r}: {by[axis]!r} and {key!r} are the same axis of {n}"
                )
            by[axis], along[axis] = key, of
    elif isinstance(chunks, tuple):
        if len(chunks) != n:
            raise ValueError(
                f"chunks = {chunks!r}: for {len(chunks)} axes, and the dataset has {n}, of shape "
                f"{tuple(shape)}: expected one entry for each"
            )
        along = list(chunks)
    else:
        along = [chunks] * n
    for axis, (of, length) in enumerate(zip(along, shape, strict=True)):
        if isinstance(of, tuple) and sum(of) != length:
            raise ValueError(
                f"chunks = {chunks!r}: the lengths along axis {axis} add up to {sum(of)}: expected "
                f"{length}, of the whole dataset's shape {tuple(shape)}"
            )
    return tuple(along)


def _axis(key: int | str, chunks: Any, shape: Sequence[int], names: AxisNames) -> int:
    n = len(shape)
    if isinstance(key, int):
        if not -n <= key < n:
            raise ValueError(
                f"chunks = {chunks!r}: there is no axis {key}: expected {-n} to {n - 1}, of the "
                f"whole dataset's shape {tuple(shape)}"
            )
        return key % n
    found = [axis for axis, own in enumerate(names) if key in own]
    if len(found) != 1:
        called = f"{len(found)} axes are called {key!r}" if found else f"no axis is called {key!r}"
        first = [next(iter(own), None) for own in names]
        known = ", ".join(repr(name) for name in first if name)
        raise ValueError(
            f"chunks = {chunks!r}: {called}: expected one of {known}, or numbers from 0 to {n - 1}"
        )
    return found[0]
