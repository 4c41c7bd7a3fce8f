"""FITS bytes for the tests of the decoder: made with astropy, read with astropy, broken by hand.

Builders return whole files as bytes. `hdu_of` cuts the other form out of one: the bytes of one
HDU, as a store refers to a scanned frame. `edited`, `with_tile` and `with_table` change what
astropy would not write.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

BLOCK, CARD = 2880, 80

Array = NDArray[Any]
Cards = Iterable[tuple[str, Any]]

#: How astropy is told not to quantise floats; its quantize_method by name otherwise.
LOSSLESS = "LOSSLESS"
METHODS = {"NO_DITHER": -1, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}


# Builders -------------------------------------------------------------------------------------


def compressed(
    data: Array,
    *,
    algorithm: str = "RICE_1",
    tile: tuple[int, ...] | None = None,
    method: str = "NO_DITHER",
    level: float = 16.0,
    seed: int = 100,
    name: str = "OBSERVATION",
    cards: Cards = (),
    before: Iterable[fits.hdu.base.ExtensionHDU] = (),
    **more: Any,
) -> bytes:
    """A file with an empty primary and a tile-compressed image, as the DKIST pipeline writes.

    Parameters
    ----------
    data : ndarray
        Any type that FITS has. NaN is allowed in floats.
    algorithm : str
        ZCMPTYPE.
    tile : tuple of int, optional
        In array order; rows by default.
    method : str
        Of `METHODS`, or `LOSSLESS` for floats stored as they are (GZIP only).
    level : float
        astropy's quantize_level.
    seed : int
        ZDITHER0.
    name : str
        EXTNAME.
    cards : iterable of (keyword, value)
        More of the image's header.
    before : iterable of HDU
        Between the primary and the image.
    **more
        Of `CompImageHDU`: hcomp_scale, hcomp_smooth.
    """
    lossless = method == LOSSLESS
    hdu = fits.CompImageHDU(
        data,
        fits.Header(list(cards)),
        name=name,
        compression_type=algorithm,
        tile_shape=tile,
        quantize_level=0.0 if lossless else level,
        quantize_method=-1 if lossless else METHODS[method],
        dither_seed=seed,
        **more,
    )
    return written(fits.PrimaryHDU(), *before, hdu)


def plain(
    data: Array,
    *,
    primary: bool = True,
    name: str | None = None,
    cards: Cards = (),
    before: Iterable[fits.hdu.base.ExtensionHDU] = (),
) -> bytes:
    """A file with an uncompressed image, in the primary HDU or in an extension."""
    header = fits.Header(list(cards))
    if primary:
        return written(fits.PrimaryHDU(data, header))
    return written(fits.PrimaryHDU(), *before, fits.ImageHDU(data, header, name=name))


def scaled(
    raw: Array, *, bscale: Any = None, bzero: Any = None, blank: int | None = None, **kwargs: Any
) -> bytes:
    """A plain image whose stored pixels are `raw`, with scaling keywords beside them."""
    file = plain(raw, **kwargs)
    # astropy would apply the keywords to the pixels; they are added to what it wrote.
    given = {"BSCALE": bscale, "BZERO": bzero, "BLANK": blank}
    changes = {keyword: value for keyword, value in given.items() if value is not None}
    return edited(file, 0 if kwargs.get("primary", True) else 1, changes)


def written(*hdus: Any) -> bytes:
    """HDUs as a file."""
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer)
    return buffer.getvalue()


# The oracle, and where things are ------------------------------------------------------------


def oracle(file: bytes, hdu: int | str = 1) -> Array:
    """What astropy reads, native byte order."""
    with fits.open(io.BytesIO(file), memmap=False) as hdus:
        data = hdus[hdu].data
        return np.array(data, data.dtype.newbyteorder("="))


@dataclass(frozen=True)
class Span:
    """Where an HDU lies in a file: `start` to `data` is the header, `stop` is after the padding."""

    start: int
    data: int
    stop: int


def span(file: bytes, hdu: int | str = 1) -> Span:
    """Find an HDU with astropy."""
    with fits.open(io.BytesIO(file), disable_image_compression=True) as hdus:
        info = hdus[hdu].fileinfo()
    return Span(info["hdrLoc"], info["datLoc"], info["datLoc"] + info["datSpan"])


def hdu_of(file: bytes, hdu: int | str = 1) -> bytes:
    """The bytes of one extension, header and padding included: they begin with XTENSION."""
    where = span(file, hdu)
    return file[where.start : where.stop]


# Bytes that astropy would not write ------------------------------------------------------------


class Raw(str):
    """A card's value field exactly as it is to stand in the file."""

    __slots__ = ()


def card(keyword: str, value: Any) -> bytes:
    """One card of 80 bytes."""
    if isinstance(value, Raw):
        return f"{keyword:<8}= {value}".encode("latin-1").ljust(CARD)[:CARD]
    image = fits.Card(keyword, value).image
    assert len(image) == CARD
    return image.encode("ascii")


def edited(file: bytes, hdu: int | str, changes: Mapping[str, Any]) -> bytes:
    """The file with cards of one HDU replaced, added at the end, or (None) taken out.

    A value may be `Raw`. Nothing else is changed, whatever the new cards say of it.
    """
    where = span(file, hdu)
    header = edited_header(file[where.start : where.data], changes)
    return file[: where.start] + header + file[where.data :]


def edited_header(header: bytes, changes: Mapping[str, Any]) -> bytes:
    """A header with the same changes, padded."""
    cards = [header[i : i + CARD] for i in range(0, len(header), CARD)]
    del cards[cards.index(b"END".ljust(CARD)) :]
    for keyword, value in changes.items():
        new = [] if value is None else [card(keyword, value)]
        key = keyword.encode("ascii").ljust(8)
        at = next((i for i, old in enumerate(cards) if old[:8] == key), None)
        if at is None:
            cards += new
        else:
            cards[at : at + 1] = new
    made = b"".join([*cards, b"END".ljust(CARD)])
    return made + b" " * (-len(made) % BLOCK)


@dataclass(frozen=True)
class Table:
    """The table of a compressed image, read with astropy.

    Attributes
    ----------
    rows : structured ndarray
        One row per tile, as in the file, descriptors as two integers.
    heap : bytes
    widths : dict
        Bytes of one element of each variable column.
    """

    rows: Array
    heap: bytes
    widths: dict[str, int]

    def tile(self, number: int, column: str = "COMPRESSED_DATA") -> bytes:
        """The bytes of one tile."""
        length, offset = (int(n) for n in self.rows[column][number])
        return self.heap[offset : offset + length * self.widths[column]]


def table(file: bytes, hdu: int | str = 1) -> Table:
    """Take the table of a compressed image apart."""
    with fits.open(io.BytesIO(file), disable_image_compression=True) as hdus:
        table_hdu = hdus[hdu]
        header, dtype = table_hdu.header, table_hdu.columns.dtype.newbyteorder(">")
        forms = {column.name: column.format for column in table_hdu.columns}
    widths = {name: 2 if form[2:3] == "I" else 1 for name, form in forms.items()}
    start = span(file, hdu).data
    size = header["NAXIS1"] * header["NAXIS2"]
    rows = np.frombuffer(file[start : start + size], dtype)
    heap = start + header.get("THEAP", size)
    return Table(rows, file[heap : start + size + header["PCOUNT"]], widths)


def with_table(
    file: bytes, rows: Array, heap: bytes, hdu: int | str = 1, changes: Mapping[str, Any] = {}
) -> bytes:
    """The file with another table and heap, NAXIS1, NAXIS2 and PCOUNT saying so."""
    data = rows.tobytes() + heap
    sizes = {"NAXIS1": rows.dtype.itemsize, "NAXIS2": len(rows), "PCOUNT": len(heap)}
    where = span(file, hdu)
    header = edited_header(file[where.start : where.data], {**sizes, **changes})
    new = header + data + b"\0" * (-len(data) % BLOCK)
    return file[: where.start] + new + file[where.stop :]


def with_tile(file: bytes, number: int, data: bytes, column: str = "COMPRESSED_DATA") -> bytes:
    """The file with other bytes for one tile, which go to the end of the heap."""
    old = table(file)
    rows = old.rows.copy()
    rows[column][number] = len(data), len(old.heap)
    return with_table(file, rows, old.heap + data)


FORMS = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


def assembled(
    file: bytes,
    tiles: Mapping[str, list[bytes]],
    cells: Mapping[str, tuple[str, Any]] | None = None,
    *,
    descriptor: str = "P",
    element: str = "B",
    gap: int = 0,
    changes: Mapping[str, Any] = {},
) -> bytes:
    """The file with a table of other columns.

    Parameters
    ----------
    file : bytes
        Where the header comes from.
    tiles : mapping
        The bytes of every tile, by data column; empty where the tile stands in another one.
    cells : mapping, optional
        TFORM letter and one number per tile, by column.
    descriptor : str
        P or Q.
    element : str
        B for bytes, or I, which PLIO_1 is usually kept in.
    gap : int
        Bytes between table and heap.
    changes : mapping
        More cards.
    """
    cells = cells or {}
    pair = ">i4" if descriptor == "P" else ">i8"
    fields = [(name, pair, (2,)) for name in tiles]
    fields += [(name, FORMS[form]) for name, (form, _) in cells.items()]  # type: ignore[misc]
    n = len(next(iter(tiles.values())))
    rows, heap = np.zeros(n, np.dtype(fields)), bytearray()
    for name, column in tiles.items():
        for i, data in enumerate(column):
            if data:
                rows[name][i] = len(data) // (2 if element == "I" else 1), len(heap)
                heap += data
    for name, (_, numbers) in cells.items():
        rows[name] = numbers
    cards: dict[str, Any] = {f"T{k}{i}": None for k in ("TYPE", "FORM") for i in range(1, 9)}
    names = [(name, f"1{descriptor}{element}({max(map(len, c))})") for name, c in tiles.items()]
    names += [(name, f"1{form}") for name, (form, _) in cells.items()]
    for i, (name, form) in enumerate(names, 1):
        cards |= {f"TTYPE{i}": name, f"TFORM{i}": form}
    cards["TFIELDS"] = len(names)
    if gap:
        cards["THEAP"] = rows.nbytes + gap
    return with_table(file, rows, b"\xee" * gap + bytes(heap), changes={**cards, **changes})


# Pixels ---------------------------------------------------------------------------------------


def scene(
    shape: tuple[int, ...],
    dtype: Any = "f4",
    *,
    seed: int = 0,
    blanks: float = 0.0,
    zeros: float = 0.0,
    flat: tuple[int, ...] | None = None,
) -> Array:
    """Pixels that compress like a frame's: smooth, with noise.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype-like
        Integers use most of their range.
    seed : int
    blanks, zeros : float
        Which fraction of the pixels is NaN (floats only), and exactly 0.
    flat : tuple of int, optional
        The extent of a corner that is -0.0 everywhere, so that nothing can be quantised there
        and the tile goes to the lossless column.
    """
    random = np.random.default_rng(seed)
    wave = np.sin(np.linspace(0, 7, math.prod(shape))).reshape(shape)
    pixels = 100 * wave + random.normal(size=shape)
    dtype = np.dtype(dtype)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        centre = (int(info.max) + int(info.min)) / 2
        data = (centre + pixels / 110 * 0.9 * (info.max - centre)).astype(dtype)
    else:
        data = pixels.astype(dtype)
    data[random.random(shape) < zeros] = 0
    if dtype.kind == "f":
        data[random.random(shape) < blanks] = np.nan
        if flat is not None:
            data[tuple(slice(0, n) for n in flat)] = -0.0
    return data


def masks(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    """Pixels for PLIO_1: few values, changing rarely, none negative.

    Noise over a large range is nothing that can be asked of astropy: its encoder then writes
    past the end of its buffer.
    """
    rng = np.random.default_rng(seed)
    data = np.zeros(shape, dtype)
    flat = data.reshape(-1)
    top = {"i1": 100, "u1": 255, "i2": 32_000}.get(dtype, 10_000)
    for _ in range(min(6, flat.size)):
        start = rng.integers(flat.size)
        flat[start : start + rng.integers(1, 60)] = rng.integers(1, top)
    return data


# The comparison -------------------------------------------------------------------------------


def assert_identical(actual: Array, expected: Array) -> None:
    """Equal in type, shape and every bit, -0.0 included; NaN for NaN, whichever NaN it is."""
    assert actual.dtype == expected.dtype
    assert actual.dtype.isnative
    assert actual.shape == expected.shape
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected)
        return
    bits = f"u{expected.dtype.itemsize}"
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    ours = np.ascontiguousarray(actual).view(bits)[~nan]
    theirs = np.ascontiguousarray(expected).view(bits)[~nan]
    if not np.array_equal(ours, theirs):  # shown as numbers, which say more than bits
        different = ours != theirs
        where = np.argwhere(~nan)[different][0]
        raise AssertionError(
            f"{different.sum()} of {different.size} pixels differ, first at {where.tolist()}: "
            f"{actual[tuple(where)]!r} instead of {expected[tuple(where)]!r}"
        )
