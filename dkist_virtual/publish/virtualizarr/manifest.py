"""Make VirtualiZarr's virtual arrays of references: three arrays, never an object for a chunk."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.fits.codecs import NUMCODECS_ID
from dkist_virtual.fits.frame_spec import CODEC_ID
from dkist_virtual.store.format.references import STRINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from virtualizarr.manifests import ManifestArray

    from dkist_virtual.fits.frame_spec import FrameSpec

__all__ = ["codecs_of", "needs_virtualizarr", "virtual_array"]


def needs_virtualizarr(what: str) -> None:
    """Raise ImportError, with what to do, where VirtualiZarr is not installed."""
    try:
        import_module("virtualizarr")
    except ImportError:
        raise ImportError(
            f"{what}: VirtualiZarr is not installed: pip install 'dkist_virtual[virtualizarr]'"
        ) from None


def codecs_of(
    spec: FrameSpec | None, *, partial_reads: bool, codec_id: str = CODEC_ID
) -> list[dict[str, Any]] | None:
    """Write the Zarr v3 codecs of an array of frames; None where its bytes are the pixels.

    Parameters
    ----------
    spec : FrameSpec or None
    partial_reads : bool
        Whether a selection of a frame reads only the bytes that it needs. Otherwise the codec is
        one that references in Zarr v2 can have too, and decodes whole frames.
    codec_id : str
        The codec's name without a prefix.
    """
    if spec is None:
        return None
    if partial_reads:
        return [{"name": codec_id, "configuration": spec.to_config()}]
    name = NUMCODECS_ID.replace(CODEC_ID, codec_id)
    return [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": name, "configuration": spec.to_config()},
    ]


def virtual_array(
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: str,
    codecs: list[dict[str, Any]] | None,
    references: tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]],
    *,
    dimensions: Sequence[str],
    attributes: Mapping[str, Any],
) -> ManifestArray:
    """Make a virtual array.

    Parameters
    ----------
    shape, chunks : tuple of int
    dtype : str
        As numpy writes it; its byte order is that of the bytes where there is no codec.
    codecs : list of dict, optional
        In Zarr v3.
    references : tuple of ndarray
        One entry for each chunk, in C order: address (StringDType, empty for an absent one),
        first byte and number of bytes.
    dimensions : sequence of str
    attributes : mapping
    """
    from virtualizarr.manifests import ChunkManifest, ManifestArray
    from virtualizarr.manifests.utils import create_v3_array_metadata

    grid = tuple(-(-n // c) for n, c in zip(shape, chunks, strict=True))
    urls, offsets, lengths = references
    absent = urls == ""
    paths: Any = urls.astype(STRINGS).reshape(grid)
    manifest = ChunkManifest.from_arrays(
        paths=paths,
        offsets=np.where(absent, 0, offsets).astype(np.uint64).reshape(grid),
        lengths=np.where(absent, 0, lengths).astype(np.uint64).reshape(grid),
        validate_paths=False,  # they were made by `plain_uri`
    )
    metadata = create_v3_array_metadata(
        shape=shape,
        data_type=np.dtype(dtype),
        chunk_shape=chunks,
        fill_value=np.nan if np.dtype(dtype).kind == "f" else 0,
        codecs=codecs,
        attributes=dict(attributes),
        dimension_names=tuple(dimensions),
    )
    return ManifestArray(metadata, manifest)
