"""Define the exceptions of this package, grouped by what a caller can do about them.

::

    DKISTVirtualError
    ├── DatasetError            (ValueError)           not a dataset, or of an unknown form
    │   ├── NotADatasetError    (TypeError)            a file, or an object, of something else
    │   └── AlignmentError                             a pointing that a reference does not show
    ├── LocationError           (ValueError)           not a path or URL
    ├── SelectionError          (IndexError)           an index that does not fit the dataset
    │   └── OutsideError                               coordinates outside of the dataset
    ├── FrameError                                     a problem of one frame's file
    │   ├── FrameMissingError     (FileNotFoundError)  absent: fetch it, or missing="nan"
    │   ├── FrameUnreachableError (ConnectionError)    no answer: try again, check access
    │   │   ├── FrameLoginError   (PermissionError)    a login is required, or a token expired
    │   │   └── FrameForbiddenError (PermissionError)  you have no permission
    │   ├── FrameCorruptError     (ValueError)         broken bytes: fetch it again
    │   ├── FrameRefusedError     (PermissionError)    forbidden to stores: allow_local, frames
    │   └── FrameUnsupportedError (NotImplementedError) FITS that is not decoded here
    ├── DownloadError           (OSError)              files that were not fetched: run it again
    ├── SearchError             (ConnectionError)      the Data Center's catalogue did not answer
    ├── AccessError             (PermissionError)      frames that you may not fetch, or not so
    │   ├── EmbargoError                               until when, and for which proposal
    │   ├── RemovedError                               withdrawn: use the dataset that replaced it
    │   ├── LoginError                                 not logged in to Globus, or expired
    │   └── HTTPSOffError                              a collection that serves by Globus alone
    └── StoreError                                     a problem of the store's own files
        ├── StoreExistsError      (FileExistsError)    in the way of what is written
        ├── StoreMissingError     (FileNotFoundError)  no store there
        │   └── NothingToLoadError  (ValueError)       nothing that load_dataset loads is there
        ├── StoreCorruptError     (ValueError)         convert again
        └── StoreReplacedError                         by another store since: open it again

    DKISTVirtualWarning         (UserWarning)
    ├── MissingFramesWarning                           absent frames were read as fill values
    ├── HeaderWarning                                  a header table was changed or left out
    ├── SupersededWarning                              not the newest dataset
    ├── ChangedFrameWarning                            a file was modified since it was scanned
    ├── VerificationWarning                            the last verification found errors
    └── LeftOutWarning                                 files that load_dataset did not load

Each error is also the builtin that code without knowledge of this package would catch. All of them
pickle: dask sends them from one process to another. None of them prints a token: passwords, queries
of URLs and bearer tokens are left out of messages.

Those that are classes of ``dkist`` too are in `dkist_virtual.conversion.asdf.dkist_errors`, which
imports ``dkist``.
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
    "AlignmentError",
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
    "LeftOutWarning",
    "LocationError",
    "LoginError",
    "MissingFramesWarning",
    "NotADatasetError",
    "NothingToLoadError",
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
    """An ASDF without a dataset, or with one of a form that is not supported."""


class NotADatasetError(DatasetError, TypeError):
    """A file, or an object, that is something else than a dataset; ``dkist`` raises TypeError."""


class AlignmentError(DatasetError):
    """A pointing that could not be found: the reference is too different, or too far away."""


class LocationError(DKISTVirtualError, ValueError):
    """A text that is not a path or URL."""


class SelectionError(DKISTVirtualError, IndexError):
    """An index that cannot be applied, or is outside of the array."""


class OutsideError(SelectionError):
    """World coordinates outside of the dataset."""


class FrameMissingError(FrameError, FileNotFoundError):
    """A frame that is known to be absent: it was never made, or is not downloaded yet."""


class FrameUnreachableError(FrameError, ConnectionError):
    """A frame whose server or disk did not answer, or not as it should."""


class FrameLoginError(FrameUnreachableError, PermissionError):
    """A frame whose server requires a login, or no longer accepts the token or password."""


class FrameForbiddenError(FrameUnreachableError, PermissionError):
    """A frame that you have no permission to read."""


class FrameRefusedError(FrameError, PermissionError):
    """A reference to a place that the store may not refer to."""


class DownloadError(DKISTVirtualError, OSError):
    """Files that could not be fetched, or whose names may not be written.

    Attributes
    ----------
    failures : dict of str to str
        Each file's name, and why it was not fetched.
    lines : tuple of str
        Printed below the message.
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
        # Pickle keeps only the arguments of an OSError by itself.
        return type(self), self.args, {**self.__dict__, "errno": self.errno}

    def __str__(self) -> str:
        text = redacted(self.args[0]) if self.args else ""
        return "\n".join([f"{text}:", *map(redacted, self.lines)]) if self.lines else text


class SearchError(DKISTVirtualError, ConnectionError):
    """The Data Center did not answer, or sent an unexpected answer."""


class AccessError(DKISTVirtualError, PermissionError):
    """Frames that you may not fetch, or not in this way."""


class EmbargoError(AccessError):
    """A dataset under embargo: only members of its proposal may fetch its frames."""


class RemovedError(AccessError):
    """A dataset that the Data Center has withdrawn."""


class LoginError(AccessError):
    """You are not logged in to Globus on this machine, or the login has expired."""


class HTTPSOffError(AccessError):
    """A Globus collection that serves no files over HTTPS."""


class StoreError(DKISTVirtualError):
    """A problem of the files of a store."""


class StoreExistsError(StoreError, FileExistsError):
    """A store or another file is in the way of a new store, or of a new ASDF."""


class StoreMissingError(StoreError, FileNotFoundError):
    """There is no store at the path or URL."""


class NothingToLoadError(StoreMissingError, ValueError):
    """There is nothing that `load_dataset` loads; ``dkist`` raises ValueError."""


class StoreCorruptError(StoreError, ValueError):
    """A file of the store is missing, unreadable, or contradicts another one."""


class StoreReplacedError(StoreError):
    """The store was replaced by another one since it was opened."""


class DKISTVirtualWarning(UserWarning):
    """Any warning of this package."""

    def __str__(self) -> str:
        return redacted(self.args[0]) if self.args else ""


class MissingFramesWarning(DKISTVirtualWarning):
    """Under ``missing="nan"`` absent integers were read as 0, or every pixel selected is NaN."""


class HeaderWarning(DKISTVirtualWarning):
    """A header table was changed, or left out since its rows match no frames."""


class SupersededWarning(DKISTVirtualWarning):
    """The dataset is not the newest of its product, or that could not be checked."""


class ChangedFrameWarning(DKISTVirtualWarning):
    """A file has its length of the scan, but was modified since."""


class VerificationWarning(DKISTVirtualWarning):
    """The last verification of the store found errors."""


class LeftOutWarning(DKISTVirtualWarning):
    """Files that were found, or asked for, are not among the datasets that were loaded."""
