"""Cut the arrays, references and scan results of a store down to the frames of a selection.

An array keeps whole frames: of its frame axes the pixels that are selected, of a frame's own axes
all. What is selected of these, and which axes were dropped, is its ``subslice``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.conversion.references import identifiers
from dkist_virtual.errors import DatasetError
from dkist_virtual.io.locations import is_local, last_name, name_below, shown
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.format.frame_index import COLUMNS, FOUND, FrameIndex
from dkist_virtual.store.format.names import array_name
from dkist_virtual.store.format.references import (
    FORMAT_VERSION,
    STRINGS,
    ArrayMetadata,
    FrameColumns,
    FrameTable,
    ReferenceSet,
)
from dkist_virtual.store.relative.write import make_relative

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.store.format.names import Place
    from dkist_virtual.store.frame_locations import FrameLocations

__all__ = ["SavedArray", "references_to"]


@dataclass(frozen=True, slots=True, eq=False)
class SavedArray:
    """An array of the store of a selection.

    Parameters
    ----------
    index : Place
        Its place in a mosaic.
    metadata : ArrayMetadata
    frames : FrameColumns
        Where its frames are, by the places that they are read from now.
    names : ndarray of StringDType
        Their names relative to such a place.
    scan : FrameIndex
        What is known of their files.
    bases : tuple of str
        The directories and URLs that names may be relative to, the likeliest first.
    """

    index: Place
    metadata: ArrayMetadata
    frames: FrameColumns
    names: NDArray[Any]
    scan: FrameIndex
    bases: tuple[str, ...]

    @classmethod
    def of(cls, ds: Dataset, index: Place) -> SavedArray:
        """Cut the array that a dataset's pixels are of.

        Raises
        ------
        DatasetError
            A frame may be in several places, of which a reference names one.
        FrameRefusedError
            The store may not refer to the place of a frame.
        """
        origin = ds.provenance
        assert origin is not None
        array, places = origin.array, origin.array.places
        before = array.frames()
        elsewhere = bool(places.named or places.downloads)
        # Also where they stay: a store on this machine may name files that this one may not.
        urls = _pinned(places, before.urls)
        frames = FrameColumns(urls, before.offsets, before.lengths)
        names = np.array([places.name(url) if url else "" for url in before.urls], STRINGS)
        scan = _scan_of(origin)
        moved = urls != before.urls
        # A copy has a time and an ETag of its own.
        scan["mtime"][moved], scan["etag"][moved] = -1, None
        bases = (*reversed(places.in_order), places.base) if elsewhere else (places.base,)
        for base in bases:
            check_no_secrets("frames", base)
        unit = None if ds.unit is None else ds.unit.to_string()
        return cls(index, _metadata(array, index, unit), frames, names, scan, bases)


def references_to(
    arrays: Sequence[SavedArray],
    dataset_id: str | None,
    attributes: dict[str, Any],
    store: Path | None = None,
) -> ReferenceSet:
    """Make the reference set of arrays.

    Parameters
    ----------
    arrays : sequence of SavedArray
    dataset_id : str or None
    attributes : dict
        What the root says of mosaics.
    store : pathlib.Path, optional
        The store that they are relative to.

    Raises
    ------
    DatasetError
        Frames in several places have names with directories.
    ValueError
        Frames are too far from the store that they are relative to.
    """
    tables: dict[str, tuple[ArrayMetadata, FrameTable]] = {
        array_name(array.index): (array.metadata, array.frames) for array in arrays
    }
    files: dict[str, int] = {}
    for array in arrays:
        files.update(zip(array.frames.urls.tolist(), array.scan["size"].tolist(), strict=True))
    sizes = list(files.values())
    heads = [array.scan.head_bytes or 0 for array in arrays]
    root = {
        "format_version": FORMAT_VERSION,
        "store_id": "",
        "base": _base_of(arrays),
        "n_frames": sum(array.metadata.n_frames for array in arrays),
        "n_bytes": None if min(sizes) < 0 else sum(sizes),
        "head_bytes": max(heads) or None,
        **attributes,
    }
    made = ReferenceSet(root, tables)
    if store is not None:
        made = make_relative(made, store)
    made.attributes["store_id"] = made.store_id(dataset_id)
    return made


def _base_of(arrays: Sequence[SavedArray]) -> str:
    """Find the place that all names are relative to."""
    for base in dict.fromkeys(base for array in arrays for base in array.bases):
        if all(
            (last_name(url) if (below := name_below(base, url)) is None else below) == name
            for array in arrays
            for url, name in zip(array.frames.urls.tolist(), array.names.tolist(), strict=True)
            if url
        ):
            return base
    bases = dict.fromkeys(shown(base) for array in arrays for base in array.bases)
    raise DatasetError(
        f"save: the frames are in {' and '.join(bases)}, and their names contain directories, "
        "which a store of one place for all names cannot say: open the dataset with frames= of "
        "a single place"
    )


def _pinned(places: FrameLocations, urls: NDArray[Any]) -> NDArray[Any]:
    """Find for each frame the one place that it is read from."""
    pinned = []
    for url in urls.tolist():
        found = places.candidates(url)
        here = [place for place in found if is_local(place)]
        if len(found) > 1 and not here:
            raise DatasetError(
                f"save: a frame may be at {' or at '.join(map(shown, found))}, and a reference "
                "names one place: open the dataset with frames= of one server, or download the "
                "frames first"
            )
        pinned.append((here or [*found, ""])[0])
    return np.array(pinned, STRINGS)


def _metadata(array: VirtualArray, index: Place, unit: str | None) -> ArrayMetadata:
    """Describe the array that has the frames of a selection."""
    stored, selected = array.metadata, array.selection
    n = stored.n_frame_axes
    lengths = tuple(len(pixels) if isinstance(pixels, range) else 1 for pixels in selected.axes[:n])
    cut: list[int | list[int | None]] = [
        0 if isinstance(pixels, int) else [None, None, None] for pixels in selected.axes[:n]
    ]
    for length, pixels in zip(stored.shape[n:], selected.axes[n:], strict=True):
        if isinstance(pixels, int):
            cut.append(pixels)
        elif pixels == range(length):
            cut.append([None, None, None])
        else:
            cut.append([pixels[0], pixels[-1] + 1, pixels.step])
    attributes = {key: value for key, value in stored.attributes.items() if key != "subslice"}
    attributes["unit"] = unit
    names = attributes.get("axis_names")
    if names and not isinstance(index, str):
        attributes["_ARRAY_DIMENSIONS"] = identifiers(names, index)
    if cut != [[None, None, None]] * len(cut):
        attributes["subslice"] = cut
    return replace(
        stored,
        shape=(*lengths, *stored.shape[n:]),
        attributes=attributes,
    )


def _scan_of(origin: Provenance) -> FrameIndex:
    """Read what a scan recorded about the files of the selected frames."""
    array = origin.array
    scan = FrameIndex.unknown(origin.n_frames, dtype=array.dtype)
    if array.handle.url is None:
        return scan
    file, rows = array.handle.opened.header_file, origin.rows()
    for column in COLUMNS:
        if not file.has(f"_{column}"):  # in the header table of an old store
            continue
        if column == "etag":
            own = file.own("_etag")[rows]
            scan["etag"][:] = own.data  # None where it is masked
        else:
            scan[column][:] = file.integers(f"_{column}", rows)
    scan["state"][scan["size"] >= 0] = FOUND
    return scan
