"""Check what a store from a stranger may not do. Each test fails without its defence."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asdf
import dask
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web
from frames import plain
from header_files import read_headers, read_own_columns
from watches import MEMORY, little_memory

import dkist_virtual as dv
from dkist_virtual import errors as e
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.store.format import limits
from dkist_virtual.store.format.references import read_json
from dkist_virtual.store.format.references_parquet import read_parquet
from dkist_virtual.store.frame_locations import FrameLocations

pytestmark = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
def store(original: Path, tmp_path: Path) -> Path:
    """A store of one's own, to be changed; its frames are those of the original."""
    return Path(shutil.copytree(original / "json.virtual", tmp_path / "store"))


@pytest.fixture
def parquet(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original / "parquet.virtual", tmp_path / "parquet"))


@pytest.fixture(scope="module")
def served(original: Path) -> Iterator[FrameServer]:
    with FrameServer(original).running() as server:
        yield server


def with_references(store: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = store / "references.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def frames_of(refs: dict[str, Any]) -> list[str]:
    return [key for key in refs if not key.rpartition("/")[2].startswith(".z")]


def pointing(url: str) -> Callable[[dict[str, Any]], None]:
    """The first frame is somewhere else."""

    def change(document: dict[str, Any]) -> None:
        refs = document["refs"]
        refs[frames_of(refs)[0]][0] = url

    return change


def first(ds: Any) -> Any:
    return ds[(0,) * (len(ds.shape) - 2)].data.compute()


# Where references lead --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_a_store_from_a_server_reads_no_file_of_this_machine(
    form: str, server: FrameServer
) -> None:
    place = f"{server.url}/{form}.virtual"  # whose frames are on this machine's disk
    ds = dv.open_dataset(place)
    assert "none here" in str(ds.files)
    assert set(ds.files.where()) == {None}
    with pytest.raises(e.FrameRefusedError, match=r"data/0\.0.*allow_local=True"):
        first(ds)
    with pytest.raises(e.FrameRefusedError):
        dv.open_zarr(place)["data"][0]
    with pytest.raises(e.FrameRefusedError):
        ds.download(server.directory / "never")
    assert not (server.directory / "never").exists()
    pixels = first(dv.open_dataset(server.directory / f"{form}.virtual"))
    assert np.array_equal(first(dv.open_dataset(place, allow_local=True)), pixels, equal_nan=True)
    there = dv.open_dataset(place, frames=server.directory / "frames")  # named by the user
    assert np.array_equal(first(there), pixels, equal_nan=True)


@pytest.mark.slow
def test_workers_refuse_it_too(server: FrameServer) -> None:
    ds = dv.open_dataset(f"{server.url}/json.virtual")
    with pytest.raises(e.FrameRefusedError), dask.config.set(scheduler="processes", num_workers=1):
        first(ds)
    array = pickle.loads(pickle.dumps(ds.provenance.array))
    with pytest.raises(e.FrameRefusedError):
        array[0, 0]
    allowed = dv.open_dataset(f"{server.url}/json.virtual", allow_local=True)
    assert pickle.loads(pickle.dumps(allowed.provenance.array))[0, 0].shape == (40, 64)


def test_a_store_on_this_machine_may_be_kept_from_it(store: Path) -> None:
    assert first(dv.open_dataset(store)).shape == (40, 64)
    with pytest.raises(e.FrameRefusedError, match="allow_local"):
        first(dv.open_dataset(store, allow_local=False))


@pytest.mark.parametrize(
    "url",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "local:///etc/passwd",
        "simplecache::file:///etc/passwd",
        "blockcache::https://example.org/a.fits",
        "zip://a::/etc/passwd",
        "ssh://example.org/a.fits",
        "git:///home",
        "//server/share/a.fits",
        "C:\\a.fits",
        "data:,x",
    ],
)
def test_only_servers_and_buckets_count_as_elsewhere(url: str) -> None:
    with pytest.raises(e.FrameRefusedError, match="opened from a server"):
        FrameLocations("https://example.org", allow_local=False).candidates(url)
    assert FrameLocations("https://example.org", allow_local=False).where(url) is None


@pytest.mark.parametrize(
    "url", ["https://a.org/a.fits", "HTTPS://A.org/a.fits", "s3://b/a b.fits", "gs://b/x/../y"]
)
def test_what_a_store_may_say(url: str) -> None:
    places = FrameLocations("https://a.org", allow_local=False)
    if ".." in url:
        with pytest.raises(e.FrameRefusedError, match="climbs"):
            places.candidates(url)
    else:
        assert places.candidates(url) == (url,)


@pytest.mark.parametrize("climb", ["..", "%2e%2e", ".%2E", "%2e%2e%2fx", "x\\.."])
def test_urls_that_climb_take_no_credentials_along(climb: str, server: FrameServer) -> None:
    # Whoever makes a store names the file; a prefix says whose file may have the token.
    options = {f"{server.url}/mine": {"headers": {"X-Token": "s3cret"}}}
    url = f"{server.url}/mine/{climb}/frames/a.fits"
    try:  # what it is asked for as, if at all, decides
        assert not Fetcher(options).options(url)
    except e.LocationError:
        pass
    with pytest.raises(e.FrameRefusedError, match="climbs"):
        FrameLocations(f"{server.url}/mine").candidates(url)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.fits",
        "a/../../secret.fits",
        "a//../secret.fits",
        "..\\secret.fits",
        "./a",
        "a\nb",
    ],
)
def test_no_reference_leads_outside_frames(name: str, tmp_path: Path) -> None:
    (tmp_path / "frames" / "a").mkdir(parents=True)
    (tmp_path / "secret.fits").write_text("mine")
    for named in (str(tmp_path / "frames"), "https://example.org/frames"):
        places = FrameLocations("https://a.org/data", (named,))
        with pytest.raises(e.FrameRefusedError, match="called"):
            places.candidates(f"https://a.org/data/{name}")
    places = FrameLocations("https://a.org/data")
    places.downloads = (str(tmp_path / "frames"),)
    with pytest.raises(e.FrameRefusedError):
        places.candidates(f"https://a.org/data/{name}")


def test_a_name_that_a_server_would_decode_to_climb(tmp_path: Path) -> None:
    name = "a/%2e%2e/%2e%2e/secret.fits"
    with pytest.raises(e.FrameRefusedError, match="called"):
        FrameLocations("s3://a", ("https://example.org/frames",)).candidates(f"s3://a/{name}")
    # On a disk it is a name like any other.
    here = FrameLocations("s3://a", (str(tmp_path),)).candidates(f"s3://a/{name}")
    assert here == (f"{tmp_path}/{name}",)


def test_a_frame_beside_frames_is_not_read(store: Path, original: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (victim,) = sorted((original / "frames").glob("*_0000.fits"))
    shutil.copy(victim, tmp_path / "secret.fits")
    base = json.loads(json.loads((store / "references.json").read_text())["refs"][".zattrs"])
    with_references(store, pointing(f"{base['dkist_virtual']['base']}/../secret.fits"))
    with pytest.raises(e.FrameRefusedError, match=r"'\.\./secret\.fits'"):
        first(dv.open_dataset(store, frames=tmp_path / "frames"))


def test_a_manifest_is_one_file_a_line(store: Path) -> None:
    # aria2 would take the second line for an option, and write wherever it says.
    with_references(store, pointing("https://a.org/x\n  dir=/home/ada/.ssh\n/authorized_keys"))
    with pytest.raises(e.FrameRefusedError, match="control character"):
        dv.open_dataset(store).files.to_manifest("aria2")


# Templates, and bytes inline --------------------------------------------------------------------

JINJA = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__ }}"


def test_templates_are_refused_and_never_evaluated(store: Path) -> None:
    def with_templates(document: dict[str, Any]) -> None:
        document["templates"] = {"u": "https://example.org/{{ 6 * 7 }}"}
        refs = document["refs"]
        refs[frames_of(refs)[0]][0] = "{{u}}/a.fits"

    with_references(store, with_templates)
    with pytest.raises(e.StoreCorruptError, match="without templates"):
        dv.open_dataset(store)


@pytest.mark.parametrize("url", [JINJA, "https://example.org/{{ 6 * 7 }}.fits", "{% raw %}"])
def test_what_looks_like_a_template_is_a_name(url: str, store: Path) -> None:
    with_references(store, pointing(url))
    ds = dv.open_dataset(store)
    assert ds.files.urls[0] == url
    assert "42" not in str(ds.files.urls[0])


@pytest.mark.parametrize("value", ["base64:AAAA", {"url": "x"}, ["x", 0, 1, 2], [["x"]], None])
def test_a_frame_is_a_reference_and_nothing_else(value: Any, store: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        refs = document["refs"]
        refs[frames_of(refs)[0]] = value

    with_references(store, change)
    with pytest.raises(e.StoreCorruptError):
        dv.open_dataset(store)


# Sizes ------------------------------------------------------------------------------------------


def shaped(axis: int, n: int) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        refs = document["refs"]
        zarray = json.loads(refs["data/.zarray"])
        zarray["shape"][axis] = n
        if axis < 0:
            zarray["chunks"][axis] = n
        refs["data/.zarray"] = json.dumps(zarray)

    return change


@pytest.mark.parametrize("n", [2**29, 10**12, 2**63, 10**30])
@pytest.mark.parametrize("axis", [0, -1])
def test_references_cannot_ask_for_a_terabyte(axis: int, n: int, store: Path) -> None:
    with_references(store, shaped(axis, n))
    with little_memory(), pytest.raises(e.StoreCorruptError, match="more than"):
        dv.open_dataset(store)


@pytest.mark.parametrize("n", [10**12, 2**63])
def test_nor_can_those_in_parquet(n: int, parquet: Path) -> None:
    path = parquet / "references.parq" / ".zmetadata"
    document = json.loads(path.read_text())
    document["metadata"]["data/.zarray"]["shape"][0] = n
    path.write_text(json.dumps(document))
    with little_memory(), pytest.raises(e.StoreCorruptError, match="more than"):
        dv.open_dataset(parquet)
    document["metadata"]["data/.zarray"]["shape"][0] = 4
    document["record_size"] = n
    path.write_text(json.dumps(document))
    with pytest.raises(e.StoreCorruptError, match="record_size"):
        dv.open_dataset(parquet)


def written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    return bytes(sink.getvalue())


def repeated(text: str, n: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))


@pytest.mark.parametrize(("n", "length"), [(10_000, 2**20), (10_000_000, 1)])
def test_a_shard_cannot_ask_for_a_terabyte(n: int, length: int, parquet: Path) -> None:
    shard = parquet / "references.parq" / "data" / "refs.0.parq"
    zeros = pa.array(np.zeros(n, np.int64))
    shard.write_bytes(
        written(pa.table({"path": repeated("x" * length, n), "offset": zeros, "size": zeros}))
    )
    assert shard.stat().st_size < 200_000
    ds = dv.open_dataset(parquet)
    before = pa.total_allocated_bytes()
    with little_memory(), pytest.raises(e.StoreCorruptError, match=r"asks for|expected at most"):
        first(ds)
    assert pa.total_allocated_bytes() - before < MEMORY


def headers_with(store: Path, name: str, array: pa.Array | None, **notes: Any) -> Path:
    """The header table with another column, or other notes to it."""
    path = store / "headers.parquet"
    table = pq.read_table(path)
    at = table.schema.get_field_index(name)
    field = table.schema.field(at)
    about = {**json.loads(field.metadata[b"dkist_virtual"]), **notes}
    column = table.column(at) if array is None else array
    field = pa.field(name, column.type, metadata={b"dkist_virtual": json.dumps(about).encode()})
    pq.write_table(table.set_column(at, field, column), path, compression="zstd")
    return path


@pytest.mark.parametrize("width", [10**6, 5 * 10**8])
def test_a_header_table_cannot_ask_for_a_terabyte_by_its_notes(width: int, store: Path) -> None:
    path = store / "headers.parquet"
    table = pq.read_table(path)
    many = pa.concat_tables([table] * 1000).replace_schema_metadata(table.schema.metadata)
    pq.write_table(many, path)
    headers_with(store, "DATE-AVG", None, dtype=f"<U{width}")
    with little_memory(), pytest.raises(e.StoreCorruptError, match=r"asks for|not fit"):
        read_headers(path)


@pytest.mark.slow
def test_nor_by_one_long_text(store: Path) -> None:
    path = store / "headers.parquet"
    n = len(pq.read_table(path))
    table = pq.read_table(path)
    big = pa.concat_tables([table] * 2000)
    pq.write_table(big.replace_schema_metadata(table.schema.metadata), path)
    headers_with(store, "DATE-AVG", repeated("x" * 2**26, 2000 * n), dtype="O", none=False)
    before = pa.total_allocated_bytes()
    with little_memory(), pytest.raises(e.StoreCorruptError, match="asks for"):
        read_headers(path)
    assert pa.total_allocated_bytes() - before < MEMORY


def test_nor_by_one_that_parquet_calls_plain_text(store: Path) -> None:
    path = store / "headers.parquet"
    schema = pq.read_schema(path)
    field = schema.field("DATE-AVG").with_type(pa.string())
    long = pa.table([["x" * 2**20] * 400], pa.schema([field], schema.metadata))
    pq.write_table(long, path, compression="zstd", dictionary_pagesize_limit=2**22)
    assert path.stat().st_size < 10_000
    with pytest.raises(e.StoreCorruptError, match="asks for"):
        read_headers(path)


def test_nor_by_rows_that_are_not_there(store: Path) -> None:
    path = store / "headers.parquet"
    table = pq.read_table(path)
    n = limits.MAX_FRAMES + 1
    null = pa.nulls(n, pa.int64())
    pq.write_table(pa.table({"_size": null}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with little_memory(), pytest.raises(e.StoreCorruptError, match="rows"):
        read_own_columns(path, ["_size"])
    pq.write_table(table.slice(0, 3), path)
    ds = dv.open_dataset(store)
    with pytest.raises(e.StoreCorruptError, match="3 rows for 8 frames"):
        ds.headers  # noqa: B018
    with pytest.raises(e.StoreCorruptError, match="3 rows for 8 frames"):
        first(ds)


def test_columns_without_a_type_know_nothing(store: Path) -> None:
    path = store / "headers.parquet"
    table = pq.read_table(path)
    for name in ("_size", "_mtime", "_etag"):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, pa.field(name, pa.null()), pa.nulls(len(table)))
    pq.write_table(table, path)
    assert first(dv.open_dataset(store)).size
    assert all(column.mask.all() for column in read_own_columns(path, ["_size", "_etag"]).values())


def test_a_name_that_is_no_text(store: Path) -> None:
    path = store / "headers.parquet"
    data = path.read_bytes()
    assert data.count(b"_datasum") > 1
    path.write_bytes(data.replace(b"_datasum", b"_datasu\xff"))
    with pytest.raises(e.StoreCorruptError, match="cannot be read"):
        dv.open_dataset(store).headers  # noqa: B018


@pytest.mark.every(6)
@pytest.mark.parametrize(
    "dtype", ["O8", "|O", "{'names': ['a'], 'formats': ['O']}", "[('a', 'O')]", "V8", "nonsense"]
)
def test_no_bytes_of_a_header_table_are_taken_for_pointers(dtype: str, store: Path) -> None:
    # In a process of its own: without the defence it ends in a segmentation fault.
    spelled = dtype if dtype[0] in "[{" else json.dumps(dtype)
    spelled = "[!!python/tuple [a, O]]" if dtype.startswith("[(") else spelled
    # Eight times x, as base64 of base64: astropy decodes it once more than YAML.
    array = "!numpy.ndarray {buffer: !!binary ZUhoNGVIaDRlSGc9, order: C, shape: [1], dtype: "
    text = f"x: {array}{spelled}}}\n"
    path = headers_with(store, "DATE-AVG", None, meta_yaml=text)
    code = (
        "import sys\nfrom dkist_virtual.store.format.headers import HeaderFile\n"
        "print(HeaderFile(sys.argv[1]).headers()['DATE-AVG'].meta['x'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("!numpy.ndarray"), done.stdout  # the text, and no array


def tree_of(text: str) -> bytes:
    head = "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n"
    return f"{head}--- !core/asdf-1.1.0\n{text}\n...\n".encode()


def laughs(depth: int) -> str:
    lines = ["x0: &x0 [" + ", ".join("1" * 10) + "]"]
    lines += [f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, depth)]
    return "\n".join(lines)


def block(stored: bytes, size: int, used: int | None = None) -> bytes:
    used = len(stored) if used is None else used
    return (
        b"\xd3BLK"
        + struct.pack(">HI4sQQQ16s", 48, 0, b"zlib", used, used, size, bytes(16))
        + stored
    )


ARRAY = "a: !core/ndarray-1.0.0 {source: 0, datatype: float64, byteorder: little, shape: [3]}"
BAD_ASDF = {
    "a tree that repeats itself": tree_of(laughs(12)),
    "a tree that holds itself": tree_of("a: &a [*a]"),
    "a tree that is nested deep": tree_of("a: " + "[" * 5000 + "]" * 5000),
    "a block of a terabyte": tree_of(ARRAY) + block(b"x" * 100, 2**40),
    "blocks of a terabyte": tree_of(ARRAY) + block(b"x" * 10, 2**28) * 3,
    "a block beyond the file": tree_of(ARRAY) + block(b"x" * 10, 10, 2**40),
    "no YAML": tree_of("a: [}"),
    "nothing": b"",
}


@pytest.mark.parametrize("what", BAD_ASDF)
def test_an_asdf_asks_for_no_more_than_it_has(what: str, store: Path) -> None:
    (store / "dataset.asdf").write_bytes(BAD_ASDF[what])
    with little_memory(), pytest.raises(e.StoreCorruptError, match=r"dataset\.asdf"):
        dv.open_dataset(store)


@pytest.mark.parametrize(
    "source",
    [
        "'{place}'", "{place}", "*place", "0\n    <<: *merged", "0\n    *key : '{place}'",
        "http://127.0.0.1:9/a.asdf", "/dev/zero", "[0]",
    ],
)  # fmt: skip
def test_an_array_of_an_asdf_lies_in_that_asdf(source: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.asdf"
    asdf.AsdfFile({"x": np.arange(3)}).write_to(secret)
    text = (
        f"place: &place '{secret.as_uri()}'\nkey: &key source\n"
        f"merged: &merged {{source: '{secret.as_uri()}'}}\n"
        "x: !core/ndarray-1.0.0\n"
        f"    source: {source.format(place=secret.as_uri())}\n"
        "    datatype: int64\n    byteorder: little\n    shape: [3]\n"
    )
    with pytest.raises(e.StoreCorruptError, match="array"):
        limits.check_asdf(tree_of(text), "there.asdf")
    mine = tree_of(text.replace(f"source: {source.format(place=secret.as_uri())}", "source: -1"))
    limits.check_asdf(mine, "there.asdf")


def test_a_store_reads_no_asdf_beside_its_own(store: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.asdf"
    asdf.AsdfFile({"x": np.full((2, 2), 7.25)}).write_to(secret)
    data = (store / "dataset.asdf").read_bytes()
    assert b"source: 0" in data
    (store / "dataset.asdf").write_bytes(
        data.replace(b"source: 0", b"source: '" + secret.as_uri().encode() + b"'", 1)
    )
    with pytest.raises(e.StoreCorruptError, match="an array is in 'file:"):
        dv.open_dataset(store)


@pytest.mark.parametrize(
    "options",
    [
        {"http://": {"headers": {"X": "s3cret"}}},
        {"https://": {"client_kwargs": {"auth": "s3cret"}}},
        {"s3://": {"secret": "s3cret"}},
        {"http": {"params": {"token": "s3cret"}}},
        {"https": {"client_kwargs": {"headers": {"Authorization": "s3cret"}}}},
        {"az": {"sas_token": "s3cret"}},
        {"s3": {"profile": "s3cret"}},
    ],
)
def test_credentials_for_every_server_are_refused(options: Any) -> None:
    (place,) = options
    if place.partition("://")[0] not in fsspec.available_protocols():
        pytest.fail(f"{place}: unknown here")
    with pytest.raises(ValueError, match="every server") as caught:
        Fetcher(options)
    assert "s3cret" not in str(caught.value)


def test_pipes_and_devices_are_no_frames(store: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(e.FrameUnreachableError, match="not a regular file"):
            Fetcher().read(str(path))
        with pytest.raises(e.FrameUnreachableError, match="not a regular file"):
            Fetcher().answer(Request(str(path), 0, 10, into=memoryview(bytearray(10))))


def test_nothing_commands_the_terminal(store: Path) -> None:
    path = store / "dataset.asdf"
    data = path.read_bytes()
    (own,) = set(re.findall(rb"datasetId: (\S+)", data))
    path.write_bytes(data.replace(b"datasetId: " + own, b'datasetId: "\\e[2J\\u202e"', 1))
    ds = dv.open_dataset(store)
    said = [str(ds), repr(ds), str(e.StoreError("a\x1b[2J\x9b1m"))]
    assert "\\x1b[2J\\u202e" in said[0]
    assert not any(re.search("[\x1b\x9b\u202e]", text) for text in said)


def test_asdfs_are_not_refused_for_what_they_may_hold() -> None:
    shared = {"b": list(range(1000))}
    buffer = io.BytesIO()
    file = asdf.AsdfFile({"a": [shared] * 100, "x": np.zeros(3_000_000), "y": np.arange(5)})
    file.write_to(buffer, all_array_compression="zlib")
    limits.check_asdf(buffer.getvalue(), "good")


def test_a_frame_that_ends_before_its_reference_asks_for_nothing(store: Path) -> None:
    def longer(document: dict[str, Any]) -> None:
        refs = document["refs"]
        refs[frames_of(refs)[0]][2] = 2**50

    with_references(store, longer)
    with little_memory(), pytest.raises(e.FrameCorruptError):
        dv.open_zarr(store).store.read_frame("data", 0)
    fetcher = Fetcher()
    frame = store / "references.json"
    for length in (2**20, 2**45):
        with little_memory(), pytest.raises(e.FrameCorruptError, match="shorter"):
            fetcher.read(str(frame), 5, length)
    rest = fetcher.answer(Request(str(frame), 5, 2**60, exact=False))
    assert rest.data == frame.read_bytes()[5:]


def test_a_server_that_sends_more_than_was_asked_for(tmp_path: Path) -> None:
    sent = []

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=206)
        response.headers["Content-Range"] = f"bytes 0-{2**40 - 1}/{2**40}"
        await response.prepare(request)
        try:
            for _ in range(2000):
                await response.write(bytes(2**20))
                sent.append(2**20)
        except ConnectionError:
            pass
        return response

    class Flood(FrameServer):
        answer = staticmethod(flood)  # type: ignore[assignment]

    with (
        Flood(tmp_path).running() as server,
        little_memory(),
        dask.config.set({"dkist_virtual.retries": 0}),
        pytest.raises(e.FrameUnreachableError),
    ):
        Fetcher().read(f"{server.url}/a.fits", 0, 1000)
    assert sum(sent) < 2**28


# Safe parsing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [b"[" * 10**6, b'{"version": 1, "refs": {"a": ' + b"9" * 10**5 + b"}}", b"\xff", b"null"],
)
def test_json_is_parsed_safely(text: bytes) -> None:
    with little_memory(), pytest.raises(e.StoreCorruptError):
        read_json(text, "here")
    with pytest.raises(e.StoreCorruptError):
        read_parquet(lambda name: text, "here")


@pytest.mark.parametrize(
    ("key", "value"),
    [("base", 5), ("base", ["a"]), ("n_frames", "x"), ("n_bytes", [1]), ("store_id", {})],
)
def test_root_attributes_are_of_their_types(key: str, value: Any, store: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        root = json.loads(document["refs"][".zattrs"])
        root["dkist_virtual"][key] = value
        document["refs"][".zattrs"] = json.dumps(root)

    with_references(store, change)
    with pytest.raises(e.StoreCorruptError, match=key):
        dv.open_dataset(store)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_ARRAY_DIMENSIONS", ["a"]), ("_ARRAY_DIMENSIONS", 5), ("axis_names", [1, 2, 3, 4]),
        ("unit", 7), ("subslice", [[0, 1, 0]] * 4), ("subslice", "all"), ("subslice", [[1]] * 4),
    ],
)  # fmt: skip
def test_attributes_fit_the_array(key: str, value: Any, store: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        attributes = json.loads(document["refs"]["data/.zattrs"])
        attributes[key] = value
        document["refs"]["data/.zattrs"] = json.dumps(attributes)

    with_references(store, change)
    with pytest.raises(e.StoreCorruptError, match=key):
        dv.open_dataset(store)


# Credentials ------------------------------------------------------------------------------------

SECRET = "s3cret-t0ken"


FILE = plain(np.arange(9, dtype="i2").reshape(3, 3))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[FrameServer]:
    """Another server, to which the first one sends people on."""
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.fits").write_bytes(FILE)
    with FrameServer(tmp_path / "there").running() as server:
        yield server


@contextmanager
def sending_on(directory: Path, to: Callable[[str], str]) -> Iterator[FrameServer]:
    """A server that answers every request with a redirect."""

    class Redirecting(FrameServer):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            self.headers.append(dict(request.headers))
            self.requests.append((request.method, request.path, None, 0))
            return web.Response(status=302, headers={"Location": to(request.path)})

    with Redirecting(directory).running() as server:
        yield server


GIVEN: dict[str, Any] = {
    "a header": {"headers": {"X-Api-Key": SECRET}},
    "authorization": {"headers": {"Authorization": f"Bearer {SECRET}"}},
    "a cookie": {"headers": {"Cookie": f"session={SECRET}"}},
    "of the client": {"client_kwargs": {"headers": {"X-Api-Key": SECRET}}},
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("how", ["read", "download", "cache"])
def test_a_redirect_takes_no_credentials_along(
    how: str, given: str, elsewhere: FrameServer, tmp_path: Path
) -> None:
    with sending_on(tmp_path, lambda path: f"{elsewhere.url}/a.fits") as server:
        options = {f"{server.url}/": GIVEN[given]}
        url = f"{server.url}/a.fits"
        if how != "download":
            cache = str(tmp_path / "cache") if how == "cache" else None
            assert Fetcher(options, cache).read(url, 10, 20) == FILE[10:30]
        else:
            from dkist_virtual.fits.file_check import Checked
            from dkist_virtual.io.download.download import Item, download

            item = Item("a.fits", (url,), len(FILE), Fetcher(options), Checked(0, -1))
            download([item], tmp_path / "here")
            assert (tmp_path / "here" / "a.fits").read_bytes() == FILE
        assert any(SECRET in str(headers) for headers in server.headers)
        assert elsewhere.headers
        assert SECRET not in str(elsewhere.headers)


def test_who_is_sent_on_takes_what_is_meant_for_there(
    elsewhere: FrameServer, tmp_path: Path
) -> None:
    with sending_on(tmp_path, lambda path: f"{elsewhere.url}/a.fits") as server:
        options = {
            f"{server.url}/": {"headers": {"X-Api-Key": SECRET}},
            f"{elsewhere.url}/": {"headers": {"X-Api-Key": "other"}},
        }
        Fetcher(options).read(f"{server.url}/a.fits")
        assert [headers["X-Api-Key"] for headers in elsewhere.headers] == ["other"]


def test_a_redirect_out_of_a_prefix_leaves_its_credentials(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(b"x")
    sent: list[tuple[str, bool]] = []

    class Server(FrameServer):
        async def answer(self, request: web.Request) -> web.StreamResponse:
            sent.append((request.path, SECRET in str(request.headers)))
            if request.path.startswith("/mine"):
                return web.Response(status=307, headers={"Location": "/theirs/a.fits"})
            return web.Response(body=b"x")

    with Server(tmp_path).running() as server:
        options = {f"{server.url}/mine": {"headers": {"X-Api-Key": SECRET}}}
        assert Fetcher(options).read(f"{server.url}/mine/a.fits") == b"x"
    assert sent == [("/mine/a.fits", True), ("/theirs/a.fits", False)]


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://example.org/a", "/round"])
def test_redirects_that_lead_nowhere(to: str, tmp_path: Path) -> None:
    with sending_on(tmp_path, lambda path: to) as server:
        with pytest.raises(e.FrameUnreachableError, match=r"sen(t|ds us) on"):
            Fetcher().read(f"{server.url}/a.fits")
        assert len(server.requests) <= 11


def test_https_is_not_left_for_http() -> None:
    from dkist_virtual.io.remote.request import _moved

    with pytest.raises(e.FrameUnreachableError, match="expected https"):
        _moved("https://a.org/x", "http://a.org/x", 0)
    assert _moved("https://a.org/x/y", "../z", 0) == "https://a.org/z"


@pytest.mark.parametrize("fault", [403, 500, "drop", 404])
def test_no_message_holds_a_token(fault: Any, server: FrameServer, store: Path) -> None:
    place = server.url.replace("://", f"://ada:{SECRET}@")
    with_references(store, pointing(f"{place}/frames/a.fits?sig={SECRET}"))
    options = {f"{place}/": {"headers": {"X-Api-Key": SECRET, "Authorization": f"Bearer {SECRET}"}}}
    server.fault = lambda path, n: fault if path.endswith(".fits") else None
    ds = dv.open_dataset(store, storage_options=options)
    array = ds.provenance.array
    assert SECRET not in repr(array) + repr(array.handle) + repr(Fetcher(options))
    with dask.config.set({"dkist_virtual.retries": 0}), pytest.raises(e.FrameError) as raised:
        first(ds)
    error = raised.value
    for text in (str(error), repr(error), str(pickle.loads(pickle.dumps(error)))):
        assert SECRET not in text
        assert "/frames/a.fits" in text
    told = "".join(traceback.format_exception(error))
    assert SECRET not in told


def test_wrong_options_are_not_quoted() -> None:
    with pytest.raises(TypeError, match="is a str: expected a dict") as raised:
        Fetcher({"https://a.org/": f"Bearer {SECRET}"})  # type: ignore[dict-item]
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ada:pw@a.org/x: no", "https://…@a.org/x: no"),
        ("https://a.org/x?sig=ab/c&t=1: answered 403", "https://a.org/x?…: answered 403"),
        ("('https://a.org/x?sig=1')", "('https://a.org/x?…')"),
        ("Bearer abc.def", "Bearer …"),
        ("{'Authorization': 'Basic YWRhOnB3'}", "{'Authorization': '…'}"),
        ("/data/a?b.fits: what?", "/data/a?b.fits: what?"),
        ("is it absent? https://a.org/x", "is it absent? https://a.org/x"),
    ],
)
def test_what_is_left_out(text: str, shown: str) -> None:
    assert e.redacted(text) == shown
    assert str(e.StoreError(text)) == shown


@pytest.mark.slow
@pytest.mark.parametrize("base", ["https://ada:pw@a.org/x", "https://a.org/x?sig=1"])
@pytest.mark.parametrize("name", ["base", "frames"])
def test_no_secret_is_written_into_a_store(
    name: str, base: str, original: Path, tmp_path: Path
) -> None:
    how: dict[str, Any] = {name: base}
    with pytest.raises(ValueError, match="contains a password or a query") as raised:
        dv.convert(original / "frames", tmp_path / "new", scan="never", **how)
    assert "pw" not in str(raised.value).replace("password", "")
    assert not os.path.exists(tmp_path / "new")


def test_header_tables_of_files_as_ever(original: Path) -> None:
    path = original / "json.virtual" / "headers.parquet"
    with path.open("rb") as file:
        assert len(read_headers(file)) == len(read_headers(path)) == 8
        assert not file.closed


@pytest.mark.slow
def test_broken_stores(original: Path) -> None:
    # In a process of its own: what watches over it stays for as long as that runs.
    root = Path(dv.__file__).parent.parent
    words = [sys.executable, "-W", "ignore", str(root / "fuzz" / "strangers.py"), "--seed", "0"]
    done = subprocess.run(
        [*words, "--count", "48", "--frames", str(original / "frames")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests' / 'support'}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [line.split() for line in done.stdout.splitlines()]
    assert sum(int(n) for n, *_ in counts) == 48
    assert sum(int(n) for n, _, what in counts if what == "StoreCorruptError") > 20
