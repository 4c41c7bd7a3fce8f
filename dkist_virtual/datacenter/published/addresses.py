"""Resolve the addresses in a catalogue, and refuse those that lead elsewhere.

An address is relative to the directory of the catalogue: then stores and catalogue can be moved,
copied, or served from any place. One that is absolute is that of a store on a server; the catalogue
of a server may not name files of the reader's machine.
"""

from __future__ import annotations

import os
from dataclasses import replace

from dkist_virtual.datacenter.published.table import NAME
from dkist_virtual.errors import FrameRefusedError, StoreCorruptError
from dkist_virtual.io.locations import Location, absolute, is_local, join, shown
from dkist_virtual.io.safety import check_reference, unsafe_name_in

__all__ = ["directory_of", "file_of", "resolve_address"]


def file_of(catalogue: str | os.PathLike[str]) -> str:
    """Return the absolute path or URL of a catalogue, given as such, or as its directory.

    Raises
    ------
    ValueError
        It is a URL with a password or a query, which would be printed with every address.
    """
    place = absolute(catalogue, "catalogue")
    location = Location.of(place)
    if location.has_secrets:
        raise ValueError(
            f"catalogue = {shown(place)!r} contains a password or a query, which would be printed "
            "with the address of every store: give credentials as storage_options"
        )
    return place if location.path.endswith(".parquet") else join(place, NAME)


def directory_of(file: str) -> str:
    """Return the directory that the addresses in a catalogue are relative to."""
    return str(replace(Location.of(file).parent, query=""))


def resolve_address(file: str, address: str) -> str:
    """Make an address in a catalogue absolute.

    Parameters
    ----------
    file : str
        Absolute path or URL of the catalogue.
    address : str
        As the catalogue has it.

    Raises
    ------
    StoreCorruptError
        It leads out of the directory of the catalogue, or is that of a place that a catalogue may
        not name.
    """
    directory = directory_of(file)
    if not is_local(address):
        try:
            check_reference(address, local=False)
            location = Location.of(address)
        except (FrameRefusedError, ValueError) as error:
            raise _refused(file, address, str(error)) from error
        if location.has_secrets:
            raise _refused(file, address, "it has a password or a query")
        return str(location.without_end_slash())
    reason = unsafe_name_in(address, directory)
    if reason:
        raise _refused(file, address, f"it {reason}")
    return join(directory, address)


def _refused(file: str, address: str, why: str) -> StoreCorruptError:
    return StoreCorruptError(
        f"{shown(file)}: column store: {shown(address)!r:.200}: {why}. Expected the name of a "
        "store below the directory of the catalogue, or the URL of one"
    )
