"""Make the fuzzer's corpus: small right frames, every algorithm and form that is decoded here.

    PYTHONPATH=tests/support python fuzz/make_corpus.py

The files are kept in the repository, so that a seed means the same frames everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import frames
import numpy as np
from frames import LOSSLESS, compressed, edited, plain, scaled, scene

CORPUS = Path(__file__).parent / "corpus"


def mask(shape: tuple[int, ...]) -> Any:
    """Pixels that PLIO_1 is for: few values, changing rarely."""
    data = np.zeros(shape, "i2")
    data[1:3, 4:20] = 5
    data[4:, 10:] = 300
    return data


def stored(data: Any, column: str = "COMPRESSED_DATA", descriptor: str = "P") -> bytes:
    """An image whose tiles are the bytes of their pixels."""
    file = compressed(data, algorithm="GZIP_1", method=LOSSLESS)
    tiles = [row.astype(data.dtype.newbyteorder(">")).tobytes() for row in data]
    columns = {"COMPRESSED_DATA": [b""] * len(tiles), column: tiles}
    changes = {"ZCMPTYPE": "NOCOMPRESS"} if column == "COMPRESSED_DATA" else {}
    return frames.assembled(file, columns, descriptor=descriptor, gap=16, changes=changes)


def with_cells(file: bytes, cells: dict[str, tuple[str, Any]], **changes: Any) -> bytes:
    """A one-column file with more columns and keywords."""
    table = frames.table(file)
    tiles = [table.tile(i) for i in range(len(table.rows))]
    return frames.assembled(
        file, {"COMPRESSED_DATA": tiles}, cells, descriptor="Q", changes=changes
    )


def frames_by_name() -> dict[str, bytes]:
    """The corpus."""
    some = {"blanks": 0.05, "zeros": 0.05}
    first, second = "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"
    integers = scene((6, 40), "i2")
    return {
        "plain-f4": plain(scene((5, 40))),
        "plain-i2-scaled": scaled(integers, bscale=0.5, bzero=10.0, blank=7),
        "plain-u2-extension": plain(scene((5, 40), "u2"), primary=False, name="SCI"),
        "rice-f4": compressed(scene((1, 6, 40), flat=(1, 1, 40), **some)),
        "rice-f4-dither1": compressed(scene((8, 30), **some), tile=(3, 11), method=first),
        "rice-f8-dither2": compressed(scene((6, 40), "f8", **some), tile=(2, 40), method=second),
        "rice-u1": compressed(scene((6, 40), "u1")),
        "rice-u2": compressed(scene((6, 40), "u2"), tile=(4, 9)),
        "rice-i4": compressed(scene((3, 4, 20), "i4"), tile=(2, 3, 7)),
        "rice-i2-blank": edited(compressed(integers), 1, {"ZBLANK": int(integers[0, 0])}),
        "gzip1-f4": compressed(scene((6, 30), **some), algorithm="GZIP_1", method=first),
        "gzip1-i8": compressed(scene((3, 30), "i8"), algorithm="GZIP_1", tile=(2, 30)),
        "gzip2-f8": compressed(scene((3, 30), "f8"), algorithm="GZIP_2", method=LOSSLESS),
        "gzip2-f4": compressed(scene((6, 30)), algorithm="GZIP_2", tile=(2, 20)),
        "gzip2-i4": compressed(scene((6, 30), "i4"), algorithm="GZIP_2"),
        "hcompress-i2": compressed(integers, algorithm="HCOMPRESS_1", tile=(6, 20)),
        "hcompress-f4": compressed(
            scene((8, 20), **some), algorithm="HCOMPRESS_1", tile=(8, 20), method=second
        ),
        "hcompress-smooth": edited(
            compressed(scene((9, 17), "i4"), algorithm="HCOMPRESS_1", tile=(9, 17)),
            1,
            {"ZVAL2": 1},
        ),
        "plio-i2": compressed(mask((6, 40)), algorithm="PLIO_1", tile=(2, 40)),
        "plio-u1": compressed(mask((6, 40)).clip(0, 9).astype("u1"), algorithm="PLIO_1"),
        "zblank-column": with_cells(
            compressed(integers), {"ZBLANK": ("J", integers[:, 0])}, BSCALE=2.0
        ),
        "scale-keywords": with_cells(
            compressed(integers.astype("i4")), {}, ZBITPIX=-32, ZSCALE=0.25, ZZERO=3.0, ZBLANK=5
        ),
        "scale-columns": with_cells(
            compressed(integers.astype("i4"), algorithm="GZIP_1"),
            {"ZSCALE": ("E", 0.5), "ZZERO": ("D", 1.0), "ZBLANK": ("K", integers[:, 3])},
            ZBITPIX=-64,
            ZQUANTIZ=first,
            ZDITHER0=9999,
        ),
        "uncompressed-i2": stored(integers, "UNCOMPRESSED_DATA", "Q"),
        "stored-i4": stored(scene((4, 20), "i4")),
        "stored-f4": stored(scene((4, 20), "f4")),
    }


if __name__ == "__main__":
    CORPUS.mkdir(exist_ok=True)
    for name, file in frames_by_name().items():
        (CORPUS / f"{name}.fits").write_bytes(file)
        print(f"{name}: {len(file)} bytes")
