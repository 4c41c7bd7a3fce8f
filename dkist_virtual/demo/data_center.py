"""Serve simulated datasets as the DKIST Data Center does: search, metadata files, frames.

    python -m dkist_virtual.demo.data_center DIRECTORY [--port N] [--delay SECONDS]

DIRECTORY holds directories with a dataset each, frames and ASDF. It answers the requests of
``dkist.net``: ``/datasets/v1`` with filters and pages, ``/datasets/v1/searchValues``,
``/datasets/v1/config``, ``/download/asdf``, ``/download/quality``, ``/download/movie``; and
frames as ``/DATASET/name.fits``, which the Data Center itself does not serve over HTTP.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from dkist_virtual.datacenter.catalogue import net
from dkist_virtual.demo.server import Fault, FrameServer, serve

__all__ = ["DataCenter"]

LINES = ("Ca II (854.21 nm)", "Ca II K (393.37 nm)", "Fe I (630.15 nm)", "Fe I (630.25 nm)",
         "Fe XIII (1074.7 nm)", "H alpha (656.28 nm)", "Mg I b1 (517.27 nm)",
         "Na I D1 (589.59 nm)")  # fmt: skip
ENDPOINT = "d26bd00b-62dc-40d2-9179-7aece2b8c437"

Record: TypeAlias = dict[str, Any]
Wanted = Callable[[Record, list[str]], bool]
Convert = Callable[[Any], Any]


def _one_of(key: str) -> Wanted:
    def wanted(record: Record, values: list[str]) -> bool:
        own = record.get(key)
        return bool(set(own if isinstance(own, list) else [str(own)]) & set(values))

    return wanted


def _is(key: str) -> Wanted:
    return lambda record, values: str(bool(record.get(key))) == values[0]


def _limit(key: str, *, at_least: bool, kind: Convert = float) -> Wanted:
    def wanted(record: Record, values: list[str]) -> bool:
        own = record.get(key)
        if own is None:
            return False
        return bool(kind(own) >= kind(values[0]) if at_least else kind(own) <= kind(values[0]))

    return wanted


def _range(key: str, kind: Convert = float) -> dict[str, Wanted]:
    return {
        f"{key}Min": _limit(key, at_least=True, kind=kind),
        f"{key}Max": _limit(key, at_least=False, kind=kind),
    }


def _wavelengths(record: Record, values: list[str]) -> bool:
    low, high = map(float, values)
    return bool(record["wavelengthMin"] <= high and record["wavelengthMax"] >= low)


def _box(relation: str) -> Wanted:
    def wanted(record: Record, values: list[str]) -> bool:
        (x1, y1), (x2, y2) = json.loads(values[0].replace("(", "[").replace(")", "]").join("[]"))
        (a1, b1), (a2, b2) = record["boundingBox"]
        along_x, along_y = (
            (sorted([x1, x2]), sorted([a1, a2])),
            (sorted([y1, y2]), sorted([b1, b2])),
        )
        if relation == "touches":
            return all(
                asked[0] <= own[1] and asked[1] >= own[0] for asked, own in (along_x, along_y)
            )
        ranges = [pair if relation == "contains" else pair[::-1] for pair in (along_x, along_y)]
        return all(outer[0] <= inner[0] and outer[1] >= inner[1] for outer, inner in ranges)

    return wanted


FILTERS: dict[str, Wanted] = {
    "instrumentNames": _one_of("instrumentName"),
    "datasetIds": _one_of("datasetId"),
    "productIds": _one_of("productId"),
    "primaryProposalIds": _one_of("primaryProposalId"),
    "primaryExperimentIds": _one_of("primaryExperimentId"),
    "targetTypes": _one_of("targetTypes"),
    "spectralLines": _one_of("spectralLines"),
    "status": _one_of("status"),
    "workflowName": _one_of("workflowName"),
    "endTimeMin": _limit("endTime", at_least=True, kind=str),
    "startTimeMax": _limit("startTime", at_least=False, kind=str),
    "hasAllStokes": _is("hasAllStokes"),
    "hasSpectralAxis": _is("hasSpectralAxis"),
    "hasTemporalAxis": _is("hasTemporalAxis"),
    "isEmbargoed": _is("isEmbargoed"),
    "wavelengthRanges": _wavelengths,
    "rectangleContainingBoundingBox": _box("contains"),
    "rectangleContainedByBoundingBox": _box("within"),
    "rectangleIntersectingBoundingBox": _box("touches"),
    **_range("exposureTime"),
    **_range("qualityAverageFriedParameter"),
    **_range("embargoEndDate", str),
    **_range("averageDatasetSpectralSampling"),
    **_range("averageDatasetSpatialSampling"),
    **_range("averageDatasetTemporalSampling"),
}


@dataclass
class DataCenter(FrameServer):
    """Serves the datasets below a directory, as the Data Center does.

    Attributes
    ----------
    records : list of dict
        One for each dataset, with the API's keys; may be changed while it serves.
    places : dict of str to pathlib.Path
        The ASDF of each, by dataset ID.
    queries : list of dict
        The searches received, every parameter with its values.
    """

    records: list[Record] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)
    queries: list[dict[str, list[str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for asdf in sorted(self.directory.glob("*/*.asdf")):
            self.add(asdf)

    def _asdf(self, identity: str) -> bytes:
        """Read the ASDF of a dataset; write its ID into it, since records may share an ASDF."""
        data = self.places[identity].read_bytes()
        return re.sub(rb"(?m)^( *datasetId: ).*$", rb"\g<1>" + identity.encode(), data)

    def add(self, asdf: Path, **changes: Any) -> Record:
        """Add a dataset to the catalogue, with some changes; return its record."""
        import dkist

        inventory = dkist.load_dataset(asdf).inventory
        frames = list(asdf.parent.glob("*.fits"))
        record = {
            **{key: value for key, value in inventory.items() if key != "dataset_size"},
            "bucket": "data",
            "browseMovieObjectKey": f"{inventory['primaryProposalId']}/movie.mp4",
            "createDate": "2024-01-02T03:04:05.000000",
            "datasetSize": sum(path.stat().st_size for path in frames) / 2**30,
            "embargoEndDate": None,
            "experimentDescription": "A sunspot, simulated.",
            "frameCount": len(frames),
            "isDownloadable": True,
            "isEmbargoed": False,
            "spectralLines": [LINES[3]],
            "status": "ACTIVE",
            "updateDate": "2024-01-02T03:04:05.000000",
            **changes,
        }
        self.records.append(record)
        self.places[record["datasetId"]] = asdf
        return record

    async def _answer(self, request: web.Request, path: str, fault: Fault) -> web.StreamResponse:
        if fault is None and path.startswith("datasets/v1"):
            status, record = self._api(request, path)
            body = json.dumps(record).encode()
            self.requests.append((request.method, path, None, len(body)))
            return web.Response(body=body, status=status, content_type="application/json")
        if fault is None and path.startswith("download/"):
            return self._file(request, path)
        return await super()._answer(request, path, fault)

    def _api(self, request: web.Request, path: str) -> tuple[int, object]:
        if path == "datasets/v1/config":
            return 200, {"globusDataEndpointID": ENDPOINT}
        if path == "datasets/v1/searchValues":
            return 200, self._values()
        if path != "datasets/v1":
            return 404, None
        query = {name: request.query.getall(name) for name in request.query}
        self.queries.append(query)
        asked = {name: values for name, values in query.items() if name[:4] != "page"}
        if unknown := set(asked) - set(FILTERS):
            return 400, {"message": f"unknown: {sorted(unknown)}"}
        asked.setdefault("status", ["ACTIVE"])
        found = [
            record
            for record in self.records
            if all(FILTERS[name](record, values) for name, values in asked.items())
        ]
        size, page = int(query.get("pageSize", ["30"])[0]), int(query.get("pageNumber", ["1"])[0])
        shown = found[(page - 1) * size : page * size]
        return 200, {"recordCount": len(found), "searchResults": shown}

    def _values(self) -> dict[str, Any]:
        lists: dict[str, tuple[str, ...] | list[str]] = {
            "instrumentNames": sorted({record["instrumentName"] for record in self.records}),
            "spectralLines": LINES,
            "status": ("ACTIVE", "DEPRECATED", "REMOVED"),
            **dict.fromkeys(
                ("targetTypes", "workflowName", "workflowVersion", "headerVersion",
                 "highLevelSoftwareVersion"),
                ("simulated",),
            ),
        }  # fmt: skip
        ranges: dict[str, Any] = {
            name: {"minValue": 0.0, "maxValue": 1.0} for name in FILTERS if name[-3:] in "MinMax"
        }
        for name in ("startTimeMin", "endTimeMax"):
            ranges[name] = {"minValue": "2022-01-01", "maxValue": "2024-01-01"}
        values = {name: {"categoricalValues": list(each)} for name, each in lists.items()}
        return {
            "parameterValues": [
                {"parameterName": name, "values": each} for name, each in (values | ranges).items()
            ]
        }

    def _file(self, request: web.Request, path: str) -> web.Response:
        kind, identity = path.removeprefix("download/"), request.query.get("datasetId", "")
        if identity not in self.places:
            self.requests.append((request.method, path, None, 0))
            return web.Response(status=404)
        record = next(each for each in self.records if each["datasetId"] == identity)
        if kind == "asdf":
            name, body = Path(record["asdfObjectKey"]).name, self._asdf(identity)
        elif kind == "quality" and "json" in request.headers.get("Accept", ""):
            name, body = f"{identity}.json", json.dumps({"dataset": identity}).encode()
        elif kind == "quality":
            name, body = f"{identity}.pdf", b"%PDF-1.4 " + identity.encode()
        else:
            name, body = f"{identity}.mp4", b"\0\0\0\x18ftypmp42" + identity.encode()
        head = request.method == "HEAD"
        self.requests.append((request.method, path, None, 0 if head else len(body)))
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=body, headers=headers)

    def environment(self, home: Path) -> dict[str, str]:
        """Write a configuration file for ``dkist.net``; return the environment that names it.

        Configuration, data and caches are below `home`, so that the user's own stay unchanged.
        """
        (home / "config" / "dkist").mkdir(parents=True, exist_ok=True)
        for name in ("data", "cache"):
            (home / name).mkdir(exist_ok=True)
        (home / "config" / "dkist" / "dkist.cfg").write_text(
            f"[net]\ndataset_endpoint = {self.url}/datasets/\n"
            f"download_endpoint = {self.url}/download\n",
            encoding="utf-8",
        )
        return {
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "HOME": str(home),
            "NO_PROXY": "127.0.0.1",
        }

    @contextmanager
    def asked(self, home: Path) -> Iterator[None]:
        """Point ``dkist.net`` at this server for as long as the block runs, in this process."""
        from astropy.config.configuration import get_config

        before = dict(os.environ)
        os.environ.update(self.environment(home))
        try:
            get_config("dkist", reload=True, rootname="dkist")
            net().conf.reload()  # its import makes a request: the file must exist before
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def main() -> None:
    """Serve a directory of datasets until interrupted."""
    serve(DataCenter, __doc__)


if __name__ == "__main__":
    main()
