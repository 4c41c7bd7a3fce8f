"""The codecs: a frame's bytes to pixels, for Zarr v2 (numcodecs) and for Zarr v3.

Both hold three things and do nothing themselves: which HDU, and what type and shape its pixels
must have. `dkist_virtual.tiles` decodes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self
from weakref import WeakKeyDictionary

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray, ndarray_copy
from zarr.abc.codec import ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin
from zarr.abc.store import RangeByteRequest

from dkist_virtual.errors import FrameCorruptError, StoreCorruptError
from dkist_virtual.fits import BITPIX_DTYPES
from dkist_virtual.tiles import Window, decode_frame, whole_window
from dkist_virtual.window import FIRST_READ, FrameMap, NeedMoreError, read_map, split_index

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from zarr.abc.buffer import Buffer, BufferPrototype, NDBuffer
    from zarr.abc.store import ByteGetter
    from zarr.core.array_spec import ArraySpec
    from zarr.core.indexing import SelectorTuple

__all__ = ["CODEC_ID", "FITSCodec", "FITSCodecV3", "FrameSpec"]

CODEC_ID = "dkist_fits"
"""The codec's name in metadata, both Zarr versions."""

_DTYPES = frozenset(f"<{code}" for code in [*BITPIX_DTYPES.values(), "u2", "u4", "u8"]) | {
    "|u1",
    "|i1",
}


@dataclass(frozen=True, slots=True)
class FrameSpec:
    """What the codec's configuration says of every frame.

    Parameters
    ----------
    hdu : int or str
        Index or EXTNAME of the HDU in a whole file.
    dtype : str
        The pixels' type after scaling, little-endian, as numpy writes it: ``"<f4"``.
    shape : tuple of int
        The HDU's shape in array order, a leading 1 included.

    Raises
    ------
    StoreCorruptError
        The configuration does not say these.
    """

    hdu: int | str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if isinstance(self.hdu, bool) or not isinstance(self.hdu, (int, str)) or self.hdu in ("",):
            raise self._wrong("hdu", self.hdu, "an index or an EXTNAME")
        if isinstance(self.hdu, int) and not 0 <= self.hdu < 10_000:
            raise self._wrong("hdu", self.hdu, "an index from 0")
        if not isinstance(self.dtype, str) or self.dtype not in _DTYPES:
            raise self._wrong("dtype", self.dtype, "one of " + ", ".join(sorted(_DTYPES)))
        whole = isinstance(self.shape, (list, tuple)) and all(
            isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in self.shape
        )
        if not whole or not self.shape:
            raise self._wrong("shape", self.shape, "positive axis lengths")
        object.__setattr__(self, "shape", tuple(self.shape))

    @staticmethod
    def _wrong(key: str, found: object, expected: str) -> StoreCorruptError:
        return StoreCorruptError(f"codec {CODEC_ID}: {key} = {found!r}: expected {expected}")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Read a configuration; anything missing or unknown is an error."""
        given = {key: value for key, value in config.items() if key != "id"}
        if set(given) != {"hdu", "dtype", "shape"}:
            raise StoreCorruptError(
                f"codec {CODEC_ID}: has {', '.join(sorted(given)) or 'nothing'}: "
                "expected hdu, dtype and shape"
            )
        return cls(**given)

    def to_config(self) -> dict[str, Any]:
        """The configuration as it stands in metadata, without the codec's name."""
        return {"hdu": self.hdu, "dtype": self.dtype, "shape": list(self.shape)}

    def decode(self, data: bytes | memoryview) -> NDArray[np.generic]:
        """Pixels of one frame, shape and type as said here, native byte order."""
        return decode_frame(data, self.hdu, dtype=self.dtype, shape=self.shape)


class FITSCodec(Codec):  # type: ignore[misc]  # numcodecs has no types
    """A frame of FITS as a compressed chunk of a Zarr v2 array.

    A chunk's bytes are one HDU (they begin with ``XTENSION``) or a whole file (``SIMPLE``).
    There is no way to write one.

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

    def __init__(self, hdu: int | str, dtype: str, shape: list[int]) -> None:
        self.spec = FrameSpec(hdu, dtype, tuple(shape))

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode one chunk.

        Parameters
        ----------
        buf : bytes-like
            An HDU or a file.
        out : buffer, optional
            Where to put the pixels.

        Returns
        -------
        numpy.ndarray
            Of the configuration's shape and type.
        """
        data = memoryview(ensure_contiguous_ndarray(buf).view("u1").data)
        # Zarr v2 takes what a codec returns for the array's own type without looking.
        pixels = self.spec.decode(data).astype(self.spec.dtype, copy=False)
        return pixels if out is None else ndarray_copy(pixels, out)

    def encode(self, buf: Any) -> Any:
        """Refuse: frames are only read."""
        raise NotImplementedError(f"codec {CODEC_ID}: FITS frames are read, never written")

    def get_config(self) -> dict[str, Any]:
        """The configuration as it stands in the array's metadata."""
        return {"id": self.codec_id, **self.spec.to_config()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the codec that a configuration describes."""
        spec = FrameSpec.from_config(config)
        return cls(spec.hdu, spec.dtype, list(spec.shape))

    def __repr__(self) -> str:
        return f"FITSCodec({self.spec.hdu!r}, {self.spec.dtype!r}, {list(self.spec.shape)})"


class MapCache:
    """Frame maps in memory, the least recently used given up first.

    Parameters
    ----------
    limit : int
        Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._maps: OrderedDict[str, FrameMap] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: str) -> FrameMap | None:
        """The map of a frame, None where it is not kept."""
        with self._lock:
            found = self._maps.get(key)
            if found is not None:
                self._maps.move_to_end(key)
            return found

    def put(self, key: str, frame: FrameMap) -> None:
        """Keep a map."""
        with self._lock:
            old = self._maps.pop(key, None)
            self._bytes += frame.nbytes - (0 if old is None else old.nbytes)
            self._maps[key] = frame
            while self._bytes > self._limit and len(self._maps) > 1:
                self._bytes -= self._maps.popitem(last=False)[1].nbytes


MAP_CACHE_BYTES: Final = 64_000_000
"""Memory for the maps of one store's frames: some 2,000 of ViSP, 450 of VBI."""

_caches: WeakKeyDictionary[Any, MapCache] = WeakKeyDictionary()


def _cache_of(store: Any) -> MapCache:
    """The cache of a store's frame maps, which lives as long as the store."""
    cache = _caches.get(store)
    if cache is None:
        cache = _caches.setdefault(store, MapCache(MAP_CACHE_BYTES))
    return cache


@dataclass(frozen=True)
class FITSCodecV3(ArrayBytesCodec, ArrayBytesCodecPartialDecodeMixin):
    """A frame of FITS as a chunk of a Zarr v3 array: its only codec, array to bytes.

    A selection of a frame fetches its header and tile table, once, and the tiles that it
    touches. A whole frame is one request.

    Parameters
    ----------
    spec : FrameSpec
    """

    spec: FrameSpec

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Make the codec from its entry in an array's ``codecs``."""
        return cls(FrameSpec.from_config(data.get("configuration", {})))

    def to_dict(self) -> dict[str, Any]:
        """The codec's entry in an array's ``codecs``."""
        return {"name": CODEC_ID, "configuration": self.spec.to_config()}

    def _decode_sync(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = self.spec.decode(chunk_bytes.as_numpy_array().data)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(pixels.reshape(chunk_spec.shape))

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        # Off the event loop, which all of zarr's reads in a process share; the kernels release
        # the GIL, so frames are decoded side by side.
        return await asyncio.to_thread(self._decode_sync, chunk_bytes, chunk_spec)

    async def _decode_partial_single(
        self, byte_getter: ByteGetter, selection: SelectorTuple, chunk_spec: ArraySpec
    ) -> NDBuffer | None:
        index = selection if isinstance(selection, tuple) else (selection,)
        window, rest = split_index(index, chunk_spec.shape)
        n_frame_axes = len(chunk_spec.shape) - len(self.spec.shape) + (self.spec.shape[0] == 1)
        core = window[n_frame_axes:]
        if self.spec.shape[0] == 1:
            core = (range(1), *core)
        if core == whole_window(self.spec.shape):
            data = await byte_getter.get(chunk_spec.prototype)
            if data is None:
                return None
            pixels = await asyncio.to_thread(self.spec.decode, data.as_numpy_array().data)
        else:
            found = await self._window(byte_getter, core, chunk_spec.prototype)
            if found is None:
                return None
            pixels = found
        chosen = pixels.reshape(tuple(map(len, window)))[rest]
        return chunk_spec.prototype.nd_buffer.from_numpy_array(np.asarray(chosen))

    async def _window(
        self, byte_getter: ByteGetter, window: Window, prototype: BufferPrototype
    ) -> NDArray[np.generic] | None:
        """Pixels of part of a frame; None where the frame is absent and that is no error."""
        store, path = getattr(byte_getter, "store", None), getattr(byte_getter, "path", "")
        cache = None if store is None else _cache_of(store)
        frame = None if cache is None else cache.get(path)
        if frame is None:
            stop = getattr(store, "head_bytes", None) or FIRST_READ
            while frame is None:
                head = await byte_getter.get(prototype, RangeByteRequest(0, stop))
                if head is None:
                    return None
                data = head.as_numpy_array().data
                try:
                    frame = read_map(
                        data, self.spec.hdu, dtype=self.spec.dtype, shape=self.spec.shape
                    )
                except NeedMoreError as more:
                    if len(data) < stop:
                        raise FrameCorruptError(
                            f"HDU {self.spec.hdu}: its header and table end at byte {more.stop} or "
                            f"later, the frame after {len(data)}: it is cut short"
                        ) from None
                    stop = more.stop
            if cache is not None:
                cache.put(path, frame)
        starts, stops = joined(*frame.ranges(window), getattr(store, "gap_bytes", GAP_BYTES))
        buffers = await asyncio.gather(
            *(
                byte_getter.get(prototype, RangeByteRequest(int(a), int(b)))
                for a, b in zip(starts, stops, strict=True)
            )
        )
        pieces: list[tuple[int, memoryview]] = []
        for start, stop, buffer in zip(starts.tolist(), stops.tolist(), buffers, strict=True):
            if buffer is None:
                return None
            data = buffer.as_numpy_array().data
            if len(data) != stop - start:
                raise FrameCorruptError(
                    f"HDU {self.spec.hdu}: bytes {start} to {stop} hold tiles, only {len(data)} of "
                    "them are there: the frame is cut short"
                )
            pieces.append((start, data))
        return await asyncio.to_thread(frame.decode, window, pieces)

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer | None:
        raise NotImplementedError(f"codec {CODEC_ID}: FITS frames are read, never written")

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown: how well a frame is compressed stands in the frame."""
        raise NotImplementedError(f"codec {CODEC_ID}: the size of a frame is not known beforehand")


GAP_BYTES: Final = 65_536
"""Ranges closer than this are fetched as one: what lies between is cheaper than a request."""


def joined(
    starts: NDArray[np.int64], stops: NDArray[np.int64], gap: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending ranges, those closer than `gap` bytes made one."""
    apart = starts[1:] - stops[:-1] > gap
    return starts[np.append(True, apart)], stops[np.append(apart, True)]
