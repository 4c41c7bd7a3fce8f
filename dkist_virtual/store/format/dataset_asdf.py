"""Read and write ``dataset.asdf``: WCS, unit, mask, inventory and the rest of the meta.

A plain ASDF that ``asdf``, ``gwcs`` and ``dkist`` read alone; file list and header table, which
make up nearly all of a DKIST ASDF, stand elsewhere in the store.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

from dkist_virtual._version import __version__
from dkist_virtual.errors import DatasetError, StoreCorruptError
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.store.format.asdf_arrays import check_strides
from dkist_virtual.store.format.references import FORMAT_VERSION
from dkist_virtual.text import brief

__all__ = [
    "METADATA_NAME",
    "Description",
    "TileMeta",
    "expected_warnings",
    "origin_of",
    "read_description",
    "read_plain",
    "tag_of",
    "write_description",
]


METADATA_NAME: Final = "dataset.asdf"
"""The description's name in a store."""


@dataclass(frozen=True, eq=False)
class TileMeta:
    """What belongs to one array of the dataset and is neither pixels nor headers.

    Parameters
    ----------
    index : tuple of int, optional
        The place in dkist's array of tiles; None when the dataset is no mosaic.
    wcs : gwcs.WCS or astropy.wcs.wcsapi.HighLevelWCSWrapper
        The WCS after dkist's own corrections of old versions. A wrapper, around a sliced gWCS,
        where the ASDF was saved from a cut of a dataset.
    unit : astropy.units.UnitBase, optional
        The unit of the pixels, where the ASDF says it.
    mask : numpy.ndarray of bool, optional
        The mask, in the shape that the ASDF gives it.
    meta : dict
        A tile's own meta. Empty when the dataset is no mosaic: it stands in `Description.meta`.
    """

    index: tuple[int, int] | None
    wcs: Any
    unit: Any
    mask: Any
    meta: dict[str, Any]

    @cached_property
    def wcs_hash(self) -> str:
        """SHA-256 of the WCS as ASDF writes it: the same in every process."""
        import asdf

        buffer = io.BytesIO()
        with expected_warnings():
            asdf.AsdfFile({"wcs": self.wcs}).write_to(buffer)
        # Before it stands which extensions wrote it, in an order that changes.
        _, _, written = buffer.getvalue().partition(b"\nwcs:")
        return hashlib.sha256(written).hexdigest()


@dataclass(frozen=True, eq=False)
class Description:
    """All that the ``dataset.asdf`` of a store holds.

    Parameters
    ----------
    grid : tuple of int, optional
        The shape of dkist's array of tiles (a mosaic cut to one row is ``(1, n)``); None when
        the dataset is no mosaic.
    tiles : tuple of TileMeta
        Those that are there, row-major; exactly one when the dataset is no mosaic.
    inventory : dict, optional
        The Data Center's record of the dataset.
    meta : dict
        The dataset's remaining meta: parameters, quality, input frames and so on.
    history : dict
        What ``dkist`` puts into ``meta["history"]``.
    origin : dict
        Where this came from: see `origin_of`.

    Raises
    ------
    DatasetError
        If tiles and grid contradict each other.
    """

    grid: tuple[int, int] | None
    tiles: tuple[TileMeta, ...]
    inventory: dict[str, Any] | None
    meta: dict[str, Any]
    history: dict[str, Any]
    origin: dict[str, Any]

    def __post_init__(self) -> None:
        indices = [tile.index for tile in self.tiles]
        if self.grid is None:
            if indices != [None]:
                raise DatasetError(f"expected one array without a place in a mosaic: {indices}")
            return
        places = list(itertools.product(*map(range, self.grid)))
        if not indices or indices != [place for place in places if place in indices]:
            raise DatasetError(
                f"expected tiles in row-major order within a mosaic of {self.grid}: {indices}"
            )


def tag_of(node: Any) -> str:
    """The YAML tag of a node of a tree that asdf did not convert; empty where it has none."""
    return str(getattr(node, "_tag", ""))  # asdf gives it by no public name


def origin_of(
    path: Path, tree: Mapping[str, Any], inventory: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Where a description came from.

    Parameters
    ----------
    path : pathlib.Path
        The dataset's ASDF.
    tree : mapping
        Its plain tree.
    inventory : mapping, optional
        As in `Description`.

    Returns
    -------
    dict
        ``asdf`` (the file's name), ``created`` (when the inventory says the dataset was made, or
        None), ``version`` (of its format, from the dataset's tag), ``written_by`` (the ASDF library
        that wrote it), ``read_by`` (versions of dkist_virtual, dkist, asdf and gwcs) and ``date``
        (now, ISO 8601, UTC).
    """
    record = inventory or {}
    library = tree.get("asdf_library") or {}
    return {
        "asdf": path.name,
        "created": record.get("createDate") or record.get("headerDataUnitCreationDate"),
        "version": tag_of(tree["dataset"]).rpartition("/")[2] or None,
        "written_by": " ".join(str(library[key]) for key in ("name", "version") if key in library),
        "read_by": {
            "dkist_virtual": __version__,
            **{package: version(package) for package in ("dkist", "asdf", "gwcs")},
        },
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_description(description: Description, path: Path | str) -> None:
    """Write a description as ASDF, replacing what stands there.

    Parameters
    ----------
    description : Description
    path : pathlib.Path or str
        Where to, on this machine.

    Notes
    -----
    The tree's keys are ``dkist_virtual`` (``format_version``, ``origin``), ``grid``, ``tiles``
    (a list of ``index``, ``wcs``, ``unit``, ``mask``, ``meta``), ``inventory``, ``meta`` and
    ``source_history``: ``history`` is ASDF's own, and tells of this file.
    """
    import asdf

    tree = {
        "dkist_virtual": {"format_version": FORMAT_VERSION, "origin": description.origin},
        "grid": None if description.grid is None else list(description.grid),
        "tiles": [
            {
                "index": None if tile.index is None else list(tile.index),
                "wcs": tile.wcs,
                "unit": tile.unit,
                "mask": tile.mask,
                "meta": tile.meta,
            }
            for tile in description.tiles
        ],
        "inventory": description.inventory,
        "meta": description.meta,
        "source_history": description.history,
    }
    # Files, not paths: asdf takes a path for a URI, which ends at a "#".
    with expected_warnings(), open(path, "wb") as file:
        asdf.AsdfFile(tree).write_to(file)


def read_description(file: Path | str | BinaryIO) -> Description:
    """Read what `write_description` wrote.

    Parameters
    ----------
    file : pathlib.Path, str or binary file
        A path on this machine, or a file open for reading, which stays open.

    Returns
    -------
    Description

    Raises
    ------
    StoreCorruptError
        If the file is missing or unreadable, or does not hold what it should.
    """
    import asdf

    from dkist_virtual.store.format.limits import check_asdf

    name = file if isinstance(file, (str, Path)) else getattr(file, "name", "dataset.asdf")
    if isinstance(file, (str, Path)):
        try:
            with open_regular(file) as opened_file:
                return read_description(opened_file)
        except OSError as error:
            raise StoreCorruptError(f"{name}: {error.strerror or error}; convert again") from error
    try:
        data = file.read()
        check_asdf(data, str(name))
        if b"strides" in data:
            check_strides(asdf.util.load_yaml(io.BytesIO(data), tagged=True))
        # Nothing may stay in the file: it is closed, and may be remote.
        with (
            expected_warnings(),
            asdf.open(io.BytesIO(data), lazy_load=False, memmap=False) as opened,
        ):
            return _description(opened.tree)
    except MemoryError:
        raise
    except Exception as error:
        # Whatever goes wrong in between, asdf's, YAML's and the extensions' errors say no
        # more to a caller than that this file cannot be used.
        raise StoreCorruptError(
            f"{name}: not the description of a dataset: {brief(error)}; convert again"
        ) from error


def read_plain(path: Path) -> dict[str, Any]:
    """The tree of a store's description as it stands in the file, no WCS made of it.

    Raises
    ------
    StoreCorruptError
        It is missing or unreadable.
    """
    import asdf

    try:
        with open_regular(path) as file:
            tree: dict[str, Any] = asdf.util.load_yaml(file)
            tree["dkist_virtual"]["origin"]["asdf"]
    except Exception as error:
        raise StoreCorruptError(
            f"{path}: not the description of a dataset: {brief(error)}; convert again"
        ) from error
    return tree


def _description(tree: Mapping[str, Any]) -> Description:
    ours = tree["dkist_virtual"]
    if ours["format_version"] != FORMAT_VERSION:
        raise StoreCorruptError(
            f"format_version is {ours['format_version']!r}, expected {FORMAT_VERSION}"
        )
    tiles = []
    for tile in tree["tiles"]:
        if not hasattr(tile["wcs"], "world_axis_physical_types") and not hasattr(
            tile["wcs"], "low_level_wcs"
        ):
            raise StoreCorruptError(
                f"the WCS of tile {tile['index']} is a {type(tile['wcs']).__name__}: it needs an "
                "ASDF extension that is not installed (dkist, gwcs)"
            )
        tiles.append(
            TileMeta(
                _pair(tile["index"]), tile["wcs"], tile["unit"], tile["mask"], dict(tile["meta"])
            )
        )
    inventory = tree["inventory"]
    return Description(
        grid=_pair(tree["grid"]),
        tiles=tuple(tiles),
        inventory=None if inventory is None else dict(inventory),
        meta=dict(tree["meta"]),
        history=tree["source_history"],
        origin=dict(ours["origin"]),
    )


def _pair(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    i, j = value
    return int(i), int(j)


@contextmanager
def expected_warnings() -> Iterator[None]:
    """Ignore the warnings of asdf and dkist that say nothing about the dataset itself."""
    import asdf

    with warnings.catch_warnings():
        # "dubious year": the simulator dates its datasets in years of unknown leap seconds.
        warnings.filterwarnings("ignore", message=".*dubious year")
        # Another minor version of an extension wrote the file. What cannot be read fails by
        # itself, and dkist refuses files that are too new for it.
        warnings.simplefilter("ignore", asdf.exceptions.AsdfPackageVersionWarning)
        # dkist imports parfive, whose progress bar warns in a notebook without ipywidgets.
        warnings.filterwarnings("ignore", message="IProgress not found")
        yield
