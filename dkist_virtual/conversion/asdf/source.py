"""Read a dataset from its DKIST ASDF: the order of its frames, WCS, headers, meta.

Two readers take part. The tagged YAML tree (`tree`) says how the frames are named and ordered
(`frames`), and which blocks hold the columns of the header table. The ``dkist`` package, which
knows every version of the format ever released, gives the WCS and the rest (`Description`), from
the same ASDF without its frames. They meet only in `read_source`.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table, vstack

from dkist_virtual.conversion.asdf.dkist_loader import UPGRADE, load_with_dkist, versions
from dkist_virtual.conversion.asdf.frames import Frames
from dkist_virtual.conversion.asdf.inversion import InversionArrays
from dkist_virtual.conversion.asdf.tree import BlockColumns, Node, Tree, read_tree
from dkist_virtual.errors import DatasetError, HeaderWarning, NotADatasetError
from dkist_virtual.io.asdf_blocks import check_start
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.store.format.asdf_arrays import check_mask, check_strides
from dkist_virtual.store.format.dataset_asdf import (
    Description,
    TileMeta,
    origin_of,
    tag_of,
)
from dkist_virtual.store.format.header_table import HeaderTable, StackedColumns
from dkist_virtual.text import counted, shorten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.store.format.names import Place

__all__ = ["Source", "read_source", "remaining_meta"]

#: What ``dkist`` keeps in a dataset's meta and a store keeps elsewhere.
_ELSEWHERE = frozenset({"headers", "inventory", "history"})


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset as its ASDF describes it.

    Parameters
    ----------
    path : pathlib.Path
        The ASDF.
    frames : tuple of Frames
        One for each array: the tiles that exist, row-major; of an inversion quantities, then
        profiles.
    description : Description
        Everything but file list and header table.
    headers : astropy.table.Table
        One row for each frame: tiles row-major, then the C order of ``names``. No rows where
        the ASDF has none. If possible a `HeaderTable` that has read nothing yet.
    inversion : InversionArrays, optional
        The arrays of an inversion.
    """

    path: Path
    frames: tuple[Frames, ...]
    description: Description
    headers: Table
    inversion: InversionArrays | None = None

    def __post_init__(self) -> None:
        n_frames = sum(frames.n_frames for frames in self.frames)
        if len(self.headers) not in (0, n_frames):
            raise DatasetError(
                f"{self.path}: the header table has {len(self.headers)} rows for {n_frames} "
                "frames; rows belong to frames by position, so there must be as many, or none"
            )


def read_source(path: Path | str, label: str | None = None, *, any_version: bool = False) -> Source:
    """Read the ASDF of a dataset, mosaic or inversion.

    A header table with another number of rows than there are frames is left out, with a
    `HeaderWarning`.

    Parameters
    ----------
    path : pathlib.Path or str
        A local ASDF of any version that the installed ``dkist`` reads.
    label : str, optional
        The user's name for it, where `path` is a temporary copy.
    any_version : bool
        Whether to read also what a newer version of ``dkist`` wrote, as far as it is understood.

    Raises
    ------
    DatasetError
        The file is missing, not an ASDF, or holds something else than a dataset; or the dataset
        is of a form that cannot be virtualised, or needs a newer version of ``dkist``.
    """
    path = Path(path).expanduser()
    label = label or str(path)
    asdf = _read_tree(path, label)
    node = _dataset_node(asdf)
    dataset = load_with_dkist(asdf, any_version=any_version)

    frames: list[Frames] = []
    tiles: list[TileMeta] = []
    inversion = InversionArrays.of(node, dataset, label) if "quantities" in node else None
    if inversion is None:
        grid, places = _places(node, dataset, label)
    else:
        arrays = zip(inversion.groups.names, inversion.nodes, inversion.datasets, strict=True)
        grid, places = None, list(arrays)
    for index, plain, loaded in places:
        where = _where(label, index)
        try:
            frames.append(Frames.of_node(plain["data"], index))
            check_mask(loaded.mask, frames[-1].cut_shape)
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from error
        own = {} if index is None else remaining_meta(loaded.meta)
        tiles.append(TileMeta(index, loaded.wcs, loaded.unit, loaded.mask, own))

    inventory = dataset.meta["inventory"]
    meta = remaining_meta(dataset.meta)
    if inversion is not None and dataset.meta.get("headers") is not None:
        columns = asdf.columns(_headers_of(node))
        # Of the files, a row for each. It is read now: `asdf` writes plain tables alone.
        meta["headers"] = Table(_table(columns, dataset.meta["headers"], label), copy=False)
    if inventory is dataset.meta:
        # In versions before 0.3.0 the file's `meta` was the inventory, and dkist puts it into
        # itself: it then holds headers and history too, and cannot be written anywhere.
        inventory = remaining_meta(dataset.meta)
    description = Description(
        grid=grid,
        tiles=tuple(tiles),
        inventory=inventory,
        meta=meta,
        history=dataset.meta["history"],
        origin=origin_of(path, asdf.tree, inventory),
        profiles_meta={} if inversion is None else inversion.profiles_meta,
    )
    headers = _headers(asdf, node, dataset, places, frames)
    return Source(path, tuple(frames), description, headers, inversion)


def _where(label: str, index: Place) -> str:
    """Name an array for an error message."""
    if index is None:
        return label
    return f"{label}: {index}" if isinstance(index, str) else f"{label}: tile {list(index)}"


def _read_tree(path: Path, label: str) -> Tree:
    try:
        with open_regular(path) as file:
            check_start(file.read(5), label)
        found = read_tree(path, label)
    except (MemoryError, DatasetError):
        raise
    except FileNotFoundError as error:
        raise DatasetError(f"{label}: no such file") from error
    except OSError as error:
        raise DatasetError(f"{label}: cannot be read: {error.strerror or error}") from error
    except Exception as error:
        raise DatasetError(
            f"{label}: the tree of this ASDF cannot be read: {shorten(error)}; is it complete?"
        ) from error
    if not isinstance(found.tree, Mapping):
        raise DatasetError(f"{label}: this ASDF has no tree: expected the key dataset")
    try:
        check_strides(found.tree)
    except DatasetError as error:
        raise DatasetError(f"{label}: {error}") from error
    return found


def _dataset_node(asdf: Tree) -> Node:
    """Find the plain node of the dataset, or raise what the ASDF is instead."""
    tree, label = asdf.tree, asdf.label
    node = tree.get("dataset")
    tag = tag_of(node)
    if (
        isinstance(node, Mapping)
        and re.search(r"dkist.*[/]tags/|:dkist/", tag)
        and ("data" in node or "datasets" in node)
    ):
        return node
    if "dataset" not in tree and "inversion" in tree:
        inversion: Node = tree["inversion"]
        quantities = inversion.get("quantities") if isinstance(inversion, Mapping) else None
        if isinstance(quantities, Mapping) and quantities.get("items"):
            return inversion
        raise DatasetError(
            f"{label}: the key inversion holds {tag_of(inversion) or type(inversion).__name__}: "
            "expected a DKIST level 2 inversion with quantities"
        )
    if "dkist_virtual" in tree:
        raise DatasetError(
            f"{label}: this ASDF is part of a store, which open_dataset opens by its directory "
            f"{label.rpartition('/')[0] or '.'}; expected the ASDF of a dataset"
        )
    if "dataset" in tree:
        raise NotADatasetError(
            f"{label}: the key dataset holds {tag or type(node).__name__}; expected a DKIST "
            "dataset or mosaic (tiled dataset)"
        )
    keys = ", ".join(sorted(set(map(str, tree)) - {"asdf_library", "history"})) or "nothing"
    raise NotADatasetError(
        f"{label}: this ASDF holds no dataset: expected the key dataset, found {keys}; it is not a "
        "valid level 1 or level 2 DKIST file"
    )


_Array = tuple["Place", Node, Any]


def _places(node: Node, dataset: Any, label: str) -> tuple[tuple[int, int] | None, list[_Array]]:
    """List the arrays that exist: index, node of the tree and dkist's dataset, row-major."""
    if "datasets" not in node:
        return None, [(None, node, dataset)]
    nodes = node["datasets"]
    one_row = len(dataset.shape) == 1
    if len(dataset.shape) not in (1, 2):
        raise DatasetError(f"{label}: a mosaic of shape {dataset.shape}; expected two axes")
    rows, columns = grid = (1, *dataset.shape) if one_row else tuple(dataset.shape)
    try:
        check_mask(dataset.mask, dataset.shape)
    except DatasetError as error:
        raise DatasetError(f"{label}: the mosaic: {error}") from error
    masked = np.broadcast_to(dataset.mask, dataset.shape).reshape(grid)
    places: list[_Array] = []
    for i, j in itertools.product(range(rows), range(columns)):
        if masked[i, j]:
            continue
        tile = nodes[j] if one_row else nodes[i][j]
        places.append(((i, j), tile, dataset[j] if one_row else dataset[i, j]))
    if not places:
        raise DatasetError(f"{label}: every tile of this mosaic is masked; expected at least one")
    return (rows, columns), places


def remaining_meta(meta: Node) -> dict[str, Any]:
    """Give what a store keeps in the meta, which is all but headers, inventory and history."""
    return {key: value for key, value in meta.items() if key not in _ELSEWHERE}


def _headers(
    source: Tree, node: Node, dataset: Any, places: list[_Array], frames: list[Frames]
) -> Table:
    """Make one table of all frames' headers; without rows where they do not match the frames."""
    shared = source.columns(_headers_of(node)) if "datasets" in node else None
    if shared is not None:
        # Since version 1.3.0 the tiles say which rows of the mosaic's table are theirs.
        rows = [_rows_of(tile["meta"]["headers"], len(shared)) for _, tile, _ in places]
        if not _match(source.label, places, frames, [len(own) for own in rows]):
            return Table()
        return _table(shared, dataset.meta["headers"], source.label)[np.concatenate(rows)]
    tables = []
    for index, plain, loaded in places:
        where = _where(source.label, index)
        tables.append(_table(source.columns(_headers_of(plain)), loaded.meta["headers"], where))
    if not _match(source.label, places, frames, [len(table) for table in tables]):
        return Table()
    if "quantities" in node:  # whose arrays have cards of their own
        return HeaderTable.of(StackedColumns(tables)) if any(map(len, tables)) else Table()
    return tables[0] if len(tables) == 1 else vstack(tables, metadata_conflicts="silent")


def _rows_of(part: Any, n_rows: int) -> NDArray[np.int64]:
    """Find which rows of a mosaic's table belong to a tile, as far as the table has them."""
    try:
        first, n = int(part["offset"]), int(part["size"])
    except (KeyError, TypeError, ValueError):
        first = n = 0
    return np.arange(n_rows)[first : first + n] if first >= 0 else np.arange(0)


def _match(label: str, places: list[_Array], frames: list[Frames], n_rows: Sequence[int]) -> bool:
    """Tell whether there are as many rows as frames, or none; warn if not."""
    if not any(n_rows):
        return True
    for (index, _, _), part, n in zip(places, frames, n_rows, strict=True):
        if n != part.n_frames:
            warnings.warn(
                f"{_where(label, index)}: the header table has {counted(n, 'row')} for "
                f"{counted(part.n_frames, 'frame')}. Rows belong to frames by position, and these "
                "do not: the dataset is read without headers",
                HeaderWarning,
                stacklevel=6,
            )
            return False
    return True


def _headers_of(node: Node) -> object:
    """Find the node of a header table; versions before 0.3.0 have it outside the meta."""
    return node["headers"] if "headers" in node else (node.get("meta") or {}).get("headers")


def _table(columns: BlockColumns | None, rest: object, where: str) -> Table:
    """Make a header table of the columns in blocks and those that dkist read."""
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
