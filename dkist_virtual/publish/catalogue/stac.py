"""Write a static STAC collection of a directory's stores: ``stac/collection.json`` and its items.

Items are files below a directory for each year and month, since tens of thousands of files in one
are slow on many disks and servers. STAC's geometry is longitude and latitude of the Earth: that of
an item is null, and the box on the sky is a property, in arcsec. That the target is the Sun is said
by STAC's extension for the solar system.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Collection as Names
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dkist_virtual.datacenter.published.table import COLUMNS, NAME
from dkist_virtual.store.format.names import HEADERS_NAME, JSON_NAME, METADATA_NAME
from dkist_virtual.text import counted

if TYPE_CHECKING:
    import pystac

    from dkist_virtual.publish.catalogue.row import Row

__all__ = ["DIRECTORY", "item_path", "write_stac"]

DIRECTORY: Final = "stac"
"""The name of the directory, beside the stores."""

ID: Final = "dkist"

SOLAR_SYSTEM: Final = "https://stac-extensions.github.io/ssys/v1.1.0/schema.json"
XARRAY: Final = "https://stac-extensions.github.io/xarray-assets/v1.0.0/schema.json"

_PARQUET: Final = "application/vnd.apache.parquet"
_PICTURES: Final = {".webp": "image/webp", ".png": "image/png"}
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_ELSEWHERE: Final = (
    "dataset_id", "instrument", "start", "end", "store", "preview", "references", "row_id",
    "tx_min", "tx_max", "ty_min", "ty_max", "wavelength_min", "wavelength_max", "description",
)  # fmt: skip
"""Columns that are not properties ``dkist:...`` of their own name."""


def write_stac(
    directory: Path, rows: Sequence[Row], unchanged: Names[str], *, progress: bool = False
) -> list[str]:
    """Write the collection of some rows, each file as a whole; remove items of other stores.

    Parameters
    ----------
    directory : pathlib.Path
        Of the stores.
    rows : sequence of dict
        Of the catalogue, in its order.
    unchanged : collection of str
        Places of stores whose items are right if they are there.
    progress : bool
        Whether to show a bar.

    Returns
    -------
    list of str
        What was left out.
    """
    root = directory / DIRECTORY
    items: dict[str, Row] = {}
    left_out = []
    for row in rows:
        path = item_path(row)
        if path is None or path in items:
            left_out.append(str(row["store"]))
        else:
            items[path] = row
    months = _months(items)
    root.mkdir(exist_ok=True)  # also where no store has an item
    for month in months:
        (root / month).mkdir(parents=True, exist_ok=True)
    from tqdm import tqdm

    for path, row in tqdm(items.items(), "STAC", unit="item", disable=not progress):
        if row["store"] not in unchanged or not (root / path).exists():
            _write(root / path, _item(row))
    for month, names in months.items():
        _write(root / month / "catalog.json", _month(month, names))
    _write(root / "collection.json", _collection(items.values(), months))
    _remove_others(root, {*items, "collection.json", *(f"{m}/catalog.json" for m in months)})
    if not left_out:
        return []
    some = ", ".join(left_out[:3]) + ", ..." * (len(left_out) > 3)
    needs = "an ID of its own, of letters, digits, dots and hyphens, and a time"
    return [f"{DIRECTORY}/: without {counted(len(left_out), 'store')}, {some}: an item has {needs}"]


def item_path(row: Row) -> str | None:
    """Return the path of a row's item; None where it cannot have one."""
    if row["start"] is None or row["end"] is None:
        return None
    if not _NAME.fullmatch(row["dataset_id"] or "") or row["dataset_id"] == "catalog":
        return None
    return f"{row['start']:%Y/%m}/{row['dataset_id']}.json"


def _months(paths: Iterable[str]) -> dict[str, list[str]]:
    months: defaultdict[str, list[str]] = defaultdict(list)
    for path in paths:
        month, _, name = path.rpartition("/")
        months[month].append(name)
    return dict(sorted(months.items()))


# Objects ------------------------------------------------------------------------------------


def _item(row: Row) -> dict[str, Any]:
    import pystac

    item = pystac.Item(
        id=row["dataset_id"],
        geometry=None,
        bbox=None,
        datetime=None,
        start_datetime=row["start"].astimezone(UTC),
        end_datetime=row["end"].astimezone(UTC),
        properties=_properties(row),
        stac_extensions=[SOLAR_SYSTEM, XARRAY],
    )
    item.collection_id = ID
    for rel, target in (("root", "../../collection.json"), ("collection", "../../collection.json"),
                        ("parent", "catalog.json")):  # fmt: skip
        item.add_link(pystac.Link(rel, target, pystac.MediaType.JSON))
    store = f"../../../{quote(row['store'])}"
    for key, asset in _assets(row, store):
        item.add_asset(key, asset)
    return item.to_dict(include_self_link=False, transform_hrefs=False)


def _assets(row: Row, store: str) -> Iterator[tuple[str, pystac.Asset]]:
    import pystac

    as_json = row["references"] == JSON_NAME
    yield (
        "references",
        pystac.Asset(
            f"{store}/{row['references']}",
            title="kerchunk references, Zarr v2",
            media_type=pystac.MediaType.JSON if as_json else _PARQUET,
            roles=["data", "index", "references"],
            extra_fields={"xarray:open_kwargs": {"engine": "kerchunk", "chunks": {}}},
        ),
    )
    yield (
        "headers",
        pystac.Asset(
            f"{store}/{HEADERS_NAME}",
            title="FITS headers, a row for each frame",
            media_type=_PARQUET,
            roles=["metadata"],
        ),
    )
    yield (
        "asdf",
        pystac.Asset(
            f"{store}/{METADATA_NAME}",
            title="WCS, inventory and other metadata",
            media_type="application/octet-stream",
            roles=["metadata"],
        ),
    )
    if row["preview"] is not None:
        kind = _PICTURES.get(os.path.splitext(row["preview"])[1])
        picture = f"../../../{quote(row['preview'])}"
        yield "thumbnail", pystac.Asset(picture, media_type=kind, roles=["thumbnail"])


def _properties(row: Row) -> dict[str, Any]:
    made: dict[str, Any] = {
        "platform": "DKIST",
        "ssys:targets": ["Sun"],
        "ssys:target_class": "star",
    }
    if row["instrument"] is not None:
        made["instruments"] = [row["instrument"]]
    if row["description"]:  # STAC wants none, or one that is not empty
        made["description"] = row["description"]
    corners = [row[name] for name in ("tx_min", "ty_min", "tx_max", "ty_max")]
    if None not in corners:
        made["dkist:box_arcsec"] = corners
    wavelengths = [row["wavelength_min"], row["wavelength_max"]]
    if None not in wavelengths:
        made["dkist:wavelengths_nm"] = wavelengths
    for column in COLUMNS:
        value = row[column.name]
        if column.name not in _ELSEWHERE and value is not None:
            made[f"dkist:{column.name}"] = _moment(value) if column.kind == "time" else value
    return made


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _month(month: str, names: Sequence[str]) -> dict[str, Any]:
    import pystac

    catalog = pystac.Catalog(
        id=f"{ID}-{month.replace('/', '-')}",
        description=f"Datasets of the DKIST whose observation began in {month.replace('/', '-')}",
    )
    catalog.clear_links()
    for rel in ("root", "parent"):
        catalog.add_link(pystac.Link(rel, "../../collection.json", pystac.MediaType.JSON))
    for name in names:
        catalog.add_link(pystac.Link("item", quote(name), pystac.MediaType.GEOJSON))
    return catalog.to_dict(include_self_link=False, transform_hrefs=False)


def _collection(rows: Iterable[Row], months: Iterable[str]) -> dict[str, Any]:
    import pystac

    rows = list(rows)
    starts, ends = [row["start"] for row in rows], [row["end"] for row in rows]
    collection = pystac.Collection(
        id=ID,
        title="DKIST datasets",
        description=(
            "Datasets of the Daniel K. Inouye Solar Telescope as virtual Zarr stores: the "
            "references lead into FITS files. STAC requires an extent on the Earth; these are "
            "observations of the Sun, whose place on the sky is `dkist:box_arcsec` of each item: "
            "smallest helioprojective longitude and latitude, then the largest, in arcsec."
        ),
        extent=pystac.Extent(
            pystac.SpatialExtent([-180, -90, 180, 90]),
            pystac.TemporalExtent([[min(starts, default=None), max(ends, default=None)]]),
        ),
        license="other",
        keywords=["DKIST", "Sun", "solar physics", "FITS", "Zarr", "kerchunk"],
        stac_extensions=[SOLAR_SYSTEM],
        extra_fields={"ssys:targets": ["Sun"]},
    )
    instruments = sorted({row["instrument"] for row in rows if row["instrument"] is not None})
    if instruments:
        collection.summaries = pystac.Summaries({"instruments": instruments})
    collection.add_asset(
        "catalogue",
        pystac.Asset(
            f"../{NAME}", title="The same as one table", media_type=_PARQUET, roles=["metadata"]
        ),
    )
    collection.clear_links()
    collection.add_link(pystac.Link("root", "collection.json", pystac.MediaType.JSON))
    for month in months:
        collection.add_link(pystac.Link("child", f"{month}/catalog.json", pystac.MediaType.JSON))
    return collection.to_dict(include_self_link=False, transform_hrefs=False)


# Files --------------------------------------------------------------------------------------


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a file as a whole; it can be made again, so that no disk is waited for."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(part, path)


def _remove_others(root: Path, kept: Names[str]) -> None:
    """Remove what an earlier run wrote of other stores, and directories that are empty then."""
    for directory, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(directory, name)
            if path.suffix in (".json", ".part") and path.relative_to(root).as_posix() not in kept:
                path.unlink()
        with suppress(OSError):
            os.rmdir(directory)
