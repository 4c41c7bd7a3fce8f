"""What numpy decodes while kernels are not compiled: the kernels' pixels, and their refusals."""

from __future__ import annotations

import random
from typing import Any

import frames
import numpy as np
import pytest
import run
from decoder_checks import check_decoded
from frames import METHODS, assert_identical, compressed, scene
from mutate import Mutator

from dkist_virtual.errors import DKISTVirtualError
from dkist_virtual.fits.compiled import background
from dkist_virtual.fits.compiled.kernel import Kernel
from dkist_virtual.fits.decode import decode_frame
from dkist_virtual.fits.tiled import rice_by_numpy


@pytest.mark.parametrize("method", METHODS)
def test_more_tiles_than_are_done_at_a_time(method: str, without_kernels: None) -> None:
    data = scene((1100, 75), "f4", zeros=0.05, blanks=0.02)
    check_decoded(compressed(data, method=method, seed=9_990))


@pytest.mark.every(4)
@pytest.mark.parametrize("method", ["SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1"])
def test_random_numbers_begin_anew(algorithm: str, method: str, without_kernels: None) -> None:
    data = scene((2, 11_000), zeros=0.01, blanks=0.01)
    check_decoded(compressed(data, algorithm=algorithm, method=method, seed=9_999))


def test_codes_of_every_length(without_kernels: None) -> None:
    limits = np.iinfo("i4")
    every = np.random.default_rng(0).integers(limits.min, limits.max, (40, 70), "i4")
    check_decoded(compressed(every))
    jumps = np.zeros((300, 256), "i4")
    for i in range(1, 300):
        jumps[i, i % 256] = (-1) ** i * 2 ** (i % 31)
    check_decoded(compressed(jumps))


def test_zeros_are_counted_in_every_word() -> None:
    words = np.array([2**64 - 1, 0, 1, *(2**k for k in range(64))], np.uint64)
    words = np.concatenate([words, np.random.default_rng(0).integers(0, 2**64, 5000, np.uint64)])
    words = np.concatenate(
        [words, words >> np.arange(len(words)).astype(np.uint64) % np.uint64(64)]
    )
    found = rice_by_numpy._leading_zeros(words)
    assert found.tolist() == [64 - int(word).bit_length() for word in words]


# Refusals -----------------------------------------------------------------------------------------


def outcome(data: bytes, target: Any) -> Any:
    try:
        return decode_frame(data, target)
    except DKISTVirtualError as error:
        return type(error), str(error)


@pytest.mark.parametrize("count", [30, pytest.param(20_000, marks=pytest.mark.slow)])
def test_broken_frames_are_refused_alike(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = [seed for seed in run.read_corpus(run.CORPUS) if "plio" not in seed.name]
    mutator = Mutator([seed for seed in corpus if "hcompress" not in seed.name], 5)
    monkeypatch.setattr(background, "MOST_SECONDS", 0.0)
    cases = [mutator.case(number) for number in range(count)]
    by_kernels = [outcome(case.data, case.target) for case in cases]
    with pytest.MonkeyPatch.context() as without:
        without.setattr(Kernel, "find", lambda *_: None)
        without.setattr(background, "MOST_SECONDS", float("inf"))
        without.setattr(background, "FREE_SECONDS", float("inf"))
        by_numpy_ = [outcome(case.data, case.target) for case in cases]
    refused = 0
    for expected, found in zip(by_kernels, by_numpy_, strict=True):
        if isinstance(expected, tuple):
            refused += 1
            assert found == expected
        else:
            assert_identical(found, expected)
    assert 0 < refused < count


def test_the_first_broken_tile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    file = compressed(scene((40, 300), "i2"))
    streams = [frames.table(file).tile(i) for i in range(40)]
    monkeypatch.setattr(background, "MOST_SECONDS", 0.0)
    for _ in range(10):
        broken = {rng.randrange(40): rng.randrange(20, 100) for _ in range(3)}
        cut = [s[: broken.get(i, len(s))] for i, s in enumerate(streams)]
        made = frames.assembled(file, {"COMPRESSED_DATA": cut})
        expected = outcome(made, 1)
        assert expected[1].startswith(f"tile {min(broken)}: ")
        with pytest.MonkeyPatch.context() as without:
            without.setattr(Kernel, "find", lambda *_: None)
            without.setattr(background, "MOST_SECONDS", float("inf"))
            without.setattr(background, "FREE_SECONDS", float("inf"))
            assert outcome(made, 1) == expected
