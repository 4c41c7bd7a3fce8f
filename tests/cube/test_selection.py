"""Compare composed basic indexing with numpy doing the same indexing one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dkist_virtual.cube.selection import Selection, full_index, parse_index
from dkist_virtual.errors import SelectionError

Case = tuple[tuple[int, ...], list[Any]]


@st.composite
def entries(draw: st.DrawFn, n: int) -> int | np.integer[Any] | slice:
    """An index of an axis of `n` pixels that leaves something."""
    if draw(st.booleans()):
        number = draw(st.integers(-n, n - 1))
        return draw(st.sampled_from([number, np.int64(number), np.int8(number)]))
    pixels = range(n)
    far = st.none() | st.integers(-2 * n, 2 * n)
    chosen = slice(draw(far), draw(far), draw(st.none() | st.integers(1, n + 1)))
    return chosen if pixels[chosen] else slice(draw(st.integers(-n, n - 1)), None)


@st.composite
def items(draw: st.DrawFn, shape: tuple[int, ...]) -> Any:
    """An index of an array: fewer entries than axes, or an Ellipsis anywhere, or no tuple."""
    head = draw(st.integers(0, len(shape)))
    index = [draw(entries(n)) for n in shape[:head]]
    if draw(st.booleans()):
        tail = draw(st.integers(0, len(shape) - head))
        index += [..., *(draw(entries(n)) for n in shape[len(shape) - tail :])]
    return index[0] if len(index) == 1 and draw(st.booleans()) else tuple(index)


@st.composite
def chains(draw: st.DrawFn) -> Case:
    """A shape and indices that can be applied one after another."""
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=0, max_size=5)))
    left = np.empty(shape)
    chain = []
    for _ in range(draw(st.integers(0, 5))):
        item = draw(items(left.shape))
        chain.append(item)
        left = np.asarray(left[item])
    return shape, chain


@pytest.mark.slow
@settings(derandomize=True, deadline=None, database=None, max_examples=500)
@given(chains())
def test_chains_of_indices_do_what_numpy_does(case: Case) -> None:
    shape, chain = case
    stored = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    expected: Any = stored
    selection = Selection.whole(shape)
    for item in chain:
        expected = np.asarray(expected[item])
        selection = selection[item]
        assert selection.result_shape == expected.shape
    assert selection.size == expected.size
    np.testing.assert_array_equal(stored[selection.index], expected)
    assert all(isinstance(entry, (int, slice)) for entry in selection.index)
    positions = selection.positions()
    assert positions.dtype == np.int64
    # Each stored pixel is its own position.
    np.testing.assert_array_equal(positions, expected.ravel())
    assert len(selection.kept) == expected.ndim
    assert selection == Selection(shape, selection.axes)
    assert hash(selection) == hash(Selection(shape, selection.axes))


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(chains(), st.data())
def test_the_first_axes_are_a_selection_of_their_own(case: Case, data: st.DataObject) -> None:
    shape, chain = case
    selection = Selection.whole(shape)
    for item in chain:
        selection = selection[item]
    n = data.draw(st.integers(0, len(shape)))
    frames = np.arange(np.prod(shape[:n], dtype=int)).reshape(shape[:n])
    np.testing.assert_array_equal(
        selection.first(n).positions(), np.asarray(frames[selection.index[:n]]).ravel()
    )


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(st.integers(1, 9), st.integers(-30, 30))
def test_integers_out_of_range_are_refused_where_numpy_does(n: int, number: int) -> None:
    whole = Selection.whole((n,))
    try:
        expected = np.arange(n)[number]
    except IndexError:
        with pytest.raises(SelectionError, match=f"index {number} is out of range for .* {n} pix"):
            whole[number]
    else:
        assert whole[number].axes == (expected,)


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(st.integers(1, 9), st.integers(-20, 20), st.integers(-20, 20), st.integers(1, 9))
def test_slices_that_leave_nothing_are_refused(n: int, start: int, stop: int, step: int) -> None:
    whole = Selection.whole((n,))
    expected = np.arange(n)[start:stop:step]
    if expected.size:
        np.testing.assert_array_equal(whole[start:stop:step].positions(), expected)
    else:
        with pytest.raises(SelectionError, match=f"leaves none of {n} pixels"):
            whole[start:stop:step]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ([0, 1], "expected integers, slices and Ellipsis"),
        (([0, 1], 0), "Lists and masks"),
        (np.array([0, 1]), "expected integers"),
        (np.array([True, False, True]), "expected integers"),
        (np.ones((3, 4, 5), bool), "expected integers"),
        (True, "index True: expected"),
        (np.True_, "expected integers"),
        ((0, False), "index False: expected"),
        (None, "index None: expected"),
        ((..., np.newaxis), "index None: expected"),
        (1.0, "index 1.0: expected"),
        ("stokes", "index 'stokes': expected"),
        (b"0", "index b'0': expected"),
        ((..., 0, ...), "at most one Ellipsis"),
        ((0, 0, 0, 0), "has 4 entries for 3 axes"),
        ((0, ..., 0, 0, 0), "has 4 entries for 3 axes"),
        (slice(None, None, -1), "negative steps are not supported"),
        ((..., slice(4, 0, -2)), "negative steps are not supported"),
        (slice(2, 2), "leaves none of 3 pixels"),
        (slice(3, None), "leaves none of 3 pixels"),
        (3, "index 3 is out of range for an axis of 3 pixels"),
        (-4, "index -4 is out of range"),
        ((0, 0, 5), "index 5 is out of range for an axis of 5 pixels"),
        (2**70, "is out of range"),
    ],
)
def test_refusals(item: Any, message: str) -> None:
    with pytest.raises(SelectionError, match=message) as caught:
        Selection.whole((3, 4, 5))[item]
    assert isinstance(caught.value, IndexError)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (slice(None, None, 0), "a step of 0"),
        (slice(None, None, 1.5), "expected integers"),
        (slice("a", None), "expected integers"),
        (slice(0, [2]), "expected integers"),
    ],
)
def test_slices_of_other_things_are_refused(item: slice, message: str) -> None:
    with pytest.raises(SelectionError, match=message):
        Selection.whole((3,))[item]


def test_an_array_without_axes_takes_no_index() -> None:
    whole = Selection.whole(())
    assert whole[()] == whole[...] == whole
    assert whole.positions().tolist() == [0]
    with pytest.raises(SelectionError, match="has 1 entries for 0 axes"):
        whole[0]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3,), ()), ((3,), (3,)), ((3,), (-1,)), ((3,), (range(4),)), ((3, 4), (range(-1, 2), 0))],
)
def test_axes_outside_the_array_are_refused(shape: Any, axes: Any) -> None:
    with pytest.raises(SelectionError):
        Selection(shape, axes)


def test_full_index_has_an_entry_for_each_axis() -> None:
    assert full_index(..., 2) == (slice(None), slice(None))
    assert full_index((1, ..., -1), 4) == (1, slice(None), slice(None), -1)
    assert full_index((), 1) == (slice(None),)
    assert full_index((..., 1, 2), 2) == (1, 2)


# As it is written -------------------------------------------------------------------------------


class Written:
    """What stands in the brackets, as Python itself reads it."""

    def __getitem__(self, item: Any) -> Any:
        return item if isinstance(item, tuple) else (item,)


@pytest.mark.parametrize(
    "text",
    ["0, 50", "..., 10:20:2, 3", "-1", ":", "::2", "1:", ":-3", "0,", "...", "+4, 0 : 7", "1:2:3"],
)
def test_an_index_is_read_as_python_does(text: str) -> None:
    expected = eval(f"written[{text}]", {"written": Written()})
    assert parse_index(text) == expected
    assert parse_index(f" [{text}] ") == expected


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(items((5, 6, 7)))
def test_an_index_as_text_and_back(item: Any) -> None:
    entries = item if isinstance(item, tuple) else (item,)
    text = ", ".join(
        "..." if entry is ...
        else ":".join("" if n is None else str(n) for n in (entry.start, entry.stop, entry.step))
        if isinstance(entry, slice) else str(entry)
        for entry in entries
    )  # fmt: skip
    assert parse_index(text) == tuple(entries)


def test_no_index_is_everything() -> None:
    assert parse_index("") == parse_index(" [ ] ") == ()


@pytest.mark.parametrize(
    "text",
    ["a", "0, b", "1.5", "1:2:3:4", "0,,1", ",", "..", "True", "None", "0; 1", "1e3", "1_0",
     "\u0661", "..., ...", "::0", "[0", "__import__('os')", "9" * 19, "0, [1, 2]"],
)  # fmt: skip
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(SelectionError):
        parse_index(text)
