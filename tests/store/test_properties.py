"""Compare a store with a dict; handles, selections and descriptions come back as they were."""

from __future__ import annotations

import asyncio
import io
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from dkist_virtual.cube.selection import Selection
from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.store.format.references import (
    ArrayMetadata,
    FrameColumns,
    ReferenceSet,
    chunk_key,
    read_json,
    write_json,
)
from dkist_virtual.store.handle import StoreHandle
from dkist_virtual.store.integrity import PlainPieces
from dkist_virtual.store.read_options import ReadOptions
from dkist_virtual.store.zarr_store import FrameStore

PROTOTYPE = default_buffer_prototype()


# Plain pixels ---------------------------------------------------------------------------------


@given(
    data=st.binary(min_size=8, max_size=400).map(lambda data: data[: len(data) // 8 * 8]),
    kind=st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8"]),
    cuts=st.lists(st.integers(1, 40), max_size=4),
    wrong=st.booleans(),
)
def test_pieces_of_plain_pixels_are_turned_and_add_up(
    data: bytes, kind: str, cuts: list[int], wrong: bool
) -> None:
    words = int(np.frombuffer(data, ">u4").astype(object).sum())
    total = words % (2**32 - 1)  # its ones' complement, as FITS adds
    pieces = PlainPieces(np.dtype(kind), (total + wrong) % (2**32 - 1))
    for _ in range(2):  # again from the beginning, as of a file that changed
        buffer = bytearray(data)
        ends = [0, *sorted({8 * cut for cut in cuts if 8 * cut < len(data)}), len(data)]
        for begin, end in itertools.pairwise(ends):
            pieces(begin, memoryview(buffer)[begin:end])
    expected = np.frombuffer(data, f">{kind}").byteswap().tobytes()
    assert bytes(buffer) == expected
    if wrong:
        with pytest.raises(FrameCorruptError, match="expected DATASUM"):
            pieces.check()
    else:
        pieces.check()


# The store against a dict -----------------------------------------------------------------------


@st.composite
def stores(draw: st.DrawFn) -> tuple[tuple[int, ...], list[bytes | None], bytes]:
    """The shape of the frame axes, each frame's bytes or None for one without a file, and a gap."""
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=0, max_size=3)))
    n = int(np.prod(shape, dtype=int))
    frame = st.binary(min_size=24, max_size=24)
    frames = draw(st.lists(st.none() | frame, min_size=n, max_size=n))
    return shape, frames, draw(st.binary(max_size=7))


REQUESTS = st.one_of(
    st.none(),
    st.tuples(st.integers(0, 24), st.integers(0, 24)).map(
        lambda pair: RangeByteRequest(min(pair), max(pair))
    ),
    st.integers(0, 24).map(OffsetByteRequest),
    st.integers(1, 24).map(SuffixByteRequest),
)


def cut(data: bytes, request: Any) -> bytes:
    """What the words of a request mean."""
    if isinstance(request, RangeByteRequest):
        return data[request.start : request.end]
    if isinstance(request, OffsetByteRequest):
        return data[request.offset :]
    if isinstance(request, SuffixByteRequest):
        return data[len(data) - request.suffix :]
    return data


@settings(max_examples=60, deadline=None)
@given(stores(), st.data())
def test_the_store_is_a_dict_of_its_frames(
    tmp_path_factory: pytest.TempPathFactory, made: Any, data: st.DataObject
) -> None:
    shape, frames, gap = made
    directory = tmp_path_factory.mktemp("model")
    metadata = ArrayMetadata((*shape, 2, 3), (*(1,) * len(shape), 2, 3), ">f4", None, {})
    columns = FrameColumns.absent(metadata.n_frames)
    model: dict[str, bytes] = {}
    # All frames in one file, one behind the other, with something in between.
    everything = b""
    for position, frame in enumerate(frames):
        if frame is not None:
            columns.urls[position] = str(directory / "all")
            columns.offsets[position] = len(everything) + len(gap)
            columns.lengths[position] = len(frame)
            everything += gap + frame
            model[f"data/{chunk_key(metadata, position)}"] = frame
    (directory / "all").write_bytes(everything)
    made_set = ReferenceSet(
        {"base": str(directory), "format_version": 1}, {"data": (metadata, columns)}
    )
    again = read_json(write_json(made_set), "here")  # a store is its files
    store = FrameStore(again, ReadOptions(missing="nan"))
    absent = [f"data/{chunk_key(metadata, p)}" for p, f in enumerate(frames) if f is None]
    strangers = ["", "data", "x", "data/", "data/0.0", "data/9.9.9.9.9", "zarr.json/x", "data/c/0"]
    documents = {"zarr.json", "data/zarr.json"}

    async def hold() -> None:
        listed = [key async for key in store.list()]
        assert len(listed) == len(set(listed))
        assert set(listed) == documents | set(model)
        keys = data.draw(
            st.lists(st.sampled_from([*model, *absent, *strangers, *documents]), max_size=9)
        )
        for key in keys:
            request = data.draw(REQUESTS)
            found = await store.get(key, PROTOTYPE, request)
            assert await store.exists(key) == (key in model or key in documents)
            if key in model:
                assert found is not None
                assert found.to_bytes() == cut(model[key], request)
            elif key not in documents:
                assert found is None
        prefix = data.draw(st.sampled_from(["", "data/", "z", "data/0", "nothing"]))
        found_below = {key async for key in store.list_prefix(prefix)}
        assert found_below == {key for key in documents | set(model) if key.startswith(prefix)}
        top = {name async for name in store.list_dir("")}
        assert top == {"zarr.json", "data"}
        inside = {f"data/{name}" async for name in store.list_dir("data/")}
        assert inside == {key for key in documents | set(model) if key.startswith("data/")}

    asyncio.run(hold())


# There and back ---------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_selections_come_back(shape: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(0, len(shape)))
    index = tuple(data.draw(st.integers(0, m - 1)) for m in shape[:n])
    selection = Selection.whole(shape)[index]
    assert pickle.loads(pickle.dumps(selection)) == selection


NAMES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1)
NAMES = NAMES.filter(str.strip)  # what is blank names no place
OPTIONS = st.dictionaries(
    st.sampled_from(["https://a.org/x/", "s3://b"]), st.dictionaries(st.text(), st.integers())
)


@given(
    st.sampled_from(["/a", "https://a.org/x"]), st.sampled_from(["raise", "nan"]),
    st.lists(NAMES).map(tuple), OPTIONS, st.none() | st.just("/cache"),
    st.sampled_from([None, True, False]), st.booleans(), st.lists(NAMES),
    st.sampled_from(["auto", "frame", "8 MiB", 7, -1, (1, -1, (3, 4)), {0: 1, "y": None}]),
)  # fmt: skip
def test_handles_come_back(
    url: str,
    missing: Any,
    frames: Any,
    options: Any,
    cache: Any,
    local: Any,
    verify: bool,
    here: Any,
    chunks: Any,
) -> None:
    handle = StoreHandle(
        url, None, ReadOptions(frames or None, missing, chunks, options, cache, local, verify), here
    )
    again = pickle.loads(pickle.dumps(handle))
    assert again == handle
    assert again.options == handle.options


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.floats(allow_nan=False) | st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20
    ),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abcdef", min_size=1, max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
TREES = st.dictionaries(st.text("abcdef", min_size=1, max_size=5), PLAIN, max_size=4)


@settings(max_examples=15, deadline=None)
@given(TREES, TREES, st.booleans())
def test_descriptions_come_back(
    tmp_path_factory: pytest.TempPathFactory, inventory: Any, meta: Any, masked: bool
) -> None:
    from astropy.modeling import models
    from gwcs import WCS, coordinate_frames

    from dkist_virtual.store.format.dataset_asdf import (
        Description,
        TileMeta,
        read_description,
        write_description,
    )

    frame = coordinate_frames.SpectralFrame(unit=u.nm, axes_names=("wavelength",))
    pixel = coordinate_frames.CoordinateFrame(1, "PIXEL", (0,), unit=u.pix, name="pixel")
    wcs = WCS([(pixel, models.Shift(5) | models.Scale(2.5)), (frame, None)])
    mask = np.array([True, False]) if masked else None
    made = Description(
        None, (TileMeta(None, wcs, u.ct, mask, {}),), inventory, meta, {}, {"asdf": "x"}
    )
    path = tmp_path_factory.mktemp("description") / "dataset.asdf"
    write_description(made, path)
    for again in (read_description(path), read_description(io.BytesIO(path.read_bytes()))):
        assert (again.inventory, again.meta) == (inventory, meta)
        assert again.tiles[0].unit == u.ct
        assert (again.tiles[0].mask is not None) == masked
        assert again.tiles[0].wcs(3) == wcs(3) == 20
