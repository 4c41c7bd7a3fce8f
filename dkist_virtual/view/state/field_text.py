"""Write the fields of frozen dataclasses as short texts by their types, and read them back.

Nothing is evaluated: a text is read as the type of its field says, or refused in one sentence.

======================  =========================================
type                    text
======================  =========================================
int, float              ``3``, ``-0.25``
bool                    ``yes``, ``no``
str                     itself, with ``%2C`` for a comma
None                    ``none``
tuple                   ``1,2,3``
tuple of tuples         ``0,0,2;1,100,140``; their tuples by ``|``
======================  =========================================
"""

from __future__ import annotations

import math
import re
import types
from dataclasses import is_dataclass
from typing import Any, Final, Literal, Union, get_args, get_origin
from urllib.parse import quote, unquote

__all__ = ["RefusedTextError", "is_nested", "read", "write"]

_SEPARATORS: Final = ",;|"
"""Between the parts of a tuple: of plain values, of tuples of them, of tuples of those."""
_INTEGER: Final = re.compile(r"-?[0-9]{1,12}", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[-+]?[0-9]{1,3})?", re.ASCII)
_BOOLS: Final = {"yes": True, "no": False}
_NONE: Final = "none"
_EMPTY: Final = "()"
_EMPTY_TEXT: Final = "''"
_LONGEST: Final = 100
"""Characters of a text."""
_MOST: Final = 1000
"""Parts of a tuple."""


class RefusedTextError(ValueError):
    """A text is not one of a type: ``str(error)`` says what was expected."""


def is_nested(kind: Any) -> bool:
    """Whether a type is a tuple of dataclasses, whose fields are written one by one."""
    arguments = get_args(kind)
    return get_origin(kind) is tuple and is_dataclass(arguments[0])


def _without_none(kind: Any) -> tuple[Any, bool]:
    """Return a type without None, and whether it had it."""
    if get_origin(kind) in (Union, types.UnionType):
        (rest,) = [one for one in get_args(kind) if one is not types.NoneType]
        return rest, True
    return kind, False


def _parts(kind: Any, n: int) -> list[Any]:
    """Return the types of `n` parts of a tuple."""
    arguments = get_args(kind)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return [arguments[0]] * n
    if len(arguments) != n:
        raise RefusedTextError(f"{len(arguments)} values, found {n}")
    return list(arguments)


def _depth(kind: Any) -> int:
    """Return how deep tuples of a type are nested."""
    kind, _ = _without_none(kind)
    if get_origin(kind) is not tuple:
        return 0
    return 1 + max(_depth(one) for one in get_args(kind) if one is not Ellipsis)


def write(kind: Any, value: Any) -> str:
    """Write a value of a type."""
    return _write(kind, value, is_whole=True)


def _write(kind: Any, value: Any, *, is_whole: bool) -> str:
    kind, _ = _without_none(kind)
    if value is None:
        return _NONE
    if get_origin(kind) is tuple:
        if not value:
            return "" if is_whole else _EMPTY
        separator = _SEPARATORS[_depth(kind) - 1]
        parts = zip(_parts(kind, len(value)), value, strict=True)
        return separator.join(_write(one, part, is_whole=False) for one, part in parts)
    if kind is bool:
        return "yes" if value else "no"
    if kind is int:
        return str(int(value))
    if kind is float:
        if not math.isfinite(value):
            raise ValueError(f"{value!r}: expected a finite number")
        return repr(float(value)).removesuffix(".0")
    return _write_text(str(value))


def _write_text(text: str) -> str:
    if not text:
        return _EMPTY_TEXT
    escaped = quote(text, safe=" !#$&*+/:<=>?@[]^`{}~")
    if escaped in (_NONE, _EMPTY, _EMPTY_TEXT):
        return f"%{ord(escaped[0]):02X}{escaped[1:]}"
    return escaped


def read(kind: Any, text: str) -> Any:
    """Read a value of a type; RefusedTextError if the text is not one."""
    return _read(kind, text, is_whole=True)


def _read(kind: Any, text: str, *, is_whole: bool) -> Any:
    kind, has_none = _without_none(kind)
    if has_none and text == _NONE:
        return None
    if get_origin(kind) is tuple:
        if text == ("" if is_whole else _EMPTY):
            found: list[str] = []
        else:
            found = text.split(_SEPARATORS[_depth(kind) - 1], _MOST + 1)
        if len(found) > _MOST:
            raise RefusedTextError(f"at most {_MOST} values")
        return tuple(
            _read(one, part, is_whole=False)
            for one, part in zip(_parts(kind, len(found)), found, strict=True)
        )
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise RefusedTextError("one of " + ", ".join(map(str, get_args(kind))))
        return text
    if kind is bool:
        if text not in _BOOLS:
            raise RefusedTextError("yes or no")
        return _BOOLS[text]
    if kind is int:
        if not _INTEGER.fullmatch(text):
            raise RefusedTextError("whole numbers" if not is_whole else "a whole number")
        return int(text)
    if kind is float:
        number = float(text) if _NUMBER.fullmatch(text) else math.inf
        if not math.isfinite(number):
            raise RefusedTextError("numbers" if not is_whole else "a number")
        return number
    return _read_text(text)


def _read_text(text: str) -> str:
    if text == _EMPTY_TEXT:
        return ""
    try:
        found = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise RefusedTextError("text in UTF-8") from None
    if not text or len(found) > _LONGEST or not found.isprintable():
        raise RefusedTextError(f"1 to {_LONGEST} printable characters")
    return found
