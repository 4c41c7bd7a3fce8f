"""Read a DKIST ASDF as a tagged tree and its blocks, without an object for every frame.

Nearly all of a large ASDF is the list of file names and the columns of the header table. The
names are plain YAML; a column is one block of the file, of which any rows can be read where they
lie. What only ``dkist`` can make of the rest, WCS and metadata, it makes of `without_frames`: the
same file with two names and no columns.
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
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from astropy.table import Column

from dkist_virtual.errors import DatasetError
from dkist_virtual.io.asdf_blocks import EMPTY_BLOCK, Block, blocks_of
from dkist_virtual.io.local_file import FileBytes, open_regular
from dkist_virtual.store.format.dataset_asdf import tag_of

if TYPE_CHECKING:
    from astropy.table import Table
    from numpy.typing import NDArray

__all__ = ["BlockColumns", "Tree", "read_tree"]

_DTYPES: Final = {
    **{name: name for name in ("int8", "int16", "int32", "int64", "float32", "float64")},
    **{name: name for name in ("uint8", "uint16", "uint32", "uint64")},
    "bool8": "bool",
}


@dataclass(frozen=True, eq=False)
class BlockColumns:
    """Columns that lie in blocks of an ASDF, of which any rows can be read.

    Parameters
    ----------
    path : pathlib.Path
    stamp : tuple of int
        Size, modification time and number of the ASDF: of another one nothing is read.
    columns : mapping of str to tuple
        Each column's type, and its first byte in the file.
    n : int
        Rows of the whole columns.
    ready : mapping of str to Column
        Those that lie in no block of their own, whole.
    names : sequence of str
        Of all of them, in order.
    meta : dict
        The table's.
    rows : array of int64, optional
        Which rows, and in which order; all if not given.
    said : str
        What the user calls the ASDF.
    """

    path: Path
    stamp: tuple[int, ...]
    columns: Mapping[str, tuple[np.dtype[Any], int]]
    n: int
    ready: Mapping[str, Column]
    names: Sequence[str]
    meta: dict[str, Any]
    rows: slice | NDArray[np.int64] = field(default_factory=lambda: slice(None))
    said: str = ""

    def with_others(self, table: Table) -> BlockColumns:
        """These and the columns of a table of all rows, with its meta.

        Raises
        ------
        DatasetError
            It has another number of rows.
        """
        if table.colnames and len(table) != self.n:
            raise DatasetError(
                f"{self.said}: columns of {len(table)} and of {self.n} rows in the header table"
            )
        others = {name: table[name] for name in table.colnames}
        return replace(self, ready=others, meta=dict(table.meta))

    def _range(self) -> range | None:
        """The rows, where they are a slice; its step is positive."""
        if not isinstance(self.rows, slice):
            return None
        return range(self.n)[self.rows]

    def __len__(self) -> int:
        rows = self._range()
        return len(np.asarray(self.rows) if rows is None else rows)

    def select(self, rows: slice | NDArray[Any]) -> BlockColumns:
        """The same columns of some of these rows."""
        chosen = self._range()
        if chosen is not None and isinstance(rows, slice):
            part = chosen[rows]
            if part.step > 0:
                return replace(self, rows=slice(part.start, part.stop, part.step))
        positions = np.arange(self.n)[self.rows][rows]
        return replace(self, rows=positions)

    def read(self, names: Sequence[str]) -> list[Column]:
        """Some columns, the selected rows of them."""
        try:
            with open_regular(self.path) as file:
                columns = [self._read(file, name) for name in names]
                now = _stamp(file)  # after it was read: it may change meanwhile
        except OSError as error:
            raise DatasetError(f"{self.said}: cannot be read: {error.strerror or error}") from error
        if now != self.stamp:
            raise DatasetError(
                f"{self.said}: has changed since it was opened: open the dataset again"
            )
        return columns

    def _read(self, file: BufferedReader, name: str) -> Column:
        if name in self.ready:
            return self.ready[name][self.rows]
        dtype, start = self.columns[name]
        rows = self._range()
        wanted = np.asarray(self.rows if rows is None else rows, np.int64)
        first, stop = (int(wanted.min()), int(wanted.max()) + 1) if len(wanted) else (0, 0)
        values = np.empty(stop - first, dtype)
        file.seek(start + first * dtype.itemsize)
        if len(values) and file.readinto(values.view("u1").data) != values.nbytes:
            raise DatasetError(f"{self.said}: column {name} of the header table is cut short")
        if rows is None or len(rows) != len(values):
            values = values[wanted - first]
        return Column(values, name=name)


@dataclass(frozen=True, eq=False)
class Tree:
    """An ASDF, of which the tree was read.

    Parameters
    ----------
    path : pathlib.Path
    tree : mapping
        As `asdf.util.load_yaml` gives it with its tags.
    blocks : tuple of Block
    stamp : tuple of int
        Size, modification time and number.
    said : str
        What the user calls it.
    """

    path: Path
    tree: Mapping[str, Any]
    blocks: tuple[Block, ...]
    stamp: tuple[int, ...]
    said: str

    def columns(self, table: Any) -> BlockColumns | None:
        """The columns of a header table's node that lie in blocks; None where there are none.

        Tables, and columns, of another form than the Data Center writes are left to asdf.
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
        return BlockColumns(
            self.path, self.stamp, columns, lengths.pop(), {}, names, {}, said=self.said
        )

    def _in_a_block(self, node: Any) -> tuple[np.dtype[Any], int, int] | None:
        """Type, first byte and length of a column; None where it is of another form."""
        data = node.get("data") if isinstance(node, Mapping) else None
        if (
            not isinstance(data, Mapping)
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
        """Write the same ASDF with few frames: for ``dkist`` to make WCS and metadata of.

        Of each list of file names two are left, nested as deep, or the one that there is: ``dkist``
        treats one frame otherwise than several. Of header tables the columns are left that
        `columns` does not find; of the blocks those that something refers to, under their numbers.
        """
        import asdf
        import yaml

        tree: Any = copy.copy(self.tree)
        tree["dataset"] = self._without_frames(tree["dataset"])
        needed = set(_sources(tree))
        with open_regular(self.path) as source, open(target, "wb") as out:
            if _stamp(source) != self.stamp:
                raise DatasetError(f"{self.said}: has changed while it was read: try again")
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

    def _without_frames(self, node: Any) -> Any:
        """A dataset's node, or a mosaic's, or a row of a mosaic."""
        if isinstance(node, (list, UserList)):
            return [self._without_frames(part) for part in node]
        if not isinstance(node, Mapping):  # a tile that is not there
            return node
        small: Any = copy.copy(node)
        if "datasets" in node:
            small["datasets"] = self._without_frames(node["datasets"])
        if isinstance(node.get("data"), Mapping) and "fileuris" in node["data"]:
            small["data"] = copy.copy(node["data"])
            small["data"]["fileuris"] = _two_of(node["data"]["fileuris"])
        if "headers" in node:
            small["headers"] = self._without_columns(node["headers"])
        if isinstance(node.get("meta"), Mapping) and "headers" in node["meta"]:
            small["meta"] = copy.copy(node["meta"])
            small["meta"]["headers"] = self._without_columns(node["meta"]["headers"])
        return small

    def _without_columns(self, table: Any) -> Any:
        found = self.columns(table)
        if found is None:
            return table
        small: Any = copy.copy(table)
        kept = [column for column in table["columns"] if column["name"] not in found.columns]
        small["columns"] = kept
        small["colnames"] = [name for name in table["colnames"] if name not in found.columns]
        return small


def read_tree(path: Path, said: str | None = None) -> Tree:
    """Read the tree of an ASDF, and where its blocks lie.

    Raises
    ------
    DatasetError
        A block ends behind the file.
    """
    import asdf

    with open_regular(path) as file, FileBytes(path) as data:
        stamp = _stamp(file)
        blocks = tuple(blocks_of(data, said or str(path)))
        tree = asdf.util.load_yaml(file, tagged=True)
        if _stamp(file) != stamp:
            raise DatasetError(f"{said or path}: has changed while it was read: try again")
    return Tree(path, tree, blocks, stamp, said or str(path))


def _stamp(file: BinaryIO) -> tuple[int, ...]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino


def _two_of(names: Any) -> Any:
    """Names nested as deep as these: the only one, or two."""
    depth, first = 0, names
    while isinstance(first, (list, UserList)) and len(first):
        depth, first = depth + 1, first[0]
    if np.size(np.array(names, dtype=object)) == 1 or not depth:
        return names
    small: list[Any] = ["0", "1"]
    for _ in range(depth - 1):
        small = [small]
    return small


def _sources(node: Any) -> Iterator[int]:
    """The numbers of the blocks that something in a tree refers to."""
    if isinstance(node, Mapping):
        source = node.get("source")
        if type(source) is int:
            yield source
        for value in node.values():
            yield from _sources(value)
    elif isinstance(node, (list, UserList)):
        for value in node:
            yield from _sources(value)
