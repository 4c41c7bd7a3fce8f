"""The address of a page holds its whole state, and refuses whatever is not one."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dkist_virtual.errors import SelectionError
from dkist_virtual.view.state.address import LONGEST, read_address, write_address
from dkist_virtual.view.state.field_text import RefusedTextError, read, write
from dkist_virtual.view.state.state import PictureState, ViewState

if TYPE_CHECKING:
    from dkist_virtual.view.source import Source

SHAPE = (4, 7, 40, 64)


@dataclass(frozen=True)
class Shaped:
    """What of a source an address is checked against."""

    shape: tuple[int, ...] = SHAPE
    tiles: tuple[object, ...] = (None, None)


SOURCES = cast("list[Source]", [Shaped(), Shaped((3, 48, 48))])
PICTURE = PictureState(axes=(3, 2))
STATE = ViewState(point=(0, 1, 20, 32), pictures=(PICTURE,))

FULL = ViewState(
    point=(3, 6, 39, 63),
    pictures=(
        PictureState(
            axes=(3, 2), held=((0, 3),), lag=((1, -2),), dataset=0, kind="doppler",
            window=(-10.5, 1e-7, 3.25, 4e20), limits=(-0.5, 1234.5), cmap="viridis",
        ),
        PictureState(axes=(2, 1), dataset=1, kind="fraction"),
    ),
    is_locked=True, pins=((0, 0, 0, 0), (1, 2, 3, 4)), box=(-3.5, 8.0, 0.25, 9.0),
    ranges=((1, 2, 5), (0, 0, 1)), path=((1.5, 2.0), (-3.0, 4.25)), line=630.2502,
    panels=("spectrum", "raster-map"), detrended=True, fractions=True, wing=12.5, tile=1,
)  # fmt: skip


def test_an_address_reads_as_what_it_holds() -> None:
    state = ViewState((0, 1, 20, 32), (PICTURE,), box=(-3.5, 8.0, 0.25, 9.0), line=630.25,
                      ranges=((1, 2, 5),), is_locked=True)  # fmt: skip
    assert write_address(state, SOURCES) == (
        "point=0,1,20,32&picture1.axes=3,2&is_locked=yes&box=-3.5,8,0.25,9&ranges=1,2,5"
        "&line=630.25&shape=4,7,40,64;3,48,48"
    )


@pytest.mark.parametrize("of", [ViewState, PictureState])
def test_every_field_is_in_the_address(of: type) -> None:
    """Those of `FULL` all differ from the default, so that none could be left out unseen."""
    held = FULL if of is ViewState else FULL.pictures[0]
    other = STATE if of is ViewState else FULL.pictures[1]
    for field in fields(of):
        differs = getattr(held, field.name) != getattr(other, field.name) or field.name == "dataset"
        assert differs, f"{field.name}: give it another value in FULL, and check it in check_state"


def test_the_whole_state_comes_back() -> None:
    address = write_address(FULL, SOURCES)
    assert read_address(address, SOURCES) == FULL
    assert read_address(f"?{address}", SOURCES) == FULL
    assert re.fullmatch(r"[\x21-\x7e]+", address)
    assert not set(address) & set("\"'<>\\ #")


# Any value of any field, by its type: those that are added later too.


def _values(kind: Any) -> st.SearchStrategy[Any]:
    arguments, origin = get_args(kind), get_origin(kind)
    if origin is UnionType or NoneType in arguments:
        return st.one_of(st.none() if one is NoneType else _values(one) for one in arguments)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(_values(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*map(_values, arguments))
    if is_dataclass(kind):
        return st.builds(kind, **{name: _values(one) for name, one in get_type_hints(kind).items()})
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    plain = {
        int: st.integers(-(10**9), 10**9),
        bool: st.booleans(),
        str: st.text(st.characters(exclude_categories=["C", "Z"]), max_size=10)
        | st.sampled_from(["none", "()", "''", "", "a,b;c|d%2C", "&x=1"]),
    }
    return plain[kind]


@pytest.mark.parametrize(
    ("of", "name"),
    [(of, f.name) for of in (ViewState, PictureState) for f in fields(of) if f.name != "pictures"],
)
def test_any_value_of_a_field_comes_back(of: type, name: str) -> None:
    kind = get_type_hints(of)[name]

    @settings(max_examples=30)
    @given(_values(kind))
    def comes_back(value: Any) -> None:
        assert read(kind, write(kind, value)) == value

    comes_back()


@settings(max_examples=30)
@given(st.data())
def test_any_state_of_a_dataset_comes_back(data: st.DataObject) -> None:
    pixel = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))
    number = st.floats(-1e6, 1e6)
    bounds = st.tuples(number, number, number, number).filter(
        lambda b: b[0] != b[1] and b[2] != b[3]
    )
    picture = st.builds(
        PictureState,
        axes=st.sampled_from([(3, 2), (0, 1), (2, 3)]),
        held=st.sampled_from([(), ((0, 3),), ((0, 1), (1, 6))]),
        window=st.none() | bounds,
        cmap=st.sampled_from([None, "gray", "viridis"]),
    )
    state = data.draw(st.builds(
        ViewState, point=pixel, pictures=st.lists(picture, min_size=1, max_size=4).map(tuple),
        pins=st.lists(pixel, max_size=3).map(tuple), box=st.none() | bounds,
        path=st.lists(st.tuples(number, number), max_size=4).map(tuple),
        panels=st.none() | st.just(()) | st.just(("a", "b")), is_locked=st.booleans(),
        ranges=st.sampled_from([(), ((0, 1, 4),), ((3, 0, 64), (1, 2, 3))]),
    ))  # fmt: skip
    assert read_address(write_address(state, SOURCES), SOURCES) == state


# What is refused ----------------------------------------------------------------------------

GOOD = "point=0,1,20,32&picture1.axes=3,2"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "no point"),
        ("point", "not one"),
        ("point=0,1,20,32", "pictures = 0"),
        ("picture1.axes=3,2", "no point"),
        ("point=0,1,20&picture1.axes=3,2", "4 pixels"),
        ("point=0,7,20,32&picture1.axes=3,2", "0 to 6 along axis 1"),
        ("point=0,-1,20,32&picture1.axes=3,2", "0 to 6"),
        ("point=0,1,20,3e1&picture1.axes=3,2", "whole numbers"),
        ("point=0,1,20,\u0663&picture1.axes=3,2", "whole numbers"),
        ("point=0,1,20,99999999999999999999&picture1.axes=3,2", "whole numbers"),
        ("point=0,1,20,32&picture1.axes=3,3", "two different"),
        ("point=0,1,20,32&picture1.axes=3", "2 values, found 1"),
        ("point=0,1,20,32&picture1.axes=3,4", "axis, 0 to 3"),
        (f"{GOOD}&picture2.kind=data", "no picture2.axes"),
        (f"{GOOD}&picture3.axes=3,2", "picture3.axes' is not a part"),
        (f"{GOOD}&picture1.dataset=2", "one of 2"),
        (f"{GOOD}&picture1.dataset=1", "axis, 0 to 2"),
        (f"{GOOD}&picture1.kind=eval", "data, fraction, doppler"),
        (f"{GOOD}&picture1.held=0,4", "0 to 3"),
        (f"{GOOD}&picture1.held=0,1;0,2", "once"),
        (f"{GOOD}&picture1.lag=1,7", "fewer pixels than 7"),
        (f"{GOOD}&picture1.window=1,1,0,2", "more than a line"),
        (f"{GOOD}&picture1.limits=2,1", "lower one first"),
        (f"{GOOD}&picture1.limits=nan,1", "numbers"),
        (f"{GOOD}&picture1.cmap=<script>", "colour map"),
        (f"{GOOD}&picture1.cmap=__class__", "colour map"),
        (f"{GOOD}&box=0,1e400,2,3", "numbers"),
        (f"{GOOD}&box=0,1,2", "4 values, found 3"),
        (f"{GOOD}&ranges=1,3,3", "first and end"),
        (f"{GOOD}&ranges=1,0,8", "0 to 7"),
        (f"{GOOD}&ranges=1,0,2;1,3,4", "once"),
        (f"{GOOD}&line=-1", "more than 0"),
        (f"{GOOD}&wing=0", "more than 0"),
        (f"{GOOD}&panels=<b>", "names of panels"),
        (f"{GOOD}&panels=%00", "printable"),
        (f"{GOOD}&is_locked=1", "yes or no"),
        (f"{GOOD}&foo=1", "'foo' is not a part of a view: expected one of point"),
        (f"{GOOD}&point=0,1,20,32", "twice"),
        (f"{GOOD}&__class__=1", "not a part"),
        (f"{GOOD}&line=%ff", "UTF-8"),
        (f"{GOOD}&shape=4,7,40,65;3,48,48", "shape '4,7,40,65;3,48,48'"),
        (f"{GOOD}&shape=4,7,40,64", "Was the store replaced"),
        (f"{GOOD}&path=" + ";".join(["1,2"] * 1400), "1000|6000"),
        (f"{GOOD}&path=" + ";".join(["1,2"] * 300), "0 to 200"),
        (f"{GOOD}&pins=" + ";".join(["1,2,3,4"] * 51), "0 to 50"),
        (GOOD + "&x=" * 300, "not one"),
        (GOOD + "&line=" + "1" * LONGEST, "at most 6000"),
        ("&".join(["point=0,1,20,32", *(f"picture{n}.axes=3,2" for n in range(1, 31))]), "20"),
    ],
)  # fmt: skip
def test_what_is_no_state_of_these_data_is_refused_in_a_sentence(query: str, found: str) -> None:
    with pytest.raises(SelectionError, match=found) as caught:
        read_address(query, SOURCES)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    assert ": expected " in message


@settings(max_examples=50)
@given(st.text(max_size=80) | st.text("poinctures123.axgbl=&;,|%()'-0", max_size=80))
def test_any_text_is_a_state_or_refused(text: str) -> None:
    for query in (text, f"{GOOD}&{text}", f"{GOOD}&panels={text}", f"{GOOD}&path={text}"):
        try:
            state = read_address(query, SOURCES)
        except SelectionError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            assert read_address(write_address(state), SOURCES) == state


def test_a_state_too_long_for_an_address_is_refused() -> None:
    state = ViewState((0, 0, 0, 0), (PICTURE,), path=((0.123456789, 1.23456789),) * 400)
    with pytest.raises(SelectionError, match=r"Remove pins, or corners of the path"):
        write_address(state)


def test_texts_are_refused_by_type() -> None:
    with pytest.raises(RefusedTextError, match="a whole number"):
        read(int, "1.5")
    with pytest.raises(ValueError, match="finite"):
        write(float, float("nan"))
    assert ast.literal_eval(write(float, 0.1)) == 0.1
