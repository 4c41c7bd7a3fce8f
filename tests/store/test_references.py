"""Write references to JSON and Parquet and read them back: what is read when, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dkist_assets import MOSAIC, ROOT, VISP, unpacked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dkist_virtual as dv
from dkist_virtual.conversion.asdf.source import read_source
from dkist_virtual.conversion.references import references_of
from dkist_virtual.errors import StoreCorruptError
from dkist_virtual.store.format import references as r
from dkist_virtual.store.format import references_parquet as shards_room
from dkist_virtual.store.frame_spec import FrameSpec, ImageSpec

EXTREME = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

# Any reference set ----------------------------------------------------------------------------

names = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\n"), min_size=1, max_size=12
)
urls = st.builds(
    str.__add__, st.sampled_from(["/data/a b/", "https://h/ü/", "s3://bucket/{{u}}/"]), names
)
biggest = 2**62
entries = st.one_of(
    st.just(("", -1, -1)),
    st.tuples(urls, st.just(-1), st.just(-1)),
    st.tuples(urls, st.integers(0, biggest), st.integers(1, biggest)),
)


def columns(rows: list[tuple[str, int, int]]) -> r.FrameColumns:
    table = r.FrameColumns.absent(len(rows))
    for i, (url, offset, length) in enumerate(rows):
        table.urls[i], table.offsets[i], table.lengths[i] = url, offset, length
    return table


@st.composite
def arrays(draw: st.DrawFn, suffix: str = "") -> tuple[r.ArrayMetadata, r.FrameColumns]:
    frame_axes = tuple(draw(st.lists(st.integers(1, 4), max_size=3)))
    core = tuple(draw(st.lists(st.integers(2, 5), min_size=1, max_size=3)))
    dtype = draw(st.sampled_from(["<f4", "<f8", "<i2", "|u1"]))
    spec = None
    if draw(st.booleans()):
        leading = draw(st.sampled_from([(), (1,)]))
        kind = draw(st.sampled_from([FrameSpec, ImageSpec]))
        spec = kind(draw(st.sampled_from([0, 1, "OBSERVATION"])), dtype, leading + core)
    else:
        dtype = dtype.replace("<", ">")
    shape = frame_axes + core
    metadata = r.ArrayMetadata(
        shape,
        (1,) * len(frame_axes) + core,
        dtype,
        spec,
        {
            "_ARRAY_DIMENSIONS": [f"axis_{i}{suffix}" for i in range(len(shape))],
            "axis_names": draw(st.lists(names, min_size=len(shape), max_size=len(shape))),
            "unit": draw(st.sampled_from([None, "", "ct"])),
        },
    )
    n = int(np.prod(frame_axes))
    return metadata, columns(draw(st.lists(entries, min_size=n, max_size=n)))


@st.composite
def sets(draw: st.DrawFn) -> r.ReferenceSet:
    root: dict[str, Any] = {"format_version": 1, "base": "/data", "n_bytes": None}
    if draw(st.booleans()):
        return r.ReferenceSet({**root, "tiles": None}, {"data": draw(arrays())})
    places = draw(
        st.lists(
            st.tuples(st.integers(0, 11), st.integers(0, 11)), min_size=1, max_size=4, unique=True
        ).map(sorted)
    )
    root["tiles"] = {"shape": [12, 12], "present": [list(place) for place in places]}
    return r.ReferenceSet(root, {f"data_{i}_{j}": draw(arrays(f"_{i}_{j}")) for i, j in places})


def as_values(references: r.ReferenceSet) -> Any:
    return references.attributes, [
        (name, metadata.to_zarray(), metadata.attributes, list(every(metadata, frames).rows()))
        for name, (metadata, frames) in references.arrays.items()
    ]


def every(metadata: r.ArrayMetadata, frames: r.FrameTable) -> r.FrameColumns:
    return frames.take(np.arange(metadata.n_frames))


def in_parquet(references: r.ReferenceSet) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    shards_room.write_parquet(references, files.__setitem__)
    return files


def reading(files: dict[str, bytes], read: list[str] | None = None) -> Callable[[str], bytes]:
    """A reader of `files` that notes what was asked for."""

    def one(name: str) -> bytes:
        if read is not None:
            read.append(name)
        try:
            return files[name]
        except KeyError:
            raise FileNotFoundError(name) from None

    return one


@EXTREME
@given(sets())
def test_json_and_back(references: r.ReferenceSet) -> None:
    again = r.read_json(r.write_json(references), "there")
    assert as_values(again) == as_values(references)
    assert again.store_id("X") == references.store_id("X")


@EXTREME
@given(references=sets(), size=st.integers(1, 7))
def test_parquet_and_back(
    monkeypatch: pytest.MonkeyPatch, references: r.ReferenceSet, size: int
) -> None:
    before = references.store_id("X")
    monkeypatch.setattr(shards_room, "RECORD_SIZE", size)
    again = shards_room.read_parquet(reading(in_parquet(references)), "there")
    assert as_values(again) == as_values(references)
    # How references are cut into shards is not part of what they are.
    assert again.store_id("X") == before


@EXTREME
@given(references=sets(), data=st.data())
def test_the_store_id_tells_sets_apart(references: r.ReferenceSet, data: st.DataObject) -> None:
    one = references.store_id("X")
    assert one != references.store_id(None)
    name = data.draw(st.sampled_from(list(references.arrays)))
    metadata, frames = references.arrays[name]
    rows = list(every(metadata, frames).rows())
    at = data.draw(st.integers(0, len(rows) - 1))
    rows[at] = data.draw(entries.filter(lambda entry: entry != rows[at]))
    changed = {**references.arrays, name: (metadata, columns(rows))}
    assert r.ReferenceSet(references.attributes, changed).store_id("X") != one


@EXTREME
@given(sets())
def test_chunk_keys_are_c_order(references: r.ReferenceSet) -> None:
    for metadata, _ in references.arrays.values():
        grid = [-(-n // c) for n, c in zip(metadata.shape, metadata.chunks, strict=True)]
        expected = [".".join(map(str, index)) for index in np.ndindex(*grid)]
        assert [r.chunk_key(metadata, i) for i in range(metadata.n_frames)] == expected


# Read when touched ----------------------------------------------------------------------------


def ten(n: int = 10) -> r.ReferenceSet:
    metadata = r.ArrayMetadata(
        (n, 2, 3), (1, 2, 3), "<f4", FrameSpec(1, "<f4", (2, 3)), {"unit": None}
    )
    rows = [(f"/data/{i}.fits", 2880, 5760 + i) for i in range(n)]
    root = {"format_version": 1, "tiles": None}
    return r.ReferenceSet(root, {"data": (metadata, columns(rows))})


@pytest.fixture
def shards(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    monkeypatch.setattr(shards_room, "RECORD_SIZE", 4)
    files = in_parquet(ten())
    monkeypatch.undo()
    assert set(files) == {".zmetadata"} | {f"data/refs.{i}.parq" for i in range(3)}
    return files


def test_one_frame_reads_one_shard_once(shards: dict[str, bytes]) -> None:
    read: list[str] = []
    frames = shards_room.read_parquet(reading(shards, read), "there").arrays["data"][1]
    assert read == [".zmetadata"]
    assert list(frames.take(np.array([5])).rows()) == [("/data/5.fits", 2880, 5765)]
    assert read == [".zmetadata", "data/refs.1.parq"]
    assert list(frames.take(np.array([7, 4])).urls) == ["/data/7.fits", "/data/4.fits"]
    assert read == [".zmetadata", "data/refs.1.parq"]
    both = frames.take(np.array([9, 0, 9, 5]))
    assert both.lengths.tolist() == [5769, 5760, 5769, 5765]
    assert sorted(read[2:]) == ["data/refs.0.parq", "data/refs.2.parq"]


def test_shards_of_kerchunk_are_read(shards: dict[str, bytes]) -> None:
    """They are padded to the record size, and their paths may be dictionary-encoded."""
    table = pq.read_table(pa.BufferReader(shards["data/refs.2.parq"]))
    padding = pa.table(
        {"path": [None, None], "offset": [0, 0], "size": [0, 0], "raw": [None, None]},
        schema=table.schema,
    )
    padded = pa.concat_tables([table, padding])
    padded = padded.set_column(0, "path", padded["path"].dictionary_encode())
    shards["data/refs.2.parq"] = parquet(padded.drop_columns(["raw"]))
    frames = shards_room.read_parquet(reading(shards), "there").arrays["data"][1]
    assert list(frames.take(np.array([8, 9])).urls) == ["/data/8.fits", "/data/9.fits"]


# Refused, by the name of the file -------------------------------------------------------------


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    """`ten` as JSON, with the whole document changed in place; metadata as objects."""
    document = json.loads(r.write_json(ten()))
    refs = document["refs"]
    keys = [key for key in refs if isinstance(refs[key], str)]
    for key in keys:
        refs[key] = json.loads(refs[key])
    change(document)
    for key in keys:
        if key in refs:
            refs[key] = json.dumps(refs[key])
    return json.dumps(document).encode()


def zarray(**new: Any) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["refs"]["data/.zarray"].update(new)


def codec(**new: Any) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["refs"]["data/.zarray"]["compressor"].update(new)


def root(**new: Any) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["refs"][".zattrs"]["dkist_virtual"].update(new)


def refs(**new: Any) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["refs"].update({k.replace("_", "/", 1): v for k, v in new.items()})


def drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda d: d["refs"].pop(key)


TILES = {"shape": [1, 2], "present": [[0, 0], [0, 1]]}

WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "templates": (lambda d: d.update(templates={"u": "x"}), "templates"),
    "gen": (lambda d: d.update(gen=[]), "templates"),
    "version 0": (lambda d: d.update(version=0), "version 1"),
    "no version": (lambda d: d.pop("version"), "version 1"),
    "no refs": (lambda d: d.pop("refs"), "refs"),
    "refs is a list": (lambda d: d.update(refs=[]), "references"),
    "format 2": (root(format_version=2), "format_version is 2: .* reads 1"),
    "format true": (root(format_version=True), "format_version is True"),
    "format 1.0": (root(format_version=1.0), "format_version is 1.0"),
    "no root attributes": (drop(".zattrs"), "zattrs"),
    "another's root": (lambda d: d["refs"][".zattrs"].pop("dkist_virtual"), "dkist_virtual"),
    "no array": (drop("data/.zarray"), "data/.zarray"),
    "no attributes": (drop("data/.zattrs"), "data/.zattrs"),
    "a tile is gone": (root(tiles=TILES), "data_0_0/.zarray"),
    "tiles without present": (root(tiles={"shape": [1, 2]}), "present"),
    "another codec": (zarray(compressor={"id": "zlib", "level": 1}), "zlib.*expected dkist_fits"),
    "a filter": (zarray(filters=[{"id": "delta"}]), "filters"),
    "Fortran order": (zarray(order="F"), "order"),
    "Zarr 3": (zarray(zarr_format=3), "zarr_format"),
    "separator": (zarray(dimension_separator="/"), "dimension_separator"),
    "chunks cut frames": (zarray(chunks=[1, 1, 3]), "one chunk per frame"),
    "chunks join frames": (zarray(chunks=[2, 2, 3]), "one chunk per frame"),
    "chunks lack an axis": (zarray(chunks=[1, 2]), "chunks"),
    "empty axis": (zarray(shape=[0, 2, 3]), "shape"),
    "complex": (zarray(dtype="<c8"), "dtype"),
    "no dtype at all": (zarray(dtype="nonsense"), "nonsense"),
    "dtype against codec": (zarray(dtype=">f4"), "codec for frames of"),
    "codec of another shape": (codec(shape=[3, 3]), "codec for frames of"),
    "codec with an option": (codec(dither=1), "expected hdu, dtype and shape"),
    "codec with a bad HDU": (codec(hdu=-1), "hdu = -1"),
    "codec with a bad dtype": (codec(dtype=">f4"), "dtype = '>f4'"),
    "chunk beyond the end": (refs(**{"data_10.0.0": ["/x"]}), "10.0.0"),
    "chunk beyond one frame": (refs(**{"data_0.1.0": ["/x"]}), "0.1.0"),
    "negative chunk": (refs(**{"data_-1.0.0": ["/x"]}), "-1.0.0"),
    "chunk of too few axes": (refs(**{"data_0.0": ["/x"]}), "0.0"),
    "chunk that is no number": (refs(**{"data_a.0.0": ["/x"]}), "a.0.0"),
    "chunk of no array": (refs(**{"other_0.0.0": ["/x"]}), "other"),
    "inline data": (refs(**{"data_1.0.0": "base64:AAAA"}), "data/1.0.0"),
    "no URL": (refs(**{"data_1.0.0": [None]}), "data/1.0.0.*expected a URL"),
    "empty URL": (refs(**{"data_1.0.0": ["", 0, 4]}), "expected a URL"),
    "URL and offset alone": (refs(**{"data_1.0.0": ["/x", 0]}), "data/1.0.0"),
    "too many": (refs(**{"data_1.0.0": ["/x", 0, 4, 5]}), "data/1.0.0"),
    "empty range": (refs(**{"data_1.0.0": ["/x", 0, 0]}), "data/1.0.0"),
    "negative offset": (refs(**{"data_1.0.0": ["/x", -2, 4]}), "data/1.0.0"),
    "length of whole file": (refs(**{"data_1.0.0": ["/x", -1, 4]}), "data/1.0.0"),
    "offset is text": (refs(**{"data_1.0.0": ["/x", "0", 4]}), "data/1.0.0"),
    "offset is a fraction": (refs(**{"data_1.0.0": ["/x", 0.5, 4]}), "data/1.0.0"),
    "offset of no file": (refs(**{"data_1.0.0": ["/x", 2**70, 4]}), "data/1.0.0"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_json_is_refused(case: str) -> None:
    change, message = WRONG[case]
    with pytest.raises(StoreCorruptError, match=f"(?s)^/s/references.json: .*{message}"):
        r.read_json(changed(change), "/s/references.json")


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"null", b"3", b'{"version": 1, "refs": {".zattrs": "{"}}', b"\xff\xfe{"],
    ids=repr,
)
def test_what_is_no_reference_set_is_refused(text: bytes) -> None:
    with pytest.raises(StoreCorruptError, match=r"^/s/references.json: .*Convert the dataset"):
        r.read_json(text, "/s/references.json")


def test_what_another_version_adds_is_ignored() -> None:
    def add(document: dict[str, Any]) -> None:
        document["refs"][".zattrs"]["dkist_virtual"]["new"] = 1
        document["refs"][".zattrs"]["other"] = 1
        document["refs"]["data/.zattrs"]["new"] = 1

    again = r.read_json(changed(add), "there")
    assert as_values(again)[1][0][3] == as_values(ten())[1][0][3]


def test_the_bytes_that_convert_writes_are_json_for_anyone() -> None:
    document = json.loads(r.write_json(ten()), parse_constant=pytest.fail)
    for value in document["refs"].values():
        if isinstance(value, str):
            json.loads(value, parse_constant=pytest.fail)


ZMETADATA: dict[str, Callable[[dict[str, Any]], object]] = {
    "no metadata": lambda d: d.pop("metadata"),
    "no record size": lambda d: d.pop("record_size"),
    "record size 0": lambda d: d.update(record_size=0),
    "record size true": lambda d: d.update(record_size=True),
    "record size text": lambda d: d.update(record_size="4"),
    "no array": lambda d: d["metadata"].pop("data/.zarray"),
    "version": lambda d: d["metadata"][".zattrs"]["dkist_virtual"].update(format_version=2),
}


@pytest.mark.parametrize("case", ZMETADATA)
def test_wrong_zmetadata_is_refused(case: str, shards: dict[str, bytes]) -> None:
    document = json.loads(shards[".zmetadata"])
    ZMETADATA[case](document)
    shards[".zmetadata"] = json.dumps(document).encode()
    with pytest.raises(StoreCorruptError, match=r"^/s/references.parq/.zmetadata: "):
        shards_room.read_parquet(reading(shards), "/s/references.parq")


def test_zmetadata_that_is_gone_or_garbage_is_refused(shards: dict[str, bytes]) -> None:
    shards[".zmetadata"] = b"\0\1"
    with pytest.raises(StoreCorruptError, match=r"^/s/references.parq/.zmetadata: "):
        shards_room.read_parquet(reading(shards), "/s/references.parq")
    del shards[".zmetadata"]
    with pytest.raises(StoreCorruptError, match=r"^/s/references.parq/.zmetadata: is missing"):
        shards_room.read_parquet(reading(shards), "/s/references.parq")


def shard(**new: Any) -> bytes:
    table = {
        "path": ["/a", "/b", "/c", None],
        "offset": [0, 0, 2880, 0],
        "size": [0, 0, 10, 0],
        "raw": pa.array([None] * 4, pa.binary()),
    }
    return parquet(pa.table({k: v for k, v in {**table, **new}.items() if v is not None}))


SHARDS: dict[str, tuple[bytes | None, str]] = {
    "gone": (None, "is missing from the store"),
    "empty": (b"", "cannot be read"),
    "garbage": (b"PAR1" + bytes(40) + b"PAR1", "cannot be read"),
    "cut": (shard()[:-20], "cannot be read"),
    "short": (
        shard(path=["/a"], offset=[0], size=[0], raw=pa.array([None], pa.binary())),
        "has 1 references: expected 4",
    ),
    "no path": (shard(path=None), "path"),
    "no size": (shard(size=None), "size"),
    "null size": (shard(size=[0, 0, None, 0]), "cannot be read"),
    "size without offset": (shard(offset=[0, 0, -5, 0]), "offset and length"),
    "offset without size": (shard(size=[0, 0, 0, 0]), "offset"),
    "negative size": (shard(size=[0, 0, -3, 0]), "offset and length"),
    "path is a number": (shard(path=[1, 2, 3, 4]), "path"),
    "fractions": (shard(offset=[0.5, 0, 0, 0]), "offset"),
    "inline data": (shard(raw=pa.array([b"abc", None, None, None])), "raw"),
}


@pytest.mark.parametrize("case", SHARDS)
def test_a_wrong_shard_is_refused_when_touched(case: str, shards: dict[str, bytes]) -> None:
    data, message = SHARDS[case]
    del shards["data/refs.1.parq"]
    if data is not None:
        shards["data/refs.1.parq"] = data
    frames = shards_room.read_parquet(reading(shards), "/s/references.parq").arrays["data"][1]
    assert frames.take(np.array([0])).urls[0] == "/data/0.fits"
    with pytest.raises(
        StoreCorruptError, match=f"(?s)^/s/references.parq/data/refs.1.parq: .*{message}"
    ):
        frames.take(np.array([5]))


def test_a_good_shard_like_those_is_not_refused(shards: dict[str, bytes]) -> None:
    shards["data/refs.1.parq"] = shard()
    frames = shards_room.read_parquet(reading(shards), "there").arrays["data"][1]
    assert list(frames.take(np.arange(4, 8)).rows()) == [
        ("/a", -1, -1), ("/b", -1, -1), ("/c", 2880, 10), ("", -1, -1),
    ]  # fmt: skip


def test_failures_to_read_are_not_called_corrupt(shards: dict[str, bytes]) -> None:
    """A disk or server that fails is no word about the store."""

    def failing(name: str) -> bytes:
        if name.endswith(".parq"):
            raise PermissionError(13, "not allowed", name)
        return shards[name]

    frames = shards_room.read_parquet(failing, "there").arrays["data"][1]
    with pytest.raises(PermissionError, match="not allowed"):
        frames.take(np.array([5]))


def test_two_entries_for_one_frame_cannot_be(tmp_path: Path) -> None:
    metadata, frames = ten().arrays["data"]
    with pytest.raises(StoreCorruptError, match="data has 3 entries for 10 frames"):
        r.ReferenceSet({}, {"data": (metadata, frames.take(np.arange(3)))})
    with pytest.raises(StoreCorruptError, match="no arrays"):
        r.ReferenceSet({}, {})


@pytest.mark.slow
def test_a_damaged_store_is_named_by_both_doors_of_ours(tmp_path: Path) -> None:
    """End to end: the file that is broken is in the message, JSON and parquet."""
    visp = ROOT / "small_visp"
    for form in ("json", "parquet"):
        dv.convert(visp, tmp_path / form, references=form)  # type: ignore[arg-type]
    broken = tmp_path / "json" / "references.json"
    broken.write_bytes(broken.read_bytes()[:-30])
    with pytest.raises(StoreCorruptError, match=r"json/references.json: "):
        dv.open_zarr(tmp_path / "json")
    shard = tmp_path / "parquet" / "references.parq" / "data" / "refs.0.parq"
    shard.write_bytes(shard.read_bytes()[:-30])
    with pytest.raises(StoreCorruptError, match=r"data/refs.0.parq: "):
        dv.open_dataset(tmp_path / "parquet").data.compute()  # type: ignore[union-attr]


# The store id ---------------------------------------------------------------------------------

SAME_ID = """
import sys
from dkist_virtual.conversion.references import references_of
from dkist_virtual.conversion.asdf.source import read_source
from pathlib import Path
print(references_of(read_source(Path(sys.argv[1])), sys.argv[2]).attributes["store_id"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [VISP, MOSAIC])
def test_the_store_id_is_the_same_whoever_makes_it(name: str, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path)
    from_asdf = references_of(read_source(path), str(tmp_path)).attributes["store_id"]
    for form in ("json", "parquet"):
        dv.convert(path, tmp_path / form, scan="never", references=form)  # type: ignore[arg-type]
        group = dv.open_zarr(tmp_path / form)
        assert group.attrs["dkist_virtual"]["store_id"] == from_asdf  # type: ignore[index,call-overload]
    (opened,) = {
        ds.data.name for ds in [first(dv.open_dataset(path)), first(dv.open_dataset(path))]
    }
    assert opened.startswith("dkist-")


def first(opened: Any) -> Any:
    return opened.flat[0] if isinstance(opened, dv.TiledDataset) else opened


@pytest.mark.slow
def test_the_store_id_is_the_same_in_another_process(tmp_path: Path) -> None:
    path = unpacked(VISP, tmp_path)
    here = references_of(read_source(path), "/elsewhere").attributes["store_id"]
    there = subprocess.run(
        [sys.executable, "-c", SAME_ID, str(path), "/elsewhere"],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split()[-1] == here
    assert references_of(read_source(path), "/other").attributes["store_id"] != here
