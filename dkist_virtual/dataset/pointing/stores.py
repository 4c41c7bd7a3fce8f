"""Let a store remember what its pointing is corrected by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from dkist_virtual.errors import (
    DatasetError,
    LocationError,
    StoreCorruptError,
    StoreMissingError,
)
from dkist_virtual.io.locations import absolute, is_local, local_path, shown
from dkist_virtual.store.cubes.presence import ROOT_NAME
from dkist_virtual.store.format.names import METADATA_NAME
from dkist_virtual.store.pointing_json import remove_pointing, write_pointing

if TYPE_CHECKING:
    from dkist_virtual.cube.pointing import Pointing
    from dkist_virtual.cube.wavelengths.scale import WavelengthScale
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset

__all__ = ["corrections", "shift_store"]


def shift_store(
    store: str | os.PathLike[str],
    dx: Any = None,
    dy: Any = None,
    *,
    rotation: Any = None,
    scale: Any = None,
    center: Any = None,
    reset: bool = False,
) -> Dataset | TiledDataset:
    """Let a store remember a correction of its pointing, which follows those that it remembers.

    It is written into ``pointing.json`` in the store, and nothing else of the store changes.
    `dkist_virtual.open_dataset` applies it. Earlier versions of this package do not know that file,
    and open the store with the coordinates of its ASDF.

    Parameters
    ----------
    store : path
        On this machine.
    dx, dy, rotation, scale, center
        As in `Dataset.shift`.
    reset : bool
        Forget what the store remembers, first.

    Returns
    -------
    Dataset or TiledDataset
        The store, opened anew.

    Raises
    ------
    StoreMissingError
        There is no store.
    LocationError
        It is not on this machine.
    DatasetError
        The values do not fit the dataset, or it is an inversion, whose pointing is that of the
        dataset that it was made from.

    Examples
    --------
    >>> dv.shift_store("BKEWK.virtual", 3 * u.arcsec, -1.5 * u.arcsec)  # doctest: +SKIP
    >>> dv.shift_store("BKEWK.virtual", reset=True)  # doctest: +SKIP
    """
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.open import open_dataset

    place = absolute(store, "store")
    if not is_local(place):
        raise LocationError(
            f"{shown(place)}: expected a store on this machine, which is written to"
        )
    directory = local_path(place)
    if not os.path.isfile(os.path.join(directory, METADATA_NAME)):
        raise StoreMissingError(f"{directory}: no store here: dkist-virtual convert makes one")
    if os.path.isfile(os.path.join(directory, ROOT_NAME)):
        raise DatasetError(
            f"{directory}: is a cube with pixels, whose WCS is corrected when it is saved: "
            "expected a store of references to frames. Correct the dataset, and save it under "
            "another name: dv.open_dataset(...).shift(...).save(...)"
        )
    given = {"rotation": rotation, "scale": scale, "center": center}
    is_given = any(value is not None for value in (dx, dy, *given.values()))
    if reset and not is_given:
        _forget_pointing(directory)
        return open_dataset(directory)
    opened = open_dataset(directory)
    if not isinstance(opened, Dataset | TiledDataset):
        raise DatasetError(
            f"{directory}: is a {type(opened).__name__}: shift the dataset that it was made from"
        )
    if reset:
        opened = opened.unshifted()
    moved = opened.shift(dx, dy, **given)
    _write(directory, moved)
    return open_dataset(directory)


def corrections(
    pointing: Pointing | None, scale: WavelengthScale | None
) -> dict[str, dict[str, Any]]:
    """Make what ``pointing.json`` says of an array; nothing where nothing is corrected."""
    found = {"pointing": pointing, "wavelengths": scale}
    return {name: one.to_document() for name, one in found.items() if one is not None}


def _forget_pointing(directory: str) -> None:
    """Take the corrections of the pointing away, also a file that cannot be read."""
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.dataset.open import open_dataset

    try:
        opened = open_dataset(directory)
    except StoreCorruptError:
        opened = None
    remove_pointing(directory)
    if isinstance(opened, Dataset | TiledDataset):
        _write(directory, opened.unshifted())


def _write(directory: str, opened: Dataset | TiledDataset) -> None:
    """Write what the tiles of a store are corrected by; no file where there is nothing."""
    tiles: list[Any] = list(opened.flat) if hasattr(opened, "flat") else [opened]
    sources = [tile.provenance for tile in tiles]
    found = {
        source.array.name: (
            source.tile.shape,
            corrections(source.tile.pointing, source.tile.scale),
        )
        for source in sources
        if source is not None
    }
    if any(one for _, one in found.values()):
        write_pointing(directory, {name: one for name, one in found.items() if one[1]})
