"""Take from the header table what an inventory does not say, by the Data Center's own rules.

The rules are those of ``dkist-inventory``, which makes inventories: from one card that is the same
in all frames, from the smallest or the largest one, the mean or the mode. What it takes from the
WCS is not taken from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dkist_virtual.store.format.headers import HEADERS_NAME, HeaderFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["complete"]

Values: TypeAlias = "NDArray[Any]"


def _only(kind: Callable[[Any], Any]) -> Callable[[Values], Any]:
    """Take the value that all frames have; None where they differ."""

    def take(values: Values) -> Any:
        unique = np.unique(values)
        return kind(unique[0]) if len(unique) == 1 else None

    return take


def _mode(values: Values) -> float:
    """Find the most frequent value, of several the smallest."""
    unique, counts = np.unique(values, return_counts=True)
    return float(unique[counts.argmax()])


def _texts(values: Values) -> list[str]:
    return [str(value) for value in np.unique(values)]


_RULES: Final[dict[str, tuple[str, Callable[[Values], Any]]]] = {
    "startTime": ("DATE-BEG", lambda values: str(np.min(values.astype(str)))),
    "endTime": ("DATE-END", lambda values: str(np.max(values.astype(str)))),
    "datasetId": ("DSETID", _only(str)),
    "productId": ("PRODUCT", _only(str)),
    "exposureTime": ("XPOSURE", _mode),
    "instrumentName": ("INSTRUME", _only(str)),
    "recipeId": ("RECIPEID", _only(int)),
    "recipeInstanceId": ("RINSTID", _only(int)),
    "recipeRunId": ("RRUNID", _only(int)),
    "targetTypes": ("OBJECT", _texts),
    "primaryProposalId": ("PROP_ID", _only(str)),
    "primaryExperimentId": ("EXPER_ID", _only(str)),
    "headerDataUnitCreationDate": ("DATE", lambda values: str(values[0])),
    "headerVersion": ("HEADVERS", _only(str)),
    "headerDocumentationUrl": ("HEAD_URL", _only(str)),
    "infoUrl": ("INFO_URL", _only(str)),
    "calibrationDocumentationUrl": ("CAL_URL", _only(str)),
    "qualityAverageFriedParameter": ("ATMOS_R0", lambda values: float(np.mean(values))),
    "friedParameter": (
        "ATMOS_R0",
        lambda values: {"min": float(np.min(values)), "max": float(np.max(values))},
    ),
    "highLevelSoftwareVersion": ("HLSVERS", _only(str)),
    "workflowName": ("WKFLNAME", _only(str)),
    "workflowVersion": ("WKFLVERS", _only(str)),
    "inputDatasetObserveFramesPartId": ("IDSOBSID", _only(int)),
    "inputDatasetParametersPartId": ("IDSPARID", _only(int)),
    "inputDatasetCalibrationFramesPartId": ("IDSCALID", _only(int)),
    "observingProgramExecutionId": ("OBSPR_ID", _only(str)),
    "instrumentProgramExecutionId": ("IP_ID", _only(str)),
    "isManuallyProcessed": ("MANPROCD", _only(bool)),
}

_NUMBERED: Final = {
    "spectralLines": r"SPECLN\d\d",
    "contributingExperimentIds": r"EXPRID\d\d",
    "contributingProposalIds": r"PROPID\d\d",
}
"""Keys whose values are those of several cards, each value once."""

_LINE: Final = ("LINEWAV", lambda values: int(values.min()))


def complete(values: dict[str, Any], store: Path, *, has_wavelengths: bool) -> None:
    """Add to a record what it lacks, from the header table of a store.

    Parameters
    ----------
    values : dict
        By the keys of the Data Center's records; one that is null or absent is added if possible.
    store : pathlib.Path
    has_wavelengths : bool
        Whether the WCS has a wavelength axis: then the wavelengths are those of the WCS, and none
        are taken from the headers.

    Raises
    ------
    StoreCorruptError
        The header table cannot be read.
    """
    rules = dict(_RULES)
    if not has_wavelengths:
        rules |= dict.fromkeys(("wavelengthMin", "wavelengthMax"), _LINE)
    wanted = {key: rule for key, rule in rules.items() if values.get(key) is None}
    numbered = {key: form for key, form in _NUMBERED.items() if values.get(key) is None}
    if not wanted and not numbered:
        return
    with HeaderFile(store / HEADERS_NAME) as file:
        if not len(file.headers()):
            return
        keywords = {keyword for keyword, _ in wanted.values()}
        found = _read(
            file,
            [
                name
                for name in file.keywords
                if name in keywords or any(re.fullmatch(f, name) for f in numbered.values())
            ],
        )
    for key, (keyword, rule) in wanted.items():
        column = found.get(keyword)
        if column is not None and len(column):
            value = _applied(rule, column)
            if value is not None:
                values[key] = value
    for key, form in numbered.items():
        each = {
            str(value)
            for name, column in found.items()
            if re.fullmatch(form, name)
            for value in np.unique(column)
        }
        if each:
            values[key] = sorted(each)


def _read(file: HeaderFile, names: list[str]) -> Mapping[str, Values]:
    """Read columns without the frames that lack the card."""
    if not names:
        return {}
    columns = file.read(names, np.arange(file.n_rows))
    return {
        name: np.ma.asarray(column).compressed()
        for name, column in zip(names, columns, strict=True)
    }


def _applied(rule: Callable[[Values], Any], values: Values) -> Any:
    try:
        return rule(values)
    except (TypeError, ValueError):
        return None  # cards of another type than the Data Center's
