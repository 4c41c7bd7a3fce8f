"""Update a store from a newer ASDF of its dataset, without scanning the frames again."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from dkist_virtual.conversion.asdf.locate import asdf_on_disk
from dkist_virtual.conversion.asdf.source import read_source
from dkist_virtual.conversion.convert import Work, summary
from dkist_virtual.conversion.previous import known_from_store
from dkist_virtual.conversion.staging import place_for, refuse_existing
from dkist_virtual.errors import DatasetError, StoreMissingError
from dkist_virtual.io.fetcher import Fetcher, absolute
from dkist_virtual.store.format.dataset_asdf import METADATA_NAME, expected_warnings, read_plain
from dkist_virtual.store.format.references import PARQUET_NAME
from dkist_virtual.store.handle import StoreReader, references_in

if TYPE_CHECKING:
    from dkist_virtual.conversion.convert import Conversion
    from dkist_virtual.conversion.scan import ScanMode

__all__ = ["update"]


def update(
    store: str | os.PathLike[str],
    asdf: str | os.PathLike[str],
    *,
    frames: str | os.PathLike[str] | None = None,
    scan: ScanMode | None = None,
    progress: bool | None = None,
    workers: int | None = None,
    client: Any = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
) -> Conversion:
    """Take over WCS, headers, inventory and the order of frames from a newer ASDF of a dataset.

    The Data Center mends metadata in a new ASDF under the same dataset ID, and the frames stay.
    Frames that the store knows by their names are not looked at; those that it does not know, or
    of which the ASDF now says another type or shape, are scanned.

    Parameters
    ----------
    store : path
        On this machine. It is replaced once the new one is complete.
    asdf : path or URL
        The newer ASDF, or a directory with one.
    frames : path or URL, optional
        Where frames that the store does not know are scanned. By default where it says that
        frames are.
    scan : {"auto", "always", "never"}, optional
        As in `convert`, for those. By default "auto", and "never" where the store was made without
        a scan.
    progress, workers, client, storage_options
        As in `convert`.

    Returns
    -------
    Conversion

    Raises
    ------
    StoreMissingError
        There is no store.
    DatasetError
        The ASDF is of another dataset.
    FrameError
        As in `convert`. The store stays as it was.
    """
    with expected_warnings():  # takes seconds, which do not belong to the time that is printed
        import dkist  # noqa: F401

    began = time.perf_counter()
    if scan not in (None, "auto", "always", "never"):
        raise ValueError(f"scan = {scan!r}: expected 'auto', 'always' or 'never'")
    target = place_for(store)
    if not refuse_existing(target, overwrite=True):
        raise StoreMissingError(
            f"{target}: no store here. dkist-virtual convert makes one from a dataset's ASDF"
        )
    before = read_plain(target / METADATA_NAME)
    fetcher = Fetcher(storage_options or {})
    with asdf_on_disk(asdf, fetcher) as (path, _, others, said):
        source = read_source(path, said)
        records = (before.get("inventory"), source.description.inventory)
        ids = [(record or {}).get("datasetId") for record in records]
        if ids[0] != ids[1]:
            raise DatasetError(
                f"{said}: is of the dataset {ids[1]}, and {target} of {ids[0]}: expected another "
                "ASDF of the same dataset. dkist-virtual convert makes a store of this one"
            )
        attributes = references_in(StoreReader(str(target), Fetcher())).attributes
        base = str(attributes["base"])
        known = known_from_store(target, source)
        work = Work(
            source,
            fetcher,
            scanned_base=base if frames is None else absolute(frames, "frames"),
            stored_base=base,
            mode=scan or ("auto" if attributes.get("head_bytes") else "never"),
            known=known,
            trusted=True,
            as_parquet=(target / PARQUET_NAME).is_dir(),
            workers=workers,
            client=client,
            shown=sys.stderr.isatty() if progress is None else progress,
        )
        scans = work.run(target, overwrite=True)
    asdf_said = path if str(path) == said else said
    return summary(target, asdf_said, source, scans, began, tuple(others))
