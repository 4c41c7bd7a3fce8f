"""Define the settings for reading from servers, and read them from dask's configuration."""

from __future__ import annotations

from typing import Final

__all__ = ["SETTINGS", "setting"]

SETTINGS: Final[dict[str, float]] = {
    "concurrency": 64,
    "retries": 4,
    "backoff": 0.1,
    "timeout": 30.0,
    "largest_file": 2**27,
}
"""How to read from servers: requests at once; retries after a failure; seconds before the first
retry, doubled for each further one; seconds without an answer that count as a failure; bytes of a
file of unknown length that is read whole into memory. Each is set as
``dask.config.set({"dkist_virtual.retries": 2})``, which reaches dask's workers too."""


def setting(name: str) -> float:
    """Get one of `SETTINGS`, as it is set now."""
    import dask

    given = dask.config.get(f"dkist_virtual.{name}", SETTINGS[name])
    if isinstance(given, (int, float)) and given >= 0:
        return given
    raise ValueError(f"the setting dkist_virtual.{name} is {given!r}: expected a number from 0 on")
