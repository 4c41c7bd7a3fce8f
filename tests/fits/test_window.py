"""Read parts of frames: the pixels that numpy cuts out of the whole, and no bytes beyond need."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from astropy.io import fits
from frames import compressed, hdu_of, oracle, plain, scene
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import mostly_slow
from watches import counted

import dkist_virtual as dv
from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.fits.partial import Range, drive, joined, ranges_only, read_steps
from dkist_virtual.io.byte_range import Version
from dkist_virtual.store.frame_reader import MapCache

#: Shape and tile, 1-D to 4-D: rows, parts of rows, squares, ragged edges, whole images.
LAYOUTS = (
    ((97,), (40,)),
    ((1, 30, 45), (1, 1, 45)),
    ((1, 30, 45), (1, 1, 20)),
    ((30, 45), (7, 11)),
    ((30, 45), (30, 45)),
    ((5, 12, 17), (2, 5, 6)),
    ((5, 12, 17), (2, 12, 17)),
    ((2, 3, 8, 9), (1, 2, 3, 4)),
)
FORMS = ("RICE_1", "GZIP_2", "dithered", "integers", "plain", "HCOMPRESS_1")


def frame(form: str, shape: tuple[int, ...], tile: tuple[int, ...]) -> bytes:
    if form == "plain":
        return plain(scene(shape, "f4", seed=3, blanks=0.1))
    if form == "integers":
        return compressed(scene(shape, "i4", seed=4), tile=tile)
    if form == "dithered":
        data = scene(shape, "f4", seed=5, blanks=0.1, zeros=0.1)
        return compressed(data, tile=tile, method="SUBTRACTIVE_DITHER_2", seed=9_990)
    if form == "HCOMPRESS_1":
        return compressed(scene(shape, "i4", seed=4), tile=tile, algorithm=form)
    return compressed(scene(shape, "f4", seed=6, blanks=0.1), tile=tile, algorithm=form)


def read(raw: bytes, hdu: int = 1, **how: Any) -> tuple[Any, np.ndarray[Any, Any], int]:
    """Drive a read over bytes; the frame's map, the pixels and how many ranges were read."""
    ranges = 0

    def cut(part: Range) -> bytes:
        nonlocal ranges
        ranges += 1
        return raw[part[0] : part[1]]

    return *drive(read_steps(ranges_only, hdu, **how), cut), ranges


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[range, ...]:
    window = []
    for n in shape:
        start = draw(st.integers(0, n - 1))
        stop = draw(st.integers(start + 1, n))
        window.append(range(n)[start : stop : draw(st.integers(1, 5))])
    return tuple(window)


@pytest.mark.every(6)
@pytest.mark.parametrize("form", mostly_slow(FORMS, "RICE_1", "dithered", "plain"))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_window_is_what_numpy_cuts_out(form: str, data: st.DataObject) -> None:
    layouts = LAYOUTS if form != "HCOMPRESS_1" else (((30, 45), (15, 15)), ((30, 45), (30, 45)))
    shape, tile = data.draw(st.sampled_from(layouts))
    file = frame(form, shape, tile)
    hdu = 0 if form == "plain" else 1
    expected = oracle(file, hdu)
    as_file = form == "plain" or data.draw(st.booleans())
    raw = file if as_file else hdu_of(file, hdu)
    known = None
    for _ in range(2):
        window = data.draw(windows(shape))
        steps = {
            "dtype": expected.dtype,
            "shape": shape,
            "window": window,
            "frame": known,
            "head_bytes": data.draw(st.sampled_from([100, 2_880, 50_000])),
            "gap": data.draw(st.sampled_from([0, 50, 10**6])),
        }
        known, got, _ = read(raw, hdu, **steps)
        cut = expected[tuple(slice(p[0], p[-1] + 1, p.step) for p in window)]
        assert got.dtype == cut.dtype.newbyteorder("=")
        assert np.array_equal(got, cut, equal_nan=got.dtype.kind == "f")


@pytest.mark.parametrize("form", ["RICE_1", "GZIP_2"])
def test_a_row_as_long_as_a_tile_that_begins_inside_one(form: str) -> None:
    shape, tile = (1, 30, 45), (1, 1, 20)
    file = frame(form, shape, tile)
    window = (range(1), range(3), range(1, 21))
    how: dict[str, Any] = {"dtype": "f4", "shape": shape, "head_bytes": 2_880, "gap": 0}
    _, got, _ = read(file, window=window, frame=None, **how)
    assert np.array_equal(got, oracle(file, 1)[:, :3, 1:21], equal_nan=True)


def test_a_known_frame_is_asked_for_its_tiles_alone() -> None:
    file = frame("RICE_1", (1, 30, 45), (1, 1, 45))
    how = {"dtype": "f4", "shape": (1, 30, 45), "head_bytes": 100, "gap": 0}
    window = (range(1), range(10, 12), range(3, 9))
    known, _, first = read(file, window=window, frame=None, **how)
    _, _, again = read(file, window=(range(1), range(20, 21), range(45)), frame=known, **how)
    assert again == 1
    assert first > again


def test_a_frame_cut_short_is_corrupt() -> None:
    file = frame("RICE_1", (1, 30, 45), (1, 1, 45))
    how: dict[str, Any] = {
        "dtype": "f4", "shape": (1, 30, 45), "frame": None, "head_bytes": 2_880, "gap": 0,
        "window": (range(1), range(29, 30), range(3, 9)),
    }  # fmt: skip
    with fits.open(io.BytesIO(file), disable_image_compression=True) as hdus:
        end = hdus[1]._data_offset + hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
    for length in (3_000, end - 1, end + 10):
        with pytest.raises(FrameCorruptError, match="cut short"):
            read(file[:length], **how)


def test_ranges_are_joined_over_small_gaps() -> None:
    starts, stops = np.array([0, 10, 100, 130]), np.array([10, 20, 120, 140])
    for gap, expected in (
        (0, [(0, 20), (100, 120), (130, 140)]),
        (10, [(0, 20), (100, 140)]),
        (80, [(0, 140)]),
    ):
        assert list(zip(*map(list, joined(starts, stops, gap)), strict=True)) == expected


def test_maps_are_kept_within_bounds() -> None:
    file = frame("RICE_1", (1, 30, 45), (1, 1, 45))
    window = (range(1), range(1), range(1))
    known, _, _ = read(
        file, dtype="f4", shape=(1, 30, 45), window=window, frame=None, head_bytes=9_000, gap=0
    )
    cache = MapCache(3 * known.nbytes)
    for key in "abcd":
        cache.put(key, known, version := Version(1, 2, key))
        cached = cache.get("a" if key < "d" else "d")
        assert cached is not None
        assert cached[0] is known
        assert cached[1] is version or key in "bc"
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


# Through a dataset: bytes fetched ------------------------------------------------------------


@pytest.fixture(scope="module")
def cryo(converted: Callable[[str], Path]) -> Path:
    return converted("cryonirsp")


def tile_bytes(path: Path, rows: list[int]) -> int:
    """Bytes of the tiles of some rows, by astropy's table."""
    with fits.open(path, disable_image_compression=True) as hdus:
        table = hdus[1].data
        columns = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA")
        return sum(len(table[column][row]) for column in columns for row in rows)


SELECTIONS: dict[str, Any] = {
    "two slices": lambda ds: ds[0][:, 1],
    "integers, then slices": lambda ds: ds[0, 1][1:3, 2:4],
    "rows of a frame": lambda ds: ds[0, 1, 2][5:9, 2:4],
    "a column": lambda ds: ds[1, 0, 0, :, 7],
    "a pixel of each frame": lambda ds: ds[..., 3, 4],
    "stepped": lambda ds: ds[::2, 1, ::2, 10:20:3],
}


@pytest.mark.every(6)
@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("chunks", mostly_slow(["auto", "frame"], "auto"))
def test_what_is_fetched_is_what_the_selection_needs(
    name: str, chunks: str, cryo: Path, simulated: Any
) -> None:
    ds, reads = counted(cryo, chunks=chunks)
    whole = ds.data.compute()
    reads.clear()
    ds, reads = counted(cryo, chunks=chunks)
    chosen = SELECTIONS[name](ds)
    assert not reads
    got = chosen.data.compute()
    indices = np.indices(whole.shape)
    places = np.stack([SELECTIONS[name](_Numpy(axis)).values for axis in indices], axis=-1)
    assert np.array_equal(got, whole[tuple(np.moveaxis(places, -1, 0))], equal_nan=True)
    # The files are those of the selection, each read at most twice: its head, its tiles.
    assert {file for file, _, _ in reads} == set(chosen.files.names)
    assert len(reads) <= 2 * len(chosen.files)
    # Of each, the head and the tiles of the rows wanted, and what lies between them at most.
    head = ds.provenance.array.handle.store.head_bytes
    rows = sorted(set(places[..., 3].ravel().tolist()))
    for file in chosen.files.names:
        path = simulated("cryonirsp") / file
        spread = tile_bytes(path, list(range(rows[0], rows[-1] + 1)))
        fetched = sum(length for name_, _, length in reads if name_ == file)
        assert fetched <= max(head + spread, 2_880 * math.ceil((head + spread) / 2_880))


class _Numpy:
    """A numpy array under a dataset's name for indexing."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self.values = values

    def __getitem__(self, item: Any) -> _Numpy:
        return _Numpy(self.values[item])


def test_the_difference_of_two_slices_reads_two_slices(cryo: Path) -> None:
    ds, reads = counted(cryo)
    one, other = ds[0, :, 1], ds[0, :, 2]
    difference = (one.data - other.data).compute()
    assert {file for file, _, _ in reads} == set(one.files.names) | set(other.files.names)
    assert np.array_equal(difference, one.data.compute() - other.data.compute(), equal_nan=True)


def test_through_ndcubes_own_methods(cryo: Path) -> None:
    ds, reads = counted(cryo)
    parts = ds[0].explode_along_axis(0)
    squeezed = ds[1:2].squeeze()
    assert not reads
    parts[1].data.compute()
    assert {file for file, _, _ in reads} == set(parts[1].files.names)
    reads.clear()
    squeezed[0].data.compute()
    assert {file for file, _, _ in reads} == set(ds[1, 0].files.names)


def test_a_whole_frame_is_one_request(cryo: Path) -> None:
    ds, reads = counted(cryo)
    ds[0, 0, 0].data.compute()
    assert len(reads) == 1
    url, offset, length = ds.provenance.array.handle.store.frame("data", 0)
    assert reads == [(url.rpartition("/")[2], offset, length)]


def test_a_frame_seen_before_is_asked_for_tiles_alone(cryo: Path) -> None:
    ds, reads = counted(cryo)
    ds[0, 0, 0, 3:5].data.compute()
    reads.clear()
    ds[0, 0, 0, 20:22].data.compute()
    assert len(reads) == 1
    _, _, length = reads[0]
    assert length < ds.provenance.array.handle.store.head_bytes


def test_plain_frames_give_their_rows(converted: Callable[[str], Path]) -> None:
    ds, reads = counted(converted("visp_plain"))
    whole = ds.data.compute()
    reads.clear()
    assert np.array_equal(ds[1, 0, 5:9].data.compute(), whole[1, 0, 5:9], equal_nan=True)
    assert [length for _, _, length in reads] == [4 * ds.shape[-1] * 4]
    reads.clear()
    group = zarr.open_group(ds.provenance.array.handle.store, mode="r")
    assert np.array_equal(group["data"][1, 0, 5:9], whole[1, 0, 5:9], equal_nan=True)
    assert [length for _, _, length in reads] == [4 * ds.shape[-1] * 4]


@pytest.mark.slow
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_selection_that_zarr_expresses(cryo: Path, data: st.DataObject) -> None:
    array = dv.open_zarr(cryo)["data"]
    whole = array[...]
    index: list[Any] = []
    for n in array.shape:
        kind = data.draw(st.sampled_from(["slice", "integer", "list", "mask"]))
        if kind == "slice":
            start, stop = data.draw(st.integers(-n, n)), data.draw(st.integers(-n, n))
            index.append(slice(start, stop, data.draw(st.integers(1, 4))))
        elif kind == "integer":
            index.append(data.draw(st.integers(-n, n - 1)))
        elif kind == "list":
            chosen = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4))
            index.append(np.array(chosen))
        else:
            index.append(np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))))
    got = array.oindex[tuple(index)]
    expected = whole
    for axis in range(len(index) - 1, -1, -1):
        entry = index[axis]
        expected = expected[(slice(None),) * axis + (entry,)]
    assert got.shape == expected.shape
    assert np.array_equal(got, expected, equal_nan=True)
