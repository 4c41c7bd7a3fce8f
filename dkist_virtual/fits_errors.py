"""Define the errors of reading FITS: bytes that are wrong, or of a kind that is not read.

Each is also the builtin that somebody would catch who does not know this package. The package's
other errors derive from the same two classes at the root.
"""

from __future__ import annotations

from typing import Self

from dkist_virtual.printable import redacted

__all__ = ["DKISTVirtualError", "FrameCorruptError", "FrameError", "FrameUnsupportedError"]


class DKISTVirtualError(Exception):
    """Anything that this package raises on purpose."""

    def __str__(self) -> str:
        # The builtins mixed in below (OSError, KeyError's kin) print their arguments each in
        # a way of their own; the message is always the first argument here.
        return redacted(str(self.args[0])) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class FrameError(DKISTVirtualError):
    """Something about the file of one frame.

    Parameters
    ----------
    message : str
        What is wrong: expected, found, what to do. Without the place, if that is not known yet.
    """

    def at(self, place: str) -> Self:
        """The same error with the place where it happened in front of its message.

        Code that works on bytes alone does not know which file they came from; whoever
        fetched them does, and says it here.

        Parameters
        ----------
        place : str
            A file name or URL, with the chunk key or HDU where that is known.
        """
        error = type(self)(f"{place}: {self}")
        error.__dict__.update(self.__dict__)
        return error.with_traceback(self.__traceback__)


class FrameCorruptError(FrameError, ValueError):
    """Bytes that are not what the FITS standard, the frame's header or the store says."""


class FrameUnsupportedError(FrameError, NotImplementedError):
    """Valid FITS in a form that this package refuses rather than guesses."""
