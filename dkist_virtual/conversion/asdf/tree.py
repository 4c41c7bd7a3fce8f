"""Read the tagged tree of a DKIST ASDF and its blocks, without an object for every frame.

Nearly all of a large ASDF is the list of file names and the columns of the header table. The
names are plain YAML; a column is one block of the file, from which any rows can be read. ``dkist``
makes WCS and metadata from a copy of the file with two names and no columns.
"""

from __future__ import annotations

import copy
import os
import re
from collections import UserList
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

import numpy as np
from astropy.table import Column

from dkist_virtual.errors import DatasetError
from dkist_virtual.io.asdf_blocks import EMPTY_BLOCK, Block, blocks_of
from dkist_virtual.io.local_file import FileBytes, open_regular
from dkist_virtual.store.format.dataset_asdf import tag_of

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

__all__ = ["BlockColumns", "Node", "Tree", "read_tree"]

_DTYPES: Final = {
    **{name: name for name in ("int8", "int16", "int32", "int64", "float32", "float64")},
    **{name: name for name in ("uint8", "uint16", "uint32", "uint64")},
    "bool8": "bool",
}


Node: TypeAlias = Mapping[str, Any]
"""A mapping in the tree of an ASDF."""


@dataclass(frozen=True, eq=False)
class BlockColumns:
    """Columns in the blocks of an ASDF, from which any rows can be read.

    Parameters
    ----------
    path : pathlib.Path
    stamp : tuple of int
        Size, modification time and number of the ASDF, which must not change.
    columns : mapping of str to tuple
        Each column's type, and its first byte in the file.
    rows : array of int64
        Which rows of the whole columns, and in which order.
    ready : mapping of str to Column
        Whole columns without a block of their own.
    names : sequence of str
        Of all columns, in order.
    meta : dict
        The table's.
    label : str
        The user's name for the ASDF.
    """

    path: Path
    stamp: tuple[int, ...]
    columns: Mapping[str, tuple[np.dtype, int]]
    rows: NDArray[np.int64]
    names: Sequence[str]
    label: str
    ready: Mapping[str, Column] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    def with_others(self, table: Table) -> BlockColumns:
        """Add the columns of a table of all rows, and its meta."""
        if table.colnames and len(table) != len(self):
            raise DatasetError(
                f"{self.label}: columns of {len(table)} and of {len(self)} rows in the header table"
            )
        others = {name: table[name] for name in table.colnames}
        return replace(self, ready=others, meta=dict(table.meta))

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, rows: slice | NDArray[np.int64]) -> BlockColumns:
        """Select some of these rows."""
        return replace(self, rows=self.rows[rows])

    def read(self, names: Sequence[str]) -> list[Column]:
        """Read the selected rows of some columns."""
        try:
            with open_regular(self.path) as file:
                columns = [self._read(file, name) for name in names]
                now = _stamp(file)  # after it was read: it may change meanwhile
        except OSError as error:
            raise DatasetError(
                f"{self.label}: cannot be read: {error.strerror or error}"
            ) from error
        if now != self.stamp:
            raise DatasetError(
                f"{self.label}: has changed since it was opened: open the dataset again"
            )
        return columns

    def _read(self, file: BufferedReader, name: str) -> Column:
        if name in self.ready:
            return self.ready[name][self.rows]
        dtype, start = self.columns[name]
        first, stop = (int(self.rows.min()), int(self.rows.max()) + 1) if len(self) else (0, 0)
        values = np.empty(stop - first, dtype)
        file.seek(start + first * dtype.itemsize)
        if len(values) and file.readinto(values.view("u1").data) != values.nbytes:
            raise DatasetError(f"{self.label}: column {name} of the header table is cut short")
        if len(values) != len(self) or (np.diff(self.rows) != 1).any():
            values = values[self.rows - first]
        return Column(values, name=name)


@dataclass(frozen=True, eq=False)
class Tree:
    """The tree of an ASDF, as `asdf.util.load_yaml` gives it with its tags, and its blocks."""

    path: Path
    tree: Node
    blocks: tuple[Block, ...]
    stamp: tuple[int, ...]
    label: str

    def columns(self, table: object) -> BlockColumns | None:
        """Find the columns of a header table's node that are blocks; None where there are none.

        Tables and columns of another form than the Data Center writes are left to asdf.
        """
        if not isinstance(table, Mapping) or not re.search(
            r"astropy/table/table-1\.\d+\.\d+$", tag_of(table)
        ):
            return None
        if table.get("qtable") or not set(table) <= {"colnames", "columns", "meta", "qtable"}:
            return None
        columns = {}
        lengths = set()
        for node in table["columns"]:
            where = self._in_a_block(node)
            if where is not None:
                dtype, start, n = where
                columns[str(node["name"])] = dtype, start
                lengths.add(n)
        if len(lengths) != 1 or len(set(table["colnames"])) != len(table["colnames"]):
            return None
        names = [str(name) for name in table["colnames"]]
        rows = np.arange(lengths.pop())
        return BlockColumns(self.path, self.stamp, columns, rows, names, self.label)

    def _in_a_block(self, node: object) -> tuple[np.dtype, int, int] | None:
        """Find type, first byte and length of a column; None where it has another form."""
        if (
            not isinstance(node, Mapping)
            or not isinstance(data := node.get("data"), Mapping)
            or set(node) != {"data", "name"}
            or set(data) != {"source", "datatype", "byteorder", "shape"}
            or not tag_of(node).rpartition("/")[2].startswith("column-1.")
            or not tag_of(data).rpartition("/")[2].startswith("ndarray-1.")
        ):
            return None
        match list(data["shape"]), data["datatype"]:
            case [int(n)], str(name) if name in _DTYPES:
                dtype = np.dtype(_DTYPES[name])
            case [int(n)], [("ucs4" | "ascii") as kind, int(width)] if width > 0:
                dtype = np.dtype(f"{'U' if kind == 'ucs4' else 'S'}{width}")
            case _:
                return None
        source = data["source"]
        if type(source) is not int or not 0 <= source < len(self.blocks):
            return None
        block = self.blocks[source]
        if not block.plain or n * dtype.itemsize > block.n_bytes:
            return None
        return dtype.newbyteorder(">" if data["byteorder"] == "big" else "<"), block.data, n

    def write_without_frames(self, target: Path) -> None:
        """Write the same ASDF with few frames, from which ``dkist`` makes WCS and metadata.

        Each list of file names keeps two, nested as deep, or its only one: ``dkist`` treats one
        frame otherwise than several. Header tables keep the columns that `columns` does not find,
        and the file the blocks that its tree refers to, under their numbers.
        """
        import asdf
        import yaml

        tree: Any = copy.copy(self.tree)
        for key in ("dataset", "inversion"):
            if key in tree:
                tree[key] = self._without_frames(tree[key])
        needed = set(_sources(tree))
        with open_regular(self.path) as source, open(target, "wb") as out:
            if _stamp(source) != self.stamp:
                raise DatasetError(f"{self.label}: has changed while it was read: try again")
            for line in source:
                if not line.startswith(b"#"):
                    break
                out.write(line)
            yaml.dump(
                tree, out, Dumper=asdf.yamlutil.AsdfDumper, explicit_start=True, explicit_end=True,
                version=(1, 1), allow_unicode=True, encoding="utf-8",
                tags={"!": "tag:stsci.edu:asdf/"},
            )  # fmt: skip
            for number, block in enumerate(self.blocks[: max(needed, default=-1) + 1]):
                if number in needed:
                    source.seek(block.start)
                    out.write(source.read(block.stop - block.start))
                else:
                    out.write(EMPTY_BLOCK)

    def _without_frames(self, node: object) -> object:
        """Shorten the node of a dataset, mosaic or inversion, and the nodes in it."""
        if isinstance(node, (list, UserList)):
            return [self._without_frames(part) for part in node]
        if not isinstance(node, Mapping):  # a masked tile
            return node
        small: Any = copy.copy(node)
        for key in ("datasets", "data", "meta", "quantities", "profiles"):
            if key in node:
                small[key] = self._without_frames(node[key])
        if "aligned_axes" in node and isinstance(members := node.get("items"), Mapping):
            small["items"] = {key: self._without_frames(one) for key, one in members.items()}
        if "fileuris" in node:
            small["fileuris"] = _two_of(node["fileuris"])
        if "headers" in node:
            small["headers"] = self._without_columns(node["headers"])
        return small

    def _without_columns(self, table: object) -> object:
        found = self.columns(table)
        if found is None or not isinstance(table, Mapping):
            return table
        small: Any = copy.copy(table)
        kept = [column for column in table["columns"] if column["name"] not in found.columns]
        small["columns"] = kept
        small["colnames"] = [name for name in table["colnames"] if name not in found.columns]
        return small


def read_tree(path: Path, label: str | None = None) -> Tree:
    """Read the tree of an ASDF, and the byte ranges of its blocks."""
    import asdf

    with open_regular(path) as file, FileBytes(path) as data:
        stamp = _stamp(file)
        blocks = tuple(blocks_of(data, label or str(path)))
        tree = asdf.util.load_yaml(file, tagged=True)
        if _stamp(file) != stamp:
            raise DatasetError(f"{label or path}: has changed while it was read: try again")
    return Tree(path, tree, blocks, stamp, label or str(path))


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino


def _two_of(names: Any) -> Any:
    """Keep the only name or two names, nested as deep as these."""
    depth, first = 0, names
    while isinstance(first, (list, UserList)) and len(first):
        depth, first = depth + 1, first[0]
    if np.size(np.array(names, dtype=object)) == 1 or not depth:
        return names
    small: list[Any] = ["0", "1"]
    for _ in range(depth - 1):
        small = [small]
    return small


def _sources(node: object) -> Iterator[int]:
    """Find the numbers of the blocks that a tree refers to."""
    if isinstance(node, Mapping):
        source = node.get("source")
        if type(source) is int:
            yield source
        for value in node.values():
            yield from _sources(value)
    elif isinstance(node, (list, UserList)):
        for value in node:
            yield from _sources(value)
