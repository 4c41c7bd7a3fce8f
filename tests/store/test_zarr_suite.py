"""zarr's own tests of stores and codecs, as the installed zarr has them, on ours.

Those that need to write are left out; what writing comes to is tested here beside them.
"""

from __future__ import annotations

import asyncio
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import BY_NAME, oracle, write_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import BufferPrototype, default_buffer_prototype
from zarr.core.buffer.cpu import Buffer
from zarr.storage import MemoryStore
from zarr.testing.buffer import NDBufferUsingTestNDArrayLike, TestBuffer
from zarr.testing.store import StoreTests
from zarr.testing.strategies import basic_indices, orthogonal_indices
from zarr_shim import KeyedStore, chunk_spec_of, run_here

import dkist_virtual as dv

#: What `StoreTests` writes through the store itself, or lists by the names that it gave.
WRITES = {
    "test_clear", "test_delete", "test_delete_dir", "test_delete_nonexistent_key_does_not_raise",
    "test_delete_sync", "test_delete_sync_missing", "test_delete_sync_visible_to_async_get",
    "test_exists", "test_get_sync", "test_get_sync_byte_range_parity", "test_get_sync_missing",
    "test_getsize_prefix", "test_is_empty", "test_list", "test_list_dir", "test_list_empty_path",
    "test_list_prefix", "test_set", "test_set_if_not_exists", "test_set_many", "test_set_not_open",
    "test_set_sync", "test_sync_async_set_get_parity",
}  # fmt: skip


class TestFrameStore(StoreTests[KeyedStore, Buffer]):
    store_cls = KeyedStore
    buffer_cls = Buffer

    for _name, _test in inspect.getmembers(StoreTests, inspect.isfunction):
        if _name in WRITES:
            locals()[_name] = None
        elif inspect.iscoroutinefunction(_test) and _name.startswith("test_"):
            locals()[_name] = run_here(_test)

    async def set(self, store: KeyedStore, key: str, value: Any) -> None:
        store.file(key).write_bytes(value.to_bytes())

    async def get(self, store: KeyedStore, key: str) -> Any:
        return self.buffer_cls.from_bytes(store.file(key).read_bytes())

    @pytest.fixture
    def store_kwargs(self, tmp_path: Path) -> dict[str, Any]:
        return {"directory": tmp_path}

    @pytest.fixture
    def store(self, open_kwargs: dict[str, Any]) -> KeyedStore:
        return asyncio.run(self.store_cls.open(**open_kwargs))

    @pytest.fixture
    def store_not_open(self, store_kwargs: dict[str, Any]) -> KeyedStore:
        return self.store_cls(**store_kwargs)

    def test_store_repr(self, store: KeyedStore) -> None:
        assert repr(store) == str(store) == "<KeyedStore in memory>"

    def test_store_supports_writes(self, store: KeyedStore) -> None:
        assert not store.supports_writes
        assert not store.supports_deletes

    def test_store_supports_listing(self, store: KeyedStore) -> None:
        assert store.supports_listing

    def test_store_read_only(self, store: KeyedStore) -> None:
        assert store.read_only
        with pytest.raises(AttributeError):
            store.read_only = False  # type: ignore[misc]

    def test_store_open_read_only(self, open_kwargs: dict[str, Any]) -> None:
        store = asyncio.run(self.store_cls.open(**open_kwargs, read_only=True))
        assert store.read_only
        with pytest.raises(ValueError, match="read_only = False: expected True"):
            asyncio.run(self.store_cls.open(**open_kwargs, read_only=False))

    @run_here
    async def test_serializable_store(self, store: KeyedStore) -> None:
        await self.set(store, "foo", self.buffer_cls.from_bytes(b"\1\2\3\4"))
        again = pickle.loads(pickle.dumps(store))
        assert again == store
        assert hash(again) == hash(store)
        assert again.read_only
        observed = await again.get(store.own("foo"), prototype=default_buffer_prototype())
        assert observed.to_bytes() == b"\1\2\3\4"

    @run_here
    async def test_every_way_to_write_is_refused(self, store: KeyedStore) -> None:
        value = self.buffer_cls.from_bytes(b"1")
        await self.set(store, "there", value)
        ways: list[Callable[[], Any]] = [
            lambda: store.set("new", value),
            lambda: store.set("there", value),
            lambda: store.set_if_not_exists("new", value),
            lambda: store.set_if_not_exists("there", value),
            lambda: store._set_many([("new", value)]),
            lambda: store.delete("there"),
            lambda: store.delete("new"),
            lambda: store.delete_dir("data"),
            store.clear,
        ]
        for way in ways:
            with pytest.raises(ValueError, match="read-only mode and does not support writing"):
                await way()
        assert store.with_read_only(True) == store

    @run_here
    async def test_sizes_of_all_keys(self, store: KeyedStore) -> None:
        for i in range(12):
            await self.set(store, str(i), self.buffer_cls.from_bytes(b"x" * i))
        assert await store.getsize_prefix("data") == 66 + await store.getsize("data/zarr.json")


# Byte ranges, MemoryStore being the oracle ----------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    base = tmp_path_factory.mktemp("suite")

    def make(name: str) -> Path:
        if not (base / name).exists():
            path = write_dataset(BY_NAME[name], base / name)
            scan: Any = BY_NAME[name].scan
            dv.convert(path, base / name / "store", scan=scan)
        return base / name

    return make


KEYS = ("zarr.json", "data/zarr.json", "data/0.1.0.0")


@pytest.fixture(scope="module", params=["compressed", "plain", "never"])
def both(request: pytest.FixtureRequest, made: Callable[[str], Path]) -> Any:
    """A store, and a MemoryStore of the same bytes."""
    store: Any = dv.open_zarr(made(request.param) / "store").store

    async def copied() -> MemoryStore:
        found = {key: await store.get(key, default_buffer_prototype()) for key in KEYS}
        return MemoryStore(found, read_only=True)

    return store, asyncio.run(copied())


NUMBERS = st.one_of(st.integers(0, 4), st.integers(0, 60_000), st.sampled_from([2**31, 2**63]))
RANGES = st.one_of(
    st.none(),
    st.builds(RangeByteRequest, NUMBERS, NUMBERS),
    st.builds(OffsetByteRequest, NUMBERS),
    st.builds(SuffixByteRequest, NUMBERS),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=st.sampled_from(KEYS), wanted=RANGES)
def test_every_byte_range_is_memory_stores(both: Any, key: str, wanted: ByteRequest | None) -> None:
    store, memory = both

    async def get(of: Any) -> bytes:
        return (await of.get(key, default_buffer_prototype(), wanted)).to_bytes()

    expected = asyncio.run(get(memory))
    if isinstance(wanted, SuffixByteRequest):
        # MemoryStore gives less than all where more than all is asked for; HTTP gives all.
        whole = len(memory._store_dict[key])
        expected = expected if wanted.suffix <= whole else memory._store_dict[key].to_bytes()
    assert asyncio.run(get(store)) == expected


@pytest.mark.parametrize("key", [*KEYS, "data/9.9.9.9"])
@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ((0, 2), TypeError),
        (slice(0, 2), TypeError),
        ("0-2", TypeError),
        (5, TypeError),
        (RangeByteRequest(0, 2.5), TypeError),  # type: ignore[arg-type]
        (RangeByteRequest(None, 2), TypeError),  # type: ignore[arg-type]
        (SuffixByteRequest(True), TypeError),
        (RangeByteRequest(-3, 2), ValueError),
        (OffsetByteRequest(-1), ValueError),
        (SuffixByteRequest(-1), ValueError),
    ],
)
def test_what_is_no_byte_range_is_refused(
    both: Any, key: str, wanted: Any, error: type[Exception]
) -> None:
    store, _ = both
    with pytest.raises(error, match="Unexpected byte_range, got"):
        asyncio.run(store.get(key, default_buffer_prototype(), wanted))
    with pytest.raises(error, match="Unexpected byte_range, got"):
        asyncio.run(store.get_partial_values(default_buffer_prototype(), [(key, wanted)]))


# Codecs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["compressed", "plain"])
def test_codecs_make_the_buffers_that_are_asked_for(name: str, made: Any) -> None:
    """As zarr's own test of codecs with buffers of another type."""
    array: Any = dv.open_zarr(made(name) / "store")["data"]
    prototype = BufferPrototype(buffer=TestBuffer, nd_buffer=NDBufferUsingTestNDArrayLike)
    expected = oracle(BY_NAME[name], made(name))["data"]
    for index in (..., (0, slice(1, 3), slice(2, 5), slice(None, None, 3))):
        got = array.get_basic_selection(index, prototype=prototype)
        assert type(got) is type(
            prototype.nd_buffer.create(shape=(1,), dtype="f4").as_ndarray_like()
        )
        np.testing.assert_array_equal(np.asarray(got), expected[index])


@pytest.mark.parametrize("name", ["compressed", "plain"])
def test_codecs_come_back_from_their_metadata(name: str, made: Any) -> None:
    array: Any = dv.open_zarr(made(name) / "store")["data"]
    (codec,) = array.metadata.codecs
    assert type(codec).from_dict(codec.to_dict()) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec
    spec = chunk_spec_of(array)
    assert codec.evolve_from_array_spec(spec) == codec
    assert codec.resolve_metadata(spec) == spec


SELECTIONS = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", ["compressed", "plain"])
@SELECTIONS
@given(data=st.data())
def test_zarrs_own_selections(name: str, made: Any, data: st.DataObject) -> None:
    array: Any = dv.open_zarr(made(name) / "store")["data"]
    expected = oracle(BY_NAME[name], made(name))["data"]
    index = data.draw(basic_indices(shape=array.shape))
    np.testing.assert_array_equal(np.asarray(array[index]), expected[index])
    for_zarr, for_numpy = data.draw(orthogonal_indices(shape=array.shape))
    np.testing.assert_array_equal(np.asarray(array.oindex[for_zarr]), expected[for_numpy])
