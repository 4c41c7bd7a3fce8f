"""Define the errors of reading FITS: bytes that are wrong, or of a kind that is not read.

Each is also the builtin that a caller who does not know this package would catch.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, Self

__all__ = [
    "CodecConfigurationError",
    "DKISTVirtualError",
    "FrameCorruptError",
    "FrameError",
    "FrameUnsupportedError",
    "one_line",
    "redacted",
]

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
    """Remove secrets from a text: passwords and queries of URLs, tokens of headers.

    It becomes one line, in which nothing can command a terminal or deceive its reader.
    """
    said = str(text)
    for pattern, instead in _SECRETS:
        said = pattern.sub(instead, said)
    return one_line(said)


class DKISTVirtualError(Exception):
    """Any error that this package raises on purpose."""

    def __str__(self) -> str:
        # The builtins mixed in below (such as OSError) each print their arguments in their own
        # way; the message is always the first argument here.
        return redacted(str(self.args[0])) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class FrameError(DKISTVirtualError):
    """An error about the file of one frame.

    Parameters
    ----------
    message : str
        What is wrong: expected, found, what to do. Without the place, if that is not known yet.
    """

    def at(self, place: str) -> Self:
        """Return the same error with its place in front of the message.

        Code that decodes bytes does not know their file; the code that fetched them adds it.

        Parameters
        ----------
        place : str
            A file name or URL, with the chunk key or HDU where that is known.
        """
        error = type(self)(f"{place}: {self}")
        error.__dict__.update(self.__dict__)
        return error.with_traceback(self.__traceback__)


class FrameCorruptError(FrameError, ValueError):
    """Bytes that are not what the FITS standard, the frame's header or the caller says."""


class FrameUnsupportedError(FrameError, NotImplementedError):
    """Valid FITS in a form that this package refuses rather than guesses."""


class CodecConfigurationError(DKISTVirtualError, ValueError):
    """A codec's configuration that describes no frames, or frames that do not fit the array."""
