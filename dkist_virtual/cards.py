"""The cards of a FITS header: found by keyword, parsed when asked for (FITS standard 4.0, 4).

Pure. The 300 cards of a DKIST header that say nothing about how its pixels are stored are
indexed by name and never parsed.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Final, TypeAlias, TypeVar

import numpy as np

from dkist_virtual.errors import FrameCorruptError

__all__ = ["CARD", "HDUTarget", "Header"]

CARD: Final = 80
"""Length of a header card in bytes (4.1)."""

HDUTarget: TypeAlias = int | str
"""Which HDU of a file: its index, 0 being the primary, or its EXTNAME."""

_D = TypeVar("_D")
_INTEGER = re.compile(r"[+-]?\d{1,20}")
_REAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")
_STRING = re.compile(r" *'((?:[^']|'')*)'")


@lru_cache(4096)
def _key(keyword: str) -> bytes:
    """A keyword as it stands at the beginning of a card (4.1.2.1)."""
    return keyword.encode("ascii").ljust(8)


class Header:
    """The cards of one header, found by keyword and parsed when asked for.

    Where a keyword stands twice, the first one counts, as in astropy.

    Parameters
    ----------
    cards : bytes
        Whole cards, without the END card.
    hdu : int or str
        Which HDU this is, for messages.
    """

    __slots__ = ("_cards", "_index", "hdu")

    def __init__(self, cards: bytes, hdu: HDUTarget) -> None:
        self._cards = cards
        self.hdu = hdu
        n = len(cards) // CARD
        keywords = np.ndarray((n,), "S8", cards, strides=(CARD,)).tolist() if n else []
        # Reversed, so that the first of two equal keywords is what stays.
        self._index = dict(zip(reversed(keywords), range((n - 1) * CARD, -1, -CARD), strict=True))

    def __contains__(self, keyword: str) -> bool:
        return _key(keyword) in self._index

    def text(self) -> str:
        """All cards, as they stand in the file."""
        return self._cards.decode("ascii", "replace")

    def _corrupt(self, keyword: str, found: str, expected: str) -> FrameCorruptError:
        return FrameCorruptError(f"HDU {self.hdu}: {keyword} = {found}: expected {expected}")

    def _text(self, keyword: str) -> str | None:
        """The card's bytes 11 to 80 as text, None where there is no such card or no value."""
        start = self._index.get(_key(keyword))
        if start is None:
            return None
        card = self._cards[start : start + CARD]
        if card[8:10] != b"= ":
            return None
        try:
            return card[10:].decode("ascii")
        except UnicodeDecodeError:
            raise self._corrupt(keyword, repr(card[10:]), "ASCII text (4.1.2.1)") from None

    def _number(self, keyword: str) -> str | None:
        text = self._text(keyword)
        return None if text is None else text.partition("/")[0].strip()

    def integer(self, keyword: str) -> int:
        """An integer value (4.2.3) of a card that must be there."""
        value = self.integer_or(keyword, None)
        if value is None:
            raise FrameCorruptError(f"HDU {self.hdu}: {keyword} is missing: expected an integer")
        return value

    def integer_or(self, keyword: str, default: _D) -> int | _D:
        """An integer value (4.2.3) of 64 bits, `default` where there is no such card."""
        text = self._number(keyword)
        if not text:
            return default
        # int() alone would take "1_000" and any length: 20 digits are more than 2**63.
        if not _INTEGER.fullmatch(text):
            raise self._corrupt(keyword, text[:30], "an integer")
        value = int(text)
        if not -(2**63) <= value < 2**63:
            raise self._corrupt(keyword, text, "an integer of 64 bits")
        return value

    def logical(self, keyword: str, default: bool) -> bool:
        """A logical value, T or F (4.2.2)."""
        text = self._number(keyword)
        if not text:
            return default
        if text not in ("T", "F"):
            raise self._corrupt(keyword, text, "T or F")
        return text == "T"

    def real(self, keyword: str, default: _D) -> float | _D:
        """A floating-point value (4.2.4); an exponent may be written with D."""
        text = self._number(keyword)
        if not text:
            return default
        if not _REAL.fullmatch(text):
            raise self._corrupt(keyword, text, "a number")
        value = float(text.upper().replace("D", "E"))
        if not math.isfinite(value):
            raise self._corrupt(keyword, text, "a number that 64 bits can hold")
        return value

    def string(self, keyword: str, default: str | None = None) -> str | None:
        """A string value (4.2.1), CONTINUE cards (4.2.1.2) joined, trailing blanks dropped."""
        text = self._text(keyword)
        if text is None:
            return default
        value = self._quoted(keyword, text)
        start = self._index[_key(keyword)] + CARD
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
