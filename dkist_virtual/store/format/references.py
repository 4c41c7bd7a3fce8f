"""Hold references as arrays of URL, offset and length; read and write kerchunk's JSON.

An array of the store has one chunk per frame. `ArrayMetadata` is what zarr needs to know of it,
`FrameTable` where its frames are: columns in C order of the chunks, never an object per chunk.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from dkist_virtual.errors import StoreCorruptError, StoreReplacedError
from dkist_virtual.fits.frame_spec import without_leading_axis
from dkist_virtual.fits.layout import BITPIX_DTYPES
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.locations import shown
from dkist_virtual.store.format.frame_index import batches
from dkist_virtual.store.format.limits import (
    MAX_FRAME_PIXELS,
    MAX_FRAMES,
    check_attributes,
    check_root,
    frame_limit,
)
from dkist_virtual.store.format.names import (
    JSON_NAME,
    PARQUET_NAME,
    ArrayGroups,
    array_name,
    is_array_name,
)
from dkist_virtual.store.frame_spec import SPECS, FrameSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = [
    "FORMAT_VERSION",
    "JSON_NAME",
    "PARQUET_NAME",
    "ROOT_KEY",
    "STRINGS",
    "WHOLE_FILE",
    "ArrayMetadata",
    "FrameColumns",
    "FrameTable",
    "ReferenceSet",
    "chunk_key",
    "groups_of",
    "identity_of",
    "parse_chunk_key",
    "read_json",
    "read_metadata",
    "replaced_error",
    "sha256",
    "tables_of",
    "translate_errors",
    "write_json",
]

FORMAT_VERSION: Final = 1
ROOT_KEY: Final = "dkist_virtual"
WHOLE_FILE: Final = -1
"""Offset and length of a reference to a file that was never scanned."""

Document: TypeAlias = dict[str, Any]
"""A JSON object."""

STRINGS: Final = np.dtypes.StringDType()
_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class FrameColumns:
    """Where frames are, one entry each.

    Attributes
    ----------
    urls : ndarray of StringDType
        Absolute; empty where the frame has no reference.
    offsets, lengths : ndarray of int64
        Byte range in the file; both -1 for the whole file.
    """

    urls: NDArray[Any]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not len(self.urls) == len(self.offsets) == len(self.lengths):
            raise StoreCorruptError("references: url, offset and length differ in number")
        ranged = self.offsets >= 0
        if (ranged != (self.lengths > 0)).any() or (self.offsets < WHOLE_FILE).any():
            raise StoreCorruptError("references: expected offset and length both, or neither")

    @classmethod
    def absent(cls, n: int) -> FrameColumns:
        """Make the columns of `n` frames without reference."""
        nowhere = np.full(n, WHOLE_FILE, np.int64)
        return cls(np.full(n, "", STRINGS), nowhere, nowhere.copy())

    def __len__(self) -> int:
        return len(self.urls)

    def take(self, positions: NDArray[np.int64]) -> FrameColumns:
        """Give the entries at some positions, in their order."""
        return FrameColumns(self.urls[positions], self.offsets[positions], self.lengths[positions])

    def row(self, position: int) -> tuple[str, int, int]:
        """Give one entry as Python values."""
        return self.urls[position], int(self.offsets[position]), int(self.lengths[position])

    def mark(self, positions: Callable[[], NDArray[np.int64]]) -> str:  # noqa: ARG002
        """Give nothing: these are part of the reference set's own identity."""
        return ""

    def rows(self) -> Iterator[tuple[str, int, int]]:
        """Give one entry after the other as Python values."""
        return zip(self.urls.tolist(), self.offsets.tolist(), self.lengths.tolist(), strict=True)


class FrameTable(Protocol):
    """Columns that may still be in files."""

    def __len__(self) -> int: ...

    def take(self, positions: NDArray[np.int64]) -> FrameColumns:
        """Give the entries at some positions, in their order."""
        ...

    def row(self, position: int) -> tuple[str, int, int]:
        """Give one entry as Python values: URL, offset and length."""
        ...

    def mark(self, positions: Callable[[], NDArray[np.int64]]) -> str:
        """Give a text that changes when a file that holds these entries is replaced."""
        ...


_FITS_TYPES: Final = tuple(BITPIX_DTYPES.values())


@dataclass(frozen=True, slots=True)
class ArrayMetadata:
    """An array of the store as its Zarr v2 metadata describe it.

    Parameters
    ----------
    shape, chunks : tuple of int
        Of the array, and of one frame in it: 1 for each frame axis, whole HDU axes.
    dtype : str
        As numpy writes it, byte order included.
    compressor : FrameSpec, optional
        None where the bytes are the pixels.
    attributes : dict
        The array's ``.zattrs``.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    compressor: FrameSpec | None
    attributes: Document

    def __post_init__(self) -> None:
        dtype = np.dtype(self.dtype)
        if dtype.kind not in "iuf" or dtype.itemsize > 8:
            raise StoreCorruptError(f".zarray: dtype = {self.dtype!r}: expected integers or floats")
        if self.compressor is None and f"{dtype.kind}{dtype.itemsize}" not in _FITS_TYPES:
            raise StoreCorruptError(
                f".zarray: dtype = {self.dtype!r} without a codec: expected a type of pixels in "
                f"FITS, {', '.join(_FITS_TYPES)}"
            )
        if len(self.shape) != len(self.chunks) or not self.shape or min(self.shape) < 1:
            raise StoreCorruptError(f".zarray: shape = {self.shape}, chunks = {self.chunks}")
        if math.prod(self.chunks) > MAX_FRAME_PIXELS:
            raise StoreCorruptError(
                f".zarray: chunks = {self.chunks}: more than {MAX_FRAME_PIXELS} pixels a frame"
            )
        n = self.n_frame_axes
        if self.chunks[:n] != (1,) * n or self.chunks[n:] != self.shape[n:]:
            raise StoreCorruptError(
                f".zarray: chunks = {self.chunks} of {self.shape}: expected one chunk per frame"
            )
        if self.compressor is not None:
            core = self.compressor.shape
            if without_leading_axis(core) != self.shape[n:] or self.compressor.dtype != self.dtype:
                raise StoreCorruptError(
                    f".zarray: codec for frames of {core}, {self.compressor.dtype}, in an array of "
                    f"{self.shape}, {self.dtype}"
                )

    @property
    def n_frame_axes(self) -> int:
        """How many axes, the first ones, run over frames."""
        if self.compressor is not None:
            return len(self.shape) - len(without_leading_axis(self.compressor.shape))
        # Without a codec the number of a frame's axes is not recorded. The frame axes are those
        # up to the last with more than one chunk; whether axes of length 1 after them belong to
        # the frames changes no position and no key.
        longer = [i for i, (n, c) in enumerate(zip(self.shape, self.chunks, strict=True)) if n > c]
        return longer[-1] + 1 if longer else 0

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Lengths of the frame axes: also the number of chunks along each of them."""
        return self.shape[: self.n_frame_axes]

    @property
    def n_frames(self) -> int:
        """Number of frames, those without reference included."""
        return math.prod(self.frame_shape)

    def to_zarray(self) -> Document:
        """Write the array's ``.zarray``."""
        spec = self.compressor
        return {
            "zarr_format": 2,
            "shape": list(self.shape),
            "chunks": list(self.chunks),
            "dtype": self.dtype,
            "compressor": None if spec is None else {"id": spec.codec_id, **spec.to_config()},
            "fill_value": "NaN" if np.dtype(self.dtype).kind == "f" else None,
            "filters": None,
            "order": "C",
            "dimension_separator": ".",
        }

    @classmethod
    def from_zarray(cls, zarray: Document, attributes: Document) -> ArrayMetadata:
        """Read ``.zarray`` and ``.zattrs``; refuse what our stores never have."""
        try:
            config = zarray["compressor"]
            spec_class = None if config is None else SPECS.get(config.get("id"))
            if config is not None and spec_class is None:
                names = " or ".join(map(str, SPECS))
                raise StoreCorruptError(f".zarray: compressor = {config!r}: expected {names}")
            expected = {"zarr_format": 2, "filters": None, "order": "C", "dimension_separator": "."}
            for key, value in expected.items():
                if zarray.get(key, value) != value:
                    raise StoreCorruptError(f".zarray: {key} = {zarray[key]!r}: expected {value!r}")
            shape = tuple(int(n) for n in zarray["shape"])
            check_attributes(shape, attributes)
            return cls(
                shape,
                tuple(int(n) for n in zarray["chunks"]),
                str(zarray["dtype"]),
                None if spec_class is None else spec_class.from_config(config),
                dict(attributes),
            )
        except StoreCorruptError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise StoreCorruptError(f".zarray: {type(error).__name__}: {error}") from error


@open_in_forks
@dataclass(frozen=True, eq=False)
class ReferenceSet:
    """All arrays of a store, and the attributes of its root.

    Parameters
    ----------
    attributes : dict
        The root's attributes under the key ``dkist_virtual``.
    arrays : dict
        Name to metadata and frames.
    known_identity : str, optional
        SHA-256 of the file that the set was read from; by default of the set itself.
    """

    attributes: Document
    arrays: dict[str, tuple[ArrayMetadata, FrameTable]]
    known_identity: str | None = None

    def __post_init__(self) -> None:
        if not self.arrays:
            raise StoreCorruptError("references: no arrays")
        for name, (metadata, frames) in self.arrays.items():
            if metadata.n_frames != len(frames):
                raise StoreCorruptError(
                    f"references: {name} has {len(frames)} entries for {metadata.n_frames} frames"
                )

    @cached_property
    def identity(self) -> str:
        """A hash for names and comparisons; computed, unlike the ``store_id`` that a store claims.

        For Parquet references it covers their metadata: `FrameTable.mark` covers the shards.
        """
        return self.known_identity or identity_of(self.attributes, self.store_id(None))

    @cached_property
    def file_limits(self) -> dict[str, int]:
        """How many bytes a file of each array's frames may have, by the shape of its pixels."""
        limits = {
            name: frame_limit(metadata.chunks, np.dtype(metadata.dtype).itemsize)
            for name, (metadata, _) in self.arrays.items()
        }
        # A file of an inversion has a frame of each array.
        shared = groups_of(self.attributes) is not None
        return dict.fromkeys(limits, sum(limits.values())) if shared else limits

    def store_id(self, dataset_id: str | None) -> str:
        """Compute a SHA-256 that is equal for equal references, whatever wrote them.

        The hash runs over the JSON text (keys sorted, no blanks) of ``[dataset_id, {name:
        [.zarray, .zattrs]}]``, then over one line ``url NUL offset NUL length LF`` per frame,
        arrays in order of their places, frames in C order; all of it UTF-8.
        """
        about = {n: [m.to_zarray(), m.attributes] for n, (m, _) in self.arrays.items()}
        text = json.dumps([dataset_id, about], sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode())
        for metadata, frames in self.arrays.values():
            for positions in batches(metadata.n_frames, _AT_ONCE):
                rows = frames.take(positions).rows()
                digest.update("".join(f"{u}\0{o}\0{n}\n" for u, o, n in rows).encode())
        return digest.hexdigest()

    def documents(self) -> Document:
        """Write the Zarr v2 metadata documents, by key."""
        documents: Document = {
            ".zgroup": {"zarr_format": 2},
            ".zattrs": {ROOT_KEY: self.attributes},
        }
        for name, (metadata, _) in self.arrays.items():
            documents[f"{name}/.zarray"] = metadata.to_zarray()
            documents[f"{name}/.zattrs"] = metadata.attributes
        return documents


def identity_of(attributes: Document, content: str) -> str:
    """Compute the identity of a reference set that was not read from a file.

    It covers the root's attributes, but for the ID that a store claims, and ``content``, a hash
    of arrays and frames.
    """
    root = {name: value for name, value in attributes.items() if name != "store_id"}
    return sha256(json.dumps([root, content], sort_keys=True).encode())


def sha256(data: bytes) -> str:
    """Compute the SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


_CHUNK: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})*")


def chunk_key(metadata: ArrayMetadata, position: int) -> str:
    """Write the key of a frame's chunk in its array, such as ``0.50.0.0``."""
    at = [int(i) for i in np.unravel_index(position, metadata.frame_shape)]
    return ".".join(map(str, at + [0] * (len(metadata.shape) - len(at))))


def parse_chunk_key(metadata: ArrayMetadata, key: str) -> int | None:
    """Find which frame a chunk key of an array means; None where it means none."""
    if not _CHUNK.fullmatch(key):
        return None
    index = [int(i) for i in key.split(".")]
    n = metadata.n_frame_axes
    inside = all(i < m for i, m in zip(index, metadata.frame_shape, strict=False))
    if len(index) != len(metadata.shape) or any(index[n:]) or not inside:
        return None
    return int(np.ravel_multi_index(index[:n], metadata.frame_shape)) if n else 0


def write_json(references: ReferenceSet) -> bytes:
    """Write a kerchunk reference set, version 1, as JSON."""
    refs: Document = {k: json.dumps(v) for k, v in references.documents().items()}
    for name, (metadata, frames) in references.arrays.items():
        rows = frames.take(np.arange(metadata.n_frames)).rows()
        for position, (url, offset, length) in enumerate(rows):
            if url:
                key = f"{name}/{chunk_key(metadata, position)}"
                refs[key] = [url] if offset < 0 else [url, offset, length]
    return json.dumps({"version": 1, "refs": refs}, indent=0).encode()


def read_json(text: bytes, place: str) -> ReferenceSet:
    """Read a reference set of ours from JSON; ``place`` is where it came from, for messages.

    Raises `StoreCorruptError` for anything else. Templates are refused, never evaluated.
    """
    with translate_errors(place):
        document = json.loads(text)
        refs = document["refs"]
        if document.get("version") != 1 or "templates" in document or "gen" in document:
            raise StoreCorruptError("expected a version 1 reference set without templates")
        documents = {
            key: json.loads(value)
            for key, value in refs.items()
            if key.rsplit("/", 1)[-1].startswith(".z")
        }
        root, metadata = read_metadata(documents)
        chunks = {key: value for key, value in refs.items() if key not in documents}
        return ReferenceSet(root, tables_of(metadata, chunks), sha256(text))


def tables_of(
    metadata: Mapping[str, ArrayMetadata], chunks: Mapping[str, object]
) -> dict[str, tuple[ArrayMetadata, FrameTable]]:
    """Put the references of a JSON, by chunk key, into tables; refuse a key of no chunk."""
    tables = {name: FrameColumns.absent(m.n_frames) for name, m in metadata.items()}
    for key, value in chunks.items():
        name, _, chunk = key.partition("/")
        position = parse_chunk_key(metadata[name], chunk)
        if position is None:
            raise StoreCorruptError(f"chunk {chunk!r} of an array of {metadata[name].shape}")
        url, offset, length = _entry(key, value)
        tables[name].urls[position] = url
        tables[name].offsets[position] = offset
        tables[name].lengths[position] = length
    return {name: (about, tables[name]) for name, about in metadata.items()}


def _entry(key: str, value: object) -> tuple[str, int, int]:
    """Check one reference of the JSON: a wrong one would give wrong bytes later."""
    match value:
        case [str(url)] if url:
            return url, WHOLE_FILE, WHOLE_FILE
        case [str(url), int(offset), int(n)] if url and 0 <= offset < 2**63 and 0 < n < 2**63:
            if not isinstance(offset, bool) and not isinstance(n, bool):
                return url, offset, n
    raise StoreCorruptError(f"{key}: {value!r}: expected a URL, alone or with offset and length")


def read_metadata(documents: Document) -> tuple[Document, dict[str, ArrayMetadata]]:
    """Read the root's attributes, and the arrays by name in their order."""
    root = documents[".zattrs"][ROOT_KEY]
    version = root["format_version"]
    if type(version) is not int or version != FORMAT_VERSION:
        raise StoreCorruptError(
            f"format_version is {version!r}: this version of dkist_virtual reads {FORMAT_VERSION}. "
            "Upgrade it, or convert the dataset again"
        )
    check_root(root)
    names = ["data"]
    groups = groups_of(root)
    if groups is not None:
        names = groups.names
    elif root.get("tiles") is not None:
        names = [array_name((int(i), int(j))) for i, j in root["tiles"]["present"]]
    elif (given := root.get("arrays")) is not None:  # of a cube: what it was computed from
        names = list(dict.fromkeys(given))
        if not names or not all(map(is_array_name, names)):
            raise StoreCorruptError(f".zattrs: arrays = {given!r:.80}: expected names of arrays")
    metadata = {
        name: ArrayMetadata.from_zarray(documents[f"{name}/.zarray"], documents[f"{name}/.zattrs"])
        for name in names
    }
    for name, axes in () if groups is None else groups.axes.items():
        if max(axes, default=-1) >= len(metadata[name].shape):
            raise StoreCorruptError(f".zattrs: aligned axes {axes} of {name}: it has fewer axes")
    n_frames = sum(about.n_frames for about in metadata.values())
    if n_frames > MAX_FRAMES:
        raise StoreCorruptError(f".zarray: {n_frames} frames: more than {MAX_FRAMES} are not read")
    return dict(root), metadata


def groups_of(root: Document) -> ArrayGroups | None:
    """Read from a root's attributes which arrays an inversion has; None of anything else."""
    given = root.get("inversion")
    return None if given is None else ArrayGroups.from_json(given)


def replaced_error(place: str) -> StoreReplacedError:
    """Make the error for a file of another store than the one that was opened."""
    return StoreReplacedError(
        f"{shown(place)}: belongs to another store than was opened: that was replaced since. Open "
        "it again"
    )


@contextmanager
def translate_errors(place: str, advice: str = ". Convert the dataset again") -> Iterator[None]:
    """Raise `StoreCorruptError` for whatever reading a file of the store raises."""
    try:
        yield
    except FileNotFoundError as error:
        raise StoreCorruptError(f"{shown(place)}: is missing from the store") from error
    except (OSError, MemoryError, StoreReplacedError):
        raise
    except Exception as error:
        what = "" if isinstance(error, StoreCorruptError) else "cannot be read as references: "
        kind = f"{type(error).__name__}: " if what else ""
        raise StoreCorruptError(f"{shown(place)}: {what}{kind}{error}{advice}") from error
