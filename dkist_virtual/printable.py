"""Text that somebody else wrote, made safe to print: one line stays one line.

The name of a file, an axis or an instrument, a URL and a header's value are a stranger's words.
With a line break they write lines of their own into a report, with characters that turn the
direction of text around, or that nobody sees, they deceive its reader, and with ESC they command a
terminal.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["one_line", "redacted"]

_UNSEEN: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]")
"""Letters and marks without a picture, which Unicode counts among those that have one."""

_SECRETS: Final = (
    # The name and password of a URL, its query, and the header that logs and errors quote.
    (re.compile(r"(?<=://)[^/\s@'\"]+(?=@)"), "…"),
    (re.compile(r"(://[^\s?'\"<>]*\?)[^\s'\"<>]*[^\s'\"<>:,.;)]"), r"\1…"),
    (re.compile(r"(?i)(\bbearer\s+)[\w.~+/=-]+"), r"\1…"),
    (re.compile(r"(?i)(\bauthorization\b['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n]+"), r"\1…"),
)


def one_line(text: object) -> str:
    r"""Return a text as one line, in which everything can be seen.

    Line breaks, control characters, those that turn the direction of text around, those without
    width and halves of characters are spelled out, as Python writes them: ``\n``, ``\u202e``.

    Parameters
    ----------
    text : object
        A text, or what is made one.
    """
    said = str(text)
    if said.isascii() and said.isprintable():
        return said
    return "".join(char if _is_seen(char) else ascii(char)[1:-1] for char in said)


def _is_seen(char: str) -> bool:
    if char.isprintable():
        return not _UNSEEN.match(char)
    return unicodedata.category(char) == "Zs"  # blanks of any width


def redacted(text: object) -> str:
    """A text as it may be shown: URLs without password and query, headers without their token.

    It is one line: what would command a terminal, or deceive its reader, is spelled out.
    """
    said = str(text)
    for pattern, instead in _SECRETS:
        said = pattern.sub(instead, said)
    return one_line(said)
