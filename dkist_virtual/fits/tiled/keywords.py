"""Parse the keywords of a tile-compressed image (FITS standard 4.0, 10.1 and 10.2)."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from dkist_virtual.fits.layout import (
    Column,
    CompressedImage,
    axis_lengths,
    bitpix_of,
    check_counts,
    check_size,
)

if TYPE_CHECKING:
    from dkist_virtual.fits.header import Header

__all__ = ["compressed_layout"]

_FORM = re.compile(r"(\d{0,9})([LXBIJKAEDCMPQ])(?:([LXBIJKAEDCM])(?:\(\d*\))?)?")

_DITHER: Final = {"NO_DITHER": 0, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}

_CELL_DTYPES: Final = {
    "B": ("u1", 1), "I": ("i2", 2), "J": ("i4", 4), "K": ("i8", 8), "E": ("f4", 4), "D": ("f8", 8),
    "L": ("u1", 1), "A": ("S1", 1), "C": ("c8", 8), "M": ("c16", 16),
    "P": ("i4", 8), "Q": ("i8", 16),
}  # fmt: skip
"""TFORM letters (7.3.1, table 18): numpy type code, bytes a cell or an element."""

# Two numbers a cell, made here and once: numpy reads a type such as "(2,)i4" with Python's own
# parser, which in 3.11 fails now and then when several threads are at it.
_DESCRIPTORS: Final = {
    letter: np.dtype((f">{code}", 2)) for letter, code in (("P", "i4"), ("Q", "i8"))
}

_NEEDED_COLUMNS: Final = frozenset(
    {"COMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK"}
)


def compressed_layout(header: Header, offset: int) -> CompressedImage:
    """Describe a tile-compressed image by its header.

    Parameters
    ----------
    header : Header
        Of a binary table with ZIMAGE.
    offset : int
        Bytes from the beginning of the HDU to the table.

    Raises
    ------
    FrameCorruptError
        Keywords are missing, out of range, or contradict each other.
    FrameUnsupportedError
        They ask for something unknown.
    """
    shape = axis_lengths(header, "Z")
    check_size(header, "ZNAXIS", shape)
    bitpix = bitpix_of(header, "ZBITPIX")
    n_axes = len(shape)
    # By default a tile is a row (10.1.2).
    tile = tuple(
        header.whole_or(f"ZTILE{i}", shape[-1] if i == 1 else 1) for i in range(n_axes, 0, -1)
    )
    for i, length in zip(range(n_axes, 0, -1), tile, strict=True):
        if length < 1:
            raise header.corrupt(f"ZTILE{i} = {length}: expected 1 or more")
    # A tile cannot be larger than the image; some writers say so all the same.
    tile = tuple(min(t, n) for t, n in zip(tile, shape, strict=True))
    for keyword, wanted in (("BITPIX", 8), ("NAXIS", 2)):
        if header.integer(keyword) != wanted:
            raise header.corrupt(
                f"{keyword} = {header.integer(keyword)}: expected {wanted}, "
                "since this is a binary table (7.3.1)"
            )
    check_counts(header)
    row_bytes, n_tiles = header.integer("NAXIS1"), header.integer("NAXIS2")
    expected = math.prod(-(-n // t) for n, t in zip(shape, tile, strict=True))
    if n_tiles != expected:
        raise header.corrupt(
            f"NAXIS2 = {n_tiles}: expected {expected}, one row per tile of {tile} in {shape}"
        )
    columns = _columns(header, row_bytes)
    quantised, scale, zero = _quantisation(header, bitpix, columns)
    dither, seed = _dithering(header, quantised)
    table_bytes, pcount = row_bytes * n_tiles, header.integer("PCOUNT")
    gap = header.integer_or("THEAP", table_bytes) - table_bytes
    if not 0 <= gap <= pcount:
        raise header.corrupt(
            f"THEAP = {gap + table_bytes}: expected {table_bytes} to "
            f"{table_bytes + pcount}, inside the data after the table"
        )
    return CompressedImage(
        shape=shape,
        tile_shape=tile,
        bitpix=bitpix,
        bscale=header.real("BSCALE", 1.0),
        bzero=header.real("BZERO", 0.0),
        blank=_blank(header, bitpix),
        algorithm=_algorithm(header),
        parameters=_parameters(header),
        quantised=quantised,
        dither=dither,
        dither_seed=seed,
        scale=scale,
        zero=zero,
        columns=columns,
        n_tiles=n_tiles,
        row_bytes=row_bytes,
        table_offset=offset,
        heap_offset=offset + table_bytes + gap,
        heap_bytes=pcount - gap,
    )


def _blank(header: Header, bitpix: int) -> int | None:
    """Return the undefined integer, where no column has it: ZBLANK, or else BLANK, as in astropy.

    Integers keep their BLANK where they are compressed, so that the two must be the same there.
    """
    if bitpix < 0:
        return header.whole_or("ZBLANK", header.whole_or("BLANK", None))
    blank = header.integer_or("BLANK", None)
    zblank = header.integer_or("ZBLANK", blank)
    if blank not in (None, zblank):
        raise header.unsupported(
            f"BLANK = {blank} beside ZBLANK = {zblank}: expected the same, since "
            "readers differ on which of them counts"
        )
    return zblank


def _algorithm(header: Header) -> str:
    algorithm = header.string("ZCMPTYPE")
    if algorithm is None:
        raise header.corrupt("ZCMPTYPE is missing: expected RICE_1 or such")
    return {"RICE_ONE": "RICE_1"}.get(algorithm, algorithm)


def _parameters(header: Header) -> dict[str, float]:
    """Return ZNAMEi and ZVALi (10.1.2), as numbers."""
    parameters: dict[str, float] = {}
    for i in range(1, 1000):
        name = header.string(f"ZNAME{i}")
        if name is None:
            break
        value = header.real(f"ZVAL{i}", None)
        if value is None:
            raise header.corrupt(f"ZVAL{i} is missing: ZNAME{i} is {name!r}")
        if parameters.setdefault(name.upper(), value) != value:
            raise header.corrupt(
                f"ZNAME{i} = {name!r} with {value:g}, and "
                f"{parameters[name.upper()]:g} before: expected one value"
            )
    return parameters


def _columns(header: Header, row_bytes: int) -> dict[str, Column]:
    """Return the columns that decoding needs, by name, upper case."""
    columns: dict[str, Column] = {}
    offset = 0
    for i in range(1, header.integer("TFIELDS") + 1):
        form = (header.string(f"TFORM{i}") or "").strip()
        match = _FORM.fullmatch(form)
        if match is None:
            raise header.corrupt(f"TFORM{i} = {form!r}: expected a binary table format (7.3.1)")
        repeat, letter, element = int(match[1] or 1), match[2], match[3]
        code, width = _CELL_DTYPES.get(letter, ("", 0))
        name = (header.string(f"TTYPE{i}") or "").strip().upper()
        if name in _NEEDED_COLUMNS:
            is_data = name.endswith("DATA")
            letters = "PQ" if is_data else "BIJK" if name == "ZBLANK" else "BIJKED"
            if repeat != 1 or letter not in letters:
                raise header.unsupported(
                    f"TFORM{i} = {form!r} for column {name}: expected "
                    + ("one descriptor, 1P or 1Q" if is_data else "one number")
                )
            for keyword in (f"TSCAL{i}", f"TZERO{i}"):
                if keyword in header and header.real(keyword, 0.0) != (keyword[1] == "S"):
                    raise header.unsupported(
                        f"{keyword} for column {name}: scaled columns are not supported"
                    )
            if name in columns:
                raise header.corrupt(f"TTYPE{i} = {name!r}: expected one column of that name")
            element_bytes = _CELL_DTYPES[element or "B"][1] if is_data else 0
            dtype = _DESCRIPTORS[letter] if is_data else np.dtype(f">{code}")
            columns[name] = Column(offset, dtype, element_bytes)
        offset += -(-repeat // 8) if letter == "X" else repeat * width
    if offset != row_bytes:
        raise header.corrupt(f"NAXIS1 = {row_bytes}: expected {offset}, the sum of the columns")
    if "COMPRESSED_DATA" not in columns:
        raise header.corrupt("TTYPEn: expected a column COMPRESSED_DATA")
    return columns


def _quantisation(
    header: Header, bitpix: int, columns: dict[str, Column]
) -> tuple[bool, float | None, float | None]:
    """Find out whether floats were quantised; ZSCALE and ZZERO where they are keywords (10.2.1)."""
    scale, zero = header.real("ZSCALE", None), header.real("ZZERO", None)
    has_scale = "ZSCALE" in columns or scale is not None
    has_zero = "ZZERO" in columns or zero is not None
    if has_scale != has_zero:
        raise header.corrupt(
            f"{'ZSCALE' if has_scale else 'ZZERO'} is there without "
            f"{'ZZERO' if has_scale else 'ZSCALE'}: expected both or neither"
        )
    if has_scale and bitpix > 0:
        raise header.unsupported(
            f"ZBITPIX = {bitpix} with ZSCALE: quantised integers are not known"
        )
    by_keyword = "ZSCALE" not in columns or "ZZERO" not in columns
    if has_scale and by_keyword and header.string("ZCMPTYPE") == "NOCOMPRESS":
        raise header.unsupported(
            "ZCMPTYPE = 'NOCOMPRESS' with ZSCALE and ZZERO as keywords: "
            "expected them as columns, since readers differ on whether these are quantised"
        )
    # A column goes before a keyword of the same name (10.1.3).
    return has_scale, None if "ZSCALE" in columns else scale, None if "ZZERO" in columns else zero


def _dithering(header: Header, quantised: bool) -> tuple[int, int]:
    """Return the dither method, 0 for none, and its seed ZDITHER0 (10.2.1)."""
    method = header.string("ZQUANTIZ", "NO_DITHER") or "NO_DITHER"
    if not quantised:
        return 0, 0
    if method not in _DITHER:
        raise header.unsupported(
            f"ZQUANTIZ = {method!r} beside ZSCALE: expected one of " + ", ".join(_DITHER)
        )
    if _DITHER[method] == 0:
        return 0, 0
    seed = header.whole_or("ZDITHER0", None)
    if seed is None or not 1 <= seed <= 10_000:
        # Without it the noise that was added cannot be taken away again. Decoders that go on
        # all the same read past the end of their table of random numbers.
        raise header.corrupt(f"ZDITHER0 = {seed}: expected 1 to 10000, since ZQUANTIZ = {method!r}")
    return _DITHER[method], seed
