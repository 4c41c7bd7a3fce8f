"""Save datasets as ASDFs that dkist opens: dkist itself is the oracle, for pixels, WCS and headers.

dkist 1.18.1 gives all its dask arrays one name, so its pixels are computed one array at a time.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import dkist
import numpy as np
import pytest
from astropy.nddata import StdDevUncertainty
from dkist_assets import DATASETS, ROOT, load, unpacked, with_files
from inversions import make_inversion
from ndcube import NDCollection, NDCubeSequence
from samples import mostly_slow, paired

import dkist_virtual as dv
from dkist_virtual.dataset.save.extension import SaveExtension, get_extensions
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, StoreError, StoreExistsError

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(autouse=True)
def extension() -> Iterator[None]:
    """The extension, where the installed package has another entry point than this one."""
    with asdf.config_context() as config:
        known = [extension.extension_uri for extension in config.extensions]
        if SaveExtension.extension_uri not in known:
            for one in get_extensions():
                config.add_extension(one)
        yield


@pytest.fixture(scope="module")
def visp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small frames and their ASDF, from the dkist package."""
    directory = tmp_path_factory.mktemp("visp") / "frames"
    shutil.copytree(ROOT / "small_visp", directory)
    return directory


def opened(visp: Path) -> Any:
    """The dataset of these frames, with a unit, which its ASDF lacks."""
    return dv.Dataset(dv.open_dataset(visp / "test_visp.asdf"), unit="ct")


# What is compared ------------------------------------------------------------------------------


def world(ds: Any) -> list[Any]:
    """World coordinates of every pixel."""
    grid = np.indices(ds.data.shape)[::-1]
    values = ds.wcs.low_level_wcs.pixel_to_world_values(*grid)
    return [values] if ds.wcs.low_level_wcs.world_n_dim == 1 else list(values)


def check_same(got: Any, ds: Any, *, pixels: bool = True) -> None:
    """Compare what a saved dataset was read as, by dkist or by us, with the dataset."""
    assert got.data.shape == ds.data.shape
    assert got.data.dtype == ds.data.dtype
    if pixels:
        np.testing.assert_array_equal(got.data.compute(), ds.data.compute())
    for one, other in zip(world(got), world(ds), strict=True):
        np.testing.assert_array_equal(one, other)
    low, its = got.wcs.low_level_wcs, ds.wcs.low_level_wcs
    for name in (
        "pixel_shape",
        "world_axis_physical_types",
        "world_axis_units",
        "pixel_axis_names",
    ):
        assert list(getattr(low, name) or ()) == list(getattr(its, name) or ()), name
    assert [str(v) for v in got.global_coords.values()] == [
        str(v) for v in ds.global_coords.values()
    ]
    assert got.unit == ds.unit
    assert got.inventory == ds.inventory
    assert list(got.files.filenames) == list(ds.files.filenames)
    check_headers(got.headers, ds.headers)
    if ds.mask is None:
        assert got.mask is None
    else:
        np.testing.assert_array_equal(np.asarray(got.mask), np.asarray(ds.mask))


def check_headers(got: Any, wanted: Any) -> None:
    assert list(got.colnames) == list(wanted.colnames)
    assert len(got) == len(wanted)
    for name in wanted.colnames:
        one, other = np.ma.asarray(got[name]), np.ma.asarray(wanted[name])
        assert (one.dtype.kind, one.dtype.itemsize) == (other.dtype.kind, other.dtype.itemsize)
        np.testing.assert_array_equal(np.ma.getmaskarray(one), np.ma.getmaskarray(other))
        np.testing.assert_array_equal(one.filled(), other.filled())


def plain(meta: Any) -> dict[str, Any]:
    return {key: meta[key] for key in meta if key not in ("headers", "history")}


def saved(ds: Any, path: Path) -> Any:
    """Save, and read with dkist."""
    dv.save_dataset(ds, path, overwrite=True)
    return load(path)


# Datasets ---------------------------------------------------------------------------------------

CUTS = [
    pytest.param(cut, id=str(cut).replace("None", ""))
    for cut in (
        np.s_[..., ::2], np.s_[0], np.s_[...], np.s_[0:1, 2:9:3, 5], np.s_[1:], np.s_[0:1],
        np.s_[2:3, 4], np.s_[::2, 1:6, 7], np.s_[:, 3, 4:20:5], np.s_[:, :, 0], np.s_[1, :, 3::4],
    )
]  # fmt: skip


@pytest.mark.parametrize("cut", mostly_slow(CUTS, every=len(CUTS)))
def test_a_cut_is_opened_by_dkist_and_by_us_with_all_that_it_has(cut: Any, visp: Path) -> None:
    ds = opened(visp)[cut]
    path = visp / "saved.asdf"
    try:
        got = saved(ds, path)
        assert type(got) is dkist.Dataset
        check_same(got, ds)
        assert plain(got.meta) == plain(ds.meta)
        check_same(dv.open_dataset(path), ds)
        # A second time, from what was saved.
        again = dv.Dataset.from_asdf(path)[..., ::2]
        check_same(saved(again, visp / "again.asdf"), ds[..., ::2])
    finally:
        path.unlink()
        (visp / "again.asdf").unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [np.s_[0], np.s_[1:], np.s_[0, 2:5], np.s_[:, 3]], ids=str)
def test_a_cut_is_the_one_that_dkist_makes(cut: Any, visp: Path, tmp_path: Path) -> None:
    theirs = load(visp / "test_visp.asdf")[cut]
    got = saved(opened(visp)[cut], tmp_path / "saved.asdf")
    for one, other in zip(world(got), world(theirs), strict=True):
        np.testing.assert_array_equal(one, other)
    check_headers(got.headers, theirs.headers)
    assert got.files.filenames == theirs.files.filenames
    got.files.basepath = visp
    np.testing.assert_array_equal(got.data.compute(), theirs.data.compute())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cut"),
    paired(
        ["visp", "visp_plain", "vtf", "cryonirsp", "visp_moving"] * 2,
        [np.s_[...], np.s_[0], np.s_[1:, ::2, ..., 3:20:4], np.s_[0, 0], np.s_[..., 5, 7]],
    ),
    ids=str,
)
def test_a_selection_of_a_store_is_opened_by_dkist(
    name: str, cut: Any, simulated: Any, converted: Any, tmp_path: Path
) -> None:
    """Frames of one axis more than the array, without a codec, of five dimensions."""
    shutil.copytree(simulated(name), tmp_path / "frames")
    ds = dv.open_dataset(converted(name))[cut]
    path = tmp_path / "frames" / "saved.asdf"
    check_same(saved(ds, path), ds)
    check_same(dv.open_dataset(path), ds)
    # And a store made of it, by dkist's WCS of it.
    dv.convert(path, tmp_path / "store", progress=False)
    check_same(dv.open_dataset(tmp_path / "store"), ds)


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_every_asdf_of_dkist_is_saved(name: str, tmp_path: Path) -> None:
    """Old versions, without headers, of mosaics."""
    source = unpacked(name, tmp_path)
    ds, theirs = dv.open_dataset(source), load(source)
    if isinstance(ds, dv.Dataset) and ds.unit is None:
        with pytest.raises(DatasetError, match="has no unit"):
            dv.save_dataset(ds, tmp_path / "saved.asdf")
        ds = dv.Dataset(ds, unit="ct")
    elif isinstance(ds, dv.TiledDataset) and ds.flat[0].unit is None:
        with pytest.raises(DatasetError, match=r"tile \[0, 0\]: save: the dataset has no unit"):
            dv.save_dataset(ds, tmp_path / "saved.asdf")
        return
    got = saved(ds, tmp_path / "saved.asdf")
    pairs = (
        [(got, theirs)] if isinstance(ds, dv.Dataset) else zip(got.flat, theirs.flat, strict=True)
    )
    for one, other in pairs:
        assert one.unit == other.unit or other.unit is None
        assert list(one.files.filenames) == list(other.files.filenames)
        assert (one.data.shape, one.data.dtype) == (other.data.shape, other.data.dtype)
        assert len(one.headers) == len(other.headers)
        corner = [0] * one.wcs.low_level_wcs.pixel_n_dim
        assert np.array_equal(
            one.wcs.low_level_wcs.pixel_to_world_values(*corner),
            other.wcs.low_level_wcs.pixel_to_world_values(*corner),
            equal_nan=True,
        )
    again = dv.open_dataset(tmp_path / "saved.asdf")
    said = [
        [line for line in str(one).splitlines() if "made from" not in line] for one in (again, ds)
    ]
    assert said[0] == said[1]


def test_what_was_set_is_saved_or_warned_of(visp: Path, tmp_path: Path) -> None:
    ds = opened(visp)[:2, 1:]
    ds.mask = np.arange(ds.data.size).reshape(ds.shape) % 7 == 0
    ds.headers["NOTE"] = ["a", "bc"]
    ds.headers["EXPTIME"] = np.ma.array([1.5, 2.5], mask=[False, True])
    ds.meta["note"] = {"by": "me", "when": [1, 2], "how": 3 * u.s}
    got = saved(ds, tmp_path / "saved.asdf")
    check_same(got, ds, pixels=False)
    assert got.meta["note"] == ds.meta["note"]
    again = dv.open_dataset(tmp_path / "saved.asdf")
    assert isinstance(again, dv.Dataset)
    check_same(again, ds, pixels=False)
    assert again.meta["note"] == ds.meta["note"]
    ds.uncertainty = StdDevUncertainty(np.ones(ds.shape))
    ds.psf = np.eye(2)
    ds.global_coords.add("room", "custom:room", 290 * u.K)
    ds.extra_coords.add("row", (1,), np.arange(ds.shape[1]) * u.mm)
    with pytest.warns(DKISTVirtualWarning, match="uncertainty and psf and global_coords and extra"):
        dv.save_dataset(ds, tmp_path / "saved.asdf", overwrite=True)


@pytest.mark.slow
@pytest.mark.parametrize("mask", [True, False])
def test_a_mask_of_one_value_is_one_of_each_pixel(mask: bool, visp: Path, tmp_path: Path) -> None:
    ds = opened(visp)[0]
    ds.mask = mask
    got = saved(ds, tmp_path / "saved.asdf")
    np.testing.assert_array_equal(np.asarray(got.mask), np.full(ds.shape, mask))


@pytest.mark.slow
def test_a_mask_of_dask_is_computed(visp: Path, tmp_path: Path) -> None:
    import dask.array as da

    ds = opened(visp)[0]
    ds.mask = da.ones(ds.shape, chunks=5, dtype=bool)
    assert np.asarray(saved(ds, tmp_path / "saved.asdf").mask).all()


def set_meta(ds: Any, key: Any, value: Any) -> Any:
    ds.meta[key] = value
    return ds


def set_column(ds: Any) -> Any:
    ds.headers["OBJ"] = np.array([object()] * len(ds.headers), object)
    return ds


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds * 2, "the pixels are computed from 3 frames"),
        (lambda ds: ds.with_data(np.zeros(ds.shape)), "the pixels are computed from"),
        (lambda ds: ds.to("kct") if ds.unit == "ct" else ds / ds, "the pixels are computed from"),
        (lambda ds: set_meta(ds, "thing", object()), r"meta\['thing'\], a object, cannot be"),
        (set_column, r"headers\['OBJ'\] is a"),
    ],
)
def test_what_the_form_has_no_place_for_is_refused(
    change: Callable[[Any], Any], said: str, visp: Path, tmp_path: Path
) -> None:
    ds = change(opened(visp))
    with pytest.raises(DatasetError, match=said):
        dv.save_dataset(ds, tmp_path / "saved.asdf")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_when_asked_and_only_when_it_is_complete(
    visp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ds = opened(visp)
    path = tmp_path / "a name # with % marks.asdf"
    dv.save_dataset(ds, str(path))
    with pytest.raises(StoreExistsError, match="overwrite=True replaces it") as caught:
        dv.save_dataset(ds, path)
    assert isinstance(caught.value, FileExistsError)  # dkist's
    before = path.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(StoreError, match="What was there before stays"):
        dv.save_dataset(ds[0], path, overwrite=True)
    monkeypatch.undo()
    assert path.read_bytes() == before
    dv.save_dataset(ds[0], path, True)
    assert len(dv.open_dataset(path).files) == 1  # dkist's path may have no #
    assert [one.name for one in tmp_path.iterdir()] == [path.name]
    with pytest.raises(StoreExistsError, match="is a directory"):
        dv.save_dataset(ds, tmp_path, overwrite=True)
    with pytest.raises(StoreError, match="expected a path"):
        dv.save_dataset(ds, "https://127.0.0.1/x.asdf")
    with pytest.raises(StoreError, match="cannot be written"):
        dv.save_dataset(ds, tmp_path / "nowhere" / "x.asdf")
    with pytest.raises(TypeError, match=r"numpy\.ndarray: expected a Dataset"):
        dv.save_dataset(np.zeros(3), tmp_path / "x.asdf")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_dataset_is_saved_over_the_asdf_that_it_was_opened_from(
    visp: Path, tmp_path: Path
) -> None:
    shutil.copytree(visp, tmp_path / "frames")
    path = tmp_path / "frames" / "test_visp.asdf"
    wanted = opened(visp)[1:]
    dv.save_dataset(opened(tmp_path / "frames")[1:], path, overwrite=True)
    check_same(load(path), wanted)


# Mosaics ----------------------------------------------------------------------------------------

TILES: tuple[Any, ...] = (
    lambda m: m,
    lambda m: m[:1].slice_tiles[..., 3:9:2],
    lambda m: m.slice_tiles[0],
    lambda m: m.flat,
    lambda m: m[0],
    lambda m: m[:1, :1],
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "name"), paired(TILES, ["vbi_mosaic", "vbi_mosaic_missing", "dlnirsp"])
)
def test_a_mosaic_is_opened_by_dkist_and_by_us(
    name: str, part: Callable[[Any], Any], simulated: Any, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    shutil.copytree(simulated(name), frames)
    mosaic = part(dv.open_dataset(simulated(name)))
    mosaic.meta["note"] = "mine"
    mosaic.flat[0].meta["own"] = 1
    mosaic.flat[0].mask = np.eye(*mosaic.flat[0].shape[-2:], dtype=bool)[
        (None,) * (len(mosaic.flat[0].shape) - 2)
    ] & np.ones(mosaic.flat[0].shape, bool)
    path = frames / "saved.asdf"
    got = saved(mosaic, path)
    again = dv.open_dataset(path)
    assert got.shape == mosaic.shape
    np.testing.assert_array_equal(got.mask, np.asarray(mosaic.mask))
    np.testing.assert_array_equal(again.mask, np.atleast_2d(np.asarray(mosaic.mask)))
    check_headers(got.meta["headers"], mosaic.combined_headers)
    assert got.meta["note"] == again.meta["note"] == "mine"
    assert list(got.files.filenames) == list(mosaic.files.filenames)
    for theirs, ours, tile in zip(got.flat, again.flat, mosaic.flat, strict=True):
        check_same(theirs, tile)
        check_same(ours, tile)
        # Of what is in the meta of the mosaic, a tile that is opened has its part.
        assert plain(ours.meta) == {**plain(tile.meta), "note": "mine"}
    assert got.flat[0].meta["own"] == 1
    assert "own" not in got.flat[-1].meta or len(got.flat) == 1


@pytest.mark.slow
def test_hidden_tiles_and_computed_ones(simulated: Any, tmp_path: Path) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    mosaic.mask[0, 1] = True
    got = saved(mosaic, tmp_path / "saved.asdf")
    np.testing.assert_array_equal(got.mask, [[False, True], [False, False]])
    assert len(got.meta["headers"]) == len(mosaic.combined_headers) == 9
    tiles = np.array([[mosaic[0, 0], mosaic[1, 0] * 2]], object)
    with pytest.raises(DatasetError, match=r"tile \[0, 1\]: save: the pixels are computed"):
        dv.save_dataset(dv.TiledDataset(tiles, mosaic.meta), tmp_path / "x.asdf")


# Inversions -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cut", "compressed"),
    paired([np.s_[...], np.s_[1:], np.s_[:2, 1:5:2], np.s_[0]], [False, True]),
    ids=str,
)
def test_an_inversion_is_opened_by_dkist_and_by_us(
    cut: Any, compressed: bool, tmp_path: Path
) -> None:
    made = make_inversion(tmp_path / "inversion", tmp_path, compressed=compressed)
    inversion = dv.load_dataset(made.asdf)[cut]
    path = made.asdf.with_name("saved.asdf")
    got = saved(inversion, path)
    assert type(got) is dkist.Inversion
    again = dv.load_dataset(path)
    for one in (got, again):
        assert list(one) == list(inversion)
        assert {k: tuple(v) for k, v in one.aligned_axes.items()} == inversion.aligned_axes
        check_headers(one.meta["headers"], inversion.headers)
        assert one.meta["inventory"] == inversion.inventory
        for key, ds in inversion.items():
            check_same(one[key], ds)
        for key, ds in inversion.profiles.items():
            check_same(one.profiles[key], ds)
    check_headers(again.headers, inversion.headers)


# Names of frames --------------------------------------------------------------------------------


@pytest.mark.slow
def test_names_are_those_of_the_asdf_wherever_the_frames_are_read(
    visp: Path, tmp_path: Path
) -> None:
    theirs = load(visp / "test_visp.asdf")
    names = theirs.files.filenames
    store = tmp_path / "store"
    dv.convert(visp, store, progress=False)
    # Elsewhere, in several places, on a server.
    shutil.copytree(visp, tmp_path / "copy")
    with FrameServer(visp.parent).running() as server:
        url = f"{server.url}/{visp.name}"
        found = [
            dv.open_dataset(store),
            dv.open_dataset(store, frames=tmp_path / "copy"),
            dv.open_dataset(store, frames=[tmp_path, url]),
            dv.open_dataset(store, frames="https://example.org/elsewhere", missing="nan"),
        ]
        dv.convert(visp, tmp_path / "remote", base=url, progress=False)
        found.append(dv.open_dataset(tmp_path / "remote"))
        found.append(dv.open_dataset(f"{url}/test_visp.asdf"))
        for ds in found[:3] + found[4:]:
            ds = dv.Dataset(ds, unit="ct")
            got = saved(ds[:, 2:5], tmp_path / "copy" / "saved.asdf")
            assert got.files.filenames == names
            np.testing.assert_array_equal(got.data.compute(), ds[:, 2:5].data.compute())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fileuris", "wanted"),
    [
        ([["a/b.fits", None], ["c d%.fits", "../x/e.fits"]], None),
        ([["a/b.fits", None], ["c d%.fits", "e.fits"]], ["a/b.fits", None, "c d%.fits", "e.fits"]),
        ([["/abs/b.fits", "c.fits"]], ["b.fits", "c.fits"]),
        (["s3://bucket/b.fits", "c.fits"], ["b.fits", "c.fits"]),
    ],
)
def test_odd_names(fileuris: Any, wanted: Any, tmp_path: Path) -> None:
    path = with_files(
        tmp_path / "odd.asdf",
        tmp_path,
        lambda node: node.update(fileuris=fileuris),
        n_rows=np.array(fileuris, object).size,
    )
    if wanted is None:
        with pytest.raises(DatasetError):
            dv.open_dataset(path)
        return
    ds = dv.open_dataset(path)
    assert ds.files.names == wanted
    for cut in (np.s_[...], np.s_[..., 3:5]):
        dv.save_dataset(ds[cut], tmp_path / "saved.asdf", overwrite=True)
        again = dv.open_dataset(tmp_path / "saved.asdf")
        assert again.files.names == wanted
        assert again.shape == ds[cut].shape


@pytest.mark.slow
def test_a_single_frame_without_a_name_is_saved_whole(tmp_path: Path) -> None:
    path = with_files(
        tmp_path / "odd.asdf",
        tmp_path,
        lambda node: node.update(fileuris=[[None, "a.fits"]]),
        n_rows=2,
    )
    ds = dv.open_dataset(path)
    one = ds[0, 0]
    dv.save_dataset(one, tmp_path / "saved.asdf")
    assert dv.open_dataset(tmp_path / "saved.asdf").files.names == [None]
    for part in (one[2:5], ds[:, 0:1]):
        with pytest.raises(DatasetError, match="has no file name"):
            dv.save_dataset(part, tmp_path / "x.asdf")


@pytest.mark.slow
def test_plain_frames_that_are_gone_are_refused_by_what_is_missing(
    simulated: Any, tmp_path: Path
) -> None:
    shutil.copytree(simulated("visp_plain"), tmp_path / "frames")
    dv.convert(tmp_path / "frames", tmp_path / "store", progress=False)
    ds = dv.open_dataset(tmp_path / "store")
    assert ds.provenance.array.metadata.compressor is None
    for path in (tmp_path / "frames").glob("*.fits"):
        path.unlink()
    with pytest.raises(DatasetError, match="in which HDU the pixels are is in the files"):
        dv.save_dataset(ds, tmp_path / "x.asdf")
    dv.save_dataset(dv.Dataset.from_asdf(tmp_path / "frames"), tmp_path / "x.asdf")


# In the tree of an ASDF ---------------------------------------------------------------------------


def test_the_entry_point_names_the_extension() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"]["asdf.extensions"]["dkist_virtual"].partition(":")
    assert getattr(import_module(module), name) is get_extensions


@pytest.mark.slow
def test_asdf_loads_the_extension_and_nothing_else_of_the_package() -> None:
    code = (
        "import sys, dkist_virtual.dataset.save.extension as e; e.get_extensions();"
        "print(sorted(n for n in sys.modules if n.split('.')[0] in"
        " ('dkist_virtual', 'astropy', 'dkist', 'ndcube', 'zarr', 'numba')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert {name.split(".")[0] for name in loaded} == {"dkist_virtual"}
    assert not any(name.startswith("dkist_virtual.dataset.dataset") for name in loaded)


def test_a_dataset_in_a_tree_is_read_as_one_of_dkist(visp: Path, tmp_path: Path) -> None:
    ds = opened(visp)[1, ::3, 2]
    asdf.AsdfFile({"d": ds}).write_to(tmp_path / "tree.asdf")
    with asdf.open(tmp_path / "tree.asdf") as found:
        assert type(found["d"]) is dkist.Dataset
        check_same(found["d"], ds, pixels=False)
        check_same(dv.load_dataset(found["d"]), ds, pixels=False)


@pytest.mark.slow
def test_our_objects_in_a_tree_are_read_as_those_of_dkist(visp: Path, tmp_path: Path) -> None:
    ds = opened(visp)
    part = ds[:, ::3, 2]
    tree = {
        "d": ds[0, 1:4],
        "deep": {"list": [part, "text"]},
        "sequence": NDCubeSequence([ds[0], ds[1]], common_axis=0),
        "collection": NDCollection([("a", ds[0]), ("b", ds[1])], aligned_axes=((0,), (0,))),
        "files": ds[1:].files,
        "some": ds.files[[0, 2]],
        "wcs": part.wcs,
        "low": part.wcs.low_level_wcs,
        "headers": ds.headers,
        "meta": ds[0].meta,
    }
    path = visp / "tree.asdf"
    try:
        asdf.AsdfFile(tree).write_to(path)
        with asdf.open(path, lazy_load=False, memmap=False) as found:
            check_same(found["d"], ds[0, 1:4])
            check_same(found["deep"]["list"][0], part)
            for one, wanted in ((found["d"], ds[0, 1:4]), (found["deep"]["list"][0], part)):
                back = dv.load_dataset(one)
                assert type(back) is dv.Dataset
                check_same(back, wanted)
            assert type(found["d"]) is dkist.Dataset
            assert found["d"].meta.keys() == ds.meta.keys()
            for cube, wanted in zip(found["sequence"].data, (ds[0], ds[1]), strict=True):
                check_same(cube, wanted)
            check_same(found["collection"]["b"], ds[1])
            assert found["files"].filenames == ds[1:].files.names
            assert found["some"].filenames == ds.files[[0, 2]].names
            for wcs in (found["wcs"].low_level_wcs, found["low"]):
                pixels = np.indices(part.shape)[::-1]
                np.testing.assert_array_equal(
                    wcs.pixel_to_world_values(*pixels),
                    part.wcs.low_level_wcs.pixel_to_world_values(*pixels),
                )
            check_headers(found["headers"], ds.headers)
            assert plain(found["meta"]) == plain(ds[0].meta)
            # No reader needs this package.
            named = [one.get("extension_uri") for one in found["history"]["extensions"]]
            assert SaveExtension.extension_uri not in named
            assert any("dkist.nso.edu" in str(one) for one in named)
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.slow
def test_a_mosaic_and_its_files_in_a_tree(simulated: Any, tmp_path: Path) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    tree = {
        "m": mosaic, "files": mosaic.files, "mask": mosaic.mask, "headers": mosaic.combined_headers,
        "meta": mosaic.meta,
    }  # fmt: skip
    asdf.AsdfFile(tree).write_to(tmp_path / "tree.asdf")
    with asdf.open(tmp_path / "tree.asdf", lazy_load=False, memmap=False) as found:
        assert type(found["m"]) is dkist.TiledDataset
        assert found["files"].filenames == mosaic.files.names
        np.testing.assert_array_equal(found["mask"], np.zeros((2, 2), bool))
        check_headers(found["headers"], mosaic.combined_headers)
        assert found["m"].meta["history"]["entries"] == mosaic.meta["history"]["entries"]


@pytest.mark.slow
def test_history_is_that_of_the_dataset(simulated: Any, tmp_path: Path) -> None:
    mosaic = dv.open_dataset(simulated("vbi_mosaic"))
    assert mosaic.meta["history"]["entries"]
    got = saved(mosaic, tmp_path / "saved.asdf")
    assert got.meta["history"]["entries"] == mosaic.meta["history"]["entries"]
    again = dv.open_dataset(tmp_path / "saved.asdf")
    assert again.meta["history"]["entries"] == mosaic.meta["history"]["entries"]


@pytest.mark.slow
def test_what_dkist_wrote_in_a_tree_stays_as_it_was(visp: Path, tmp_path: Path) -> None:
    theirs = load(visp / "test_visp.asdf")
    theirs = dkist.Dataset(theirs.data, theirs.wcs, meta=theirs.meta, unit="ct")
    theirs._file_manager = load(visp / "test_visp.asdf").files
    asdf.AsdfFile({"dataset": theirs, "ours": opened(visp)}).write_to(visp / "both.asdf")
    try:
        ds = opened(visp)
        with asdf.open(visp / "both.asdf", lazy_load=False, memmap=False) as found:
            check_same(found["dataset"], ds)
            check_same(found["ours"], ds)
            check_same(dv.load_dataset(found["dataset"]), ds)
        # Blocks that are read when they are used.
        with asdf.open(visp / "both.asdf") as found:
            check_same(dv.load_dataset(found["dataset"]), ds)
            check_same(dv.load_dataset(found["ours"]), ds)
        check_same(dv.open_dataset(visp / "both.asdf"), ds)
    finally:
        (visp / "both.asdf").unlink()
