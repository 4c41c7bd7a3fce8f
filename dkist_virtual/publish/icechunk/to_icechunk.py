"""Commit a dataset to an Icechunk repository, if there is anything new."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dkist_virtual.errors import (
    DatasetError,
    StoreCorruptError,
    StoreError,
    StoreExistsError,
    StoreMissingError,
)
from dkist_virtual.io.locations import local_path, shown
from dkist_virtual.publish.icechunk.commit import is_as_written, remove_layout, write_layout
from dkist_virtual.publish.icechunk.containers import Containers
from dkist_virtual.publish.icechunk.prepare import prepare
from dkist_virtual.publish.icechunk.source import open_source
from dkist_virtual.store.format.frame_index import batches
from dkist_virtual.store.format.headers import ROW_GROUP
from dkist_virtual.store.icechunk.address import RepositoryAddress, is_repository
from dkist_virtual.store.icechunk.icechunk_handle import layout_of
from dkist_virtual.store.icechunk.layout import Layout
from dkist_virtual.store.icechunk.repository import (
    COMMIT_KEY,
    import_icechunk,
    open_repository,
    quiet,
    storage_of,
    translate_errors,
)
from dkist_virtual.store.read_options import ReadOptions
from dkist_virtual.text import counted, shows_progress

if TYPE_CHECKING:
    import icechunk

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.io.fetcher import Fetcher
    from dkist_virtual.publish.icechunk.prepare import Prepared
    from dkist_virtual.store.format.references import ReferenceSet
    from dkist_virtual.store.read_options import StorageOptions

__all__ = ["IcechunkCommit", "to_icechunk"]


@dataclass(frozen=True, slots=True)
class IcechunkCommit:
    """What was committed to a repository; its text is what the command prints.

    Attributes
    ----------
    repository : str
        The address, as `dkist_virtual.open_dataset` takes it.
    branch : str
    snapshot : str
        The ID of the snapshot that has the dataset.
    is_new : bool
        Whether there was something to commit.
    n_frames, n_absent, n_left_out : int
        All frames; those without a file; those with a file of unknown length, to which Icechunk
        cannot refer.
    containers : tuple of str
        The beginnings of URLs that a user of plain Zarr authorises Icechunk to read.
    """

    repository: str
    branch: str
    snapshot: str
    is_new: bool
    n_frames: int
    n_absent: int
    n_left_out: int
    containers: tuple[str, ...]

    def __str__(self) -> str:
        if not self.is_new:
            return f"{self.repository}: nothing is new since snapshot {self.snapshot}"
        line = (
            f"{self.repository}: snapshot {self.snapshot} on {self.branch}, "
            f"{counted(self.n_frames, 'frame')}"
        )
        if self.n_absent:
            line += f", {self.n_absent} absent"
        if self.n_left_out:
            line += f", {self.n_left_out} without a reference, as they were not scanned"
        return f"{line}\nFrames are read from {', '.join(self.containers) or 'nowhere'}"


def to_icechunk(
    dataset: str | os.PathLike[str] | Dataset | TiledDataset,
    repository: str | os.PathLike[str],
    *,
    branch: str = "main",
    message: str | None = None,
    partial: bool = False,
    storage_options: StorageOptions | None = None,
    progress: bool | None = None,
) -> IcechunkCommit:
    """Write a dataset into an Icechunk repository, as one commit.

    Its frames stay where they are: the arrays have virtual chunks, and any reader of Zarr with
    Icechunk and the codec of this package reads them. The rest of the dataset is kept beside them,
    and `open_dataset` gives it back. A repository has one dataset; what was committed before stays
    in its history.

    Parameters
    ----------
    dataset : path or URL, Dataset or TiledDataset
        A store, or an ASDF whose frames are scanned now; or an open dataset, cut or not, of which
        the selected frames are written.
    repository : path or URL
        A directory, which is made if need be, or ``s3://bucket/prefix``; with or without
        ``icechunk+`` in front.
    branch : str
        The branch to commit to.
    message : str, optional
        Of the commit.
    partial : bool
        Whether to leave out references to frames whose length is not known, since they were not
        there when the dataset was converted. Plain Zarr reads fill values in their place;
        `open_dataset` reads them where they are by then.
    storage_options : dict, optional
        A URL prefix, or a protocol, to fsspec's options for it: for the store, its frames and the
        repository. Credentials are never written; endpoint and region of a bucket are.
    progress : bool, optional
        Whether to show a bar. By default on a terminal only.

    Returns
    -------
    IcechunkCommit
        Its text says in a line what was done.

    Raises
    ------
    DatasetError
        The pixels are computed, or the repository has another dataset.
    StoreExistsError
        There is something else at that place, or somebody else is writing.
    StoreMissingError
        There is no such branch, or nothing to write.
    StoreError
        Frames were not scanned, or are where Icechunk cannot read them; somebody else committed in
        the meantime.

    Examples
    --------
    >>> dv.to_icechunk("BKEWK.virtual", "s3://bucket/BKEWK")  # doctest: +SKIP
    >>> ds = dv.open_dataset("icechunk+s3://bucket/BKEWK")  # doctest: +SKIP
    """
    import_icechunk()
    options = ReadOptions(storage_options=storage_options)
    if not isinstance(partial, bool):
        raise TypeError(f"partial = {partial!r}: expected True or False")
    address = _target(repository, branch)
    fetcher = options.fetcher()
    with (
        open_source(dataset, options, progress=progress) as handle,
        tempfile.TemporaryDirectory(prefix="dkist-virtual-") as directory,
    ):
        prepared = prepare(handle.opened, Path(directory))
        absent, left_out, containers = _survey(prepared.references)
        if left_out and not partial:
            n = sum(metadata.n_frames for metadata, _ in prepared.references.arrays.values())
            raise StoreError(
                f"{left_out} of {counted(n, 'frame')} were not scanned, and Icechunk refers to a "
                "frame only with its length: convert the dataset again where its frames can be "
                "reached; or leave these out with partial=True (--partial): plain Zarr then reads "
                "fill values in their place"
            )
        layout = _layout_of(prepared)
        with _alone(address), quiet():
            return _commit(
                address, fetcher, prepared, layout, containers,
                message=message, absent=absent, left_out=left_out,
                progress=shows_progress(progress),
            )  # fmt: skip


def _target(repository: str | os.PathLike[str], branch: str) -> RepositoryAddress:
    """Check where to write."""
    if not isinstance(branch, str) or not branch:
        raise ValueError(f"branch = {branch!r}: expected the name of a branch")
    given = RepositoryAddress.of(os.fspath(repository))
    if (given.branch, given.tag, given.snapshot) != (None, None, None):
        raise ValueError(
            f"{given}: expected a repository without a choice of a snapshot. branch= is the branch "
            "to commit to"
        )
    if given.place.lower().startswith(("http://", "https://")):
        raise StoreError(
            f"{shown(given.place)}: Icechunk writes no repository on a web server: expected a "
            "directory on this machine or s3://"
        )
    return RepositoryAddress(given.place, branch=branch)


def _survey(references: ReferenceSet) -> tuple[int, int, Containers]:
    """Count the frames without file, and those without length; find where the others are."""
    absent = left_out = 0
    containers = Containers(str(references.attributes.get("base", "")))
    for metadata, frames in references.arrays.values():
        for positions in batches(metadata.n_frames, ROW_GROUP):
            part = frames.take(positions)
            named = part.urls != ""
            absent += int((~named).sum())
            left_out += int((named & (part.offsets < 0)).sum())
            containers.add(np.where(part.offsets >= 0, part.urls, "").tolist())
    return absent, left_out, containers


def _layout_of(prepared: Prepared) -> Layout:
    record = prepared.tree.get("inventory") or {}
    ids = record.get("datasetId", record.get("inversionId")), record.get("productId")
    return Layout(
        prepared.references.attributes,
        {name: metadata for name, (metadata, _) in prepared.references.arrays.items()},
        {name: file for name, (file, _) in prepared.files.items()},
        ids,
        prepared.content,
    )


@contextmanager
def _alone(address: RepositoryAddress) -> Iterator[None]:
    """Keep other processes from writing to a repository on this machine, whose disk has no locks.

    A bucket refuses the second of two commits by itself.
    """
    if not address.is_local:
        yield
        return
    from dkist_virtual.conversion.staging import alone, raise_store_errors, work_directory

    target = Path(local_path(address.place))
    work = work_directory(target)
    with raise_store_errors(target), alone(work, target, "process is writing this repository"):
        try:
            yield
        finally:
            import shutil

            shutil.rmtree(work, ignore_errors=True)


def _commit(
    address: RepositoryAddress,
    fetcher: Fetcher,
    prepared: Prepared,
    layout: Layout,
    containers: Containers,
    *,
    message: str | None,
    absent: int,
    left_out: int,
    progress: bool,
) -> IcechunkCommit:
    """Write what is new into a repository, which is made if there is none."""
    from tqdm import tqdm

    icechunk = import_icechunk()
    n = sum(metadata.n_frames for metadata in layout.arrays.values())

    def result(snapshot: str, *, is_new: bool) -> IcechunkCommit:
        return IcechunkCommit(
            address.repository, address.branch or "main", snapshot, is_new,
            n, absent, left_out, containers.prefixes,
        )  # fmt: skip

    repository = _opened_or_created(address, fetcher, containers)
    with translate_errors(address):
        session = repository.writable_session(address.branch or "main")
        try:
            before = layout_of(session, address)
        except StoreCorruptError as error:
            raise StoreCorruptError(
                f"{error}. Nothing is written over what cannot be read: make a branch of an "
                "earlier snapshot and write there, with branch=; or write into a new repository"
            ) from error
        if before is not None:
            _refuse_other(address, before, layout)
            by = repository.lookup_snapshot(session.snapshot_id).metadata or {}
            ours = dict(by).get(COMMIT_KEY) == layout.attributes.get("store_id")
            if before.content == layout.content and (
                ours or is_as_written(session, address, before, layout, prepared.references)
            ):
                return result(session.snapshot_id, is_new=False)
            remove_layout(session, before)
        else:
            _refuse_strange(session, address)
        bar = tqdm(total=n, unit=" frames", desc="Writing references", disable=not progress)
        with bar if progress else nullcontext():
            write_layout(session, layout, prepared, containers, bar.update)
        try:
            snapshot = session.commit(
                message or f"dkist_virtual: {layout.dataset_ids[0] or 'a dataset'}, {n} frames",
                {COMMIT_KEY: str(layout.attributes.get("store_id"))},
            )
        except icechunk.ConflictError as error:
            raise StoreError(
                f"{shown(address.repository)}: somebody else committed to {address.chosen} in the "
                "meantime, and nothing was written: do the same again"
            ) from error
    return result(snapshot, is_new=True)


def _opened_or_created(
    address: RepositoryAddress, fetcher: Fetcher, containers: Containers
) -> icechunk.Repository:
    if address.is_local:
        path = Path(local_path(address.place))
        empty = not path.exists() or (path.is_dir() and not any(path.iterdir()))
        if not empty and not is_repository(str(path)):
            raise StoreExistsError(
                f"{path}: is not an Icechunk repository: expected one, or a new directory"
            )
    try:
        repository = open_repository(address, fetcher)
    except StoreMissingError:
        config = import_icechunk().RepositoryConfig.default()
        containers.configure(config, fetcher)
        with translate_errors(address):
            made: icechunk.Repository = import_icechunk().Repository.create(
                storage_of(address, fetcher), config
            )
            return made
    with translate_errors(address):
        config = repository.config
        if containers.configure(config, fetcher):
            repository = repository.reopen(config)
            repository.save_config()
        return repository


def _refuse_other(address: RepositoryAddress, before: Layout, now: Layout) -> None:
    """Refuse to put a dataset in the place of another one."""
    for one, other in zip(before.dataset_ids, now.dataset_ids, strict=True):
        if one is not None and one == other:
            return
    without_id = before.dataset_ids[0] is None and now.dataset_ids[0] is None
    if without_id and list(before.arrays) == list(now.arrays):
        return
    raise DatasetError(
        f"{shown(address.repository)}: has the dataset {before.dataset_ids[0]}, and this is "
        f"{now.dataset_ids[0]}: expected a repository for each dataset"
    )


def _refuse_strange(session: icechunk.Session, address: RepositoryAddress) -> None:
    """Refuse a repository with something else in it."""
    import zarr

    from dkist_virtual.store.icechunk.snapshot_files import bytes_at

    if bytes_at(session, "zarr.json", address) is None:
        return
    group = zarr.open_group(session.store, mode="r")
    if len(group) or dict(group.attrs):
        raise StoreExistsError(
            f"{shown(address.repository)}: has something else than a dataset of dkist_virtual on "
            f"{address.chosen}: expected a repository of its own"
        )
