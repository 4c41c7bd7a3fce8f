"""Describe and download the dataset of a store without its WCS.

The packages that make a WCS take seconds to import. An overview needs none of it where the store
has a summary, and a download needs none of it anyway.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from dkist_virtual.cube.axis_tables import axis_names
from dkist_virtual.cube.selection import full_index, single_pixel_error
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.overview import Overview
from dkist_virtual.errors import SelectionError
from dkist_virtual.io.locations import shown
from dkist_virtual.store.format.dataset_asdf import StoredDescription
from dkist_virtual.store.format.references import groups_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dkist_virtual.cube.pointing import Pointing
    from dkist_virtual.cube.saved.zarr_array import ZarrArray
    from dkist_virtual.cube.selection import BasicIndex, Index
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.cube.wavelengths.scale import WavelengthScale
    from dkist_virtual.datacenter.globus import Transfer
    from dkist_virtual.dataset.level2.overview import InversionOverview
    from dkist_virtual.dataset.loader import Opened
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.io.download.download import Downloaded
    from dkist_virtual.store.format.names import ArrayGroups
    from dkist_virtual.store.format.summary import Summary
    from dkist_virtual.store.handle import StoreHandle

__all__ = ["StoredDataset", "array_line", "file_facts", "pointing_lines", "stored_facts"]


@dataclass(frozen=True, eq=False)
class StoredDataset:
    """The dataset, mosaic or inversion of a store, as far as it is known without its WCS.

    Parameters
    ----------
    summary : Summary
    description : StoredDescription
        Which has not been parsed.
    sources : tuple of Provenance
        One; for a mosaic one per tile, for an inversion one per quantity and profile.
    """

    summary: Summary
    description: StoredDescription
    sources: tuple[Provenance, ...]

    @classmethod
    def of(cls, opened: Opened) -> Self | None:
        """Make it of an open store; None where a dataset has to be made to know as much."""
        description = opened.description
        if not isinstance(description, StoredDescription) or description.summary is None:
            return None
        sources = tuple(opened.provenances())
        if tuple(source.array.shape for source in sources) != description.summary.shapes:
            return None
        return cls(description.summary, description, sources)

    @property
    def names(self) -> dict[str, Any]:
        """The names of dataset and instrument, as the inventory has them."""
        return {
            "datasetId": self.summary.dataset_id,
            "instrumentName": self.summary.instrument,
        }

    @property
    def files(self) -> Files:
        """The files behind the selection, of all tiles or quantities, each once."""
        files = Files(self.sources)
        return files if self.groups is None else files.each_once()

    @property
    def groups(self) -> ArrayGroups | None:
        """Which arrays an inversion has; None of anything else."""
        return groups_of(self.sources[0].array.handle.store.references.attributes)

    def select(self, item: Index) -> Self:
        """Select from the dataset, or from every tile or quantity alike.

        As `Dataset`, `TiledDataset.slice_tiles` and `Inversion` do.
        """
        if self.groups is not None:
            return replace(self, sources=tuple(_select_aligned(self.groups, self.sources, item)))
        chosen = []
        for place, source in zip(self.description.indices, self.sources, strict=True):
            try:
                chosen.append(_select(source, item))
            except SelectionError as error:
                if not isinstance(place, tuple):
                    raise
                raise SelectionError(f"tile {list(place)}: {error}") from error
        return replace(self, sources=tuple(chosen))

    def download(self, path: str | os.PathLike[str], **options: Any) -> Downloaded | Transfer:
        """Download the frames of the selection, as `Dataset.download` does."""
        files = self.files
        if options.get("via") or options.get(
            "destination_endpoint"
        ):  # Globus asks for more than names
            files = replace(files, inventory=self.description.inventory)
        return files.download(path, **options)

    def overview(self) -> Overview | InversionOverview:
        """Return the overview of the dataset as it was opened."""
        if self.groups is not None:
            return self._of_inversion(self.groups)
        about, first = self.summary, self.sources[0].array
        shape = first.shape
        mosaic: dict[str, Any] = {}
        grid = self.description.grid
        if grid is not None:
            mosaic = {"grid": grid, "present": self.description.indices}
        return Overview(
            kind="Dataset" if grid is None else "TiledDataset",
            instrument=about.instrument,
            dataset_id=about.dataset_id,
            product_id=about.product_id,
            dtype=str(first.dtype),
            shape=shape,
            unit=about.unit,
            array=array_line(first),
            array_axes=tuple(zip(range(len(shape)), about.axis_names, shape, strict=True)),
            world_axes=tuple((axis, *text) for axis, text in enumerate(about.world_axes)),
            sky_axes=dict(about.sky_axes) or None,
            correlation=about.correlation,
            made_from=about.made_from,
            pointing=pointing_lines([source.tile.pointing for source in self.sources]),
            wavelengths=_said(self.sources[0].tile.scale),
            **stored_facts(self.sources),
            **mosaic,
        )

    def _of_inversion(self, groups: ArrayGroups) -> InversionOverview:
        from dkist_virtual.dataset.level2.overview import InversionOverview, MemberText

        members = [MemberText.of_stored(source.array) for source in self.sources]
        n = len(groups.quantities)
        axes = next(iter(groups.quantities.values()))
        return InversionOverview(
            inversion_id=self.summary.dataset_id,
            quantities=tuple(members[:n]),
            profiles=tuple(members[n:]),
            aligned_axes=tuple(members[0].axes[axis] for axis in axes),
            made_from=self.summary.made_from,
            **file_facts(self.files),
        )


def _said(scale: WavelengthScale | None) -> str | None:
    return None if scale is None else str(scale)


def pointing_lines(tiles: Sequence[Pointing | None]) -> tuple[str, ...]:
    """Describe what the pointing of a dataset is corrected by; of a mosaic, that of its tiles."""
    found = [() if one is None else one.lines() for one in tiles]
    if len(set(found)) > 1:
        return (f"values of their own for each of the {len(tiles)} tiles",)
    return found[0]


def _select_aligned(
    groups: ArrayGroups, sources: Sequence[Provenance], item: Index
) -> Iterator[Provenance]:
    """Select from the quantities of an inversion, and from the profiles what both have."""
    from dkist_virtual.dataset.level2.alignment import own_index, shared_index

    index: BasicIndex | None = None
    here: list[str] = []
    for (name, axes), source in zip(groups.axes.items(), sources, strict=True):
        all_names = axis_names(source.array.metadata, source.array.selection) or []
        there = [all_names[axis] for axis in axes] if all_names else [""] * len(axes)
        if index is None:
            index, here = full_index(item, len(axes)), there
        own = index if name in groups.quantities else shared_index(here, index, there)
        yield _select(source, own_index(len(source.array.shape), axes, own))


def _select(source: Provenance, item: Index) -> Provenance:
    selected = source.select(full_index(item, len(source.array.shape)))
    if not selected.array.shape:
        raise single_pixel_error(item)
    return selected


def stored_facts(sources: Sequence[Provenance]) -> dict[str, Any]:
    """Say for an overview where frames are, how many, and how large they are."""
    handles = _handles(sources)
    facts = file_facts(Files(tuple(sources)))
    n_frames, whole = facts.pop("n_files"), _total(handles, "n_frames")
    is_part = whole is not None and whole > n_frames
    return {
        "n_frames": n_frames,
        "total_frames": whole if is_part else None,
        "total_bytes": _total(handles, "n_bytes") if is_part else None,
        **facts,
    }


def file_facts(files: Files) -> dict[str, Any]:
    """Say for an overview where files are, how many, and how large they are."""
    # A mosaic made by hand may have tiles of several datasets, and a frame in several tiles.
    handles = _handles(files.sources)
    places = dict.fromkeys(place for one in handles for place in one.store.places.in_order)
    place, *further = map(shown, places)
    return {
        "n_files": len(files),
        "n_bytes": files.nbytes,
        "place": place,
        "further_places": tuple(further),
        "store": None if len(handles) > 1 else handles[0].label,
        "missing": handles[0].options.missing,
    }


def _handles(sources: Sequence[Provenance]) -> list[StoreHandle]:
    return list({id(source.array.handle): source.array.handle for source in sources}.values())


def _total(handles: Sequence[StoreHandle], name: str) -> int | None:
    """Add what the references of several stores say of their frames; None where one does not."""
    stated: list[Any] = [handle.store.references.attributes.get(name) for handle in handles]
    return None if None in stated else sum(stated)


def array_line(pixels: VirtualArray | ZarrArray) -> str:
    """Describe the dask array of a selection in one line, without building a graph."""
    sizes = pixels.dask_chunks()
    n = math.prod(map(len, sizes))
    chunk = tuple(max(axis) for axis in sizes)
    return f"dask.array, shape {pixels.shape}, {pixels.dtype}, {n} chunk{'s' * (n > 1)} of {chunk}"
