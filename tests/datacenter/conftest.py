"""Fixtures for the tests of the Data Center and Globus."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from globus_server import GlobusServer, connect_personal, log_in


@pytest.fixture
def globus(
    catalogue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GlobusServer]:
    """Globus, a home directory with a login, and Globus Connect Personal in it."""
    from dkist.net.globus.endpoints import get_data_center_endpoint_id

    get_data_center_endpoint_id.cache_clear()
    home = tmp_path / "home"
    connect_personal(home)
    monkeypatch.setenv("HOME", str(home))
    archive = tmp_path / "archive"
    (archive / "collection" / "data" / "PROPOSAL").mkdir(parents=True)
    (archive / "collection" / "data" / "PROPOSAL" / "SIM000").symlink_to(
        catalogue.places["SIM000"].parent
    )
    server = GlobusServer(archive)
    with server.running():
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        log_in(catalogue.home)
        yield server
    shutil.rmtree(catalogue.home / "cache" / "dkist", ignore_errors=True)
