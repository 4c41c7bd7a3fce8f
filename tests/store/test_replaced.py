"""Stores and frames that are replaced while a dataset is open: the old and the new never mix.

What was opened from a store that was replaced says so. Every crop after a frame was replaced is
that of the new file, by astropy; of a store that was made with a scan it may be a typed error.
"""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frames import BLOCK, compressed, oracle, plain, scaled, span
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer, no_fault
from dkist_virtual.errors import FrameCorruptError, FrameError, StoreReplacedError
from dkist_virtual.store.format import references_parquet as shards

# Stores ------------------------------------------------------------------------------------------


@pytest.fixture(params=["json", "parquet"])
def store(
    request: pytest.FixtureRequest,
    simulated: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setattr(shards, "RECORD_SIZE", 4)
    shutil.copytree(simulated("visp"), tmp_path / "frames")
    dv.convert(tmp_path / "frames", tmp_path / "store", references=request.param)
    return tmp_path / "store"


def replace(store: Path) -> None:
    """By one of the same dataset, whose frames lie elsewhere."""
    references: Any = "parquet" if (store / "references.parq").exists() else "json"
    other = store.parent / "others"
    shutil.copytree(store.parent / "frames", other)
    dv.convert(other, store, references=references, overwrite=True)


def test_nothing_of_the_new_one_is_taken_for_the_old(store: Path) -> None:
    ds: Any = dv.open_dataset(store)
    travelled = [pickle.dumps(ds.data), pickle.dumps(ds)]
    names = ds[0, 0].files.names
    replace(store)
    # Of references that were read with the store, or are held already, the old ones go on.
    assert ds[0, 0].files.names == names
    with pytest.raises(StoreReplacedError, match="was replaced since"):
        ds.headers  # noqa: B018
    if (store / "references.parq").exists():
        with pytest.raises(StoreReplacedError, match=r"refs\.\d\.parq"):
            ds[-1, -1].data.compute()
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[0]).compute()
    with pytest.raises(StoreReplacedError):
        pickle.loads(travelled[1])[0, 0].data.compute()
    again = dv.open_dataset(store)
    assert len(again.headers) == len(again.files)
    assert Path(again.files.basepath).name == "others"


def test_headers_that_were_opened_stay_those_of_the_same_store(store: Path) -> None:
    ds: Any = dv.open_dataset(store)
    first = ds.headers["DATE-AVG"].tolist()
    replace(store)
    assert ds.headers["DATE-AVG"].tolist() == first
    assert ds[0].headers["DATE-AVG"].tolist() == first[: len(ds[0].files)]


def test_a_mended_dataset_of_the_same_references_is_the_same_store(store: Path) -> None:
    ds: Any = dv.open_dataset(store)
    references: Any = "parquet" if (store / "references.parq").exists() else "json"
    dv.convert(store.parent / "frames", store, references=references, overwrite=True)
    assert len(ds.headers) == len(ds.files)
    assert ds[-1, -1].data.compute().size


def test_a_store_on_a_server(store: Path) -> None:
    with FrameServer(store.parent).running() as server:
        ds: Any = dv.open_dataset(f"{server.url}/store", frames=store.parent / "frames")
        replace(store)
        with pytest.raises(StoreReplacedError):
            ds.headers  # noqa: B018
        again = dv.open_dataset(f"{server.url}/store", frames=store.parent / "frames")
        assert len(again.headers) == len(again.files)


def test_who_opens_while_it_is_replaced_gets_one_of_the_two(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dkist_virtual.dataset import loader as opened

    read, times = opened.read_description, 0

    def meanwhile(file: Any) -> Any:
        nonlocal times
        times += 1
        if times == 1:
            replace(store)
        return read(file)

    monkeypatch.setattr(opened, "read_description", meanwhile)
    ds: Any = dv.open_dataset(store)
    assert times == 2
    assert Path(ds.files.basepath).name == "others"
    assert len(ds.headers) == len(ds.files)


# Frames ------------------------------------------------------------------------------------------

SHAPE = (1, 32, 48)
SIZE = 12 * BLOCK


def scene(seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.normal(100 * (seed + 1), 5 + seed, SHAPE)).astype("f4")


KINDS: dict[str, Callable[[int], bytes]] = {
    "rows": lambda seed: compressed(scene(seed), tile=(1, 1, 48)),
    "squares": lambda seed: compressed(
        scene(seed), tile=(1, 16, 16), method="SUBTRACTIVE_DITHER_1", seed=seed + 1
    ),
    "gzip": lambda seed: compressed(scene(seed), algorithm="GZIP_2", tile=(1, 5, 48)),
    "hcompress": lambda seed: compressed(scene(seed), algorithm="HCOMPRESS_1", tile=(1, 16, 48)),
    "plain": lambda seed: plain(scene(seed), primary=False, name="OBSERVATION"),
    "scaled": lambda seed: scaled(
        scene(seed).astype("i2"), bscale=0.5 + seed, bzero=seed, primary=False, name="OBSERVATION"
    ),
}


def frame(kind: str, seed: int, size: int = SIZE) -> bytes:
    file = KINDS[kind](seed)
    assert len(file) <= size
    return file.ljust(size, b"\0")


def put(path: Path, data: bytes, how: str) -> None:
    """Replace a file."""
    if how == "rename":
        new = path.with_suffix(".new")
        new.write_bytes(data)
        new.replace(path)
    else:
        with open(path, "r+b") as file:
            file.write(data)
            file.truncate()


@pytest.fixture(scope="module")
def datasets_of(simulated: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The directory of a dataset, whose frames are of a kind."""
    directory = tmp_path_factory.mktemp("replaced")

    def of(kind: str) -> Path:
        place = directory / kind
        if not place.exists():
            shutil.copytree(simulated("visp_moving"), place)
        for i, path in enumerate(sorted(place.glob("*.fits"))):
            path.write_bytes(frame(kind, i))
        return place

    return of


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrameServer]:
    directory = tmp_path_factory.mktemp("web")
    with FrameServer(directory).running() as server:
        yield server


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A bucket of moto's server: its client, and the options that reach it."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    known = {"key": "k", "secret": "s", "client_kwargs": {"region_name": "us-east-1"}}
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k",
        aws_secret_access_key="s",
    )  # fmt: skip
    client.create_bucket(Bucket="sun")
    yield client, {"s3://sun": {**known, "endpoint_url": url}}
    server.stop()


def windows(seed: int) -> Iterator[Any]:
    """Rows, pieces of rows, columns, all of a frame."""
    rng = np.random.default_rng(seed)
    for _ in range(2):
        y, x = int(rng.integers(32)), int(rng.integers(40))
        yield (slice(y, y + 1), slice(None))
        yield (slice(y, y + 3), slice(x, x + 7))
        yield (slice(None), slice(x, x + 1))
    yield (slice(None), slice(None))


def crops_are_right(ds: Any, new: bytes, seed: int, *, may_refuse: bool) -> None:
    """Every crop of the first frame is that of its file, or refused."""
    expected = oracle(new)[0]
    data = ds.data[0, 0]
    for window in windows(seed):
        try:
            got = data[window].compute()
        except FrameError:
            assert may_refuse
            continue
        assert np.array_equal(got, expected[window]), window


PLACES = ("local", "etag", "no etag", "no validator", "cache", "s3", "s3 cache", "memory")


@pytest.mark.every(8)
@pytest.mark.filterwarnings("ignore::dkist_virtual.errors.ChangedFrameWarning")
@pytest.mark.parametrize("scan", mostly_slow(["never", "always"], "always"))
@pytest.mark.parametrize(
    ("place", "kind"),
    mostly_slow(
        [(place, kind) for place in ("local", "etag") for kind in KINDS]
        + [(place, kind) for place in PLACES[2:] for kind in ("rows", "plain")],
        ("local", "squares"),
        ("local", "plain"),
        ("etag", "rows"),
        ("no validator", "rows"),
        ("cache", "rows"),
        ("s3", "plain"),
        ("memory", "rows"),
    ),
)
def test_no_crop_is_of_another_file_than_the_one_there(
    place: str, scan: Any, kind: str, datasets_of: Any, web: FrameServer, s3: Any, tmp_path: Path
) -> None:
    source = datasets_of(kind)
    first = sorted(source.glob("*.fits"))[0]
    how: dict[str, Any] = {}
    base = str(source)
    web.fault = no_fault
    if "cache" in place:
        how["cache"] = tmp_path / "cache"
    if place.startswith("s3"):
        client, options = s3
        for file in source.iterdir():
            client.put_object(Bucket="sun", Key=f"{kind}/{file.name}", Body=file.read_bytes())
        base, how["storage_options"] = f"s3://sun/{kind}", options
    elif place == "memory":
        import fsspec

        memory = fsspec.filesystem("memory")
        base = f"memory://{kind}"
        for file in source.iterdir():
            memory.pipe_file(f"/{kind}/{file.name}", file.read_bytes())
    elif place != "local":
        web.directory = source
        base = web.url
        web.fault = lambda path, n: place if place.startswith("no ") else None

    def replace(data: bytes, manner: str) -> None:
        if place.startswith("s3"):
            s3[0].put_object(Bucket="sun", Key=f"{kind}/{first.name}", Body=data)
        elif place == "memory":
            memory.pipe_file(f"/{kind}/{first.name}", data)
        else:
            put(first, data, manner)

    dv.convert(
        source, tmp_path / "store", frames=base, base=base, scan=scan, progress=False,
        storage_options=how.get("storage_options"),
    )  # fmt: skip
    ds: Any = dv.open_dataset(tmp_path / "store", **how)
    crops_are_right(ds, frame(kind, 0), 0, may_refuse=False)
    for seed, manner in ((7, "rename"), (8, "in place"), (9, "in place"), (10, "rename")):
        new = frame(kind, seed)
        replace(new, manner)
        crops_are_right(ds, new, seed, may_refuse=False)
    shorter = frame(kind, 11, SIZE - BLOCK)
    replace(shorter, "in place")
    crops_are_right(ds, shorter, 11, may_refuse=scan == "always")
    replace(frame(kind, 12), "rename")
    crops_are_right(ds, frame(kind, 12), 12, may_refuse=False)


# While a frame is read ------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::dkist_virtual.errors.ChangedFrameWarning")
@pytest.mark.parametrize(("kind", "after"), [("rows", 1), ("rows", 2), ("squares", 2)])
def test_table_and_tiles_are_of_one_file(
    kind: str, after: int, datasets_of: Any, web: FrameServer, tmp_path: Path
) -> None:
    web.directory = datasets_of(kind)
    first = sorted(web.directory.glob("*.fits"))[0]
    dv.convert(web.directory, tmp_path / "store", base=web.url, progress=False)
    ds: Any = dv.open_dataset(tmp_path / "store")
    swapped = 0

    def swap(path: str, n: int) -> None:
        """After the header, or the table, was asked for."""
        nonlocal swapped
        if path == first.name and n == after:
            swapped += 1
            put(first, frame(kind, 20), "rename")

    # Neither the table nor tiles come with the header where little is asked for first.
    header = span(first.read_bytes())
    ds.provenance.array.handle.store.reader.head_bytes = header.data - header.start + 1
    web.forget()
    web.fault = swap
    got = ds.data[0, 0, 25:26].compute()
    web.fault = no_fault
    assert swapped == 1
    assert np.array_equal(got, oracle(frame(kind, 20))[0, 25:26])


@pytest.mark.slow
def test_a_frame_that_changes_all_the_time_is_refused(
    datasets_of: Any, web: FrameServer, tmp_path: Path
) -> None:
    web.directory = datasets_of("rows")
    first = sorted(web.directory.glob("*.fits"))[0]
    dv.convert(web.directory, tmp_path / "store", base=web.url, scan="never", progress=False)
    ds: Any = dv.open_dataset(tmp_path / "store")
    ds.provenance.array.handle.store.reader.head_bytes = span(first.read_bytes()).data + 1
    web.forget()
    web.fault = lambda path, n: put(first, frame("rows", n % 7), "rename")
    expected = {oracle(frame("rows", seed))[0, 25:26].tobytes() for seed in range(7)}
    # All of it in one request is of one version.
    assert ds.data[0, 0, 25:26].compute().tobytes() in expected
    web.fault = no_fault
    assert [n for *_, n in web.requests][-1] == SIZE


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dkist_virtual.errors.ChangedFrameWarning")
@pytest.mark.parametrize("how", mostly_slow(["rename", "in place"], "in place"))
def test_plain_pixels_that_moved_or_are_others_are_refused(
    how: str, datasets_of: Any, tmp_path: Path
) -> None:
    source = datasets_of("plain")
    first = sorted(source.glob("*.fits"))[0]
    copies = tmp_path / "copies"
    shutil.copytree(source, copies)
    dv.convert(source, tmp_path / "store", progress=False)
    many = [(f"CARD{i}", i) for i in range(60)]
    whole = scene(3).astype("i4")
    others = {
        "scaled": scaled(whole, bscale=2.0, primary=False, name="OBSERVATION"),
        "moved": plain(scene(3), primary=False, name="OBSERVATION", cards=many),
        "turned": plain(scene(3).reshape(1, 48, 32), primary=False, name="OBSERVATION"),
        "text": b"<html>log in</html>",
    }
    for frames, path in ((None, first), (copies, copies / first.name)):
        ds: Any = dv.open_dataset(tmp_path / "store", frames=frames)
        for other in others.values():
            put(path, frame("plain", 0), how)
            assert np.array_equal(ds.data[0, 0, 3].compute(), scene(0)[0, 3])
            put(path, other.ljust(SIZE, b"\0"), how)
            for window in windows(1):
                with pytest.raises(FrameCorruptError):
                    ds.data[0, 0][window].compute()
                with pytest.raises(FrameCorruptError):
                    dv.open_dataset(tmp_path / "store", frames=frames).data[0, 0][window].compute()  # type: ignore[union-attr]


def test_a_known_frame_is_looked_at_once(
    datasets_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = datasets_of("rows")
    dv.convert(source, tmp_path / "store", scan="never", progress=False)
    ds: Any = dv.open_dataset(tmp_path / "store")
    ds.data[0, 0, 3].compute()
    looks = {"open": 0, "fstat": 0, "stat": 0}

    def counted(name: str) -> Any:
        ours = getattr(os, name)

        def call(*given: Any, **more: Any) -> Any:
            looks[name] += 1
            return ours(*given, **more)

        return call

    for name in looks:
        monkeypatch.setattr(os, name, counted(name))
    ds.data[0, 0, 20:22].compute()
    monkeypatch.undo()
    assert looks == {"open": 1, "fstat": 1, "stat": 0}
