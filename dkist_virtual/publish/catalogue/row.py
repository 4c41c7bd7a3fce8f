"""Make the row of one store in a catalogue, without its WCS.

Values are those of the Data Center's record, where it is given, else of the inventory in
``dataset.asdf``, else of the header table by the Data Center's own rules, else null.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.datacenter.published.conditions import microseconds
from dkist_virtual.datacenter.published.table import BY_KEY, COLUMNS, VERSION, Kind
from dkist_virtual.errors import StoreCorruptError, StoreMissingError
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.publish.catalogue.from_headers import complete
from dkist_virtual.store.format.dataset_asdf import (
    METADATA_NAME,
    Description,
    StoredDescription,
    digest_in,
    made_from,
    read_description,
)
from dkist_virtual.store.format.names import JSON_NAME, PARQUET_NAME, identity_in
from dkist_virtual.store.format.references import (
    groups_of,
    read_metadata,
    translate_errors,
)
from dkist_virtual.store.presence import no_store_error

if TYPE_CHECKING:
    from dkist_virtual.store.format.references import ArrayMetadata

__all__ = ["Row", "make_row", "row_id"]

Row: TypeAlias = dict[str, Any]
"""The values of a row, by the names of `table.COLUMNS`."""

RULES: Final = 1
"""Of making a row: another number has the rows of all stores made again."""

_HEAD: Final = 2**16
_STORE_ID: Final = re.compile(rb'\\?"store_id\\?": ?\\?"([0-9a-f]{64})\\?"')


def row_id(store: Path, record: Mapping[str, Any] | None) -> str | None:
    """Compute the digest of what a row is made from, by the beginnings of two files.

    Returns None where they do not tell: then the row is made again.
    """
    try:
        with open_regular(store / METADATA_NAME) as file:
            description = digest_in(file.read(_HEAD))
        with open_regular(_references_of(store)) as file:
            found = _STORE_ID.search(file.read(_HEAD))
    except (OSError, StoreMissingError):
        return None
    if description is None or found is None:
        return None
    parts = [RULES, VERSION, found[1].decode(), description, record]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _references_of(store: Path) -> Path:
    for path in (store / JSON_NAME, store / PARQUET_NAME / ".zmetadata"):
        if path.exists():
            return path
    raise no_store_error(str(store))


def make_row(store: Path, record: Mapping[str, Any] | None = None) -> Row:
    """Make the row of a store on this machine.

    Parameters
    ----------
    store : pathlib.Path
    record : mapping, optional
        The Data Center's record of the dataset: it is believed before the inventory.

    Returns
    -------
    dict
        With all columns but ``store`` and ``preview``.

    Raises
    ------
    StoreMissingError, StoreCorruptError
    """
    about = _read_references(store)
    description = _read(store)
    values: dict[str, Any] = dict(description.inventory)
    values.update(_of_inversion(values))
    values.update(record or {})
    n_bytes = about.root.get("n_bytes")
    if values.get("datasetSize") is None and n_bytes is not None:
        values["datasetSize"] = n_bytes / 2**30
    if values.get("frameCount") is None:
        values["frameCount"] = about.root.get("n_frames")
    complete(values, store, has_wavelengths=description.has_wavelengths)
    row: Row = dict.fromkeys(column.name for column in COLUMNS)
    for key, column in BY_KEY.items():
        row[column.name] = _value(column.kind, values.get(key))
    row |= _box(values.get("boundingBox"))
    distribution = values.get("friedParameter")
    if isinstance(distribution, Mapping):
        row |= {f"fried_{end}": _value("float", distribution.get(end)) for end in ("min", "max")}
    return row | about.columns() | description.columns() | {"row_id": row_id(store, record)}


# References ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _References:
    name: str
    root: Mapping[str, Any]
    arrays: Mapping[str, ArrayMetadata]

    def columns(self) -> Row:
        first = next(iter(self.arrays.values()))
        tiles = self.root.get("tiles")
        inversion = groups_of(dict(self.root)) is not None
        attributes = first.attributes
        return {
            "kind": "inversion" if inversion else "dataset" if tiles is None else "mosaic",
            "shape": list(first.shape),
            "axes": [str(name) for name in attributes.get("axis_names", ())] or None,
            "dtype": np.dtype(first.dtype).newbyteorder("=").name,
            "unit": attributes.get("unit"),
            "grid": None if tiles is None else [int(n) for n in tiles["shape"]],
            "n_bytes": self.root.get("n_bytes"),
            "references": self.name,
            "base": self.root.get("base"),
            "store_id": self.root.get("store_id"),
            "format_version": self.root.get("format_version"),
        }


def _read_references(store: Path) -> _References:
    """Read what the references say of the arrays, and none of the references themselves."""
    path = _references_of(store)
    with translate_errors(str(path)):
        with open_regular(path) as file:
            document = json.load(file)
        if path.name == JSON_NAME:
            documents = {
                key: json.loads(value)
                for key, value in document["refs"].items()
                if key.rpartition("/")[2].startswith(".z")
            }
        else:
            documents = document["metadata"]
        root, arrays = read_metadata(documents)
    return _References(JSON_NAME if path.name == JSON_NAME else PARQUET_NAME, root, arrays)


# Description --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _About:
    inventory: Mapping[str, Any]
    origin: Mapping[str, Any]
    has_wavelengths: bool
    shape: tuple[int, ...] | None

    def columns(self) -> Row:
        name, _, version = made_from(self.origin)
        software = self.origin.get("read_by") or {}
        shape = {} if self.shape is None else {"shape": list(self.shape)}  # of the selection
        return {
            **shape,
            "asdf": name,
            "asdf_version": _value("text", version),
            "software": _value("text", software.get("dkist_virtual")),
            "converted": _value("time", self.origin.get("date")),
        }


def _read(store: Path) -> _About:
    path = store / METADATA_NAME
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise StoreCorruptError(f"{path}: {error.strerror or error}; convert again") from error
    source = io.BytesIO(data)
    source.name = str(path)
    description = read_description(source)
    summary = description.summary if isinstance(description, StoredDescription) else None
    plain = None if isinstance(description, Description) else _plain_parts(data)
    if plain is None:
        inventory, origin = description.inventory, description.origin
    else:
        inventory, origin = plain
    if summary is None:
        wcs = description.tiles[0].wcs.low_level_wcs
        physical = list(wcs.world_axis_physical_types)
    else:
        physical = [kind for _, kind, _ in summary.world_axes]
    shape = None if summary is None else summary.shapes[0]
    return _About(inventory or {}, origin, "em.wl" in physical, shape)


def _plain_parts(data: bytes) -> tuple[Any, dict[str, Any]] | None:
    """Read inventory and origin of a ``dataset.asdf`` that is as it was written, and no WCS.

    They are keys of the tree's first level, which begin a line. Returns None where that is not
    enough, as where a value refers to another one by an alias.
    """
    import yaml

    found = {}
    for name in ("inventory", "dkist_virtual"):
        block = re.search(rb"(?m)^%s:.*\n(?:(?![A-Za-z_.]).*\n)*" % name.encode(), data)
        if block is None:
            return None
        try:
            found[name] = yaml.load(block[0], Loader=_loader())[name]
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError, KeyError):
            return None
    inventory, about = found["inventory"], found["dkist_virtual"]
    origin = about.get("origin") if isinstance(about, dict) else None
    if not isinstance(origin, dict) or not isinstance(inventory, dict | None):
        return None
    return inventory, origin


def _loader() -> Any:
    """Make a loader of plain values, which takes those of other types without their tags."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Plain(base):  # type: ignore[misc]
        pass

    def construct(loader: Any, _: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return loader.construct_mapping(node, deep=True)
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_scalar(node)

    Plain.add_multi_constructor("!", construct)
    Plain.add_multi_constructor("tag:stsci", construct)
    return Plain


def _of_inversion(inventory: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the inventory of an inversion says under a dataset's keys."""
    if "inversionId" not in inventory:
        return {}
    made: dict[str, Any] = {
        "datasetId": identity_in(inventory),
        "primaryProposalId": inventory.get("proposalId"),
    }
    created = inventory.get("created")
    return made if created is None else made | {"createDate": str(created)}


# Values -------------------------------------------------------------------------------------


def _value(kind: Kind, given: Any) -> Any:
    """Convert a value to the type of its column; None for one that cannot be."""
    if given is None or (isinstance(given, float) and not math.isfinite(given)):
        return None
    try:
        return _CONVERT[kind](given)
    except (TypeError, ValueError, OverflowError):
        return None


def _as_text(given: Any) -> str:
    if isinstance(given, list | tuple) and all(isinstance(e, str) and len(e) == 1 for e in given):
        return "".join(given)  # Stokes parameters
    return given if isinstance(given, str) else json.dumps(given, default=str)


def _as_texts(given: Any) -> list[str]:
    if isinstance(given, str):  # some inventories have a list as text
        given = re.findall(r"'([^']*)'", given) if given.startswith("[") else [given]
    return [str(each) for each in given]


def _as_integer(given: Any) -> int:
    if isinstance(given, bool) or int(given) != float(given) or not -(2**63) <= int(given) < 2**63:
        raise ValueError("not a whole number")
    return int(given)


def _as_boolean(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    raise ValueError("neither true nor false")


def _as_float(given: Any) -> float | None:
    number = float(given)
    return number if math.isfinite(number) else None


def _as_time(given: Any) -> datetime:
    text = given.isoformat() if isinstance(given, datetime) else str(given).strip()
    moment = microseconds(text.replace(" ", "T", 1))
    return datetime.fromtimestamp(moment // 1_000_000, UTC).replace(microsecond=moment % 1_000_000)


_CONVERT: Final[dict[str, Any]] = {
    "text": _as_text,
    "texts": _as_texts,
    "integer": _as_integer,
    "integers": lambda given: [_as_integer(each) for each in given],
    "float": _as_float,
    "boolean": _as_boolean,
    "time": _as_time,
}

_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def _box(given: Any) -> Row:
    """Find the sky box of a record: two corners, as lists or as text."""
    try:
        numbers = _NUMBER.findall(given) if isinstance(given, str) else np.ravel(given)
        x1, y1, x2, y2 = (float(number) for number in numbers)
    except (TypeError, ValueError):
        return {}
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        return {}
    return {
        "tx_min": min(x1, x2), "tx_max": max(x1, x2), "ty_min": min(y1, y2), "ty_max": max(y1, y2),
    }  # fmt: skip
