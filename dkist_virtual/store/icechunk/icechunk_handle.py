"""Open a dataset in a repository by its recipe, here or in another process.

The recipe names one snapshot, so that every process reads the same, whatever is committed since.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from dkist_virtual.errors import StoreCorruptError, StoreMissingError
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.locations import shown
from dkist_virtual.store.format.references import ReferenceSet
from dkist_virtual.store.handle import OpenStore, StoreHandle
from dkist_virtual.store.icechunk.address import RepositoryAddress
from dkist_virtual.store.icechunk.frames import HeaderFrames
from dkist_virtual.store.icechunk.layout import Layout
from dkist_virtual.store.icechunk.references_check import check_references
from dkist_virtual.store.icechunk.repository import OpenSnapshot, open_session
from dkist_virtual.store.icechunk.snapshot_files import SnapshotReader, bytes_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    import icechunk

    from dkist_virtual.store.format.headers import HeaderFile
    from dkist_virtual.store.read_options import ReadOptions
    from dkist_virtual.store.reader import StoreReader

__all__ = ["IcechunkHandle", "OpenIcechunk", "layout_of"]


def layout_of(session: icechunk.Session, address: RepositoryAddress) -> Layout | None:
    """Read what is in a snapshot; None where it has no dataset."""
    return Layout.read(lambda key: bytes_at(session, key, address), shown(address.repository))


@dataclass(frozen=True)
class IcechunkHandle(StoreHandle):
    """Say how to open a dataset in a repository: the recipe, which pickles.

    Attributes
    ----------
    opened : OpenIcechunk
        The snapshot that is open in this process.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "downloads", tuple(self.downloads))
        object.__setattr__(self, "opened", OpenIcechunk(self))

    @classmethod
    def at(cls, address: RepositoryAddress, options: ReadOptions) -> Self:
        """Open the snapshot that is chosen now.

        Raises
        ------
        StoreMissingError
            There is no such repository, branch, tag or snapshot, or no dataset in it.
        StoreError
            It cannot be read.
        """
        if options.allow_local is None and address.is_local:
            # As a store on this machine may.
            options = replace(options, allow_local=True)
        snapshot = open_session(address, options.fetcher())
        handle = cls(str(snapshot.address), None, options)
        assert isinstance(handle.opened, OpenIcechunk)
        handle.opened.snapshot = snapshot
        return handle

    @property
    def label(self) -> str:
        """The place of the dataset, with its snapshot."""
        return str(self.url)

    def __reduce__(self) -> tuple[object, ...]:
        opened = self.opened
        return IcechunkHandle, (
            self.url, None, self.options, opened.downloads, opened.identity,
            tuple(opened.moved.items()),
        )  # fmt: skip


@open_in_forks
class OpenIcechunk(OpenStore):
    """A snapshot that is open in this process: what is in it is read when it is first needed.

    Attributes
    ----------
    address : RepositoryAddress
    """

    def __init__(self, recipe: StoreHandle) -> None:
        super().__init__(recipe)
        assert recipe.url is not None
        self.address = RepositoryAddress.of(recipe.url)
        self._reader = None

    @cached_property
    def snapshot(self) -> OpenSnapshot:
        """The snapshot as Icechunk reads it."""
        return open_session(self.address, self.fetcher)

    @cached_property
    def layout(self) -> Layout:
        """What is in the snapshot.

        Raises
        ------
        StoreMissingError
            It has no dataset.
        StoreCorruptError
            It is of another version, or contradicts itself.
        """
        found = layout_of(self.snapshot.session, self.address)
        if found is None:
            raise StoreMissingError(
                f"{shown(self.address.repository)}: {self.address.chosen} of this Icechunk "
                "repository has no dataset of dkist_virtual. dkist-virtual icechunk writes one"
            )
        return found

    @property
    def reader(self) -> StoreReader:
        """What reads the files that are kept in the snapshot."""
        with self._lock:
            if self._reader is None:
                place = self.address.repository
                self._reader = SnapshotReader(
                    place, self.fetcher, {}, self.snapshot.session, self.address, self.layout.files
                )
            return self._reader

    def read_ahead(self, names: Iterable[str]) -> StoreReader:  # noqa: ARG002
        """Read the references."""
        self.references()
        return self.reader

    def references(self) -> ReferenceSet:
        """Describe the arrays; where their frames are is read from the header table."""
        with self._lock:
            if self._references is None:
                arrays = self.layout.arrays
                lengths = [metadata.n_frames for metadata in arrays.values()]
                rows = itertools.accumulate(lengths, initial=0)
                self._references = ReferenceSet(
                    self.layout.attributes,
                    {
                        name: (metadata, HeaderFrames(self._file, row, metadata))
                        for (name, metadata), row in zip(arrays.items(), rows, strict=False)
                    },
                    self.address.snapshot,
                )
                self.identity = self._references.identity
                if self.snapshot.store_id != self.layout.attributes.get("store_id"):
                    self.check_references()
            return self._references

    def check_references(self) -> None:
        """Compare the references of Icechunk with those that are read here.

        That is done where the last commit is not one of ours, and in a verification.

        Raises
        ------
        StoreCorruptError
            They differ.
        """
        check_references(self.snapshot.session, self.references(), self.address)

    def _file(self) -> HeaderFile:
        return self.header_file

    def _refuse_other(self, file: HeaderFile) -> None:
        """Refuse a header table of other references."""
        if file.store_id != self.layout.attributes.get("store_id"):
            raise StoreCorruptError(
                f"{shown(file.name)}: is of another store than the repository says: write the "
                "dataset again"
            )
