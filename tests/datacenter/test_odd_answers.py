"""Odd answers of the catalogue and Globus raise typed errors, and nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import pytest
from aiohttp import web

import dkist_virtual as dv
from dkist_virtual import errors as e
from dkist_virtual.datacenter import catalogue as asked
from dkist_virtual.datacenter.globus import over_https
from dkist_virtual.datacenter.search import spectral_lines

RECORD = {"datasetId": "SIM000", "status": "ACTIVE"}
ODD: dict[str, Any] = {
    "null": None,
    "a list": [],
    "text": "x",
    "a number": 7,
    "nothing": {},
    "no results": {"searchResults": None},
    "results of no kind": {"recordCount": 1, "searchResults": [1]},
    "results of null": {"recordCount": 1, "searchResults": [None]},
    "a count of text": {"recordCount": "x", "searchResults": [RECORD]},
    "a count of many": {"recordCount": 2**70, "searchResults": [RECORD]},
    "a negative count": {"recordCount": -1, "searchResults": [RECORD]},
    "empty records": {"recordCount": 1, "searchResults": [{}]},
    "an ID of no kind": {"recordCount": 1, "searchResults": [{"datasetId": ["x"]}]},
    "an ID that climbs": {"recordCount": 1, "searchResults": [{"datasetId": "../x"}]},
    "dates of no kind": {
        "recordCount": 1,
        "searchResults": [{**RECORD, "startTime": "9999-99-99", "endTime": 5}],
    },
    "numbers of no kind": {
        "recordCount": 1,
        "searchResults": [{**RECORD, "wavelengthMin": "x", "datasetSize": [2**70]}],
    },
    "values of no kind": {"parameterValues": [1]},
    "lines of no kind": {
        "parameterValues": [
            {"parameterName": "spectralLines", "values": {"categoricalValues": [1, None]}}
        ]
    },
    "an endpoint of no kind": {"globusDataEndpointID": ["x"]},
}


@pytest.mark.parametrize("what", ODD)
def test_the_catalogue(what: str, catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_api", lambda request, path: (200, ODD[what]))
    calls: list[Callable[[], object]] = [
        lambda: str(dv.search(instrument="VISP")),
        lambda: dv.search(instrument="VISP").as_json(),
        lambda: dv.open_dataset("SIM000"),
        lambda: dv.open_dataset("L1-ABCDE"),
        spectral_lines,
        asked.endpoint_id,
    ]
    for call in calls:
        try:
            call()
        except e.DKISTVirtualError as error:
            assert str(error)  # noqa: PT017  # some of them are no fault to some calls


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"[" * 100_000, b"9" * 10_000])
def test_a_catalogue_that_is_not_json(
    body: bytes, catalogue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body)

    monkeypatch.setattr(catalogue, "_answer", lambda request, path, fault: answer(request))
    for call in (lambda: dv.search(instrument="VISP"), lambda: dv.open_dataset("SIM000")):
        with pytest.raises(e.SearchError):
            call()


@pytest.mark.every(8)
@pytest.mark.parametrize(
    "answered",
    [[], None, "x", {}, {"https_server": 5}, {"https_server": "ftp://x"}, {"https_server": "x?y"},
     {"https_server": "http://[::1"}, {"task_id": 5}, {"status": "SUCCEEDED"}, {"status": 3}],
)  # fmt: skip
def test_globus_itself(
    answered: Any,
    globus: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ds = dv.open_dataset("SIM000")
    monkeypatch.setattr(globus, "_transfer", lambda path, body: web.json_response(answered))
    with dask.config.set({"dkist_virtual.retries": 0}):
        with pytest.raises(e.DKISTVirtualError):
            over_https("SIM000")
        with pytest.raises(e.DKISTVirtualError):
            ds.download(tmp_path / "here", via="globus", progress=False)
