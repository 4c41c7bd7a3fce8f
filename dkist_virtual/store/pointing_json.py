"""Read and write ``pointing.json``, what pointing and wavelengths of a dataset are corrected by.

It is beside the store's other files, none of which it changes: without it the dataset has the
coordinates of its ASDF again. Nothing here knows what a correction or a wavelength scale is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import FrameForbiddenError, StoreCorruptError, StoreError
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.local_file import replace_text, sync
from dkist_virtual.io.locations import join, shown
from dkist_virtual.store.format.names import POINTING_NAME

if TYPE_CHECKING:
    from dkist_virtual.store.handle import StoreHandle

__all__ = ["POINTING_NAME", "StoredPointing", "remove_pointing", "write_pointing"]

FORMAT_VERSION: Final = 1
MOST: Final = 2**26
"""Bytes that the file may have: some 10⁶ numbers, where real datasets have 10⁴ frames."""


@open_in_forks
@dataclass(frozen=True, eq=False)
class StoredPointing:
    """The ``pointing.json`` of a store, which is read once, when it is first needed.

    Parameters
    ----------
    handle : StoreHandle
    """

    handle: StoreHandle

    def of(self, array: str, shape: Sequence[int]) -> Any:
        """Return what the pointing of an array is corrected by, as values of JSON; None if by none.

        Raises
        ------
        StoreCorruptError
            The file is something else, or of data of another shape.
        StoreError
            It cannot be read.
        """
        return self._get(array, shape, "pointing")

    def wavelengths_of(self, array: str, shape: Sequence[int]) -> Any:
        """Return the wavelength scale of an array, as values of JSON; None if it has none.

        Errors are those of `of`.
        """
        return self._get(array, shape, "wavelengths")

    def _get(self, array: str, shape: Sequence[int], what: str) -> Any:
        found = self.arrays.get(array)
        if found is not None and found.get("shape") != list(shape):
            raise self.error(f"is of data of shape {found.get('shape')}, not {list(shape)}")
        return None if found is None else found.get(what)

    def error(self, reason: object) -> StoreCorruptError:
        """Make the error for a file that cannot be used."""
        place = shown(join(self.handle.url or "", POINTING_NAME))
        return StoreCorruptError(f"{place}: {reason}. dkist-virtual shift STORE --reset removes it")

    @cached_property
    def arrays(self) -> dict[str, Any]:
        """What it says, by the names of the arrays; empty where there is no such file."""
        # Of a bucket that lists nothing, the answer for what is not there is "forbidden".
        try:
            with self.handle.opened.reader.open(POINTING_NAME, MOST) as file:
                text = file.read(MOST + 1)
        except FileNotFoundError:
            return {}
        except StoreError as error:
            if isinstance(error.__cause__, FrameForbiddenError):
                return {}
            raise
        try:
            if len(text) > MOST:
                raise ValueError(f"more than {MOST} bytes")
            found = json.loads(text)
            if found["format_version"] != FORMAT_VERSION:
                raise ValueError(
                    f"format_version {found['format_version']!r}, expected {FORMAT_VERSION}"
                )
            arrays = found["arrays"]
            if not isinstance(arrays, dict) or not all(
                isinstance(one, dict) for one in arrays.values()
            ):
                raise TypeError("no object of arrays")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self.error(f"is not a correction of the pointing: {error!r:.200}") from error
        return dict(arrays)


def write_pointing(
    directory: str, arrays: Mapping[str, tuple[Sequence[int], Mapping[str, Any]]]
) -> None:
    """Write what arrays are corrected by into a store, in place of what was there.

    Parameters
    ----------
    directory : str
        The store, on this machine.
    arrays : dict of str to (shape, documents)
        By the array's name in the store: its shape as it is opened, and under ``pointing`` and
        ``wavelengths`` values for JSON.
    """
    made = {
        "format_version": FORMAT_VERSION,
        "arrays": {
            name: {"shape": list(shape), **documents} for name, (shape, documents) in arrays.items()
        },
    }
    try:
        replace_text(directory, POINTING_NAME, json.dumps(made))
    except OSError as error:
        raise _unwritable(directory, error) from error


def remove_pointing(directory: str) -> None:
    """Take the corrections away from a store on this machine."""
    try:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, POINTING_NAME))
            sync(directory)
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(directory: str, error: OSError) -> StoreError:
    place = os.path.join(directory, POINTING_NAME)
    return StoreError(f"{place}: cannot be written: {error.strerror or error}")
