"""Open stores of more frames than one Parquet shard holds; counts are checked, never times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from many import name_of, write_asdf, write_frames

import dkist_virtual as dv
from dkist_virtual.store.format.references_parquet import RECORD_SIZE
from dkist_virtual.store.reader import StoreReader

pytestmark = pytest.mark.slow

N = 2 * RECORD_SIZE + 50


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scale")
    # Frames about the ends of the shards are there, the others have only their names.
    for i in (0, RECORD_SIZE - 1, RECORD_SIZE, 2 * RECORD_SIZE, N - 1):
        write_frames(directory, i + 1, first=i)
    write_asdf(directory / "d.asdf", N)
    dv.convert(directory / "d.asdf", directory / "store")
    return directory / "store"


@contextmanager
def files_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the store's own files that are read whole."""
    read: list[str] = []
    marked = StoreReader.marked

    def noting(self: StoreReader, name: str) -> tuple[bytes, str]:
        read.append(name)
        return marked(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(StoreReader, "marked", noting)
        yield read


def test_shards_are_kerchunks_own(store: Path) -> None:
    shards = sorted(path.name for path in (store / "references.parq" / "data").iterdir())
    assert shards == ["refs.0.parq", "refs.1.parq", "refs.2.parq"]
    assert not (store / "references.json").exists()


@pytest.mark.parametrize("at", [0, RECORD_SIZE - 1, RECORD_SIZE, 2 * RECORD_SIZE, N - 1])
def test_xarray_reads_it_through_the_lazy_mapper(at: int, store: Path) -> None:
    import xarray
    from fsspec.implementations.reference import LazyReferenceMapper

    with xarray.open_dataset(
        f"{store}/references.parq", engine="kerchunk", chunks={}, storage_options={
            "remote_protocol": "file"}
    ) as opened:  # fmt: skip
        assert opened["data"].shape == (N, 12, 20)
        frame = opened["data"][at].values
    np.testing.assert_array_equal(frame, fits.getdata(store.parent / name_of(at), 1)[0])
    import fsspec

    mapper = LazyReferenceMapper(f"{store}/references.parq", fs=fsspec.filesystem("file"))
    url, offset, length = mapper[f"data/{at}.0.0"]
    data = (store.parent / name_of(at)).read_bytes()[offset : offset + length]
    assert url == str(store.parent / name_of(at))
    assert data.startswith(b"XTENSION")


def test_opening_reads_no_shard_and_a_frame_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with files_read(monkeypatch) as read:
        ds = dv.open_dataset(store)
        str(ds), ds.files.nbytes, len(ds.headers), ds[5:9].headers["NAME"]
        assert ".zmetadata" in read
        assert not [name for name in read if name.endswith(".parq")]
        pixels = ds[N - 1].data.compute()
        assert [name for name in read if name.endswith(".parq")] == ["data/refs.2.parq"]
    np.testing.assert_array_equal(pixels, fits.getdata(store.parent / name_of(N - 1), 1)[0])


def test_what_is_printed_of_all_frames_counts_them(store: Path) -> None:
    ds = dv.open_dataset(store)
    assert f"{N} of {N} files, " in str(ds.files)
    assert str(ds.files).endswith("5 here already")
    assert ds.files.nbytes is None
    assert ds[0].files.nbytes == (store.parent / name_of(0)).stat().st_size


@pytest.mark.parametrize("place", ["here", "https://example.org/d"])
def test_here_is_counted_as_where_says(place: str, store: Path) -> None:
    base: Any = store.parent if place == "here" else place
    for ds in (dv.open_dataset(store, frames=base), dv.open_dataset(store)):
        some = ds.files[::2000]
        assert some.here() == sum(
            where is not None and not str(where).startswith("https") for where in some.where()
        )
