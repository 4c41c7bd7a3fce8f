"""Define `Inversion` and `Profiles`: level 2 quantities, and the profiles they were found from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from dkist_virtual.dataset.dataset import Dataset
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.level2.alignment import shared_index
from dkist_virtual.dataset.level2.collection import AlignedDatasets, aligned_names, misaligned_error
from dkist_virtual.dataset.level2.overview import InversionOverview, MemberText
from dkist_virtual.dataset.loader import FromASDF, Opened
from dkist_virtual.dataset.provenance import FrameHeaders
from dkist_virtual.dataset.save.savable import Savable
from dkist_virtual.dataset.summary import axis_names
from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.references import groups_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import EllipsisType

    from matplotlib.figure import Figure

    from dkist_virtual.cube.selection import BasicIndex
    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.io.download.download import Downloaded
    from dkist_virtual.store.format.dataset_asdf import Description, StoredDescription
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = ["Inversion", "Profiles"]


class Profiles(AlignedDatasets):
    """The observed profiles that an inversion was made from, and those that were fitted.

    ``profiles["NaID_orig"]`` is a `Dataset`; keys end in ``_orig`` and ``_fit``. Integers and
    slices select along the axes that are aligned, in all of them.

    Parameters
    ----------
    key_data_pairs : mapping, or sequence of (str, Dataset)
    aligned_axes : tuple of int, tuple of tuple of int, "all" or None
        As `ndcube.NDCollection` takes it.
    meta : dict, optional
        Of all of them together.
    """

    def plot(
        self,
        slice_index: int | slice | EllipsisType | Iterable[int | slice],
        figure: Figure | None = None,
        profiles: str | Iterable[str] = "all",
        **kwargs: Any,
    ) -> Figure:
        """Draw observed profiles as points and fitted ones as lines: a column for each line.

        There is a row for each Stokes parameter.

        Parameters
        ----------
        slice_index : int, slice or sequence of them
            Which profile, along the aligned axes: with one axis left beside Stokes.
        figure : matplotlib.figure.Figure, optional
            To draw in; by default pyplot's current one.
        profiles : str or sequence of str
            Which lines, such as ``"NaID"``; by default all.
        **kwargs
            What lines take.

        Raises
        ------
        DatasetError
            More than a wavelength axis is left.
        """
        from dkist_virtual.dataset.level2.panels import plot_profiles

        return plot_profiles(self, slice_index, figure, profiles, kwargs)


class Inversion(FromASDF, Savable, AlignedDatasets):
    """The physical quantities of a level 2 inversion, by their keys, with its profiles.

    ``inversion["temperature"]`` is a `Dataset`, ``inversion["temperature", "velocity"]`` a smaller
    inversion with the same profiles. Integers and slices, as in ``inversion[10:20, 5]``, select
    along the aligned axes, in all quantities; and in the profiles along those that both have.

    Parameters
    ----------
    *args
        key_data_pairs, aligned_axes and meta as in `Profiles`.
    profiles : Profiles, optional
    **kwargs
        The same by their names.
    """

    saved_as = (".asdf",)
    """The ends of the names that `save` takes."""

    def __init__(self, *args: Any, profiles: Profiles | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.profiles = profiles
        self._file_headers: FrameHeaders | None = None

    @classmethod
    def from_opened(cls, opened: Opened) -> Self:
        """Make the inversion of an open store or ASDF."""
        store = opened.handle.store
        groups = groups_of(store.references.attributes)
        if groups is None:
            raise DatasetError("is not an inversion: dv.open_dataset opens it")
        members = dict(zip(groups.names, opened.datasets(Dataset), strict=True))

        def pairs(names: Iterable[str]) -> Iterator[tuple[str, Dataset]]:
            for name in names:
                key = store.references.arrays[name][0].attributes.get("key", name)
                yield str(key), members[name]

        profiles = None
        if groups.profiles is not None:
            profiles = Profiles(
                pairs(groups.profiles),
                tuple(groups.profiles.values()),
                meta=_ProfilesMeta(opened.description),
            )
        axes = tuple(groups.quantities.values())
        return cls(pairs(groups.quantities), axes, meta=opened.meta(), profiles=profiles)

    # Selecting ------------------------------------------------------------------------------

    def _slice(self, index: BasicIndex) -> Self:
        sliced = super()._slice(index)
        if self.profiles is not None and self.profiles.aligned_axes is not None:
            here, there = aligned_names(self), aligned_names(self.profiles)
            self.profiles._check_aligned()
            theirs = dict(zip(there, self.profiles.aligned_dimensions, strict=True))
            for name, own in zip(here, self.aligned_dimensions, strict=True):
                if name and theirs.get(name, own) != own:
                    raise misaligned_error(
                        "One or more of the datasets in this Inversion do not match the rest: the "
                        f"quantities have {own} pixels along {name}, the profiles {theirs[name]}"
                    )
            sliced.profiles = self.profiles._slice(shared_index(here, index, there))
        return sliced

    def _part(
        self, pairs: list[tuple[str, Dataset]], axes: tuple[tuple[int, ...], ...] | None
    ) -> Self:
        part = super()._part(pairs, axes)
        part.profiles = self.profiles
        if self._file_headers is not None and self._file_headers.is_read:
            part._file_headers = part._new_file_headers()
            if part._file_headers is not None:
                part._file_headers.copy_rows(self._file_headers)
        return part

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "profiles": self.profiles, "_file_headers": self._file_headers}

    # What belongs to them -------------------------------------------------------------------

    def _members(self) -> Iterator[tuple[str, Dataset]]:
        yield from self.items()
        if self.profiles is not None:
            yield from self.profiles.items()

    @property
    def inventory(self) -> dict[str, Any] | None:
        """The Data Center's record of the inversion."""
        return (self.meta or {}).get("inventory")

    @property
    def files(self) -> Files:
        """The files of all quantities and profiles, each once: a file has a frame of each.

        Raises
        ------
        DatasetError
            A member was computed, and belongs to no files.
        """
        sources: list[Provenance] = []
        for key, ds in self._members():
            try:
                sources += ds.files.sources
            except DatasetError as error:
                raise DatasetError(f"{key!r}: {error}") from None
        return Files(tuple(sources), inventory=self.inventory).each_once()

    @property
    def headers(self) -> HeaderTable | None:
        """The headers of the files: one row for each file of the selection.

        The headers of a quantity's own images are ``inversion["temperature"].headers``; the
        table of all files is ``inversion.meta["headers"]``. None if the meta has no table, or if
        the first quantity was computed and is not of single frames.
        """
        if self._file_headers is None:
            self._file_headers = self._new_file_headers()
        return None if self._file_headers is None else self._file_headers.table()

    def _new_file_headers(self) -> FrameHeaders | None:
        from dkist_virtual.store.format.header_table import HeaderTable

        table = (self.meta or {}).get("headers")
        first = next(iter(self.values())).provenance
        if table is None or first is None or len(table) != first.array.metadata.n_frames:
            return None
        own = HeaderTable(table, copy=False)
        return FrameHeaders(replace(first, table=own, first_row=0))

    def download(self, path: str | os.PathLike[str], **options: Any) -> Downloaded | Transfer:
        """Download the files of the selection, each once, as `Dataset.download` does."""
        return self.files.download(path, **options)

    # Looking --------------------------------------------------------------------------------

    def plot(
        self,
        slice_index: int | slice | EllipsisType | Iterable[int | slice],
        figure: Figure | None = None,
        inversions: str | Iterable[str] = "all",
        **kwargs: Any,
    ) -> Figure:
        """Draw quantities, each in axes of its own: as images, or as lines.

        Parameters
        ----------
        slice_index : int, slice or sequence of them
            What to draw, along the aligned axes: one or two axes have to be left.
        figure : matplotlib.figure.Figure, optional
            To draw in; by default pyplot's current one.
        inversions : str or sequence of str
            Which quantities, by their keys; by default all.
        **kwargs
            What `Dataset.plot` takes.

        Raises
        ------
        DatasetError
            More than two axes are left.
        """
        from dkist_virtual.dataset.level2.panels import plot_quantities

        return plot_quantities(self, slice_index, figure, inversions, kwargs)

    def overview(self) -> InversionOverview:
        """Return what is shown in a notebook, as values."""
        from dkist_virtual.dataset.stored import file_facts
        from dkist_virtual.store.format.dataset_asdf import made_from

        origin = next((ds.provenance for _, ds in self._members() if ds.provenance), None)
        facts: dict[str, Any] = {}
        if all(ds.lineage.is_stored for _, ds in self._members()) and origin is not None:
            facts = file_facts(self.files)
            facts["made_from"] = made_from(origin.description.origin)
        inventory = self.inventory or {}
        profiles = () if self.profiles is None else tuple(self.profiles.items())
        return InversionOverview(
            inversion_id=inventory.get("inversionId"),
            quantities=tuple(_text_of(key, ds) for key, ds in self.items()),
            profiles=tuple(_text_of(key, ds) for key, ds in profiles),
            aligned_axes=tuple(aligned_names(self)) if self.aligned_axes else (),
            **facts,
        )

    def __str__(self) -> str:
        parts = [("Inversion", self)]
        if self.profiles is not None:
            parts.append(("Profiles", self.profiles))
        lines = []
        for title, group in parts:
            # Without ndcube's own title.
            said = AlignedDatasets.__str__(group).split("\n")[2:]
            lines += [title, "~" * len(title), *said, ""]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.overview().html()


def _text_of(key: str, ds: Dataset) -> MemberText:
    """Describe a quantity or profile."""
    names = axis_names(ds) or [f"axis_{axis}" for axis in range(len(ds.shape))]
    unit = None if ds.unit is None else ds.unit.to_string()
    return MemberText(key, ds.shape, str(ds.pixels.dtype), unit, tuple(names))


@dataclass(frozen=True, slots=True, eq=False)
class _ProfilesMeta:
    """The meta of the profiles of a store or ASDF, which is read when it is first used."""

    description: Description | StoredDescription

    def read(self) -> dict[str, Any]:
        """Read it."""
        return dict(self.description.profiles_meta)
