"""Define the codecs that turn a frame's bytes into pixels, for Zarr v2 (numcodecs) and Zarr v3.

A codec has a `FrameSpec` or a `RawSpec`, which decodes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import (
    ArrayBytesCodec,
    ArrayBytesCodecPartialDecodeMixin,
    BytesBytesCodec,
)
from zarr.abc.store import RangeByteRequest, Store

from dkist_virtual.fits.frame_spec import (
    CODEC_ID,
    IMAGE_CODEC_ID,
    RAW_CODEC_ID,
    FrameSpec,
    ImageSpec,
    RawSpec,
)
from dkist_virtual.fits.partial import drive_async, ranges_only, split_index

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype, NDBuffer
    from zarr.abc.store import ByteGetter
    from zarr.core.array_spec import ArraySpec
    from zarr.core.indexing import SelectorTuple

    from dkist_virtual.fits.decode import Window
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.partial import Bytes, Range

    BytesLike: TypeAlias = bytes | bytearray | memoryview | NDArray[np.generic]

__all__ = [
    "NUMCODECS_ID",
    "FITSBytesCodecV3",
    "FITSCodec",
    "FITSCodecV3",
    "FITSImageBytesCodecV3",
    "FITSImageCodec",
    "FITSImageCodecV3",
    "RawCodecV3",
]

NUMCODECS_ID: Final = f"numcodecs.{CODEC_ID}"
"""What VirtualiZarr calls the codec of a Zarr v2 array in Zarr v3."""


class FITSCodec(Codec):  # type: ignore[misc]  # numcodecs has no types
    """A frame of FITS as a compressed chunk of a Zarr v2 array.

    A chunk's bytes are one HDU (they begin with ``XTENSION``) or a whole file (``SIMPLE``).
    Frames are read, never written.

    Parameters
    ----------
    hdu : int or str
        Index or EXTNAME of the HDU in a whole file.
    dtype : str
        The array's type, little-endian.
    shape : sequence of int
        The HDU's shape in array order.
    """

    codec_id: ClassVar[str] = CODEC_ID
    spec_class: ClassVar[type[FrameSpec]] = FrameSpec

    def __init__(self, hdu: HDUTarget, dtype: str, shape: list[int]) -> None:
        self.spec = self.spec_class(hdu, dtype, tuple(shape))

    def decode(self, buf: BytesLike, out: BytesLike | None = None) -> Any:
        """Decode one chunk, an HDU or a file, to pixels of the configuration's shape and type.

        They are written to `out`, where that is given.
        """
        data = memoryview(ensure_contiguous_ndarray(buf).view("u1").data)
        # Zarr v2 takes what a codec returns for the array's own type without looking.
        pixels = self.spec.decode(data).astype(self.spec.dtype, copy=False)
        return pixels if out is None else ndarray_copy(pixels, out)

    def encode(self, buf: object) -> bytes:  # noqa: ARG002  # numcodecs' signature
        """Refuse: frames are only read."""
        raise _read_only(self.codec_id)

    def get_config(self) -> dict[str, object]:
        """Return the configuration as the array's metadata have it."""
        return {"id": self.codec_id, **self.spec.to_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec that a configuration describes."""
        spec = cls.spec_class.from_config(config)
        return cls(spec.hdu, spec.dtype, list(spec.shape))

    def __repr__(self) -> str:
        spec = self.spec
        return f"{type(self).__name__}({spec.hdu!r}, {spec.dtype!r}, {list(spec.shape)})"


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop the leading axes of length 1: a chunk has one for each axis of frames, an HDU may."""
    leading = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return shape[leading:]


def _read_only(codec_id: str) -> NotImplementedError:
    return NotImplementedError(f"codec {codec_id}: FITS frames are read, never written")


@dataclass(frozen=True)
class _CodecV3:
    """What the codecs of Zarr v3 share: their entry in metadata, and no way to write."""

    spec: FrameSpec | RawSpec

    is_fixed_size = False

    codec_id: ClassVar[str] = CODEC_ID
    spec_class: ClassVar[type[FrameSpec | RawSpec]] = FrameSpec

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its entry in an array's ``codecs``."""
        return cls(cls.spec_class.from_config(data.get("configuration", {})))

    def to_dict(self) -> dict[str, Any]:
        """Return the codec's entry in an array's ``codecs``."""
        return {"name": self.codec_id, "configuration": self.spec.to_config()}

    def _check(self, chunk_spec: ArraySpec) -> None:
        """Refuse an array of another type or other chunks: zarr would convert and cut silently."""
        dtype = np.dtype(self.spec.dtype).newbyteorder("=")
        if chunk_spec.dtype.to_native_dtype().newbyteorder("=") != dtype:
            raise self.spec.error(
                f"codec {self.codec_id}: dtype = {self.spec.dtype!r}: expected that of the array, "
                f"{chunk_spec.dtype.to_native_dtype()}"
            )
        if _without_ones(chunk_spec.shape) != _without_ones(self.spec.shape):
            raise self.spec.error(
                f"codec {self.codec_id}: shape = {list(self.spec.shape)}: expected one that fits "
                f"into the array's chunks of {list(chunk_spec.shape)}"
            )

    def _pixels(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDArray[np.generic]:
        self._check(chunk_spec)
        return self.spec.decode(chunk_bytes.as_numpy_array().data)

    async def _encode_single(self, *_: object) -> Buffer | None:
        raise _read_only(self.codec_id)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Refuse: only the frame says how well it is compressed."""
        raise NotImplementedError(f"codec {self.codec_id}: the size of a frame is not known")


@dataclass(frozen=True, slots=True)
class _NoByteOrder:
    """What a codec has in place of a byte order: it says so when it is asked which.

    VirtualiZarr writes references in Zarr v2 without the codecs that make an array of bytes, and
    asks each only for its byte order. Frames would be taken for their pixels.
    """

    codec_id: str

    @property
    def value(self) -> str:
        """Refuse to be left out."""
        raise NotImplementedError(
            f"codec {self.codec_id}: has no place in references of kerchunk in Zarr v2, which "
            "would be written without it: expected Icechunk, to_kerchunk(…, zarr_format=3), or "
            "arrays that were parsed with partial_reads=False"
        )


@dataclass(frozen=True)
class FITSCodecV3(_CodecV3, ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):
    """A frame of FITS as a chunk of a Zarr v3 array: its only codec, array to bytes.

    A selection of a frame fetches its header and tile table, once, and the tiles that it
    touches. A whole frame is one request.

    Parameters
    ----------
    spec : FrameSpec
    """

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = self._pixels(chunk_bytes, chunk_spec).reshape(chunk_spec.shape)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(pixels)

    @property
    def endian(self) -> _NoByteOrder:
        """Answer VirtualiZarr, which asks this of a codec that it leaves out of Zarr v2."""
        return _NoByteOrder(self.codec_id)

    # zarr's abstract classes have a codec override these private methods.
    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        # Off the event loop, which all of zarr's reads in a process share; the kernels release
        # the GIL, so frames are decoded side by side.
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    async def _decode_partial_single(
        self, byte_getter: ByteGetter, selection: SelectorTuple, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        self._check(chunk_spec)
        index = selection if isinstance(selection, tuple) else (selection,)
        window, rest = split_index(index, chunk_spec.shape)
        core = self.spec.window(window)
        # FrameStore keeps the maps of its frames and reads windows itself; others give bytes.
        read = getattr(getattr(byte_getter, "store", None), "read_window", None)
        if read is not None:
            pixels = await asyncio.to_thread(read, byte_getter.path, core)  # type: ignore[attr-defined]
        else:
            pixels = await self._read(byte_getter, core, chunk_spec.prototype)
        if pixels is None:
            return None
        chosen = pixels.reshape(tuple(map(len, window)))[rest]
        return chunk_spec.prototype.nd_buffer.from_numpy_array(np.asarray(chosen))

    async def _read(
        self, byte_getter: ByteGetter, window: Window, prototype: BufferPrototype
    ) -> NDArray[np.generic] | None:
        """Read part of a frame; return None for an absent frame that is to be read as fill values.

        No request ends beyond the chunk, since some storage refuses that.
        """
        store = getattr(byte_getter, "store", None)
        if store is None:  # inside a shard: there are no ranges
            buffer = await byte_getter.get(prototype)
            if buffer is None:
                return None
            frame = await asyncio.to_thread(self.spec.decode, buffer.as_numpy_array().data)
            return frame[tuple(slice(p[0], p[-1] + 1, p.step) for p in window)]
        length = await _length_of(store, byte_getter.path)  # type: ignore[attr-defined]

        async def fetch(wanted: Range) -> Bytes:
            part, (start, stop) = None, wanted
            if stop is not None:
                part = RangeByteRequest(start, stop if length is None else min(stop, length))
                if part.end <= start:
                    return b""
            buffer = await byte_getter.get(prototype, part)
            if buffer is None:
                raise _AbsentError
            return memoryview(buffer.as_numpy_array().data)

        steps = self.spec.steps(ranges_only, window, bounded=length is None)
        try:
            return (await drive_async(steps, fetch))[1]
        except _AbsentError:
            return None


class _AbsentError(Exception):
    """There are no bytes at a key."""


async def _length_of(store: Store, path: str) -> int | None:
    """Return the length of a chunk, where it is known without reading all of the chunk."""
    if type(store).getsize is Store.getsize:
        return None
    # Each kind of storage has its own errors; reading the chunk says what is wrong.
    with suppress(Exception):
        return await store.getsize(path)
    return None


@dataclass(frozen=True)
class RawCodecV3(FITSCodecV3):
    """A plain frame as a chunk of a Zarr v3 array: a selection reads only its rows.

    zarr's own codec for bytes reads whole chunks.

    Parameters
    ----------
    spec : RawSpec
    """

    codec_id: ClassVar[str] = RAW_CODEC_ID
    spec_class: ClassVar[type[FrameSpec | RawSpec]] = RawSpec


@dataclass(frozen=True)
class FITSBytesCodecV3(_CodecV3, BytesBytesCodec):
    """A frame of FITS to its pixels' bytes: what VirtualiZarr makes of a Zarr v2 array's codec.

    It looks up a numcodecs codec under this name, as a Zarr v3 codec from bytes to bytes, of which
    zarr's own codec makes numbers. Whole frames alone are read: `FITSCodecV3` reads parts.

    Parameters
    ----------
    spec : FrameSpec
    """

    codec_id: ClassVar[str] = NUMCODECS_ID

    @property
    def codec_config(self) -> dict[str, object]:
        """The codec's configuration in Zarr v2, for VirtualiZarr's writers."""
        return {"id": self.codec_id.removeprefix("numcodecs."), **self.spec.to_config()}

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        pixels = self._pixels(chunk_bytes, chunk_spec).astype(self.spec.dtype, copy=False)
        return chunk_spec.prototype.buffer.from_bytes(pixels.tobytes())

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)


class FITSImageCodec(FITSCodec):
    """An image of any survey as a compressed chunk of a Zarr v2 array: the name `fits_image`."""

    codec_id = IMAGE_CODEC_ID
    spec_class = ImageSpec


@dataclass(frozen=True)
class FITSImageCodecV3(FITSCodecV3):
    """An image of any survey as a chunk of a Zarr v3 array: the name `fits_image`."""

    codec_id: ClassVar[str] = IMAGE_CODEC_ID
    spec_class: ClassVar[type[FrameSpec | RawSpec]] = ImageSpec


@dataclass(frozen=True)
class FITSImageBytesCodecV3(FITSBytesCodecV3):
    """An image of any survey to its pixels' bytes: the name `numcodecs.fits_image`."""

    codec_id: ClassVar[str] = f"numcodecs.{IMAGE_CODEC_ID}"
    spec_class: ClassVar[type[FrameSpec | RawSpec]] = ImageSpec
