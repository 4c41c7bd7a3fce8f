"""Headers of files say where their images are; astropy reads the same files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.card import Undefined

from dkist_virtual.fits.errors import FrameCorruptError, FrameError, FrameUnsupportedError
from dkist_virtual.fits.partial import drive, ranges_only
from dkist_virtual.fits.references.cards import cards_of, image_cards
from dkist_virtual.fits.references.images import ImageReference, all_images, one_image

REAL = Path(__file__).parent / "real_frames"
PIXELS = np.arange(12 * 10, dtype="i2").reshape(12, 10)


def written(*hdus: object) -> bytes:
    file = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(file)  # type: ignore[arg-type]
    return file.getvalue()


def images_of(data: bytes) -> tuple[ImageReference, ...]:
    return drive(all_images(ranges_only, len(data)), lambda r: data[r[0] : r[1]])


def image_of(data: bytes, target: int | str | None = None) -> ImageReference:
    return drive(one_image(ranges_only, len(data), target), lambda r: data[r[0] : r[1]])


@pytest.fixture(scope="module")
def several() -> bytes:
    scaled = fits.ImageHDU(PIXELS.astype("u2"), name="UNSIGNED")
    floats = fits.ImageHDU(np.linspace(0, 1, 24).reshape(1, 2, 3, 4), name="CUBE")
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(9000))])
    empty = fits.ImageHDU(name="EMPTY")
    tiles = fits.CompImageHDU(PIXELS, name="TILES", compression_type="RICE_1")
    line = fits.ImageHDU(np.arange(5, dtype="u1"), name="LINE")
    return written(fits.PrimaryHDU(), scaled, table, empty, tiles, floats, line)


def test_images_are_where_astropy_finds_them(several: bytes) -> None:
    found = images_of(several)
    with fits.open(io.BytesIO(several)) as file:
        theirs = [hdu for hdu in file if hdu.is_image and hdu.size]
        assert [(i.index, i.name) for i in found] == [
            (file.index_of(hdu.name), hdu.name) for hdu in theirs
        ]
        for image, hdu in zip(found, theirs, strict=True):
            data = several[image.offset : image.offset + image.length]
            pixels = image.spec().decode(data)
            np.testing.assert_array_equal(pixels, hdu.data)
            assert pixels.dtype == image.dtype == hdu.data.dtype.newbyteorder("=")
            assert image.shape == hdu.data.shape
            assert set(image_cards(image.hdu, image.layout).values) >= {
                "BITPIX",
                "NAXIS",
                "EXTNAME",
            }
    plain = {image.name for image in found if image.pixels is not None}
    assert plain == {"CUBE", "LINE"}
    cube = next(image for image in found if image.name == "CUBE")
    start, n = cube.pixels or (0, 0)
    raw = np.frombuffer(several[start : start + n], cube.layout.raw_dtype)  # type: ignore[union-attr]
    np.testing.assert_array_equal(raw, np.linspace(0, 1, 24))


def test_data_between_headers_is_not_read() -> None:
    large = fits.ImageHDU(np.zeros((2000, 500), "i4"), name="FIRST")
    data = written(fits.PrimaryHDU(), large, fits.ImageHDU(PIXELS, name="SECOND"))
    asked: list[tuple[int, int | None]] = []

    def answer(wanted: tuple[int, int | None]) -> bytes:
        asked.append(wanted)
        return data[wanted[0] : wanted[1]]

    image = drive(one_image(ranges_only, len(data), "second"), answer)
    assert image.index == 2
    assert len(asked) == 2
    assert sum((stop or len(data)) - start for start, stop in asked) < 60_000


def test_the_only_image_is_taken_and_of_two_none(several: bytes) -> None:
    one = written(fits.PrimaryHDU(), fits.ImageHDU(PIXELS), fits.BinTableHDU(name="T"))
    assert image_of(one).index == 1
    with pytest.raises(FrameUnsupportedError, match=r"'UNSIGNED' and HDU 4 'TILES' both.*hdu="):
        image_of(several)
    assert image_of(several, "cube").shape == (1, 2, 3, 4)
    assert image_of(one + b"\0").index == 1  # real frames have a stray byte
    assert image_of(one + b"\0" * 2880).index == 1  # special records


@pytest.mark.parametrize(
    ("change", "target", "kind", "message"),
    [
        (lambda d: b"", None, FrameCorruptError, "the file is empty"),
        (lambda d: b"\x1f\x8b" + d, None, FrameUnsupportedError, "compressed with gzip"),
        (lambda d: b"BZh9" + d, 1, FrameUnsupportedError, "compressed with bzip2"),
        (lambda d: b"\x89HDF" + d, None, FrameCorruptError, "not FITS"),
        (lambda d: d[:-2880], "LINE", FrameCorruptError, "cut short"),
        (lambda d: d[:3000], "CUBE", FrameCorruptError, "cut short"),
        (lambda d: d, "EMPTY", FrameUnsupportedError, "this image is empty"),
        (lambda d: d, 2, FrameUnsupportedError, "'BINTABLE', no image"),
        (lambda d: d, "SCI", FrameCorruptError, r"no HDU 'SCI': it ends after 7 HDU\(s\)"),
        (lambda d: d[:2880], None, FrameUnsupportedError, r"found HDU 0 'PRIMARY' \(empty\)"),
    ],
)
def test_what_has_no_image_is_refused(
    several: bytes, change: object, target: int | str | None, kind: type[FrameError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        image_of(change(several), target)  # type: ignore[operator]


def test_values_of_cards_are_those_of_astropy() -> None:
    header = fits.Header()
    header["WHOLE"], header["BIG"], header["YES"] = -12, 2**70, (True, "a comment")
    header["REAL"], header["TINY"], header["TEXT"] = 1.5, 1e-300, "it's / here"
    header["LONG"] = ("x" * 60 + " & " + "y" * 60, "goes on")
    header["HIERARCH ESO DET CHIP1"] = (4.25, "of ESO")
    header["EMPTY"], header["NONE"] = "", None
    header["HISTORY"] = "first"
    header["HISTORY"] = "second"
    header["COMMENT"] = "a remark"
    header.append(("WHOLE", 13), end=True)
    text = header.tostring(endcard=False, padding=False) + "EXPO    = 1.5D+02".ljust(80)
    found = cards_of(text)
    theirs = fits.Header.fromstring(text)
    assert list(found.values) == list(dict.fromkeys(theirs))
    for keyword, value in found.values.items():
        expected = theirs[keyword]
        if keyword in ("HISTORY", "COMMENT"):
            expected = "\n".join(expected)
        if isinstance(expected, Undefined):
            expected = None
        assert value == expected, keyword
        assert type(value) is type(expected), keyword
    assert found.repeated == ("WHOLE",)
    assert {k: theirs.comments[k] for k in found.comments} == found.comments


@pytest.mark.parametrize("path", sorted(REAL.glob("*.fits")), ids=lambda p: p.stem)
def test_the_header_of_a_compressed_image_is_that_of_the_image(path: Path) -> None:
    data = path.read_bytes()
    (image,) = images_of(data)
    with fits.open(path) as file:
        theirs = file[image.index].header
        expected = {k: theirs[k] for k in theirs if k not in ("COMMENT", "HISTORY", "")}
    found = dict(image_cards(image.hdu, image.layout).values)
    text = {"COMMENT", "HISTORY", "EXTNAME", "XTENSION", "PCOUNT", "GCOUNT"}
    for some in (found, expected):
        for keyword in text:
            some.pop(keyword, None)
    assert found == {k: None if isinstance(v, Undefined) else v for k, v in expected.items()}
