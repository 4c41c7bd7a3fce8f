"""Say which HDU of a file is a frame, for a store; a wrong value breaks the store.

The codecs that decode by these need zarr, which reading a store's references does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.fits import frame_spec
from dkist_virtual.fits.frame_spec import CODEC_ID, IMAGE_CODEC_ID, RAW_CODEC_ID

__all__ = ["CODEC_ID", "RAW_CODEC_ID", "SPECS", "FrameSpec", "ImageSpec", "RawSpec"]


@dataclass(frozen=True, slots=True)
class FrameSpec(frame_spec.FrameSpec):
    """Say which HDU of a file is a frame; a wrong value raises `StoreCorruptError`."""

    error = StoreCorruptError


@dataclass(frozen=True, slots=True)
class ImageSpec(FrameSpec):
    """Say the same for references that name the codec `fits_image`."""

    codec_id = IMAGE_CODEC_ID


SPECS: Final[dict[object, type[FrameSpec]]] = {CODEC_ID: FrameSpec, IMAGE_CODEC_ID: ImageSpec}
"""By the codec's name: those of references that are read. Those of ours have the first."""


@dataclass(frozen=True, slots=True)
class RawSpec(frame_spec.RawSpec):
    """Describe frames whose bytes are their pixels; a wrong value raises `StoreCorruptError`."""

    error = StoreCorruptError
