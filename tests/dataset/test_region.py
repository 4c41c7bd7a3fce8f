"""An array inside of a file is read and written as numpy's own, with reads that are few."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from dkist_virtual.dataset.save.files import region as module
from dkist_virtual.dataset.save.files.region import Region
from dkist_virtual.errors import StoreCorruptError

SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=5).map(tuple)
TYPES = st.sampled_from([(">f4", "float32"), ("<i2", "int16"), (">i2", "uint16"), ("|i1", "bool")])


def stored(values: np.ndarray, kind: str) -> np.ndarray:
    """The numbers in the file: unsigned ones less half of their range."""
    if values.dtype.kind == "u":
        return (values.astype(int) - 2**15).astype(kind)
    return values.astype(kind)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), SHAPES, TYPES, st.sampled_from([1, 40, 2**20]))
def test_parts_are_read_as_numpy_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Any, shape: Any, kinds: Any, near: int
) -> None:
    monkeypatch.setattr(module, "_TOGETHER", near)
    kind, dtype = kinds
    pixels = np.random.default_rng(1).integers(0, 2**16, shape).astype(dtype)
    (tmp_path / "file").write_bytes(b"head!" + stored(pixels, kind).tobytes() + b"tail")
    region = Region(str(tmp_path / "file"), 5, shape, kind, dtype)
    index = data.draw(nps.basic_indices(shape, allow_ellipsis=False, allow_newaxis=False))
    index = index if isinstance(index, tuple) else (index,)
    index += (slice(None),) * (len(shape) - len(index))
    index = tuple(
        part if isinstance(part, slice) else part % n for part, n in zip(index, shape, strict=True)
    )
    if any(isinstance(part, slice) and (part.step or 1) < 0 for part in index):
        index = tuple(slice(None) for _ in shape)  # no selection runs backwards
    found = region[index]
    expected = pixels[index]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), SHAPES, TYPES)
def test_parts_are_written_and_no_byte_between_them(
    tmp_path: Path, data: Any, shape: Any, kinds: Any
) -> None:
    kind, dtype = kinds
    whole = np.random.default_rng(2).integers(0, 2**16, shape).astype(dtype)
    (tmp_path / "file").write_bytes(b"head!" + stored(whole, kind).tobytes() + b"tail")
    region = Region(str(tmp_path / "file"), 5, shape, kind, dtype)
    begins = [data.draw(st.integers(0, n - 1)) for n in shape]
    index = tuple(
        slice(a, data.draw(st.integers(a + 1, n))) for a, n in zip(begins, shape, strict=True)
    )
    whole[index] = new = np.random.default_rng(3).integers(0, 99, whole[index].shape).astype(dtype)
    region[index] = new
    expected = b"head!" + stored(whole, kind).tobytes() + b"tail"
    assert (tmp_path / "file").read_bytes() == expected


def test_pixels_near_each_other_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.arange(40 * 600 * 500, dtype="<f4").reshape(40, 600, 500)
    (tmp_path / "file").write_bytes(pixels.tobytes())
    region = Region(str(tmp_path / "file"), 0, pixels.shape, "<f4", "float32")
    seeks: list[int] = []
    opened = module.open_regular

    def watched(path: str) -> Any:
        file = opened(path)
        seek = file.seek

        class Watched:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                file.close()

            def seek(self, begin: int) -> None:
                seeks.append(begin)
                seek(begin)

            def readinto(self, into: Any) -> int:
                return file.readinto(into)

        return Watched()

    monkeypatch.setattr(module, "open_regular", watched)
    for index, reads in (
        (np.s_[:, :, :], 1),
        (np.s_[3:7, :, :], 1),
        (np.s_[:, 5, 7], 40),  # frames of 1.2 MB
        (np.s_[2, 9:309:3, 9], 1),
        (np.s_[2:4, 100:110, :], 2),
    ):
        seeks.clear()
        np.testing.assert_array_equal(region[index], pixels[index])
        assert len(seeks) == reads


def test_a_file_that_was_cut_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(30))
    region = Region(str(tmp_path / "file"), 0, (4, 2), "<f4", "float32")
    np.testing.assert_array_equal(region[0, :], [0, 0])
    with pytest.raises(StoreCorruptError, match="expected 32 bytes at 0, found 30"):
        region[:, :]
