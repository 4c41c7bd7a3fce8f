"""Write ``intake.yaml``: an entry of intake for each store, which xarray opens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.io.local_file import replace_text

if TYPE_CHECKING:
    from dkist_virtual.publish.catalogue.row import Row

__all__ = ["INTAKE_NAME", "write_intake"]

INTAKE_NAME: Final = "intake.yaml"
"""The name of the file, in the directory of the stores."""

MOST: Final = 2000
"""Entries: intake takes 2 ms for each of them when it opens the file."""


def write_intake(directory: Path, rows: Sequence[Row]) -> list[str]:
    """Write the entries of some rows of a catalogue; return what was left out.

    The entry of a store has the ID of its dataset as name. Of more than `MOST` stores no file is
    written, and one that is there is removed.
    """
    if len(rows) > MOST:
        (directory / INTAKE_NAME).unlink(missing_ok=True)
        took = f"intake would take {len(rows) * 0.002:.0f} s to open it"
        return [f"{INTAKE_NAME}: not written for more than {MOST:,} stores: {took}"]
    import yaml

    entries: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for row in rows:
        name = row["dataset_id"] or row["store"]
        if name in entries:
            continue
        # What is in braces is filled in by intake.
        store = row["store"].replace("{", "{{").replace("}", "}}")
        about = {key: row[key] for key in ("instrument", "product_id") if row[key] is not None}
        data[f"{name}.references"] = {
            "datatype": "intake.readers.datatypes:Zarr",
            "kwargs": {
                "url": f"{{CATALOG_DIR}}/{store}/{row['references']}",
                "storage_options": None,
                "root": "",
            },
            "metadata": {},
            "user_parameters": {},
        }
        entries[name] = {
            "reader": "intake.readers.readers:XArrayDatasetReader",
            "output_instance": "xarray:Dataset",
            "kwargs": {
                "args": [f"{{data({name}.references)}}"],
                "engine": "kerchunk",
                "chunks": {},
            },
            "metadata": about,
            "user_parameters": {},
        }
    document = {
        "version": 2,
        "metadata": {},
        "user_parameters": {},
        "aliases": {name: name for name in entries},
        "entries": entries,
        "data": data,
    }
    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    replace_text(str(directory), INTAKE_NAME, yaml.dump(document, Dumper=dumper, sort_keys=False))
    return []
