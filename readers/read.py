"""Read outputs by a program for them alone, and compare every pixel with astropy's.

    python read.py READER DIRECTORY

Runs in an environment of its own, which has neither astropy, dkist nor sunpy: this file imports
nothing of ``dkist_virtual``. Zarr and numcodecs find the codec by its entry point, if the wheel
is installed there; otherwise only outputs of plain frames are read. Prints a line of JSON for
each output, and exits with 1 if one was read differently.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

#: What may be loaded of the package: the codec, and what it is made of.
CODEC = ("fits", "store.codecs", "store.frame_spec", "errors", "_moved", "_version")


def same(found: Any, expected: Any) -> bool:
    """Compare bit for bit, but for the byte order."""
    found = np.asarray(found)
    native = found.astype(found.dtype.newbyteorder("="))
    alike = (native.dtype, native.shape) == (expected.dtype, expected.shape)
    return alike and native.tobytes() == expected.tobytes()


def cuts(shape: tuple[int, ...]) -> list[tuple[Any, ...]]:
    """Return the index of a whole array, of a frame, of a cut-out, and of strided pixels."""
    n = len(shape) - 2
    return [
        (),
        (0,) * n,
        (shape[0] - 1,) * min(n, 1) + (0,) * (n - 1) + (slice(2, 5), slice(1, 4)),
        (slice(None),) * n + (slice(None, None, 3), slice(1, None, 2)),
    ]


def check(arrays: Any, expected: dict[str, Any]) -> None:
    """Read arrays and parts of them."""
    for name, pixels in expected.items():
        for index in cuts(pixels.shape):
            if not same(arrays(name, index), pixels[index]):
                raise AssertionError(f"{name}{index} is not what astropy reads")


# Readers: each takes an output, and returns a function of an array's name and an index ------------


def by_xarray(output: dict[str, Any]) -> Any:
    """Open kerchunk references by xarray's engine for them, or a repository by its Zarr engine."""
    import xarray as xr

    if output["kind"] == "icechunk":
        ds = xr.open_zarr(session_store(output), consolidated=False, mask_and_scale=False)
    else:
        ds = xr.open_dataset(output["place"], engine="kerchunk", mask_and_scale=False)
    return lambda name, index: ds[name][index].values


def by_zarr(output: dict[str, Any]) -> Any:
    """Open kerchunk references by fsspec and Zarr, or a repository by Zarr."""
    import zarr

    if output["kind"] == "icechunk":
        group = zarr.open_group(session_store(output), mode="r")
    else:
        import fsspec

        files = fsspec.filesystem(
            "reference", fo=output["place"], remote_protocol="file", asynchronous=True
        )
        store = zarr.storage.FsspecStore(files, read_only=True)
        group = zarr.open_group(store, mode="r", zarr_format=2)
    return lambda name, index: group[name][index]


def session_store(output: dict[str, Any]) -> Any:
    """Open the last commit of an Icechunk repository; frames of one directory may be read."""
    import icechunk

    icechunk.set_logs_filter("error")
    credentials = getattr(icechunk, "credentials", None)
    local = getattr(credentials, "LocalFileSystemAccess", None)  # version 1 has None instead
    repository = icechunk.Repository.open(
        icechunk.local_filesystem_storage(output["place"]),
        authorize_virtual_chunk_access={f"file://{output['frames']}/": local},
    )
    return repository.readonly_session("main").store


def by_virtualizarr(output: dict[str, Any]) -> Any:
    """Open kerchunk references by VirtualiZarr's parsers for them."""
    import zarr
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore
    from virtualizarr.parsers import KerchunkJSONParser, KerchunkParquetParser

    parser = {"json": KerchunkJSONParser, "parquet": KerchunkParquetParser}[output["kind"]]
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    place = f"file://{output['place']}"
    group = zarr.open_group(parser()(place, registry), mode="r", zarr_format=3)
    return lambda name, index: group[name][index]


def read_tables(directory: Path) -> None:
    """Read a catalogue without this package: the table, the STAC collection, intake's entries."""
    import pandas as pd
    import pyarrow.parquet as pq

    catalogue = directory / "catalogue"
    table = pq.read_table(catalogue / "catalogue.parquet")
    frame = pd.read_parquet(catalogue / "catalogue.parquet")
    stores = {path.name for path in catalogue.glob("*.virtual")}
    for found in (set(table["store"].to_pylist()), set(frame["store"])):
        assert {place.rstrip("/") for place in found} == stores, found
    say("catalogue.parquet", "write_catalogue", versions("pandas", "pyarrow"), "all rows")
    if (catalogue / "stac").is_dir():
        import pystac
        from pystac.validation.stac_validator import JsonSchemaSTACValidator

        collection = pystac.Collection.from_file(str(catalogue / "stac" / "collection.json"))
        items = list(collection.get_items(recursive=True))
        assert len(items) == len(stores), items
        validator = JsonSchemaSTACValidator()
        for each in (collection, *collection.get_children(), *items):
            # Of the schemas the core's come with pystac; those of extensions are on the Internet.
            for uri in each.stac_extensions:
                draft = "http://json-schema.org/draft-07/schema#"
                validator.schema_cache[uri] = {"$schema": draft, "$id": uri}
            each.validate(validator)
        say("stac/", "write_catalogue", versions("pystac"), "valid")
    if (catalogue / "intake.yaml").exists():
        import intake

        entries = set(intake.open_catalog(str(catalogue / "intake.yaml")))
        assert len(entries) == len(stores), entries
        say("intake.yaml", "write_catalogue", versions("intake"), "all entries")


READERS = {"xarray": by_xarray, "zarr": by_zarr, "virtualizarr": by_virtualizarr}


def versions(*names: str) -> str:
    """Return those of the packages that are here."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            pass
    return ", ".join(found)


def say(output: str, writer: str, reader: str, result: str) -> None:
    """Print a line for the driver."""
    python = ".".join(map(str, sys.version_info[:2]))
    print(json.dumps([output, writer, reader, python, result]), flush=True)


def cannot(reader: str, output: dict[str, Any]) -> str:
    """Say why a reader's own fault keeps it from an output, whoever wrote that; else nothing."""
    if reader == "virtualizarr":
        if output["name"] == "plain":
            return "VirtualiZarr looks for files by their percent-encoded names"
        old = version("virtualizarr").startswith("2.5")
        if old and output["codec"] and output["writer"] != "VirtualiZarr":
            return "VirtualiZarr 2.5 opens no Zarr v2 array with a compressor"
    return ""


def main(reader: str, directory: Path) -> int:
    """Read all outputs that this reader is for."""
    warnings.simplefilter("ignore")
    if reader == "tables":
        read_tables(directory)
        return 0
    with_codec = find_spec("dkist_virtual") is not None
    failed = 0
    for output in json.loads((directory / "outputs.json").read_text()):
        wants_icechunk = find_spec("icechunk") is not None
        if (output["kind"] == "icechunk") != wants_icechunk or (output["codec"] > with_codec):
            continue
        codec = "codec" if output["codec"] else "plain"
        what = f"{output['kind']}, {output['name']} ({codec})"
        expected = dict(np.load(directory / output["pixels"]))
        label = versions(reader, *([] if reader == "zarr" else ["zarr"]), "icechunk")
        if reason := cannot(reader, output):
            say(what, output["writer"], label, reason)
            continue
        try:
            check(READERS[reader](output), expected)
            result = "equal"
        except Exception as error:  # noqa: BLE001  # said in its line, and all others are read
            result, failed = f"{type(error).__name__}: {error}"[:300], failed + 1
        say(what, output["writer"], label, result)

    loaded = {name for name in sys.modules if name.partition(".")[0] == "dkist_virtual"}
    strange = {
        name
        for name in loaded - {"dkist_virtual", "dkist_virtual.store"}
        if not name.removeprefix("dkist_virtual.").startswith(CODEC)
    }
    assert not strange, strange
    assert with_codec == bool(loaded), loaded
    here = [name for name in ("astropy", "dkist", "sunpy", "asdf") if find_spec(name)]
    assert not here, here
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]).absolute()))
