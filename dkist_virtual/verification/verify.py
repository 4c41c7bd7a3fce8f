"""Check a store against its frames: files, HDUs, sums, keywords and positions on the sky."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from dkist_virtual.cube.virtual_array import opened_selection
from dkist_virtual.errors import FrameError, FrameMissingError, VerificationWarning
from dkist_virtual.fits.threads import ThreadLock
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.locations import is_local, shown
from dkist_virtual.io.settings import setting
from dkist_virtual.store.format.frame_index import FrameEntry
from dkist_virtual.store.format.references import groups_of
from dkist_virtual.store.format.verify_json import (
    UNREADABLE,
    VERIFY_NAME,
    WRONG,
    Finding,
    Verification,
    read_verification,
    write_verification,
)
from dkist_virtual.store.frame_spec import FrameSpec
from dkist_virtual.store.zarr_store import spec_of
from dkist_virtual.text import utc_now
from dkist_virtual.verification.against_astropy import Comparison, compare
from dkist_virtual.verification.frame import KEYWORDS, Stated, check_frame, outcome_of
from dkist_virtual.verification.frame_checks import Frame, check_each, choose_evenly, open_frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.cube.world_axes import World
    from dkist_virtual.dataset.provenance import Provenance
    from dkist_virtual.fits.header import Header
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.store.frame_locations import FramePlaces
    from dkist_virtual.store.zarr_store import FrameStore

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
    selection: str | None = None,
    frames: FramePlaces = None,
    tolerance: float = TOLERANCE,
    workers: int | None = None,
    resume: bool = True,
    keep: bool = True,
    progress: bool | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
    allow_local: bool | None = None,
) -> Verification | Comparison:
    """Check a store against its frames: every one, a sample, or a selection.

    Of each frame it checks whether it is there, its length and the HDU's position in the file,
    shape and type, DATASUM and CHECKSUM as stored, whether it decodes, and keywords (when, where,
    which wavelength, which place in the dataset) against the header table. Of some, it checks
    whether the dataset's WCS gives the positions on the sky that their own FITS WCS gives.

    Parameters
    ----------
    store_or_asdf : path or URL
        A store; or a dataset's ASDF, which knows less of its frames.
    against : {"astropy"}, optional
        Compare pixels with those that astropy reads, and nothing else: this checks the decoder,
        not the store. Takes sample, frames, progress, storage_options and allow_local.
    sample : int, optional
        How many frames, spread evenly from the first to the last; all if not given.
    selection : str, optional
        Only the frames of a selection, written as in ``ds[...]``: ``"0, 50"``.
    frames : path or URL, or a list of them, optional
        Where the frames are, if not where the store says.
    tolerance : float
        How far positions on the sky may be apart, arcsec.
    workers : int, optional
        How many frames at once. By default 4 on this machine, 16 elsewhere.
    resume : bool
        Whether to continue where the same verification was stopped before.
    keep : bool
        Whether to write ``verify.json`` into a store on this machine. Opening the store warns of
        what is wrong.
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
        The store or ASDF cannot be opened, or what was found cannot be written.
    """
    if against is not None:
        if selection is not None:
            raise ValueError("selection: is not taken with against: expected sample, or nothing")
        return compare(
            store_or_asdf, against=against, sample=sample, frames=frames,
            storage_options=storage_options, progress=progress, allow_local=allow_local,
        )  # fmt: skip
    if not tolerance >= 0:
        raise ValueError(f"tolerance = {tolerance}: expected 0 or more")
    with warnings.catch_warnings():
        # The store is verified anew: what the last verification found is no news.
        warnings.simplefilter("ignore", VerificationWarning)
        chosen = open_frames(
            store_or_asdf, sample, selection,
            frames=frames, storage_options=storage_options, allow_local=allow_local,
        )  # fmt: skip
    run = _Run(chosen.frames, workers)
    handle, references = run.handle, run.handle.store.references
    handle.opened.check_references()
    place = handle.url or os.fspath(store_or_asdf)
    begun = Verification(
        store=place if is_local(place) else handle.label or shown(place),
        store_id=references.attributes.get("store_id"),
        dataset_id=chosen.inventory.get("datasetId"),
        instrument=chosen.inventory.get("instrumentName"),
        what={
            "sample": sample,
            "selection": selection or None,
            "places": [shown(place) for place in handle.store.places.in_order],
        },
        n_frames=chosen.n_frames,
        n_chosen=len(chosen.frames),
        tolerance=tolerance,
        references=references.identity,
    )
    kept = keep and handle.url is not None and is_local(handle.url)
    try:
        earlier = read_verification(handle.opened.reader, references) if kept else None
    except UNREADABLE:
        earlier = None
    if earlier is not None and resume and _can_resume(earlier, begun):
        begun = earlier
    elif earlier is not None and _stays(earlier, begun, run):
        kept = False
        if earlier.n_wrong or earlier.off:
            note = (
                f"found wrong on {earlier.when}, not all looked at again: {VERIFY_NAME} keeps them"
            )
            begun = replace(begun, notes={note: earlier.n_wrong or len(earlier.off)})
    return run.check_rest(begun, progress=progress, kept=kept)


def _stays(earlier: Verification, begun: Verification, run: _Run) -> bool:
    """Whether the record of an earlier verification stays in the store.

    That of the store's own place goes before one of another copy of the frames. Of two of the same
    place, the earlier one stays where it found wrong what this one does not look at.
    """
    own = {shown(str(run.handle.store.references.attributes.get("base")))}
    if earlier.places and (earlier.places == own) != (begun.places == own):
        return earlier.places == own
    if not (earlier.n_wrong or earlier.off):
        return False
    wrong = [f.key for f in earlier.findings if f.outcome in WRONG]
    all_looked_at = {frame.key for frame in run.frames}.issuperset([*wrong, *earlier.off])
    same_places = earlier.what.get("places") == begun.what["places"]
    return not (same_places and all_looked_at) or len(wrong) != earlier.n_wrong


def _can_resume(earlier: Verification, begun: Verification) -> bool:
    """Whether an earlier verification is the same one, and was stopped."""
    same = (earlier.what, earlier.tolerance, earlier.n_chosen)
    return not earlier.complete and same == (begun.what, begun.tolerance, begun.n_chosen)


class _Run:
    """Check frames against what the store's tables say of them, `workers` at once."""

    def __init__(self, frames: list[Frame], workers: int | None) -> None:
        self.frames = frames
        first = frames[0].tile
        self.handle = first.array.handle
        if workers is None:
            remote = self.handle.store.places.remote
            workers = min(16, max(1, int(setting("concurrency")))) if remote else 4
        self._workers = workers
        shared = groups_of(self.handle.store.references.attributes) is not None
        self._files = _LastFiles(workers if shared else 0)
        rows = np.array([frame.position + frame.tile.first_row for frame in frames], np.int64)
        columns = ("size", "mtime", "offset", "length", "datasum")
        self._entries = {name: first.read_scan(f"_{name}", rows) for name in columns}
        headers = first.headers(rows)
        wanted = [keyword for keyword in (*KEYWORDS, "DATASUM") if keyword in headers.colnames]
        self._headers = headers[wanted]
        self._worlds: dict[int, World] = {}  # made when a frame's own WCS is compared
        self._on_sky = set(choose_evenly(len(frames), WCS_FRAMES))

    def check_rest(
        self, so_far: Verification, *, progress: bool | None, kept: bool
    ) -> Verification:
        """Check the frames that are left, and write what was found from time to time."""
        began = written = time.monotonic()
        counts, notes = Counter(so_far.counts), Counter(so_far.notes)
        findings, wcs = list(so_far.findings), dict(so_far.wcs)

        def save(n: int) -> Verification:
            now = replace(
                so_far, n_done=n, counts=dict(counts), notes=dict(notes), findings=tuple(findings),
                wcs=dict(wcs), when=utc_now(),
                seconds=so_far.seconds + time.monotonic() - began,
            )  # fmt: skip
            if kept:
                write_verification(now)
            return now

        n = so_far.n_done
        left = range(n, len(self.frames))
        try:
            for finding, header in check_each(self._check, left, self._workers, progress):
                if header is not None and n in self._on_sky:
                    # An error of the dataset's WCS, or of an import, says nothing about the frame.
                    world = self._world(self.frames[n].tile)
                    try:
                        if (away := self._away(world, self.frames[n], header)) is not None:
                            wcs[finding.key] = away
                    except Exception as error:  # noqa: BLE001  # wcslib's, astropy's, gwcs'
                        finding = _without_wcs(finding, error)
                counts[finding.outcome] += 1
                notes.update(finding.notes)
                if finding.outcome != "good":
                    findings.append(finding)
                n += 1
                if time.monotonic() - written > _BETWEEN:
                    save(n)
                    written = time.monotonic()
        except KeyboardInterrupt:
            save(n)
            again = ". The same again goes on from here" if kept else ""
            looked = f"{n} of {so_far.n_chosen} frames were looked at"
            raise KeyboardInterrupt(looked + again) from None
        return save(n)

    def _check(self, number: int) -> tuple[Finding, Header | None]:
        """Check one frame; also give the header of its HDU."""
        frame = self.frames[number]
        url, offset, _ = frame.reference
        try:
            place, reply = self._files.read(frame.tile.array.handle.store, url)
        except FrameError as error:
            return Finding(frame.key, url or None, outcome_of(error), str(error)), None
        stated = self._stated(number, offset, place == url)
        return check_frame(frame.key, place, reply, stated)

    def _stated(self, number: int, offset: int, same_file: bool) -> Stated:
        spec = spec_of(self.frames[number].tile.array.metadata)
        header = {}
        if len(self._headers):
            row = self._headers[number]
            header = {name: row.get(name) for name in self._headers.colnames}
        entry: dict[str, Any] = {name: int(c[number]) for name, c in self._entries.items()}
        return Stated(
            target=spec.hdu if isinstance(spec, FrameSpec) else None,
            dtype=np.dtype(spec.dtype),
            shape=spec.shape,
            data_start=offset,
            file=FrameEntry(**entry),
            header=header,
            same_file=same_file,
        )

    # The sky ----------------------------------------------------------------------------

    def _world(self, source: Provenance) -> World:
        """Make the coordinates of a tile's dataset, once."""
        # The packages of the WCS take seconds to import.
        import astropy.coordinates
        import astropy.wcs  # noqa: F401  # for `_away`

        from dkist_virtual.cube.world_axes import World

        if source.first_row not in self._worlds:
            self._worlds[source.first_row] = World(source.tile.unshifted, source.cut.shape)
        return self._worlds[source.first_row]

    def _away(self, world: World, frame: Frame, header: Header) -> float | None:
        """How far positions by the dataset and by a frame's header are apart, arcsec, if any."""
        from astropy.coordinates import angular_separation
        from astropy.io.fits import Header as Cards
        from astropy.wcs import WCS

        from dkist_virtual.cube.world_axes import World

        source = frame.tile
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


class _LastFiles:
    """Read whole files, and keep the last ones, whose other frames may be checked next.

    Parameters
    ----------
    n : int
        How many are kept; 0 where each file has one frame.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._lock = ThreadLock()
        self._kept: dict[str, Future[tuple[str, Reply]]] = {}

    def read(self, store: FrameStore, url: str) -> tuple[str, Reply]:
        """Read a file, or give what was read of it; wait where another thread is reading it."""
        if not self._n:
            return _read(store, url)
        with self._lock:
            future = self._kept.get(url)
            mine = future is None
            if future is None:
                future = self._kept[url] = Future()
                for old in list(self._kept)[: -self._n]:
                    del self._kept[old]
        if mine:
            try:
                future.set_result(_read(store, url))
            except BaseException as error:  # noqa: BLE001  # raised again in each thread
                future.set_exception(error)
        return future.result()


def _read(store: FrameStore, url: str) -> tuple[str, Reply]:
    """Read all of a frame's file, from the first place that has it."""
    absent: FrameMissingError | None = None
    for place in store.places.candidates(url):
        try:
            return place, store.fetcher.answer(Request(place))
        except FrameMissingError as error:
            absent = absent or error
    raise absent or FrameMissingError("the ASDF names no file for this frame")


def _without_wcs(finding: Finding, error: Exception) -> Finding:
    """The finding about a frame of whose header no WCS can be made."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    detail = "; ".join(filter(None, [finding.detail, f"its header gives no WCS: {reason}"]))
    outcome = "changed" if finding.outcome == "good" else finding.outcome
    return replace(finding, outcome=outcome, detail=detail)


def _pixels(
    source: Provenance, position: int
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Choose nine pixels of a frame: positions in the dataset, which may be cut, and the frame."""
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
