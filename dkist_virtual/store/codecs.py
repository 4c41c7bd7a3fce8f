"""Make the codecs of `dkist_virtual.fits` speak of stores: a wrong configuration breaks a store.

numcodecs and zarr find these classes by their entry points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dkist_virtual.fits import codecs, frame_spec
from dkist_virtual.fits.codecs import NUMCODECS_ID
from dkist_virtual.fits.frame_spec import CODEC_ID, RAW_CODEC_ID
from dkist_virtual.store.frame_spec import FrameSpec, RawSpec

__all__ = [
    "CODEC_ID",
    "NUMCODECS_ID",
    "RAW_CODEC_ID",
    "FITSBytesCodecV3",
    "FITSCodec",
    "FITSCodecV3",
    "FrameSpec",
    "RawCodecV3",
    "RawSpec",
]


class FITSCodec(codecs.FITSCodec):
    """A frame of FITS as a compressed chunk of a Zarr v2 array."""

    spec_class = FrameSpec


@dataclass(frozen=True)
class FITSCodecV3(codecs.FITSCodecV3):
    """A frame of FITS as a chunk of a Zarr v3 array."""

    spec_class: ClassVar[type[frame_spec.FrameSpec | frame_spec.RawSpec]] = FrameSpec


@dataclass(frozen=True)
class RawCodecV3(FITSCodecV3):
    """A plain frame as a chunk of a Zarr v3 array."""

    codec_id: ClassVar[str] = RAW_CODEC_ID
    spec_class: ClassVar[type[frame_spec.FrameSpec | frame_spec.RawSpec]] = RawSpec


@dataclass(frozen=True)
class FITSBytesCodecV3(codecs.FITSBytesCodecV3):
    """A frame of FITS to its pixels' bytes, as VirtualiZarr needs it."""

    spec_class = FrameSpec
