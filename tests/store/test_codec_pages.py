"""What the pages about the codec print is valid, by their own schema, and opened by zarr."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import codec_vectors
import frames
import jsonschema
import numcodecs
import numpy as np
import pytest
import zarr
from astropy.io import fits
from zarr.core.buffer.cpu import Buffer

import dkist_virtual as dv
from dkist_virtual.fits.codecs import FITSImageCodec, FITSImageCodecV3

DOCS = Path(__file__).parents[2] / "docs"
EXTENSION = DOCS / "development" / "upstream" / "zarr-extensions" / "codecs" / "fits_image"
SCHEMA = json.loads((EXTENSION / "schema.json").read_text(encoding="utf-8"))
INDEX = json.loads((codec_vectors.VECTORS / "index.json").read_text(encoding="utf-8"))


def printed(page: Path) -> list[dict[str, Any]]:
    text = page.read_text(encoding="utf-8")
    return [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", text, re.M | re.S)]


DOCUMENTS = printed(DOCS / "reference" / "codec.md") + printed(EXTENSION / "README.md")


def test_both_pages_print_metadata() -> None:
    assert [document["zarr_format"] for document in DOCUMENTS] == [2, 3, 3, 3]


@pytest.mark.parametrize("document", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_zarr_opens_what_is_printed(document: dict[str, Any]) -> None:
    version = document["zarr_format"]
    content = {"zarr.json" if version == 3 else ".zarray": json.dumps(document).encode()}
    store = zarr.storage.MemoryStore({k: Buffer.from_bytes(v) for k, v in content.items()})
    array: Any = zarr.open_array(store, mode="r", zarr_format=version)
    assert array.shape == (100, 976, 2555)
    assert array.dtype == "<f4"
    # A chunk that is absent.
    assert np.isnan(array[50, 3, 4])


def entries() -> list[dict[str, Any]]:
    given = [entry for document in DOCUMENTS for entry in document.get("codecs", ())]
    given += [
        {"name": "fits_image", "configuration": vector["configuration"]}
        for vector in INDEX["vectors"]
        if vector.get("error") != "configuration"
    ]
    return [entry for entry in given if entry["name"] == "fits_image"]


def test_the_schema_takes_what_the_codec_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert len(entries()) > 100
    for entry in entries():
        validator.validate(entry)
        assert FITSImageCodecV3.from_dict(entry).to_dict() == entry
        codec = numcodecs.get_codec({"id": "fits_image", **entry["configuration"]})
        assert type(codec) is FITSImageCodec
    refused = [v for v in INDEX["vectors"] if v.get("error") == "configuration"]
    for vector in refused:
        entry = {"name": "fits_image", "configuration": vector["configuration"]}
        assert not validator.is_valid(entry), vector["name"]
    assert len(refused) >= 10
    good = entries()[0]
    assert not validator.is_valid({**good, "name": "dkist_fits"})
    assert not validator.is_valid({"name": "fits_image"})


def test_the_schema_takes_the_metadata_that_are_written(tmp_path: Path) -> None:
    image = frames.compressed(frames.scene((5, 40)), name="SCI")
    for name in "ab":
        (tmp_path / f"{name}.fits").write_bytes(image)
    dv.fits_references(str(tmp_path / "*.fits"), tmp_path / "sky.json", progress=False)
    refs = json.loads((tmp_path / "sky.json").read_text())["refs"]
    zarrays = [json.loads(text) for key, text in refs.items() if key.endswith("/.zarray")]
    written = [zarray["compressor"] for zarray in zarrays if zarray["compressor"]]
    assert [config["id"] for config in written] == ["fits_image"]
    configuration = {key: value for key, value in written[0].items() if key != "id"}
    jsonschema.validate({"name": "fits_image", "configuration": configuration}, SCHEMA)


def test_a_store_that_names_the_neutral_codec_opens(
    converted: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(converted("visp"), tmp_path / "store")
    references = tmp_path / "store" / "references.json"
    text = references.read_text(encoding="utf-8")
    assert "dkist_fits" in text
    references.write_text(text.replace("dkist_fits", "fits_image"), encoding="utf-8")
    expected, found = dv.open_zarr(converted("visp")), dv.open_zarr(tmp_path / "store")
    index = (0, 1, slice(3, 9))
    np.testing.assert_array_equal(found["data"][index], expected["data"][index])


def test_the_sample_is_what_astropy_reads() -> None:
    directory = EXTENSION / "sample_data" / "image_float32.zarr"
    pixels = np.asarray(zarr.open_array(directory, mode="r")[...])
    primary = io.BytesIO()
    fits.PrimaryHDU().writeto(primary)
    file = primary.getvalue() + (directory / "c" / "0" / "0").read_bytes()
    with fits.open(io.BytesIO(file)) as hdus:
        np.testing.assert_array_equal(pixels, hdus[1].data)
    stated = codec_vectors.digest(pixels)
    assert stated in (EXTENSION / "sample_data" / "README.md").read_text(encoding="utf-8")
