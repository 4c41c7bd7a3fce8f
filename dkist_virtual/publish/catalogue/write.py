"""Write ``catalogue.parquet`` for the stores of a directory; keep rows of unchanged ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

from dkist_virtual.datacenter.published.addresses import resolve_address
from dkist_virtual.datacenter.published.read import read_catalogue
from dkist_virtual.datacenter.published.table import COLUMNS, NAME, arrow_schema
from dkist_virtual.errors import (
    DatasetError,
    DKISTVirtualError,
    SearchError,
    StoreCorruptError,
    StoreMissingError,
    redacted,
)
from dkist_virtual.io.local_file import written_beside
from dkist_virtual.io.locks import open_locked
from dkist_virtual.publish.catalogue.intake_file import INTAKE_NAME, write_intake
from dkist_virtual.publish.catalogue.row import Row, make_row, row_id
from dkist_virtual.publish.catalogue.stac import DIRECTORY as STAC_DIRECTORY
from dkist_virtual.publish.catalogue.stac import write_stac
from dkist_virtual.publish.stores import pictures_in, stores_directory
from dkist_virtual.store.format.names import JSON_NAME, PARQUET_NAME
from dkist_virtual.text import counted, shorten, shows_progress

__all__ = ["Catalogue", "write_catalogue"]

ROW_GROUP: Final = 100_000

_FROM_RECORDS: Final = ("status", "embargoed", "embargo_end")

_Records: TypeAlias = "dict[str, Mapping[str, Any]]"


@dataclass(frozen=True)
class Catalogue:
    """What `write_catalogue` did.

    Attributes
    ----------
    path : str
        The file that was written.
    n_stores : int
        Rows of the catalogue.
    n_kept : int
        Of them those of stores that have not changed since the last time.
    failures : dict of str to str
        The name of each store that is not in the catalogue, and why.
    written : tuple of str
        Names of all files and directories that were written.
    notes : tuple of str
        What was left out, and how to have it.
    """

    path: str
    n_stores: int
    n_kept: int
    failures: dict[str, str] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        kept = f", {self.n_kept:,} of them unchanged" if self.n_kept else ""
        lines = [f"{self.path}: {self.n_stores:,} store{'s' * (self.n_stores != 1)}{kept}"]
        lines += self.notes
        if self.failures:
            lines.append(f"{counted(len(self.failures), 'store')} left out:")
            lines += [f"  {name}: {why}" for name, why in self.failures.items()]
        return "\n".join(lines)


def write_catalogue(
    stores: str | os.PathLike[str],
    *,
    records: Mapping[str, Mapping[str, Any]] | Iterable[Mapping[str, Any]] | None = None,
    stac: bool | None = None,
    intake: bool = True,
    progress: bool | None = None,
) -> Catalogue:
    """Write the catalogue of the stores in a directory.

    It is one table, ``catalogue.parquet`` in that directory, with a row for each store. `search`
    and `open_dataset` read it. Run it again after stores were added, changed or removed: rows of
    stores that are as before are kept. A store that cannot be read is left out and listed.

    For other software there are a static STAC collection, ``stac/collection.json``, and a catalogue
    of intake, ``intake.yaml``. All addresses are relative, so that the directory can be moved,
    copied, or served from any place.

    Parameters
    ----------
    stores : path
        A directory on this machine.
    records : list of dict, or dict of str to dict, optional
        The Data Center's records, with its keys such as ``datasetId`` and ``isEmbargoed``; or by
        the ID of the dataset. They are believed before the inventory that a store has: status and
        embargo are in no inventory. A catalogue with these is not written again without records,
        but for ``[]``, which leaves them out.
    stac : bool, optional
        Whether to write the STAC collection; by default where ``pystac`` is installed.
    intake : bool
        Whether to write the catalogue of intake; of more than 2,000 stores it is not written.
    progress : bool, optional
        Whether to show a bar; by default where stderr is a terminal.

    Returns
    -------
    Catalogue

    Raises
    ------
    StoreMissingError
        The directory does not exist.
    StoreError
        It is not on this machine.
    ImportError
        ``stac=True``, and ``pystac`` is not installed.
    ValueError
        The catalogue would lose status and embargo, because no `records` are given.

    Examples
    --------
    >>> print(dv.write_catalogue("stores/"))  # doctest: +SKIP
    >>> dv.search(instrument="VISP", catalogue="stores/")  # doctest: +SKIP
    """
    directory = _directory(stores)
    stac, notes = _with_stac(stac)
    known = _by_id(records)
    with _alone(directory):
        return _write_all(
            directory, known, stac, intake, notes, shows_progress(progress), records is None
        )


def _refuse_to_lose(path: Path, before: Mapping[str, Row], rows: Iterable[Row]) -> None:
    """Raise ValueError where records alone said a value: an embargo must not end by itself."""
    lost = [
        row["store"]
        for row in rows
        for was in [before.get(row["store"], {})]
        if any(row[key] is None and was.get(key) is not None for key in _FROM_RECORDS)
    ]
    if lost:
        raise ValueError(
            f"{path}: has status or embargo of {counted(len(lost), 'store')} (the first: "
            f"{lost[0]}), which the Data Center's records said, and no records are given: expected "
            "--records FILE (records=), or records=[] to leave them out. The catalogue stays as it "
            "was"
        )


def _write_all(
    directory: Path,
    known: _Records,
    stac: bool,
    intake: bool,
    notes: list[str],
    progress: bool,
    keeps_records: bool,
) -> Catalogue:
    before = _rows_before(directory)
    pictures = pictures_in(directory)
    names = sorted(_stores_in(directory))
    rows: list[Row] = []
    failures: dict[str, str] = {}
    unchanged: set[str] = set()
    n_kept = 0
    for name in _bar(names, progress):
        store = directory / name
        try:
            resolve_address(str(directory / NAME), name)
            name.encode()
            kept = _kept(store, before.get(name), known)
            row = _new_row(store, known) if kept is None else kept
        except UnicodeEncodeError:
            failures[redacted(name)] = "its name is not UTF-8: expected another name"
            continue
        except (DKISTVirtualError, OSError) as error:
            why = str(error) if isinstance(error, DKISTVirtualError) else shorten(error)
            failures[redacted(name)] = why
            continue
        made = row | {"store": name, "preview": pictures.get(row["dataset_id"])}
        rows.append(made)
        n_kept += kept is not None
        if made == kept:
            unchanged.add(name)
    rows.sort(key=lambda row: (row["dataset_id"] or "", row["store"]))
    path = directory / NAME
    if keeps_records:
        _refuse_to_lose(path, before, rows)
    written = [NAME]
    try:
        _write(path, rows)
        if stac and STAC_DIRECTORY in names:
            notes.append(f"{STAC_DIRECTORY}/: not written: a store has this name")
        elif stac:
            notes += write_stac(directory, rows, unchanged, progress=progress)
            written.append(f"{STAC_DIRECTORY}/")
        if intake:
            notes += write_intake(directory, rows)
            written += [INTAKE_NAME] * (directory / INTAKE_NAME).exists()
    except OSError as error:
        if isinstance(error, DKISTVirtualError):
            raise
        place = error.filename or directory
        raise DatasetError(f"{place}: cannot be written: {error.strerror or error}") from error
    return Catalogue(str(path), len(rows), n_kept, failures, tuple(written), tuple(notes))


def _with_stac(wanted: bool | None) -> tuple[bool, list[str]]:
    """Tell whether to write STAC, and what to say if it is not."""
    if wanted is False:
        return False, []
    if find_spec("pystac") is not None:
        return True, []
    install = "pystac is not installed: pip install 'dkist_virtual[catalogue]'"
    if wanted:
        raise ImportError(f"stac=True: {install}")
    return False, [f"{STAC_DIRECTORY}/: not written: {install}"]


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let one process of this machine write at a time; a killed one releases its lock."""
    try:
        lock = open_locked(directory / ".catalogue.lock", wait=True)
    except OSError as error:
        raise DatasetError(f"{directory}: cannot be written: {error.strerror or error}") from error
    assert lock is not None
    try:
        yield
    finally:
        os.close(lock)


def _directory(stores: str | os.PathLike[str]) -> Path:
    directory = stores_directory(stores, "a catalogue")
    if not directory.is_dir():
        raise StoreMissingError(f"{directory}: no such directory: expected one with stores")
    return directory


def _stores_in(directory: Path) -> list[str]:
    """List the names of the stores of a directory, without opening them."""
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.is_dir():
                continue
            if any(
                os.path.lexists(os.path.join(entry.path, name))
                for name in (JSON_NAME, PARQUET_NAME)
            ):
                found.append(entry.name)
    return found


def _by_id(records: Any) -> _Records:
    if records is None:
        return {}
    each: Sequence[Any] = list(records.values() if isinstance(records, Mapping) else records)
    keys = list(records) if isinstance(records, Mapping) else [None] * len(each)
    made: dict[str, Mapping[str, Any]] = {}
    for key, record in zip(keys, each, strict=True):
        if not isinstance(record, Mapping):
            raise TypeError(f"records: {record!r:.80}: expected a dict with the Data Center's keys")
        identity = record.get("datasetId", key)
        if not isinstance(identity, str) or identity in made:
            why = "twice" if identity in made else "expected text"
            raise ValueError(f"records: datasetId = {identity!r:.80}: {why}")
        made[identity] = record
    return made


def _rows_before(directory: Path) -> dict[str, Row]:
    """Read the rows of the catalogue that is there; none where it cannot be read."""
    try:
        before = read_catalogue(directory)
    except (StoreMissingError, StoreCorruptError, SearchError):
        return {}
    return {row["store"]: row for row in before.table.to_pylist()}


def _kept(store: Path, row: Row | None, known: Mapping[str, Any]) -> Row | None:
    """Return the row of a store that is as before; None of any other."""
    if row is None or row["row_id"] is None:
        return None
    return row if row_id(store, known.get(row["dataset_id"])) == row["row_id"] else None


def _new_row(store: Path, known: Mapping[str, Any]) -> Row:
    row = make_row(store)
    record = known.get(row["dataset_id"])
    return row if record is None else make_row(store, record)


def _bar(names: Sequence[str], shown: bool) -> Iterable[str]:
    from tqdm import tqdm

    return tqdm(names, desc="catalogue", unit="store", disable=not shown)


def _write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, in place of what was there; the file is whole at any time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = arrow_schema()
    columns = [pa.array([row[c.name] for row in rows], c.arrow) for c in COLUMNS]
    table = pa.Table.from_arrays(columns, schema=schema)
    with written_beside(path) as part:
        pq.write_table(
            table, part, compression="zstd", row_group_size=ROW_GROUP, write_page_checksum=True
        )
        os.chmod(part, 0o644)
