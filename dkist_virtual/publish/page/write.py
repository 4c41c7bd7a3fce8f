"""Write the page of an archive: its catalogue as HTML, with a picture of each dataset.

``index.html`` has the newest datasets, ``pages/`` all of them where they are more than fit on it:
by year, and from the oldest on, so that a page that is full stays as it is. Beside them is a list
for each year, which the script of the page searches.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.datacenter.published.addresses import resolve_address
from dkist_virtual.datacenter.published.read import read_catalogue
from dkist_virtual.errors import StoreCorruptError, StoreError, redacted
from dkist_virtual.io.local_file import replace_text
from dkist_virtual.io.locations import absolute, join, shown
from dkist_virtual.io.safety import unsafe_name
from dkist_virtual.publish.catalogue.stac import DIRECTORY as STAC
from dkist_virtual.publish.catalogue.stac import item_path
from dkist_virtual.publish.page.assets import POLICY, SCRIPT, STYLE
from dkist_virtual.publish.page.card import Card, anchor_of, is_web, text_of
from dkist_virtual.publish.page.previews import Preview, draw_previews, read_record
from dkist_virtual.publish.stores import PREVIEWS, name_of_store, stores_directory
from dkist_virtual.text import counted, human_bytes

if TYPE_CHECKING:
    from dkist_virtual.store.frame_locations import FramePlaces

__all__ = ["INDEX", "PAGES", "WrittenPage", "check_url", "write_page"]

INDEX: Final = "index.html"
PAGES: Final = "pages"
PER_PAGE: Final = 100
"""Datasets of a page: some 300 kB of HTML."""
SHOWN: Final = 10
"""Failures that are printed."""
_FOOTER: Final = (
    '<footer class="soft"><p>The frames stay where they are: a dataset is opened by its address, '
    "with the Python package <code>dkist_virtual</code>. Other readers of Zarr open its references."
    "</p></footer>\n"
)
_OURS: Final = re.compile(r"(\d{4}|undated)(-\d+\.html|\.json)")


@dataclass(frozen=True)
class WrittenPage:
    """Say what was written.

    Parameters
    ----------
    index : pathlib.Path
        The page to open.
    n_datasets, n_pages, n_previews : int
        On all pages; `n_previews` of them have a picture.
    without : dict of str to int
        The reasons for which others have none, and of how many.
    failures : dict of str to str
        Stores whose frames could not be read for a picture, and why.
    left_out : dict of str to str
        Stores whose address a page may not name, and why.
    """

    index: Path
    n_datasets: int
    n_pages: int
    n_previews: int
    without: Mapping[str, int]
    failures: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        said = (
            f"{self.index}: {counted(self.n_datasets, 'dataset')} on "
            f"{counted(self.n_pages, 'page')}, {self.n_previews} with a picture"
        )
        reasons = sorted(self.without.items(), key=lambda one: (-one[1], one[0]))
        lines = [said, *(f"  {n} without: {why}" for why, n in reasons)]
        for some in (self.failures, self.left_out):
            lines += [f"  {name}: {why}" for name, why in list(some.items())[:SHOWN]]
            if len(some) > SHOWN:
                lines.append(f"  and {len(some) - SHOWN} more")
        return "\n".join(lines)


def write_page(
    stores: str | os.PathLike[str],
    *,
    title: str = "Published datasets",
    url: str | None = None,
    previews: bool = True,
    frames: FramePlaces | Mapping[str, str] = None,
    storage_options: Mapping[str, Mapping[str, Any]] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> WrittenPage:
    """Write a static page of an archive's catalogue, with a picture of each dataset.

    `dkist_virtual.write_catalogue` is called first. The page needs nothing from elsewhere, all its
    addresses are relative, and it works without JavaScript; with it, datasets can be filtered.

    Parameters
    ----------
    stores : path
        The directory of the stores, with their catalogue.
    title : str
        Heading of the page.
    url : str, optional
        Where the directory will be published, for the code that opens a dataset. By default the
        page's own address is put there by its script.
    previews : bool
        Whether to draw pictures that are missing, by reading a part of each dataset's frames: some
        megabytes at most, and of a mosaic its middle frames. Without, those that are there are
        shown. Datasets under embargo have none.
    frames : path or URL, or a list of them, or a dict, optional
        Where to read frames for pictures, in place of where the stores say. A dict maps the base of
        an archive, as it was given to `dkist_virtual.convert_archive`, to where the archive is
        here: ``{"https://data.example.org/archive": "/archive"}``.
    storage_options : dict, optional
        As in `dkist_virtual.open_dataset`.
    workers : int, optional
        How many pictures are drawn at once; by default two for each core.
    progress : bool, optional
        Whether to show a bar on stderr; by default where that is a terminal.

    Returns
    -------
    WrittenPage
        A dataset without a picture, because its frames are absent or cannot be reached, is not an
        error: the page says why, and the next call tries again.

    Raises
    ------
    StoreMissingError
        The catalogue does not exist.
    StoreError
        The directory cannot be written, or is not on this machine.
    ValueError
        `url` is not an address of a web server, or has a password or a query.
    """
    directory = stores_directory(stores, "a page")
    if not isinstance(title, str):
        raise TypeError(f"title is a {type(title).__name__}: expected a text")
    if not isinstance(previews, bool):
        raise TypeError(f"previews = {previews!r}: expected True or False")
    if url is not None:
        check_url(url)
    rows, left_out = _rows(directory)
    where = [_frames_of(row, frames) for row in rows]
    options = {"storage_options": storage_options}
    pictures = _previews(rows, where, directory, previews, options, workers, progress)
    cards = _cards(rows, pictures, directory)
    try:
        n_pages = _write_pages(cards, directory, title, url)
    except OSError as error:
        raise StoreError(f"{directory}: cannot be written: {error.strerror or error}") from error
    without: dict[str, int] = {}
    for card in cards:
        if not card.preview.file:
            reason = card.preview.what or "no picture was drawn"
            without[reason] = without.get(reason, 0) + 1
    failures = {
        redacted(card.row["store"]): card.preview.detail for card in cards if card.preview.detail
    }
    n_previews = sum(bool(card.preview.file) for card in cards)
    return WrittenPage(
        directory / INDEX, len(cards), n_pages, n_previews, without, failures, left_out
    )


def check_url(url: object) -> None:
    """Raise `ValueError` unless this is the address of a web server that may be published."""
    if not is_web(url):
        said = shown(url) if isinstance(url, str) else repr(url)
        raise ValueError(
            f"url = {said!r}: expected the address of a web server, such as "
            "https://data.example.org/stores, without a password or a query"
        )


def _rows(directory: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Read the catalogue, newest dataset first, and say which stores a page may not name.

    Datasets that were withdrawn are left out.
    """
    catalogue = read_catalogue(directory)
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    for row in catalogue.table.to_pylist():
        try:
            resolve_address(catalogue.file, row["store"])
        except StoreCorruptError as error:
            refused[redacted(row["store"])] = str(error)
            continue
        if str(row.get("status") or "").upper() != "REMOVED":
            rows.append(row)
    rows.sort(key=lambda row: str(row["store"]))
    rows.sort(key=_start, reverse=True)
    return rows, refused


def _start(row: Mapping[str, Any]) -> float:
    start = row.get("start")
    return start.timestamp() if isinstance(start, datetime) else -1e18


# Previews -----------------------------------------------------------------------------------


def _file_name(row: Mapping[str, Any]) -> str | None:
    """Return the name of a picture, without suffix: the dataset's ID, else its store's name.

    None where that may not be a file's name.
    """
    store = name_of_store(str(row["store"]))
    identity = str(row.get("dataset_id") or "")
    name = identity if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", identity) else store
    return name if name and not name.startswith(".") and name.isprintable() else None


def _frames_of(row: Mapping[str, Any], frames: FramePlaces | Mapping[str, str]) -> FramePlaces:
    """Find where the frames of a dataset are read: None where its store says it."""
    if not isinstance(frames, Mapping):
        return frames
    base = str(row.get("base") or "").rstrip("/")
    for prefix, place in sorted(frames.items(), key=lambda one: -len(one[0])):
        rest = base.removeprefix(prefix.rstrip("/"))
        if rest == "" and base:
            return place
        if rest != base and rest.startswith("/") and not unsafe_name(rest[1:]):
            return join(absolute(place), rest[1:])
    return None


def _previews(
    rows: Sequence[Mapping[str, Any]],
    where: Sequence[FramePlaces],
    directory: Path,
    draw: bool,
    options: Mapping[str, Any],
    workers: int | None,
    progress: bool | None,
) -> list[Preview]:
    """Give each row its picture, as far as there is one."""
    found: list[Preview | None] = []
    stores: dict[str, tuple[str, str | None]] = {}
    names: list[str | None] = []
    frames: dict[str, FramePlaces] = {}
    for row, place in zip(rows, where, strict=True):
        store, store_id = str(row["store"]), row.get("store_id")
        name = _file_name(row)
        why = ""
        if _is_embargoed(row):
            why = "the dataset is under embargo"
        elif "://" in store:
            why = "its store is elsewhere"
        elif name is None or name in stores:
            why = "no file can have its name"
        names.append(None if why else name)
        found.append(Preview(store_id, what=why) if why else None)
        if not why and name is not None:
            stores[name] = (os.fspath(directory / store), store_id)
            frames[name] = place
    if draw:
        drawn = draw_previews(
            stores, directory / PREVIEWS, options=options, frames=frames, workers=workers,
            progress=progress,
        )  # fmt: skip
    else:
        record = read_record(directory / PREVIEWS)
        drawn = {
            name: record[name]
            for name, (_, store_id) in stores.items()
            if name in record and record[name].store_id == store_id
        }
    none = Preview(None)
    return [
        preview if preview is not None else drawn.get(name or "", none)
        for name, preview in zip(names, found, strict=True)
    ]


def _is_embargoed(row: Mapping[str, Any]) -> bool:
    """Tell whether nobody may see the pixels yet."""
    if not row.get("embargoed"):
        return False
    end = row.get("embargo_end")
    return not isinstance(end, datetime) or end > datetime.now(UTC)


def _cards(
    rows: Sequence[dict[str, Any]], previews: Sequence[Preview], directory: Path
) -> list[Card]:
    used: set[str] = set()
    cards = []
    for number, (row, preview) in enumerate(zip(rows, previews, strict=True)):
        anchor = anchor_of(name_of_store(str(row["store"])), number)
        if anchor in used or anchor in ("filter", "said", "found", "datasets"):
            anchor = f"{anchor}-{number}"
        used.add(anchor)
        cards.append(Card(row, preview, anchor, _stac(row, directory)))
    return cards


def _stac(row: dict[str, Any], directory: Path) -> str | None:
    """Return the place of a dataset's STAC item; None where there is none."""
    path = item_path(row)
    place = None if path is None else f"{STAC}/{path}"
    return place if place is not None and (directory / place).is_file() else None


# Pages --------------------------------------------------------------------------------------


def _write_pages(cards: Sequence[Card], directory: Path, title: str, url: str | None) -> int:
    """Write all pages, the first one last, and delete those that are no longer needed."""
    years: dict[str, list[Card]] = {}
    if len(cards) > PER_PAGE:
        for card in cards:
            years.setdefault(card.year or "undated", []).append(card)
    choices = _choices(cards)
    wanted: set[str] = set()
    lists: list[tuple[str, str]] = []
    pages: list[tuple[str, list[tuple[str, int]]]] = []
    if years:
        (directory / PAGES).mkdir(exist_ok=True)
    for year, of_year in years.items():
        lists.append(("" if year == "undated" else year, f"{year}.json"))
        old_first = of_year[::-1]
        parts = [old_first[i : i + PER_PAGE] for i in range(0, len(old_first), PER_PAGE)]
        pages.append((year, [(f"{year}-{n + 1}.html", len(part)) for n, part in enumerate(parts)]))
        rows: list[Any] = []
        for n, part in enumerate(parts):
            name = f"{year}-{n + 1}.html"
            rows.extend(card.summary(name) for card in part)
        _replace(directory / PAGES, f"{year}.json", _rows_json(rows[::-1]))
        wanted.add(f"{year}.json")
    for year, names in pages:
        for n, (name, _) in enumerate(names):
            part = years[year][::-1][n * PER_PAGE : (n + 1) * PER_PAGE][::-1]
            near = [("Earlier", names[n - 1][0])] if n else []
            near += [("Later", names[n + 1][0])] if n + 1 < len(names) else []
            text = _page(
                part,
                title=f"{title}: {year}, page {n + 1} of {len(names)}",
                root="../",
                url=url,
                said=f"{counted(len(years[year]), 'dataset')} of {year}.",
                links=[("All datasets", f"../{INDEX}"), *near],
                choices=choices,
                lists=lists,
                pages="",
            )
            _replace(directory / PAGES, name, text)
            wanted.add(name)
    text = _page(
        cards[:PER_PAGE],
        title=title,
        root="",
        url=url,
        said=_totals(cards),
        links=[(f"{year}, {n + 1} ({count})", f"{PAGES}/{name}")
               for year, names in pages for n, (name, count) in reversed(list(enumerate(names)))],
        choices=choices,
        lists=[(year, f"{PAGES}/{file}") for year, file in lists],
        pages=f"{PAGES}/",
    )  # fmt: skip
    _replace(directory, INDEX, text)
    _sweep(directory / PAGES, wanted)
    return 1 + sum(len(names) for _, names in pages)


def _rows_json(rows: Sequence[Any]) -> str:
    """Write a row a line: what changed is seen, and copied, line by line."""
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    return f"[\n{lines}\n]\n"


def _replace(directory: Path, name: str, text: str) -> None:
    """Write a file, unless it has this text already."""
    with suppress(OSError, ValueError):
        if (directory / name).read_bytes() == text.encode():
            return
    replace_text(os.fspath(directory), name, text)


def _sweep(directory: Path, wanted: set[str]) -> None:
    """Delete pages that were written before and are not wanted, and nothing else."""
    if not directory.is_dir():
        return
    for entry in sorted(directory.iterdir()):
        if _OURS.fullmatch(entry.name) and entry.name not in wanted:
            entry.unlink()
    with suppress(OSError):  # something else is in it
        directory.rmdir()


def _totals(cards: Sequence[Card]) -> str:
    frames = [card.row.get("n_frames") for card in cards]
    sizes = [card.row.get("n_bytes") for card in cards]
    said = counted(len(cards), "dataset")
    if frames and all(isinstance(n, int) for n in frames):
        said += f", {counted(sum(n for n in frames if n is not None), 'frame')}"
    if sizes and all(isinstance(n, int) for n in sizes):
        said += f", {human_bytes(sum(n for n in sizes if n is not None))}"
    if len(cards) > PER_PAGE:
        said += f". The newest {PER_PAGE} are on this page"
    return said + "."


def _page(
    cards: Sequence[Card],
    *,
    title: str,
    root: str,
    url: str | None,
    said: str,
    links: Sequence[tuple[str, str]],
    choices: str,
    lists: Sequence[tuple[str, str]],
    pages: str,
) -> str:
    """Write a page: whole, with its style and its script."""
    heading = text_of(title)
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY, quote=False)}">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        '<meta name="referrer" content="no-referrer">\n',
        f"<title>{heading}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        '<a class="skip" href="#datasets">Skip to the datasets</a>\n',
        f"<header>\n<h1>{heading}</h1>\n<p>{said}</p>\n",
    ]
    if links:
        parts += ['<nav aria-label="Pages">\n<ol class="pages">\n']
        parts += [f'<li><a href="{escape(to)}">{escape(name)}</a></li>\n' for name, to in links]
        parts += ["</ol>\n</nav>\n"]
    parts += ["</header>\n", _form(choices, lists, pages)]
    parts += ['<p id="said" class="soft" role="status"></p>\n<ul id="found"></ul>\n']
    parts += ['<main id="datasets">\n', *(card.html(root, url) for card in cards), "</main>\n"]
    parts += [_FOOTER, f"<script>{SCRIPT}</script>\n</body>\n</html>\n"]
    return "".join(parts)


def _choices(cards: Sequence[Card]) -> str:
    """Write the instruments and lines to choose from."""
    instruments = sorted({card.instrument for card in cards if card.instrument})
    lines = sorted({line for card in cards for line in card.lines})
    return _choice("instrument", "Instrument", instruments) + _choice("line", "Line", lines)


def _form(choices: str, lists: Sequence[tuple[str, str]], pages: str) -> str:
    years = escape(json.dumps(lists))
    button = "Search all pages" if lists else "Filter"
    return (
        f'<form id="filter" role="search" data-years="{years}" data-pages="{pages}" hidden>\n'
        '<div><label for="f-text">Text</label><input id="f-text" name="text" type="search"></div>\n'
        f"{choices}"
        '<div><label for="f-from">From</label><input id="f-from" name="from" type="date"></div>\n'
        '<div><label for="f-to">To</label><input id="f-to" name="to" type="date"></div>\n'
        f'<button type="submit">{button}</button>\n<button type="reset">Show all</button>\n'
        "</form>\n"
    )


def _choice(name: str, label: str, values: Iterable[str]) -> str:
    options = "".join(f"<option>{escape(value)}</option>" for value in values)
    return (
        f'<div><label for="f-{name}">{label}</label><select id="f-{name}" name="{name}">'
        f'<option value="">any</option>{options}</select></div>\n'
    )
