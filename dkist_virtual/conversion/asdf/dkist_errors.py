"""Define errors and warnings that are also those of ``dkist``, which notebooks catch.

They are not in `dkist_virtual.errors`, since this module imports ``dkist``.
"""

from __future__ import annotations

from dkist.utils.exceptions import (
    DKISTDeprecationWarning,
    DKISTOutOfDateError,
    DKISTUserWarning,
)

from dkist_virtual.errors import DatasetError, DKISTVirtualWarning, LeftOutWarning

__all__ = ["DKISTOutOfDateError", "OldMethodWarning", "OldNameWarning", "OutOfDateError"]


class OutOfDateError(DatasetError, DKISTOutOfDateError):  # type: ignore[misc]  # dkist has no types
    """An ASDF that a newer version of ``dkist`` wrote."""


class OldNameWarning(LeftOutWarning, DKISTUserWarning):  # type: ignore[misc]
    """ASDFs whose names the Data Center has replaced were left out."""


class OldMethodWarning(DKISTVirtualWarning, DKISTDeprecationWarning):  # type: ignore[misc]
    """A method that ``dkist`` keeps for old notebooks."""
