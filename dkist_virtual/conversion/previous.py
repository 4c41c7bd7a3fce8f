"""Read from an existing store what its conversion recorded about its frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.conversion.frame_index import FOUND, Known, Scan
from dkist_virtual.errors import StoreCorruptError, StoreMissingError
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import name_below
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME, read_plain
from dkist_virtual.store.format.headers import HEADERS_NAME, HeaderFile
from dkist_virtual.store.handle import StoreReader, references_in

if TYPE_CHECKING:
    from dkist_virtual.conversion.asdf.source import Source

__all__ = ["array_name", "expectations", "known_from_store"]


def array_name(index: tuple[int, int] | None) -> str:
    """The name of an array in a store, by the place of its tile in a mosaic."""
    return "data" if index is None else f"data_{index[0]}_{index[1]}"


def expectations(source: Source) -> dict[str, list[Any]]:
    """What an ASDF says of the frames of each array, and a scan held them against.

    Returns
    -------
    dict of str to list
        HDU, datatype and shape, for JSON.
    """
    return {
        array_name(part.index): [part.target, part.dtype.name, list(part.hdu_shape)]
        for part in source.frames
    }


def known_from_store(store: Path, source: Source) -> dict[str, Known]:
    """What a store knows of the frames of a dataset, by array.

    Of arrays whose frames were held against something else than this ASDF says, and of stores
    that cannot be read, nothing is known.
    """
    try:
        before = read_plain(store / METADATA_NAME)["dkist_virtual"]["origin"].get("expected")
        references = references_in(StoreReader(str(store), Fetcher()))
        with HeaderFile(store / HEADERS_NAME) as table:
            columns = {
                name: table.own(f"_{name}").filled(-1)
                for name in ("size", "offset", "length", "data", "head", "mtime", "datasum")
            }
            columns |= {name: table.own(f"_{name}").data for name in ("url", "etag")}
    except (StoreCorruptError, StoreMissingError):
        return {}
    if not isinstance(before, dict):
        return {}
    base = str(references.attributes.get("base"))
    known = {}
    row = 0
    now = expectations(source)
    for name, (metadata, _) in references.arrays.items():
        rows = slice(row, row + metadata.n_frames)
        row = rows.stop
        if name not in now or before.get(name) != now[name]:
            continue
        own = {key: column[rows] for key, column in columns.items()}
        found = np.flatnonzero(own["size"] >= 0)
        if not len(found):
            continue
        own = {key: column[found] for key, column in own.items()}
        names = [name_below(base, url) or url for url in own["url"]]
        scan = Scan(
            np.full(len(found), FOUND, np.uint8),
            own["offset"],
            own["length"],
            own["data"],
            own["head"],
            own["size"],
            own["mtime"],
            own["datasum"],
            own["etag"],
            (),
            np.dtype(metadata.dtype).newbyteorder("="),
        )
        known[name] = Known(np.array(names, np.dtypes.StringDType()), scan)
    return known
