"""Define the exceptions of this package, grouped by what a caller would do about them.

::

    DKISTVirtualError
    ├── DatasetError            (ValueError)            no dataset, or of an unknown form
    ├── LocationError           (ValueError)           a path or URL that names no place
    ├── SelectionError          (IndexError)           an index that a dataset cannot follow
    │   └── OutsideError                               coordinates where the dataset has no pixel
    ├── FrameError                                     something about one frame's file
    │   ├── FrameMissingError     (FileNotFoundError)  absent: get it, or missing="nan"
    │   ├── FrameUnreachableError (ConnectionError)    could not be asked: try again, check access
    │   │   ├── FrameLoginError   (PermissionError)    wants to know who asks, or a token expired
    │   │   └── FrameForbiddenError (PermissionError)  whoever asks has no permission
    │   ├── FrameCorruptError     (ValueError)         broken bytes: fetch it anew
    │   ├── FrameRefusedError     (PermissionError)    leads where no store may: allow_local, frames
    │   └── FrameUnsupportedError (NotImplementedError) FITS that is not decoded here
    ├── DownloadError           (OSError)              files that were not fetched: run it again
    ├── SearchError             (ConnectionError)      the Data Center's catalogue did not answer
    ├── AccessError             (PermissionError)      frames that may not be had, or not so
    │   ├── EmbargoError                               whose they are still, and until when
    │   ├── RemovedError                               withdrawn: what replaced them
    │   ├── LoginError                                 to Globus: not made, or expired
    │   └── HTTPSOffError                              a collection that is served by Globus alone
    └── StoreError                                     something about the store's own files
        ├── StoreExistsError      (FileExistsError)    in the way of a conversion
        ├── StoreMissingError     (FileNotFoundError)  no store there
        ├── StoreCorruptError     (ValueError)         convert again
        └── StoreReplacedError                         by another one since: open it again

    DKISTVirtualWarning         (UserWarning)
    ├── MissingFramesWarning                           absent frames were read as fill values
    ├── HeaderWarning                                  a header table was taken over with changes
    ├── SupersededWarning                              what was opened is not the newest
    ├── ChangedFrameWarning                            a file was modified since it was scanned
    └── VerificationWarning                            the last verification found something wrong

Each error is also the builtin that a caller who does not know this package would catch. All
of them pickle: dask carries them from one process to another. None of them says a token: what
looks like one in a message (a password or query in a URL, a bearer's word) is left out where it is
printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dkist_virtual.fits.errors import (
    DKISTVirtualError,
    FrameCorruptError,
    FrameError,
    FrameUnsupportedError,
    redacted,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AccessError",
    "ChangedFrameWarning",
    "DKISTVirtualError",
    "DKISTVirtualWarning",
    "DatasetError",
    "DownloadError",
    "EmbargoError",
    "FrameCorruptError",
    "FrameError",
    "FrameForbiddenError",
    "FrameLoginError",
    "FrameMissingError",
    "FrameRefusedError",
    "FrameUnreachableError",
    "FrameUnsupportedError",
    "HTTPSOffError",
    "HeaderWarning",
    "LocationError",
    "LoginError",
    "MissingFramesWarning",
    "OutsideError",
    "RemovedError",
    "SearchError",
    "SelectionError",
    "StoreCorruptError",
    "StoreError",
    "StoreExistsError",
    "StoreMissingError",
    "StoreReplacedError",
    "SupersededWarning",
    "VerificationWarning",
    "redacted",
]


class DatasetError(DKISTVirtualError, ValueError):
    """The ASDF holds no dataset, or one of a form that cannot be virtualised."""


class LocationError(DKISTVirtualError, ValueError):
    """A path or URL that names no place."""


class SelectionError(DKISTVirtualError, IndexError):
    """An index that cannot be composed, or that lies outside the array."""


class OutsideError(SelectionError):
    """World coordinates that lie outside of what they were to be selected from."""


class FrameMissingError(FrameError, FileNotFoundError):
    """A frame that is known to be absent: it was never made, or is not downloaded yet."""


class FrameUnreachableError(FrameError, ConnectionError):
    """A frame whose place could not be asked, or did not answer as it should."""


class FrameLoginError(FrameUnreachableError, PermissionError):
    """A frame whose server wants to know who asks, or takes the token or password no longer."""


class FrameForbiddenError(FrameUnreachableError, PermissionError):
    """A frame that whoever asked has no permission to read."""


class FrameRefusedError(FrameError, PermissionError):
    """A reference that leads where the store that holds it may not lead."""


class DownloadError(DKISTVirtualError, OSError):
    """Files that could not be fetched, or whose names may not be written.

    Attributes
    ----------
    failures : dict of str to str
        Each file's name and what kept it from coming.
    lines : tuple of str
        What is printed of them, below the message.
    """

    failures: dict[str, str]
    lines: tuple[str, ...]

    def __init__(
        self,
        message: str = "",
        failures: dict[str, str] | None = None,
        lines: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.failures = dict(failures or {})
        self.lines = tuple(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # What an OSError holds outside of its arguments does not travel by itself.
        return type(self), self.args, {**self.__dict__, "errno": self.errno}

    def __str__(self) -> str:
        said = redacted(self.args[0]) if self.args else ""
        return "\n".join([f"{said}:", *map(redacted, self.lines)]) if self.lines else said


class SearchError(DKISTVirtualError, ConnectionError):
    """The Data Center could not be asked, or answered what was not expected."""


class AccessError(DKISTVirtualError, PermissionError):
    """Frames that may not be had, or not in this way."""


class EmbargoError(AccessError):
    """A dataset under embargo: only those whose proposal it is may have its frames."""


class RemovedError(AccessError):
    """A dataset that the Data Center has withdrawn."""


class LoginError(AccessError):
    """Nobody is logged in to Globus on this machine, or the login has expired."""


class HTTPSOffError(AccessError):
    """A Globus collection that serves no files over HTTPS."""


class StoreError(DKISTVirtualError):
    """Something about the files that make up a store."""


class StoreExistsError(StoreError, FileExistsError):
    """A store, or something else, stands where a new store was to be written."""


class StoreMissingError(StoreError, FileNotFoundError):
    """There is no store at the place given."""


class StoreCorruptError(StoreError, ValueError):
    """A file of the store is missing, unreadable, or contradicts another one."""


class StoreReplacedError(StoreError):
    """Another store stands where the one stood that was opened: whose frames are others."""


class DKISTVirtualWarning(UserWarning):
    """Any warning of this package."""

    def __str__(self) -> str:
        return redacted(self.args[0]) if self.args else ""


class MissingFramesWarning(DKISTVirtualWarning):
    """Under ``missing="nan"`` absent integers were read as 0, or every pixel selected is NaN."""


class HeaderWarning(DKISTVirtualWarning):
    """A header table was taken over with changes, or left out since its rows match no frames."""


class SupersededWarning(DKISTVirtualWarning):
    """What was opened is not the newest dataset of its product, or could not be held against it."""


class ChangedFrameWarning(DKISTVirtualWarning):
    """A file has the length that it had when it was scanned, and was modified since."""


class VerificationWarning(DKISTVirtualWarning):
    """The store that was opened was verified, and something was found wrong."""
