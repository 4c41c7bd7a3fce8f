"""Find the cards of a FITS header by keyword, and parse them when asked (FITS standard 4.0, 4).

Pure. Cards that nobody asks for, often hundreds, are indexed by name and never parsed.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np

from dkist_virtual.fits.errors import FrameCorruptError, FrameUnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CARD", "HDUTarget", "Header", "checked_target"]

CARD: Final = 80
"""Length of a header card in bytes (4.1)."""

HDUTarget: TypeAlias = int | str
"""Which HDU of a file: its index, 0 being the primary, or its EXTNAME."""


def checked_target(hdu: object, said: object = None) -> HDUTarget:
    """Check which HDU a user names.

    Parameters
    ----------
    hdu : object
    said : object, optional
        What the user gave, for messages, if that is a list.

    Raises
    ------
    TypeError
        It is neither an index nor a name.
    ValueError
        It is a negative index, or an empty name.
    """
    said = hdu if said is None else said
    if isinstance(hdu, str) and hdu.strip():
        return hdu
    if isinstance(hdu, (int, np.integer)) and not isinstance(hdu, bool) and hdu >= 0:
        return int(hdu)
    known = isinstance(hdu, (str, int, np.integer)) and not isinstance(hdu, bool)
    raise (ValueError if known else TypeError)(
        f"hdu = {said!r}: expected an index from 0, or an EXTNAME"
    )


_D = TypeVar("_D")
_V = TypeVar("_V")
_INTEGER = re.compile(r"[+-]?\d{1,20}")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")
_STRING = re.compile(r" *'((?:[^']|'')*)'")


_NO_VALUE: Final = (b"COMMENT ", b"HISTORY ", b" " * 8)
"""Keywords that occur as often as they like, since they have no value (4.4.2.4)."""


@lru_cache(4096)
def _key(keyword: str) -> bytes:
    """Return a keyword as a card begins with it (4.1.2.1)."""
    return keyword.encode("ascii").ljust(8)


class Header:
    """Find the cards of one header by keyword, and parse them when asked.

    A keyword that occurs twice must have the same value twice: otherwise the standard leaves open
    which of them counts (4.1.2.3), and readers differ.

    Parameters
    ----------
    cards : bytes
        Whole cards, without the END card.
    hdu : int or str
        Which HDU this is, for messages.
    """

    __slots__ = ("_cards", "_first", "_last", "hdu")

    def __init__(self, cards: bytes, hdu: HDUTarget) -> None:
        self._cards = cards
        self.hdu = hdu
        n = len(cards) // CARD
        keywords = np.ndarray((n,), "S8", cards, strides=(CARD,)).tolist() if n else []
        if n and np.ndarray((n, 8), "u1", cards, strides=(CARD, 1)).max() >= ord("a"):
            keywords = [name.upper() for name in keywords]  # not allowed, but astropy reads it
        # Reversed, so that the first of two equal keywords is what stays.
        self._first = dict(zip(reversed(keywords), range((n - 1) * CARD, -1, -CARD), strict=True))
        self._last = self._first
        spare = n - len(self._first)
        if spare and spare > sum(keywords.count(k) - 1 for k in _NO_VALUE if k in self._first):
            self._last = dict(zip(keywords, range(0, n * CARD, CARD), strict=True))

    def __contains__(self, keyword: str) -> bool:
        return _key(keyword) in self._first

    def text(self) -> str:
        """Return all cards as text, unchanged."""
        return self._cards.decode("ascii", "replace")

    def corrupt(self, problem: str) -> FrameCorruptError:
        """Return the error for keywords that are wrong."""
        return FrameCorruptError(f"HDU {self.hdu}: {problem}")

    def unsupported(self, problem: str) -> FrameUnsupportedError:
        """Return the error for keywords that ask for something unknown."""
        return FrameUnsupportedError(f"HDU {self.hdu}: {problem}")

    def _corrupt(self, keyword: str, found: str, expected: str) -> FrameCorruptError:
        return self.corrupt(f"{keyword} = {found}: expected {expected}")

    def _places(self, keyword: str) -> list[int]:
        """Return where the cards of a keyword begin."""
        key = _key(keyword)
        if key not in self._first:
            return []
        between = range(self._first[key], self._last[key] + 1, CARD)
        return [at for at in between if self._cards[at : at + 8].upper() == key]

    def _value(self, keyword: str, parse: Callable[[str, int], _V | None], default: _D) -> _V | _D:
        """Return the value of a keyword; `default` if its card is missing or has no value.

        Raises
        ------
        FrameCorruptError
            There are two values.
        """
        key = _key(keyword)
        first = self._first.get(key)
        if first is None:
            return default
        value = parse(keyword, first)
        if self._last[key] != first:
            for place in self._places(keyword)[1:]:
                other = parse(keyword, place)
                if other != value:
                    found = ["nothing" if v is None else str(v) for v in (value, other)]
                    raise self._corrupt(
                        keyword, f"{found[0]}, and {found[1]} in another card", "one value"
                    )
        return default if value is None else value

    def _text(self, keyword: str, start: int) -> str | None:
        """Return the bytes 11 to 80 of a card as text, None where there is no value."""
        card = self._cards[start : start + CARD]
        if card[8:10] != b"= ":
            return None
        try:
            return card[10:].decode("ascii")
        except UnicodeDecodeError:
            raise self._corrupt(keyword, repr(card[10:]), "ASCII text (4.1.2.1)") from None

    def _number(self, keyword: str, start: int) -> str | None:
        text = self._text(keyword, start)
        return None if text is None else text.partition("/")[0].strip() or None

    def integer(self, keyword: str) -> int:
        """Return an integer value (4.2.3) of a card that must be there."""
        return self._required(keyword, self.integer_or(keyword, None))

    def integer_or(self, keyword: str, default: _D) -> int | _D:
        """Return an integer value (4.2.3) of 64 bits, `default` where there is no such card."""
        return self._value(keyword, self._integer, default)

    def whole(self, keyword: str) -> int:
        """Return an integer value, possibly written as ``32.0``, of a card that must be there."""
        return self._required(keyword, self.whole_or(keyword, None))

    def whole_or(self, keyword: str, default: _D) -> int | _D:
        """Return an integer value that may be written as ``32.0``: so are some Z keywords."""
        return self._value(keyword, self._whole, default)

    def _required(self, keyword: str, value: int | None) -> int:
        if value is None:
            raise self.corrupt(f"{keyword} is missing: expected an integer")
        return value

    def _integer(self, keyword: str, start: int) -> int | None:
        text = self._number(keyword, start)
        if text is None:
            return None
        # int() alone would take "1_000" and any length: 20 digits are more than 2**63.
        if not _INTEGER.fullmatch(text):
            raise self._corrupt(keyword, text[:30], "an integer")
        value = int(text)
        if not -(2**63) <= value < 2**63:
            raise self._corrupt(keyword, text, "an integer of 64 bits")
        return value

    def _whole(self, keyword: str, start: int) -> int | None:
        text = self._number(keyword, start)
        if text is None or _INTEGER.fullmatch(text) or not _REAL.fullmatch(text):
            return self._integer(keyword, start)
        value = self._real(keyword, start)
        # Beyond 2**53 a float no longer says which integer it is.
        if value is None or not value.is_integer() or abs(value) > 2**53:
            raise self._corrupt(keyword, text, "an integer")
        return int(value)

    def logical(self, keyword: str, default: bool) -> bool:
        """Return a logical value, T or F (4.2.2)."""
        return self._value(keyword, self._logical, default)

    def _logical(self, keyword: str, start: int) -> bool | None:
        text = self._number(keyword, start)
        if text is None:
            return None
        if text not in ("T", "F"):
            raise self._corrupt(keyword, text, "T or F")
        return text == "T"

    def real(self, keyword: str, default: _D) -> float | _D:
        """Return a floating-point value (4.2.4); an exponent may be written with D."""
        return self._value(keyword, self._real, default)

    def _real(self, keyword: str, start: int) -> float | None:
        text = self._number(keyword, start)
        if text is None:
            return None
        if not _REAL.fullmatch(text):
            raise self._corrupt(keyword, text, "a number")
        value = float(text.upper().replace("D", "E"))
        if not math.isfinite(value):
            raise self._corrupt(keyword, text, "a number that 64 bits can hold")
        return value

    def string(self, keyword: str, default: str | None = None) -> str | None:
        """Return a string (4.2.1), CONTINUE cards (4.2.1.2) joined, trailing blanks dropped."""
        return self._value(keyword, self._string, default)

    def values(self, keyword: str) -> list[str | float | None]:
        """Return all values of a keyword, of any type; None for a card without, or broken."""
        return [self._any(keyword, place) for place in self._places(keyword)]

    def first(self, keyword: str) -> str | float | None:
        """Return the first value of a keyword, of any type; None without one, or if it is broken.

        For keywords that say nothing about how pixels are stored: astropy's headers give the first.
        """
        return next(iter(self.values(keyword)), None)

    def _any(self, keyword: str, start: int) -> str | float | None:
        for parse in (self._string, self._integer, self._real, self._logical):
            try:
                return parse(keyword, start)
            except FrameCorruptError:
                continue
        return None

    def _string(self, keyword: str, start: int) -> str | None:
        text = self._text(keyword, start)
        if text is None:
            return None
        value = self._quoted(keyword, text)
        start += CARD
        while value.endswith("&") and self._cards[start : start + 10] == b"CONTINUE  ":
            more = self._cards[start + 10 : start + CARD].decode("ascii", "replace")
            value = value[:-1] + self._quoted(keyword, more)
            start += CARD
        return value.rstrip()

    def _quoted(self, keyword: str, text: str) -> str:
        match = _STRING.match(text)
        if match is None:
            raise self._corrupt(keyword, text.strip(), "a string in single quotes")
        return match[1].replace("''", "'")
