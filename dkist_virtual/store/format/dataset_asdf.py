"""Read and write ``dataset.asdf``: WCS, unit, mask, inventory and the rest of the meta.

It is a plain ASDF, which ``asdf``, ``gwcs`` and ``dkist`` read without this package. File list and
header table, which make up nearly all of a DKIST ASDF, are in other files of the store.

A file that is as `write_description` wrote it, by the digest in it, is parsed when something of it
is first needed: the packages that make a WCS of it take longer to import than a frame to read.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dkist_virtual._version import __version__
from dkist_virtual.errors import DatasetError, StoreCorruptError
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.store.format.asdf_arrays import check_strides
from dkist_virtual.store.format.limits import MAX_TILES, check_asdf
from dkist_virtual.store.format.names import METADATA_NAME, Place, is_array_name
from dkist_virtual.store.format.references import FORMAT_VERSION
from dkist_virtual.store.format.summary import Summary
from dkist_virtual.text import shorten, utc_now

if TYPE_CHECKING:
    import numpy as np
    from astropy.units import UnitBase
    from astropy.wcs.wcsapi import BaseHighLevelWCS
    from numpy.typing import NDArray

__all__ = [
    "METADATA_NAME", "Description", "StoredDescription", "TileMeta", "digest_in",
    "ignore_expected_warnings", "made_from", "origin_of", "read_description", "read_plain",
    "software", "tag_of", "write_description",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class TileMeta:
    """What belongs to one array of the dataset and is neither pixels nor headers.

    Parameters
    ----------
    index : Place
        The place in dkist's array of tiles, or the name of an inversion's array; None when the
        dataset has one array.
    wcs : gwcs.WCS or astropy.wcs.wcsapi.HighLevelWCSWrapper
        The WCS after dkist's own corrections of old versions. A wrapper, around a sliced gWCS,
        where the ASDF was saved from a cut of a dataset.
    unit : astropy.units.UnitBase, optional
        The unit of the pixels, where the ASDF says it.
    mask : numpy.ndarray of bool, optional
        The mask, in the shape that the ASDF gives it.
    meta : dict
        A tile's own meta. Empty when the dataset has one array: see `Description.meta`.
    """

    index: Place
    wcs: BaseHighLevelWCS
    unit: UnitBase | None
    mask: NDArray[np.bool_] | None
    meta: dict[str, Any]

    @cached_property
    def wcs_hash(self) -> str:
        """SHA-256 of the WCS as ASDF writes it: the same in every process."""
        import asdf

        buffer = io.BytesIO()
        with ignore_expected_warnings():
            asdf.AsdfFile({"wcs": self.wcs}).write_to(buffer)
        # What comes before names the extensions that wrote it, in an order that changes.
        _, _, written = buffer.getvalue().partition(b"\nwcs:")
        return hashlib.sha256(written).hexdigest()


@dataclass(frozen=True, eq=False)
class Description:
    """All that the ``dataset.asdf`` of a store holds.

    Raises `DatasetError` where tiles and grid contradict each other.

    Parameters
    ----------
    grid : tuple of int, optional
        The shape of dkist's array of tiles (a mosaic cut to one row is ``(1, n)``); None when
        the dataset is not a mosaic.
    tiles : tuple of TileMeta
        Those that are there, row-major; of an inversion its arrays; else exactly one.
    inventory : dict, optional
        The Data Center's record of the dataset.
    meta : dict
        The dataset's remaining meta: parameters, quality, input frames and so on.
    history : dict
        What ``dkist`` puts into ``meta["history"]``.
    origin : dict
        See `origin_of`.
    profiles_meta : dict
        The meta of an inversion's profiles as a whole; empty of anything else.
    """

    grid: tuple[int, int] | None
    tiles: tuple[TileMeta, ...]
    inventory: dict[str, Any] | None
    meta: dict[str, Any]
    history: dict[str, Any]
    origin: dict[str, Any]
    profiles_meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_places(self.grid, self.indices)

    @property
    def indices(self) -> tuple[Place, ...]:
        """The place of each tile in the grid, or the name of each array of an inversion."""
        return tuple(tile.index for tile in self.tiles)


def _check_places(grid: tuple[int, int] | None, indices: Sequence[Place]) -> None:
    """Raise `DatasetError` where tiles and grid contradict each other."""
    if grid is None:
        named = all(map(is_array_name, indices)) and 0 < len(set(indices)) == len(indices)
        if list(indices) != [None] and not named:
            raise DatasetError(f"expected one array without a place in a mosaic: {list(indices)}")
        return
    # Each side too: beside a 0, any other one would make no tiles, and a list of its numbers.
    if max(*grid, grid[0] * grid[1]) > MAX_TILES:
        raise DatasetError(f"a mosaic of {grid}: more than {MAX_TILES} tiles are not read")
    places, there = itertools.product(*map(range, grid)), frozenset(indices)
    if not indices or list(indices) != [place for place in places if place in there]:
        raise DatasetError(
            f"expected tiles in row-major order within a mosaic of {grid}: {list(indices)}"
        )


class StoredDescription:
    """The same of a file that is as it was written; the file is parsed when that is first needed.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        For messages.
    grid : tuple of int, optional
    indices : tuple
        The place of each tile in the grid, or the name of each array of an inversion.
    summary : Summary, optional
        What an overview says of it.
    """

    def __init__(
        self,
        data: bytes,
        name: str,
        grid: tuple[int, int] | None,
        indices: tuple[Place, ...],
        summary: Summary | None = None,
        parsed: Description | None = None,
    ) -> None:
        self.grid, self.indices, self.summary = grid, indices, summary
        self._data, self._name, self._parsed = data, name, parsed
        self._lock = ThreadLock()

    def __reduce__(self) -> tuple[object, ...]:
        about = self._data, self._name, self.grid, self.indices, self.summary, self._parsed
        return StoredDescription, about

    def read(self) -> Description:
        """Parse the file, once.

        Raises
        ------
        StoreCorruptError
            It says something else than its digest, or is not a description.
        """
        with self._lock:
            if self._parsed is None:
                parsed = _parse(self._data, self._name)
                with _translate_errors(self._name):
                    if (parsed.grid, parsed.indices) != (self.grid, self.indices):
                        raise StoreCorruptError("the tiles are not those that its digest names")
                    if any(tile.mask is not None for tile in parsed.tiles):
                        raise StoreCorruptError("a tile has a mask, which its digest denies")
                self._parsed, self._data = parsed, b""
            return self._parsed

    @property
    def tiles(self) -> tuple[TileMeta, ...]:
        """See `Description`."""
        return self.read().tiles

    @property
    def inventory(self) -> dict[str, Any] | None:
        """See `Description`."""
        return self.read().inventory

    @property
    def meta(self) -> dict[str, Any]:
        """See `Description`."""
        return self.read().meta

    @property
    def history(self) -> dict[str, Any]:
        """See `Description`."""
        return self.read().history

    @property
    def origin(self) -> dict[str, Any]:
        """See `Description`."""
        return self.read().origin

    @property
    def profiles_meta(self) -> dict[str, Any]:
        """See `Description`."""
        return self.read().profiles_meta


def tag_of(node: Any) -> str:
    """The YAML tag of a node of a tree that asdf did not convert; empty where it has none."""
    return str(getattr(node, "_tag", ""))  # asdf gives it by no public name


def origin_of(
    path: Path, tree: Mapping[str, Any], inventory: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Say from which ASDF, with which plain tree, a description was read, and by which software.

    Returns
    -------
    dict
        ``asdf`` (the file's name), ``created`` (by the inventory, or None), ``version`` (of its
        format, from the dataset's tag), ``written_by`` (the ASDF library that wrote it),
        ``read_by`` (versions of dkist_virtual, dkist, asdf and gwcs) and ``date`` (now, ISO 8601,
        UTC).
    """
    record = inventory or {}
    created = record.get("createDate") or record.get("headerDataUnitCreationDate")
    if created is None and "inversion" in tree and (made := record.get("created")) is not None:
        created = str(made)  # a Time
    library = tree.get("asdf_library") or {}
    return {
        "asdf": path.name,
        "created": created,
        "version": tag_of(tree.get("dataset", tree.get("inversion"))).rpartition("/")[2] or None,
        "written_by": " ".join(str(library[key]) for key in ("name", "version") if key in library),
        "read_by": software(),
        "date": utc_now(),
    }


def made_from(origin: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """Return name and date of the ASDF that a store was made from, and the version of its form."""
    return str(origin.get("asdf", "?")), origin.get("created"), origin.get("version")


def software() -> dict[str, str]:
    """Give the versions of the packages that read an ASDF of a dataset."""
    others = {package: version(package) for package in ("dkist", "asdf", "gwcs")}
    return {"dkist_virtual": __version__, **others}


def write_description(
    description: Description, path: Path | str, summary: Summary | None = None
) -> None:
    """Write a description as ASDF, over what is there, and its summary, where there is one.

    ``source_history`` is the dataset's: ``history`` is ASDF's own, about this file.
    """
    import asdf

    # A mask is checked against the pixels when its dataset is opened.
    has_digest = all(tile.mask is None for tile in description.tiles)
    about = {"format_version": FORMAT_VERSION, "origin": description.origin}
    tree = {
        "dkist_virtual": {"digest": _outline_text(description, summary), **about}
        if has_digest
        else about,
        "grid": None if description.grid is None else list(description.grid),
        "tiles": [
            {
                "index": list(tile.index) if isinstance(tile.index, tuple) else tile.index,
                **{name: getattr(tile, name) for name in ("wcs", "unit", "mask", "meta")},
            }
            for tile in description.tiles
        ],
        "inventory": description.inventory,
        "meta": description.meta,
        "source_history": description.history,
    }
    if description.profiles_meta:
        tree["profiles_meta"] = description.profiles_meta
    # Files, not paths: asdf takes a path for a URI, which ends at a "#".
    with ignore_expected_warnings(), open(path, "wb") as file:
        if not has_digest:
            asdf.AsdfFile(tree).write_to(file)
            return
        buffer = io.BytesIO()
        asdf.AsdfFile(tree).write_to(buffer)
        file.write(_with_digest(buffer.getvalue()))


_DIGEST: Final = re.compile(rb"\n  digest: '?([0-9a-f]{64})(\{[^'\n]*\})'?\r?\n")
"""The digest, a SHA-256 of the file with zeros in its place, and the outline of what is in it."""

_HEAD: Final = 2**16
"""Bytes in which it is: before it there are the ASDF's extensions."""


def _outline_text(description: Description, summary: Summary | None) -> str:
    """Write, with a digest that is not known yet, what a dataset is made of before it is parsed."""
    # Without spaces, so that YAML keeps it in one line, and without what YAML would escape.
    outline: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "grid": description.grid,
        "tiles": description.indices,
    }
    if summary is not None:
        outline["summary"] = summary.to_json()
    text = json.dumps(outline, separators=(",", ":"))
    return "0" * 64 + text.replace(" ", r"\u0020").replace("'", r"\u0027")


def _with_digest(data: bytes) -> bytes:
    found = _DIGEST.search(data, 0, _HEAD)
    if found is None:  # then the file is parsed at once
        return data
    begin, end = found.span(1)
    return data[:begin] + _digest(data, begin).encode() + data[end:]


def _digest(data: bytes, begin: int) -> str:
    whole = memoryview(data)
    digest = hashlib.sha256(whole[:begin])
    digest.update(b"0" * 64)
    digest.update(whole[begin + 64 :])
    return digest.hexdigest()


def _outline(
    data: bytes,
) -> tuple[tuple[int, int] | None, tuple[Place, ...], Summary | None] | None:
    """Return grid, tiles and summary of a file that is as it was written; None for any other."""
    found = _DIGEST.search(data, 0, _HEAD)
    if found is None or _digest(data, found.start(1)) != found[1].decode():
        return None
    try:
        outline = json.loads(found[2])
        grid, indices = _pair(outline["grid"]), tuple(map(_place, outline["tiles"]))
        _check_places(grid, indices)
    except (DatasetError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    if outline.get("format_version") != FORMAT_VERSION:
        return None
    return grid, indices, Summary.from_json(outline.get("summary"))


def digest_in(head: bytes) -> str | None:
    """Find the digest that a file says it has, unchecked, in its first 64 kB; None without one."""
    found = _DIGEST.search(head, 0, _HEAD)
    return None if found is None else found[1].decode()


def read_description(file: Path | str | BinaryIO) -> Description | StoredDescription:
    """Read what `write_description` wrote, from a path or from an open file, which stays open.

    A file that is as it was written is read and not parsed yet: see `StoredDescription`.

    Raises `StoreCorruptError` where the file is missing, unreadable, or something else.
    """
    is_path = isinstance(file, (str, Path))
    name = str(file if is_path else getattr(file, "name", METADATA_NAME))
    try:
        with open_regular(file) if isinstance(file, (str, Path)) else nullcontext(file) as source:
            data = source.read()
    except OSError as error:
        raise StoreCorruptError(f"{name}: {error.strerror or error}; convert again") from error
    outline = _outline(data)
    return _parse(data, name) if outline is None else StoredDescription(data, name, *outline)


def _parse(data: bytes, name: str) -> Description:
    import asdf

    with _translate_errors(name):
        check_asdf(data, name)
        if b"strides" in data:
            check_strides(asdf.util.load_yaml(io.BytesIO(data), tagged=True))
        # Nothing may stay in the file: it is closed, and may be remote.
        with (
            ignore_expected_warnings(),
            asdf.open(io.BytesIO(data), lazy_load=False, memmap=False) as opened,
        ):
            return _description(opened.tree)


def read_plain(path: Path) -> dict[str, Any]:
    """Read the tree of a store's description as plain values, without making a WCS of it.

    Raises `StoreCorruptError` where the file is missing or unreadable.
    """
    import asdf

    with _translate_errors(str(path)), open_regular(path) as file:
        tree: dict[str, Any] = asdf.util.load_yaml(file)
        tree["dkist_virtual"]["origin"]["asdf"]
    return tree


@contextmanager
def _translate_errors(name: str) -> Iterator[None]:
    """Raise `StoreCorruptError` for whatever asdf, YAML and the extensions raise."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise StoreCorruptError(
            f"{name}: not the description of a dataset: {shorten(error)}; convert again"
        ) from error


def _description(tree: Mapping[str, Any]) -> Description:
    from astropy.units import Unit

    ours = tree["dkist_virtual"]
    if ours["format_version"] != FORMAT_VERSION:
        raise StoreCorruptError(
            f"format_version is {ours['format_version']!r}, expected {FORMAT_VERSION}"
        )
    tiles = []
    for tile in tree["tiles"]:
        wcs = tile["wcs"]
        if not hasattr(wcs, "world_axis_physical_types") and not hasattr(wcs, "low_level_wcs"):
            raise StoreCorruptError(
                f"the WCS of tile {tile['index']} is a {type(wcs).__name__}: it needs an ASDF "
                "extension that is not installed (dkist, gwcs)"
            )
        meta = dict(tile["meta"])
        # Other writers may put a plain text there.
        unit = None if tile["unit"] is None else Unit(tile["unit"])
        tiles.append(TileMeta(_place(tile["index"]), wcs, unit, tile["mask"], meta))
    inventory = tree["inventory"]
    return Description(
        grid=_pair(tree["grid"]),
        tiles=tuple(tiles),
        inventory=None if inventory is None else dict(inventory),
        meta=dict(tree["meta"]),
        history=tree["source_history"],
        origin=dict(ours["origin"]),
        profiles_meta=dict(tree.get("profiles_meta") or {}),
    )


def _place(value: Iterable[int] | str | None) -> Place:
    return value if isinstance(value, str) else _pair(value)


def _pair(value: Iterable[int] | None) -> tuple[int, int] | None:
    if value is None:
        return None
    i, j = value
    return int(i), int(j)


@contextmanager
def ignore_expected_warnings() -> Iterator[None]:
    """Ignore the warnings of asdf and dkist that say nothing about the dataset itself."""
    import asdf

    with warnings.catch_warnings():
        # "dubious year": the simulator dates its datasets in years of unknown leap seconds.
        warnings.filterwarnings("ignore", message=".*dubious year")
        # Another minor version of an extension wrote the file. What cannot be read raises anyway,
        # and dkist refuses files that are too new for it.
        warnings.simplefilter("ignore", asdf.exceptions.AsdfPackageVersionWarning)
        # dkist imports parfive, whose progress bar warns in a notebook without ipywidgets.
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield
