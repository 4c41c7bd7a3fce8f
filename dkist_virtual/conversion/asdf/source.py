"""Read a DKIST ASDF: file order, WCS, headers, meta.

`read_source` turns the ASDF of a dataset into a `Source`. What lies in it and where is the
business of two readers: the tagged YAML tree (`tree`) says how the frames are named and ordered
(`Frames`), and where the columns of the header table lie; the ``dkist`` package, which knows every
version of the format ever released, gives the WCS and the rest (`Description`), from the same
ASDF without its frames. The two meet only in `read_source`.
"""

from __future__ import annotations

import itertools
import posixpath
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table, vstack

from dkist_virtual.conversion.asdf.dkist_loader import UPGRADE, load_with_dkist, versions
from dkist_virtual.conversion.asdf.tree import BlockColumns, Tree, read_tree
from dkist_virtual.errors import DatasetError, HeaderWarning
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.io.locations import last_name, local_path
from dkist_virtual.store.format.asdf_arrays import check_mask, check_strides
from dkist_virtual.store.format.dataset_asdf import (
    Description,
    TileMeta,
    origin_of,
    tag_of,
)
from dkist_virtual.store.format.header_table import HeaderTable
from dkist_virtual.text import brief, counted

__all__ = ["Frames", "Source", "read_source"]

#: What ``dkist`` keeps in a dataset's meta and a store keeps elsewhere.
_ELSEWHERE = frozenset({"headers", "inventory", "history"})

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLAIN_NAME = re.compile(r"[\w-][\w.-]*")
_ABSOLUTE_PATH = re.compile(r"/|file:/|[A-Za-z]:[\\/]|\\\\")


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of one array of the dataset: the whole one, or one tile of a mosaic.

    Parameters
    ----------
    index : tuple of int, optional
        The place ``[i, j]`` in dkist's array of tiles; None when the dataset is no mosaic.
    names : numpy.ndarray of object
        File names as they stand in the ASDF, None where it has null. The shape is that of the
        frame axes as dkist gives them: that of ``fileuris``, and ``()`` for a single frame.
    hdu_shape : tuple of int
        The shape of a frame's HDU as the ASDF says it, a leading 1 kept.
    dtype : numpy.dtype
        The pixels' type as the ASDF says it, in native byte order.
    target : int or str
        Index or EXTNAME of the HDU that holds the pixels.
    subslice : tuple of int or slice, optional
        The cut that the dataset starts with: one entry for each axis of ``shape``.

    Raises
    ------
    DatasetError
        If there is no frame, or a shape is not one.
    """

    index: tuple[int, int] | None
    names: np.ndarray[Any, np.dtype[np.object_]]
    hdu_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    target: int | str
    subslice: tuple[int | slice, ...] | None

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
    def relative_names(self) -> np.ndarray[Any, np.dtype[np.object_]]:
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


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset as its ASDF describes it.

    Parameters
    ----------
    path : pathlib.Path
        The ASDF.
    frames : tuple of Frames
        One for each array: the tiles that are there, row-major.
    description : Description
        Everything but file list and header table.
    headers : astropy.table.Table
        One row for each frame: tiles row-major, then the C order of ``names``. No rows where
        the ASDF has none. Where it can be, a `HeaderTable` that has read nothing yet.

    Raises
    ------
    DatasetError
        If there are headers, but not as many as frames: rows belong to frames by position.
    """

    path: Path
    frames: tuple[Frames, ...]
    description: Description
    headers: Table

    def __post_init__(self) -> None:
        n_frames = sum(frames.n_frames for frames in self.frames)
        if len(self.headers) not in (0, n_frames):
            raise DatasetError(
                f"{self.path}: the header table has {len(self.headers)} rows for {n_frames} "
                "frames; rows belong to frames by position, so there must be as many, or none"
            )

    def check_names(self) -> None:
        """Refuse frames of different files that would have one name in a directory.

        Absolute names are looked for by their last part, beside the ASDF or where the user says.

        Raises
        ------
        DatasetError
        """
        if not any((part.names != part.relative_names).any() for part in self.frames):
            return
        named: dict[str, str] = {}
        for part in self.frames:
            relative_names: list[Any] = part.relative_names.ravel().tolist()
            for name, relative in zip(part.names.flat, relative_names, strict=True):
                full: str = str(name) if _is_absolute(str(name)) else relative
                if name is not None and named.setdefault(relative, full) != full:
                    raise DatasetError(
                        f"{self.path}: fileuris holds {named[relative]!r} and {full!r}, which are "
                        f"both {relative!r} in a directory: expected frames whose names differ. "
                        "Which file belongs to which frame cannot be told"
                    )


def read_source(path: Path | str, said: str | None = None) -> Source:
    """Read the ASDF of a dataset.

    Parameters
    ----------
    path : pathlib.Path or str
        A local ASDF of any version that the installed ``dkist`` reads.
    said : str, optional
        What the user calls it, where `path` is a copy that is not kept.

    Returns
    -------
    Source
        With ``description.origin`` made by `origin_of`. A header table of another number of rows
        than there are frames is left out, with a `HeaderWarning`.

    Raises
    ------
    DatasetError
        If the file is missing, is no ASDF, or holds something else than a dataset; or if the
        dataset is of a form that cannot be virtualised.
    """
    path = Path(path).expanduser()
    said = said or str(path)
    asdf = _read_tree(path, said)
    node = _dataset_node(asdf)
    dataset = load_with_dkist(asdf)

    frames: list[Frames] = []
    tiles: list[TileMeta] = []
    grid, places = _places(node, dataset, said)
    for index, plain, loaded in places:
        where = said if index is None else f"{said}: tile {list(index)}"
        try:
            frames.append(_frames(plain["data"], index))
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from error
        try:
            check_mask(loaded.mask, frames[-1].cut_shape)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from error
        own = {} if index is None else _remaining(loaded.meta)
        tiles.append(TileMeta(index, loaded.wcs, loaded.unit, loaded.mask, own))

    inventory = dataset.meta["inventory"]
    if inventory is dataset.meta:
        # In versions before 0.3.0 the file's `meta` was the inventory, and dkist puts it into
        # itself: it then holds headers and history too, and cannot be written anywhere.
        inventory = _remaining(dataset.meta)
    description = Description(
        grid=grid,
        tiles=tuple(tiles),
        inventory=inventory,
        meta=_remaining(dataset.meta),
        history=dataset.meta["history"],
        origin=origin_of(path, asdf.tree, inventory),
    )
    headers = _headers(asdf, node, dataset, places, frames)
    return Source(path, tuple(frames), description, headers)


def check_start(start: bytes, said: str) -> None:
    """Refuse a file whose first bytes are not those of an ASDF.

    Raises
    ------
    DatasetError
    """
    if start != b"#ASDF":
        hint = "; it is gzipped: unpack it first" if start[:2] == b"\x1f\x8b" else ""
        raise DatasetError(
            f"{said}: not an ASDF file: expected it to begin with #ASDF, found {start!r}{hint}"
        )


def _read_tree(path: Path, said: str) -> Tree:
    try:
        with open_regular(path) as file:
            start = file.read(5)
    except FileNotFoundError as error:
        raise DatasetError(f"{said}: no such file") from error
    except OSError as error:
        raise DatasetError(f"{said}: cannot be read: {error.strerror or error}") from error
    check_start(start, said)
    try:
        found = read_tree(path, said)
    except (MemoryError, DatasetError):
        raise
    except Exception as error:
        raise DatasetError(
            f"{said}: the tree of this ASDF cannot be read: {brief(error)}; is it complete?"
        ) from error
    if not isinstance(found.tree, Mapping):
        raise DatasetError(f"{said}: this ASDF has no tree: expected the key dataset")
    try:
        check_strides(found.tree)
    except DatasetError as error:
        raise DatasetError(f"{said}: {error}") from error
    return found


def _dataset_node(asdf: Tree) -> Mapping[str, Any]:
    """The plain node of the dataset, or an error that says what the ASDF is instead."""
    tree, said = asdf.tree, asdf.said
    node = tree.get("dataset")
    tag = tag_of(node)
    if (
        isinstance(node, Mapping)
        and re.search(r"dkist.*[/]tags/|:dkist/", tag)
        and ("data" in node or "datasets" in node)
    ):
        return node
    if "inversion" in tree:
        raise DatasetError(
            f"{said}: this is a level 2 inversion, which is not supported yet; expected the ASDF "
            "of a level 1 dataset, with the key dataset"
        )
    if "dkist_virtual" in tree:
        raise DatasetError(
            f"{said}: this ASDF is part of a store, which open_dataset opens by its directory "
            f"{said.rpartition('/')[0] or '.'}; expected the ASDF of a dataset"
        )
    if "dataset" in tree:
        raise DatasetError(
            f"{said}: the key dataset holds {tag or type(node).__name__}; expected a DKIST "
            "dataset or mosaic (tiled dataset)"
        )
    keys = ", ".join(sorted(set(map(str, tree)) - {"asdf_library", "history"})) or "nothing"
    raise DatasetError(
        f"{said}: this ASDF holds no dataset: expected the key dataset, found {keys}"
    )


_Place = tuple[tuple[int, int] | None, Mapping[str, Any], Any]


def _places(
    node: Mapping[str, Any], dataset: Any, said: str
) -> tuple[tuple[int, int] | None, list[_Place]]:
    """The arrays that are there: index, node of the tree and dkist's dataset, row-major."""
    if "datasets" not in node:
        return None, [(None, node, dataset)]
    nodes = node["datasets"]
    one_row = len(dataset.shape) == 1
    if len(dataset.shape) not in (1, 2):
        raise DatasetError(f"{said}: a mosaic of shape {dataset.shape}; expected two axes")
    rows, columns = grid = (1, *dataset.shape) if one_row else tuple(dataset.shape)
    try:
        check_mask(dataset.mask, dataset.shape)
    except DatasetError as error:
        raise DatasetError(f"{said}: the mosaic: {error}") from error
    masked = np.broadcast_to(dataset.mask, dataset.shape).reshape(grid)
    places: list[_Place] = []
    for i, j in itertools.product(range(rows), range(columns)):
        if masked[i, j]:
            continue
        tile = nodes[j] if one_row else nodes[i][j]
        places.append(((i, j), tile, dataset[j] if one_row else dataset[i, j]))
    if not places:
        raise DatasetError(f"{said}: every tile of this mosaic is masked; expected at least one")
    return (rows, columns), places


def _frames(node: Mapping[str, Any], index: tuple[int, int] | None) -> Frames:
    """What the plain node of a file manager says.

    Parameters
    ----------
    node : mapping
        With the keys ``fileuris``, ``target``, ``datatype``, ``shape`` and, optionally,
        ``subslice``, as in every version of the file manager.
    index : tuple of int, optional
        Handed on.
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
    n_uri_axes = names.ndim
    if names.size == 1:
        # dkist drops all frame axes of a single frame, whatever the WCS has.
        names = names.reshape(())
    try:
        dtype = np.dtype(node["datatype"]).newbyteorder("=")
    except TypeError as error:
        raise DatasetError(f"datatype is {node['datatype']!r}: {error}") from error
    target = node["target"]
    if isinstance(target, bool) or not isinstance(target, (int, str)):
        raise DatasetError(f"target is {target!r}: expected an HDU's index or EXTNAME")
    uncut = Frames(index, names, tuple(map(int, node["shape"])), dtype, target, None)
    cut = _subslice(node.get("subslice"), n_uri_axes, len(uncut.shape))
    if cut is None:
        return uncut
    return Frames(index, names, uncut.hdu_shape, dtype, target, cut)


def _subslice(stored: Any, n_uri_axes: int, n_axes: int) -> tuple[int | slice, ...] | None:
    """The cut as dkist applies it when it loads a dataset.

    In the file it covers the HDU's axes only; dkist puts as many full slices before it as
    ``fileuris`` is nested deep, and indexes the array with that. For a single frame in a list,
    whose frame axis is dropped, the cut thereby moves one axis on. The pixels that a scientist
    gets from ``dkist`` are what counts, so it does here too.
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


def _remaining(meta: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meta.items() if key not in _ELSEWHERE}


def _headers(
    source: Tree, node: Mapping[str, Any], dataset: Any, places: list[_Place], frames: list[Frames]
) -> Table:
    """One table of all frames' headers; without rows where they do not match the frames."""
    shared = source.columns(_headers_of(node)) if "datasets" in node else None
    if shared is not None:
        # Since version 1.3.0 the tiles say which rows of the mosaic's table are theirs.
        rows = [_rows_of(tile["meta"]["headers"], len(shared)) for _, tile, _ in places]
        if not _match(source.said, places, frames, [len(own) for own in rows]):
            return Table()
        everything = np.concatenate([np.arange(own.start, own.stop) for own in rows])
        return _table(shared.select(everything), dataset.meta["headers"], source.said)
    tables = []
    for index, plain, loaded in places:
        where = source.said if index is None else f"{source.said}: tile {list(index)}"
        tables.append(_table(source.columns(_headers_of(plain)), loaded.meta["headers"], where))
    if not _match(source.said, places, frames, [len(table) for table in tables]):
        return Table()
    return tables[0] if len(tables) == 1 else vstack(tables, metadata_conflicts="silent")


def _rows_of(part: Any, n_rows: int) -> range:
    """Which rows of a mosaic's table are those of a tile, as far as the table has them."""
    try:
        first, n = int(part["offset"]), int(part["size"])
    except (KeyError, TypeError, ValueError):
        return range(0)
    return range(n_rows)[first : first + n] if first >= 0 else range(0)


def _match(said: str, places: list[_Place], frames: list[Frames], n_rows: Sequence[int]) -> bool:
    """Whether there are as many rows as frames, or none; if not, warn of that."""
    if not any(n_rows):
        return True
    for (index, _, _), part, n in zip(places, frames, n_rows, strict=True):
        if n != part.n_frames:
            tile = "" if index is None else f"tile {list(index)}: "
            warnings.warn(
                f"{said}: {tile}the header table has {counted(n, 'row')} for "
                f"{counted(part.n_frames, 'frame')}. Rows belong to frames by position, and these "
                "do not: the dataset is read without headers",
                HeaderWarning,
                stacklevel=6,
            )
            return False
    return True


def _headers_of(node: Mapping[str, Any]) -> Any:
    """The node of a header table; in versions before 0.3.0 it did not stand in the meta."""
    return node["headers"] if "headers" in node else (node.get("meta") or {}).get("headers")


def _table(columns: BlockColumns | None, rest: Any, where: str) -> Table:
    """A header table of the columns in blocks, and of those that dkist read."""
    if columns is not None and isinstance(rest, Table):
        return HeaderTable.of(columns.with_others(rest))
    if isinstance(rest, Table):
        return rest
    if not rest:
        return Table()
    tag = tag_of(rest) or type(rest).__name__
    raise DatasetError(
        f"{where}: headers is {tag}: expected an astropy Table, one row a frame, of a version that "
        f"the packages installed here know ({versions()}). {UPGRADE}"
    )


def _is_absolute(name: str) -> bool:
    """Whether a name says where the file is, whatever directory the ASDF is in."""
    return bool(_URL.match(name) or _ABSOLUTE_PATH.match(name))


def _relative(name: str) -> str:
    """A name to append to a directory or URL.

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
