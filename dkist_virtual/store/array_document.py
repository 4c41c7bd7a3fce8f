"""Write the Zarr v3 metadata of an array of frames, from its references' v2 metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.store.codecs import FITSCodecV3, RawCodecV3
from dkist_virtual.store.frame_spec import FrameSpec, RawSpec

if TYPE_CHECKING:
    from dkist_virtual.store.format.references import ArrayMetadata

__all__ = ["array_document", "spec_of"]


def spec_of(metadata: ArrayMetadata) -> FrameSpec | RawSpec:
    """Get the description of an array's frames that their codec decodes by."""
    if metadata.compressor is not None:
        return metadata.compressor
    return RawSpec(metadata.dtype, metadata.shape[metadata.n_frame_axes :])


def array_document(metadata: ArrayMetadata) -> dict[str, Any]:
    """Make an array's ``zarr.json`` (Zarr v3) from its v2 metadata."""
    dtype = np.dtype(metadata.dtype)
    spec = spec_of(metadata)
    codec = RawCodecV3(spec) if isinstance(spec, RawSpec) else FITSCodecV3(spec)
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(metadata.shape),
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(metadata.chunks)}},
        # The references' own keys, so that a chunk has the same name in both versions.
        "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}},
        "codecs": [codec.to_dict()],
        "fill_value": "NaN" if dtype.kind == "f" else 0,
        "attributes": metadata.attributes,
        "dimension_names": metadata.attributes.get("_ARRAY_DIMENSIONS"),
    }
