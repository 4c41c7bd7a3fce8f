"""`load_dataset` against `dkist.load_dataset`: the same input to both, case by case."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asdf
import astropy.units as u
import dkist
import numpy as np
import pytest
from asdf.tags.core import ExtensionMetadata, Software
from astropy.nddata import StdDevUncertainty
from astropy.table import Row
from dkist.utils.exceptions import (
    DKISTDeprecationWarning,
    DKISTOutOfDateError,
    DKISTUserWarning,
)
from dkist_assets import MOSAIC, ROOT, VISP, load, unpacked
from parfive import Results
from samples import mostly_slow

import dkist_virtual as dv
from dkist_virtual.dataset.load import DKIST_INTERFACE
from dkist_virtual.errors import DatasetError, LeftOutWarning, NotADatasetError

pytestmark = pytest.mark.filterwarnings("ignore:.*dubious year")

EIT = ROOT / "EIT" / "eit_test_dataset.asdf"
SMALL = ROOT / "small_visp" / "test_visp.asdf"


def kind_of(loaded: Any) -> Any:
    """What was loaded: the names of classes, in lists as they are."""
    return list(map(kind_of, loaded)) if isinstance(loaded, list) else type(loaded).__name__


# What both take -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with nothing that can be loaded, beside one that has an ASDF."""
    place = tmp_path_factory.mktemp("load")
    (place / "one").mkdir()
    shutil.copy(EIT, place / "one" / "custom.asdf")
    (place / "report.pdf").write_bytes(b"%PDF")
    asdf.AsdfFile({"hello": "world"}).write_to(place / "x.other")
    return place


SAME: dict[str, Callable[[Path], Any]] = {
    "path": lambda _: EIT,
    "text": lambda _: str(EIT),
    "directory": lambda place: place / "one",
    "text of a directory": lambda place: str(place / "one"),
    "list": lambda place: [EIT, str(EIT), place / "one"],
    "tuple": lambda _: (EIT, SMALL),
    "list of one": lambda _: [EIT],
    "list in a list": lambda _: [[EIT, EIT]],
    "nothing": lambda _: [],
    "results": lambda _: Results([str(EIT), SMALL]),
    "results of one": lambda _: Results([str(EIT)]),
    "no results": lambda _: Results([]),
    "mosaic": lambda place: unpacked(MOSAIC, place.parent),
}


@pytest.mark.parametrize("case", mostly_slow(SAME, "path", "list", "results", "no results"))
def test_what_both_load(case: str, place: Path) -> None:
    given = SAME[case](place)
    theirs, ours = dkist.load_dataset(given), dv.load_dataset(given)
    assert kind_of(ours) == kind_of(theirs)


def test_one_loaded_is_the_one_opened() -> None:
    ours = dv.load_dataset(EIT, chunks="frame")
    assert ours.data.name == dv.open_dataset(EIT, chunks="frame").data.name
    assert dv.load_dataset(store_or_asdf=EIT).shape == ours.shape
    with pytest.raises(TypeError, match="another name of target"):
        dv.load_dataset(EIT, store_or_asdf=EIT)
    with pytest.raises(TypeError, match="any_version"):
        dv.load_dataset(EIT, any_version=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="missing = 'zero'"):
        dv.load_dataset([], missing="zero")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ignore_version_mismatch = 1"):
        dv.load_dataset(EIT, ignore_version_mismatch=1)  # type: ignore[arg-type]


@pytest.mark.slow
def test_stores_are_loaded_too(tmp_path: Path) -> None:
    dv.convert(SMALL, tmp_path / "store")
    one, two = dv.load_dataset([tmp_path / "store", SMALL])
    np.testing.assert_array_equal(one.data, load(SMALL).data)
    np.testing.assert_array_equal(two.data, load(SMALL).data)


NOT_THERE: dict[str, Callable[[Path], Any]] = {
    "no file": lambda place: place / "nope.asdf",
    "no file, as text": lambda place: str(place / "nope.asdf"),
    "no directory": lambda place: place / "nope",
    "empty directory": lambda place: place,
    "another file": lambda place: place / "report.pdf",
    "dict": lambda _: {},
    "number": lambda _: 42,
    "None": lambda _: None,
    "bytes": lambda _: b"x",
    "set": lambda _: {EIT},
    "other ASDF": lambda place: place / "x.other",
    "in a list": lambda place: [EIT, place / "nope.asdf"],
}


@pytest.mark.parametrize("case", NOT_THERE)
def test_what_neither_loads_is_caught_as_dkist_raises_it(case: str, place: Path) -> None:
    given = NOT_THERE[case](place)
    if case == "other ASDF":
        given = given.rename(place.parent / "other.asdf")
    with pytest.raises((TypeError, ValueError)) as theirs:
        dkist.load_dataset(given)
    with pytest.raises(type(theirs.value)) as ours:
        dv.load_dataset(given)
    assert isinstance(ours.value, dv.errors.DKISTVirtualError)
    for words in (
        "No asdf file found in directory", "does not exist", "not a valid level 1 or level 2 DKIST",
        f"Input type {type(given).__name__} not recognised",
    ):  # fmt: skip
        assert (words in str(theirs.value)) <= (words in str(ours.value))


def test_what_open_dataset_raises_is_still_raised(place: Path) -> None:
    with pytest.raises(dv.errors.StoreMissingError, match="no store here"):
        dv.load_dataset(place / "nope")
    with pytest.raises(DatasetError, match="no such file"):
        dv.load_dataset(place / "nope.asdf")
    assert not issubclass(dv.errors.StoreMissingError, ValueError)


# Directories and downloads ------------------------------------------------------------------------

NAME = "VBI_L1_20231016T184519_AJQWW"


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("a", "b"), marks=pytest.mark.slow),
        pytest.param((NAME, f"{NAME}_user_tools"), marks=pytest.mark.slow),
        (f"{NAME}_metadata", f"{NAME}_user_tools", NAME, f"{NAME}_unknown"),
        pytest.param(("random", f"{NAME}_user_tools"), marks=pytest.mark.slow),
        pytest.param((NAME, "VISP_L1_20231016T184519_AJQWW"), marks=pytest.mark.slow),
        pytest.param(
            ("VBI_L1_20231016T184519_AAAA", "VBI_L1_20231016T184519_AAAA_metadata"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_of_a_directory_the_same_files_are_loaded(names: tuple[str, ...], tmp_path: Path) -> None:
    with asdf.open(ROOT / "eit_dataset-1.1.0.asdf") as file:
        for name in names:  # which file it was is said by the inventory
            file["dataset"].meta["inventory"] = {"datasetId": name}
            asdf.AsdfFile({"dataset": file["dataset"]}).write_to(tmp_path / f"{name}.asdf")

    def loaded(loader: Any) -> tuple[Any, list[str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = loader(tmp_path)
        of = found if isinstance(found, list) else [found]
        said = [str(w.message) for w in caught if issubclass(w.category, DKISTUserWarning)]
        return sorted(ds.inventory["datasetId"] for ds in of), said

    (theirs, they_said), (ours, we_said) = loaded(dkist.load_dataset), loaded(dv.load_dataset)
    assert ours == theirs
    assert len(we_said) == len(they_said)
    for name in names:
        said = f"{name}.asdf" in "".join(they_said)
        assert said == (f"{name}.asdf" in "".join(we_said))
    if they_said:
        with pytest.warns(LeftOutWarning, match="ASDF files with old names") as caught:
            dv.load_dataset(tmp_path)
        assert caught[0].filename == __file__


def test_of_results_the_asdfs_are_loaded_and_the_rest_is_said(place: Path) -> None:
    """dkist fails on another file, and says nothing of downloads that failed."""
    results = Results([str(EIT), str(place / "report.pdf")])
    with pytest.warns(LeftOutWarning, match=r"1 of .*report\.pdf: is not an ASDF"):
        assert isinstance(dv.load_dataset(results), dv.Dataset)
    results = Results([str(EIT)])
    results.add_error("b.asdf", "http://127.0.0.1/b.asdf", ConnectionError("gone"))
    with pytest.warns(LeftOutWarning, match=r"1 of .*127\.0\.0\.1/b\.asdf: gone"):
        assert isinstance(dv.load_dataset(results), dv.Dataset)
    with pytest.raises(NotADatasetError, match="none of the 1 files"):
        dv.load_dataset(Results([str(place / "report.pdf")]))
    with pytest.raises(ValueError, match="does not exist"):
        dv.load_dataset(Results([str(place / "gone.asdf")]))


# Versions -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::asdf.exceptions.AsdfPackageVersionWarning")
def test_a_newer_version_is_refused_and_may_be_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "newer.asdf"
    with asdf.open(ROOT / "eit_dataset-1.2.0.asdf") as file:
        extensions = [
            one
            for one in file["history"]["extensions"]
            if "dkist" not in one.get("extension_uri", "")
        ]
        newer = ExtensionMetadata(
            extension_class="asdf.extension._manifest.ManifestExtension",
            extension_uri="asdf://dkist.nso.edu/dkist/extensions/dkist-99.0.0",
            software=Software(name="dkist", version="99.0.0"),
        )
        file.tree["history"]["extensions"] = [*extensions, newer]
        written = asdf.AsdfFile(file.tree)
        monkeypatch.setattr(written, "_update_extension_history", lambda *_: None)
        written.write_to(path)
    for given in (path, [path], str(path)):
        with pytest.raises(DKISTOutOfDateError, match=r"dkist version 99\.0\.0") as raised:
            dv.load_dataset(given)
        assert isinstance(raised.value, DatasetError)
        # dkist itself hands the option on for a Path alone.
        assert dv.load_dataset(given, ignore_version_mismatch=True).shape == (11, 128, 128)
    with pytest.raises(DKISTOutOfDateError):
        dv.open_dataset(path)


def test_old_methods() -> None:
    with pytest.warns(DKISTDeprecationWarning, match="load_dataset"):
        ds = dv.Dataset.from_directory(EIT.parent)
    assert isinstance(ds, dv.Dataset)
    assert ds.files.basepath == EIT.parent
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        assert dv.Dataset.from_asdf(EIT).shape == ds.shape


def test_the_version_that_is_followed_is_not_newer_than_the_one_installed() -> None:
    assert tuple(map(int, DKIST_INTERFACE.split("."))) <= tuple(
        map(int, dkist.__version__.split(".")[:3])
    )


# Open datasets of dkist ---------------------------------------------------------------------------


def same_state(ours: dv.Dataset, theirs: Any) -> None:
    """Pixels, coordinates, headers, files and unit are those of dkist's dataset."""
    np.testing.assert_array_equal(ours.data, theirs.data)
    assert ours.unit == theirs.unit
    assert ours.headers is not None
    assert ours.headers.colnames == theirs.headers.colnames
    assert len(ours.headers) == len(ours.files) == len(theirs.headers)
    for name in ours.headers.colnames:
        assert list(ours.headers[name]) == list(theirs.headers[name])
    for corner in (0, -1):
        pixel = [range(n)[corner] for n in theirs.data.shape[::-1]]
        np.testing.assert_array_equal(
            np.array(ours.wcs.low_level_wcs.pixel_to_world_values(*pixel), float),
            np.array(theirs.wcs.low_level_wcs.pixel_to_world_values(*pixel), float),
        )
    assert set(ours.global_coords) == set(theirs.global_coords)
    assert ours.inventory == theirs.inventory
    assert ours.files.basepath == theirs.files.basepath


CUTS: list[Any] = [
    ..., 0, np.s_[1:3], np.s_[1:3, 2:9, 3], np.s_[..., 5:9], np.s_[1, 2:5, 4:7], np.s_[0:1],
    np.s_[0:1, 2:3],
]  # fmt: skip


@pytest.mark.parametrize("path", mostly_slow([EIT, SMALL], EIT))
def test_an_open_dataset_is_taken_over(path: Path) -> None:
    theirs = load(path)
    for cut in CUTS:
        part = theirs if cut is ... else theirs[cut]
        ours = dv.load_dataset(part)
        same_state(ours, part)
        assert ours.files.names == list(np.ravel(part.files.filenames))
    # The names of dkist's files are those of other frames, after two slices.
    same_state(dv.load_dataset(theirs[1:3][1, 4:]), theirs[1:3][1, 4:])
    assert dv.load_dataset(theirs[1:3][1]).files.names == theirs.files.filenames[2:3]
    again = dv.load_dataset(theirs[1:3])[1, 2:]
    np.testing.assert_array_equal(again.data, theirs[2, 2:].data)
    assert again.files.names == theirs.files.filenames[2:3]
    assert dv.load_dataset(theirs[:2]).data.name != dv.load_dataset(theirs[1:3]).data.name


@pytest.mark.slow
def test_a_cut_of_a_single_frame_whose_headers_dkist_gives_as_a_row_is_taken_over() -> None:
    whole = load(EIT)
    theirs = whole[2][3:9, 4:]
    assert isinstance(theirs.meta["headers"], Row)
    ours = dv.load_dataset(theirs)
    np.testing.assert_array_equal(ours.data, theirs.data)
    assert list(ours.headers["FILENAME"]) == [theirs.meta["headers"]["FILENAME"]]
    assert ours.files.names == whole.files.filenames[2:3]


def test_what_was_set_in_it_is_taken_along(tmp_path: Path) -> None:
    whole = load(EIT)
    before = copy.deepcopy(whole.wcs.pixel_shape)
    theirs = whole[1:4]
    theirs.mask = np.zeros(theirs.data.shape, bool)
    theirs.mask[1, :5] = True
    theirs.headers["NEW"] = [1, 2, 3]
    theirs.headers["DINDEX3"][1] = 99
    theirs.meta["mine"] = "note"
    theirs.uncertainty = StdDevUncertainty(np.arange(3 * 128 * 128.0).reshape(3, 128, 128))
    theirs.psf = np.eye(2)
    theirs.global_coords.add("room", "custom:room", 290 * u.K)
    theirs.extra_coords.add("step", (0,), [1, 2, 4] * u.s)
    for path in EIT.parent.glob("*.fits"):
        shutil.copy(path, tmp_path)
    theirs.files.basepath = tmp_path
    ours = dv.load_dataset(theirs)
    same_state(ours, theirs)
    assert whole.files.basepath == ours.files.basepath == tmp_path
    np.testing.assert_array_equal(ours.mask, theirs.mask)
    assert ours.meta["mine"] == "note"
    np.testing.assert_array_equal(ours.uncertainty.array, theirs.uncertainty.array)
    np.testing.assert_array_equal(ours.psf, np.eye(2))
    assert ours.global_coords["room"] == 290 * u.K
    assert ours[2].global_coords["step"] == 4 * u.s
    # All of it is the new dataset's own.
    ours.mask[:] = True
    ours.headers["NEW"] = 0
    ours.meta["mine"] = ""
    ours.uncertainty.array[:] = 0
    assert not theirs.mask[0].any()
    assert list(theirs.headers["NEW"]) == [1, 2, 3]
    assert theirs.meta["mine"] == "note"
    assert theirs.uncertainty.array.any()
    assert whole.wcs.pixel_shape == before


def changed(change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def make(ds: Any) -> Any:
        part = ds[1:3]
        part.data = change(part.data)
        return part

    return make


NOT_TAKEN: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda ds: ds * 2,
    "binned": lambda ds: ds.rebin((1, 2, 2)),
    "in memory": changed(lambda data: data.compute()),
    "negative": changed(lambda data: -data),
    "logarithm": changed(np.log),
    "of another type": changed(lambda data: data.astype("f4")),
    "turned": changed(lambda data: data.transpose((0, 2, 1))),
    "mirrored blocks": changed(lambda data: data.map_blocks(lambda block: block[:, ::-1])),
    "other chunks": changed(lambda data: data.rechunk((1, 64, 128))),
    "rows of other frames": lambda ds: ds[5:][1:][0:1],
    "a row too few": lambda ds: ds[1:3],
}


def test_what_cannot_be_taken_along_is_refused() -> None:
    said = {}
    for name, change in NOT_TAKEN.items():
        part = change(load(EIT))
        if name == "a row too few":
            part.meta["headers"] = part.headers[:1]
        with pytest.raises(DatasetError, match=r"dv\.load_dataset\(path\)") as refused:
            dv.load_dataset(part)
        said[name] = str(refused.value)
    assert said["a row too few"].startswith("the header table has 1 row for 2 frames")
    assert "those of other frames" in said["rows of other frames"]
    assert all("not a selection" in said[name] for name in list(NOT_TAKEN)[:-2])


@pytest.mark.slow
def test_an_order_of_the_users_keeps_no_rows_of_other_frames() -> None:
    part = load(EIT)[1:3]
    part.data = part.data[::-1]
    with pytest.raises(DatasetError, match="those of other frames"):
        dv.load_dataset(part)
    part.meta["headers"] = None
    ours = dv.load_dataset(part)
    np.testing.assert_array_equal(ours.data, part.data)


def test_an_open_mosaic_is_taken_over(tmp_path: Path) -> None:
    theirs = load(unpacked(MOSAIC, tmp_path))
    theirs.mask = np.zeros(theirs.shape, bool)
    theirs.mask[0, 1] = True
    theirs[1, 1].headers["SET"] = 5
    theirs.meta["mine"] = 1
    theirs[2, 2].files.basepath = tmp_path / "elsewhere"
    ours = dv.load_dataset(theirs)
    assert isinstance(ours, dv.TiledDataset)
    np.testing.assert_array_equal(ours.mask, theirs.mask)
    assert ours.meta["mine"] == 1
    for place in np.ndindex(theirs.shape):
        if not theirs.mask[place]:
            assert ours[place].shape == theirs[place].data.shape
            names = [f"{ours[place].files.basepath}/{name}" for name in ours[place].files.names]
            base = theirs[place].files.basepath
            assert names == [f"{base}/{name}" for name in theirs[place].files.filenames]
    assert list(ours[1, 1].headers["SET"]) == [5, 5]
    ours.mask[0, 1] = False  # it was hidden, not gone
    assert ours[0, 1].shape == (2, 2, 2)
    assert dv.load_dataset(theirs.flat).shape == theirs.flat.shape
    assert dv.load_dataset(theirs[1]).shape == theirs[1].shape
    assert dv.load_dataset(theirs.slice_tiles[0]).flat[0].shape == (2, 2)


@pytest.mark.slow
def test_columns_of_the_mosaics_own_table(tmp_path: Path) -> None:
    theirs = load(unpacked(MOSAIC, tmp_path))
    n = len(theirs.combined_headers)
    theirs.combined_headers["ROW"] = np.arange(n)
    ours = dv.load_dataset(theirs)
    assert list(ours.combined_headers["ROW"]) == list(range(n))
    assert list(ours[0, 1].headers["ROW"]) == [2, 3]
    theirs[0, 0].headers["ROW"] = 7
    for tile in list(theirs.flat)[1:]:
        tile.headers["ROW"] = 7
    with pytest.raises(DatasetError, match="ROW of the mosaic's combined_headers"):
        dv.load_dataset(theirs)


@pytest.mark.slow
def test_names_and_cut_of_a_larger_one(tmp_path: Path) -> None:
    theirs = load(unpacked(VISP, tmp_path))
    for cut in (np.s_[1, 3:9], np.s_[:, 4, 10:20, ::1], np.s_[2:3]):
        ours = dv.load_dataset(theirs[cut])
        assert ours.shape == theirs[cut].data.shape
        expected = theirs.files.fileuri_array[cut[:2] if isinstance(cut, tuple) else cut]
        assert ours.files.names == list(np.ravel(expected))
    ours = dv.load_dataset(theirs[:, 15:][:, 2:])
    assert ours.files.names == list(np.ravel(theirs.files.fileuri_array[:, 17:]))
    assert list(ours.headers["DINDEX3"]) == [17, 18, 19] * 4
