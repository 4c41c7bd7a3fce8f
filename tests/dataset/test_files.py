"""The files behind a selection: by masks that form no rectangle, counted, and listed for others."""

from __future__ import annotations

import pickle
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from dkist_assets import MOSAIC, ROOT, VISP, load, masked_mosaic, unpacked
from simulated import MOSAICS

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DownloadError, SelectionError


def wcs_of(n: int) -> Any:
    """A WCS of `n` axes, in which nothing but their number matters."""
    import gwcs
    from astropy import units as u
    from astropy.modeling.models import Mapping
    from gwcs import coordinate_frames as cf

    axes = tuple(range(n))
    frame = [
        cf.CoordinateFrame(n, [kind] * n, axes, name=name, unit=[unit] * n)
        for kind, name, unit in (("PIXEL", "pixel", u.pix), ("SPATIAL", "world", u.m))
    ]
    return gwcs.WCS(Mapping(axes), input_frame=frame[0], output_frame=frame[1])


def write_asdf(path: Path, frame_axes: tuple[int, ...], shape: tuple[int, ...]) -> Path:
    """A dataset of whose frames there is none, with a header value for each."""
    import asdf
    import astropy.units as u

    n = int(np.prod(frame_axes))
    names = np.array([f"frame_{i:05d}.fits" for i in range(n)], object)
    r0 = np.ma.MaskedArray(np.linspace(0, 0.1, n), mask=np.arange(n) % 7 == 3)
    node = {
        "fileuris": names.reshape(frame_axes).tolist(),
        "target": 1,
        "datatype": "float32",
        "shape": list(shape),
    }
    tree = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": wcs_of(len(frame_axes) + 2),
        "unit": u.ct,
        "meta": {
            "headers": Table({"ATMOS_R0": r0, "DINDEX": np.arange(n)}),
            "inventory": {"datasetId": "MASKS", "instrumentName": "VTF"},
        },
    }
    tagged = asdf.tagged.TaggedDict(tree, "asdf://dkist.nso.edu/tags/dataset-1.3.0")
    asdf.AsdfFile({"dataset": tagged}).write_to(path)
    return path


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> dv.Dataset:
    path = tmp_path_factory.mktemp("few") / "few.asdf"
    return dv.Dataset.from_asdf(write_asdf(path, (4, 5, 3), (1, 8, 8)))


def test_19_of_9728_files(tmp_path: Path) -> None:
    """The promise that this project began with."""
    shape = (4, 128, 19, 966, 980)
    write_asdf(tmp_path / "VTF.asdf", shape[:3], (1, *shape[3:]))
    ds = dv.Dataset.from_asdf(tmp_path / "VTF.asdf")
    assert ds.shape == shape
    chosen = ds[0, 50]
    assert chosen.files.keys == [f"data/0.50.{w}.0.0" for w in range(19)]
    names = [f"frame_{50 * 19 + w:05d}.fits" for w in range(19)]
    assert chosen.files.names == names
    assert chosen.files.urls == [str(tmp_path / name) for name in names]
    assert str(chosen.files) == "19 of 9728 files, of unknown size, none here already"
    assert chosen.files.nbytes is None
    for w in (2, 7, 11):
        (tmp_path / names[w]).write_bytes(b"")
    ds.files.refresh()
    assert str(chosen.files) == "19 of 9728 files, of unknown size, 3 here already"


def test_19_of_9728_files_with_their_bytes(tmp_path: Path) -> None:
    """As they are printed where a scan found 2 MB in each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_asdf(tmp_path / "VTF.asdf", (4, 128, 19), (1, 966, 980))
    store = tmp_path / "store"
    dv.convert(tmp_path / "VTF.asdf", store, scan="never", references="parquet")
    table = pq.read_table(store / "headers.parquet")
    at = table.schema.get_field_index("_size")
    sizes = pa.array([2_000_000] * 9728, pa.int64())
    pq.write_table(table.set_column(at, table.schema.field(at), sizes), store / "headers.parquet")
    ds = dv.open_dataset(store)
    assert isinstance(ds, dv.Dataset)
    chosen = ds[0, 50]
    for name in chosen.files.names[3:6]:
        (tmp_path / name).write_bytes(b"")
    assert str(chosen.files) == "19 of 9728 files, 38 MB of 19.5 GB, 3 here already"
    assert chosen.files.nbytes == 38_000_000
    would = chosen.download(tmp_path / "here", dry_run=True)
    assert would.n_bytes == 38_000_000
    assert str(would).endswith(": 19 files to fetch, 38 MB, 0 were there already")


# Selecting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [..., 1, (slice(None), 2), (slice(1, 4, 2), slice(1, 3))])
def test_frames_by_a_header_value(index: Any, few: dv.Dataset) -> None:
    ds = few if index is ... else few[index]
    headers = ds.headers
    assert headers is not None
    mask = headers["ATMOS_R0"] > 0.04
    chosen = ds.files[mask]
    # One at a time, and what is masked is not chosen.
    rows = [
        i for i, row in enumerate(headers) if "ATMOS_R0" in row and float(row["ATMOS_R0"]) > 0.04
    ]
    assert 0 < len(rows) < len(ds.files)
    assert chosen.names == [f"frame_{int(headers['DINDEX'][i]):05d}.fits" for i in rows]
    assert chosen.keys == [ds.files.keys[i] for i in rows]
    assert chosen.urls == [ds.files.urls[i] for i in rows]
    assert len(chosen) == len(rows)
    assert chosen.where() == [ds.files.where()[i] for i in rows]
    assert f"{len(rows)} of 60 files" in str(chosen)


def test_every_way_to_choose(few: dv.Dataset) -> None:
    files = few.files
    names = np.array(files.names)
    chance = np.random.default_rng(1)
    for item in (
        chance.random(60) > 0.5,
        list(chance.random(60) > 0.5),
        chance.integers(-60, 60, 20),
        [3, 3, -1],
        [],
        slice(10, 50, 7),
        slice(None, None, -1),
        np.zeros(60, bool),
    ):
        expected = [] if isinstance(item, list) and not item else names[item]
        assert files[item].names == list(expected)
        assert len(files[item]) == len(expected)
    assert files[7].names == [names[7]]
    assert files[np.int8(-2)].names == [names[-2]]
    assert [one.names for one in files] == [[name] for name in names]
    # Of what is chosen, some again.
    assert files[10:40][np.arange(30) % 2 == 1][[-1, 0]].names == [names[39], names[11]]
    assert pickle.loads(pickle.dumps(files[5:9])).names == list(names[5:9])


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.ones(59, bool), r"mask of shape \(59,\) for 60 files"),
        (np.ones((4, 5, 3), bool), r"mask of shape \(4, 5, 3\) for 60 files"),
        (60, "60 is out of range for 60 files"),
        ([0, -61], "-61 is out of range for 60 files"),
        ([0.5], "expected a mask"),
        ("ATMOS_R0", "expected a mask"),
        (None, "expected a mask"),
        (np.ma.MaskedArray([1, 2], [True, False]), "expected a mask"),
    ],
)
def test_what_chooses_nothing(item: Any, said: str, few: dv.Dataset) -> None:
    with pytest.raises(SelectionError, match=said):
        few.files[item]


def test_masks_of_a_mosaic(simulated: Any) -> None:
    ds = dv.open_dataset(simulated(MOSAICS[0]))
    assert isinstance(ds, dv.TiledDataset)
    files = ds.files
    chance = np.random.default_rng(2)
    order = chance.permutation(len(files))
    for attribute in ("names", "keys", "urls"):
        whole = getattr(files, attribute)
        assert getattr(files[order], attribute) == [whole[i] for i in order]
    dates = ds.combined_headers["DATE-AVG"]
    late = files[dates > sorted(dates)[len(dates) // 2]]
    assert 0 < len(late) < len(files)
    assert late.names == [
        name for name, d in zip(files.names, dates, strict=True)
        if d > sorted(dates)[len(dates) // 2]
    ]  # fmt: skip


# Sizes ------------------------------------------------------------------------------------------


def test_sizes_of_what_was_scanned(simulated: Any, tmp_path: Path) -> None:
    place = simulated("cryonirsp")
    dv.convert(place, tmp_path / "store", progress=False)
    ds = dv.open_dataset(tmp_path / "store")
    assert isinstance(ds, dv.Dataset)
    sizes = {path.name: path.stat().st_size for path in place.glob("*.fits")}
    chosen = ds.files[[5, 3, 20]]
    assert chosen.sizes.tolist() == [sizes[name] for name in chosen.names]
    assert chosen.nbytes == sum(sizes[name] for name in chosen.names)
    part, whole = decimal(chosen.nbytes), decimal(sum(sizes.values()))
    assert str(chosen) == f"3 of 24 files, {part} of {whole}, 3 here already"
    assert str(ds.files) == f"24 of 24 files, {whole}, 24 here already"


def decimal(n: int | None) -> str:
    """Three digits, in the unit that fits."""
    assert n is not None
    for unit, size in (("MB", 1e6), ("kB", 1e3)):
        if n >= size:
            return f"{float(f'{n / size:.3g}'):g} {unit}"
    return f"{n} B"


def test_sizes_that_are_partly_known(simulated: Any, tmp_path: Path) -> None:
    place = tmp_path / "frames"
    place.mkdir()
    for path in simulated("cryonirsp").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    ds = dv.Dataset.from_asdf(place)
    names = [str(name) for name in ds.files.names]
    for name in names[6:]:
        (place / name).unlink()
    dv.convert(place, tmp_path / "store", progress=False)
    ds = dv.open_dataset(tmp_path / "store")
    assert isinstance(ds, dv.Dataset)
    known = sum((place / name).stat().st_size for name in names[:6])
    assert ds[0].files.nbytes == known
    assert ds.files.nbytes is None
    assert str(ds.files) == f"24 of 24 files, ~{decimal(round(known * 4))}, 6 here already"
    assert str(ds.files[:2]).startswith(f"2 of 24 files, {decimal(ds.files[:2].nbytes)} of ~")
    assert str(ds.files[10:12]) == "2 of 24 files, of unknown size, none here already"
    assert str(ds.files[[]]).startswith("0 of 24 files, 0 B of ~")


# For other tools --------------------------------------------------------------------------------


def test_manifests(few: dv.Dataset, simulated: Any, tmp_path: Path) -> None:
    dv.convert(
        simulated("cryonirsp"), tmp_path / "store", frames=simulated("cryonirsp"),
        base="https://data.example.org/a b%20c", progress=False,
    )  # fmt: skip
    ds = dv.open_dataset(tmp_path / "store")
    files = ds.files[[4, 2, 4]]
    names = [ds.files.names[4], ds.files.names[2]]
    sizes = {path.name: path.stat().st_size for path in simulated("cryonirsp").glob("*.fits")}
    base = "https://data.example.org/a%20b%20c"
    assert files.to_manifest() == "".join(f"{base}/{n}\t{n}\t{sizes[n]}\n" for n in names)
    assert files.to_manifest("aria2") == "".join(f"{base}/{n}\n  out={n}\n" for n in names)
    lines = files.to_manifest("globus").splitlines()
    assert [shlex.split(line) for line in lines] == [[f"/a b c/{n}", n] for n in names]
    with pytest.raises(ValueError, match="expected 'plain'"):
        files.to_manifest("wget")  # type: ignore[arg-type]
    first = few.files[0]
    assert first.to_manifest() == f"{first.urls[0]}\tframe_00000.fits\t\n"


def test_a_manifest_leads_nowhere_else(tmp_path: Path) -> None:
    path = write_asdf(tmp_path / "few.asdf", (2,), (1, 8, 8))
    text = path.read_bytes().replace(b"frame_00001.fits", b"frame\\00001.fits")
    path.write_bytes(text)
    ds = dv.Dataset.from_asdf(path)
    for form in ("plain", "aria2", "globus"):
        with pytest.raises(DownloadError, match="backslash"):
            ds.files.to_manifest(form)  # type: ignore[arg-type]


# The names of dkist's file manager ----------------------------------------------------------------


@pytest.fixture
def eit(tmp_path: Path) -> Path:
    """A dataset of dkist's with its frames, of which there may be copies elsewhere."""
    shutil.copytree(ROOT / "EIT", tmp_path / "EIT")
    return tmp_path / "EIT" / "eit_test_dataset.asdf"


def same_files(ours: Any, theirs: Any) -> None:
    np.testing.assert_array_equal(ours.fileuri_array, theirs.fileuri_array)
    assert ours.fileuri_array.dtype.kind == "U"
    assert ours.shape == theirs.shape
    assert ours.filenames == theirs.filenames
    assert ours.basepath == theirs.basepath
    assert len(ours) == len(theirs)


def test_files_are_arranged_as_dkist_has_them(tmp_path: Path) -> None:
    path = unpacked(VISP, tmp_path)
    theirs, ours = load(path), dv.open_dataset(path)
    for cut in (
        ...,
        0,
        np.s_[1:3, 4:9],
        np.s_[:, 7],
        np.s_[2, 3],
        np.s_[..., 5:9],
        np.s_[0:1, 3:],
    ):
        same_files(ours[cut].files, theirs[cut].files)
        assert ours[cut].files.output_shape == theirs[cut].files.output_shape
        assert ours[cut].files.dask_array.shape == theirs[cut].files.dask_array.shape
    assert ours.files == dv.load_dataset(theirs).files
    assert hash(ours.files) == hash(dv.load_dataset(theirs).files)
    assert ours.files != ours[0].files
    assert ours.files != 1
    row = ours.files[[3, 5]]
    assert row.fileuri_array.tolist() == ["3.fits", "5.fits"]
    assert row.output_shape == row.dask_array.shape == (2, 50, 128)


def test_files_of_a_mosaic_are_arranged_by_its_tiles(tmp_path: Path) -> None:
    path = masked_mosaic(tmp_path / "mosaic.asdf", tmp_path, [(0, 1), (2, 2)])
    theirs, ours = load(path), dv.open_dataset(path)
    for one, other in ((ours, theirs), (ours[0], theirs[0])):
        # dkist's own array cuts names to the length of the first tile's.
        found, cut = one.files.fileuri_array, other.files.fileuri_array
        assert found.shape == cut.shape
        for place in np.ndindex(one.shape):
            if one.mask[place]:
                assert (found[place] == "").all()
            else:
                assert list(found[place]) == other[place].files.filenames
            assert [name[: cut.dtype.itemsize // 4] for name in found[place]] == list(cut[place])
        assert one.files.filenames == other.files.filenames
        assert one.files.shape == other.files.shape
        assert one.files.basepath == other.files.basepath
    cut = ours.slice_tiles[1].files
    assert cut.fileuri_array.shape == (3, 3)
    assert cut.filenames == theirs.slice_tiles[1].files.filenames
    for name in ("output_shape", "dask_array"):
        with pytest.raises(DatasetError, match=rf"mosaic\[i, j\]\.files\.{name}"):
            getattr(ours.files, name)


def test_pixels_of_whole_files(eit: Path) -> None:
    theirs, ours = load(eit), dv.load_dataset(eit)
    pixels = ours[2:5, 3:, 4].files.dask_array
    np.testing.assert_array_equal(pixels, theirs[2:5].data)
    np.testing.assert_array_equal(ours[1:].files[[0, 3]].dask_array, theirs.data[[1, 4]])


@pytest.mark.slow
def test_a_store_has_the_same_arrangement(tmp_path: Path) -> None:
    small = ROOT / "small_visp" / "test_visp.asdf"
    dv.convert(
        small, tmp_path / "store"
    )  # plain frames, with an axis of length 1 before the others
    same_files(dv.open_dataset(tmp_path / "store").files, load(small).files)


def test_basepath_is_shared_as_in_dkist(eit: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for frame in sorted(eit.parent.glob("*.fits"))[:6]:
        with fits.open(frame) as hdus:
            hdus[0].data[:] = 7
            hdus.writeto(other / frame.name)
    theirs, ours = load(eit), dv.load_dataset(eit, missing="nan")
    early_theirs, early_ours = theirs[2:5], ours[2:5]
    before, doubled = ours.data, ours * 2
    names = {ours.data.name}
    for ds in (early_theirs, early_ours):
        ds.files.basepath = str(other)  # of a slice: the dataset that it is of has it too
    for ds in (theirs, ours, early_theirs, early_ours, ours[3], theirs[3]):
        assert ds.files.basepath == other
    names.add(ours.data.name)
    assert len(names) == 2  # for dask, other pixels
    # Frames that are not there are absent: they are not read where they were.
    np.testing.assert_array_equal(ours.data, theirs.data)
    assert (ours.data[:6] == 7).all().compute()
    assert np.isnan(ours.data.compute()[6:]).all()
    np.testing.assert_array_equal(before, theirs.data)
    assert (doubled[0].data == 14).all().compute()
    assert len(ours.files.missing()) == 5
    for twin in (pickle.loads(pickle.dumps(ours)), dv.Dataset(ours)):
        assert twin.files.basepath == other
        assert (twin[5].data == 7).all().compute()
    ours.files.basepath = eit.parent
    theirs.files.basepath = eit.parent
    np.testing.assert_array_equal(ours.data, theirs.data)
    for wrong in (None, [str(other)], 3):
        with pytest.raises(TypeError, match="basepath = "):
            ours.files.basepath = wrong
    assert ours.files.basepath == eit.parent


def test_each_tile_has_a_basepath(tmp_path: Path) -> None:
    theirs = load(unpacked(MOSAIC, tmp_path))
    ours = dv.open_dataset(unpacked(MOSAIC, tmp_path))
    for mosaic in (theirs, ours):
        mosaic[0, 1].files.basepath = tmp_path / "a"
        assert mosaic[0, 1].files.basepath == tmp_path / "a"
        assert mosaic[0, 0].files.basepath == tmp_path
        with pytest.raises(ValueError, match=r"files\.basepath = "):
            mosaic.files.basepath  # noqa: B018
        mosaic.files.basepath = tmp_path / "b"
        assert mosaic.files.basepath == mosaic[0, 1].files.basepath == tmp_path / "b"


def test_downloads_take_dkists_arguments(few: dv.Dataset, tmp_path: Path) -> None:
    files = few.files
    for given, words in (
        ({"destination_endpoint": "x", "workers": 2}, "workers are not for a transfer by Globus"),
        ({"label": "x", "wait": False}, "label, wait: for a transfer by Globus"),
        ({"progress": "verbose"}, "progress = 'verbose': for a transfer by Globus"),
        ({"progress": "much"}, "progress = 'much': expected"),
    ):
        with pytest.raises(ValueError, match=words):
            files.download(tmp_path, **given)
    with pytest.raises(ValueError, match="workers are not for a transfer by Globus"):
        files.download(tmp_path, "endpoint", dry_run=True)
    # By default they are downloaded to where they are read.
    assert "60 files to fetch" in str(files.download(dry_run=True))
    elsewhere = dv.open_dataset(few.files.basepath / "few.asdf", frames="http://127.0.0.1:9/x")
    with pytest.raises(ValueError, match=r"path: the frames are read from http://127\.0\.0\.1:9/x"):
        elsewhere.files.download()


def test_what_the_meta_says_of_the_quality(few: dv.Dataset) -> None:
    assert not few.quality_report
    assert dict(few.quality_report) == {}
    ds = few[0]
    ds.meta["quality"] = {"seeing": 3}
    assert ds.quality_report == {"seeing": 3}
    assert ds.quality_report["seeing"] == 3
    assert (ds * 2).quality_report == {"seeing": 3}
    assert not few.quality_report
    with pytest.raises(ValueError, match="Unsupported quality report format: format = 'xml'"):
        ds.quality_report(format="xml")
    with pytest.raises(ValueError, match="overwrite = 'maybe'"):
        ds.preview_movie(overwrite="maybe")  # type: ignore[arg-type]


def test_two_indices_are_for_the_axes_of_the_files(few: dv.Dataset) -> None:
    import dkist

    theirs = dkist.load_dataset(few.files.basepath / "few.asdf").files.fileuri_array
    for item in (np.s_[0, 1], np.s_[1, 0, 2:4], np.s_[..., 1], np.s_[0, :, ::-1]):
        if np.ndim(theirs[item]) or item == (0, 1):
            assert list(few.files[item].names) == np.ravel(theirs[item]).tolist(), item
    with pytest.raises(SelectionError, match="of files of shape"):
        few.files[0, 99]
    with pytest.raises(SelectionError, match="have one axis"):
        few.files[::2][0, 1]
