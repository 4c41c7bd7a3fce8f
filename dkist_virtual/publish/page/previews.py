"""Draw the previews of many stores: a small picture each, kept as long as its store is the same.

``previews/previews.json`` records of each store what its preview was made of. A store without a
picture has the reason there, and is tried again the next time.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from dkist_virtual.errors import (
    DKISTVirtualError,
    FrameCorruptError,
    FrameMissingError,
    FrameUnreachableError,
    FrameUnsupportedError,
    StoreError,
    redacted,
)
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.local_file import replace_bytes, replace_text
from dkist_virtual.io.locations import Location
from dkist_virtual.publish.page.picture import SUFFIX, TooLargeError

__all__ = ["RECORD", "Preview", "draw_previews", "preview_of", "read_record"]

RECORD: Final = "previews.json"
VERSION: Final = 1
"""Of how pictures are chosen and drawn: those of another one are drawn again."""
SAVE_EVERY: Final = 20.0
"""Seconds after which the record is written while pictures are drawn."""
FAILED: Final = 3
"""After so many stores whose frames on one server cannot be reached, it is not asked again."""


@dataclass(frozen=True)
class Preview:
    """What is known of a store's picture.

    Parameters
    ----------
    store_id : str or None
        Of the store that it was made of.
    file : str
        Name in the directory of the previews; empty without a picture.
    what : str
        What it shows; or, without a picture, why there is none.
    width, height : int
        Pixels.
    n_frames : int
        Frames that were read, or a part of them.
    n_bytes : int
        Bytes of frames that were read.
    detail : str
        Why there is none, for the user who draws it. It is not recorded: the record is published,
        and errors name files of this machine.
    """

    store_id: str | None
    file: str = ""
    what: str = ""
    width: int = 0
    height: int = 0
    n_frames: int = 0
    n_bytes: int = 0
    detail: str = field(default="", compare=False)

    @classmethod
    def from_document(cls, document: Any) -> Self | None:
        """Read one of the record; None where it is not one."""
        kinds = {"store_id": str, "file": str, "what": str}
        names = {one.name for one in fields(cls)} - {"detail"}
        if not isinstance(document, Mapping) or set(document) != names:
            return None
        good = all(
            isinstance(document[name], kinds.get(name, int))
            or (name == "store_id" and document[name] is None)
            for name in names
        )
        return cls(**document) if good else None


def read_record(directory: Path) -> dict[str, Preview]:
    """Read the record of a directory of previews; nothing of one that is not there or damaged."""
    try:
        document = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        entries = document["previews"] if document["version"] == VERSION else {}
        found = {str(name): Preview.from_document(entry) for name, entry in entries.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
    return {name: entry for name, entry in found.items() if entry is not None}


def _write_record(directory: Path, record: Mapping[str, Preview]) -> None:
    entries = {name: asdict(record[name]) for name in sorted(record)}
    for entry in entries.values():
        del entry["detail"]
    text = json.dumps({"version": VERSION, "previews": entries}, indent=0, sort_keys=True)
    replace_text(os.fspath(directory), RECORD, text + "\n")


def draw_previews(
    stores: Mapping[str, tuple[str, str | None]],
    directory: Path,
    *,
    options: Mapping[str, Any] | None = None,
    frames: Mapping[str, Any] | None = None,
    workers: int | None = None,
    progress: bool | None = None,
) -> dict[str, Preview]:
    """Draw the pictures that are missing, many at once; keep those of stores that are the same.

    Parameters
    ----------
    stores : mapping of str to tuple of (str, str or None)
        The name of each picture, without suffix, to the store's path or URL and its ``store_id``.
    directory : pathlib.Path
        Where the pictures go. Those of other stores are deleted.
    options : mapping, optional
        Of `dkist_virtual.open_dataset`: storage_options, cache, allow_local.
    frames : mapping, optional
        Names to where the frames of those stores are read, in place of where their stores say.
    workers : int, optional
        How many stores at once: by default twice as many as there are cores.
    progress : bool, optional
        Whether to show a bar on stderr; by default where that is a terminal.

    Returns
    -------
    dict of str to Preview
        In the order of the stores. None of them raises: a store without a picture has the reason.
    """
    from tqdm import tqdm

    from dkist_virtual.text import shows_progress

    directory.mkdir(parents=True, exist_ok=True)
    known = read_record(directory)
    record: dict[str, Preview] = {}
    for name, (_, store_id) in stores.items():
        before = known.get(name)
        if before is not None and _is_current(before, name, store_id, directory):
            record[name] = before
    todo = [name for name in stores if name not in record]
    silent = _Silent()
    stopped = threading.Event()

    def one(name: str) -> Preview:
        place, store_id = stores[name]
        if stopped.is_set():
            return Preview(store_id, what="stopped")
        own = {**(options or {}), "frames": (frames or {}).get(name)}
        return preview_of(place, store_id, directory, name, options=own, silent=silent)

    pool = ThreadPoolExecutor(workers or 2 * (os.cpu_count() or 1), "preview")
    try:
        running = {pool.submit(one, name): name for name in todo}
        hidden = not shows_progress(progress) or not todo
        saved = time.monotonic()
        for done in tqdm(
            as_completed(running), total=len(todo), desc="Previews", unit=" datasets",
            disable=hidden,
        ):  # fmt: skip
            record[running[done]] = done.result()
            if time.monotonic() - saved > SAVE_EVERY:
                _write_record(directory, {**known, **record})
                saved = time.monotonic()
    except BaseException:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        _write_record(directory, {**known, **record})
        raise
    pool.shutdown()
    _write_record(directory, record)
    _sweep(directory, {entry.file for entry in record.values()})
    return {name: record[name] for name in stores}


def _is_current(before: Preview, name: str, store_id: str | None, directory: Path) -> bool:
    return (
        store_id is not None
        and before.store_id == store_id
        and before.file == name + SUFFIX
        and (directory / before.file).is_file()
    )


def _sweep(directory: Path, wanted: set[str]) -> None:
    """Delete pictures that no store has, and what a stopped run left."""
    for entry in sorted(directory.iterdir()):
        ours = entry.name.endswith(SUFFIX) or entry.name.startswith(".")
        if ours and entry.name not in wanted and entry.is_file():
            with suppress(OSError):
                entry.unlink()


class _Silent:
    """Servers that did not answer, which the other stores do not wait for."""

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}
        self._one = ThreadLock()

    def failed(self, server: str) -> None:
        with self._one:
            self._failed[server] = self._failed.get(server, 0) + 1

    def is_known(self, server: str) -> bool:
        return bool(server) and self._failed.get(server, 0) >= FAILED


def preview_of(
    place: str,
    store_id: str | None,
    directory: Path,
    name: str,
    *,
    options: Mapping[str, Any] | None = None,
    silent: _Silent | None = None,
) -> Preview:
    """Draw the picture of one store, and write it; see `draw_previews`."""
    server = ""

    def seen(base: str) -> None:
        nonlocal server
        location = Location.of(base)
        server = "" if location.is_local else f"{location.scheme}://{location.host}"
        if silent is not None and silent.is_known(server):
            raise FrameUnreachableError(f"{server} did not answer for other datasets")

    try:
        return _drawn(place, store_id, directory, name, options or {}, seen)
    except Exception as error:  # noqa: BLE001  # of any package: a page needs no picture
        if isinstance(error, FrameUnreachableError) and silent is not None and server:
            silent.failed(server)
        kind = "" if isinstance(error, DKISTVirtualError) else f"{type(error).__name__}: "
        return Preview(store_id, what=_reason(error), detail=f"{kind}{redacted(error)}")


_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (FrameMissingError, "its frames are not there"),
    (FrameUnreachableError, "its frames could not be reached"),
    (FrameCorruptError, "one of its frames is corrupt"),
    (FrameUnsupportedError, "its frames are of a form that cannot be read"),
    (StoreError, "its store cannot be read"),
    (TooLargeError, "it takes too many bytes"),
    (DKISTVirtualError, "it has no image to show"),
    (Exception, "no picture could be made of it"),
)
"""What a page says of an error: nothing of where the files are."""


def _reason(error: Exception) -> str:
    return next(said for kind, said in _REASONS if isinstance(error, kind))


def _drawn(
    place: str,
    store_id: str | None,
    directory: Path,
    name: str,
    options: Mapping[str, Any],
    seen: Callable[[str], None],
) -> Preview:
    from dkist_virtual.dataset.loader import open_store
    from dkist_virtual.publish.page.picture import draw
    from dkist_virtual.publish.page.plane import Counted, read_plane
    from dkist_virtual.store.read_options import ReadOptions

    opened = open_store(place, ReadOptions(**options))
    store = opened.handle.store
    seen(next(iter(store.places.in_order), ""))
    counted = Counted.of(store.fetcher)
    store.fetcher = counted
    sources: Sequence[Any] = tuple(opened.provenances())
    mosaic = opened.description.grid is not None and not opened.is_inversion
    shown = read_plane(sources, counted, mosaic=mosaic)
    picture, (width, height) = draw(shown.plane)
    file = name + SUFFIX
    replace_bytes(os.fspath(directory), file, picture)
    return Preview(store_id, file, shown.what, width, height, shown.n_frames, counted.nbytes)
