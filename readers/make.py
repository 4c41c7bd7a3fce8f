"""Write one of each output, for readers that know nothing of this package, and what is in it.

    python readers/make.py DIRECTORY

Frames are written with astropy, and pixels to compare with are astropy's. ``outputs.json`` lists
for each output its kind, place and arrays, whether the codec is needed, and the frames' directory.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from golden import BY_NAME, frame_paths, oracle, write_dataset
from simulated import generate

import dkist_virtual as dv

#: Frames with RICE_1; plain ones, with spaces and an umlaut in their names, and without; a mosaic
#: of compressed tiles; scaled integers.
NAMES = ("compressed", "plain", "int16", "mosaic", "unsigned")


def main(directory: Path) -> None:
    """Write everything into a directory."""
    outputs: list[dict[str, Any]] = []

    def add(kind: str, place: Path, name: str, pixels: Any, *, codec: bool, writer: str) -> None:
        kept = f"{kind}-{writer}-{name}".replace(" ", "-") + ".npz"
        np.savez(directory / kept, **pixels)
        outputs.append(
            {
                "kind": kind,
                "place": str(place),
                "name": name,
                "pixels": kept,
                "codec": codec,
                "writer": writer,
                "frames": str(directory / name),
            }
        )

    for name in NAMES:
        golden = BY_NAME[name]
        asdf = write_dataset(golden, directory / name)
        pixels = oracle(golden, directory / name)
        codec = not golden.verbatim
        stores = directory / "stores" / name
        for form, file in (("json", "references.json"), ("parquet", "references.parq")):
            store = stores / f"{form}.virtual"
            dv.convert(asdf, store, references=form, progress=False)  # type: ignore[arg-type]
            add(form, store / file, name, pixels, codec=codec, writer="convert")

        dv.to_icechunk(stores / "json.virtual", stores / "repository", progress=False)
        # Plain frames, too, have a codec there, which reads parts of them.
        add("icechunk", stores / "repository", name, pixels, codec=True, writer="to_icechunk")

        if len(golden.arrays) == 1:
            files = [str(path) for path in frame_paths(golden, directory / name)["data"]]
            nested: Any = np.array(files, object).reshape(golden.frame_axes).tolist()
            # All axes of the image are kept, those of length 1 too.
            whole = {"data": pixels["data"].reshape(golden.frame_axes + golden.hdu_shape)}
            for form, file in (("json", "survey.json"), ("parquet", "survey.parq")):
                dv.fits_references(nested, stores / file, progress=False)
                add(form, stores / file, name, whole, codec=codec, writer="fits_references")

        write_by_virtualizarr(name, stores, add, pixels, codec)

    catalogue = directory / "catalogue"
    for name in ("visp", "vbi_mosaic"):
        generate(name, directory / "simulated" / name)
        dv.convert(directory / "simulated" / name, catalogue / f"{name}.virtual", progress=False)
    dv.write_catalogue(catalogue)
    (directory / "outputs.json").write_text(json.dumps(outputs, indent=1))


def write_by_virtualizarr(name: str, stores: Path, add: Any, pixels: Any, codec: bool) -> None:
    """Write what VirtualiZarr makes of a store: for kerchunk, and into Icechunk."""
    from icechunk_repository import repository
    from obspec_utils.registry import ObjectStoreRegistry
    from obstore.store import LocalStore

    from dkist_virtual.publish.virtualizarr import DKISTParser

    registry = ObjectStoreRegistry({"file://": LocalStore()})
    store = str(stores / "json.virtual")
    whole = DKISTParser(partial_reads=False)(store, registry).to_virtual_dataset()
    for form, file in (("json", "virtualizarr.json"), ("parquet", "virtualizarr.parq")):
        whole.vz.to_kerchunk(str(stores / file), format=form)
        add(form, stores / file, name, pixels, codec=codec, writer="VirtualiZarr")
    virtual = DKISTParser()(store, registry).to_virtual_dataset()
    repo = repository(stores / "by_virtualizarr", stores.parents[1] / name)
    session = repo.writable_session("main")
    virtual.vz.to_icechunk(session.store)
    session.commit("frames")
    place = stores / "by_virtualizarr"
    add("icechunk", place, name, pixels, codec=codec, writer="VirtualiZarr")


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main(Path(sys.argv[1]).absolute())
