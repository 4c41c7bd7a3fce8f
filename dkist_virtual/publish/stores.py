"""Name what the directory of an archive's stores has in it, for catalogue and page alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from dkist_virtual.errors import StoreError
from dkist_virtual.io.locations import absolute, is_local, local_path, shown

__all__ = ["PREVIEWS", "SUFFIX", "name_of_store", "pictures_in", "stores_directory"]

SUFFIX: Final = ".virtual"
"""How the names of stores end."""

PREVIEWS: Final = "previews"
"""The directory of pictures beside the stores, each with the ID of its dataset as name."""


def stores_directory(stores: str | os.PathLike[str], what: str) -> Path:
    """Make the path of a directory of stores absolute.

    Parameters
    ----------
    stores : path
    what : str
        What is written there, for the message.

    Raises
    ------
    StoreError
        It is not on this machine.
    """
    place = absolute(stores, "stores")
    if not is_local(place):
        raise StoreError(
            f"stores = {shown(place)!r}: {what} is written on this machine: expected a directory "
            "here. Write it beside the stores, and copy all of them"
        )
    return Path(local_path(place))


def pictures_in(directory: Path) -> dict[str, str]:
    """Find the previews of datasets, by ID: their places relative to the directory."""
    found: dict[str, str] = {}
    try:
        names = sorted(os.listdir(directory / PREVIEWS))
    except OSError:
        return {}
    for name in names:
        stem, end = os.path.splitext(name)
        if end in (".webp", ".png"):  # sorted: a .webp wins
            found[stem] = f"{PREVIEWS}/{name}"
    return found


def name_of_store(address: str) -> str:
    """Return the name of a store in a catalogue, without its directory and suffix."""
    return address.rstrip("/").rpartition("/")[2].removesuffix(SUFFIX)
