"""Scan frames: find HDUs where astropy finds them, and read no byte more than needed."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from frames import compressed

from dkist_virtual.conversion.scan import HEAD, HEAD_LIMIT, Expected, scan_frames
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameMissingError,
    FrameUnreachableError,
    FrameUnsupportedError,
)
from dkist_virtual.io.fetcher import Fetcher

if TYPE_CHECKING:
    from dkist_virtual.io.byte_range import Reply, Request

PIXELS = np.random.default_rng(2).normal(1000, 50, (1, 12, 20)).astype("f4")
EXPECTED = Expected((1, 12, 20), np.dtype("f4"), 1)


@dataclass(frozen=True)
class Counting(Fetcher):
    """Reads as any fetcher does, and keeps what was asked for and what came."""

    heads: list[tuple[str, int, int]] = field(default_factory=list)

    def answer(self, request: Request) -> Reply:
        head = super().answer(request)
        assert request.sized
        assert request.offset == 0
        if request.length:  # without, the file is asked for what is known of it
            self.heads.append((os.path.basename(request.url), request.length, len(head.data)))
        return head

    def read(self, url: str, offset: int = -1, length: int = -1) -> bytes:
        raise AssertionError(f"a scan read {url} otherwise than by its head")


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


def with_cards(n: int) -> bytes:
    return compressed(PIXELS, cards=[(f"KEY{i}", i) for i in range(n)])


def scan(urls: list[str], expected: Expected = EXPECTED, **how: Any) -> Any:
    return scan_frames(urls, expected, how.pop("fetcher", Fetcher()), mode="always", **how)


def test_the_first_read_is_bounded_however_long_the_file(tmp_path: Path) -> None:
    big = np.random.default_rng(1).normal(0, 1, (1, 500, 400)).astype("f4")
    url = write(tmp_path / "a.fits", compressed(big))
    assert os.path.getsize(url) > 2 * HEAD
    fetcher = Counting()
    scan([url], Expected(big.shape, big.dtype, 1), fetcher=fetcher)
    assert fetcher.heads == [("a.fits", HEAD, HEAD)]


def test_a_header_of_330_cards_is_read_at_once_and_a_longer_one_again(tmp_path: Path) -> None:
    urls = [write(tmp_path / f"{n}.fits", with_cards(n)) for n in (330, 700, 3000)]
    fetcher = Counting()
    found = scan(urls, fetcher=fetcher, workers=1)
    assert [(name, asked) for name, asked, _ in fetcher.heads] == [
        ("330.fits", HEAD),
        ("700.fits", HEAD),
        ("700.fits", 4 * HEAD),
        ("3000.fits", HEAD),
        ("3000.fits", 4 * HEAD),
        ("3000.fits", 16 * HEAD),
    ]
    for url, start, length, size in zip(
        urls, found["offset"], found["length"], found["size"], strict=True
    ):
        with fits.open(url, disable_image_compression=True) as hdus:
            info = hdus[1].fileinfo()
        assert start == info["hdrLoc"]
        assert start + length == info["datLoc"] + info["datSpan"]
        assert size == os.path.getsize(url)


def test_a_header_without_end_is_given_up(tmp_path: Path) -> None:
    head = with_cards(0)[:2880] + b"XTENSION= 'BINTABLE'".ljust(80)
    url = write(tmp_path / "endless.fits", head + b"COMMENT and so on".ljust(80) * 300_000)
    fetcher = Counting()
    with pytest.raises(FrameUnsupportedError, match=r"endless\.fits: HDU 1: no END card"):
        scan([url], fetcher=fetcher)
    assert max(asked for _, asked, _ in fetcher.heads) <= 4 * HEAD_LIMIT


@pytest.mark.parametrize("target", [2, "SECOND", "second"])
def test_the_hdu_is_found_by_index_and_by_name(target: int | str, tmp_path: Path) -> None:
    before = fits.ImageHDU(np.zeros((5, 6), "i2"), name="FIRST")
    url = write(tmp_path / "a.fits", compressed(PIXELS, name="SECOND", before=[before]))
    found = scan([url], Expected((1, 12, 20), np.dtype("f4"), target))
    with fits.open(url, disable_image_compression=True) as hdus:
        assert found["offset"].tolist() == [hdus[2].fileinfo()["hdrLoc"]]


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f4", "f8"])
def test_plain_pixels_lie_where_astropy_says(dtype: str, tmp_path: Path) -> None:
    data = np.arange(35).reshape(5, 7).astype(dtype)
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data)]).writeto(buffer)
    url = write(tmp_path / "a.fits", buffer.getvalue())
    found = scan([url], Expected(data.shape, data.dtype, 1))
    assert found.is_verbatim
    raw = buffer.getvalue()[int(found["data"][0]) :][: data.nbytes]
    raw = np.frombuffer(raw, data.dtype.newbyteorder(">"))
    np.testing.assert_array_equal(raw.reshape(data.shape), data)


@pytest.mark.parametrize("change", [{"BSCALE": 2.0}, {"BZERO": 32768}, {"BLANK": -1}])
def test_scaled_pixels_are_not_verbatim(change: dict[str, Any], tmp_path: Path) -> None:
    image = fits.PrimaryHDU(np.arange(35, dtype="i2").reshape(5, 7))
    image.header.update(change)
    buffer = io.BytesIO()
    image.writeto(buffer)
    found = scan(
        [write(tmp_path / "a.fits", buffer.getvalue())], Expected((5, 7), np.dtype("i2"), 0)
    )
    assert not found.is_verbatim
    assert found["data"].tolist() == [-1]


@pytest.mark.parametrize("workers", [None, 1, 3, 16])
def test_frames_come_in_their_order_and_are_counted_once(
    workers: int | None, tmp_path: Path
) -> None:
    urls = [write(tmp_path / f"{i}.fits", with_cards(i)) for i in range(40)]
    os.remove(urls[7])
    urls[9] = ""
    urls[11] = str(tmp_path / "nowhere" / "11.fits")
    calls: list[None] = []
    found = scan_frames(
        urls, EXPECTED, Fetcher(), mode="auto", workers=workers, on_frame=lambda: calls.append(None)
    )
    assert len(calls) == 40
    states = [1] * 40
    states[7] = states[9] = 2
    states[11] = 3
    assert found["state"].tolist() == states
    sizes = [
        os.path.getsize(url) if state == 1 else -1 for url, state in zip(urls, states, strict=True)
    ]
    assert found["size"].tolist() == sizes
    for column in (found["offset"], found["length"], found["mtime"]):
        assert (column < 0).tolist() == [state != 1 for state in states]


def test_always_says_how_many_of_how_many(tmp_path: Path) -> None:
    urls = [write(tmp_path / f"{i}.fits", with_cards(0)) for i in range(5)]
    nowhere = str(tmp_path / "nowhere" / "a.fits")
    with pytest.raises(FrameUnreachableError, match="0 of 6 frames are absent and 1 not reachable"):
        scan([*urls, nowhere])
    os.remove(urls[2])
    os.remove(urls[3])
    with pytest.raises(FrameMissingError) as caught:
        scan([*urls, nowhere])
    assert str(caught.value) == (
        f"2 of 6 frames are absent and 1 not reachable, the first: {urls[2]}: no such file"
    )


def test_never_looks_at_nothing(tmp_path: Path) -> None:
    fetcher = Counting()
    found = scan_frames(["/a", "/b"], EXPECTED, fetcher, mode="never")
    assert fetcher.heads == []
    assert found["state"].tolist() == [0, 0]
    assert (found.dtype, found.is_verbatim, found.head_bytes) == (None, False, None)


def test_the_datatype_of_the_asdf_may_be_raw_or_scaled(tmp_path: Path) -> None:
    data = np.arange(60_000, 60_035, dtype="u2").reshape(5, 7)
    buffer = io.BytesIO()
    fits.PrimaryHDU(data).writeto(buffer)
    url = write(tmp_path / "a.fits", buffer.getvalue())
    for dtype in ("i2", "u2"):
        assert scan([url], Expected((5, 7), np.dtype(dtype), 0)).dtype == np.uint16
    with pytest.raises(FrameCorruptError, match="BITPIX = 16, which is int16: expected int32"):
        scan([url], Expected((5, 7), np.dtype("i4"), 0))
