"""Name what is in a repository, and check the documents of its root and arrays.

The root group of a repository has the root attributes of a store, and arrays with the names of the
store's. Each chunk of these is a virtual reference to a frame. The group ``dkist_virtual`` has the
store's other files, each as an array of bytes in chunks of this repository. What they are, how
long, and the hash of each chunk are among the root attributes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits.frame_spec import CODEC_ID, RAW_CODEC_ID
from dkist_virtual.store.array_document import array_document
from dkist_virtual.store.format.names import (
    HEADERS_NAME,
    METADATA_NAME,
    POINTING_NAME,
    VERIFY_NAME,
)
from dkist_virtual.store.format.references import (
    ROOT_KEY,
    ArrayMetadata,
    groups_of,
    read_metadata,
    sha256,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dkist_virtual.store.format.references import Document

__all__ = [
    "FILES",
    "FILES_GROUP",
    "REQUIRED_FILES",
    "Layout",
    "StoredFile",
    "array_json",
    "file_json",
]

FILES_GROUP: Final = "dkist_virtual"
"""The group of the store's files."""

KEY: Final = "icechunk"
"""Where the root attributes say what is kept in the repository."""

VERSION: Final = 1

REQUIRED_FILES: Final = (METADATA_NAME, HEADERS_NAME)
"""Files that every repository has."""

FILES: Final = (*REQUIRED_FILES, POINTING_NAME, VERIFY_NAME)

PIECE: Final = 2**20
"""Bytes in a chunk of a file."""

MOST_PIECES: Final = 2**16
_HASH: Final = re.compile(r"[0-9a-f]{64}")
MOST_JSON: Final = 2**25
"""Bytes that a metadata document may have: a hash for each piece of the header table is in it."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Describe a file of the store that is kept in the repository.

    Parameters
    ----------
    size : int
        Bytes.
    hashes : tuple of str
        The SHA-256 of each piece of `PIECE` bytes; the last may be shorter.
    """

    size: int
    hashes: tuple[str, ...]

    def __post_init__(self) -> None:
        if type(self.size) is not int or not 0 < self.size <= MOST_PIECES * PIECE:
            raise ValueError(f"size = {self.size!r:.40}: expected a number of bytes")
        if len(self.hashes) != self.n_pieces or not all(
            isinstance(one, str) and _HASH.fullmatch(one) for one in self.hashes
        ):
            raise ValueError(f"expected {self.n_pieces} hashes of its pieces")

    @property
    def n_pieces(self) -> int:
        """The number of its pieces."""
        return -(-self.size // PIECE)

    def check(self, number: int, data: bytes) -> bytes:
        """Return the bytes of a piece, without those that fill its chunk.

        Raises
        ------
        ValueError
            They are others than were written.
        """
        own = data[: min(PIECE, self.size - number * PIECE)]
        if sha256(own) != self.hashes[number]:
            raise ValueError(f"piece {number} of {self.n_pieces} is not as it was written")
        return own

    def to_json(self) -> dict[str, Any]:
        """Write it as values for JSON."""
        return {"size": self.size, "sha256": list(self.hashes)}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; raise ValueError, TypeError or KeyError for anything else."""
        return cls(given["size"], tuple(given["sha256"]))


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Say what a dataset in a repository consists of.

    Parameters
    ----------
    attributes : dict
        The root attributes, as of a store.
    arrays : dict of str to ArrayMetadata
    files : dict of str to StoredFile
    dataset_ids : tuple of (str or None, str or None)
        The IDs of dataset and product.
    content : str
        A hash of all that is written but for times: equal if there is nothing new to write.
    """

    attributes: Document
    arrays: dict[str, ArrayMetadata]
    files: dict[str, StoredFile]
    dataset_ids: tuple[str | None, str | None]
    content: str

    def root_json(self, others: Mapping[str, Any]) -> bytes:
        """Write the ``zarr.json`` of the root, with attributes that others have put there."""
        about = {
            "version": VERSION,
            "dataset_id": self.dataset_ids[0],
            "product_id": self.dataset_ids[1],
            "content": self.content,
            "files": {name: file.to_json() for name, file in self.files.items()},
        }
        root = {"zarr_format": 3, "node_type": "group"}
        attributes = {**others, ROOT_KEY: {**self.attributes, KEY: about}}
        return _json({**root, "attributes": attributes})

    @classmethod
    def read(cls, get: Callable[[str], bytes | None], place: str) -> Self | None:
        """Read the layout of a snapshot; None where it has no dataset.

        Parameters
        ----------
        get : callable
            Gives the bytes at a key; None where there are none.
        place : str
            For messages.

        Raises
        ------
        StoreCorruptError
            It is of another version, or contradicts itself.
        """
        text = get("zarr.json")
        if text is None:
            return None
        try:
            root = _document(text)["attributes"].get(ROOT_KEY)
            if root is None:
                return None
            about = root[KEY]
            if about["version"] != VERSION:
                raise StoreCorruptError(
                    f"its version is {about['version']!r:.40}: this version of dkist_virtual reads "
                    f"{VERSION}. Upgrade it"
                )
            attributes = {key: value for key, value in root.items() if key != KEY}
            documents: Document = {".zattrs": {ROOT_KEY: attributes}}
            for name in _names(attributes):
                found = get(f"{name}/zarr.json")
                if found is None:
                    raise StoreCorruptError(f"the array {name} is missing")
                zarray, own = _as_v2(name, _document(found))
                documents |= {f"{name}/.zarray": zarray, f"{name}/.zattrs": own}
            attributes, arrays = read_metadata(documents)
            files = {name: StoredFile.from_json(one) for name, one in about["files"].items()}
            if strange := set(files) - set(FILES):
                raise StoreCorruptError(f"it keeps {sorted(strange)!r:.80}, which no store has")
            if lacking := set(REQUIRED_FILES) - set(files):
                raise StoreCorruptError(f"it keeps no {sorted(lacking)[0]}")
            ids = about.get("dataset_id"), about.get("product_id")
            return cls(attributes, arrays, files, ids, str(about.get("content")))
        except StoreCorruptError as error:
            raise StoreCorruptError(f"{place}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise StoreCorruptError(
                f"{place}: is not a dataset of dkist_virtual in an Icechunk repository: "
                f"{type(error).__name__}: {error}"
            ) from error


def _names(attributes: Document) -> list[str]:
    """Give the names of the arrays that root attributes speak of."""
    from dkist_virtual.store.format.names import array_name

    groups = groups_of(attributes)
    if groups is not None:
        return groups.names
    tiles = attributes.get("tiles")
    if tiles is None:
        return ["data"]
    return [array_name((int(i), int(j))) for i, j in tiles["present"]]


def _document(text: bytes) -> Document:
    if len(text) > MOST_JSON:
        raise StoreCorruptError(f"a document of {len(text)} bytes: more than {MOST_JSON}")
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("zarr_format") != 3:
        raise StoreCorruptError("a document that is not of Zarr v3")
    return found


def array_json(metadata: ArrayMetadata) -> bytes:
    """Write the ``zarr.json`` of an array of frames."""
    encoding = {"name": "default", "configuration": {"separator": "/"}}  # Icechunk has no other
    return _json({**array_document(metadata), "chunk_key_encoding": encoding})


def file_json(file: StoredFile) -> bytes:
    """Write the ``zarr.json`` of the array of bytes that a file is kept as."""
    return _json(
        {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [file.size],
            "data_type": "uint8",
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [min(file.size, PIECE)]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "bytes"}],
            "fill_value": 0,
            "attributes": {},
        }
    )


def _json(document: Document) -> bytes:
    return json.dumps(document).encode()


def _as_v2(name: str, document: Document) -> tuple[Document, Document]:
    """Give ``.zarray`` and ``.zattrs`` of an array, which are checked as those of a store are."""
    (codec,) = document["codecs"]
    config = codec.get("configuration", {})
    if codec.get("name") == RAW_CODEC_ID:
        dtype, compressor = config["dtype"], None
    elif codec.get("name") == CODEC_ID:
        dtype, compressor = config["dtype"], {"id": CODEC_ID, **config}
    else:
        raise StoreCorruptError(
            f"{name}: codec {codec.get('name')!r:.80}: expected {CODEC_ID} or {RAW_CODEC_ID}"
        )
    if np.dtype(dtype).name != document["data_type"]:
        raise StoreCorruptError(
            f"{name}: is of {document['data_type']!r:.40}, and its codec makes {dtype!r:.40}"
        )
    zarray = {
        "zarr_format": 2,
        "shape": document["shape"],
        "chunks": document["chunk_grid"]["configuration"]["chunk_shape"],
        "dtype": dtype,
        "compressor": compressor,
    }
    return zarray, document.get("attributes", {})
