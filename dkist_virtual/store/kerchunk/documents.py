"""Check what references of other programs say of their arrays.

Zarr v2, all arrays at the root: arrays of frames, whose chunks are decoded by a codec of this
package or are plain big-endian pixels, and small arrays whose values are in the references.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.store.format.limits import MAX_FRAMES
from dkist_virtual.store.format.names import is_zarr_name
from dkist_virtual.store.format.references import ArrayMetadata
from dkist_virtual.store.frame_spec import SPECS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dkist_virtual.store.frame_spec import FrameSpec

__all__ = ["InlineArray", "frame_arrays", "root_attributes", "split_documents"]

MOST_ARRAYS: Final = 10_000

_CODECS: Final = " or ".join(map(str, SPECS))

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class InlineArray:
    """An array whose values are in the references, as one chunk.

    Parameters
    ----------
    document : dict
        Its metadata in Zarr v3.
    data : bytes

    Raises
    ------
    StoreCorruptError
        There are more or fewer values than its shape says.
    """

    document: Document
    data: bytes

    @classmethod
    def of(cls, name: str, zarray: Document, attributes: Document, data: bytes) -> InlineArray:
        """Check an array's metadata in Zarr v2 and its values, and write those for Zarr v3."""
        shape = _lengths(name, zarray, "shape", least=0)
        dtype = _dtype(name, zarray)
        _check_form(name, zarray)
        if dtype.kind not in "biuf":
            raise StoreCorruptError(
                f"{name}: dtype = {zarray['dtype']!r:.80}: of arrays whose values are in the "
                f"references, numbers are read. Leave {name} out before they are written"
            )
        codecs = zarray.get("filters") or zarray.get("compressor")
        expected = math.prod(shape) * dtype.itemsize
        if codecs or len(data) != expected:
            raise StoreCorruptError(
                f"{name}: {len(data)} bytes of values in the references, with codecs "
                f"{codecs!r:.80}: expected {expected}, and none"
            )
        order = (
            {} if dtype.itemsize == 1 else {"endian": "big" if dtype.str[0] == ">" else "little"}
        )
        document = {
            "zarr_format": 3,
            "node_type": "array",
            "shape": list(shape),
            "data_type": dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [max(n, 1) for n in shape]},
            },
            "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
            "codecs": [{"name": "bytes", "configuration": order}],
            "fill_value": {"b": False, "f": "NaN"}.get(dtype.kind, 0),
            "attributes": attributes,
            "dimension_names": _dimensions(name, attributes, shape),
        }
        return cls(document, data)

    @property
    def key(self) -> str:
        """The key of its chunk."""
        return ".".join("0" for _ in self.document["shape"]) or "0"


def split_documents(documents: Mapping[str, Any]) -> dict[str, tuple[Document, Document]]:
    """Collect ``.zarray`` and ``.zattrs`` of each array at the root.

    Raises
    ------
    StoreCorruptError
        There are groups, or names that arrays cannot have.
    """
    arrays: dict[str, tuple[Document, Document]] = {}
    for key, value in documents.items():
        name, _, kind = key.rpartition("/")
        if not isinstance(value, dict):
            raise StoreCorruptError(f"{key}: {value!r:.80}: expected an object")
        if not name and kind in (".zattrs", ".zgroup"):
            continue
        if kind == ".zarray" and is_zarr_name(name) and value.get("zarr_format") == 2:
            arrays[name] = (value, documents.get(f"{name}/.zattrs", {}))
        elif kind != ".zattrs" or f"{name}/.zarray" not in documents:
            raise StoreCorruptError(f"{key!r:.120}: expected arrays of Zarr v2 without groups")
    if not 0 < len(arrays) <= MOST_ARRAYS:
        raise StoreCorruptError(f"{len(arrays)} arrays: expected 1 to {MOST_ARRAYS}")
    return arrays


def frame_arrays(
    arrays: Mapping[str, tuple[Document, Document]], inline: Collection[str]
) -> dict[str, ArrayMetadata]:
    """Check the arrays of frames, those whose values are not in the references.

    Raises
    ------
    StoreCorruptError
        There are none, or one has chunks that are not whole frames, or another codec.
    """
    found = {}
    for name, (zarray, attributes) in arrays.items():
        if name in inline:
            continue
        shape = _lengths(name, zarray, "shape")
        _dimensions(name, attributes, shape)
        _check_form(name, zarray)
        try:
            found[name] = ArrayMetadata(
                shape,
                _lengths(name, zarray, "chunks"),
                _dtype(name, zarray).str,
                _spec(zarray),
                attributes,
            )
        except StoreCorruptError as error:
            raise StoreCorruptError(f"{name}: {error}") from None
        if found[name].compressor is None and found[name].dtype.startswith("<"):
            raise StoreCorruptError(
                f"{name}: dtype = {found[name].dtype} without a codec: expected the big-endian "
                "numbers of FITS. Open them with xarray, engine='kerchunk'"
            )
    n_frames = sum(about.n_frames for about in found.values())
    if not found or n_frames > MAX_FRAMES:
        raise StoreCorruptError(
            f"{len(found)} arrays of frames with {n_frames} chunks: expected at least one array, "
            f"and at most {MAX_FRAMES} chunks"
        )
    return found


def root_attributes(documents: Mapping[str, Any]) -> Document:
    """Return the attributes of the root."""
    return dict(documents.get(".zattrs", {}))


def _spec(zarray: Document) -> FrameSpec | None:
    """Read the codec, which is a compressor, or the only filter as VirtualiZarr writes it."""
    given = [*(zarray.get("filters") or []), zarray.get("compressor")]
    codecs = [codec for codec in given if codec is not None]
    if not codecs:
        return None
    name = codecs[0].get("id") if isinstance(codecs[0], dict) else None
    spec = SPECS.get(name) if isinstance(name, str) else None
    if spec is None or len(codecs) > 1:
        raise StoreCorruptError(f"codecs {codecs!r:.120}: expected one, {_CODECS}")
    return spec.from_config(codecs[0])


def _check_form(name: str, zarray: Document) -> None:
    for key, value in (("order", "C"), ("dimension_separator", ".")):
        if zarray.get(key, value) != value:
            raise StoreCorruptError(f"{name}: {key} = {zarray[key]!r:.80}: expected {value!r}")
    if not isinstance(zarray.get("filters"), list | None):
        raise StoreCorruptError(f"{name}: filters = {zarray['filters']!r:.80}: expected a list")


def _dtype(name: str, zarray: Document) -> np.dtype[Any]:
    text = zarray.get("dtype")
    try:
        if isinstance(text, str) and len(text) < 20:
            return np.dtype(text)
    except TypeError:
        pass
    raise StoreCorruptError(f"{name}: dtype = {text!r:.80}: expected that of numbers")


def _lengths(name: str, zarray: Document, key: str, least: int = 1) -> tuple[int, ...]:
    given = zarray.get(key)
    lengths = given if isinstance(given, list) else [-1]
    whole = all(type(n) is int and n >= least for n in lengths)
    if not whole or len(lengths) > 32 or math.prod(lengths) >= 2**63:
        raise StoreCorruptError(f"{name}: {key} = {given!r:.80}: expected lengths from {least}")
    return tuple(lengths)


def _dimensions(name: str, attributes: Document, shape: tuple[int, ...]) -> list[str] | None:
    names = attributes.get("_ARRAY_DIMENSIONS")
    if names is not None and (
        not isinstance(names, list) or [type(one) for one in names] != [str] * len(shape)
    ):
        raise StoreCorruptError(
            f"{name}: _ARRAY_DIMENSIONS = {names!r:.80}: expected {len(shape)} names, one an axis"
        )
    return names
