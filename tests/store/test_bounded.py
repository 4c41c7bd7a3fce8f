"""The Zarr v3 codecs ask no store for bytes beyond a chunk's end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
import zarr
from frames import assert_identical, compressed, fits, hdu_of, oracle, plain, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from test_codec import v3_metadata
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer.cpu import Buffer
from zarr.storage import MemoryStore
from zarr_shim import chunk_spec_of

from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.fits.codecs import FITSCodecV3, FrameSpec
from dkist_virtual.fits.hdu import TruncatedHeaderError, find_hdu, least_length


class Checking(MemoryStore):
    """A store that refuses a range which ends beyond its chunk, as Icechunk does."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.asked: list[tuple[int, int]] = []

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        if isinstance(byte_range, RangeByteRequest):
            self.asked.append((byte_range.start, byte_range.end))
            if key in self._store_dict and byte_range.end > len(self._store_dict[key]):
                raise ValueError(f"{byte_range} ends beyond {len(self._store_dict[key])}")
        return await super().get(key, prototype, byte_range)


class Knowing(Checking):
    """One that knows lengths without reading."""

    async def getsize(self, key: str) -> int:
        if key not in self._store_dict:
            raise FileNotFoundError(key)
        return len(self._store_dict[key])


SMALL = scene((1, 30, 40), blanks=0.1)
LARGE = scene((1, 300, 400), blanks=0.1)
MIDDLE = fits.ImageHDU(np.zeros((50, 60), "i2"))


def with_cards(n: int) -> list[tuple[str, int]]:
    return [(f"KEY{i}", i) for i in range(n)]


FRAMES = {
    "small": compressed(SMALL),
    "small with a long header": compressed(SMALL, cards=with_cards(400)),
    "small with a very long header": compressed(SMALL, cards=with_cards(1500)),
    "large": compressed(LARGE),
    "large with a long header": compressed(LARGE, cards=with_cards(400)),
    "large in squares": compressed(LARGE, tile=(1, 64, 64)),
    "after another": compressed(SMALL, before=[MIDDLE], cards=with_cards(400)),
    "plain": plain(SMALL, cards=with_cards(400)),
    "plain extension": plain(LARGE, primary=False, cards=with_cards(50)),
}
INDEX = {"plain": 0, "after another": 2}


def array_of(frame: bytes, hdu: int, shape: tuple[int, ...], store: type[Checking]) -> Any:
    config = {"id": "dkist_fits", "hdu": hdu, "dtype": "<f4", "shape": list(shape)}
    document = json.dumps(v3_metadata(config, list(shape), "float32")).encode()
    content = {"zarr.json": Buffer.from_bytes(document), "c/0/0/0": Buffer.from_bytes(frame)}
    array: Any = zarr.open_array(store(content, read_only=True), mode="r", zarr_format=3)
    return array, array.store


STORES = pytest.mark.parametrize("store", [Checking, Knowing])


@STORES
@pytest.mark.parametrize("form", ["file", "hdu"])
@pytest.mark.parametrize("name", list(FRAMES))
def test_nothing_beyond_the_end_is_asked_for(name: str, form: str, store: type[Checking]) -> None:
    file, hdu = FRAMES[name], INDEX.get(name, 1)
    if form == "hdu" and hdu == 0:
        form = "file"
    frame = file if form == "file" else hdu_of(file, hdu)
    expected = oracle(file, hdu)
    array, checking = array_of(frame, hdu, expected.shape, store)
    for index in ((0, 3), (0, slice(5, 9), slice(2, 30, 3)), (0, -1, -1), (0, slice(None), 0)):
        checking.asked.clear()
        assert_identical(np.asarray(array[index]), np.asarray(expected[index]))
        heads = [stop for start, stop in checking.asked if start == 0]
        assert len(heads) <= (4 if store is Checking else 2)
        assert all(0 <= start < stop <= len(frame) for start, stop in checking.asked)


def test_a_frame_of_46_080_bytes() -> None:
    """As those of a demo: the first read of 48,960 bytes would end beyond it."""
    frame = next(
        hdu
        for n in range(300, 500)
        if len(hdu := hdu_of(compressed(SMALL, cards=with_cards(n)))) == 46_080
    )
    array, checking = array_of(frame, 1, SMALL.shape, Knowing)
    assert np.asarray(array[0, 4]).shape == (40,)
    assert checking.asked == [(0, 46_080)]  # with its tiles
    array, checking = array_of(frame, 1, SMALL.shape, Checking)
    assert np.asarray(array[0, 4]).shape == (40,)
    assert max(stop for _, stop in checking.asked) <= 46_080


@STORES
def test_a_frame_that_is_cut_short_is_corrupt_or_refused(store: type[Checking]) -> None:
    frame = hdu_of(FRAMES["large with a long header"])
    for length in (100, 2_880, 20_000, len(frame) // 2):
        array, _ = array_of(frame[:length], 1, LARGE.shape, store)
        with pytest.raises((FrameCorruptError, ValueError), match=r"cut short|ends beyond|header"):
            array[0, 299]


@STORES
def test_an_absent_chunk_is_the_fill_value(store: type[Checking]) -> None:
    array, checking = array_of(b"", 1, SMALL.shape, store)
    del checking._store_dict["c/0/0/0"]
    assert not np.asarray(array[0, 3]).any()


def test_frames_inside_of_a_shard() -> None:
    """There zarr's own byte getter gives no ranges."""
    codec = FITSCodecV3(FrameSpec(1, "<f4", SMALL.shape))

    class Inside:
        async def get(self, prototype: Any, byte_range: Any = None) -> Any:
            assert byte_range is None
            return Buffer.from_bytes(FRAMES["small"])

    chunk = chunk_spec_of(array_of(FRAMES["small"], 1, SMALL.shape, Checking)[0])
    index = (0, slice(3, 9), slice(1, 30, 4))
    part = asyncio.run(codec._decode_partial_single(Inside(), index, chunk))  # type: ignore[arg-type]
    assert part is not None
    assert_identical(np.asarray(part.as_numpy_array()), oracle(FRAMES["small"])[index])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_frame_is_at_least_as_long_as_its_beginning_tells(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(FRAMES)))
    file = FRAMES[name]
    n = data.draw(st.integers(1, min(len(file), 200_000)))
    try:
        find_hdu(file[:n], INDEX.get(name, 1), size=2**62)
    except TruncatedHeaderError:
        assert n < least_length(file[:n]) <= len(file)
