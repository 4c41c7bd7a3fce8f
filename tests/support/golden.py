"""Golden datasets: small, the same on every machine, each a form that a store has to carry.

Frames are written with astropy and ASDFs with asdf and dkist; nothing here imports the package
under test, except in `build`. What a store of each must hold is written out in
``golden/{name}.json`` beside this file: every key of the reference set, metadata as objects, with
the frames' directory replaced by ``BASE`` and the store id by ``ID``. These fail when the format
changes by accident. Where it changes on purpose, ``python tests/support/golden.py`` writes them
anew: read the
difference before it is committed.

================== ================= ============= =================================================
name               array             frames        what is special
================== ================= ============= =================================================
``compressed``     (2, 3, 12, 20)    RICE_1, f4    frames are (1, y, x); NaN; lossless rows
``plain``          (2, 3, 12, 20)    plain f4      subdirectory, space and umlaut in names
``mosaic``         (3, 9, 8) x 3     RICE_1, f4    2 x 2 tiles, [1, 0] is not there
``mosaic_plain``   (2, 9, 8) x 3     plain f8      the same, without a codec
``half``           (2, 3, 12, 20)    RICE_1, f4    two of six are not on disk
``half_plain``     (2, 3, 12, 20)    plain f4      the same, for which the array is on the codec
``never``          (2, 3, 12, 20)    RICE_1, f4    not scanned
``never_unsigned`` (4, 5, 7)         plain u2      not scanned: BZERO is from the header table
``int16``          (4, 5, 7)         plain i2      verbatim
``bytes``          (4, 5, 7)         plain u1      verbatim, no byte order
``int32``          (4, 5, 7)         RICE_1, i4
``unsigned``       (4, 5, 7)         plain u2      BZERO = 32768
``single``         (12, 20)          RICE_1, f4    dkist drops all frame axes
``single_plain``   (12, 20)          plain f4      the same, without a codec
``null_names``     (2, 3, 12, 20)    plain f4      two have no name in the ASDF
``null_integers``  (2, 2, 5, 7)      RICE_1, i2    one has no name
``subslice``       (2, 3, 12, 20)    RICE_1, f4    a cut saved by dkist, (2, 3, 8)
================== ================= ============= =================================================
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simulated import once, shared_directory

if TYPE_CHECKING:
    import pytest

FORMS = ("json", "parquet")
EXPECTED = Path(__file__).with_name("golden")


@dataclass(frozen=True)
class Golden:
    """One golden dataset.

    Attributes
    ----------
    name
    dtype
        Of the pixels, after BZERO.
    frame_axes
        Shape of the ASDF's list of names.
    hdu_shape
        Of the image in each frame.
    compressed
        RICE_1 in HDU 1, or plain in the primary HDU.
    scan
        How it is converted.
    gone
        Frames, in chunk order, that are named in the ASDF and are not on disk.
    nameless
        Frames that the ASDF has a null for.
    grid
        Of a mosaic, False where there is no tile.
    cut
        What of the array the ASDF keeps.
    named
        Number of a frame to its name.
    verbatim
        Whether the references point at the pixels alone.
    """

    name: str
    dtype: str
    frame_axes: tuple[int, ...]
    hdu_shape: tuple[int, ...]
    compressed: bool
    scan: str = "auto"
    gone: tuple[int, ...] = ()
    nameless: tuple[int, ...] = ()
    grid: tuple[tuple[bool, ...], ...] = ()
    cut: tuple[int | slice, ...] | None = None
    named: Callable[[int], str] = "frame_{:02d}.fits".format
    verbatim: bool = False

    @property
    def single(self) -> bool:
        return self.frame_axes == (1,)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array, or of each tile: frame axes, then the HDU's less a leading 1."""
        core = self.hdu_shape[1:] if self.hdu_shape[0] == 1 else self.hdu_shape
        return core if self.single else self.frame_axes + core

    @property
    def places(self) -> list[tuple[int, int] | None]:
        """Of the tiles that are there; of a dataset that is no mosaic, one None."""
        there = [tuple(int(i) for i in place) for place in np.argwhere(np.array(self.grid, bool))]
        return there or [None]  # type: ignore[return-value]  # the grid has two axes

    @property
    def arrays(self) -> list[str]:
        return ["data" if p is None else f"data_{p[0]}_{p[1]}" for p in self.places]

    @property
    def n_frames(self) -> int:
        """Of one array."""
        return int(np.prod(self.frame_axes))

    @property
    def hdu(self) -> int:
        return int(self.compressed)


_VISP: dict[str, Any] = {"dtype": "f4", "frame_axes": (2, 3), "hdu_shape": (1, 12, 20)}
_SMALL: dict[str, Any] = {"frame_axes": (4,), "hdu_shape": (5, 7)}
_GRID = ((True, True), (False, True))

GOLDEN = (
    Golden("compressed", **_VISP, compressed=True),
    Golden("plain", **_VISP, compressed=False, verbatim=True, named="Tag 1/Bild ü{}.fits".format),
    Golden("mosaic", "f4", (3,), (9, 8), compressed=True, grid=_GRID),
    Golden("mosaic_plain", "f8", (2,), (9, 8), compressed=False, grid=_GRID, verbatim=True),
    Golden("half", **_VISP, compressed=True, gone=(1, 4)),
    Golden("half_plain", **_VISP, compressed=False, gone=(1, 4)),
    Golden("never", **_VISP, compressed=True, scan="never"),
    Golden("never_unsigned", "u2", **_SMALL, compressed=False, scan="never"),
    Golden("int16", "i2", **_SMALL, compressed=False, verbatim=True),
    Golden("bytes", "u1", **_SMALL, compressed=False, verbatim=True),
    Golden("int32", "i4", **_SMALL, compressed=True),
    Golden("unsigned", "u2", **_SMALL, compressed=False),
    Golden("single", "f4", (1,), (1, 12, 20), compressed=True),
    Golden("single_plain", "f4", (1,), (12, 20), compressed=False, verbatim=True),
    Golden("null_names", **_VISP, compressed=False, nameless=(0, 5), verbatim=True),
    Golden("null_integers", "i2", (2, 2), (5, 7), compressed=True, nameless=(2,)),
    Golden(
        "subslice", **_VISP, compressed=True, cut=(slice(None), slice(None), slice(2, 10), 4)
    ),
)  # fmt: skip
BY_NAME = {golden.name: golden for golden in GOLDEN}


# The dataset --------------------------------------------------------------------------------


def _pixels(golden: Golden, number: int) -> npt.NDArray[Any]:
    """What frame `number` holds before compression, from integers alone: no rounding differs."""
    rng = np.random.default_rng([len(golden.name), number])
    dtype = np.dtype(golden.dtype)
    noise = rng.integers(0, 100, golden.hdu_shape)
    if dtype.kind == "u":
        return (np.iinfo(dtype).max - number - noise).astype(dtype)
    if dtype.kind == "i":
        return (noise - 50 * number).astype(dtype)
    data = (1000 + 64 * number + noise / 8).astype(dtype)
    data[..., 3, :] = number  # no noise: astropy stores such a row losslessly
    if number % 2:
        data[..., 0, :] = np.nan
        data[..., 6, 2:4] = np.nan
    return data


def _write_frame(golden: Golden, number: int, path: Path) -> None:
    from astropy.io import fits

    path.parent.mkdir(parents=True, exist_ok=True)
    data = _pixels(golden, number)
    if not golden.compressed:
        fits.PrimaryHDU(data).writeto(path)
        return
    image = fits.CompImageHDU(data, name="OBSERVATION", compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)


def _wcs(n: int) -> Any:
    from functools import reduce
    from operator import and_

    import astropy.units as u
    import gwcs
    from astropy.modeling.models import Multiply
    from gwcs import coordinate_frames as cf

    names = ("x axis", "y axis", "raster scan step number", "polarization state")[:n]
    axes = tuple(range(n))
    pixel = cf.CoordinateFrame(
        n, ["PIXEL"] * n, axes, name="pixel", axes_names=names, unit=[u.pix] * n
    )
    world = cf.CoordinateFrame(
        n, ["SPATIAL"] * n, axes, name="world", axes_names=[f"w{i}" for i in axes],
        unit=[u.arcsec] * n, axis_physical_types=[f"custom:w{i}" for i in axes],
    )  # fmt: skip
    scales = reduce(and_, [Multiply((i + 1) * u.arcsec / u.pix) for i in axes])
    return gwcs.WCS(scales, input_frame=pixel, output_frame=world)


def write_dataset(golden: Golden, directory: Path) -> Path:
    """Write the frames, those that will be gone too, and the ASDF.

    Returns
    -------
    path
        The ASDF, beside the frames. `gone` frames are in ``gone/`` below the directory.
    """
    import asdf
    import astropy.units as u
    import dkist
    from astropy.table import Table
    from dkist import TiledDataset

    directory.mkdir(parents=True)
    numbers = count()
    tiles = []
    for _ in golden.places:
        names: list[str | None] = []
        for i in range(golden.n_frames):
            number = next(numbers)
            name = golden.named(number)
            place = directory / "gone" if i in golden.gone else directory
            if i in golden.nameless:
                names.append(None)
                continue
            _write_frame(golden, number, place / name)
            names.append(name)
        rows = {"FILENAME": [n or "" for n in names], "DINDEX": list(range(len(names)))}
        raw = golden.dtype
        if raw == "u2":
            raw = "i2"  # inventories write the type from BITPIX alone
            rows["BZERO"] = [32768] * len(names)
        node = {
            "fileuris": np.array(names, object).reshape(golden.frame_axes).tolist(),
            "target": golden.hdu,
            "datatype": np.dtype(raw).name,
            "shape": list(golden.hdu_shape),
        }
        tiles.append(
            asdf.tagged.TaggedDict(
                {
                    "data": asdf.tagged.TaggedDict(
                        node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"
                    ),
                    "wcs": _wcs(len(golden.shape)),
                    "unit": u.ct,
                    "meta": {
                        "headers": Table(rows),
                        "inventory": {"datasetId": "GOLDN", "instrumentName": "VISP"},
                    },
                },
                "asdf://dkist.nso.edu/tags/dataset-1.3.0",
            )
        )
    path = directory / f"{golden.name}.asdf"
    asdf.AsdfFile({"dataset": tiles[0]}).write_to(path)
    if golden.cut is not None:
        cut = dkist.load_dataset(path)[golden.cut]
        asdf.AsdfFile({"dataset": cut}).write_to(path)
    if golden.grid:
        there = []
        for i, tile in enumerate(tiles):
            part = directory / f"tile_{i}.part"
            asdf.AsdfFile({"dataset": tile}).write_to(part)
            there.append(dkist.load_dataset(part))
            there[i].meta["inventory"] = there[0].meta["inventory"]  # dkist asks for the same one
            part.unlink()
        mask = ~np.array(golden.grid, bool)
        placed = np.empty(mask.shape, dtype=object)
        for place, one in zip(golden.places, there, strict=True):
            placed[place] = one
        meta = {"inventory": there[0].inventory, "headers": None}
        asdf.AsdfFile({"dataset": TiledDataset(placed, mask=mask, meta=meta)}).write_to(path)
    return path


# What must come back ------------------------------------------------------------------------


def with_both_stores(name: str, base: Path) -> Path:
    """Write a dataset below `base`, with its stores ``json`` and ``parquet``, once."""
    import dkist_virtual as dv

    directory = base / name
    if not directory.exists():
        path = write_dataset(BY_NAME[name], directory)
        for form in ("json", "parquet"):
            scan: Any = BY_NAME[name].scan
            dv.convert(path, directory / form, scan=scan, references=form)  # type: ignore[arg-type]
    return directory


def frame_paths(golden: Golden, directory: Path) -> dict[str, list[Path | None]]:
    """Array to the paths of its frames, in chunk order; None for those without a name."""
    numbers = count()
    return {
        array: [
            None if i in golden.nameless else directory / golden.named(number)
            for i, number in zip(range(golden.n_frames), numbers, strict=False)
        ]
        for array in golden.arrays
    }


def chunk_keys(golden: Golden) -> list[str]:
    """Chunk keys in chunk order, without the array's name."""
    core = ["0"] * len(golden.hdu_shape[golden.hdu_shape[0] == 1 :])
    axes = () if golden.single else golden.frame_axes
    return [".".join([*map(str, index), *core]) for index in np.ndindex(axes)]


def oracle(golden: Golden, directory: Path) -> dict[str, npt.NDArray[Any]]:
    """Array to pixels by astropy, native byte order; NaN or 0 for frames that are not there."""
    from astropy.io import fits

    arrays = {}
    for array, paths in frame_paths(golden, directory).items():
        frames = []
        for path in paths:
            if path is None or not path.exists():
                empty = np.nan if golden.dtype[0] == "f" else 0
                frames.append(np.full(golden.hdu_shape, empty, golden.dtype))
                continue
            with fits.open(path) as hdus:
                frames.append(np.array(hdus[golden.hdu].data, golden.dtype))
        arrays[array] = np.stack(frames).reshape(golden.shape)
    return arrays


def byte_ranges(golden: Golden, directory: Path) -> dict[str, list[Any]]:
    """Chunk key to reference, as astropy and the file system know where HDUs lie."""
    from astropy.io import fits

    references: dict[str, list[Any]] = {}
    for array, paths in frame_paths(golden, directory).items():
        for key, path in zip(chunk_keys(golden), paths, strict=True):
            if path is None:
                continue
            reference: list[Any] = [str(path)]
            if golden.scan != "never" and path.exists():
                with fits.open(path, disable_image_compression=True) as hdus:
                    hdu = hdus[golden.hdu]
                    start, data = hdu._header_offset, hdu._data_offset
                    stop = data + hdu._data_size
                if golden.verbatim:
                    pixels = int(np.prod(golden.hdu_shape)) * np.dtype(golden.dtype).itemsize
                    reference += [data, pixels]
                else:
                    assert stop == path.stat().st_size  # nothing comes after the image here
                    reference += [start, stop - start]
            references[f"{array}/{key}"] = reference
    return references


def missing(golden: Golden, *, named: bool | None = None) -> set[str]:
    """The chunk keys of frames that are not there: with a name, without, or all."""
    chosen: tuple[int, ...] = ()
    if named is not False:
        chosen += golden.gone
    if named is not True:
        chosen += golden.nameless
    places = chunk_keys(golden)
    return {f"{array}/{places[i]}" for array in golden.arrays for i in chosen}


def expected(golden: Golden) -> dict[str, Any]:
    """The committed file."""
    document: dict[str, Any] = json.loads((EXPECTED / f"{golden.name}.json").read_bytes())
    return document


# A store as it lies on disk, without the package's reader ------------------------------------


def raw_references(store: Path) -> dict[str, Any]:
    """Every key of a store's reference set, metadata as objects, references as lists.

    JSON by ``json``, shards by ``pyarrow``, in the layout of the format page.
    """
    if (store / "references.json").exists():
        document = json.loads((store / "references.json").read_text("utf-8"))
        assert set(document) == {"version", "refs"}
        assert document["version"] == 1
        return {k: json.loads(v) if isinstance(v, str) else v for k, v in document["refs"].items()}
    import pyarrow.parquet as pq

    document = json.loads((store / "references.parq/.zmetadata").read_text("utf-8"))
    assert set(document) == {"metadata", "record_size"}
    size = document["record_size"]
    refs = dict(document["metadata"])
    for key, zarray in document["metadata"].items():
        if not key.endswith("/.zarray"):
            continue
        name = key.removesuffix("/.zarray")
        grid = [-(-n // c) for n, c in zip(zarray["shape"], zarray["chunks"], strict=True)]
        shards = sorted(p.name for p in (store / "references.parq" / name).iterdir())
        assert shards == [f"refs.{i}.parq" for i in range(-(-int(np.prod(grid)) // size))]
        rows: list[dict[str, Any]] = []
        for i in range(len(shards)):
            table = pq.read_table(store / f"references.parq/{name}/refs.{i}.parq")
            assert table.schema.names == ["path", "offset", "size", "raw"]
            assert [str(t) for t in table.schema.types] == ["string", "int64", "int64", "binary"]
            rows += table.to_pylist()
        for index, row in zip(np.ndindex(*grid), rows, strict=True):
            assert row["raw"] is None
            if row["path"] is None:
                assert (row["offset"], row["size"]) == (0, 0)
                continue
            whole = (row["offset"], row["size"]) == (0, 0)
            refs[f"{name}/{'.'.join(map(str, index))}"] = (
                [row["path"]] if whole else [row["path"], row["offset"], row["size"]]
            )
    return refs


def normalised(refs: dict[str, Any], base: Path) -> dict[str, Any]:
    """A reference set without what differs from machine to machine."""
    root = refs[".zattrs"]["dkist_virtual"]
    root = {**root, "store_id": "ID", "base": root["base"].replace(str(base), "BASE")}
    out: dict[str, Any] = {**refs, ".zattrs": {**refs[".zattrs"], "dkist_virtual": root}}
    for key, value in refs.items():
        if isinstance(value, list):
            out[key] = [value[0].replace(f"{base}/", "BASE/"), *value[1:]]
    return out


def _as_text(document: dict[str, Any]) -> str:
    """JSON with a key a line; metadata indented, so that a difference shows what it is."""
    lines = []
    for key, value in document.items():
        indent = None if isinstance(value, list) else 1
        lines.append(f"{json.dumps(key)}: {json.dumps(value, indent=indent, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def build(directory: Path) -> Path:
    """Write every golden dataset, ``{name}/``, and its stores, ``{name}.json``, ``{name}.parquet``.

    The one function here that calls the package under test. Frames that are to be gone are gone
    when it converts, and after.
    """
    import dkist_virtual as dv

    for golden in GOLDEN:
        asdf = write_dataset(golden, directory / golden.name)
        for form in FORMS:
            dv.convert(
                asdf,
                directory / f"{golden.name}.{form}",
                scan=golden.scan,  # type: ignore[arg-type]  # a str where one of three is meant
                references=form,  # type: ignore[arg-type]  # likewise
            )
    return directory


def _build_marked(marker: Path) -> Path:
    build(marker.parent)
    marker.touch()
    return marker


def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `build` made, once for all tests and workers of a run; for a session's fixture."""
    base = shared_directory(request, tmp_path_factory)
    return once(base / "golden" / "complete", _build_marked).parent


def main() -> None:
    """Write the expected files anew."""
    import tempfile

    EXPECTED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory = build(Path(place) / "golden")
        for golden in GOLDEN:
            refs = raw_references(directory / f"{golden.name}.json")
            document = normalised(refs, directory / golden.name)
            (EXPECTED / f"{golden.name}.json").write_text(_as_text(document), "utf-8")


if __name__ == "__main__":
    main()
