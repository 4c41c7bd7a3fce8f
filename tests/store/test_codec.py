"""The codecs as Zarr uses them: by name, by configuration, and in stores that check ranges."""

from __future__ import annotations

import asyncio
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import frames
import numcodecs
import numpy as np
import pytest
import zarr
from frames import assert_identical, compressed, fits, hdu_of, oracle, plain, scene
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.abc.store import RangeByteRequest
from zarr.core.buffer.cpu import Buffer
from zarr.storage import MemoryStore
from zarr_shim import chunk_spec_of

from dkist_virtual.errors import FrameCorruptError, StoreCorruptError
from dkist_virtual.fits.hdu import TruncatedHeaderError, find_hdu, least_length
from dkist_virtual.store.codecs import (
    CODEC_ID,
    FITSCodec,
    FITSCodecV3,
    FrameSpec,
    RawCodecV3,
    RawSpec,
)

DATA = scene((1, 5, 40))
FILE = compressed(DATA)
CONFIG = {"id": "dkist_fits", "hdu": 1, "dtype": "<f4", "shape": [1, 5, 40]}

FRESH = """
import json, sys
import numcodecs
codec = numcodecs.get_codec(json.loads(sys.argv[1]))
with open(sys.argv[2], "rb") as file:
    pixels = codec.decode(file.read())
assert pixels.dtype.str == "<f4"
sys.stdout.buffer.write(pixels.tobytes())
"""

FRESH_ZARR = """
import sys
import zarr
array = zarr.open_array(sys.argv[1], mode="r")
sys.stdout.buffer.write(array[...].tobytes())
"""


def fresh(code: str, *args: str) -> bytes:
    """Run code in an interpreter that has not imported this package; give what it wrote."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *args], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert not done.stderr
    return done.stdout


def v2_metadata(config: dict[str, Any], shape: list[int], dtype: str) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": shape,
        "chunks": [1, *config["shape"][1:]],
        "dtype": dtype,
        "compressor": config,
        "filters": None,
        "fill_value": None,
        "order": "C",
    }


def v3_metadata(config: dict[str, Any], shape: list[int], dtype: str) -> dict[str, Any]:
    configuration = {key: value for key, value in config.items() if key != "id"}
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": [1, *config["shape"][1:]]},
        },
        "chunk_key_encoding": {"name": "default"},
        "fill_value": 0,
        "codecs": [{"name": "dkist_fits", "configuration": configuration}],
    }


def in_memory(
    name: str, metadata: dict[str, Any], chunks: dict[str, bytes], mode: Any = "r"
) -> zarr.Array[Any]:
    """An array over a dictionary."""
    content = {name: json.dumps(metadata).encode(), **chunks}
    store = zarr.storage.MemoryStore({k: Buffer.from_bytes(v) for k, v in content.items()})
    return zarr.open_array(store=store, mode=mode, zarr_format=metadata["zarr_format"])


# By name, in an interpreter that knows nothing of this package ---------------------------------


def test_numcodecs_finds_the_codec_by_its_entry_point(tmp_path: Path) -> None:
    for name, data in (("file", FILE), ("hdu", frames.hdu_of(FILE))):
        path = tmp_path / name
        path.write_bytes(data)
        printed = fresh(FRESH, json.dumps(CONFIG), str(path))
        assert printed == frames.oracle(FILE).tobytes()


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_finds_the_codec_by_its_entry_point(tmp_path: Path, version: int) -> None:
    metadata = (
        (".zarray", v2_metadata(CONFIG, [1, 5, 40], "<f4"), "0.0.0")
        if version == 2
        else ("zarr.json", v3_metadata(CONFIG, [1, 5, 40], "float32"), "c/0/0/0")
    )
    name, content, key = metadata
    (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / key).write_bytes(FILE)
    assert fresh(FRESH_ZARR, str(tmp_path)) == frames.oracle(FILE).tobytes()


# numcodecs -------------------------------------------------------------------------------------


@pytest.mark.every(3)
@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, "i1")])
def test_decode_takes_any_buffer(wrap: Any) -> None:
    expected = frames.oracle(FILE)
    codec = FITSCodec(1, "<f4", [1, 5, 40])
    assert_identical(codec.decode(wrap(FILE)), expected)
    assert_identical(codec.decode(wrap(frames.hdu_of(FILE))), expected)


def test_decode_by_name() -> None:
    file = compressed(DATA, name="Science", before=[frames.fits.ImageHDU(np.zeros((2, 2), "i2"))])
    assert_identical(FITSCodec("SCIENCE", "<f4", [1, 5, 40]).decode(file), frames.oracle(file, 2))
    with pytest.raises(FrameCorruptError, match="has no HDU 'OTHER'"):
        FITSCodec("OTHER", "<f4", [1, 5, 40]).decode(file)


def test_decode_into_out() -> None:
    codec = numcodecs.get_codec(CONFIG)
    expected = frames.oracle(FILE)
    out = np.full((1, 5, 40), -1, "f4")
    assert codec.decode(FILE, out=out) is out
    assert_identical(out, expected)
    # numcodecs hands over any buffer of the right length.
    raw = bytearray(expected.nbytes)
    codec.decode(FILE, out=raw)
    assert bytes(raw) == expected.tobytes()
    with pytest.raises(ValueError, match=r"broadcast|size|shape|length"):
        codec.decode(FILE, out=np.zeros((1, 5, 41), "f4"))


@pytest.mark.parametrize(
    "dtype", ["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8"]
)
def test_pixels_are_of_the_type_declared(dtype: str) -> None:
    # Zarr v2 takes the bytes for the array's own type without looking at the codec's.
    data = scene((5, 40), dtype)
    codec = FITSCodec(0, dtype, [5, 40])
    pixels = codec.decode(plain(data))
    assert pixels.dtype.str == dtype
    assert pixels.tobytes() == data.astype(dtype).tobytes()


def test_frames_are_held_to_type_and_shape() -> None:
    with pytest.raises(FrameCorruptError, match=r"ZBITPIX = -32 .* expected float64"):
        FITSCodec(1, "<f8", [1, 5, 40]).decode(FILE)
    with pytest.raises(FrameCorruptError, match=r"ZNAXISn = \(40, 5, 1\): expected \(40, 5\)"):
        FITSCodec(1, "<f4", [5, 40]).decode(FILE)
    with pytest.raises(FrameCorruptError, match="0 bytes"):
        FITSCodec(1, "<f4", [5, 40]).decode(b"")


def test_encode_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="dkist_fits: FITS frames are read, never"):
        FITSCodec(1, "<f4", [1, 5, 40]).encode(DATA)


def test_the_configuration_comes_back() -> None:
    for hdu in (0, 7, "OBSERVATION"):
        config = {**CONFIG, "hdu": hdu}
        codec = numcodecs.get_codec(dict(config))
        assert isinstance(codec, FITSCodec)
        assert codec.codec_id == CODEC_ID == "dkist_fits"
        assert codec.get_config() == config
        assert json.loads(json.dumps(codec.get_config())) == config
        assert numcodecs.get_codec(codec.get_config()) == codec
        assert eval(repr(codec)) == codec


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"hdu": -1}, "hdu = -1: expected an index from 0"),
    ({"hdu": 10_000}, "hdu = 10000: expected an index from 0"),
    ({"hdu": True}, "hdu = True: expected an index or an EXTNAME"),
    ({"hdu": ""}, "hdu = '': expected"),
    ({"hdu": None}, "hdu = None: expected"),
    ({"hdu": 1.0}, "hdu = 1.0: expected"),
    ({"hdu": [1]}, r"hdu = \[1\]: expected"),
    ({"dtype": ">f4"}, "dtype = '>f4': expected one of .*<f4"),
    ({"dtype": "float32"}, "dtype = 'float32': expected one of"),
    ({"dtype": "<f2"}, "dtype = '<f2': expected one of"),
    ({"dtype": "<c8"}, "dtype = '<c8'"),
    ({"dtype": "|O"}, "dtype = '|O'"),
    ({"dtype": None}, "dtype = None"),
    ({"dtype": ["<f4"]}, r"dtype = \['<f4'\]"),
    ({"shape": []}, r"shape = .*: expected positive axis lengths"),
    ({"shape": [5, 0]}, "shape = .*: expected positive"),
    ({"shape": [5, -4]}, "shape = .*: expected positive"),
    ({"shape": [5.0, 4]}, "shape = .*: expected positive"),
    ({"shape": [True, 4]}, "shape = .*: expected positive"),
    ({"shape": ["5"]}, "shape = .*: expected positive"),
    ({"shape": 5}, "shape = 5: expected positive"),
    ({"shape": "54"}, "shape = .*: expected positive"),
    ({"shape": None}, "shape = None: expected positive"),
    ({"level": 3}, "has dtype, hdu, level, shape: expected hdu, dtype and shape"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_configurations_are_refused(change: dict[str, Any], message: str) -> None:
    config = {**CONFIG, **change}
    with pytest.raises(StoreCorruptError, match=message):
        numcodecs.get_codec(dict(config))
    configuration = {key: value for key, value in config.items() if key != "id"}
    with pytest.raises(StoreCorruptError, match=message):
        FITSCodecV3.from_dict({"name": "dkist_fits", "configuration": configuration})


@pytest.mark.parametrize("key", ["hdu", "dtype", "shape"])
def test_configurations_that_lack_something_are_refused(key: str) -> None:
    config = {name: value for name, value in CONFIG.items() if name != key}
    with pytest.raises(StoreCorruptError, match="expected hdu, dtype and shape"):
        numcodecs.get_codec(config)


def test_an_empty_configuration_is_refused() -> None:
    with pytest.raises(StoreCorruptError, match="has nothing: expected hdu"):
        FITSCodecV3.from_dict({"name": "dkist_fits"})


def test_codecs_pickle() -> None:
    spec = FrameSpec("OBSERVATION", "<f4", (1, 5, 40))
    for codec in (FITSCodec("OBSERVATION", "<f4", [1, 5, 40]), FITSCodecV3(spec), spec):
        again = pickle.loads(pickle.dumps(codec))
        assert again == codec
        assert type(again) is type(codec)
    codec = pickle.loads(pickle.dumps(FITSCodec(1, "<f4", [1, 5, 40])))
    assert_identical(codec.decode(FILE), frames.oracle(FILE))


# Zarr ------------------------------------------------------------------------------------------


def chunks_of(count: int) -> tuple[list[bytes], Any]:
    files = [
        compressed(scene((1, 5, 40), seed=i, blanks=0.1), method=method, seed=1 + i)
        for i, method in zip(range(count), [*frames.METHODS] * count, strict=False)
    ]
    return files, np.concatenate([frames.oracle(file) for file in files])


def test_a_zarr_v2_array_reads_right() -> None:
    files, expected = chunks_of(3)
    # Both forms of bytes in one array: scanned frames, and frames that were not.
    chunks = {"0.0.0": files[0], "1.0.0": frames.hdu_of(files[1]), "2.0.0": files[2]}
    array = in_memory(".zarray", v2_metadata(CONFIG, [3, 5, 40], "<f4"), chunks)
    assert_identical(np.asarray(array[...]), expected)
    assert_identical(np.asarray(array[1:, 2, ::3]), expected[1:, 2, ::3])


def test_a_zarr_v3_array_reads_right() -> None:
    files, expected = chunks_of(3)
    chunks = {"c/0/0/0": files[0], "c/1/0/0": frames.hdu_of(files[1]), "c/2/0/0": files[2]}
    array = in_memory("zarr.json", v3_metadata(CONFIG, [3, 5, 40], "float32"), chunks)
    assert_identical(np.asarray(array[...]), expected)
    assert_identical(np.asarray(array[1:, 2, ::3]), expected[1:, 2, ::3])


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_raises_what_the_decoder_raises(version: int) -> None:
    broken = frames.edited(FILE, 1, {"ZTILE1": 0})
    array = (
        in_memory(".zarray", v2_metadata(CONFIG, [1, 5, 40], "<f4"), {"0.0.0": broken})
        if version == 2
        else in_memory("zarr.json", v3_metadata(CONFIG, [1, 5, 40], "float32"), {"c/0/0/0": broken})
    )
    with pytest.raises(FrameCorruptError, match="ZTILE1 = 0: expected 1 or more"):
        array[...]


def test_the_zarr_v3_codec_comes_back() -> None:
    codec = FITSCodecV3(FrameSpec("OBSERVATION", "<f8", (998, 100)))
    entry = codec.to_dict()
    assert entry == {
        "name": "dkist_fits",
        "configuration": {"hdu": "OBSERVATION", "dtype": "<f8", "shape": [998, 100]},
    }
    assert FITSCodecV3.from_dict(json.loads(json.dumps(entry))) == codec
    assert zarr.registry.get_codec_class("dkist_fits") is FITSCodecV3


OTHER_ARRAYS: dict[str, tuple[list[int], list[int], str]] = {
    "dtype = '<f4': expected that of the array, int16": ([1, 5, 40], [1, 5, 40], "int16"),
    "dtype = '<f4': expected that of the array, float64": ([1, 5, 40], [1, 5, 40], "float64"),
    r"shape = \[1, 5, 40\]: .* chunks of \[10, 20\]": ([10, 20], [10, 20], "float32"),
    r"shape = \[1, 5, 40\]: .* chunks of \[5, 1, 40\]": ([5, 2, 40], [5, 1, 40], "float32"),
    r"shape = \[1, 5, 40\]: .* chunks of \[1, 5, 20\]": ([1, 5, 40], [1, 5, 20], "float32"),
}


@pytest.mark.parametrize("index", [..., (0, slice(0, 2))], ids=["whole", "part"])
@pytest.mark.parametrize("message", list(OTHER_ARRAYS))
def test_an_array_of_other_type_or_chunks_is_refused(message: str, index: Any) -> None:
    shape, chunks, dtype = OTHER_ARRAYS[message]
    metadata = v3_metadata(CONFIG, shape, dtype)
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    array = in_memory("zarr.json", metadata, {"c/" + "/".join("0" * len(shape)): FILE})
    with pytest.raises(StoreCorruptError, match=message):
        array[index]


@pytest.mark.parametrize("chunks", [[5, 40], [1, 5, 40], [1, 1, 1, 5, 40]])
def test_chunks_and_frames_may_differ_in_leading_axes_of_length_one(chunks: list[int]) -> None:
    metadata = v3_metadata(CONFIG, chunks, "float32")
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = chunks
    array = in_memory("zarr.json", metadata, {"c/" + "/".join("0" * len(chunks)): FILE})
    expected = oracle(FILE).reshape(chunks)
    assert_identical(np.asarray(array[...]), expected)
    assert_identical(np.asarray(array[..., 1:4, 3:30:4]), np.asarray(expected[..., 1:4, 3:30:4]))


def test_the_zarr_v3_codec_writes_nothing() -> None:
    metadata = v3_metadata(CONFIG, [1, 5, 40], "float32")
    array = in_memory("zarr.json", metadata, {"c/0/0/0": FILE}, mode="r+")
    with pytest.raises(NotImplementedError, match="FITS frames are read, never written"):
        array[...] = 1
    assert_identical(np.asarray(array[...]), frames.oracle(FILE))
    codec = FITSCodecV3(FrameSpec(1, "<f4", (1, 5, 40)))
    with pytest.raises(NotImplementedError, match="the size of a frame is not known"):
        codec.compute_encoded_size(800, array.metadata)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="never written"):
        asyncio.run(codec._encode_single(None, None))  # type: ignore[arg-type]


# The neutral name ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [2, 3])
def test_the_neutral_name_is_found_and_reads_the_same_pixels(version: int) -> None:
    config = {**CONFIG, "id": "fits_image"}
    expected = oracle(FILE)
    if version == 2:
        codec = numcodecs.get_codec(config)
        assert codec.get_config() == config
        assert_identical(np.asarray(codec.decode(FILE)), expected)
        with pytest.raises(NotImplementedError, match="fits_image: FITS frames are read, never"):
            codec.encode(expected)
        array = in_memory(".zarray", v2_metadata(config, [1, 5, 40], "<f4"), {"0.0.0": FILE})
    else:
        metadata = v3_metadata(config, [1, 5, 40], "float32")
        metadata["codecs"][0]["name"] = "fits_image"
        array = in_memory("zarr.json", metadata, {"c/0/0/0": FILE})
        (found,) = array.metadata.to_dict()["codecs"]  # type: ignore[misc, call-overload]
        assert found == metadata["codecs"][0]
    assert_identical(np.asarray(array[...]), expected)
    assert_identical(np.asarray(array[0, 1:4, ::7]), np.asarray(expected[0, 1:4, ::7]))


def test_the_neutral_name_for_virtualizarr_makes_bytes() -> None:
    metadata = v3_metadata(CONFIG, [1, 5, 40], "float32")
    entry = {**metadata["codecs"][0], "name": "numcodecs.fits_image"}
    metadata["codecs"] = [{"name": "bytes", "configuration": {"endian": "little"}}, entry]
    array = in_memory("zarr.json", metadata, {"c/0/0/0": FILE})
    assert_identical(np.asarray(array[0, 2]), np.asarray(oracle(FILE)[0, 2]))
    codec: Any = zarr.registry.get_codec_class("numcodecs.fits_image").from_dict(entry)
    assert codec.to_dict() == entry
    assert codec.codec_config == {**CONFIG, "id": "fits_image"}


# There and back ---------------------------------------------------------------------------------

DTYPES = ["<f4", "<f8", "<i2", "<u2", "<i4", "|u1", "|i1"]
SPECS = st.builds(
    FrameSpec,
    st.integers(0, 9999) | st.text("ABCXYZ 09", min_size=1, max_size=9),
    st.sampled_from(DTYPES),
    st.lists(st.integers(1, 5000), min_size=1, max_size=4).map(tuple),
)


@given(SPECS)
def test_codecs_come_back(spec: FrameSpec) -> None:
    config = json.loads(json.dumps(spec.to_config()))
    assert FrameSpec.from_config(config) == spec
    v2 = FITSCodec(spec.hdu, spec.dtype, list(spec.shape))
    assert FITSCodec.from_config(json.loads(json.dumps(v2.get_config()))).spec == spec
    v3 = FITSCodecV3(spec)
    assert FITSCodecV3.from_dict(json.loads(json.dumps(v3.to_dict()))) == v3
    assert pickle.loads(pickle.dumps(v3)) == v3


@given(st.sampled_from([">f4", ">i2", "|u1"]), st.lists(st.integers(1, 99), min_size=1).map(tuple))
def test_the_raw_codec_comes_back(dtype: str, shape: tuple[int, ...]) -> None:
    codec = RawCodecV3(RawSpec(dtype, shape))
    assert RawCodecV3.from_dict(json.loads(json.dumps(codec.to_dict()))) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec


# What is asked of a store -----------------------------------------------------------------------


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


IN_STORES = {
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


BOTH = pytest.mark.parametrize("store", [Checking, Knowing])


@BOTH
@pytest.mark.parametrize("form", ["file", "hdu"])
@pytest.mark.parametrize("name", list(IN_STORES))
def test_nothing_beyond_the_end_is_asked_for(name: str, form: str, store: type[Checking]) -> None:
    file, hdu = IN_STORES[name], INDEX.get(name, 1)
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
        for n in range(300, 500, 30)  # each more than a block of its header
        if len(hdu := hdu_of(compressed(SMALL, cards=with_cards(n)))) == 46_080
    )
    array, checking = array_of(frame, 1, SMALL.shape, Knowing)
    assert np.asarray(array[0, 4]).shape == (40,)
    assert checking.asked == [(0, 46_080)]  # with its tiles
    array, checking = array_of(frame, 1, SMALL.shape, Checking)
    assert np.asarray(array[0, 4]).shape == (40,)
    assert max(stop for _, stop in checking.asked) <= 46_080


@BOTH
def test_a_frame_that_is_cut_short_is_corrupt_or_refused(store: type[Checking]) -> None:
    frame = hdu_of(IN_STORES["large with a long header"])
    for length in (100, 2_880, 20_000, len(frame) // 2):
        array, _ = array_of(frame[:length], 1, LARGE.shape, store)
        with pytest.raises((FrameCorruptError, ValueError), match=r"cut short|ends beyond|header"):
            array[0, 299]


@BOTH
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
            return Buffer.from_bytes(IN_STORES["small"])

    chunk = chunk_spec_of(array_of(IN_STORES["small"], 1, SMALL.shape, Checking)[0])
    index = (0, slice(3, 9), slice(1, 30, 4))
    part = asyncio.run(codec._decode_partial_single(Inside(), index, chunk))  # type: ignore[arg-type]
    assert part is not None
    assert_identical(np.asarray(part.as_numpy_array()), oracle(IN_STORES["small"])[index])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_frame_is_at_least_as_long_as_its_beginning_tells(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(IN_STORES)))
    file = IN_STORES[name]
    n = data.draw(st.integers(1, min(len(file), 200_000)))
    try:
        find_hdu(file[:n], INDEX.get(name, 1), size=2**62)
    except TruncatedHeaderError:
        assert n < least_length(file[:n]) <= len(file)
