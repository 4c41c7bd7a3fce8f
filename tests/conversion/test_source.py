"""Compare what we read of a DKIST ASDF with what ``dkist`` itself gives."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.time import Time
from dkist_assets import (
    DATASETS,
    FEW,
    MOSAIC,
    NOT_DATASETS,
    ROOT,
    VISP,
    load,
    masked_mosaic,
    save,
    unpacked,
    with_files,
)
from samples import mostly_slow

from dkist_virtual.conversion.asdf.frames import Frames
from dkist_virtual.conversion.asdf.locate import find_asdf
from dkist_virtual.conversion.asdf.source import Source, read_source
from dkist_virtual.errors import DatasetError, HeaderWarning, StoreCorruptError
from dkist_virtual.store.format.dataset_asdf import (
    Description,
    TileMeta,
    read_description,
    write_description,
)

ELSEWHERE = {"headers", "inventory", "history"}


@dataclass
class Case:
    """One ASDF, read by us and by dkist."""

    name: str
    path: Path
    source: Source
    oracle: Any

    @property
    def arrays(self) -> list[tuple[tuple[int, int] | None, Any]]:
        if not hasattr(self.oracle, "tiles_shape"):
            return [(None, self.oracle)]
        places = np.argwhere(~self.oracle.mask).tolist()
        return [((i, j), self.oracle[i, j]) for i, j in places]


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("assets")


@pytest.fixture(scope="module", params=mostly_slow(DATASETS, *FEW))
def case(request: pytest.FixtureRequest, assets: Path) -> Case:
    path = unpacked(request.param, assets)
    return Case(request.param, path, read_source(path), load(path))


def assert_same_tables(ours: Table, theirs: Table) -> None:
    assert ours.colnames == theirs.colnames
    assert len(ours) == len(theirs)
    for name in theirs.colnames:
        assert ours[name].dtype == theirs[name].dtype, name
        assert type(ours[name]) is type(theirs[name]), name
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def assert_same_wcs(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    low, other = (getattr(wcs, "low_level_wcs", wcs) for wcs in (ours, theirs))
    assert low.world_axis_physical_types == other.world_axis_physical_types
    assert low.pixel_axis_names == other.pixel_axis_names
    assert low.world_axis_units == other.world_axis_units
    assert low.pixel_shape == other.pixel_shape
    random = np.random.default_rng(1)
    pixels = [random.uniform(0, n - 1, 20) for n in reversed(shape)]
    for mine, other_values in zip(
        low.pixel_to_world_values(*pixels), other.pixel_to_world_values(*pixels), strict=True
    ):
        np.testing.assert_array_equal(mine, other_values)


def assert_same(one: Any, other: Any) -> None:
    """Equal trees, arrays and tables in them included."""
    if isinstance(other, dict):
        assert set(one) == set(other)  # ASDF sorts keys
        for key in other:
            assert_same(one[key], other[key])
    elif isinstance(other, list):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    elif isinstance(other, Table):
        assert_same_tables(one, other)
    elif isinstance(other, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(other, float) and np.isnan(other):
        assert np.isnan(one)
    else:
        assert one == other
        assert type(one) is type(other)


def cut_shape(frames: Frames) -> tuple[int, ...]:
    uncut = np.broadcast_to(np.int8(0), frames.shape)
    return uncut[frames.subslice].shape if frames.subslice is not None else uncut.shape


class TestEveryDatasetInDkist:
    def test_arrays(self, case: Case) -> None:
        assert [frames.index for frames in case.source.frames] == [i for i, _ in case.arrays]
        for frames, (_, dataset) in zip(case.source.frames, case.arrays, strict=True):
            assert cut_shape(frames) == dataset.data.shape
            assert frames.dtype == dataset.data.dtype
            assert frames.dtype.isnative

    def test_files_and_their_order(self, case: Case) -> None:
        for frames, (_, dataset) in zip(case.source.frames, case.arrays, strict=True):
            assert frames.names.shape == dataset.files.fileuri_array.shape
            assert frames.names.tolist() == dataset.files.fileuri_array.tolist()
            assert frames.relative_names.tolist() == dataset.files.fileuri_array.tolist()
            assert frames.n_frames == len(dataset.files)

    def test_target(self, case: Case) -> None:
        # Real data have their pixels in HDU 1; dkist's small and simulated sets in the primary.
        real = {"croppable_cryo", "croppable_visp", "large_vbi", "visp_no", "test_old"}
        expected = int(any(Path(case.name).name.startswith(start) for start in real))
        assert {frames.target for frames in case.source.frames} == {expected}

    def test_headers(self, case: Case) -> None:
        theirs = (
            case.oracle.headers if hasattr(case.oracle, "headers") else case.oracle.combined_headers
        )
        assert_same_tables(case.source.headers, theirs)

    def test_rows_belong_to_tiles_in_order(self, case: Case) -> None:
        start = 0
        for frames, (_, dataset) in zip(case.source.frames, case.arrays, strict=True):
            if not len(dataset.headers):
                continue
            assert_same_tables(
                case.source.headers[start : start + frames.n_frames], dataset.headers
            )
            start += frames.n_frames
        assert start == len(case.source.headers)

    def test_unit_mask_and_wcs(self, case: Case) -> None:
        for tile, (index, dataset) in zip(case.source.description.tiles, case.arrays, strict=True):
            assert tile.index == index
            assert tile.unit == dataset.unit
            assert tile.mask is None
            assert dataset.mask is None
            assert_same_wcs(tile.wcs, dataset.wcs, dataset.data.shape)

    def test_inventory_meta_and_history(self, case: Case) -> None:
        description = case.source.description
        if "0.2.0" in case.name:
            # dkist puts the meta of this version into itself as the inventory; it was empty.
            assert case.oracle.inventory is case.oracle.meta
            assert description.inventory == {}
        else:
            assert_same(description.inventory, case.oracle.inventory)
        assert set(description.meta) == set(case.oracle.meta) - ELSEWHERE
        assert_same(description.history, case.oracle.meta["history"])
        assert description.origin["asdf"] == case.path.name

    def test_description_after_writing_and_reading(self, case: Case, tmp_path: Path) -> None:
        before = case.source.description
        write_description(before, tmp_path / "dataset.asdf")
        assert_same_descriptions(read_description(tmp_path / "dataset.asdf"), before, case.source)

    def test_frames_pickle(self, case: Case) -> None:
        import pickle

        for frames in case.source.frames:
            again = pickle.loads(pickle.dumps(frames))
            assert again.names.tolist() == frames.names.tolist()
            assert (again.shape, again.dtype) == (frames.shape, frames.dtype)


def assert_same_descriptions(after: Description, before: Description, source: Source) -> None:
    assert after.grid == before.grid
    assert_same(after.inventory, before.inventory)
    assert_same(after.meta, before.meta)
    assert_same(after.history, before.history)
    assert_same(after.origin, before.origin)
    assert len(after.tiles) == len(before.tiles)
    for mine, theirs, frames in zip(after.tiles, before.tiles, source.frames, strict=True):
        assert mine.index == theirs.index
        assert mine.unit == theirs.unit
        assert_same(mine.mask, theirs.mask)
        assert_same(mine.meta, theirs.meta)
        assert_same_wcs(mine.wcs, theirs.wcs, cut_shape(frames)[-theirs.wcs.pixel_n_dim :])


def test_grids(assets: Path) -> None:
    assert read_source(unpacked(MOSAIC, assets)).description.grid == (3, 3)
    assert read_source(unpacked(VISP, assets)).description.grid is None


CUTS: dict[str, Any] = {
    "HDU axes": np.s_[:, :, 5:9, 2:4],
    "HDU axes after an Ellipsis": np.s_[..., 5:9, 2:4],
    "first HDU axis": np.s_[:, :, 4:5],
    "integer in the HDU": np.s_[:, :, 4],
    "frames and HDU": np.s_[:, 1:3, :, 7],
    "frames only": np.s_[0:2],
    "one frame axis gone": np.s_[:, 3],
    "one frame": np.s_[2, 3],
    "one frame, cut": np.s_[1, 2, 5:9],
}


@pytest.mark.parametrize("cut", mostly_slow(CUTS, "frames and HDU", "one frame axis gone"))
def test_saved_cut(cut: str, assets: Path, tmp_path: Path) -> None:
    item = CUTS[cut]
    path = save(tmp_path / "cut.asdf", load(unpacked(VISP, assets))[item])
    oracle, source = load(path), read_source(path)
    (frames,) = source.frames
    assert cut_shape(frames) == oracle.data.shape
    assert frames.names.ravel().tolist() == oracle.files.fileuri_array.ravel().tolist()
    assert_same_tables(source.headers, oracle.headers)
    (tile,) = source.description.tiles
    shape = (20,) * tile.wcs.low_level_wcs.pixel_n_dim
    assert_same_wcs(tile.wcs, oracle.wcs, shape)
    write_description(source.description, tmp_path / "dataset.asdf")
    (again,) = read_description(tmp_path / "dataset.asdf").tiles
    assert_same_wcs(again.wcs, oracle.wcs, shape)


def test_cut_reaches_the_pixels_dkist_gives(tmp_path: Path) -> None:
    small = load(unpacked("small_visp/test_visp.asdf", tmp_path))
    small._unit = u.ct  # today's schema demands one
    for name in ("0.fits", "1.fits", "2.fits"):
        (tmp_path / name).write_bytes((ROOT / "small_visp" / name).read_bytes())
    path = save(tmp_path / "cut.asdf", small[1:, 5:9, 2:4])
    (frames,) = read_source(path).frames
    uncut = load(ROOT / "small_visp" / "test_visp.asdf").data[1:].compute()
    assert frames.shape == uncut.shape
    np.testing.assert_array_equal(uncut[frames.subslice], load(path).data.compute())


def test_a_cut_that_dkist_cannot_load_is_refused(assets: Path, tmp_path: Path) -> None:
    path = save(tmp_path / "cut.asdf", load(unpacked(VISP, assets))[1:2, 3:4, 5:9])
    with pytest.raises(DatasetError, match=r"cut\.asdf: dkist .* Too many indices"):
        read_source(path)


def unchanged(_node: dict[str, Any]) -> None:
    pass


def one_frame(fileuris: Any) -> Callable[[dict[str, Any]], None]:
    return lambda node: node.update(fileuris=fileuris)


@pytest.mark.slow
@pytest.mark.parametrize("fileuris", ("a/b.fits", ["a/b.fits"], [["a/b.fits"]]))
def test_single_frame_has_no_frame_axes(fileuris: Any, assets: Path, tmp_path: Path) -> None:
    path = with_files(tmp_path / "one.asdf", assets, one_frame(fileuris), n_rows=1)
    source = read_source(path)
    (frames,) = source.frames
    assert frames.names.shape == ()
    assert frames.names.item() == frames.relative_names.item() == "a/b.fits"
    assert frames.shape == load(path).data.shape == (50, 128)
    assert frames.n_frames == len(source.headers) == 1


@pytest.mark.slow
def test_leading_one_is_dropped_once(assets: Path, tmp_path: Path) -> None:
    for shape in ([1, 50, 128], [50, 128], [1, 1, 50, 128], [2, 1, 128]):
        path = with_files(
            tmp_path / "shape.asdf", assets, lambda node, s=shape: node.update(shape=s)
        )
        (frames,) = read_source(path).frames
        assert frames.shape == load(path).data.shape
        assert frames.hdu_shape == tuple(shape)


def test_target_may_be_a_name(assets: Path, tmp_path: Path) -> None:
    path = with_files(
        tmp_path / "named.asdf", assets, lambda node: node.update(target="OBSERVATION")
    )
    assert read_source(path).frames[0].target == "OBSERVATION"


def test_names(assets: Path, tmp_path: Path) -> None:
    given = {
        (0, 0): (None, None),
        (1, 2): ("sub/dir/x.fits", "sub/dir/x.fits"),
        (1, 3): ("./x.fits", "x.fits"),
        (1, 4): ("/data/pid/x.fits", "x.fits"),
        (1, 5): ("https://example.org/data/x.fits?sig=a/b", "x.fits"),
        (1, 6): ("s3://bucket/data/x.fits", "x.fits"),
        (1, 7): ("C:\\data\\x.fits", "x.fits"),
        (1, 8): ("file:///data/x.fits", "x.fits"),
        (1, 9): ("VISP_2022-10-24T18:57:45.fits", "VISP_2022-10-24T18:57:45.fits"),
    }

    def change(node: dict[str, Any]) -> None:
        for (i, j), (name, _) in given.items():
            node["fileuris"][i][j] = name

    path = with_files(tmp_path / "names.asdf", assets, change)
    (frames,) = read_source(path).frames
    assert frames.names.tolist() == load(path).files.fileuri_array.tolist()
    assert frames.n_frames == 80
    for place, (name, relative) in given.items():
        assert frames.names[place] == name
        assert frames.relative_names[place] == relative
    assert frames.relative_names[3, 19] == "79.fits"


@pytest.mark.parametrize(
    "name", ("../x.fits", "a/../../x.fits", "..\\x.fits", "..", "", ".", "/data/", "https://host/")
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    names = np.array(["fine.fits", name], dtype=object)
    frames = Frames(None, names, (2, 2), np.dtype("f4"), 1, None)
    with pytest.raises(DatasetError, match="expected the name of a file in or below"):
        frames.relative_names  # noqa: B018


@pytest.mark.slow
def test_masked_mosaic(assets: Path, tmp_path: Path) -> None:
    masked = [(0, 0), (1, 2)]
    path = masked_mosaic(tmp_path / "masked.asdf", assets, masked)
    source, oracle = read_source(path), load(path)
    whole = load(unpacked(MOSAIC, assets))
    present = [place for place in np.ndindex(3, 3) if place not in masked]
    assert [frames.index for frames in source.frames] == present
    assert [tile.index for tile in source.description.tiles] == present
    assert source.description.grid == oracle.shape == (3, 3)
    for frames in source.frames:
        assert frames.names.tolist() == whole[frames.index].files.fileuri_array.tolist()
        assert cut_shape(frames) == whole[frames.index].data.shape
    assert_same_tables(source.headers, oracle.combined_headers)
    write_description(source.description, tmp_path / "dataset.asdf")
    again = read_description(tmp_path / "dataset.asdf")
    assert_same_descriptions(again, source.description, source)


@pytest.mark.slow
def test_tiles_that_are_masked_but_stand_in_the_file(assets: Path, tmp_path: Path) -> None:
    whole = unpacked(MOSAIC, assets)
    mask = np.zeros((3, 3), bool)
    mask[0, 1] = True
    path = tmp_path / "masked.asdf"
    # Saving through dkist would write the masked tile as null: the mask's block is changed instead.
    content = whole.read_bytes()
    with asdf.open(whole, lazy_load=False, memmap=False) as file:
        assert not np.any(file["dataset"].mask)
    start = content.rindex(bytes(9))
    path.write_bytes(content[:start] + mask.tobytes() + content[start + 9 :])
    oracle = load(path)
    assert oracle.mask.tolist() == mask.tolist()
    source = read_source(path)
    present = [place for place in np.ndindex(3, 3) if place != (0, 1)]
    assert [frames.index for frames in source.frames] == present
    # The table in the file still has the rows of the masked tile.
    assert len(oracle.combined_headers) == len(source.headers) + 2
    assert_same_tables(source.headers[:2], load(whole)[0, 0].headers)
    assert_same_tables(source.headers[2:4], load(whole)[0, 2].headers)


def test_mosaic_of_one_row(assets: Path, tmp_path: Path) -> None:
    whole = load(unpacked(MOSAIC, assets))
    row = whole[1]
    row.meta["headers"] = None
    path = save(tmp_path / "row.asdf", type(row)(row._data, meta=row.meta))
    source, oracle = read_source(path), load(path)
    assert oracle.shape == (3,)
    assert source.description.grid == (1, 3)
    assert [frames.index for frames in source.frames] == [(0, 0), (0, 1), (0, 2)]
    for frames in source.frames:
        assert frames.names.tolist() == whole[1, frames.index[1]].files.filenames


def test_rich_meta_survives(assets: Path, tmp_path: Path) -> None:
    dataset = load(unpacked(VISP, assets))
    mask = np.zeros(dataset.data.shape[-2:], bool)
    mask[3:5] = True
    rich = {
        "quality": {"metrics": [{"name": "a", "values": [1, 2.5, None]}], "ok": True},
        "parameters": [{"parameterName": "b", "parameterValues": []}],
        "observation_input_frames": {"bucket": "raw", "objectKeys": ["x", "y"]},
        "table": Table({"a": [1, 2], "b": ["x", "y"]}),
        "when": Time("2023-01-01T00:00:00"),
        "long": np.arange(1000.0),
        "length": 3.5 * u.arcsec,
    }
    description = Description(
        None,
        (TileMeta(None, dataset.wcs, dataset.unit, mask, {}),),
        dataset.inventory,
        rich,
        {"entries": []},
        {"asdf": "x.asdf"},
    )
    write_description(description, tmp_path / "dataset.asdf")
    again = read_description(tmp_path / "dataset.asdf")
    assert set(again.meta) == set(rich)
    for key in ("quality", "parameters", "observation_input_frames", "table", "long"):
        assert_same(again.meta[key], rich[key])
    assert again.meta["when"] == rich["when"]
    assert again.meta["length"] == rich["length"]
    assert_same(again.tiles[0].mask, mask)


def test_a_mask_in_the_asdf_is_kept(assets: Path, tmp_path: Path) -> None:
    mask = np.zeros((4, 20, 50, 128), bool)
    mask[1, 2, 3] = True
    path = with_files(tmp_path / "mask.asdf", assets, unchanged, mask=mask)
    (tile,) = read_source(path).description.tiles
    assert_same(tile.mask, load(path).mask)
    assert_same(tile.mask, mask)


class TestRefused:
    def test_other_asdf(self, assets: Path) -> None:
        path = unpacked(NOT_DATASETS[0], assets)
        with pytest.raises(DatasetError, match="expected the key dataset, found gwcs") as caught:
            read_source(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("inversion", [1, {"quantities": {}}, {"quantities": {"items": {}}}])
    def test_an_inversion_without_quantities(self, inversion: object, tmp_path: Path) -> None:
        path = tmp_path / "x.asdf"
        asdf.AsdfFile({"inversion": inversion}).write_to(path)
        with pytest.raises(DatasetError, match="expected a DKIST level 2 inversion with quantit"):
            read_source(path)

    def test_other_things_under_the_key(self, tmp_path: Path) -> None:
        path = tmp_path / "other.asdf"
        for thing in ({"data": 1}, [1], Time("2023-01-01"), np.arange(3)):
            asdf.AsdfFile({"dataset": thing}).write_to(path)
            with pytest.raises(DatasetError, match=r"the key dataset holds .*; expected a DKIST"):
                read_source(path)

    def test_not_asdf(self, tmp_path: Path) -> None:
        path = tmp_path / "x.asdf"
        for content in (b"", b"SIMPLE  =", b"\x1f\x8b\x08rest"):
            path.write_bytes(content)
            with pytest.raises(DatasetError, match="not an ASDF file"):
                read_source(path)
        with pytest.raises(DatasetError, match="unpack it first"):
            read_source(ROOT / VISP)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match=r"x\.asdf: no such file"):
            read_source(tmp_path / "x.asdf")

    @pytest.mark.parametrize("kept", (0.02, 0.5, 0.9))
    def test_cut_short(self, kept: float, assets: Path, tmp_path: Path) -> None:
        content = unpacked(VISP, assets).read_bytes()
        path = tmp_path / "short.asdf"
        path.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(DatasetError, match=r"short\.asdf"):
            read_source(path)

    @pytest.mark.parametrize(
        ("change", "says"),
        (
            ({"datatype": "nonsense"}, "nonsense"),
            ({"fileuris": []}, "cannot read"),
            ({"fileuris": [["a", "b"], ["c"]]}, "lists of equal length"),
            ({"shape": [0, 4]}, "shape"),
        ),
    )
    def test_broken_file_manager(
        self, change: dict[str, Any], says: str, assets: Path, tmp_path: Path
    ) -> None:
        path = with_files(tmp_path / "broken.asdf", assets, lambda node: node.update(change))
        with pytest.raises(DatasetError, match=says):
            read_source(path)

    def test_rows_that_are_not_one_a_frame(self, assets: Path, tmp_path: Path) -> None:
        path = with_files(tmp_path / "rows.asdf", assets, unchanged, n_rows=79)
        with pytest.warns(HeaderWarning, match="79 rows for 80 frames"):
            assert len(read_source(path).headers) == 0


class TestReadDescription:
    @pytest.fixture
    def written(self, assets: Path, tmp_path: Path) -> Path:
        path = tmp_path / "dataset.asdf"
        write_description(read_source(unpacked(VISP, assets)).description, path)
        return path

    def test_from_an_open_file(self, written: Path) -> None:
        with written.open("rb") as file:
            assert read_description(file).grid is None
        assert read_description(io.BytesIO(written.read_bytes())).grid is None

    def test_nothing_stays_in_the_file(self, written: Path, assets: Path) -> None:
        description = read_description(written)
        written.write_bytes(b"")
        source = load(unpacked(VISP, assets))
        assert_same_wcs(description.tiles[0].wcs, source.wcs, source.data.shape)

    def test_it_is_parsed_once_and_when_it_is_needed(
        self, written: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from dkist_virtual.store.format import dataset_asdf

        parse, times = dataset_asdf._parse, 0

        def counted(data: bytes, name: str) -> Description:
            nonlocal times
            times += 1
            return parse(data, name)

        monkeypatch.setattr(dataset_asdf, "_parse", counted)
        found = read_description(written)
        assert (found.grid, found.indices, times) == (None, (None,), 0)
        again = pickle.loads(pickle.dumps(found))
        assert times == 0
        assert again.inventory == found.inventory
        assert (len(found.tiles), bool(found.origin), times) == (1, True, 2)
        assert pickle.loads(pickle.dumps(found)).inventory == found.inventory
        assert times == 2
        content = written.read_bytes()
        written.write_bytes(content.replace(b"asdf_library", b"asdf_librarx", 1))
        assert isinstance(read_description(written), Description)
        assert times == 3

    @pytest.mark.parametrize(
        ("before", "after", "says"),
        (
            (b'"grid":null,"tiles":[null]', b'"grid":[1,1],"tiles":[[0,0]]', "that its digest"),
            (b"source_history:", b"source_histors:", "source_history"),
        ),
    )
    def test_a_digest_that_lies(
        self, before: bytes, after: bytes, says: str, written: Path
    ) -> None:
        from dkist_virtual.store.format import dataset_asdf

        content = written.read_bytes()
        assert content.count(before) == 1
        written.write_bytes(dataset_asdf._with_digest(content.replace(before, after)))
        with pytest.raises(StoreCorruptError, match=says):
            read_description(written).inventory  # noqa: B018
        written.write_bytes(content.replace(before, after))
        if b"grid" not in before:
            with pytest.raises(StoreCorruptError, match=says):
                read_description(written)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(StoreCorruptError, match=r"dataset\.asdf"):
            read_description(tmp_path / "dataset.asdf")

    @pytest.mark.parametrize("kept", (0.0, 0.1, 0.5, 0.98))
    def test_cut_short(self, kept: float, written: Path) -> None:
        content = written.read_bytes()
        written.write_bytes(content[: int(len(content) * kept)])
        with pytest.raises(StoreCorruptError, match=r"dataset\.asdf.*convert again"):
            read_description(written)

    def test_another_asdf(self, assets: Path) -> None:
        with pytest.raises(StoreCorruptError, match="dkist_virtual"):
            read_description(unpacked(VISP, assets))

    @pytest.mark.parametrize(
        "change",
        (
            {"dkist_virtual": {"format_version": 2, "origin": {}}},
            {"tiles": []},
            {"tiles": [{"index": [0, 0]}]},
            {"tiles": "x"},
            {"grid": [1]},
            {"grid": [2, 2]},
            {"meta": None},
            {"inventory": 3},
        ),
    )
    def test_unexpected_content(self, change: dict[str, Any], written: Path) -> None:
        with asdf.open(written, lazy_load=False, memmap=False) as file:
            tree = dict(file.tree)
        asdf.AsdfFile({**tree, **change}).write_to(written)
        with pytest.raises(StoreCorruptError, match=r"dataset\.asdf"):
            read_description(written)

    @pytest.mark.slow
    def test_readable_without_this_package(self, written: Path) -> None:
        script = """
            import sys
            sys.modules["dkist_virtual"] = None  # as where it is not installed
            import asdf
            with asdf.open(sys.argv[1]) as file:
                tree = file.tree
                print(tree["dkist_virtual"]["format_version"], tree["tiles"][0]["unit"])
                print(tree["tiles"][0]["wcs"].pixel_to_world_values(0, 0, 0, 0)[0])
            assert not any(name.startswith("dkist_virtual.") for name in sys.modules)
        """
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script), str(written)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.splitlines()[0] == "1 ct"


class TestFindAsdf:
    @pytest.fixture
    def place(self, tmp_path: Path) -> Callable[..., Path]:
        def make(name: str, age: int, key: str = "dataset") -> Path:
            path = tmp_path / name
            path.write_bytes(f"#ASDF 1.0.0\n%YAML 1.1\n---\n{key}: 1\n...\n".encode())
            os.utime(path, ns=(10**18 - age, 10**18 - age))
            return path

        return make

    def test_file_stays(self, place: Callable[..., Path]) -> None:
        path = place("anything.at.all", 0)
        assert find_asdf(path) == (path, [])

    def test_only_one(self, place: Callable[..., Path], tmp_path: Path) -> None:
        path = place("x.asdf", 0)
        place("x.asdf.gz", 0)
        assert find_asdf(tmp_path) == (path, [])

    def test_newest(self, place: Callable[..., Path], tmp_path: Path) -> None:
        old, new, older = place("c.asdf", 5), place("b.asdf", 1), place("a.asdf", 9)
        assert find_asdf(tmp_path) == (new, [older, old])

    def test_ties_by_name(self, place: Callable[..., Path], tmp_path: Path) -> None:
        first, last = place("a.asdf", 0), place("b.asdf", 0)
        assert find_asdf(tmp_path) == (last, [first])

    def test_newer_kind_of_name(self, place: Callable[..., Path], tmp_path: Path) -> None:
        stem = "VISP_L1_20230501T123456_ABCDE"
        plain, tools = place(f"{stem}.asdf", 0), place(f"{stem}_user_tools.asdf", 1)
        metadata = place(f"{stem}_metadata.asdf", 9)
        assert find_asdf(tmp_path) == (metadata, [plain, tools])

    def test_inversion_beside_its_dataset(self, place: Callable[..., Path], tmp_path: Path) -> None:
        dataset, inversion = place("a.asdf", 9), place("b.asdf", 0, key="inversion")
        assert find_asdf(tmp_path) == (dataset, [inversion])
        dataset.unlink()
        assert find_asdf(tmp_path) == (inversion, [])

    def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="no ASDF in this directory"):
            find_asdf(tmp_path)
        with pytest.raises(DatasetError, match="no such file or directory"):
            find_asdf(tmp_path / "nowhere")
