"""Compare a dataset's frames with what astropy reads.

astropy opens a frame's whole file by itself, knows nothing of the references, and shares no code
with the decoder of this package.
"""

from __future__ import annotations

import io
import json
import os
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.errors import DKISTVirtualError, redacted
from dkist_virtual.store.format.verify_json import WRONG, Finding, Outcome, report_lines
from dkist_virtual.text import counted
from dkist_virtual.verification.frame import outcome_of
from dkist_virtual.verification.frame_checks import Frame, check_each, open_frames

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.store.frame_locations import FramePlaces

__all__ = ["Comparison", "FrameCheck", "Outcome", "compare"]

FrameCheck = Finding

# The keywords of a frame's compression that a report quotes: enough to know the form, nothing of
# who observed what.
_FORM = (
    "ZCMPTYPE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZNAXIS3", "ZTILE1", "ZTILE2", "ZTILE3",
    "ZQUANTIZ", "ZDITHER0", "ZBLANK", "ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2", "BITPIX", "NAXIS",
    "TFIELDS", "TFORM1", "TTYPE1", "TTYPE2", "TTYPE3", "TTYPE4", "TFORM2", "TFORM3", "TFORM4",
    "BSCALE", "BZERO", "BLANK", "INSTRUME", "HEADVERS", "CAL_VERS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found; its text is the report.

    Attributes
    ----------
    dataset_id, instrument : str or None
    against : str
    n_frames : int
        Of the whole dataset.
    checks : tuple of Finding
        Of all frames that were looked at, those that are equal as well.
    form : dict
        Keywords that say how the first frame compared is stored.
    versions : dict
    """

    dataset_id: str | None
    instrument: str | None
    against: str
    n_frames: int
    checks: tuple[Finding, ...]
    form: dict[str, object] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Number of frames by outcome."""
        return dict(Counter(check.outcome for check in self.checks))

    @property
    def ok(self) -> bool:
        """Whether at least one frame was compared, and none was different or refused."""
        return self.exit_status in (0, 3)

    @property
    def exit_status(self) -> int:
        """0 all equal, 1 something is different or refused, 2 none was compared, 3 some absent."""
        if set(WRONG) & set(self.counts):
            return 1
        if "equal" not in self.counts:
            return 2
        return 3 if set(self.counts) - {"equal"} else 0

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "counts": self.counts, "ok": self.ok}

    def __str__(self) -> str:
        name = " ".join(filter(None, [self.instrument, self.dataset_id])) or "dataset"
        compared = sum(self.counts.get(outcome, 0) for outcome in ("equal", "different"))
        looked = f"{len(self.checks)} of {counted(self.n_frames, 'frame')} looked at"
        others = [check for check in self.checks if check.outcome != "equal"]
        lines = report_lines(
            f"{name}: {looked}, {compared} compared with {self.against}", others, self.counts
        )
        if self.ok:
            said = f"  Every frame compared is bit for bit what {self.against} reads"
            lines.append(said + (f"; {self._not_compared()}." if len(self.counts) > 1 else "."))
        elif self.exit_status == 2:
            lines.append("  No frame could be read. Say where they are: --frames, frames=")
        if self.form:
            lines += ["", *self._what_to_send()]
        return "\n".join(map(redacted, lines))

    def _not_compared(self) -> str:
        """Say which frames were not compared, as far as nothing is wrong with them."""
        n = {name: self.counts[name] for name in ("absent", "unreachable") if name in self.counts}
        which = " and ".join(f"{count} {name}" for name, count in n.items())
        total = sum(n.values())
        return f"{counted(total, 'frame')} could not be compared: {which}"

    def _what_to_send(self) -> list[str]:
        """What helps us, whatever was found: there is no pixel and no name of a person in it."""
        report = {
            "dataset_id": self.dataset_id,
            "counts": self.counts,
            "different": [
                # Where a frame is concerns its owner, and often has their name.
                c.detail.replace(c.url or c.key, "FRAME")
                for c in self.checks
                if c.outcome in WRONG
            ][:5],
            "form": self.form,
            "versions": self.versions,
        }
        asked = (
            "Please send us this line: no complete real dataset could be tried before the release."
            if self.ok
            else "Please send us this line, and one of the files named above if you may share it."
        )
        return [asked, json.dumps(report)]


def compare(
    store_or_asdf: str | os.PathLike[str],
    *,
    against: Literal["astropy"] = "astropy",
    sample: int | None = None,
    frames: FramePlaces = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
    progress: bool | None = None,
    allow_local: bool | None = None,
) -> Comparison:
    """Compare frames bit for bit with what astropy reads from the same files.

    Parameters and errors are those of `verify`, which calls this for ``against``.
    """
    if against != "astropy":
        raise ValueError(f"against = {against!r}: expected 'astropy'")
    chosen = open_frames(
        store_or_asdf, sample, None,
        frames=frames, storage_options=storage_options, allow_local=allow_local,
    )  # fmt: skip
    numbers = range(len(chosen.frames))
    # One at a time: a frame is decoded by several threads already.
    found = [*check_each(lambda i: _compare(chosen.frames[i]), numbers, 1, progress)]
    packages = ("dkist_virtual", "astropy", "numpy", "numba", "zarr", "dkist")
    machine = {"python": platform.python_version(), "machine": platform.machine()}
    return Comparison(
        dataset_id=chosen.inventory.get("datasetId"),
        instrument=chosen.inventory.get("instrumentName"),
        against=f"astropy {version('astropy')}",
        n_frames=chosen.n_frames,
        checks=tuple(finding for finding, _ in found),
        form=next((form for _, form in found if form), {}),
        versions={name: version(name) for name in packages} | machine,
    )


def _compare(frame: Frame) -> tuple[Finding, dict[str, object]]:
    """Compare one frame; also give the keywords that say how it is stored."""
    key, array = frame.key, frame.tile.array
    metadata, store, url = array.metadata, array.handle.store, None
    at = [int(i) for i in np.unravel_index(frame.position, metadata.frame_shape)]
    index = Selection.whole(metadata.shape)[tuple(at)]
    try:
        url = store.places.find(frame.reference[0]) or None
        ours = VirtualArray(array.handle, array.name, index)[...]
    except DKISTVirtualError as error:
        outcome = outcome_of(error)
        return Finding(key, url, "refused" if outcome == "corrupt" else outcome, str(error)), {}
    assert url is not None
    theirs, form = _astropy(store.fetcher.read(url), url, array, frame.reference[1])
    if isinstance(theirs, str):
        return Finding(key, url, "refused", theirs), form
    difference = _difference(ours, theirs)
    return Finding(key, url, "different" if difference else "equal", difference), form


def _astropy(
    data: bytes, url: str, array: VirtualArray, offset: int
) -> tuple[NDArray[np.generic] | str, dict[str, object]]:
    """The frame as astropy reads it from its whole file, less a leading axis of 1."""
    from astropy.io import fits

    spec = array.metadata.compressor
    try:
        with fits.open(io.BytesIO(data), disable_image_compression=True) as raw:
            headers = [hdu.header for hdu in raw]
        with fits.open(io.BytesIO(data)) as hdus:
            images = [i for i, hdu in enumerate(hdus) if hdu.is_image and hdu.header["NAXIS"] > 0]
            # A plain array's metadata do not say which HDU it was, but where its pixels begin.
            there = [i for i in images if hdus[i].fileinfo()["datLoc"] == offset]
            target = [*there, *images][0] if spec is None else spec.hdu
            pixels = np.asarray(hdus[target].data)
            number = hdus.index_of(target)
    except Exception as error:  # noqa: BLE001  # whatever it is, astropy cannot read the frame
        return f"astropy cannot read {url}: {type(error).__name__}: {error}", {}
    form = {key: headers[number][key] for key in _FORM if key in headers[number]}
    return (pixels[0] if pixels.shape[0] == 1 else pixels), form


def _difference(ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> str:
    """What differs, NaN being equal to NaN; empty where nothing does."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, astropy has {theirs.shape}"
    if ours.dtype != theirs.dtype.newbyteorder("="):
        return f"type {ours.dtype}, astropy has {theirs.dtype.newbyteorder('=')}"
    theirs = np.ascontiguousarray(theirs, ours.dtype)
    # As integers, so that -0.0 and 0.0 count as different; all NaNs as the same.
    bits = f"u{ours.dtype.itemsize}"
    unequal = np.ascontiguousarray(ours).view(bits) != theirs.view(bits)
    if ours.dtype.kind == "f":
        unequal &= ~(np.isnan(ours) & np.isnan(theirs))
    if not unequal.any():
        return ""
    first = tuple(int(i) for i in np.argwhere(unequal)[0])
    return (
        f"{int(unequal.sum())} of {ours.size} pixels, the first at {first}: "
        f"{ours[first]!r}, astropy has {theirs[first]!r}"
    )
