"""Say in which frame the Stokes parameters of an instrument are.

No header keyword states it. The documentation of the pipelines does (docs.dkist.nso.edu, "L1
Science Calibration", section "L1 Coordinate System", of ViSP, Cryo-NIRSP and DL-NIRSP): level 1
data are in the frame of SDO/HMI and Hinode-SP, with -Q parallel and +Q perpendicular to the Sun's
central meridian. ViSP's is right since version 2.0.0 of its pipeline, of 13 April 2023
(dkist-processing-visp, SCIENCE_CHANGELOG); what was distributed before was rotated by a wrong and
changing angle (the Data Center's page "DKIST Data Set Caveats (ViSP / VBI)").
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["SOLAR", "UNKNOWN", "StokesFrame", "documented_frame", "is_documented", "rotated_frame"]

SOLAR: Final = "SDO/HMI and Hinode-SP"
UNKNOWN: Final = "unknown"

AXES: Final = "+Q perpendicular and -Q parallel to the Sun's central meridian"
"""Of `SOLAR`: +Q along Tx, to solar west, and +U 45 degrees counterclockwise of it."""

_RELEASED: Final = {
    "VISP": (2, 0, 0),
    "CRYO-NIRSP": None,
    "DL-NIRSP": None,
}
"""Instruments whose level 1 data are in `SOLAR`, and since which version of their pipeline."""


@dataclass(frozen=True)
class StokesFrame:
    """The frame of the Stokes parameters Q and U.

    Parameters
    ----------
    name : str
        `SOLAR`, `UNKNOWN`, or how another one lies to one of these.
    known_by : str
        How that is known, or why it is not.
    axes : str
        Where +Q points; empty where that is not known.
    """

    name: str
    known_by: str
    axes: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it is known how +Q lies on the Sun."""
        return self.name != UNKNOWN

    def __str__(self) -> str:
        said = f"{self.name}: {self.axes}" if self.axes else self.name
        return f"{said} ({self.known_by})"


def documented_frame(instrument: str | None, version: str | None) -> StokesFrame:
    """Say in which frame an instrument's level 1 data are.

    Parameters
    ----------
    instrument, version : str or None
        INSTRUME and CALVERS of the headers. CALVERS is the version of the pipeline.
    """
    name = (instrument or "").strip().upper()
    if name not in _RELEASED:
        known = ", ".join(_RELEASED)
        return StokesFrame(
            UNKNOWN, f"INSTRUME is {instrument!r}, and it is documented for {known} alone"
        )
    since = _RELEASED[name]
    if since is None:
        return StokesFrame(SOLAR, f"documented for level 1 data of {name}", AXES)
    number = ".".join(map(str, since))
    found = _release(version)
    if found is None:
        return StokesFrame(
            UNKNOWN,
            f"documented for {name} since version {number} of its pipeline, and CALVERS is "
            f"{version!r}",
        )
    if found < since:
        return StokesFrame(
            UNKNOWN,
            f"CALVERS is {version}: {name} before version {number} of its pipeline, of April 2023, "
            "was rotated by a wrong angle that changes with time",
        )
    known_by = f"documented for {name} since version {number} of its pipeline: CALVERS is {version}"
    return StokesFrame(SOLAR, known_by, AXES)


def is_documented(instrument: str | None) -> bool:
    """Return whether the frame of an instrument's level 1 data is documented, and so its V."""
    return (instrument or "").strip().upper() in _RELEASED


def _release(version: str | None) -> tuple[int, int, int] | None:
    """Read a version; None where it is not one, or is one before its release."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:\.post\d+)?(?:\+.*)?", version or "")
    if match is None:
        return None
    major, minor, patch = (int(part or 0) for part in match.groups())
    return major, minor, patch


def rotated_frame(frame: StokesFrame, how: str, axes: str) -> StokesFrame:
    """Describe a frame that was rotated.

    Parameters
    ----------
    frame : StokesFrame
    how : str
        By what, such as "rotated by 30 deg counterclockwise".
    axes : str
        Where +Q points then; empty where that is not known.
    """
    if not frame.is_known:
        return StokesFrame(UNKNOWN, f"{frame.known_by}; {how}")
    return StokesFrame(f"{frame.name}, {how}", frame.known_by, axes)
