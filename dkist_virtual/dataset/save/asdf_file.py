"""Write a dataset to an ASDF of its own, as `dkist.save_dataset` does."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from dkist_virtual.dataset.save.files.part import part_of, refuse_existing, target_of
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning
from dkist_virtual.io.locations import is_local, local_path, shown
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asdf.extension import ExtensionManager

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.inversion import Inversion
    from dkist_virtual.dataset.mosaic import TiledDataset

__all__ = ["save_asdf", "save_dataset"]


def save_dataset(
    dataset: Dataset | TiledDataset | Inversion,
    asdf_path: str | os.PathLike[str],
    overwrite: bool = False,
) -> None:
    """Write a dataset, mosaic or inversion as an ASDF that dkist and this package open.

    No pixel is read. The file has WCS, headers, mask, unit and meta of the selection, and the
    names of its frames: put it into the directory of the frames, or open it with ``frames=``.

    Parameters
    ----------
    dataset : Dataset, TiledDataset or Inversion
        Sliced or not. Not one that was computed: its pixels are in no files.
    asdf_path : path
        A file on this machine. It is complete, or not there.
    overwrite : bool
        Whether to replace a file.

    Raises
    ------
    StoreExistsError
        The file exists; it is a `FileExistsError`, as dkist's.
    DatasetError
        The dataset is computed, or holds something that ASDF cannot express.

    Warns
    -----
    DKISTVirtualWarning
        An uncertainty, a psf, or coordinates that were added, are left behind.

    Examples
    --------
    >>> dv.save_dataset(ds[0, 10:20], "BKEWK/part.asdf")  # doctest: +SKIP
    """
    import asdf

    path = target_of(asdf_path, "asdf_path", "an ASDF is")
    refuse_existing(path, overwrite)
    file = asdf.AsdfFile()
    key, node = _node(dataset, file.extension_manager)
    tree: dict[str, Any] = {key: node}
    history = (dataset.meta or {}).get("history") or {}
    if entries := history.get("entries"):
        tree["history"] = {"entries": list(entries)}
    _write(path, tree, overwrite)


def save_asdf(
    dataset: Dataset | TiledDataset | Inversion,
    place: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = True,
    pixels: bool | None = None,
) -> None:
    """Write a dataset for `Dataset.save`: as `save_dataset` does, or with its pixels.

    Parameters
    ----------
    dataset : Dataset, TiledDataset or Inversion
    place : path
    overwrite, progress : bool
        As in `Dataset.save`.
    pixels : bool, optional
        Whether the pixels are in the file. By default those that were computed are; those of
        frames stay there.

    Raises
    ------
    DatasetError
        Pixels of a mosaic or inversion: an ASDF has those of one dataset.
    """
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.dataset.dataset import Dataset

    own = [dataset] if isinstance(dataset, Dataset) else list(getattr(dataset, "flat", []))
    stored = all(isinstance(one.pixels, VirtualArray) for one in own)
    if pixels is None:
        pixels = not stored
    if not pixels:
        save_dataset(dataset, place, overwrite)
        _warn_if_elsewhere(own, place)
        return
    if not isinstance(dataset, Dataset):
        raise DatasetError(
            "save to .asdf: an ASDF has the pixels of one dataset, and these are of several: save "
            "them as .zarr or .fits, or each tile in a file of its own"
        )
    from dkist_virtual.dataset.save.files.asdf_cube import save_asdf_cube

    save_asdf_cube(dataset, place, overwrite=overwrite, progress=progress)


def _warn_if_elsewhere(datasets: Sequence[Dataset], place: str | os.PathLike[str]) -> None:
    """Warn where an ASDF names frames that are not in its directory."""
    path = target_of(place)
    directory = os.path.realpath(os.path.dirname(path))
    for one in datasets:
        places = () if one.provenance is None else one.provenance.array.places.in_order
        there = [os.path.realpath(local_path(base)) for base in places if is_local(base)]
        if places and directory not in there:
            warnings.warn(
                f"{path}: names frames that are in {shown(places[0])}: put it there, or "
                "open it with frames=. A name with .virtual keeps where they are",
                DKISTVirtualWarning,
                stacklevel=5,
            )
            return


def _node(dataset: object, manager: ExtensionManager) -> tuple[str, Any]:
    """Return the key and the node of a dataset in the tree of an ASDF."""
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.level2.inversion import Inversion
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.save.level2_nodes import inversion_node
    from dkist_virtual.dataset.save.nodes import dataset_node, mosaic_node

    if isinstance(dataset, Inversion):
        return "inversion", inversion_node(dataset, manager, history=False)
    if isinstance(dataset, Dataset):
        return "dataset", dataset_node(dataset, manager, history=False)
    if isinstance(dataset, TiledDataset):
        return "dataset", mosaic_node(dataset, manager, history=False)
    raise TypeError(
        f"save_dataset of a {type(dataset).__module__}.{type(dataset).__name__}: expected a "
        "Dataset, TiledDataset or Inversion of this package: dkist.save_dataset saves those of "
        "dkist"
    )


def _write(path: str, tree: dict[str, Any], overwrite: bool) -> None:
    """Write a file beside its place, and rename it."""
    import asdf

    from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings

    try:
        # A file, not its path: asdf takes a path for a URI, which ends at a "#".
        with (
            part_of(path, overwrite=overwrite) as part,
            ignore_expected_warnings(),
            open(part, "wb") as file,
        ):
            asdf.AsdfFile(tree).write_to(file)
    except asdf.exceptions.ValidationError as error:
        raise DatasetError(
            f"{path}: dkist's form of a dataset does not allow this one: {shorten(error)}"
        ) from error
