"""Level 2 inversions: what dkist's own classes give, from the ASDF and from a store."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dkist_assets import INVERSION, load, unpacked
from frames import span
from inversions import N_FILES, PROFILES, QUANTITIES, Made, make_inversion

import dkist_virtual as dv
from dkist_virtual.errors import DatasetError, DownloadError, FrameCorruptError, SelectionError
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.store.format.names import ArrayGroups, safe_array_names

if TYPE_CHECKING:
    from dkist_virtual.io.byte_range import Reply, Request

FORMS = [
    pytest.param((False, True), id="plain, by name"),
    pytest.param((True, False), marks=pytest.mark.slow, id="compressed"),
    pytest.param((False, False), marks=pytest.mark.slow, id="plain"),
    pytest.param((True, True), marks=pytest.mark.slow, id="compressed, by name"),
]


@pytest.fixture(scope="module", params=FORMS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    compressed, by_name = request.param
    place = tmp_path_factory.mktemp("inversion")
    made = make_inversion(place / "data", place, compressed=compressed, by_name=by_name)
    dv.convert(made.asdf, place / "store", scan="always")
    return made


@pytest.fixture(scope="module")
def oracle(made: Made) -> Any:
    return load(made.asdf)


@pytest.fixture(scope="module", params=[pytest.param("asdf", marks=pytest.mark.slow), "store"])
def inversion(request: pytest.FixtureRequest, made: Made) -> dv.Inversion:
    place = made.asdf if request.param == "asdf" else made.asdf.parent.parent / "store"
    opened = dv.open_dataset(place)
    assert isinstance(opened, dv.Inversion)
    return opened


def pairs(ours: Any, theirs: Any) -> list[tuple[str, Any, Any]]:
    both = [(ours, theirs), (ours.profiles, theirs.profiles)]
    assert [list(a) for a, _ in both] == [list(b) for _, b in both]
    return [(key, a[key], b[key]) for a, b in both for key in a]


@pytest.mark.parametrize("item", [..., 1, np.s_[1:], np.s_[:, 2:5], np.s_[2, 1:], np.s_[:, :, 1:4]])
def test_pixels_world_and_headers_are_those_of_dkist(
    inversion: dv.Inversion, oracle: Any, item: Any
) -> None:
    ours, theirs = inversion, oracle
    if item is not ...:
        ours = ours[item]
        theirs = theirs[item]
    for key, a, b in pairs(ours, theirs):
        pixels = b.data.compute()  # one at a time: dkist gives all its arrays one name
        assert a.data.dtype == pixels.dtype.newbyteorder("=")
        np.testing.assert_array_equal(a.data.compute(), pixels)
        assert a.unit == b.unit, key
        last = tuple(n - 1 for n in a.shape)[::-1]
        for at in (tuple(0 for _ in last), last):
            np.testing.assert_array_equal(
                a.wcs.low_level_wcs.pixel_to_world_values(*at),
                b.wcs.low_level_wcs.pixel_to_world_values(*at),
            )
        if item is ...:
            assert set(a.meta) == set(b.meta)
            assert a.headers.colnames == b.headers.colnames
            for name in b.headers.colnames:
                assert a.headers[name].dtype.kind == b.headers[name].dtype.kind
                np.testing.assert_array_equal(a.headers[name], b.headers[name])
    assert {k: tuple(v) for k, v in ours.aligned_axes.items()} == dict(theirs.aligned_axes)
    assert list(ours.aligned_dimensions) == list(theirs.aligned_dimensions)
    if item is ...:
        assert set(ours.meta) == set(theirs.meta)
        assert set(ours.profiles.meta) == set(theirs.profiles.meta)
        assert ours.inventory == theirs.meta["inventory"]


def test_steps(inversion: dv.Inversion, made: Made) -> None:
    """``dkist`` refuses them: ndcube has no WCS for a step."""
    sliced = inversion[::2, ::3]
    for part, key in ((sliced, "temperature"), (sliced.profiles, "NaID_fit")):
        pixels = part[key].data.compute()
        if pixels.dtype == "f8":  # compression loses digits
            np.testing.assert_array_equal(pixels, made.pixels[key][::2, ::3])
        assert pixels.shape == made.pixels[key][::2, ::3].shape


def test_keys(inversion: dv.Inversion) -> None:
    assert set(inversion) == set(QUANTITIES)
    assert set(inversion.profiles) == set(PROFILES)
    part = inversion["temperature", "velocity"]
    assert list(part) == ["temperature", "velocity"]
    assert part.profiles == inversion.profiles
    assert part["velocity"] is inversion["velocity"]
    with pytest.raises(KeyError, match=r"expected one of .*'temperature'"):
        inversion["temperatur"]
    with pytest.raises(TypeError, match="keys and slices are mixed"):
        inversion["temperature", 1]
    with pytest.raises(SelectionError):
        inversion[0, 0, 0, 0]


def test_text(inversion: dv.Inversion) -> None:
    text = str(inversion)
    assert text.startswith("Inversion\n~~~~~~~~~\nCube keys: ('")
    assert "Profiles\n~~~~~~~~\nCube keys: ('" in text
    about = inversion.overview()
    assert "temperature    3 x 6 x 5" in about.text()
    assert "temperature" in inversion._repr_html_()
    assert json.loads(json.dumps(about.as_json()))["kind"] == "Inversion"


def test_files_are_listed_once(inversion: dv.Inversion, made: Made) -> None:
    assert inversion.files.names == [file.name for file in made.files]
    assert inversion[1:].files.names == [file.name for file in made.files[1:]]
    assert len(inversion["temperature"].files) == N_FILES
    assert f"{N_FILES} of {N_FILES} files" in str(inversion.files)
    assert inversion.headers is not None
    assert list(inversion.headers["FILENAME"]) == inversion.files.names
    assert list(inversion[1:].headers["FILENAME"]) == inversion[1:].files.names


def test_what_is_set_stays(made: Made) -> None:
    inversion = dv.open_dataset(made.asdf)
    inversion["temperature"].mask = inversion["temperature"].data.compute() > 10
    inversion["temperature"].headers["OWN"] = range(N_FILES)
    inversion.headers["OURS"] = range(N_FILES)
    inversion.meta["note"] = "kept"
    sliced = inversion[1:, 2]
    copied, own = copy.copy(sliced), copy.deepcopy(sliced)
    pickled, chosen = pickle.loads(pickle.dumps(sliced)), sliced[("temperature",)]
    for part in (sliced, copied, own, pickled, chosen):
        assert part["temperature"].mask.shape == (2, 5)
        assert list(part["temperature"].headers["OWN"]) == [1, 2]
        assert list(part.headers["OURS"]) == [1, 2]
        assert part.meta["note"] == "kept"
        assert set(part.profiles) == set(PROFILES)
        assert part.profiles["NaID_orig"].shape == (2, 11, 4)
        pixels = part["temperature"].data.compute()
        np.testing.assert_array_equal(pixels, inversion["temperature"].data.compute()[1:, 2])
    assert "note" not in dv.open_dataset(made.asdf).meta


def test_members_that_are_not_aligned_are_refused(made: Made) -> None:
    from dkist.utils.exceptions import DKISTUserWarning

    inversion = dv.open_dataset(made.asdf)
    dict.__setitem__(inversion, "temperature", inversion["temperature"][:2])
    with pytest.raises(DKISTUserWarning, match="datasets in this Inversion do not match the rest"):
        inversion[1:]
    # As many pixels, but others.
    inversion = dv.open_dataset(made.asdf)[:2]
    dict.__setitem__(inversion, "temperature", dv.open_dataset(made.asdf)["temperature"][1:])
    with pytest.raises(DatasetError, match="datasets in this Inversion do not match the rest"):
        inversion[1:]
    inversion = dv.open_dataset(made.asdf)
    dict.__setitem__(inversion.profiles, "NaID_fit", inversion.profiles["NaID_fit"][:2])
    with pytest.raises(DKISTUserWarning, match="datasets in this Profiles do not match the rest"):
        inversion[1:]


def test_each_file_is_scanned_once(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    answer = Fetcher.answer

    def counted(self: Fetcher, request: Request) -> Reply:
        asked[request.url] += request.offset <= 0
        return answer(self, request)

    monkeypatch.setattr(Fetcher, "answer", counted)
    done = dv.convert(made.asdf, tmp_path / "store")
    assert dict(asked) == {str(file): 1 for file in made.files}
    assert done.n_scanned == N_FILES * (len(QUANTITIES) + len(PROFILES))
    assert done.n_bytes == sum(file.stat().st_size for file in made.files)
    again = dv.convert(made.asdf, tmp_path / "store", overwrite=True)
    assert again.n_kept == again.n_scanned
    asked.clear()
    assert dv.verify(tmp_path / "store").ok
    assert {url: n for url, n in asked.items() if url.endswith("fits")} == {
        str(file): 1 for file in made.files
    }


def test_headers_far_apart_are_found(tmp_path: Path) -> None:
    """The next header may be far beyond the bytes that were read with the one before."""
    from astropy.io import fits

    from dkist_virtual.conversion.look import HEAD, Expected, look_at_hdus
    from dkist_virtual.fits.partial import drive

    images = [np.arange(n, dtype="f8").reshape(1, -1) for n in (30_000, 7, 50_000, 3)]
    long = fits.Header([(f"K{i}", i) for i in range(1, 1500)])
    hdus = [fits.ImageHDU(image, long if i == 1 else None) for i, image in enumerate(images)]
    path = tmp_path / "x.fits"
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    assert images[0].nbytes > HEAD
    expected = [
        Expected(im.shape, im.dtype.newbyteorder("="), i + 1) for i, im in enumerate(images)
    ]
    found = drive(look_at_hdus(str(path), expected), Fetcher().answer)
    with fits.open(path) as opened:
        assert [entry.data for entry in found] == [hdu.fileinfo()["datLoc"] for hdu in opened[1:]]
    missing = [*expected, Expected((1, 1), np.dtype("f8"), 9)]
    with pytest.raises(FrameCorruptError, match="no HDU 9: it ends after 5"):
        drive(look_at_hdus(str(path), missing), Fetcher().answer)
    path.write_bytes(path.read_bytes()[:-5760])
    with pytest.raises(FrameCorruptError):
        drive(look_at_hdus(str(path), expected), Fetcher().answer)


def test_store(made: Made, tmp_path: Path) -> None:
    store = made.asdf.parent.parent / "store"
    refs = json.loads((store / "references.json").read_text())["refs"]
    root = json.loads(refs[".zattrs"])["dkist_virtual"]
    assert root["format_version"] == 1
    names = [
        one["array"] for group in ("quantities", "profiles") for one in root["inversion"][group]
    ]
    assert len(names) == len(QUANTITIES) + len(PROFILES)
    assert json.loads(refs["mag_strength/.zattrs"])["key"] == "mag strength"
    spans = {tuple(value) for key, value in refs.items() if "/1.0" in key}
    assert len(spans) == len(names)  # one HDU each, of one file
    assert {url for url, *_ in spans} == {str(made.files[1])}
    assert dv.verify(store, against="astropy").exit_status == 0
    update = dv.update(store, made.asdf)
    assert update.n_kept == update.n_frames
    group = dv.open_zarr(store)
    np.testing.assert_array_equal(
        group["mag_strength"][1], dv.open_dataset(store)["mag strength"][1].data.compute()
    )
    assert isinstance(dv.Dataset.from_asdf(made.asdf), dv.Inversion)  # as in dkist
    assert isinstance(dv.load_dataset(made.asdf), dv.Inversion)
    with pytest.raises(DatasetError, match=r"not a mosaic: .*dv.Inversion"):
        dv.TiledDataset.from_asdf(made.asdf)


@pytest.mark.slow
def test_the_other_door_opens_every_array(made: Made) -> None:
    xr = pytest.importorskip("xarray")
    store = made.asdf.parent.parent / "store"
    other = xr.open_dataset(str(store / "references.json"), engine="kerchunk", chunks=None)
    inversion = dv.open_dataset(store)
    for key, ds in [*inversion.items(), *inversion.profiles.items()]:
        name = key.replace(" ", "_")
        np.testing.assert_array_equal(other[name].values, ds.data.compute())
    assert other["temperature"].dims == ("frame_y", "slit_x", "axis_optical_depth")


@pytest.mark.slow
def test_download(made: Made, tmp_path: Path) -> None:
    inversion = dv.open_dataset(made.asdf.parent.parent / "store")
    done = inversion[1:].download(tmp_path / "here", verify=True, progress=False)
    assert "2 files" in str(done)
    assert sorted(p.name for p in (tmp_path / "here").iterdir()) == inversion[1:].files.names
    # A byte of another image than the first: the sums of all are checked.
    data = bytearray(made.files[0].read_bytes())
    data[span(bytes(data), len(inversion) + len(inversion.profiles)).data + 20] ^= 1
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / made.files[0].name).write_bytes(data)
    first = dv.open_dataset(made.asdf.parent.parent / "store", frames=broken)[:1]
    with pytest.raises(DownloadError):
        first.download(tmp_path / "there", verify=True, progress=False)


@pytest.mark.slow
def test_plots(inversion: dv.Inversion) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8))
    assert inversion.plot(0, figure=figure) is figure
    assert [axes.get_title() for axes in figure.axes] == list(inversion)
    drawn = figure.axes[list(inversion).index("temperature")]
    np.testing.assert_array_equal(
        drawn.images[0].get_array(), inversion["temperature"][0].data.compute()
    )
    figure = inversion.plot(np.s_[0, 1], Figure(), inversions=["velocity", "temperature"])
    assert [axes.get_title() for axes in figure.axes] == ["velocity", "temperature"]
    figure = inversion.profiles.plot(np.s_[0, 1], Figure(), profiles="NaID")
    assert len(figure.axes) == 4
    observed, fit = figure.axes[2].lines
    np.testing.assert_array_equal(
        observed.get_ydata(), inversion.profiles["NaID_orig"][0, 1, :, 2].data.compute()
    )
    np.testing.assert_array_equal(
        fit.get_ydata(), inversion.profiles["NaID_fit"][0, 1, :, 2].data.compute()
    )
    with pytest.raises(ValueError, match="must reduce profile data to 1D"):
        inversion.profiles.plot(0, Figure())
    with pytest.raises(ValueError, match="if you want to slice the NDData object without the WCS"):
        inversion.plot(np.s_[0, 0, 0], Figure())
    with pytest.raises(ValueError, match="1D or 2D"):
        inversion.plot(..., Figure())
    with pytest.raises(TypeError, match="nonsense"):
        inversion.plot(0, Figure(), nonsense=1)


@pytest.mark.slow
def test_labels_of_images_side_by_side_do_not_meet(inversion: dv.Inversion) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for wide, n in ((6.4, 3), (6.4, 4), (12, 4)):
        figure = inversion.plot(0, Figure(figsize=(wide, 4)), inversions=list(inversion)[:n])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        boxes = [axes.get_tightbbox(canvas.get_renderer()) for axes in figure.axes]
        for left, right in itertools.pairwise(boxes):
            assert left.x1 <= right.x0, (wide, n)


@pytest.mark.slow
def test_command_line(made: Made, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from dkist_virtual.cli.main import cli

    store = str(made.asdf.parent.parent / "store")

    def run(*args: str) -> str:
        done = CliRunner().invoke(cli, args)
        assert done.exit_code == 0, done.output
        return done.output

    for place in (store, str(made.asdf)):
        assert "velocity       3 x 6 x 5" in run("info", place)
        assert json.loads(run("info", place, "--json"))["inversion_id"] == "inv.TESTS"
    assert "2 files" in run("download", store, str(tmp_path / "here"), "--slice", "1:")
    picture = str(tmp_path / "t.png")
    run("plot", store, "--quantity", "temperature", "--slice", "0", "-o", picture)
    assert Path(picture).stat().st_size > 1000
    refused = CliRunner().invoke(cli, ["plot", store, "-o", picture])
    assert refused.exit_code == 2
    assert "--quantity names one of" in refused.output


def test_array_names() -> None:
    keys = ["a b", "a_b", "A_B", "1x", "", "é", "x" * 99, "x" * 99]
    names = safe_array_names(keys)
    assert len({name.casefold() for name in names}) == len(keys)
    assert names[:4] == ["a_b", "a_b_2", "A_B_3", "array_1x"]
    ArrayGroups(dict.fromkeys(names, (0,)), None)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"quantities": []},
        {"quantities": [{"array": "../x", "aligned_axes": [0]}]},
        {"quantities": [{"array": "x", "aligned_axes": [0, 0]}]},
        {"quantities": [{"array": "x", "aligned_axes": [-1]}]},
        {"quantities": [{"array": "x", "aligned_axes": [0]}, {"array": "X", "aligned_axes": [0]}]},
        {"quantities": [{"array": "x", "aligned_axes": [0]}], "profiles": []},
        {"quantities": [{"array": "x", "aligned_axes": [True]}]},
    ],
)
def test_groups_of_a_stranger(given: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        ArrayGroups.from_json(given)


@pytest.mark.slow
def test_the_real_one(tmp_path: Path) -> None:
    asdf = unpacked(INVERSION, tmp_path)
    inversion = dv.open_dataset(asdf)
    assert list(inversion)[:3] == ["optical_depth", "temperature", "electron_pressure"]
    assert inversion[10:20, 5]["temperature"].shape == (10, 81)
    assert inversion[10:20, 5].profiles["CaII854_fit"].shape == (10, 851, 4)
    assert len(inversion.files) == 424
    assert len(inversion["temperature"].headers) == 424
