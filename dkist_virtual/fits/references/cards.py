"""Parse all cards of an image's header into keywords and values, as astropy gives them.

Pure. The header of a tile-compressed image is that of a table; here it is that of the image.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from dkist_virtual.fits.hdu import UNNAMED
from dkist_virtual.fits.header import CARD
from dkist_virtual.fits.layout import CompressedImage

if TYPE_CHECKING:
    from dkist_virtual.fits.hdu import HDU
    from dkist_virtual.fits.layout import Image

__all__ = ["TEXT_KEYWORDS", "Cards", "Value", "cards_of", "image_cards"]

Value: TypeAlias = bool | int | float | str | None
"""Of a card; None where it has none (4.1.2.3), or one that is not FITS."""

TEXT_KEYWORDS: Final = ("COMMENT", "HISTORY")
"""Keywords whose cards are lines of a text (4.4.2.4)."""


@dataclass(frozen=True, slots=True)
class Cards:
    """The keywords of a header.

    Attributes
    ----------
    values : dict of str to bool, int, float, str or None
        By keyword, in the order of the cards: of one that occurs several times the first, as
        astropy gives it. COMMENT and HISTORY are their lines, joined by line breaks. Cards without
        a keyword are left out.
    comments : dict of str to str
        What follows the value, where there is something.
    repeated : tuple of str
        Keywords that occur again with another value.
    """

    values: dict[str, Value]
    comments: dict[str, str]
    repeated: tuple[str, ...]


_QUOTED: Final = re.compile(r" *'((?:[^']|'')*)'")
_INTEGER: Final = re.compile(r"[+-]?\d+")
_REAL: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[EeDd][+-]?\d+)?")


def cards_of(text: str) -> Cards:
    """Parse the cards of a header, which `Header.text` gives."""
    values: dict[str, Value] = {}
    comments: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    repeated: dict[str, None] = {}
    at, end = 0, len(text)
    while at < end:
        card = text[at : at + CARD]
        at += CARD
        keyword = card[:8].rstrip().upper()
        if keyword in TEXT_KEYWORDS:
            if keyword not in lines:
                lines[keyword] = []
                values[keyword] = None  # its place in the order
            lines[keyword].append(card[8:].rstrip())
            continue
        if keyword == "HIERARCH" and "=" in card:
            name, _, field = card[8:].partition("=")
            keyword = name.strip().upper()
        elif card[8:9] == "=" and keyword:
            field = card[9:]
        else:
            continue  # a card without a value is a comment (4.1.2.3)
        quoted = _QUOTED.match(field)
        if quoted is not None:
            rest = field[quoted.end() :]
            string = quoted[1]
            while string.rstrip().endswith("&") and text[at : at + 10] == "CONTINUE  ":
                more = _QUOTED.match(text[at + 8 : at + CARD])
                if more is None:
                    break
                string = string.rstrip()[:-1] + more[1]
                rest = text[at + 8 + more.end() : at + CARD]
                at += CARD
            value: Value = string.replace("''", "'").rstrip()
            comment = rest.partition("/")[2].strip()
        else:
            plain, _, comment = field.partition("/")
            value, comment = _plain(plain.strip()), comment.strip()
        if keyword in values:
            if values[keyword] != value:
                repeated[keyword] = None
            continue
        values[keyword] = value
        if comment:
            comments[keyword] = comment
    for keyword, written in lines.items():
        values[keyword] = "\n".join(written)
    return Cards(values, comments, tuple(repeated))


def _plain(text: str) -> Value:
    """Parse a value that is not a string (4.2.2 to 4.2.6); complex ones stay text."""
    if text in ("T", "F"):
        return text == "T"
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) < 400 else None
    if _REAL.fullmatch(text):
        number = float(text.upper().replace("D", "E"))
        return number if math.isfinite(number) else None
    return text if text.startswith("(") else None


_TABLE: Final = re.compile(
    r"(?:XTENSION|BITPIX|NAXIS[12]?|PCOUNT|GCOUNT|TFIELDS|THEAP|CHECKSUM|DATASUM"
    r"|(?:TTYPE|TFORM|TUNIT|TDIM|TNULL|TSCAL|TZERO|TDISP)\d+)"
)
"""Keywords of the table that a compressed image is stored in."""

_STORED: Final = re.compile(
    r"(?:ZIMAGE|ZCMPTYPE|ZQUANTIZ|ZDITHER0|ZBLANK|ZSCALE|ZZERO|ZMASKCMP|ZSIMPLE|ZTENSION|ZBITPIX"
    r"|ZNAXIS\d*|ZEXTEND|ZBLOCKED|ZPCOUNT|ZGCOUNT|ZHECKSUM|ZDATASUM|(?:ZTILE|ZNAME|ZVAL)\d+)"
)
"""Keywords that say how it is compressed, and what it was before (10.1)."""

_WAS: Final = {
    "ZTENSION": "XTENSION", "ZSIMPLE": "SIMPLE", "ZEXTEND": "EXTEND", "ZBLOCKED": "BLOCKED",
    "ZPCOUNT": "PCOUNT", "ZGCOUNT": "GCOUNT", "ZHECKSUM": "CHECKSUM", "ZDATASUM": "DATASUM",
}  # fmt: skip
"""What keywords were called before the image was compressed (10.1)."""


def image_cards(hdu: HDU, layout: Image) -> Cards:
    """Parse the header of an HDU; of a compressed image, as it is uncompressed.

    Then BITPIX and NAXISn are those of the image, keywords of the table are left out, and so are
    those that say how it was compressed.
    """
    found = cards_of(hdu.header.text())
    if not isinstance(layout, CompressedImage):
        return found
    values: dict[str, Value] = {}
    comments: dict[str, str] = {}
    own = found.values
    kept = [(key, key) for key in own if not _TABLE.fullmatch(key) and not _STORED.fullmatch(key)]
    was = [(new, old) for old, new in _WAS.items() if old in own]
    values["BITPIX"] = layout.bitpix
    values["NAXIS"] = len(layout.shape)
    values |= {f"NAXIS{i + 1}": n for i, n in enumerate(reversed(layout.shape))}
    for new, old in [*was, *kept]:
        values.setdefault(new, own[old])
        if old in found.comments:
            comments.setdefault(new, found.comments[old])
    repeated = tuple(key for key in found.repeated if key in values and key != "EXTNAME")
    if "EXTNAME" in values:
        # What compressed it gave it a name, and left the one that it had.
        names = hdu.header.values("EXTNAME")
        values["EXTNAME"] = next((name for name in names if name != UNNAMED), UNNAMED)
    return Cards(values, comments, repeated)
