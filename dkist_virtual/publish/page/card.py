"""Make the part of a page that describes one dataset. All text of a store is escaped here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dkist_virtual.errors import redacted
from dkist_virtual.publish.stores import PREVIEWS, name_of_store
from dkist_virtual.store.format.names import JSON_NAME, METADATA_NAME, PARQUET_NAME
from dkist_virtual.text import counted, human_bytes

if TYPE_CHECKING:
    from dkist_virtual.publish.page.previews import Preview

__all__ = ["Card", "anchor_of", "is_web", "text_of"]

LONGEST: Final = 300
"""Characters of a text that a store brings along."""
MOST: Final = 10_000
"""Characters of it that are looked at."""
TIMES: Final = "\N{MULTIPLICATION SIGN}"
REFERENCES: Final = {JSON_NAME: JSON_NAME, PARQUET_NAME: f"{PARQUET_NAME}/.zmetadata"}
"""The file of each kind of references that a link leads to."""


def text_of(value: object, longest: int = LONGEST) -> str:
    """Escape a text of a store for HTML, in one line, shortened; empty for None."""
    if value is None:
        return ""
    return escape(_plain(value, longest))


def _plain(value: object, longest: int = LONGEST) -> str:
    """Shorten a text to one line without secrets, in which everything can be seen."""
    said = redacted(str(value)[:MOST])
    return said if len(said) <= longest else f"{said[: longest - 1]}…"


def is_web(url: object) -> bool:
    """Tell whether an address may become a link: of a web server, without a password or query."""
    return (
        isinstance(url, str)
        and re.fullmatch(r"https?://[^\s@?#\"'<>\\\x00-\x1f\x7f]+", url, re.IGNORECASE) is not None
    )


def anchor_of(name: str, number: int) -> str:
    """Make the name of a dataset's place in a page: letters, digits, dots, hyphens."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:80]
    return plain if plain == name and plain else f"{plain or 'dataset'}-{number}"


def _relative(address: str) -> str:
    """Encode a name below the directory of the stores for a link: it can have no scheme."""
    return "./" + quote(address, safe="/")


def _moment(value: Any) -> str:
    if not isinstance(value, datetime):
        return ""
    given = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return given.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value or () if one is not None]


@dataclass(frozen=True)
class Card:
    """What a page says of one dataset.

    Parameters
    ----------
    row : mapping
        Its row of the catalogue.
    preview : Preview
    anchor : str
    stac : str, optional
        Its STAC item, relative to the directory of the stores.
    """

    row: Mapping[str, Any]
    preview: Preview
    anchor: str
    stac: str | None = None

    @property
    def name(self) -> str:
        """What it is called: its ID, else that of its store."""
        return str(self.row.get("dataset_id") or name_of_store(str(self.row["store"])))

    @property
    def year(self) -> str:
        """When it begins; empty where that is not known."""
        return _moment(self.row.get("start"))[:4]

    @property
    def instrument(self) -> str:
        """The name of the instrument; empty where it is not known."""
        return _plain(self.row.get("instrument") or "")

    @property
    def lines(self) -> list[str]:
        """The names of its spectral lines."""
        return [_plain(line) for line in _texts(self.row.get("lines"))[:20]]

    def summary(self, page: str) -> list[Any]:
        """List what is searched for on other pages: page, anchor, name and the rest."""
        row = self.row
        more = " ".join([*_texts(row.get("targets")), str(row.get("product_id") or "")])
        start, end = _moment(row.get("start")), _moment(row.get("end"))
        return [page, self.anchor, _plain(self.name), self.instrument, self.lines, start, end,
                _plain(more.strip())]  # fmt: skip

    # HTML -------------------------------------------------------------------------------------

    def html(self, root: str, url: str | None) -> str:
        """Write it as HTML.

        Parameters
        ----------
        root : str
            From the page to the directory of the stores: empty, or ``../``.
        url : str, optional
            Where that directory is published: the code to open the dataset names it then.
        """
        row = self.row
        start, end = _moment(row.get("start")), _moment(row.get("end"))
        heading = " ".join(filter(None, (self.instrument, self.name)))
        lines = escape(json.dumps(self.lines))
        anchor = escape(self.anchor)
        facts = "".join(f"<dt>{name}</dt><dd>{said}</dd>\n" for name, said in self._facts() if said)
        links = "".join(
            f'<li><a href="{escape(link)}">{escape(name)}</a></li>\n'
            for name, link in self._links(root)
        )
        return (
            f'<article id="{anchor}" aria-labelledby="{anchor}-name" '
            f'data-instrument="{text_of(self.instrument)}" data-lines="{lines}" '
            f'data-start="{start}" data-end="{end}">\n{self._figure(root)}'
            f'<div>\n<h2 id="{anchor}-name">{text_of(heading)}</h2>\n<dl>\n{facts}</dl>\n'
            f'{self._code(root, url)}<ul class="links">\n{links}</ul>\n</div>\n</article>\n'
        )

    def _figure(self, root: str) -> str:
        shown = self.preview
        if not shown.file:
            why = text_of(shown.what or "no picture was drawn")
            return f'<figure><div class="none">No preview: {why}</div></figure>\n'
        source = f"{root}{PREVIEWS}/{quote(shown.file)}"
        alt = f"{self.instrument} {self.name}: {shown.what}"
        caption = text_of(shown.what[:1].upper() + shown.what[1:])
        return (
            f'<figure><img src="{escape(source)}" alt="{text_of(alt)}" loading="lazy" '
            f'width="{shown.width:d}" height="{shown.height:d}">'
            f"<figcaption>{caption}</figcaption></figure>\n"
        )

    def _facts(self) -> Iterator[tuple[str, str]]:
        """Give the name and the escaped text of each value."""
        row = self.row
        yield "Time", _span(_moment(row.get("start")), _moment(row.get("end")))
        yield "Lines", text_of(", ".join(self.lines))
        yield (
            "Wavelengths",
            _range(row.get("wavelength_min"), row.get("wavelength_max"), 1, "nm", 2),
        )
        yield "Target", text_of(", ".join(_texts(row.get("targets"))))
        yield "Place", _box(row)
        yield "Shape", text_of(_shape(row))
        yield "Size", text_of(_size(row))
        yield "Stokes", text_of(row.get("stokes"))
        yield "Seeing", _seeing(row)
        yield "Status", text_of(_status(row))

    def _code(self, root: str, url: str | None) -> str:
        store = str(self.row["store"])
        absolute, place = "://" in store, self._place(root)
        if not absolute and url is not None:
            store, absolute = f"{url.rstrip('/')}/{quote(store)}", True
        # The script puts the address of the page in place of a relative one.
        source = f' data-store="{escape(place)}"' if place and not absolute else ""
        name = text_of(self.name)
        return (
            f'<pre tabindex="0" aria-label="Python code to open {name}">'
            f"<code{source}>import dkist_virtual as dv\n"
            f"ds = dv.open_dataset(<span>{escape(json.dumps(store))}</span>)\n"
            "print(ds)</code></pre>\n"
            f'<button type="button" class="copy" hidden aria-label="Copy the code to open {name}">'
            "Copy</button>\n"
        )

    def _place(self, root: str) -> str:
        """Return the address of the store for a link; empty where it is in a bucket."""
        store = str(self.row["store"])
        if "://" not in store:
            return root + _relative(store)
        return store if is_web(store) else ""

    def _links(self, root: str) -> Iterator[tuple[str, str]]:
        """Give the names and addresses of what belongs to the dataset."""
        place = self._place(root)
        part = REFERENCES.get(str(self.row.get("references")))
        if place and part is not None:
            yield "References", f"{place}/{part}"
        if place:
            yield "WCS and inventory (ASDF)", f"{place}/{METADATA_NAME}"
        if self.stac is not None:
            yield "STAC item", root + _relative(self.stac)
        base, asdf = self.row.get("base"), self.row.get("asdf")
        if is_web(base) and isinstance(asdf, str) and re.fullmatch(r"[\w.-]+", asdf):
            yield "ASDF of the Data Center", f"{str(base).rstrip('/')}/{quote(asdf)}"


# Values as text -----------------------------------------------------------------------------


def _span(start: str, end: str) -> str:
    if not (start or end):
        return ""
    times = [
        f'<time datetime="{one}Z">{one.replace("T", " ")}</time>' for one in (start, end) if one
    ]
    return f"{' to '.join(dict.fromkeys(times))} UTC"


def _is_number(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and abs(value) < 1e300 for value in values)


def _range(low: Any, high: Any, factor: float, unit: str, digits: int) -> str:
    if not _is_number(low, high):
        return ""
    # Rounded before it is written: nothing is -0.
    ends = dict.fromkeys(
        f"{round(value * factor, digits) + 0.0:.{digits}f}" for value in (low, high)
    )
    return f"{' to '.join(ends)} {unit}"


def _box(row: Mapping[str, Any]) -> str:
    sides = [_range(row.get(f"{axis}_min"), row.get(f"{axis}_max"), 1, "arcsec", 0)
             for axis in ("tx", "ty")]  # fmt: skip
    return f"Tx {sides[0]}, Ty {sides[1]}" if all(sides) else ""


def _numbers(values: Any) -> str:
    return f" {TIMES} ".join(f"{value:d}" for value in values if isinstance(value, int))


def _shape(row: Mapping[str, Any]) -> str:
    shape: Sequence[int] = row.get("shape") or ()
    axes = _texts(row.get("axes"))
    said = _numbers(shape)
    if len(axes) == len(shape) and axes:
        said += f" ({', '.join(axes)})"
    grid = row.get("grid")
    tiles = f"{_numbers(grid)} tiles of " if grid else ""
    kind = row.get("kind") if row.get("kind") not in (None, "dataset", "mosaic") else ""
    return " ".join(filter(None, (f"{tiles}{said}", str(row.get("dtype") or ""), str(kind or ""))))


def _size(row: Mapping[str, Any]) -> str:
    n_frames, n_bytes = row.get("n_frames"), row.get("n_bytes")
    parts: Iterable[str] = (
        counted(n_frames, "frame") if isinstance(n_frames, int) else "",
        human_bytes(n_bytes) if isinstance(n_bytes, int) else "",
    )
    return ", ".join(filter(None, parts))


def _seeing(row: Mapping[str, Any]) -> str:
    mean: Any = row.get("fried_mean")
    if not _is_number(mean):
        return ""
    said = f"r<sub>0</sub> {mean * 100:.1f} cm"
    span = _range(row.get("fried_min"), row.get("fried_max"), 100, "cm", 1)
    return f"{said} ({span})" if " to " in span else said


def _status(row: Mapping[str, Any]) -> str:
    said = []
    if row.get("embargoed"):
        until = _moment(row.get("embargo_end"))[:10]
        said.append(f"under embargo{f' until {until}' if until else ''}")
    if str(row.get("status") or "ACTIVE").upper() != "ACTIVE":
        said.append(str(row["status"]).lower())
    return ", ".join(said)
