"""The ASDFs that the installed ``dkist`` package carries, and forms of them that it lacks.

`DATASETS` names all that describe a dataset. The functions below the list write further ones,
each for a form that occurs in the wild (a saved cut, null names, a masked mosaic, ...), made
from those with ``asdf`` and ``dkist`` alone.
"""

from __future__ import annotations

import gzip
import shutil
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import asdf
import numpy as np

ROOT = Path(str(files("dkist"))) / "data" / "test"

#: Everything in the package that holds a dataset, by its path below `ROOT`.
DATASETS = (
    "EIT/eit_test_dataset.asdf",
    "small_visp/test_visp.asdf",
    "croppable_cryo.asdf.gz",
    "croppable_visp.asdf.gz",
    "eit_dataset-0.1.0.asdf",
    "eit_dataset-0.2.0.asdf",
    "eit_dataset-0.3.0.asdf",
    "eit_dataset-1.0.0.asdf",
    "eit_dataset-1.1.0.asdf",
    "eit_dataset-1.2.0.asdf",
    "large_vbi.asdf.gz",
    "large_visp.asdf.gz",
    "test_old_wcs_BRMQY.asdf",
    "test_tiled_dataset-1.0.0_dataset-1.0.0.asdf",
    "test_tiled_dataset-1.0.0_dataset-1.1.0.asdf",
    "test_tiled_dataset-1.0.0_dataset-1.2.0.asdf",
    "test_tiled_dataset-1.1.0_dataset-1.2.0.asdf",
    "test_tiled_dataset-1.2.0_dataset-1.2.0.asdf",
    "test_tiled_dataset-1.3.0_dataset-1.2.0.asdf",
    "visp_no_headers.asdf.gz",
)
#: Of these, one of each kind for `make test`: old and new, with and without headers, a mosaic.
FEW = (
    "EIT/eit_test_dataset.asdf",
    "croppable_cryo.asdf.gz",
    "eit_dataset-0.1.0.asdf",
    "eit_dataset-1.2.0.asdf",
    "test_tiled_dataset-1.3.0_dataset-1.2.0.asdf",
    "visp_no_headers.asdf.gz",
)
#: The ASDF that holds something else.
NOT_DATASETS = ("5d_gwcs.asdf",)
#: A level 2 inversion.
INVERSION = "test_L2_inversion.asdf.gz"

#: Real datasets of three instruments, by their name without ``.asdf.gz``.
REAL = ("croppable_visp", "croppable_cryo", "large_vbi", "large_visp", "visp_no_headers")

VISP = "large_visp.asdf.gz"
MOSAIC = "test_tiled_dataset-1.3.0_dataset-1.2.0.asdf"


def unpacked(name: str, directory: Path) -> Path:
    """One of the package's ASDFs as an ``.asdf`` in a directory, where it is not there yet."""
    source = ROOT / name
    target = directory / source.name.removesuffix(".gz")
    if not target.exists():
        part = target.with_suffix(".part")
        opener: Callable[..., Any] = gzip.open if source.suffix == ".gz" else open
        with opener(source, "rb") as packed, part.open("wb") as plain:
            shutil.copyfileobj(packed, plain)
        part.replace(target)
    return target


def load(path: Path) -> Any:
    """What ``dkist`` makes of an ASDF: the oracle."""
    import dkist

    with warnings.catch_warnings():
        # The simulator's dates lie in years whose leap seconds nobody knows.
        warnings.filterwarnings("ignore", message=".*dubious year")
        return dkist.load_dataset(path)


def save(path: Path, dataset: Any) -> Path:
    """Write a dataset as ``dkist`` does."""
    asdf.AsdfFile({"dataset": dataset}).write_to(path)
    return path


def with_files(
    path: Path,
    directory: Path,
    change: Callable[[dict[str, Any]], None],
    *,
    n_rows: int | None = None,
    mask: np.ndarray[Any, Any] | None = None,
) -> Path:
    """`VISP` with its file manager's plain node changed in place.

    The node is a dict with the keys ``fileuris``, ``target``, ``datatype`` and ``shape``. Of the
    header table the first ``n_rows`` stay.
    """
    source = load(unpacked(VISP, directory))
    node: dict[str, Any] = {
        "fileuris": source.files.fileuri_array.tolist(),
        "target": 0,
        "datatype": "float64",
        "shape": [1, 50, 128],
    }
    change(node)
    dataset = {
        "data": asdf.tagged.TaggedDict(node, "asdf://dkist.nso.edu/tags/file_manager-1.1.0"),
        "wcs": source.wcs,
        "unit": source.unit,
        "meta": {"headers": source.headers[:n_rows], "inventory": source.inventory},
    }
    if mask is not None:
        dataset["mask"] = mask
    return save(path, asdf.tagged.TaggedDict(dataset, "asdf://dkist.nso.edu/tags/dataset-1.3.0"))


def masked_mosaic(path: Path, directory: Path, masked: list[tuple[int, int]]) -> Path:
    """`MOSAIC` with tiles masked, which ``dkist`` saves as null."""
    from dkist import TiledDataset

    source = load(unpacked(MOSAIC, directory))
    mask = np.zeros(source.shape, bool)
    for place in masked:
        mask[place] = True
    meta = {**source.meta, "headers": None}  # dkist stacks those of the tiles that are there
    meta.pop("history")
    tiles = np.empty(source.shape, dtype=object)
    for place in np.ndindex(source.shape):
        tiles[place] = source[place]
    return save(path, TiledDataset(tiles, mask=mask, meta=meta))
