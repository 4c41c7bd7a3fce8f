"""Read from an existing store what its conversion recorded about its frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.errors import DatasetError, StoreCorruptError, StoreMissingError
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import name_below
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME, read_plain
from dkist_virtual.store.format.frame_index import COLUMNS, FOUND, FrameIndex
from dkist_virtual.store.format.headers import HEADERS_NAME, HeaderFile
from dkist_virtual.store.format.names import array_name, identity_in
from dkist_virtual.store.reader import StoreReader, references_in
from dkist_virtual.store.relative.resolve import is_relative

if TYPE_CHECKING:
    from dkist_virtual.conversion.asdf.source import Source

__all__ = ["check_same_dataset", "expectations", "known_from_store"]


def expectations(source: Source) -> dict[str, list[object]]:
    """Give HDU, datatype and shape of each array's frames in an ASDF, for JSON."""
    return {
        array_name(part.index): [part.target, part.dtype.name, list(part.hdu_shape)]
        for part in source.frames
    }


def check_same_dataset(store: Path, source: Source, label: str) -> None:
    """Raise `DatasetError` where an ASDF is of another dataset than a store, or of more than it."""
    about = read_plain(store / METADATA_NAME)
    if about["dkist_virtual"]["origin"].get("saved") is not None:
        raise DatasetError(
            f"{store}: is the store of a selection that was saved, and an ASDF is of all frames of "
            "a dataset: expected the store of a conversion. Update that, and save the selection "
            "again"
        )
    records = (about.get("inventory"), source.description.inventory)
    stored, found = map(identity_in, records)
    if stored != found:
        raise DatasetError(
            f"{label}: is of the dataset {found}, and {store} of {stored}: expected another "
            "ASDF of the same dataset. dkist-virtual convert makes a store of this one"
        )


def known_from_store(store: Path, source: Source) -> dict[str, FrameIndex]:
    """Read what a store recorded about the frames of a dataset, by array.

    Nothing is known of arrays whose frames were checked against something else than this ASDF
    says, and of stores that cannot be read.
    """
    try:
        before = read_plain(store / METADATA_NAME)["dkist_virtual"]["origin"].get("expected")
        references = references_in(StoreReader(str(store), Fetcher()))
        with HeaderFile(store / HEADERS_NAME) as table:
            columns = {name: table.own(f"_{name}") for name in ("url", *COLUMNS)}
    except (StoreCorruptError, StoreMissingError):
        return {}
    if not isinstance(before, dict):
        return {}
    base = str(references.attributes.get("base"))
    known = {}
    row = 0
    now = expectations(source)
    for name, (metadata, frames) in references.arrays.items():
        first = row
        rows = np.arange(row, row + metadata.n_frames)
        row += metadata.n_frames
        if name not in now or before.get(name) != now[name]:
            continue
        found = rows[columns["size"].filled(-1)[rows] >= 0]
        if not len(found):
            continue
        urls = columns["url"].data[found]
        if is_relative(references):  # `_url` is as it is in the store
            urls = frames.take(found - first).urls
        names = [name_below(base, url) or url for url in urls]
        index = FrameIndex.unknown(
            len(found),
            np.array(names, np.dtypes.StringDType()),
            np.dtype(metadata.dtype).newbyteorder("="),
        )
        index["state"][:] = FOUND
        for column in COLUMNS:
            own = columns[column]
            index[column][:] = (own.data if column == "etag" else own.filled(-1))[found]
        known[name] = index
    return known
