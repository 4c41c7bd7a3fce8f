"""Keep the whole state of a page in its address, and read it back.

    point=0,12,321,40&picture1.axes=3,2&box=-10.5,20,3,4&ranges=1,100,140&line=630.25

Every field of `ViewState` that has not its default is there by its name, also one that is added
later; those of pictures are numbered. ``shape`` says what the address was made for. A text from
elsewhere is refused in one sentence, or it is a state of these datasets.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_type_hints
from urllib.parse import parse_qsl, quote

from dkist_virtual.errors import SelectionError
from dkist_virtual.fits.errors import one_line
from dkist_virtual.view.state.check_state import check_state
from dkist_virtual.view.state.field_text import RefusedTextError, is_nested, read, write
from dkist_virtual.view.state.state import ViewState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from dataclasses import Field

    from dkist_virtual.view.source import Source

__all__ = ["LONGEST", "read_address", "write_address"]

LONGEST: Final = 6000
"""Characters of an address: browsers, servers and mail pass on so many."""

_SHAPE: Final = "shape"
_SHAPES: Final = tuple[tuple[int, ...], ...]
_MOST_NESTED: Final = 20

T = TypeVar("T")


_TYPES: Final[dict[type, dict[str, Any]]] = {}
"""Of the fields of each class: to evaluate them takes longer than all else."""


def _types(of: type) -> dict[str, Any]:
    if of not in _TYPES:
        _TYPES[of] = get_type_hints(of)
    return _TYPES[of]


def _default(field: Field[Any]) -> Any:
    """Return the default of a field, MISSING where it has none."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _singular(name: str) -> str:
    return name.removesuffix("s")


# Writing ------------------------------------------------------------------------------------


def write_address(state: ViewState, sources: Sequence[Source] = ()) -> str:
    """Write a state as the query of an address, without its question mark.

    With `sources` it also says what shape they have, which is checked when it is read.

    Raises
    ------
    SelectionError
        It would be too long.
    """
    pairs = _pairs(state, "")
    if sources:
        pairs.append((_SHAPE, write(_SHAPES, tuple(source.shape for source in sources))))
    query = "&".join(f"{name}={quote(value, safe=',;:()~')}" for name, value in pairs)
    if len(query) > LONGEST:
        raise SelectionError(
            f"the address of this view has {len(query)} characters: expected at most {LONGEST}. "
            "Remove pins, or corners of the path"
        )
    return query


def _pairs(of: Any, prefix: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for field in fields(of):
        kind, value = _types(type(of))[field.name], getattr(of, field.name)
        if value == _default(field):
            continue
        if not is_nested(kind):
            pairs.append((f"{prefix}{field.name}", write(kind, value)))
            continue
        for number, part in enumerate(value, 1):
            pairs += _pairs(part, f"{prefix}{_singular(field.name)}{number}.")
    return pairs


# Reading ------------------------------------------------------------------------------------


def read_address(query: str, sources: Sequence[Source]) -> ViewState:
    """Read a state of some datasets from the query of an address.

    Parameters
    ----------
    query : str
        With or without a question mark.
    sources : sequence of Source

    Raises
    ------
    SelectionError
        It is not one that `write_address` writes, or is of other datasets: what was found, and
        what was expected, in one sentence.
    """
    query = query.removeprefix("?")
    if len(query) > LONGEST:
        raise _refused(f"has {len(query)} characters", f"at most {LONGEST}")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=200
        )
    except ValueError:
        raise _refused(f"{_shown(query)} is not one", "name=value&name=value, in UTF-8") from None
    given: dict[str, str] = {}
    for name, text in pairs:
        if name in given:
            raise _refused(f"{_shown(name)} is there twice", "each name once")
        given[name] = text
    _check_shape(given.pop(_SHAPE, None), sources)
    state = _make(ViewState, given, "")
    if given:
        known = [field.name for field in fields(ViewState)]
        raise _refused(
            f"{_shown(next(iter(given)))} is not a part of a view", "one of " + ", ".join(known)
        )
    check_state(state, sources)
    return state


def _refused(found: str, expected: str) -> SelectionError:
    return SelectionError(f"address: {found}: expected {expected}")


def _shown(text: str) -> str:
    """Quote a text from elsewhere, in one short line."""
    text = one_line(text)
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _read(kind: Any, name: str, text: str) -> Any:
    try:
        return read(kind, text)
    except RefusedTextError as error:
        raise _refused(f"{name}={_shown(text)}", str(error)) from None


def _check_shape(text: str | None, sources: Sequence[Source]) -> None:
    if text is None:
        return
    found, here = _read(_SHAPES, _SHAPE, text), tuple(source.shape for source in sources)
    if found != here:
        raise _refused(
            f"is of data of shape {_shown(write(_SHAPES, found))}",
            f"that of the data shown, {write(_SHAPES, here)}. Was the store replaced, or is it "
            "another one?",
        )


def _make(of: type[T], given: dict[str, str], prefix: str) -> T:
    """Make a dataclass of the texts whose names begin with a prefix, and take these away."""
    values: dict[str, Any] = {}
    for field in fields(of):  # type: ignore[arg-type]
        kind, name = _types(of)[field.name], f"{prefix}{field.name}"
        if is_nested(kind):
            values[field.name] = tuple(_make_each(get_args(kind)[0], given, _singular(name)))
            if not values[field.name] and _default(field) is not MISSING:
                del values[field.name]
        elif name in given:
            values[field.name] = _read(kind, name, given.pop(name))
        elif _default(field) is MISSING:
            raise _refused(f"has no {name}", f"{name}=...")
    try:
        return of(**values)
    except SelectionError as error:
        raise SelectionError(f"address: {prefix.rstrip('.')} {error}") from None


def _make_each(of: type[T], given: dict[str, str], prefix: str) -> list[T]:
    made: list[T] = []
    while any(name.startswith(f"{prefix}{len(made) + 1}.") for name in given):
        if len(made) == _MOST_NESTED:
            raise _refused(f"has {prefix}{len(made) + 1}", f"at most {_MOST_NESTED}")
        made.append(_make(of, given, f"{prefix}{len(made) + 1}."))
    return made
