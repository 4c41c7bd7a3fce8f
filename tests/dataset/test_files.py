"""The files behind a selection: by masks that form no rectangle, counted, and listed for others."""

from __future__ import annotations

import pickle
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from simulated import MOSAICS

import dkist_virtual as dv
from dkist_virtual.errors import DownloadError, SelectionError


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
        ((0, 1, slice(2)), "expected a mask"),
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
