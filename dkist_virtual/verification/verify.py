"""Check a store against its frames: files, HDUs, sums, keywords and positions on the sky."""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dkist_virtual.cube.selection import parse_index
from dkist_virtual.cube.virtual_array import opened_selection
from dkist_virtual.cube.world_axes import World
from dkist_virtual.dataset.open import open_dataset
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
    VerificationWarning,
)
from dkist_virtual.io.locations import is_local, shown
from dkist_virtual.io.settings import setting
from dkist_virtual.store.codecs import FrameSpec
from dkist_virtual.store.format.frame_index import FrameEntry
from dkist_virtual.store.format.references import chunk_key
from dkist_virtual.store.format.verify_json import (
    UNREADABLE,
    VERIFY_NAME,
    WRONG,
    Finding,
    Outcome,
    Verification,
    kept_in,
    write,
)
from dkist_virtual.store.zarr_store import spec_of
from dkist_virtual.verification.against_astropy import Comparison, compare, spread
from dkist_virtual.verification.frame import KEYWORDS, Stated, check_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.fits.header import Header
    from dkist_virtual.io.remote.request import Reply
    from dkist_virtual.store.format.references import ReferenceSet
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.handle import StoreReader

__all__ = ["verify"]

TOLERANCE: Final = 0.1
"""How far positions on the sky may be apart, arcsec."""

WCS_FRAMES: Final = 8
"""Frames whose FITS WCS is compared."""

_BETWEEN: Final = 5.0
"""Seconds between two times that what was found is written."""


def verify(
    store_or_asdf: str | os.PathLike[str],
    *,
    against: Literal["astropy"] | None = None,
    sample: int | None = None,
    selection: Any = None,
    frames: FramePlaces = None,
    tolerance: float = TOLERANCE,
    workers: int | None = None,
    resume: bool = True,
    keep: bool = True,
    progress: bool | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
    allow_local: bool | None = None,
) -> Verification | Comparison:
    """Hold a store against its frames: every one, a sample, or a selection.

    Of each frame is looked at whether it is there, its length and where in it the HDU lies, its
    shape and type, DATASUM and CHECKSUM as it is stored, whether it decodes, and keywords (when,
    where, which wavelength, which place in the dataset) against the header table. Of some, whether
    the dataset's WCS gives the positions on the sky that their own FITS WCS gives.

    Parameters
    ----------
    store_or_asdf : path or URL
        A store; or a dataset's ASDF, which knows less of its frames.
    against : {"astropy"}, optional
        Compare pixels with those that astropy reads, and nothing else: what is held against it
        is not the store, but the decoder. Takes sample, frames, progress, storage_options and
        allow_local.
    sample : int, optional
        How many frames, spread evenly from the first to the last; all if not given.
    selection : str, optional
        Those of a selection alone, as it stands in ``ds[...]``: ``"0, 50"``.
    frames : path or URL, or a list of them, optional
        Where the frames are, if not where the store says.
    tolerance : float
        How far positions on the sky may be apart, arcsec.
    workers : int, optional
        How many frames at once. By default 4 on this machine, 16 elsewhere.
    resume : bool
        Whether to go on where the same verification was stopped before.
    keep : bool
        Whether to write ``verify.json`` into a store on this machine. Opening it warns of what
        is wrong.
    progress : bool, optional
        Show a bar. By default on a terminal only.
    storage_options : dict, optional
        A protocol or URL prefix to fsspec's options for it.
    allow_local : bool, optional
        As `open_dataset` takes it.

    Returns
    -------
    Verification
        Prints as a report; with `against` a `Comparison`.

    Raises
    ------
    DatasetError, StoreError
        What was to be verified cannot be opened, or what was found not be kept.
    """
    if against is not None:
        if selection is not None:
            raise ValueError("selection: is not taken with against: expected sample, or nothing")
        return compare(
            store_or_asdf, against=against, sample=sample, frames=frames,  # type: ignore[arg-type]
            storage_options=storage_options, progress=progress, allow_local=allow_local,
        )  # fmt: skip
    if sample is not None and sample < 1:
        raise ValueError(f"sample = {sample}: expected 1 or more")
    if not tolerance >= 0:
        raise ValueError(f"tolerance = {tolerance}: expected 0 or more")
    with _unwarned():
        ds = open_dataset(
            store_or_asdf, frames=frames, storage_options=storage_options, allow_local=allow_local
        )
    whole = getattr(ds, "flat", [ds])
    n_frames = sum(tile.provenance.array.metadata.n_frames for tile in whole)
    if selection:
        index = parse_index(selection)
        ds = ds.slice_tiles[index] if hasattr(ds, "slice_tiles") else ds[index]
    run = _Run(getattr(ds, "flat", [ds]), sample)
    handle = run.handle
    place = handle.url or os.fspath(store_or_asdf)
    begun = Verification(
        store=place if is_local(place) else shown(place),
        store_id=handle.store.references.attributes.get("store_id"),
        dataset_id=(ds.inventory or {}).get("datasetId"),
        instrument=(ds.inventory or {}).get("instrumentName"),
        what={
            "sample": sample,
            "selection": selection or None,
            "places": [shown(place) for place in handle.store.places.in_order],
        },
        n_frames=n_frames,
        n_chosen=len(run.chosen),
        tolerance=tolerance,
        references=handle.store.references.identity,
    )
    kept = keep and handle.url is not None and is_local(handle.url)
    earlier = _kept(handle.reader, handle.store.references) if kept else None
    if earlier is not None and resume and _is_begun(earlier, begun):
        begun = earlier
    elif earlier is not None and _knows_more(earlier, begun, run):
        kept = False
        said = f"found wrong on {earlier.when}, not all looked at again: {VERIFY_NAME} keeps them"
        begun = replace(begun, notes={said: earlier.n_wrong or len(earlier.off)})
    return run.all_of(begun, workers=workers, progress=progress, kept=kept)


@contextmanager
def _unwarned() -> Iterator[None]:
    """Who verifies a store anew need not be told what the last verification found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerificationWarning)
        yield


def _without_wcs(finding: Finding, error: Exception) -> Finding:
    """What came of a frame of whose header no WCS can be made."""
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    return replace(
        finding,
        outcome="changed" if finding.outcome == "good" else finding.outcome,
        detail="; ".join(filter(None, [finding.detail, f"its header gives no WCS: {said}"])),
    )


def _kept(reader: StoreReader, references: ReferenceSet) -> Verification | None:
    """The last verification of the store; None where there is none that can be read."""
    try:
        return kept_in(reader, references)
    except UNREADABLE:
        return None


def _knows_more(found: Verification, begun: Verification, run: _Run) -> bool:
    """Whether an earlier verification found wrong what this one does not look at."""
    if not (found.n_wrong or found.off):
        return False
    wrong = [f.key for f in found.findings if f.outcome in WRONG]
    seen = {run.key(i) for i in range(len(run.chosen))}
    looked = found.what["places"] == begun.what["places"] and seen.issuperset([*wrong, *found.off])
    return not looked or len(wrong) != found.n_wrong


def _is_begun(found: Verification, begun: Verification) -> bool:
    """Whether a verification is the same one, that was stopped."""
    return not found.complete and (found.what, found.tolerance, found.n_chosen) == (
        begun.what, begun.tolerance, begun.n_chosen,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame that is to be looked at."""

    provenance: Provenance
    position: int
    row: int


class _Run:
    """The frames to be looked at, and what the store's tables say of them.

    Parameters
    ----------
    tiles : sequence of Dataset
    sample : int, optional
    """

    def __init__(self, tiles: Any, sample: int | None) -> None:
        every = []
        for tile in tiles:
            source = tile.provenance
            positions = source.array.positions()
            every += [_Frame(source, int(p), int(p) + source.first_row) for p in positions]
        self.handle = every[0].provenance.array.handle
        self.chosen = [every[i] for i in spread(len(every), sample)]
        rows = np.array([frame.row for frame in self.chosen], np.int64)
        source = every[0].provenance
        columns = ("size", "mtime", "offset", "length", "datasum")
        self._about = {name: source.read_scan(f"_{name}", rows) for name in columns}
        headers = source.headers(rows)
        wanted = [keyword for keyword in (*KEYWORDS, "DATASUM") if keyword in headers.colnames]
        self._headers = headers[wanted]
        self._worlds: dict[int, World] = {}
        self._looked_at = set(spread(len(self.chosen), WCS_FRAMES))

    def all_of(
        self, so_far: Verification, *, workers: int | None, progress: bool | None, kept: bool
    ) -> Verification:
        """Look at what is left."""
        from tqdm import tqdm

        began, seconds = time.monotonic(), so_far.seconds
        written = began
        shown = sys.stderr.isatty() if progress is None else progress
        counts, notes = Counter(so_far.counts), Counter(so_far.notes)
        findings, wcs = list(so_far.findings), dict(so_far.wcs)

        def now(n: int) -> Verification:
            return replace(
                so_far, n_done=n, counts=dict(counts), notes=dict(notes), findings=tuple(findings),
                wcs=dict(wcs), when=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=seconds + time.monotonic() - began,
            )  # fmt: skip

        n = so_far.n_done
        bar = tqdm(
            total=so_far.n_chosen, initial=n, unit=" frames", desc="Verifying", disable=not shown
        )
        with bar:
            try:
                for finding, header in self._findings(n, workers):
                    away = None
                    if header is not None and n in self._looked_at:
                        try:
                            away = self._away(self.chosen[n], header)
                        except Exception as error:  # noqa: BLE001  # wcslib's, astropy's, gwcs'
                            finding = _without_wcs(finding, error)
                    counts[finding.outcome] += 1
                    notes.update(finding.notes)
                    if finding.outcome != "good":
                        findings.append(finding)
                    if away is not None:
                        wcs[finding.key] = away
                    n += 1
                    bar.update()
                    if kept and time.monotonic() - written > _BETWEEN:
                        write(now(n))
                        written = time.monotonic()
            except KeyboardInterrupt:
                if kept:
                    write(now(n))
                raise KeyboardInterrupt(
                    f"{n} of {so_far.n_chosen} frames were looked at. The same again goes on from "
                    "here"
                ) from None
        done = now(n)
        if kept:
            write(done)
        return done

    def _findings(self, first: int, workers: int | None) -> Iterator[tuple[Finding, Header | None]]:
        if workers is None:
            remote = self.handle.store.places.remote
            workers = min(16, max(1, int(setting("concurrency")))) if remote else 4
        with ThreadPoolExecutor(workers, thread_name_prefix="dkist-verify") as pool:
            # In batches, so that an error or Ctrl-C does not wait for the frames after it.
            for begin in range(first, len(self.chosen), 8 * workers):
                part = range(begin, min(begin + 8 * workers, len(self.chosen)))
                yield from pool.map(self._one, part)

    def key(self, number: int) -> str:
        """The chunk key of one of the frames that are chosen."""
        frame = self.chosen[number]
        array = frame.provenance.array
        return f"{array.name}/{chunk_key(array.metadata, frame.position)}"

    def _one(self, number: int) -> tuple[Finding, Header | None]:
        """Look at one frame; also the header of its HDU."""
        frame = self.chosen[number]
        array = frame.provenance.array
        store = array.handle.store
        key = self.key(number)
        reference = store.frame(array.name, frame.position)
        try:
            place, reply = self._read(store, reference[0])
        except FrameError as error:
            return Finding(key, reference[0] or None, _outcome(error), str(error)), None
        stated = self._stated(number, reference[1], place == reference[0])
        return check_frame(key, place, reply, stated)

    @staticmethod
    def _read(store: Any, url: str) -> tuple[str, Reply]:
        """All of a frame's file, from the first place that has it."""
        absent: FrameMissingError | None = None
        for place in store.places.candidates(url):
            try:
                return place, store.fetcher.reply(place)
            except FrameMissingError as error:
                absent = absent or error
        raise absent or FrameMissingError("the ASDF names no file for this frame")

    def _stated(self, number: int, offset: int, same_file: bool) -> Stated:
        metadata = self.chosen[number].provenance.array.metadata
        spec = spec_of(metadata)
        about: dict[str, Any] = {name: int(column[number]) for name, column in self._about.items()}
        row = self._headers[number] if len(self._headers) else {}
        there = set(row.keys())
        header = {name: row[name] if name in there else None for name in self._headers.colnames}
        return Stated(
            target=spec.hdu if isinstance(spec, FrameSpec) else None,
            dtype=np.dtype(spec.dtype),
            shape=spec.shape,
            data_start=offset,
            file=FrameEntry(**about),
            header=header if len(self._headers) else {},
            same_file=same_file,
        )

    # The sky ----------------------------------------------------------------------------

    def _away(self, frame: _Frame, header: Header) -> float | None:
        """How far the dataset's positions on the sky are from those of a frame's header, arcsec.

        None where one of them has none.
        """
        from astropy.coordinates import angular_separation
        from astropy.io.fits import Header as Cards
        from astropy.wcs import WCS

        source = frame.provenance
        world = self._worlds.setdefault(source.first_row, World(source.wcs, source.cut.shape))
        here, there = _pixels(source, frame.position)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of units and dates that both readers know
            shape = source.array.metadata.shape[-len(there) :]
            own = World(WCS(Cards.fromstring(header.text())), shape)
            ours, theirs = _sky(world, here), _sky(own, there)
        if ours is None or theirs is None:
            return None
        apart = np.asarray(angular_separation(*ours, *theirs))
        return float(np.degrees(apart).max() * 3600)


def _outcome(error: FrameError) -> Outcome:
    if isinstance(error, FrameMissingError):
        return "absent"
    if isinstance(error, FrameUnreachableError):
        return "unreachable"
    return "corrupt" if isinstance(error, FrameCorruptError) else "refused"


def _pixels(
    source: Provenance, position: int
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Nine pixels of a frame: as positions in the dataset that was opened, and in the frame.

    That dataset may be a cut of the frames.
    """
    metadata = source.array.metadata
    n = metadata.n_frame_axes
    frame = np.unravel_index(position, metadata.frame_shape) if n else ()
    whole = opened_selection(metadata).axes
    places = []
    for axis, pixels in enumerate(whole):
        if axis < n:
            places.append(np.array([int(frame[axis])], float))
        elif isinstance(pixels, int):
            places.append(np.array([pixels], float))
        else:
            places.append(
                np.unique([pixels[0], pixels[len(pixels) // 2], pixels[-1]]).astype(float)
            )
    grid = [part.ravel() for part in np.meshgrid(*places, indexing="ij")]
    here = [
        (part - pixels.start) / pixels.step
        for part, pixels in zip(grid, whole, strict=True)
        if not isinstance(pixels, int)
    ]
    return here, grid[n:]


def _sky(
    world: World, positions: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Longitude and latitude in radians; None where there are none."""
    import astropy.units as u

    lon, lat = world.of_kind("longitude"), world.of_kind("latitude")
    if lon is None or lat is None:
        return None
    values = world.values(*positions)
    radians = [u.Quantity(values[axis.index], axis.unit).to_value(u.rad) for axis in (lon, lat)]
    return radians[0], radians[1]
