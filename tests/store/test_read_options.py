"""The options for reading: checked when they are given, and kept by all that is derived."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from dask.array.core import normalize_chunks
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dkist_virtual as dv
from dkist_virtual.store.read_options import ReadOptions

# vtf is (4, 2, 3, 30, 44), its axes stokes, repeat, wavelength, y, x.
SHAPE = (4, 2, 3, 30, 44)


@pytest.fixture(scope="module")
def vtf(converted: Callable[[str], Path]) -> Path:
    return converted("vtf")


def opened(place: Path, chunks: Any) -> dv.Dataset:
    ds = dv.open_dataset(place, chunks=chunks)
    assert isinstance(ds, dv.Dataset)
    return ds


def names_of(ds: Any) -> tuple[list[str], list[str]]:
    attributes = ds.provenance.array.metadata.attributes
    return attributes["_ARRAY_DIMENSIONS"], attributes["axis_names"]


def by_dask(chunks: Any, shape: tuple[int, ...]) -> Any:
    return normalize_chunks(chunks, shape, dtype=np.dtype("f4"))  # type: ignore[no-untyped-call]


# What is taken, and what is refused ------------------------------------------------------------

REFUSED: tuple[tuple[Any, str], ...] = (
    (0, "whole numbers of pixels, 1 or more"),
    (-2, "whole numbers of pixels, 1 or more"),
    (True, "whole numbers of pixels"),
    (2.5, "whole numbers of pixels"),
    (float("nan"), "whole numbers of pixels"),
    (None, "chunks = None: a dataset is read in chunks"),
    ("frames", "expected 'auto', 'frame'"),
    ("0 MiB", "expected 'auto', 'frame'"),
    ({1, 2}, "whole numbers of pixels"),
    ((), "for 0 axes, and the dataset has 5"),
    ((1, 1, 1, 48), "for 4 axes, and the dataset has 5"),
    ((1, 1, 1, 48, 49, 50), "for 6 axes, and the dataset has 5"),
    ((1, 1, 1, 0, 49), r"chunks\[3\] = 0"),
    ((1, 1, 1, (15, 16), 49), "along axis 3 add up to 31: expected 30"),
    ((1, 1, 1, (15, -15), 49), r"chunks\[3\] = \(15, -15\)"),
    ((1, 1, 1, (), 49), r"chunks\[3\] = \(\)"),
    ((1, 1, "frame", 15, 44), "taken for all axes at once"),
    ((1, 1, 1, "1 MiB", "2 MiB"), "Only one consistent value"),
    ({5: 10}, "no axis 5: expected -5 to 4"),
    ({-6: 10}, "no axis -6: expected -5 to 4"),
    ({"nowhere": 10}, "no axis is called 'nowhere': expected one of 'stokes'"),
    ({"spatial_y ": 10}, "no axis is called 'spatial_y '"),
    ({3: 10, -2: 10}, "3 and -2 are the same axis of 5"),
    ({3: 0}, r"chunks\[3\] = 0"),
    ({3: "x"}, r"chunks\[3\] = 'x'"),
    ({None: 10}, "None is not an axis"),
    ({2.0: 10}, "2.0 is not an axis"),
    ({True: 10}, "True is not an axis"),
)


@pytest.mark.every(10)
@pytest.mark.parametrize(("chunks", "message"), REFUSED, ids=str)
def test_chunks_that_do_not_fit_are_refused_when_they_are_given(
    chunks: Any, message: str, vtf: Path, simulated: Any
) -> None:
    for open_one in (
        lambda: dv.open_dataset(vtf, chunks=chunks),
        lambda: dv.Dataset.from_asdf(simulated("vtf"), chunks=chunks),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            open_one()


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("missing", "skip", ValueError),
        ("missing", None, ValueError),
        ("frames", [], ValueError),
        ("cache", "https://example.org/x", ValueError),
        ("cache", 3, TypeError),
        ("allow_local", "yes", TypeError),
        ("verify", None, TypeError),
        ("verify", "all", TypeError),
        ("storage_options", ["https"], TypeError),
    ],
)
def test_every_option_is_checked_before_anything_is_opened(
    option: str, value: Any, error: type[Exception], tmp_path: Path
) -> None:
    nowhere = tmp_path / "no.virtual"
    with pytest.raises(error, match=option):
        dv.open_dataset(nowhere, **{option: value})
    with pytest.raises(error, match=option):
        dv.open_zarr(nowhere, **{option: value})
    with pytest.raises(error, match=option):
        ReadOptions(**{option: value})


def test_options_are_frozen_and_do_not_follow_what_the_user_changes_later() -> None:
    chunks, mine = {0: [1, 3]}, {"https://a.org/x/": {"token": "a"}}
    options = ReadOptions(chunks=chunks, storage_options=mine, frames=["/a", "/b"])
    chunks[0].append(5)
    mine["https://a.org/x/"]["token"] = "b"
    assert options.chunks == {0: (1, 3)}
    assert options.storage_options == {"https://a.org/x/": {"token": "a"}}
    assert options.places == ("/a", "/b")
    assert "token" not in repr(options)
    with pytest.raises(FrozenInstanceError):
        options.verify = True  # type: ignore[misc]
    assert pickle.loads(pickle.dumps(options)) == options


SAME: tuple[Any, ...] = (
    (1, 2, 3, 16, -1),
    [1, 2, 3, 16, None],
    np.array([1, 2, 3, 16, 44]),
    (1, 2, 3, (16, 14), 44),
    {0: 1, 3: 16},
    {-5: 1, -2: np.int64(16)},
    {-5: 1, 3: [16, 14]},
    "by name",
    "by the name in the WCS",
)


@pytest.mark.parametrize("chunks", SAME, ids=str)
def test_the_same_chunks_said_in_many_ways(chunks: Any, vtf: Path) -> None:
    if isinstance(chunks, str):
        names = names_of(opened(vtf, "auto"))[chunks != "by name"]
        chunks = {names[0]: 1, names[3]: 16}
    assert opened(vtf, chunks).data.chunks == by_dask((1, 2, 3, 16, 44), SHAPE)


@pytest.mark.parametrize("chunks", [7, -1, "1 MiB", "auto", "frame", ("auto",) * 5])
def test_chunks_for_all_axes_at_once(chunks: Any, vtf: Path) -> None:
    data = opened(vtf, chunks).data
    if chunks not in ("auto", "frame"):
        assert data.chunks == by_dask(chunks, SHAPE)
    assert data.shape == SHAPE


# What carries them -----------------------------------------------------------------------------


def lengths(index: Any, sizes: tuple[Any, ...]) -> tuple[tuple[int, ...], ...]:
    """What numpy leaves of each axis of an index, in pieces of a given length."""
    left = []
    for part, n, size in zip(index, SHAPE, sizes, strict=True):
        pixels = np.arange(n)[part]
        if pixels.ndim:
            left.append((len(pixels), size))
    return by_dask(tuple(size for _, size in left), tuple(n for n, _ in left))  # type: ignore[no-any-return]


INDEX = st.tuples(
    *(
        st.integers(0, n - 1)
        | st.builds(lambda s: s, st.slices(n)).filter(
            lambda s, n=n: (s.step or 1) > 0 and len(range(n)[s]) > 0  # type: ignore[misc]
        )
        for n in SHAPE
    )
).filter(lambda index: any(isinstance(part, slice) for part in index))

RELAXED = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@RELAXED
@given(INDEX, st.tuples(*(st.integers(1, n + 3) for n in SHAPE)))
@pytest.mark.slow
def test_a_length_stays_with_its_axis_whatever_is_selected(
    vtf: Path, index: Any, sizes: Any
) -> None:
    expected = lengths(index, sizes)
    for chunks in (sizes, dict(enumerate(sizes)), {a - 5: n for a, n in enumerate(sizes)}):
        ds = opened(vtf, chunks)
        assert ds[index].data.chunks == expected
        assert ds.data[index].chunks == expected
        assert (ds * 2)[index].data.chunks == expected
        assert pickle.loads(pickle.dumps(ds[index])).data.chunks == expected


@RELAXED
@given(INDEX, st.lists(st.integers(1, 29), max_size=4, unique=True).map(sorted))
def test_lengths_given_one_by_one_keep_their_borders(
    vtf: Path, index: Any, borders: list[int]
) -> None:
    along_y = tuple(np.diff([0, *borders, 30]).tolist())
    ds = opened(vtf, {3: along_y})
    whole = np.repeat(np.arange(len(along_y)), along_y)[index[3]]
    chosen = ds[index].data
    if whole.ndim:
        axis = sum(isinstance(part, slice) for part in index[:3])
        assert chosen.chunks[axis] == tuple(np.unique(whole, return_counts=True)[1].tolist())
    assert chosen.numblocks == ds.data[index].numblocks


def test_chunks_of_the_whole_are_those_of_its_parts(vtf: Path) -> None:
    pixels = opened(vtf, "auto").data.compute()
    ds = opened(vtf, (1, 1, 1, 15, 11))
    frame, pieces = ds[0, 1], ((1, 1, 1), (15, 15), (11,) * 4)
    np.testing.assert_array_equal(frame.data.compute(), pixels[0, 1])
    parts = {
        "selection": frame,
        "step by step": ds[0][1],
        "crop": ds[:, 1].crop("I"),
        "arithmetic": frame * 2 - frame,
        "in another unit": frame.to(u.Unit(2 * u.ct)),
        "many operations": sum((frame for _ in range(40)), frame),
        "pickle": pickle.loads(pickle.dumps(frame)),
    }
    for name, part in parts.items():
        assert part.data.chunks == pieces, name
    assert frame.to_xarray().chunks == pieces
    assert (frame / frame[0:1]).data.chunks == pieces
    assert ds[0, 1].rebin((1, 3, 1)).data.chunks == ((1, 1, 1), (5, 5), (11,) * 4)


def test_an_uncertainty_is_in_the_chunks_of_its_pixels(vtf: Path) -> None:
    from astropy.nddata import StdDevUncertainty

    frame = opened(vtf, (1, 1, 1, 15, 11))[0, 0]
    frame.uncertainty = StdDevUncertainty(frame.data / 10)
    doubled = frame * 2
    assert doubled.uncertainty.array.chunks == doubled.data.chunks


@pytest.mark.slow
def test_the_tiles_of_a_mosaic(simulated: Any, tmp_path: Path) -> None:
    dv.convert(simulated("vbi_mosaic"), tmp_path / "store")
    plain = dv.open_dataset(tmp_path / "store")
    assert isinstance(plain, dv.TiledDataset)
    y = names_of(plain[0, 0])[0][1]
    assert y.endswith("_0_0")
    stem = y.removesuffix("_0_0")
    for opener in (dv.open_dataset, lambda place, **how: dv.TiledDataset.from_asdf(
        simulated("vbi_mosaic"), **how
    )):  # fmt: skip
        mosaic: Any = opener(tmp_path / "store", chunks={stem: 16})
        assert {tile.data.chunks[1] for tile in mosaic.flat} == {(16, 16, 16)}
        assert mosaic.slice_tiles[0].to_xarray().chunks[y] == (16, 16, 16)
        # The names that to_xarray gives are those of one tile.
        mosaic = opener(tmp_path / "store", chunks={y: 24})
        assert [tile.data.chunks[1] for tile in mosaic.flat] == [(24, 24), (48,), (48,), (48,)]
        with pytest.raises(ValueError, match=r"tile data_0_0: .*no axis is called 'nowhere'"):
            opener(tmp_path / "store", chunks={"nowhere": 16})
        with pytest.raises(ValueError, match=r"tile data_0_0: .*for 2 axes"):
            opener(tmp_path / "store", chunks=(1, 1))


def test_a_dataset_that_is_a_cut_has_the_axes_that_are_left(tmp_path: Path, vtf: Path) -> None:
    from dkist_virtual.cube.virtual_array import VirtualArray
    from dkist_virtual.store.format.references import ArrayMetadata, ReferenceSet
    from dkist_virtual.store.handle import StoreHandle

    whole = opened(vtf, "auto")
    array = whole.provenance.array  # type: ignore[union-attr]
    (metadata, columns), cut = array.handle.store.references.arrays["data"], [1, None, [0, 2, 1]]
    cut[1:2] = [[0, 2, 1]]
    attributes = {**metadata.attributes, "subslice": [*cut, [4, 30, 2], [0, 44, 1]]}
    given = ArrayMetadata(
        metadata.shape, metadata.chunks, metadata.dtype, metadata.compressor, attributes
    )
    references = ReferenceSet(array.handle.store.references.attributes, {"data": (given, columns)})

    def cut_in(chunks: Any) -> VirtualArray:
        from dkist_virtual.cube.virtual_array import opened_selection

        handle = StoreHandle(None, references, ReadOptions(chunks=chunks))
        return VirtualArray(handle, "data", opened_selection(given))

    assert cut_in((1, 1, 5, 44)).dask_chunks() == ((1, 1), (1, 1), (5, 5, 3), (44,))
    assert cut_in({2: (3, 10)}).select((0, slice(None), slice(2, None, 2))).dask_chunks() == (
        (2,),
        (1, 5),
        (44,),
    )
    with pytest.raises(ValueError, match="for 5 axes, and the dataset has 4"):
        cut_in((1, 1, 1, 5, 44)).dask_chunks()
