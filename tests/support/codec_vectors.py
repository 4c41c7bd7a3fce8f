"""Make the test vectors of the codec, which `docs/reference/codec.md` describes.

Run it as ``python tests/support/codec_vectors.py [DIRECTORY]``; the directory is by default
`tests/fits/vectors`. Expected pixels come from astropy, or,
where astropy does not read a form or reads it otherwise, from the standard's arithmetic, written
out here; byte ranges come from the table as astropy reads it. Nothing of this package is used.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import frames
import numpy as np
from frames import Raw, assembled, compressed, edited, hdu_of, plain, scaled, scene
from numpy.typing import NDArray

VECTORS = Path(__file__).parents[1] / "fits" / "vectors"

Array = NDArray[Any]
Window = tuple[range, ...]


@dataclass(frozen=True)
class Vector:
    """A chunk, and what is to come out of it.

    Attributes
    ----------
    name, about : str
    file : bytes
        A whole file, of which the chunk is a part where `alone`.
    hdu : int or str
    alone : bool
        Whether the chunk is the HDU without the rest of its file.
    pixels : ndarray, optional
        By the standard; by default what astropy reads.
    like : bytes, optional
        A file that is laid out alike, where astropy does not find its way in `file`.
    changes : mapping
        Of the configuration.
    error : str, optional
    after : bytes
        Behind the chunk.
    short : int
        How many bytes are missing at the chunk's end.
    """

    name: str
    about: str
    file: bytes
    hdu: int | str = 1
    alone: bool = True
    pixels: Array | None = None
    like: bytes | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    after: bytes = b""
    short: int = 0

    @property
    def known(self) -> bytes:
        """A file in which astropy finds the HDU."""
        return self.like or self.file

    @property
    def chunk(self) -> bytes:
        where = frames.span(self.known, self.hdu)
        bytes_ = self.file[where.start : where.stop] if self.alone else self.file
        return bytes_[: len(bytes_) - self.short] + self.after

    @property
    def start(self) -> int:
        """Where the HDU begins in its chunk."""
        return 0 if self.alone else frames.span(self.known, self.hdu).start

    @property
    def expected(self) -> Array:
        return frames.oracle(self.file, self.hdu) if self.pixels is None else self.pixels

    def tiles(self) -> tuple[list[tuple[int, int]], tuple[int, ...]] | None:
        """The bytes of each tile in the chunk, and the tiles' shape; None of a plain image."""
        with frames.fits.open(
            frames.io.BytesIO(self.known), disable_image_compression=True
        ) as hdus:
            header = hdus[self.hdu].header
            if not header.get("ZIMAGE", False):
                return None
            n = header["ZNAXIS"]
            tile = [header.get(f"ZTILE{i}", header["ZNAXIS1"] if i == 1 else 1)
                    for i in range(n, 0, -1)]  # fmt: skip
            heap = header.get("THEAP", header["NAXIS1"] * header["NAXIS2"])
        where, table = frames.span(self.known, self.hdu), frames.table(self.known, self.hdu)
        first = self.start + where.data - where.start + heap
        ranges = []
        for row in table.rows:
            columns = [c for c in DATA_COLUMNS if c in table.rows.dtype.names and row[c][0]]
            length, offset = (int(n) for n in row[columns[0]])
            ranges.append((first + offset, first + offset + length * table.widths[columns[0]]))
        return ranges, tuple(tile)

    def head(self) -> int:
        where, header = frames.span(self.known, self.hdu), self.header()
        table = header["NAXIS1"] * header["NAXIS2"] if header.get("ZIMAGE", False) else 0
        return self.start + where.data - where.start + int(table)

    def header(self) -> Any:
        with frames.fits.open(
            frames.io.BytesIO(self.known), disable_image_compression=True
        ) as hdus:
            return hdus[self.hdu].header

    def ranges(self, window: Window) -> list[tuple[int, int]]:
        """The bytes that a window needs beside the head."""
        tiles, shape = self.tiles(), self.expected.shape
        if tiles is None:
            size = abs(self.header()["BITPIX"]) // 8
            corners = [[p[0] for p in window], [p[-1] for p in window]]
            first, last = (int(np.ravel_multi_index(at, shape)) for at in corners)
            return [(self.head() + first * size, self.head() + (last + 1) * size)]
        places, tile = tiles
        grid = [-(-n // t) for n, t in zip(shape, tile, strict=True)]
        along = [sorted({i // t for i in p}) for p, t in zip(window, tile, strict=True)]
        rows = [int(np.ravel_multi_index(at, grid)) for at in itertools.product(*along)]
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(places[row] for row in rows):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(stop, merged[-1][1])
            else:
                merged.append((start, stop))
        return merged

    def windows(self) -> list[Window]:
        shape = self.expected.shape
        middle = tuple(range(n // 2, n // 2 + 1) for n in shape)
        part = tuple(range(n // 4, max(3 * n // 4, n // 4 + 1), 2 if n > 6 else 1) for n in shape)
        return [middle, part]

    def entry(self) -> dict[str, Any]:
        """What the index says of it."""
        entry: dict[str, Any] = {"name": self.name, "about": self.about}
        if self.error != "configuration":
            chunk = self.chunk
            entry |= {"chunk": f"{self.name}.gz", "bytes": len(chunk)}
        if self.error is not None:
            given = {"hdu": self.hdu, "dtype": "<i2", "shape": [1, 6, 20], **self.changes}
            kept = {key: value for key, value in given.items() if value is not REMOVED}
            return {**entry, "configuration": kept, "error": self.error}
        pixels = self.expected
        dtype = pixels.dtype.newbyteorder("<").str
        about = {"dtype": dtype, "shape": list(pixels.shape)}
        windows = []
        for window in self.windows():
            part = pixels[tuple(slice(p.start, p.stop, p.step) for p in window)]
            windows.append(
                {
                    "axes": [[p.start, p.stop, p.step] for p in window],
                    "ranges": [list(r) for r in self.ranges(window)],
                    "sha256": digest(part),
                }
            )
        return {
            **entry,
            "configuration": {"hdu": self.hdu, **about, **self.changes},
            "sha256": digest(pixels),
            "head": self.head(),
            "windows": windows,
            "by": "astropy" if self.pixels is None else "standard",
        }


REMOVED = object()
DATA_COLUMNS = ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA")


def digest(pixels: Array) -> str:
    """The SHA-256 of an array as the index has it."""
    made = np.array(pixels, pixels.dtype.newbyteorder("<"), order="C")
    if made.dtype.kind == "f":
        made[np.isnan(made)] = np.nan
    return hashlib.sha256(made.tobytes()).hexdigest()


def gzipped(data: bytes) -> bytes:
    """A member of gzip that is the same whenever and wherever it is made."""
    deflate = zlib.compressobj(9, wbits=-15)
    body = deflate.compress(data) + deflate.flush()
    return (
        bytes.fromhex("1f8b08000000000002ff")
        + body
        + struct.pack("<II", zlib.crc32(data), len(data))
    )


def randoms() -> Array:
    """The list of appendix I."""
    seeds = [pow(16807, n, 2**31 - 1) for n in range(1, 10_001)]
    return np.array(seeds, "f8") / (2**31 - 1)


def dithered(integers: Array, scale: float, zero: float, row: int, seed: int) -> Array:
    """The floats of one tile under SUBTRACTIVE_DITHER_1, by 10.2.1."""
    numbers = randoms().astype("f4")
    made, j = np.empty(integers.size), (row + seed - 1) % 10_000
    m = int(numbers[j] * np.float32(500))
    for i, q in enumerate(integers.ravel().tolist()):
        made[i] = ((q - float(numbers[m])) + 0.5) * scale + zero
        m += 1
        if m == 10_000:
            j = (j + 1) % 10_000
            m = int(numbers[j] * np.float32(500))
    return made.reshape(integers.shape)


def image(dtype: str = "i2", shape: tuple[int, ...] = (1, 6, 20), **kwargs: Any) -> Array:
    return scene(shape, dtype, **kwargs)


def plain_vectors() -> Iterator[Vector]:
    for dtype in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
        about = f"plain, {np.dtype(dtype).name}, in the primary HDU"
        yield Vector(f"plain-{dtype}", about, plain(image(dtype)), 0, alone=False)
    yield Vector("plain-hdu", "an IMAGE extension", plain(image("f4"), primary=False))
    nan = image("f4", blanks=0.2, zeros=0.2, flat=(1, 1, 3))
    yield Vector("plain-nan", "NaN and -0.0 stay", plain(nan, primary=False))
    some = image()
    yield Vector(
        "plain-scaled-i2",
        "BSCALE and BZERO of 16 bits: in float32",
        scaled(some, bscale=0.1, bzero=3.7, primary=False),
    )
    yield Vector(
        "plain-scaled-i4",
        "BSCALE and BZERO of 32 bits: in float64",
        scaled(image("i4"), bscale=0.1, bzero=3.7, primary=False),
    )
    yield Vector(
        "plain-scaled-f4",
        "BSCALE and BZERO of floats: in float32",
        scaled(image("f4"), bscale=0.1, bzero=3.7, primary=False),
    )
    blank = int(some[0, 2, 3])
    yield Vector(
        "plain-blank-i2", "BLANK: float32 with NaN", scaled(some, blank=blank, primary=False)
    )
    zeros = some.copy()
    zeros[0, :, ::3] = 0
    yield Vector(
        "plain-blank-0",
        "BLANK = 0 is a blank too (astropy takes it for none)",
        scaled(zeros, blank=0, primary=False),
        pixels=np.where(zeros == 0, np.float32("nan"), zeros.astype("f4")),
    )
    yield Vector(
        "plain-unsigned-blank",
        "BLANK of unsigned integers is ignored",
        edited(plain(image("u2"), primary=False), 1, {"BLANK": 3}),
        pixels=image("u2"),
    )


def rice_vectors() -> Iterator[Vector]:
    for dtype in ("u1", "i2", "i4", "u2", "u4"):
        yield Vector(f"rice-{dtype}", f"RICE_1, {np.dtype(dtype).name}", compressed(image(dtype)))
    noise = np.random.default_rng(3).integers(-(2**31), 2**31, (1, 3, 40)).astype("i4")
    noise[0, 1] = 77
    noise[0, 2, ::7] >>= 16
    yield Vector(
        "rice-blocks", "blocks without code, of equal pixels, and all others", compressed(noise)
    )
    file = compressed(noise, tile=(1, 3, 40))
    yield Vector("rice-one-tile", "one tile of several rows; the blocks go on", file)
    squares = image("i4", (11, 17))
    yield Vector("tiles-ragged", "tiles of 4 x 5 in 11 x 17", compressed(squares, tile=(4, 5)))
    cube = image("i4", (5, 7, 9))
    yield Vector("tiles-3d", "tiles of 2 x 3 x 4 in 5 x 7 x 9", compressed(cube, tile=(2, 3, 4)))
    four = image("i2", (2, 3, 4, 5))
    yield Vector(
        "tiles-4d", "tiles of 1 x 2 x 3 x 5 in 2 x 3 x 4 x 5", compressed(four, tile=(1, 2, 3, 5))
    )
    yield Vector(
        "tiles-default",
        "without ZTILEn a tile is a row",
        edited(compressed(image()), 1, {f"ZTILE{i}": None for i in (1, 2, 3)}),
        pixels=image(),
    )
    yield Vector(
        "tiles-larger",
        "a ZTILEn beyond the image is taken for its axis",
        edited(compressed(image()), 1, {"ZTILE1": 500}),
        pixels=image(),
        like=compressed(image()),
    )


def float_vectors() -> Iterator[Vector]:
    data = image("f4", (1, 6, 60), blanks=0.1, zeros=0.1)
    for algorithm, method in (
        ("RICE_1", "NO_DITHER"), ("RICE_1", "SUBTRACTIVE_DITHER_1"),
        ("RICE_1", "SUBTRACTIVE_DITHER_2"), ("GZIP_1", "NO_DITHER"), ("GZIP_2", "NO_DITHER"),
    ):  # fmt: skip
        yield Vector(
            f"floats-{algorithm.lower()}-{method.lower().replace('subtractive_', '')}",
            f"quantised float32 under {algorithm}, {method}, NaN and zeros",
            compressed(data, algorithm=algorithm, method=method, seed=9_998),
        )
    whole = image("f4", (1, 6, 60))
    yield Vector(
        "floats-hcompress_1",
        "quantised float32 under HCOMPRESS_1, one tile",
        compressed(whole, algorithm="HCOMPRESS_1", tile=(1, 6, 60)),
    )
    yield Vector(
        "floats-f8-dither1",
        "quantised float64, dithered",
        compressed(data.astype("f8"), method="SUBTRACTIVE_DITHER_1", seed=4_321),
    )
    steps = np.arange(44_000, dtype="i4").reshape(2, -1) // 500
    packed = [gzipped(row.astype(">i4").tobytes()) for row in steps]
    dither = {"ZQUANTIZ": "SUBTRACTIVE_DITHER_1", "ZDITHER0": 9_999}
    yield Vector(
        "floats-long",
        "tiles of 22,000 pixels: the list of random numbers is begun again twice, for row 1 "
        "from its end (ZDITHER0 = 9999)",
        assembled(
            compressed(scene((2, 22_000)), algorithm="GZIP_1"),
            {"COMPRESSED_DATA": packed},
            {"ZSCALE": ("D", [0.5, 1.5]), "ZZERO": ("D", [-3.25, 0.0])},
            changes=dither,
        ),
    )
    yield Vector(
        "floats-fallback",
        "a tile that could not be quantised is in GZIP_COMPRESSED_DATA, as floats",
        compressed(image("f4", (4, 40), flat=(1, 40)), method="SUBTRACTIVE_DITHER_2"),
    )
    for algorithm, dtype in (("GZIP_1", "f4"), ("GZIP_2", "f8"), ("NOCOMPRESS", "f4")):
        yield Vector(
            f"floats-{algorithm.lower()}-lossless",
            f"{np.dtype(dtype).name} as it is under {algorithm}",
            compressed(image(dtype, blanks=0.1), algorithm=algorithm, method=frames.LOSSLESS),
        )
    quantised = compressed(image("f4"))
    yield Vector(
        "floats-scaled",
        "BSCALE and BZERO after dequantising, in float32",
        edited(quantised, 1, {"BSCALE": 0.1, "BZERO": 3.7}),
    )
    integers = image("i4", (3, 50), seed=5) >> 8
    tiles = {"COMPRESSED_DATA": [gzipped(row.astype(">i4").tobytes()) for row in integers]}
    keywords = {
        "ZSCALE": 0.25,
        "ZZERO": 1.5,
        "ZQUANTIZ": "SUBTRACTIVE_DITHER_1",
        "ZDITHER0": 10_000,
    }
    floats = compressed(image("f4", (3, 50)), algorithm="GZIP_1")
    yield Vector(
        "floats-keywords",
        "ZSCALE and ZZERO as keywords (10.1.3); astropy gives the integers",
        assembled(floats, tiles, changes={**keywords, "ZBLANK": None}),
        pixels=np.stack(
            [dithered(row, 0.25, 1.5, r, 10_000) for r, row in enumerate(integers)]
        ).astype("f4"),
    )
    cells = {"ZSCALE": ("E", [0.1, 2, 3]), "ZZERO": ("I", [5, -6, 7])}
    blank = integers[1, 7]
    yield Vector(
        "floats-columns",
        "ZSCALE of 32 bits and ZZERO of integers go before keywords; a column ZBLANK",
        assembled(
            floats,
            tiles,
            {**cells, "ZBLANK": ("J", [0, blank, 0])},
            changes={**keywords, "ZQUANTIZ": "NO_DITHER", "ZDITHER0": None, "ZBLANK": 1},
        ),
        pixels=np.stack(
            [
                np.where(row == b, np.nan, row * float(np.float32(s)) + z).astype("f4")
                for row, s, z, b in zip(
                    integers, (0.1, 2, 3), (5, -6, 7), (0, blank, 0), strict=True
                )
            ]
        ),
    )


def other_vectors() -> Iterator[Vector]:
    for algorithm, dtype in (
        ("GZIP_1", "i2"), ("GZIP_1", "i8"), ("GZIP_2", "i4"), ("GZIP_2", "u2"),
        ("NOCOMPRESS", "i2"), ("NOCOMPRESS", "u1"),
    ):  # fmt: skip
        about = f"{algorithm}, {np.dtype(dtype).name}"
        yield Vector(
            f"{algorithm.lower()}-{dtype}", about, compressed(image(dtype), algorithm=algorithm)
        )
    for dtype in ("u1", "i2", "i4"):
        file = compressed(frames.masks((6, 90), dtype, 4), algorithm="PLIO_1")
        yield Vector(f"plio-{dtype}", f"PLIO_1, {np.dtype(dtype).name}", file)
    stored = frames.masks((4, 60), "i2", 8)
    shifted = compressed(stored.astype("i4") + 32_768, algorithm="PLIO_1")
    yield Vector(
        "plio-u2",
        "PLIO_1 of uint16, as cfitsio writes it: 32768 was added to the stored integers",
        edited(shifted, 1, {"ZBITPIX": 16, "BZERO": 32_768}),
        pixels=stored.astype("u2") + np.uint16(32_768),
    )
    words = bytes.fromhex("0000 0000 000d 1005 0002 4003 5004 0002 6001 7007 2003 3001 4fff")
    value = 2 * 4096 + 5
    expected = [value] * 3 + [0, 0, 0, value] + [0, 0] + [value + 1, value - 6] + [value - 4] * 9
    beyond = bytes.fromhex("0000 0000 0004 5fff")
    mask = compressed(np.ones((2, 20), "i4"), algorithm="PLIO_1")
    yield Vector(
        "plio-words",
        "each instruction of PLIO_1; the last run of each tile is longer than the tile",
        assembled(mask, {"COMPRESSED_DATA": [words, beyond]}, element="I"),
        pixels=np.array([expected, [0] * 20], "i4"),
    )
    ints = image("i4", (13, 22)) >> 12
    for scale, smooth in ((0, 0), (3, 0), (3, 1)):
        yield Vector(
            f"hcompress-{scale}{'-smooth' if smooth else ''}",
            f"HCOMPRESS_1 of 13 x 22, scale {scale}" + (", SMOOTH = 1" if smooth else ""),
            compressed(
                ints, algorithm="HCOMPRESS_1", tile=(13, 22), hcomp_scale=scale,
                hcomp_smooth=smooth,
            ),
        )  # fmt: skip
    yield Vector(
        "hcompress-tiles",
        "HCOMPRESS_1 in tiles of 1 x 7 x 9",
        compressed(image("i2", (2, 14, 18)), algorithm="HCOMPRESS_1", tile=(1, 7, 9)),
    )


def table_vectors() -> Iterator[Vector]:
    data = image("i2", (4, 30))
    big = [row.astype(">i2").tobytes() for row in data]
    zipped = [gzipped(row) for row in big]
    base = compressed(data, algorithm="GZIP_1")
    yield Vector(
        "columns-three",
        "each tile in another column; of two that are not empty the first counts",
        assembled(
            base,
            {
                "COMPRESSED_DATA": [zipped[0], b"", b"", zipped[3]],
                "GZIP_COMPRESSED_DATA": [b"", zipped[1], b"", zipped[0]],
                "UNCOMPRESSED_DATA": [big[3], big[3], big[2], b""],
            },
        ),
        pixels=data,
    )
    yield Vector(
        "descriptors-64", "1Q descriptors, and THEAP with a gap of 40 bytes",
        assembled(base, {"COMPRESSED_DATA": zipped}, descriptor="Q", gap=40), pixels=data,
    )  # fmt: skip
    old = frames.table(assembled(base, {"COMPRESSED_DATA": zipped}))
    rows = old.rows[::-1].copy()
    rows[1] = rows[0]
    yield Vector(
        "descriptors-shared",
        "tiles in descending order, two of which share their bytes",
        frames.with_table(assembled(base, {"COMPRESSED_DATA": zipped}), rows, old.heap),
        pixels=data[[3, 3, 1, 0]],
    )
    wide = [gzipped(row.astype(">i4").tobytes()) for row in data]
    yield Vector(
        "gzip-wide", "integers of 4 bytes in an image of 16 bits",
        assembled(base, {"COMPRESSED_DATA": wide}), pixels=data,
    )  # fmt: skip
    blank = int(data[1, 4])
    yield Vector(
        "blank-keyword", "ZBLANK of integers: float32 with NaN",
        edited(base, 1, {"ZBLANK": blank}),
        pixels=np.where(data == blank, np.float32("nan"), data.astype("f4")),
    )  # fmt: skip
    column = [int(row[0]) for row in data]
    other = np.where(data == np.array(column)[:, None], np.float32("nan"), data.astype("f4"))
    yield Vector(
        "blank-column", "a column ZBLANK of integers, and a keyword",
        assembled(
            base, {"COMPRESSED_DATA": zipped}, {"ZBLANK": ("J", column)}, changes={"ZBLANK": blank}
        ),
        pixels=np.where(data == blank, np.float32("nan"), other),
    )  # fmt: skip


def place_vectors() -> Iterator[Vector]:
    data = image()
    before = [frames.fits.ImageHDU(np.zeros((3, 4), "i2"), name="OTHER")]
    file = compressed(data, name="Science", before=before)
    yield Vector("by-index", "the third HDU of a file", file, 2, alone=False)
    yield Vector(
        "by-name", "by EXTNAME, in other letters and with blanks", file, 2, alone=False,
        changes={"hdu": " sCIENCE "},
    )  # fmt: skip
    named = edited(file, 2, {"EXTNAME": "COMPRESSED_IMAGE", "CRVAL1": Raw("0")})
    two = named.replace(b"CRVAL1  = 0".ljust(80), b"EXTNAME = 'SCIENCE '".ljust(80))
    yield Vector(
        "by-second-name", "the name COMPRESSED_IMAGE gives way to another EXTNAME", two, 2,
        alone=False, like=named, pixels=data, changes={"hdu": "SCIENCE"},
    )  # fmt: skip
    yield Vector(
        "without-padding", "without padding at the end of the data", compressed(data),
        short=(-len(frames.table(compressed(data)).heap) - 48) % 2880,
    )  # fmt: skip
    yield Vector("with-more", "with bytes behind its end", compressed(data), after=b"\0more")
    changes = {"ZBITPIX": Raw("16."), "ZNAXIS1": Raw("2.0D1 / columns"), "ZTILE1": Raw("+20")}
    yield Vector(
        "numbers", "Z keywords written as reals, with sign and comment",
        edited(compressed(data), 1, changes), like=compressed(data), pixels=data,
    )  # fmt: skip
    spelled = edited(compressed(data), 1, {"ZCMPTYPE": "RICE_ONE"})
    spelled = spelled.replace(b"ZCMPTYPE=", b"zcmptype=")
    twice = edited(spelled, 1, {"EXTRA": Raw("0")}).replace(
        b"EXTRA   = 0".ljust(80), b"ZNAXIS1 =                 20.0".ljust(80)
    )
    yield Vector(
        "cards", "RICE_ONE, a keyword in lower case, and another twice with the same value",
        twice, like=compressed(data), pixels=data,
    )  # fmt: skip


def error_vectors() -> Iterator[Vector]:
    data = image()
    file = compressed(data)

    def corrupt(name: str, about: str, file: bytes = file, **kwargs: Any) -> Vector:
        return Vector(f"corrupt-{name}", about, file, error="corrupt", **kwargs)

    def unsupported(name: str, about: str, file: bytes, **kwargs: Any) -> Vector:
        return Vector(f"unsupported-{name}", about, file, error="unsupported", **kwargs)

    def tiles_of(*tiles: bytes) -> bytes:
        return assembled(zipped, {"COMPRESSED_DATA": [*tiles]})

    length, heap = len(hdu_of(file)), len(frames.table(file).heap)
    yield corrupt("empty", "no bytes", short=length)
    other = b"\x89HDF" + hdu_of(file)[4:]
    other = file[: frames.span(file).start] + other
    yield corrupt("not-fits", "another format", other, like=file, short=length - 900)
    yield corrupt("header-cut", "the header is cut short", short=length - 1_000)
    yield corrupt("table-cut", "the table is cut short", short=length - 2_880 - 20)
    yield corrupt("heap-cut", "the last tile is cut short", short=length - 2_880 - 48 - heap + 1)
    yield corrupt("shape", "another shape than configured", changes={"shape": [6, 20]})
    yield corrupt("dtype", "another type than configured", changes={"dtype": "<i4"})
    yield corrupt("no-hdu", "no HDU of that index", alone=False, changes={"hdu": 5})
    yield corrupt("no-name", "no HDU of that name", alone=False, changes={"hdu": "NOTHING"})
    less = edited(file, 1, {"PCOUNT": heap - 1})
    yield corrupt("outside", "a descriptor out of the heap", less, like=file)
    short = frames.with_tile(file, 2, frames.table(file).tile(2)[:-9])
    yield corrupt("rice", "a Rice stream that ends early", short)
    zipped = compressed(data, algorithm="GZIP_1")
    tiles = [frames.table(zipped).tile(i) for i in range(6)]
    yield corrupt("gzip", "bytes after a member of gzip", tiles_of(tiles[0] + b"more", *tiles[1:]))
    broken = bytearray(tiles[0])
    broken[len(broken) // 2] ^= 255
    yield corrupt("deflate", "a broken member of gzip", tiles_of(bytes(broken), *tiles[1:]))
    many = gzipped(bytes(42))
    yield corrupt("too-many", "more pixels than the tile has", tiles_of(many, *tiles[1:]))
    wide = gzipped(np.full(20, 40_000, ">i4").tobytes())
    yield corrupt("range", "an integer that ZBITPIX has no room for", tiles_of(wide, *tiles[1:]))
    yield corrupt("no-tile", "a tile that is empty in every column", tiles_of(b"", *tiles[1:]))
    twice = edited(file, 1, {"EXTRA": Raw("0")}).replace(
        b"EXTRA   = 0".ljust(80), b"ZTILE1  =                   10".ljust(80)
    )
    yield corrupt("two-values", "a keyword twice, with different values", twice, like=file)
    rows = edited(file, 1, {"ZTILE1": 7})
    yield corrupt("rows", "NAXIS2 is not the number of tiles", rows, like=file)
    floats = compressed(image("f4"), method="SUBTRACTIVE_DITHER_1")
    asked = {"dtype": "<f4"}
    no_seed, seed = (edited(floats, 1, {"ZDITHER0": n}) for n in (None, 10_001))
    yield corrupt("no-seed", "dithered without ZDITHER0", no_seed, changes=asked)
    yield corrupt("seed", "ZDITHER0 beyond 10000", seed, changes=asked)
    one = compressed(data, algorithm="HCOMPRESS_1", tile=(1, 6, 20))
    extent = bytes.fromhex("dd99 00000005 00000014 00000000") + bytes(20)
    about = "HCOMPRESS_1 of another extent than its tile"
    yield corrupt("hcompress", about, frames.with_tile(one, 0, extent))
    mask = compressed(np.ones((1, 6, 20), "i2"), algorithm="PLIO_1")
    words = [bytes.fromhex("0000 0000 0009 4003")] * 6
    about = "a list of PLIO_1 that is longer than its tile's bytes"
    yield corrupt("plio", about, assembled(mask, {"COMPRESSED_DATA": words}, element="I"))

    name = edited(file, 1, {"ZCMPTYPE": "ZSTD_1"})
    yield unsupported("algorithm", "an unknown ZCMPTYPE", name, like=file)
    name = edited(floats, 1, {"ZQUANTIZ": "OTHER"})
    yield unsupported("dither", "an unknown ZQUANTIZ", name, like=floats, changes=asked)
    yield unsupported("bytepix", "BYTEPIX = 8", edited(file, 1, {"ZVAL2": 8}), like=file)
    bits = edited(file, 1, {"ZBITPIX": -32})
    yield unsupported("bits", "floats in RICE_1 without ZSCALE", bits, like=file, changes=asked)
    yield unsupported("table", "a binary table", edited(file, 1, {"ZIMAGE": None}), like=file)
    empty = frames.written(frames.fits.PrimaryHDU())
    yield unsupported("nothing", "an image without pixels", empty, hdu=0, alone=False)
    fives = np.full((1, 6, 20), 5, "f4")
    fives = edited(compressed(fives, algorithm="GZIP_1", method=frames.LOSSLESS), 1, {"BLANK": 5})
    about = "BLANK beside floats that are not quantised and equal it"
    yield unsupported("blank", about, fives, changes=asked)

    def configuration(name: str, about: str, **changes: Any) -> Vector:
        return Vector(f"configuration-{name}", about, file, changes=changes, error="configuration")

    yield configuration("key", "an unknown key", level=3)
    yield configuration("no-hdu", "without hdu", hdu=REMOVED)
    yield configuration("no-shape", "without shape", shape=REMOVED)
    yield configuration("big-endian", "big-endian dtype", dtype=">i2")
    yield configuration("dtype", "Zarr v3's name of a type", dtype="int16")
    yield configuration("negative", "an HDU below 0", hdu=-1)
    yield configuration("true", "an HDU that is a boolean", hdu=True)
    yield configuration("name", "an empty name", hdu="")
    yield configuration("axis", "an axis of 0", shape=[0, 6, 20])
    yield configuration("axes", "no axes", shape=[])


MAKERS: tuple[Callable[[], Iterator[Vector]], ...] = (
    plain_vectors, rice_vectors, float_vectors, other_vectors, table_vectors, place_vectors,
    error_vectors,
)  # fmt: skip


def make(directory: Path) -> None:
    """Write the index and the chunks."""
    entries = []
    # astropy's would have the time in them.
    with mock.patch("astropy.io.fits.hdu.compressed._codecs.gzip_compress", gzipped):
        vectors = list(itertools.chain.from_iterable(maker() for maker in MAKERS))
    for vector in vectors:
        entries.append(entry := vector.entry())
        if "chunk" in entry:
            (directory / entry["chunk"]).write_bytes(gzipped(vector.chunk))
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    text = f'{{"version": 1, "codec": "fits_image", "vectors": [\n{lines}\n]}}\n'
    (directory / "index.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS
    for old in where.glob("*.gz"):
        old.unlink()
    make(where)
    total = sum(path.stat().st_size for path in where.glob("*.gz"))
    print(f"{len(list(where.glob('*.gz')))} chunks, {total} bytes, zlib {zlib.ZLIB_VERSION}")
    print(f"index: {math.ceil((where / 'index.json').stat().st_size / 1000)} kB")
