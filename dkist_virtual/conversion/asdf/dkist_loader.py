"""Load a dataset as ``dkist``'s own object, from its ASDF without the frames."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.dataset_asdf import ignore_expected_warnings
from dkist_virtual.text import shorten

if TYPE_CHECKING:
    from dkist_virtual.conversion.asdf.tree import Tree

__all__ = ["UPGRADE", "load_with_dkist", "versions"]

UPGRADE: Final = "Upgrade: pip install --upgrade dkist asdf gwcs asdf-astropy"
_UNKNOWN_TAG: Final = re.compile(r"(\S+) is not recognized")


def load_with_dkist(source: Tree, *, any_version: bool = False) -> Any:
    """Load a dataset without its frames as `dkist.Dataset` or `dkist.TiledDataset`.

    Where ``dkist`` is too old for it, `OutOfDateError` is raised, or with `any_version` what it
    understands is loaded.
    """
    with ignore_expected_warnings():
        import dkist

    # dkist logs "Failed to validate dkist version" for every file that does not say which
    # version wrote it: no user can change that.
    disabled, dkist.log.disabled = dkist.log.disabled, True
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with TemporaryDirectory(prefix="dkist_virtual-") as directory:
                small = Path(directory) / "dataset.asdf"
                source.write_without_frames(small)
                dataset = dkist.load_dataset(small, ignore_version_mismatch=any_version)
    except (MemoryError, DatasetError):
        raise
    except Exception as error:
        raise _unreadable(source.label, error, caught) from error
    finally:
        dkist.log.disabled = disabled
    with ignore_expected_warnings():
        for warning in caught:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    return dataset


def _unreadable(
    label: str, error: Exception, caught: Sequence[warnings.WarningMessage]
) -> DatasetError:
    """Say why dkist loaded no dataset, with the user's name for the copy that it was given."""
    import asdf
    import dkist

    from dkist_virtual.conversion.asdf.dkist_errors import DKISTOutOfDateError, OutOfDateError

    # asdf only warns of an object that it cannot make, and dkist then finds "no dataset".
    reasons = [
        str(warning.message)
        for warning in caught
        if issubclass(warning.category, asdf.exceptions.AsdfConversionWarning)
    ]
    unknown = [_UNKNOWN_TAG.match(reason) for reason in reasons]
    if tags := sorted({found[1] for found in unknown if found}):
        return DatasetError(
            f"{label}: holds {', '.join(tags)}, which the packages installed here do not know "
            f"({versions()}): newer ones wrote it. {UPGRADE}"
        )
    why = "; ".join([shorten(error), *reasons])
    why = re.sub(r"\S*dkist_virtual-\w+[/\\]dataset\.asdf", label, why)
    newer = re.search("version", why)
    kind = OutOfDateError if isinstance(error, DKISTOutOfDateError) else DatasetError
    return kind(
        f"{label}: dkist {dkist.__version__} cannot read this dataset: {why}"
        + (f". {UPGRADE}" if newer else "")
    )


def versions() -> str:
    """List the installed versions of the packages that read an ASDF, for messages."""
    return ", ".join(f"{name} {version(name)}" for name in ("dkist", "asdf", "gwcs"))
