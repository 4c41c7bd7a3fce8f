"""The codec, and astropy where it reads them, on the test vectors that are there for anyone."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import codec_vectors as make
import numcodecs
import numpy as np
import pytest
from astropy.io import fits

from dkist_virtual.fits.errors import (
    CodecConfigurationError,
    FrameCorruptError,
    FrameUnsupportedError,
)
from dkist_virtual.fits.frame_spec import ImageSpec
from dkist_virtual.fits.partial import NeedMoreError, drive, ranges_only, read_map

VECTORS = make.VECTORS
INDEX = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))
BY_NAME: dict[str, dict[str, Any]] = {vector["name"]: vector for vector in INDEX["vectors"]}
READ = [name for name, vector in BY_NAME.items() if "error" not in vector]
REFUSED = [name for name, vector in BY_NAME.items() if "error" in vector]
ERRORS = {
    "configuration": CodecConfigurationError,
    "corrupt": FrameCorruptError,
    "unsupported": FrameUnsupportedError,
}
KEYS = {"name", "about", "chunk", "bytes", "configuration"}
KEYS_READ = KEYS | {"sha256", "head", "windows", "by"}


def chunk_of(vector: Mapping[str, Any]) -> bytes:
    chunk = gzip.decompress((VECTORS / vector["chunk"]).read_bytes())
    assert len(chunk) == vector["bytes"]
    return chunk


def window_of(axes: list[list[int]]) -> tuple[range, ...]:
    return tuple(range(*axis) for axis in axes)


def test_the_index_is_as_the_page_says() -> None:
    assert (INDEX["version"], INDEX["codec"]) == (1, "fits_image")
    assert len(BY_NAME) == len(INDEX["vectors"])
    files = {vector["chunk"] for vector in BY_NAME.values() if "chunk" in vector}
    assert files == {path.name for path in VECTORS.glob("*.gz")}
    for name in READ:
        assert set(BY_NAME[name]) == KEYS_READ
        assert BY_NAME[name]["by"] in ("astropy", "standard")
    for name in REFUSED:
        wrong = BY_NAME[name]["error"] == "configuration"
        assert set(BY_NAME[name]) == (KEYS - {"chunk", "bytes"} if wrong else KEYS) | {"error"}
    assert sum(path.stat().st_size for path in VECTORS.iterdir() if path.is_file()) < 200_000


@pytest.mark.parametrize("name", READ)
def test_the_codec_passes(name: str) -> None:
    vector = BY_NAME[name]
    config, chunk = vector["configuration"], chunk_of(vector)
    pixels = numcodecs.get_codec({"id": "fits_image", **config}).decode(chunk)
    assert (pixels.dtype.str, list(pixels.shape)) == (config["dtype"], config["shape"])
    assert make.digest(pixels) == vector["sha256"]
    spec = ImageSpec.from_config(config)
    frame = read_map(chunk[: vector["head"]], spec.hdu, dtype=spec.dtype, shape=spec.shape)
    if frame.table is not None:
        with pytest.raises(NeedMoreError):
            read_map(chunk[: vector["head"] - 1], spec.hdu, dtype=spec.dtype, shape=spec.shape)
    for part in vector["windows"]:
        window = window_of(part["axes"])
        ranges = np.stack(frame.ranges(window), axis=1)
        assert ranges.tolist() == part["ranges"]
        # Nothing else of the chunk is there.
        sparse = bytearray(len(chunk))
        for start, stop in [(0, vector["head"]), *part["ranges"]]:
            sparse[start:stop] = chunk[start:stop]
        reading = spec.steps(ranges_only, window, frame, gap=0)
        pixels = drive(reading, lambda wanted, of=sparse: bytes(of[wanted[0] : wanted[1]]))[1]
        assert make.digest(pixels) == part["sha256"]


@pytest.mark.parametrize("name", REFUSED)
def test_the_codec_refuses(name: str) -> None:
    vector = BY_NAME[name]
    config = {"id": "fits_image", **vector["configuration"]}
    chunk = chunk_of(vector) if "chunk" in vector else b""
    with pytest.raises(ERRORS[vector["error"]]):
        numcodecs.get_codec(config).decode(chunk)


def test_astropy_reads_those_that_it_made() -> None:
    # Those of HDUs alone have no primary before them.
    primary = io.BytesIO()
    fits.PrimaryHDU().writeto(primary)
    for name in READ:
        vector, config = BY_NAME[name], BY_NAME[name]["configuration"]
        if vector["by"] != "astropy":
            continue
        chunk = chunk_of(vector)
        alone = chunk.startswith(b"XTENSION")
        hdu = config["hdu"].strip() if isinstance(config["hdu"], str) else config["hdu"]
        whole = primary.getvalue() + chunk if alone else chunk
        whole += b"\0" * (-len(whole) % 2880)  # astropy warns where that is missing
        with fits.open(io.BytesIO(whole), memmap=False) as hdus:
            assert make.digest(np.asarray(hdus[1 if alone else hdu].data)) == vector["sha256"], name


@pytest.mark.slow
def test_the_script_makes_them_again(tmp_path: Path) -> None:
    make.make(tmp_path)
    assert json.loads((tmp_path / "index.json").read_text(encoding="utf-8")) == INDEX
    for path in VECTORS.glob("*.gz"):
        again = gzip.decompress((tmp_path / path.name).read_bytes())
        assert again == gzip.decompress(path.read_bytes()), path.name
