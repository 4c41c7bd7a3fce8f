"""Rare forms of FITS on which readers differ: what cfitsio writes, and cards that contradict.

Each is read as astropy or cfitsio reads it, or refused with an error that names the keyword;
docs/reference/supported-fits.md says which.
"""

from __future__ import annotations

import gzip
import io
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import fitsio
import frames
import numpy as np
import pytest
from astropy.io import fits
from decoder_checks import by_fitsio, check_decoded
from frames import LOSSLESS, Array, Raw, assert_identical, compressed, edited, oracle, plain, scene

from dkist_virtual.errors import FrameCorruptError, FrameError, FrameUnsupportedError
from dkist_virtual.fits.checksum import check_datasum
from dkist_virtual.fits.codecs import FITSCodec
from dkist_virtual.fits.decode import decode_frame
from dkist_virtual.fits.hdu import find_hdu
from dkist_virtual.fits.header import CARD


def as_astropy(file: bytes, hdu: int = 1) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy warns of most of these
        return oracle(file, hdu)


def with_cards(file: bytes, hdu: int, keyword: str, values: Iterable[Any]) -> bytes:
    """The file with these cards at the end of a header instead of the keyword's own."""
    where = frames.span(file, hdu)
    cards = [file[i : i + CARD] for i in range(where.start, where.data, CARD)]
    cards = cards[: cards.index(b"END".ljust(CARD))]
    kept = [card for card in cards if card[:8].rstrip() != keyword.encode()]
    new = [frames.card(keyword, value) for value in values]
    header = b"".join([*kept, *new, b"END".ljust(CARD)])
    return file[: where.start] + header + b" " * (-len(header) % 2880) + file[where.data :]


def again(file: bytes, hdu: int, keyword: str, value: Any, *, first: bool) -> bytes:
    """The file with another card of a keyword, before the one that is there or after all cards."""
    where = frames.span(file, hdu)
    cards = [file[i : i + CARD] for i in range(where.start, where.data, CARD)]
    del cards[cards.index(b"END".ljust(CARD)) :]
    at = next(i for i, card in enumerate(cards) if card[:8].rstrip() == keyword.encode())
    cards.insert(at if first else len(cards), frames.card(keyword, value))
    header = b"".join([*cards, b"END".ljust(CARD)])
    return file[: where.start] + header + b" " * (-len(header) % 2880) + file[where.data :]


# What cfitsio writes ------------------------------------------------------------------------------


def by_cfitsio(data: Array, path: Path, algorithm: str, tile: tuple[int, ...] | None) -> bytes:
    with fitsio.FITS(str(path), "rw", clobber=True) as file:
        file.write(data, compress=algorithm, tile_dims=tile)
    return path.read_bytes()


def steps(shape: tuple[int, int], dtype: str, top: int) -> Array:
    """Few values up to `top`, in runs: the encoders of PLIO_1 have no room for noise."""
    runs = np.random.default_rng(5).integers(0, top + 1, (shape[0] // 4, shape[1] // 8))
    data = np.repeat(np.repeat(runs, 4, 0), 8, 1).astype(dtype)
    data[0, :8], data[-1, -8:] = 0, top
    return data


@pytest.mark.parametrize("tile", [None, (5, 16), (12, 160)])
@pytest.mark.parametrize(
    ("dtype", "top"),
    [
        *(("u2", top) for top in (6, 32_767, 32_768, 65_535)),
        *(("u1", 255), ("i1", 127), ("i2", 32_767), ("i4", 2**24 - 1)),
    ],
)
def test_plio_of_cfitsio(
    dtype: str, top: int, tile: tuple[int, int] | None, tmp_path: Path
) -> None:
    data = steps((12, 160), dtype, top)
    file = by_cfitsio(data, tmp_path / "a.fits", "PLIO", tile)
    assert_identical(by_fitsio(file, tmp_path), data)
    check_decoded(file, data)


def test_plio_has_no_blanks_in_unsigned_integers(tmp_path: Path) -> None:
    data = steps((12, 160), "u2", 6)
    file = by_cfitsio(data, tmp_path / "a.fits", "PLIO", None)
    for blank in (3, 3 - 32_768):
        check_decoded(edited(file, 1, {"BLANK": blank}), data)


@pytest.mark.parametrize("blank", [None, 4])
@pytest.mark.parametrize("bscale", [None, 2.0])
@pytest.mark.parametrize("bzero", [10, 32_767, -32_768, 32_768])
@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
def test_plio_of_other_offsets(
    dtype: str, bzero: int, bscale: float | None, blank: int | None
) -> None:
    # cfitsio adds the offset to an image of 16 bits and BZERO = 32768, whatever its BSCALE, and to
    # no other one.
    stored = steps((8, 160), dtype, 100)
    offset = 32_768 if (dtype, bzero) == ("i2", 32_768) else 0
    numbers = (stored + np.array(offset)).astype("i4")
    file = compressed(numbers if offset else stored, algorithm="PLIO_1")
    changes = {"BZERO": bzero, "ZBITPIX": 8 * stored.itemsize}
    changes |= {} if bscale is None else {"BSCALE": bscale}
    changes |= {} if blank is None else {"BLANK": blank}
    file = edited(file, 1, changes)
    if offset and bscale is None:
        check_decoded(file, stored.astype("u2") + np.uint16(bzero))
        return
    packed = frames.scaled(stored, bzero=bzero, bscale=bscale, blank=blank)
    check_decoded(file, as_astropy(packed, 0))


def test_plio_beyond_sixteen_bits_is_corrupt() -> None:
    file = compressed(np.full((2, 80), 65_536, "i4"), algorithm="PLIO_1")
    file = edited(file, 1, {"ZBITPIX": 16, "BZERO": 32_768})
    with pytest.raises(FrameCorruptError, match="tile 0: holds 32768 to 32768: expected ZBITPIX"):
        decode_frame(file, 1)


@pytest.mark.every(12)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("algorithm", ["RICE", "GZIP", "GZIP_2", "HCOMPRESS"])
def test_integers_of_cfitsio(algorithm: str, dtype: str, tmp_path: Path) -> None:
    info = np.iinfo(dtype)
    for top in (6, int(info.max)):
        for tile in (None, (4, 32)):
            data = steps((12, 160), dtype, top)
            if info.min < 0:
                data[4:8, 8:16] = info.min if top > 6 else -6
            file = by_cfitsio(data, tmp_path / "a.fits", algorithm, tile)
            assert_identical(by_fitsio(file, tmp_path), data)
            check_decoded(file, data)
            check_decoded(file, as_astropy(file))


# Cards that occur twice ---------------------------------------------------------------------------

INTEGERS = scene((6, 40), "i2")
PLAIN = frames.scaled(INTEGERS, bscale=2.0, bzero=10.0, blank=int(INTEGERS[1, 1]), primary=False)
PACKED = edited(
    compressed(INTEGERS, algorithm="RICE_1", tile=(2, 20)), 1, {"BSCALE": 2.0, "BZERO": 10.0}
)
BLANKED = edited(PACKED, 1, {"ZBLANK": int(INTEGERS[1, 1]), "BLANK": int(INTEGERS[1, 1])})
QUANTISED = compressed(
    scene((6, 40), blanks=0.1), tile=(2, 20), method="SUBTRACTIVE_DITHER_1", seed=7
)
HEAD = fits.open(io.BytesIO(QUANTISED), disable_image_compression=True)[1].header
THEAP = edited(QUANTISED, 1, {"THEAP": HEAD["NAXIS1"] * HEAD["NAXIS2"]})
BY_KEYWORD = edited(
    compressed(INTEGERS.astype("i4")), 1, {"ZBITPIX": -32, "ZSCALE": 2.0, "ZZERO": 1.0}
)

#: A file, a keyword of it, and another value.
TWICE: list[tuple[str, bytes, str, Any]] = [
    *(("plain", PLAIN, *case) for case in [
        ("BITPIX", 8), ("BITPIX", 32), ("NAXIS", 1), ("NAXIS1", 20), ("NAXIS2", 3),
        ("PCOUNT", 40), ("GCOUNT", 2), ("BSCALE", 1.0), ("BZERO", -128), ("BZERO", 32_768),
        ("BLANK", 3), ("BLANK", 0),
    ]),
    *(("integers", PACKED, *case) for case in [
        ("BITPIX", 16), ("NAXIS", 1), ("NAXIS1", 4), ("NAXIS2", 3), ("PCOUNT", 10), ("GCOUNT", 2),
        ("TFIELDS", 2), ("TTYPE1", "UNCOMPRESSED_DATA"), ("TFORM1", "1QB(9)"), ("ZIMAGE", False),
        ("ZBITPIX", 32), ("ZNAXIS", 1), ("ZNAXIS1", 20), ("ZNAXIS2", 3), ("ZTILE1", 40),
        ("ZTILE2", 1), ("ZCMPTYPE", "GZIP_1"), ("ZNAME1", "BYTEPIX"), ("ZVAL1", 16), ("ZVAL2", 4),
        ("BSCALE", 1.0), ("BZERO", -128),
    ]),
    *(("blanks", BLANKED, *case) for case in [("BLANK", 3), ("ZBLANK", 3)]),
    *(("floats", QUANTISED, *case) for case in [
        ("TTYPE3", "ZZERO"), ("TFORM3", "1K"), ("TTYPE2", "OTHER"), ("ZBITPIX", -64),
        ("ZQUANTIZ", "NO_DITHER"), ("ZDITHER0", 8), ("ZBLANK", 3), ("ZVAL1", 16), ("ZTILE2", 3),
    ]),
    ("floats", THEAP, "THEAP", HEAD["NAXIS1"] * HEAD["NAXIS2"] + 4),
    ("keywords", BY_KEYWORD, "ZSCALE", 3.0),
    ("keywords", BY_KEYWORD, "ZZERO", 3.0),
]  # fmt: skip


@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("kind", "file", "keyword", "value"),
    TWICE,
    ids=[f"{kind}-{keyword}-{value}" for kind, _, keyword, value in TWICE],
)
def test_a_card_that_occurs_twice(
    kind: str, file: bytes, keyword: str, value: Any, first: bool
) -> None:
    del kind
    header = fits.open(io.BytesIO(file), disable_image_compression=True)[1].header
    assert header[keyword] != value
    expected = decode_frame(file, 1)
    assert_identical(
        decode_frame(again(file, 1, keyword, header[keyword], first=first), 1), expected
    )
    with pytest.raises(FrameCorruptError, match=rf"HDU 1: {keyword} = .*, and .* in another card"):
        decode_frame(again(file, 1, keyword, value, first=first), 1)
    # A card between two that agree.
    three = again(
        again(file, 1, keyword, value, first=False), 1, keyword, header[keyword], first=False
    )
    with pytest.raises(FrameCorruptError, match=f"HDU 1: {keyword} = "):
        decode_frame(three, 1)


def test_what_occurs_twice_was_read_as_astropy_does() -> None:
    for file in (PLAIN, PACKED, BLANKED, QUANTISED, THEAP):
        assert_identical(decode_frame(file, 1), as_astropy(file))


def test_the_last_card_of_a_plain_image_and_the_first_of_a_compressed_one() -> None:
    # Why such a card is refused: astropy itself has it both ways.
    for file, expected in ((PLAIN, INTEGERS * 2.0 - 128), (PACKED, INTEGERS * 2.0 + 10)):
        pixels = as_astropy(again(edited(file, 1, {"BLANK": None}), 1, "BZERO", -128, first=False))
        np.testing.assert_array_equal(pixels, expected)


def test_one_value_written_in_several_ways_is_one_value() -> None:
    for keyword, values in {
        "BZERO": [Raw("10"), Raw("10.0"), Raw("+1.D1 / a comment")],
        "ZBITPIX": [16, 16.0, Raw("+16")],
        "ZCMPTYPE": ["RICE_1", Raw("'RICE_1  '"), Raw("'RICE_1' / a comment")],
    }.items():
        assert_identical(
            decode_frame(with_cards(PACKED, 1, keyword, values), 1), as_astropy(PACKED)
        )


def test_a_keyword_with_and_without_a_value_is_refused() -> None:
    file = again(PACKED, 1, "BZERO", Raw(""), first=False)
    with pytest.raises(FrameCorruptError, match=r"BZERO = 10\.0, and nothing in another card"):
        decode_frame(file, 1)


def test_a_parameter_or_a_column_given_twice_is_refused() -> None:
    file = edited(PACKED, 1, {"ZNAME3": "blocksize", "ZVAL3": 16})
    with pytest.raises(FrameCorruptError, match="ZNAME3 = 'blocksize' with 16, and 32 before"):
        decode_frame(file, 1)
    assert_identical(decode_frame(edited(file, 1, {"ZVAL3": 32}), 1), as_astropy(PACKED))
    with pytest.raises(FrameCorruptError, match="TTYPE4 = 'ZZERO': expected one column of that"):
        decode_frame(edited(QUANTISED, 1, {"TTYPE3": "ZZERO", "TTYPE4": "ZZERO"}), 1)


def test_lower_case_keywords_are_read_as_astropy_reads_them() -> None:
    file = with_cards(PLAIN, 1, "BZERO", [])
    where = frames.span(file, 1)
    end = file.index(b"END".ljust(CARD), where.start)
    lower = b"bzero   =                  5.0".ljust(CARD)
    assert file[end + CARD : end + 2 * CARD] == b" " * CARD
    file = file[:end] + lower + b"END".ljust(CARD) + file[end + 2 * CARD :]
    assert_identical(decode_frame(file, 1), as_astropy(file))
    with pytest.raises(FrameCorruptError, match=r"BZERO = 5\.0, and 6\.0 in another card"):
        decode_frame(again(file, 1, "bzero", 6.0, first=False), 1)


def test_the_first_of_two_sums_counts() -> None:
    with fits.open(io.BytesIO(QUANTISED), disable_image_compression=True) as hdus:
        hdus[1].add_datasum()
        right = hdus[1].header["DATASUM"]
    assert check_datasum(with_cards(QUANTISED, 1, "DATASUM", [right, "1"]), 1)
    assert check_datasum(with_cards(QUANTISED, 1, "DATASUM", [Raw(right)]), 1)
    with pytest.raises(FrameCorruptError, match="expected DATASUM = 1"):
        check_datasum(with_cards(QUANTISED, 1, "DATASUM", ["1", right]), 1)


# The name of an HDU -------------------------------------------------------------------------------

DEFAULT = "COMPRESSED_IMAGE"
NAMED = {
    "compressed": (compressed(scene((4, 20))), 1),
    "plain": (plain(scene((4, 20)), primary=False, name="X"), 1),
    "primary": (plain(scene((4, 20))), 0),
}


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize(
    "names",
    [
        (), ("A",), ("A", "B"), ("A", "A"), ("PRIMARY",), (DEFAULT,), (DEFAULT, DEFAULT),
        (DEFAULT, "B"), ("B", DEFAULT), (DEFAULT, "B", "C"), ("B", DEFAULT, "C"),
        (DEFAULT.lower(), "b"), (5, "B"), (" ",),
    ],
    ids=lambda names: "-".join(map(str, names)) or "none",
)  # fmt: skip
def test_hdus_have_the_name_that_astropy_gives_them(kind: str, names: tuple[Any, ...]) -> None:
    base, index = NAMED[kind]
    file = with_cards(base, index, "EXTNAME", names)
    for name in {"A", "B", "C", "PRIMARY", DEFAULT, "b", "5"}:
        with fits.open(io.BytesIO(file)) as hdus:
            try:
                expected = hdus.index_of(name)
            except KeyError:
                expected = None
        if expected is None:
            with pytest.raises(FrameCorruptError, match=f"has no HDU '{name}'"):
                find_hdu(file, name)
        else:
            assert find_hdu(file, name).index == expected
            if name != "PRIMARY" and expected == index:
                pixels = as_astropy(file, index)
                codec = FITSCodec(name, pixels.dtype.newbyteorder("<").str, list(pixels.shape))
                np.testing.assert_array_equal(codec.decode(file), pixels)
    expected_pixels = as_astropy(file, index)
    assert_identical(decode_frame(file, index), expected_pixels)


# Blanks -------------------------------------------------------------------------------------------


def stored(file: bytes) -> Array:
    """The integers in the first tile of a GZIP_1 image."""
    return np.frombuffer(gzip.decompress(frames.table(file).tile(0)), ">i4").astype(int)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("method", ["NO_DITHER", "SUBTRACTIVE_DITHER_2"])
def test_blank_in_quantised_floats(method: str, dtype: str) -> None:
    file = compressed(scene((5, 40), dtype), algorithm="GZIP_1", method=method)
    one, two = map(int, stored(file)[1:3])
    for changes in (
        {"BLANK": one, "ZBLANK": None}, {"BLANK": one, "ZBLANK": two}, {"ZBLANK": two},
        {"BLANK": float(one), "ZBLANK": None}, {"ZBLANK": float(two)},
        {"BLANK": 0, "ZBLANK": None}, {"BLANK": -32_768, "ZBLANK": None},
    ):  # fmt: skip
        changed = edited(file, 1, changes)
        check_decoded(changed, as_astropy(changed))
    assert np.isnan(decode_frame(edited(file, 1, {"BLANK": one, "ZBLANK": None}), 1)).any()


def test_blank_beside_zblank_in_integers() -> None:
    file = compressed(scene((5, 40), "i2"))
    one, two = (int(n) for n in oracle(file)[0, 1:3])
    for changes in ({"BLANK": one}, {"ZBLANK": one}, {"BLANK": one, "ZBLANK": one}):
        changed = edited(file, 1, changes)
        assert np.isnan(decode_frame(changed, 1)).any()
        check_decoded(changed, as_astropy(changed))
    with pytest.raises(FrameUnsupportedError, match=f"BLANK = {one} beside ZBLANK = {two}"):
        decode_frame(edited(file, 1, {"BLANK": one, "ZBLANK": two}), 1)
    # A float is no BLANK (4.4.2.5): astropy leaves the pixels as they are.
    for keyword in ("BLANK", "ZBLANK"):
        with pytest.raises(FrameCorruptError, match=f"{keyword} = .*: expected an integer"):
            decode_frame(edited(file, 1, {keyword: float(one)}), 1)


@pytest.mark.parametrize("changes", ["BLANK", "ZBLANK", "both"])
def test_blank_beside_a_column_of_blanks_in_integers(changes: str) -> None:
    file = compressed(scene((5, 40), "i2"))
    pixels = oracle(file)
    tiles = [frames.table(file).tile(i) for i in range(5)]
    cells = {"ZBLANK": ("J", pixels[:, 2])}
    blank = int(pixels[0, 1])
    keywords = ("BLANK", "ZBLANK") if changes == "both" else (changes,)
    both = frames.assembled(
        file, {"COMPRESSED_DATA": tiles}, cells, changes=dict.fromkeys(keywords, blank)
    )
    expected = as_astropy(both)
    assert np.isnan(expected[0, 1])
    assert np.isnan(expected[:, 2]).all()
    check_decoded(both, expected)


@pytest.mark.parametrize("algorithm", ["GZIP_1", "GZIP_2", "NOCOMPRESS"])
def test_blank_in_floats_that_are_not_quantised(algorithm: str) -> None:
    data = np.round(scene((5, 40)))
    file = compressed(data, algorithm=algorithm, method=LOSSLESS)
    inside, outside = int(data[0, 1]), 9_999
    for keyword in ("BLANK", "ZBLANK"):
        check_decoded(edited(file, 1, {keyword: outside}), data)
        with pytest.raises(
            FrameUnsupportedError, match="BLANK or ZBLANK beside floats that are not"
        ):
            decode_frame(edited(file, 1, {keyword: inside}), 1)
        assert np.isnan(as_astropy(edited(file, 1, {keyword: inside}))).any()


def test_blank_in_plain_floats_is_ignored() -> None:
    data = np.round(scene((5, 40)))
    file = frames.scaled(data, blank=int(data[0, 1]), primary=False)
    check_plain = as_astropy(file)
    assert_identical(decode_frame(file, 1), check_plain)
    assert_identical(check_plain, data)


# NOCOMPRESS with ZSCALE ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_nocompress_of_quantised_floats(dtype: str, method: str) -> None:
    data = scene((5, 40), dtype, blanks=0.1, zeros=0.1)
    file = compressed(data, algorithm="NOCOMPRESS", method=method)
    assert "ZSCALE" in frames.table(file).rows.dtype.names
    check_decoded(file, as_astropy(file))
    table = frames.table(file)
    n = len(table.rows)
    cells = {"ZSCALE": ("D", np.full(n, 0.5)), "ZZERO": ("D", np.full(n, 1.0))}
    for stored_as in ("u1", ">i2", ">i4", ">f4"):
        tiles = [(np.arange(40) + i).astype(stored_as).tobytes() for i in range(n)]
        made = frames.assembled(file, {"COMPRESSED_DATA": tiles}, cells)
        check_decoded(made, as_astropy(made))


@pytest.mark.parametrize("keywords", [{"ZSCALE": 0.5, "ZZERO": 1.0}, {"ZSCALE": 0.5}])
@pytest.mark.parametrize("dtype", ["f4", "i2"])
def test_nocompress_with_zscale_as_a_keyword_is_refused(
    dtype: str, keywords: dict[str, float]
) -> None:
    file = edited(
        compressed(scene((5, 40), dtype), algorithm="NOCOMPRESS", method=LOSSLESS), 1, keywords
    )
    with pytest.raises(FrameError, match="ZSCALE"):
        decode_frame(file, 1)


# Integers written as floats -----------------------------------------------------------------------


@pytest.mark.parametrize("keyword", ["ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2",
                                     "ZVAL1", "ZVAL2", "ZDITHER0", "ZBLANK"])  # fmt: skip
def test_cards_of_a_compressed_image_may_be_floats(keyword: str) -> None:
    value = HEAD[keyword]
    expected = as_astropy(QUANTISED)
    for form in (float(value), Raw(f"{value}."), Raw(f"{value}.D0"), Raw(f"{value}.0E+00 / is")):
        check_decoded(edited(QUANTISED, 1, {keyword: form}), expected)
    if keyword in ("ZBITPIX", "ZNAXIS1", "ZNAXIS2", "ZTILE1", "ZTILE2", "ZBLANK"):
        assert_identical(as_astropy(edited(QUANTISED, 1, {keyword: float(value)})), expected)
    for form in (value + 0.5, Raw("1E300"), Raw("9007199254740994.0")):
        with pytest.raises(FrameError, match=rf"{keyword}|BYTEPIX|BLOCKSIZE"):
            decode_frame(edited(QUANTISED, 1, {keyword: form}), 1)


@pytest.mark.parametrize(
    ("file", "keyword"),
    [
        *((QUANTISED, k) for k in ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT")),
        *((QUANTISED, "TFIELDS"), (THEAP, "THEAP")),
        *((PLAIN, k) for k in ("BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT")),
    ],
)
def test_other_cards_may_not(file: bytes, keyword: str) -> None:
    with fits.open(io.BytesIO(file), disable_image_compression=True) as hdus:
        value = float(hdus[1].header[keyword])
    changed = edited(file, 1, {keyword: value})
    with pytest.raises(
        FrameCorruptError, match=rf"HDU 1: {keyword} = {value}: expected an integer"
    ):
        decode_frame(changed, 1)
    with pytest.raises((TypeError, IndexError)):  # nor does astropy read it
        as_astropy(changed)


# What is no image, or an empty one ----------------------------------------------------------------


def groups() -> bytes:
    data = fits.GroupData(
        np.zeros((5, 1, 3, 4), "f4"), bitpix=-32, parnames=["u"], pardata=[np.arange(5.0)]
    )
    hdu = fits.GroupsHDU(data)
    buffer = io.BytesIO()
    hdu.update_header()
    header = hdu.header.tostring().encode()
    buffer.write(header + data.tobytes() + b"\0" * (-data.nbytes % 2880))
    return buffer.getvalue()


def table(kind: Any = fits.BinTableHDU, **cards: Any) -> bytes:
    form = "J" if kind is fits.BinTableHDU else "I4"
    hdu = kind.from_columns([fits.Column("a", form, array=[1, 2])], name="TABLE")
    hdu.header.update(cards)
    return frames.written(fits.PrimaryHDU(), hdu)


RICE, IMAGE = compressed(scene((5, 40))), plain(scene((5, 40)))
NO_IMAGE: dict[str, tuple[bytes, int, str]] = {
    "primary without axes": (frames.written(fits.PrimaryHDU()), 0, r"NAXIS = 0, .* is empty"),
    "extension without axes": (frames.written(fits.PrimaryHDU(), fits.ImageHDU()), 1, "NAXIS = 0"),
    "an axis of no length": (edited(IMAGE, 0, {"NAXIS2": 0}), 0, "NAXIS = 2, .* is empty"),
    "first axis of no length": (edited(IMAGE, 0, {"NAXIS1": 0}), 0, "NAXIS = 2, .* is empty"),
    "compressed without axes": (edited(RICE, 1, {"ZNAXIS": 0}), 1, "ZNAXIS = 0, .* is empty"),
    "compressed of no length": (edited(RICE, 1, {"ZNAXIS2": 0}), 1, "ZNAXIS = 2, .* is empty"),
    "not standard": (edited(IMAGE, 0, {"SIMPLE": False}), 0, "SIMPLE = F"),
    "random groups": (groups(), 0, "GROUPS = T, random groups"),
    "a table": (table(), 1, "XTENSION = 'BINTABLE', no image: expected an image"),
    "a table of text": (table(fits.TableHDU), 1, "XTENSION = 'TABLE', no image"),
    "a compressed table": (table(ZTABLE=True), 1, "XTENSION = 'BINTABLE', a compressed table"),
    "another extension": (edited(plain(scene((5, 40)), primary=False), 1, {"XTENSION": "DUMP"}), 1,
                          "XTENSION = 'DUMP', no image"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_IMAGE)
def test_what_is_no_image_is_unsupported_by_name(name: str) -> None:
    file, hdu, message = NO_IMAGE[name]
    with pytest.raises(FrameUnsupportedError, match=rf"HDU {hdu}: {message}"):
        decode_frame(file, hdu)
    if hdu:
        with pytest.raises(FrameUnsupportedError, match=message):
            decode_frame(frames.hdu_of(file, hdu), "not looked at")
