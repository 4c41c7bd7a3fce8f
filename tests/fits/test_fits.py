"""Compare headers, HDUs and layouts with astropy reading the same bytes."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import frames
import numpy as np
import pytest
from astropy.io import fits
from frames import compressed, plain, scaled, scene
from hypothesis import given, settings
from hypothesis import strategies as st

from dkist_virtual.errors import FrameCorruptError
from dkist_virtual.fits.hdu import (
    BLOCK,
    TruncatedHeaderError,
    find_hdu,
    image_layout,
    layout_of,
    read_hdu,
)
from dkist_virtual.fits.header import CARD, Header
from dkist_virtual.fits.layout import CompressedImage, PlainImage, pixel_dtype

derandomised = settings(derandomize=True, deadline=None, database=None)


def header(*cards: Any) -> Header:
    """A header of astropy cards, or of text that is one."""
    images = [card if isinstance(card, str) else fits.Card(*card).image for card in cards]
    return Header(
        "".join(image.ljust(-(-len(image) // CARD) * CARD) for image in images).encode(), 1
    )


# Cards, against astropy's ------------------------------------------------------------------------


@settings(derandomised, max_examples=300)
@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(value: int) -> None:
    assert header(("KEY", value, "a comment / with a slash")).integer("KEY") == value
    assert header(("KEY", value)).real("KEY", None) == float(value)


@settings(derandomised, max_examples=300)
@given(st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False))
def test_reals(value: float) -> None:
    card = fits.Card("KEY", value, "1.0")
    read = fits.Card.fromstring(card.image).value  # astropy writes 16 digits
    assert header(card.image).real("KEY", None) == read
    assert header(card.image[:10] + card.image[10:].replace("E", "D")).real("KEY", None) == read


printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)


@settings(derandomised, max_examples=300)
@given(printable)
def test_strings(value: str) -> None:
    # Longer ones are written over CONTINUE cards. Held against what was written: astropy reads
    # "'/" back as "'". Blanks at the end of a string mean nothing.
    assert header(("KEY", value), ("NEXT", 1)).string("KEY") == value.rstrip()


@pytest.mark.parametrize("value", [True, False])
def test_logicals(value: bool) -> None:
    assert header(("KEY", value, "T or F")).logical("KEY", not value) is value


def test_missing_and_empty_cards_give_the_default() -> None:
    cards = header(("EMPTY", fits.card.UNDEFINED), ("COMMENT", "KEY     = 1"), ("OTHER", 1))
    for keyword in ("KEY", "EMPTY"):
        assert cards.integer_or(keyword, None) is None
        assert cards.real(keyword, 1.5) == 1.5
        assert cards.logical(keyword, True) is True
        with pytest.raises(FrameCorruptError, match=f"HDU 1: {keyword} is missing"):
            cards.integer(keyword)
    assert cards.string("KEY") is None
    assert cards.string("KEY", "x") == "x"
    assert "OTHER" in cards
    assert "KEY" not in cards


def test_values_need_no_fixed_columns() -> None:
    assert header("KEY     = 7").integer("KEY") == 7
    assert header("KEY     =   +7/comment").integer("KEY") == 7
    assert header("KEY     =T").logical("KEY", True) is True  # no value indicator: no value
    assert header("KEY     = 'it''s / so' / not this").string("KEY") == "it's / so"
    assert header("KEY     =      'late'").string("KEY") == "late"
    assert header("KEY     = .5").real("KEY", None) == 0.5
    assert header("KEY     = 1.D-3").real("KEY", None) == 0.001


def test_a_keyword_that_occurs_twice_has_one_value_or_is_refused() -> None:
    twice = header(("KEY", 1), ("OTHER", 5), ("KEY", 2))
    with pytest.raises(FrameCorruptError, match="HDU 1: KEY = 1, and 2 in another card: expected"):
        twice.integer("KEY")
    # Where nothing depends on it, the first counts, as in astropy.
    astropy_header = fits.Header([fits.Card("KEY", 1), fits.Card("KEY", 2)])
    assert twice.first("KEY") == astropy_header["KEY"] == 1
    assert twice.values("KEY") == [1, 2]
    assert header(("KEY", 1), ("OTHER", 5), ("KEY", 1, "again")).integer("KEY") == 1


def test_comments_are_no_keyword_that_occurs_twice() -> None:
    cards = [("COMMENT", "KEY = 1"), ("KEY", 1), ("HISTORY", "a"), ("", "b"), ("COMMENT", "c")]
    for more in ([], [("HISTORY", "d"), ("", ""), ("KEY", 1)]):
        assert header(*cards, *more).integer("KEY") == 1


def test_hierarch_cards_are_not_taken_for_others() -> None:
    with pytest.warns(fits.verify.VerifyWarning):
        long = fits.Card("A LONG KEYWORD", 3).image
    cards = header(long, ("KEY", 1))
    assert cards.integer("KEY") == 1
    assert cards.integer_or("HIERARCH", None) is None


@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("integer", "1.0", "KEY = 1.0: expected an integer"),
        ("integer", "'1'", "KEY = '1': expected an integer"),
        ("integer", "1_0", "expected an integer"),
        ("integer", "0x1F", "expected an integer"),
        ("integer", "T", "KEY = T: expected an integer"),
        ("real", "nan", "KEY = nan: expected a number"),
        ("real", "inf", "expected a number"),
        ("real", "1e", "expected a number"),
        ("real", "(1.0, 2.0)", "expected a number"),
        ("logical", "TRUE", "KEY = TRUE: expected T or F"),
        ("string", "text", "KEY = text: expected a string in single quotes"),
        ("string", "'open", "KEY = 'open: expected a string"),
    ],
)
def test_values_of_another_kind_are_refused(method: str, value: str, message: str) -> None:
    cards = header(f"KEY     = {value}")
    arguments = () if method in ("integer", "string") else (0,)
    with pytest.raises(FrameCorruptError, match=message.replace("(", r"\(")):
        getattr(cards, method)("KEY", *arguments)


# HDUs --------------------------------------------------------------------------------------------


def several() -> bytes:
    """A file with HDUs of every kind, their data of awkward lengths."""
    columns = [
        fits.Column("variable", "PJ()", array=np.array([[1, 2, 3], [4]], object)),
        fits.Column("text", "A7", array=["a", "b"]),
    ]
    return frames.written(
        fits.PrimaryHDU(np.zeros((3, 7), "u1")),
        fits.ImageHDU(scene((30, 50)), name="first"),
        fits.BinTableHDU.from_columns(columns, name="TABLE"),
        fits.ImageHDU(name="empty"),
        fits.CompImageHDU(scene((20, 40)), name="Observation"),
        fits.ImageHDU(scene((1, 720), "f4"), name="WHOLE BLOCK"),
        fits.ImageHDU(scene((4, 4), "i2"), name="FIRST", ver=2),
    )


def test_hdus_lie_where_astropy_finds_them() -> None:
    file = several()
    with fits.open(io.BytesIO(file), disable_image_compression=True) as hdus:
        for index, expected in enumerate(hdus):
            info, size = expected.fileinfo(), expected.size
            hdu = find_hdu(file, index)
            assert (hdu.index, hdu.start, hdu.data_start) == (index, info["hdrLoc"], info["datLoc"])
            assert hdu.data_bytes == size
            assert hdu.data_stop == hdu.data_start + size
            assert hdu.stop == info["datLoc"] + info["datSpan"]
            assert read_hdu(file, hdu.start, index).data_start == hdu.data_start
    assert hdu.stop == len(file)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("PRIMARY", 0),
        ("primary", 0),
        ("FIRST", 1),
        ("first", 1),
        ("empty", 3),
        ("OBSERVATION", 4),
        (" observation ", 4),
        ("Whole Block", 5),
    ],
)
def test_hdus_are_found_by_extname(name: str, index: int) -> None:
    file = several()
    with fits.open(io.BytesIO(file)) as hdus:
        assert hdus.index_of(name.strip()) == index
    assert find_hdu(file, name).index == index


def test_hdus_that_are_not_there() -> None:
    file = several()
    for target in (7, "OTHER", "FIRS", ""):
        with pytest.raises(FrameCorruptError, match=rf"has no HDU {target!r}: it ends after 7 HDU"):
            find_hdu(file, target)


def test_random_groups_have_a_length_of_their_own(tmp_path: Path) -> None:
    parameters = [np.arange(5.0), np.arange(5.0)]
    data = fits.GroupData(
        np.zeros((5, 1, 3, 4), "f4"), bitpix=-32, parnames=["u", "v"], pardata=parameters
    )
    path = tmp_path / "groups.fits"  # astropy writes groups to files only
    fits.HDUList([fits.GroupsHDU(data), fits.ImageHDU(scene((4, 4)))]).writeto(path)
    file = path.read_bytes()
    assert fits.getheader(path, 0)["NAXIS1"] == 0
    assert find_hdu(file, 1).start == frames.span(file, 1).start


def test_wherever_a_read_ends_there_is_pixels_more_or_an_error() -> None:
    # A scan reads the beginning of a file: however little it has, it learns to read more.
    file = compressed(scene((5, 40)), cards=[(f"KEY{i}", i) for i in range(40)])
    stop = file.index(b"END".ljust(CARD), BLOCK) + CARD
    for length in range(stop):
        with pytest.raises(TruncatedHeaderError):
            find_hdu(file[:length], 1, size=len(file))
        # The same bytes as a whole file are broken for good.
        with pytest.raises(FrameCorruptError) as caught:
            find_hdu(file[:length], 1)
        assert not isinstance(caught.value, TruncatedHeaderError)
    for length in (stop, stop + 1, len(file)):
        hdu = find_hdu(file[:length], 1, size=len(file))
        assert hdu.stop == len(file)


def test_an_end_card_counts_only_where_a_card_begins() -> None:
    # 80 bytes that read END and blanks, but over two cards.
    trap = ("TRAP", "x" * 63 + "END")
    file = plain(scene((4, 4)), cards=[trap, ("COMMENT", ""), ("AFTER", 1)])
    hdu = find_hdu(file, 0)
    assert hdu.header.integer("AFTER") == 1
    assert hdu.data_start == frames.span(file, 0).data


def test_headers_longer_than_a_search_step() -> None:
    for n in (2303, 2304, 2305, 5000):
        file = plain(scene((4, 4)), cards=[(f"K{i}", i) for i in range(n)])
        hdu = find_hdu(file, 0)
        assert hdu.data_start == frames.span(file, 0).data
        assert hdu.header.integer(f"K{n - 1}") == n - 1


# Layouts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", [None, 5])
@pytest.mark.parametrize("bscale", [1, 0.5])
@pytest.mark.parametrize("bzero", [0, 1, -128, 128, 2**15, 2**31, 2**63, -(2**15)])
@pytest.mark.parametrize("bitpix", [8, 16, 32, 64, -32, -64])
def test_pixels_have_the_type_that_astropy_gives(
    bitpix: int, bzero: float, bscale: float, blank: int | None
) -> None:
    if bitpix < 0:
        blank = None
    raw = np.arange(6, dtype=fits.BITPIX2DTYPE[bitpix]).reshape(2, 3)
    file = scaled(raw, bscale=bscale, bzero=bzero, blank=blank)
    if (bitpix, bzero, bscale, blank) == (8, -128, 1, 5):
        expected = np.dtype("f4")  # astropy chooses int8 and then fails to put a NaN into it
    else:
        expected = frames.oracle(file, 0).dtype
    assert pixel_dtype(bitpix, bscale, bzero, blank) == expected
    layout = image_layout(file, 0)[1]
    assert isinstance(layout, PlainImage)
    assert layout.dtype == expected
    assert layout.raw_dtype == raw.dtype.newbyteorder(">")
    assert layout.is_verbatim == (bzero == 0 and bscale == 1 and blank is None)


def test_the_layout_of_a_plain_image() -> None:
    file = plain(scene((2, 3, 4), "i4"), primary=False, before=[fits.ImageHDU(scene((3, 3)))])
    start, layout = image_layout(file, 2)
    where = frames.span(file, 2)
    assert start == where.start
    assert layout == PlainImage((2, 3, 4), 32, 1.0, 0.0, None, where.data - where.start)
    assert (layout.nbytes, layout.head_bytes) == (96, where.data - where.start)
    assert layout.is_verbatim


@pytest.mark.parametrize(
    ("shape", "tile"), [((97,), (10,)), ((5, 40), None), ((3, 7, 11), (2, 3, 4))]
)
def test_the_layout_of_a_compressed_image(
    shape: tuple[int, ...], tile: tuple[int, ...] | None
) -> None:
    method = "SUBTRACTIVE_DITHER_2"
    data = scene(shape, "f8", blanks=0.2)
    file = compressed(data, tile=tile, method=method, seed=77, name="sci")
    start, layout = image_layout(file, "SCI")
    where, table = frames.span(file), frames.table(file)
    assert isinstance(layout, CompressedImage)
    assert start == where.start
    assert layout.shape == shape
    assert layout.tile_shape == (tile or (*(1,) * (len(shape) - 1), shape[-1]))
    assert math.prod(layout.grid) == layout.n_tiles == len(table.rows)
    assert (layout.bitpix, layout.dtype) == (-64, np.float64)
    assert (layout.algorithm, layout.parameters["BLOCKSIZE"]) == ("RICE_1", 32)
    assert (layout.quantised, layout.dither, layout.dither_seed) == (True, 2, 77)
    assert (layout.scale, layout.zero, layout.blank) == (None, None, -(2**31))
    assert layout.table_offset == where.data - where.start
    assert layout.row_bytes == table.rows.dtype.itemsize
    assert layout.head_bytes == layout.heap_offset == layout.table_offset + table.rows.nbytes
    assert layout.heap_bytes == len(table.heap)
    assert {name: column.offset for name, column in layout.columns.items()} == {
        name: table.rows.dtype.fields[name][1] for name in table.rows.dtype.names
    }


def test_tiles_are_rows_where_the_header_does_not_say() -> None:
    file = compressed(scene((5, 40)))
    layout = image_layout(frames.edited(file, 1, {"ZTILE1": None, "ZTILE2": None}), 1)[1]
    assert isinstance(layout, CompressedImage)
    assert layout.tile_shape == (1, 40)


def test_keywords_may_stand_in_any_order() -> None:
    file = compressed(scene((5, 40)))
    where = frames.span(file)
    cards = [file[i : i + CARD] for i in range(where.start, where.data, CARD)]
    end = cards.index(b"END".ljust(CARD))
    turned = b"".join([cards[0], *cards[end - 1 : 0 : -1], *cards[end:]])
    _, layout = image_layout(turned + file[where.data :], 1)
    assert layout == image_layout(file, 1)[1]


def test_a_header_alone_gives_the_layout() -> None:
    # What a scan does: it has no more of the file.
    file = compressed(scene((5, 40)))
    where = frames.span(file)
    hdu = find_hdu(file[: where.data], 1, size=len(file))
    assert layout_of(hdu) == image_layout(file, 1)[1]
    with pytest.raises(FrameCorruptError, match="the file is cut short"):
        image_layout(file[: where.data], 1)
