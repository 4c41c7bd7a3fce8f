"""Frames that are corrupt or not supported: refused by the keyword, tile and bytes at fault."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from typing import Any

import frames
import numpy as np
import pytest
from decoder_checks import check_decoded
from frames import LOSSLESS, compressed, plain, scene

from dkist_virtual.errors import FrameCorruptError, FrameUnsupportedError
from dkist_virtual.fits.decode import decode_frame, decode_image
from dkist_virtual.fits.hdu import image_layout

RICE = compressed(scene((5, 40)))
DITHERED = compressed(scene((5, 40)), method="SUBTRACTIVE_DITHER_1")
GZIP = compressed(scene((5, 40), "i4"), algorithm="GZIP_1")
LOSSLESS_GZIP = compressed(scene((5, 40)), algorithm="GZIP_2", method=LOSSLESS)
FALLBACK = compressed(scene((5, 40), flat=(1, 40)))
PLAIN = plain(scene((5, 40)))

WIDTH = frames.table(RICE).rows.dtype.itemsize
HEAP = len(frames.table(RICE).heap)


def cards(file: bytes = RICE, hdu: int = 1, **changes: Any) -> Callable[[], bytes]:
    return lambda: frames.edited(file, hdu, changes)


def descriptor(count: int, offset: int, file: bytes = RICE) -> Callable[[], bytes]:
    """The second tile's descriptor says this."""

    def make() -> bytes:
        table = frames.table(file)
        rows = table.rows.copy()
        rows["COMPRESSED_DATA"][1] = count, offset
        return frames.with_table(file, rows, table.heap)

    return make


def tile(data: bytes, file: bytes = RICE, column: str = "COMPRESSED_DATA") -> Callable[[], bytes]:
    return lambda: frames.with_tile(file, 1, data, column)


def text(name: str) -> Callable[[], bytes]:
    """A table of text, as FITS has it too."""
    column = frames.fits.Column("a", "A3", array=["abc"])
    hdu = frames.fits.TableHDU.from_columns([column], name=name)
    return lambda: frames.written(frames.fits.PrimaryHDU(), hdu)


FIRST = frames.table(RICE).tile(1)
PACKED = frames.table(GZIP).tile(1)

CORRUPT: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "HDU 0: 0 bytes: expected a FITS header"),
    "one byte": (lambda: b"S", "HDU 0: 1 bytes: expected a FITS header"),
    "not FITS": (lambda: b"<html>404</html>" * 300, r"begins with b'<html>40\w*<?.*not FITS"),
    "zeros": (lambda: bytes(5760), "begins with b'.*not FITS"),
    "header cut short": (lambda: RICE[: 2880 + 1000], "HDU 1: no END card in 1000 bytes"),
    "primary cut short": (lambda: RICE[:240], "HDU 0: no END card in 240 bytes"),
    "data cut short": (lambda: RICE[: 5760 + 100], r"HDU 1: is \d+ bytes long, only 2980 of them"),
    "plain cut short": (lambda: PLAIN[:-2880], "HDU 0: is 3680 bytes long, only 2880 of them"),
    "plain BITPIX": (cards(PLAIN, 0, BITPIX=-16), "BITPIX = -16: expected 8, 16"),
    "plain NAXIS2": (cards(PLAIN, 0, NAXIS2=-5), "NAXIS2 = -5: expected 0 or more"),
    "plain BSCALE": (cards(PLAIN, 0, BSCALE="x"), "BSCALE = 'x *': expected a number"),
    "plain BZERO": (cards(PLAIN, 0, BZERO=frames.Raw("nan")), "BZERO = nan: expected a number"),
    "no such HDU": (lambda: PLAIN, r"^the file has no HDU 1: it ends after 1 HDU"),
    "ZIMAGE no logical": (cards(ZIMAGE=1), "ZIMAGE = 1: expected T or F"),
    "NAXIS missing": (cards(NAXIS=None), "NAXIS is missing: expected an integer"),
    "NAXIS text": (cards(NAXIS="two"), "NAXIS = 'two *': expected an integer"),
    "NAXIS too many": (cards(NAXIS=1000), "NAXIS = 1000: expected 0 to 999"),
    "NAXIS1 negative": (cards(NAXIS1=-1), "NAXIS1 = -1: expected 0 or more"),
    "NAXIS1 underscored": (cards(NAXIS1=frames.Raw("3_2")), "NAXIS1 = 3_2: expected an integer"),
    "NAXIS1 endless": (cards(NAXIS1=frames.Raw("9" * 60)), r"NAXIS1 = 9{30}: expected an integer"),
    "NAXIS1 not ASCII": (cards(NAXIS1=frames.Raw("3\xb2")), "NAXIS1 = b'3.xb2 *': expected ASCII"),
    "NAXIS1 wide": (cards(NAXIS1=WIDTH - 1), f"NAXIS1 = {WIDTH - 1}: expected {WIDTH}"),
    "NAXIS2": (cards(NAXIS2=4), "NAXIS2 = 4: expected 5, one row per tile"),
    "NAXIS2 huge": (cards(NAXIS2=2**62), "NAXISn, PCOUNT and GCOUNT ask for more than"),
    "NAXIS2 large": (cards(NAXIS2=2**40), r"HDU 1: is \d+ bytes long, only \d+"),
    "PCOUNT": (cards(PCOUNT=-1), "PCOUNT = -1: expected 0 or more"),
    "PCOUNT huge": (cards(PCOUNT=2**40), r"HDU 1: is \d+ bytes long, only \d+"),
    "GCOUNT": (cards(GCOUNT=-1), "GCOUNT = -1: expected 0 or more"),
    "BITPIX": (cards(BITPIX=7), "BITPIX = 7: expected 8, 16, 32, 64, -32 or -64"),
    "ZBITPIX": (cards(ZBITPIX=33), "ZBITPIX = 33: expected 8, 16"),
    "ZNAXIS missing": (cards(ZNAXIS=None), "ZNAXIS is missing"),
    "ZNAXIS too many": (cards(ZNAXIS=10**6), "ZNAXIS = 1000000: expected 0 to 999"),
    "ZNAXIS2": (cards(ZNAXIS2=-5), "ZNAXIS2 = -5: expected 0 or more"),
    "ZNAXIS2 other": (cards(ZNAXIS2=6), "NAXIS2 = 5: expected 6, one row per tile"),
    "ZTILE zero": (cards(ZTILE1=0), "ZTILE1 = 0: expected 1 or more"),
    "ZTILE negative": (cards(ZTILE2=-1), "ZTILE2 = -1: expected 1 or more"),
    "ZTILE real": (cards(ZTILE2=1.5), "ZTILE2 = 1.5: expected an integer"),
    "ZTILE other": (cards(ZTILE1=7), "NAXIS2 = 5: expected 30, one row per tile"),
    "ZCMPTYPE missing": (cards(ZCMPTYPE=None), "ZCMPTYPE is missing"),
    "ZCMPTYPE number": (cards(ZCMPTYPE=1), "ZCMPTYPE = 1: expected a string"),
    "ZVAL missing": (cards(ZVAL1=None), "ZVAL1 is missing: ZNAME1 is 'BLOCKSIZE'"),
    "ZVAL text": (cards(ZVAL1="many"), "ZVAL1 = 'many *': expected a number"),
    "ZSCALE": (cards(TTYPE3="NOSCALE"), "ZZERO is there without ZSCALE"),
    "ZZERO": (cards(TTYPE4="NOZERO"), "ZSCALE is there without ZZERO"),
    "ZDITHER0 missing": (
        cards(DITHERED, ZDITHER0=None),
        "ZDITHER0 = None: expected 1 to 10000, since ZQUANTIZ = 'SUBTRACTIVE_DITHER_1'",
    ),
    "ZDITHER0 zero": (cards(DITHERED, ZDITHER0=0), "ZDITHER0 = 0: expected 1 to 10000"),
    "ZDITHER0 large": (cards(DITHERED, ZDITHER0=10_001), "ZDITHER0 = 10001: expected 1 to 10000"),
    "THEAP in table": (
        cards(THEAP=5 * WIDTH - 1),
        f"THEAP = {5 * WIDTH - 1}: expected {5 * WIDTH}",
    ),
    "THEAP behind": (
        cards(THEAP=5 * WIDTH + HEAP + 1),
        f"expected {5 * WIDTH} to {5 * WIDTH + HEAP}",
    ),
    "THEAP negative": (cards(THEAP=-1), "THEAP = -1"),
    "TFORM": (cards(TFORM1="1Y"), "TFORM1 = '1Y': expected a binary table format"),
    "TFORM missing": (cards(TFORM2=None), "TFORM2 = ''"),
    "TFIELDS": (cards(TFIELDS=3), f"NAXIS1 = {WIDTH}: expected {WIDTH - 8}"),
    "TFIELDS huge": (cards(TFIELDS=10**15), "TFORM5 = ''"),
    "no data column": (cards(TTYPE1="DATA"), "TTYPEn: expected a column COMPRESSED_DATA"),
    "descriptor long": (
        descriptor(HEAP + 1, 0),
        f"tile 1: COMPRESSED_DATA says {HEAP + 1} elements",
    ),
    "descriptor behind": (descriptor(1, HEAP), f"says 1 elements at byte {HEAP} of the heap"),
    "descriptor far": (descriptor(1, 2**31 - 1), "says 1 elements at byte 2147483647"),
    "descriptor negative": (descriptor(-1, 0), "tile 1: COMPRESSED_DATA says -1 elements"),
    "descriptor before": (descriptor(10, -10), "says 10 elements at byte -10"),
    "descriptor max": (descriptor(2**31 - 1, 2**31 - 1), "says 2147483647 elements"),
    "no column": (descriptor(0, 0), "tile 1: is empty in every data column"),
    "RICE short": (tile(FIRST[:-3]), "tile 1: its .* bytes of RICE_1 end or break"),
    "RICE tiny": (tile(b"\0"), "tile 1: its 1 bytes of RICE_1"),
    "RICE zeros of ever": (tile(b"\0\0\0\0\x10" + bytes(30)), "tile 1: its 35 bytes of RICE_1"),
    "RICE bad code": (tile(b"\0\0\0\0\xff" + bytes(99)), "tile 1: its 104 bytes of RICE_1"),
    "gzip short": (tile(PACKED[:-9], GZIP), "tile 1: its .* end too early"),
    "gzip nothing": (tile(b"\x1f", GZIP), "tile 1: its 1 bytes of gzip"),
    "gzip garbage": (tile(b"garbage", GZIP), "tile 1: is not gzip"),
    "gzip checksum": (
        tile(PACKED[:-8] + bytes(8), GZIP),
        "tile 1: its gzip stream is damaged: ",
    ),
    "gzip bomb": (tile(gzip.compress(bytes(10**7)), GZIP), "hold more than 160 bytes"),
    "gzip long": (tile(gzip.compress(bytes(159)), GZIP), "decompresses to 159 bytes: expected 40"),
    "gzip few": (tile(gzip.compress(bytes(156)), GZIP), "decompresses to 156 bytes: expected 40"),
    "gzip none": (tile(gzip.compress(b""), GZIP), "decompresses to 0 bytes: expected 40 pixels"),
    "gzip more": (tile(PACKED + b"tail", GZIP), "are followed by 4 that do not belong to them"),
    "gzip wide": (tile(gzip.compress(bytes(320)), LOSSLESS_GZIP), "hold more than 160 bytes"),
    "gzip narrow": (tile(gzip.compress(bytes(80)), LOSSLESS_GZIP), "expected 40 pixels of 4"),
    "fallback short": (
        lambda: frames.with_tile(FALLBACK, 0, gzip.compress(bytes(80)), "GZIP_COMPRESSED_DATA"),
        "tile 0: decompresses to 80 bytes: expected 40 pixels of 4",
    ),
}

UNSUPPORTED: dict[str, tuple[Callable[[], bytes], str]] = {
    "ZCMPTYPE": (
        cards(ZCMPTYPE="ZIP_9"),
        "ZCMPTYPE = 'ZIP_9' is not supported: known are RICE_1, GZIP_1, GZIP_2, HCOMPRESS_1",
    ),
    "ZQUANTIZ": (cards(ZQUANTIZ="DITHER_3"), "ZQUANTIZ = 'DITHER_3' beside ZSCALE"),
    "ZQUANTIZ NONE": (cards(ZQUANTIZ="NONE"), "ZQUANTIZ = 'NONE' beside ZSCALE"),
    "ZBITPIX": (cards(ZBITPIX=32), "ZBITPIX = 32 with ZSCALE"),
    "RICE floats": (cards(LOSSLESS_GZIP, ZCMPTYPE="RICE_1"), "RICE_1' for floats without ZSCALE"),
    "BYTEPIX": (cards(ZVAL2=2), "BYTEPIX = 2 is not supported: known are 4 for quantised"),
    "BYTEPIX 8": (cards(compressed(scene((5, 40), "i4")), ZVAL2=8), "BYTEPIX = 8 is not"),
    "BLOCKSIZE zero": (cards(ZVAL1=0), "BLOCKSIZE = 0 is not supported: known are 1 to 1024"),
    "BLOCKSIZE half": (cards(ZVAL1=32.5), "BLOCKSIZE = 32.5 is not supported"),
    "BLOCKSIZE huge": (cards(ZVAL1=2**31), r"BLOCKSIZE = 2.14748e\+09 is not supported"),
    "TFORM data": (cards(TFORM1="2J"), "TFORM1 = '2J' for column COMPRESSED_DATA: expected one"),
    "TFORM scale": (
        cards(TFORM3="1K", TTYPE3="ZZERO", TFORM4="4I", TTYPE4="ZSCALE"),
        "TFORM4 = '4I'",
    ),
    "TSCAL": (cards(TSCAL3=2.0), "TSCAL3 for column ZSCALE: scaled columns"),
    "TZERO": (cards(TZERO4=1.0), "TZERO4 for column ZZERO: scaled columns"),
    "text table": (text("A"), "XTENSION = 'TABLE', no image: expected an image"),
    "binary table": (cards(ZIMAGE=False), "XTENSION = 'BINTABLE', no image: expected an image"),
    "ZNAXIS": (cards(ZNAXIS=0), r"ZNAXIS = 0, axes \(\): this image is empty"),
    "ZNAXIS1": (cards(ZNAXIS1=0), r"ZNAXIS = 2, axes \(0, 5\): this image is empty"),
    "too many pixels": (cards(ZNAXIS1=2**31, ZNAXIS2=2**31), "ZNAXISn = .2147483648, 2147483648"),
}


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_bytes_are_refused(name: str) -> None:
    make, message = CORRUPT[name]
    with pytest.raises(FrameCorruptError, match=message):
        decode_frame(make(), 0 if name.startswith("plain") else 1)


@pytest.mark.every(8)
@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_bytes_of_one_hdu_are_refused(name: str) -> None:
    # The other form: what begins with the HDU. The primary has no other form.
    make, message = CORRUPT[name]
    file = make()
    if name.startswith("plain") or len(file) <= 2880 or file[2880:2888] != b"XTENSION":
        with pytest.raises(FrameCorruptError):
            decode_frame(file, 1 if "HDU" in name else 0)
        return
    with pytest.raises(FrameCorruptError, match=message):
        decode_frame(file[2880:], 1)


@pytest.mark.slow
def test_every_refusal_was_right_before() -> None:
    for file in (RICE, DITHERED, GZIP, LOSSLESS_GZIP, FALLBACK):
        check_decoded(file)
    check_decoded(PLAIN, hdu=0)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_known_is_refused_by_name(name: str) -> None:
    make, message = UNSUPPORTED[name]
    with pytest.raises(FrameUnsupportedError, match=message):
        decode_frame(make(), 1)


def test_another_shape_than_the_array_says_is_refused() -> None:
    for file, hdu, keyword in ((RICE, 1, "ZNAXISn"), (PLAIN, 0, "NAXISn")):
        message = re.escape(f"HDU {hdu}: {keyword} = (40, 5): expected (5, 40)")
        with pytest.raises(FrameCorruptError, match=message):
            decode_frame(file, hdu, shape=(40, 5))
        with pytest.raises(FrameCorruptError, match=keyword):
            decode_frame(file, hdu, shape=(1, 5, 40))


def test_another_type_than_the_array_says_is_refused() -> None:
    unsigned = compressed(scene((5, 40), "u2"))
    for file, dtype, message in (
        (RICE, "<f8", "ZBITPIX = -32 with .* makes float32 pixels: expected float64"),
        (unsigned, "<i2", "ZBITPIX = 16 with BSCALE = 1, BZERO = 32768, BLANK = None makes uint16"),
        (frames.edited(GZIP, 1, {"BLANK": 7}), "<i4", "BLANK = 7 makes float64 .* scan the frames"),
    ):
        with pytest.raises(FrameCorruptError, match=message):
            decode_frame(file, 1, dtype=dtype)
    # The order of bytes is the reader's, not the frame's.
    assert decode_frame(RICE, 1, dtype=">f4").dtype == np.dtype("=f4")


def test_fewer_bytes_than_a_layout_says_are_refused() -> None:
    # A partial reader has the layout from elsewhere: fewer bytes than it says are no crash.
    for file, hdu in ((RICE, 1), (PLAIN, 0)):
        start, layout = image_layout(file, hdu)
        for length in (0, 100, layout.head_bytes - 1):
            with pytest.raises(FrameCorruptError, match=rf"ends at byte \d+, {length} bytes"):
                decode_image(layout, memoryview(file)[start : start + length])
