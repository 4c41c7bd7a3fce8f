"""Tell whether a store was made of the very ASDF that an update is given.

Then there is nothing to update, and none of the packages that make a WCS has to be imported.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.io.local_file import open_regular
from dkist_virtual.store.format.dataset_asdf import (
    StoredDescription,
    read_description,
    read_plain,
    software,
)
from dkist_virtual.store.format.headers import HeaderFile
from dkist_virtual.store.format.names import HEADERS_NAME, METADATA_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from dkist_virtual.store.format.references import ReferenceSet

__all__ = ["is_made_of", "sha256_of"]

_PIECE: Final = 2**20


def is_made_of(asdf: Path, store: Path, references: ReferenceSet) -> bool:
    """Tell whether a conversion of an ASDF would write a store as it is, without a scan.

    That is so where the same software made it of a file of this name with the same bytes, all
    frames were found, and the store's own files are whole.
    """
    attributes = references.attributes
    if attributes.get("n_bytes") is None:
        return False
    try:
        description = read_description(store / METADATA_NAME)
        if not isinstance(description, StoredDescription) or description.summary is None:
            return False
        origin = read_plain(store / METADATA_NAME)["dkist_virtual"]["origin"]
        if (origin["asdf"], origin.get("read_by")) != (asdf.name, software()):
            return False
        with HeaderFile(store / HEADERS_NAME) as headers:
            if (headers.n_rows, headers.store_id) != (
                attributes.get("n_frames"), attributes.get("store_id")
            ):  # fmt: skip
                return False
        return bool(origin.get("sha256") == sha256_of(asdf))
    except (StoreCorruptError, OSError):  # the conversion says what is wrong
        return False


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
