"""Compare a dataset's frames with what astropy reads.

The other reader is astropy: it opens the frame's whole file by itself, knows nothing of the
references, and shares no code with the kernels here.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkist_virtual.cube.selection import Selection
from dkist_virtual.cube.virtual_array import VirtualArray
from dkist_virtual.dataset.open import open_dataset
from dkist_virtual.errors import (
    DKISTVirtualError,
    FrameMissingError,
    FrameUnreachableError,
    redacted,
)
from dkist_virtual.store.format.references import chunk_key
from dkist_virtual.store.format.verify_json import finding_lines
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Comparison", "FrameCheck", "compare"]

Outcome = Literal["equal", "different", "refused", "absent", "unreachable"]

# What is told of a frame's compression: enough to know the form, nothing of who observed what.
_TOLD = (
    "ZCMPTYPE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZNAXIS3", "ZTILE1", "ZTILE2", "ZTILE3",
    "ZQUANTIZ", "ZDITHER0", "ZBLANK", "ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2", "BITPIX", "NAXIS",
    "TFIELDS", "TFORM1", "TTYPE1", "TTYPE2", "TTYPE3", "TTYPE4", "TFORM2", "TFORM3", "TFORM4",
    "BSCALE", "BZERO", "BLANK", "INSTRUME", "HEADVERS", "CAL_VERS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FrameCheck:
    """What came of one frame.

    Attributes
    ----------
    key : str
        The frame's chunk key.
    url : str or None
    outcome : {"equal", "different", "refused", "absent", "unreachable"}
    detail : str
        What differs, or why it was not compared.
    """

    key: str
    url: str | None
    outcome: Outcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found; its text is the report.

    Attributes
    ----------
    dataset_id, instrument : str or None
    against : str
    n_frames : int
        Of the whole dataset.
    checks : tuple of FrameCheck
    form : dict
        Keywords that say how the first frame compared is stored.
    versions : dict
    """

    dataset_id: str | None
    instrument: str | None
    against: str
    n_frames: int
    checks: tuple[FrameCheck, ...]
    form: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """Number of frames by outcome."""
        return dict(Counter(check.outcome for check in self.checks))

    @property
    def ok(self) -> bool:
        """Whether at least one frame was compared, and none was different or refused."""
        counts = self.counts
        return bool(counts.get("equal")) and not {"different", "refused"} & set(counts)

    @property
    def exit_status(self) -> int:
        """0 all compared are equal, 1 something is different or refused, 2 none was compared."""
        if self.ok:
            return 0
        return 1 if {"different", "refused"} & set(self.counts) else 2

    def as_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "counts": self.counts, "ok": self.ok}

    def __str__(self) -> str:
        name = " ".join(filter(None, [self.instrument, self.dataset_id])) or "dataset"
        counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.counts.items()))
        compared = f"{len(self.checks)} of {counted(self.n_frames, 'frame')}"
        held = sum(check.outcome in ("equal", "different") for check in self.checks)
        lines = [f"{name}: {compared} looked at, {held} held against {self.against}"]
        lines += finding_lines([check for check in self.checks if check.outcome != "equal"])[:20]
        lines.append(f"  {counts or 'no frames'}")
        if self.ok:
            lines.append(f"  Every frame compared is bit for bit what {self.against} reads.")
        elif self.exit_status == 2:
            lines.append("  No frame could be read. Say where they are: --frames, frames=")
        if self.form:
            lines += ["", *self._what_to_send()]
        return "\n".join(map(redacted, lines))

    def _what_to_send(self) -> list[str]:
        """What helps us, whatever came out: there is no pixel and no name of a person in it."""
        report = {
            "dataset_id": self.dataset_id,
            "counts": self.counts,
            "different": [
                # Where a frame lies is its owner's business, and often their name.
                c.detail.replace(c.url or c.key, "FRAME")
                for c in self.checks
                if c.outcome in ("different", "refused")
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
    frames: str | os.PathLike[str] | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
    progress: bool | None = None,
    allow_local: bool | None = None,
) -> Comparison:
    """Compare frames bit for bit with what another reader makes of the same files.

    Parameters
    ----------
    store_or_asdf : path or URL
        A store, or a dataset's ASDF.
    against : {"astropy"}
        The other reader.
    sample : int, optional
        How many frames, spread evenly from the first to the last; all if not given.
    frames : path or URL, optional
        Where the frames are, if not where the store or ASDF says.
    storage_options : dict, optional
        A protocol or URL prefix to fsspec's options for it.
    progress : bool, optional
        Show a bar. By default on a terminal only.
    allow_local : bool, optional
        As `open_dataset` takes it.

    Returns
    -------
    Comparison

    Raises
    ------
    DatasetError, StoreError
        What was to be verified cannot be opened.
    """
    if against != "astropy":
        raise ValueError(f"against = {against!r}: expected 'astropy'")
    if sample is not None and sample < 1:
        raise ValueError(f"sample = {sample}: expected 1 or more")
    from tqdm import tqdm

    ds = open_dataset(
        store_or_asdf, frames=frames, storage_options=storage_options, allow_local=allow_local
    )
    tiles = getattr(ds, "flat", [ds])
    arrays = [tile.provenance.array for tile in tiles]
    everything = [(a, p) for a in arrays for p in range(a.metadata.n_frames)]
    n = len(everything)
    chosen = [everything[i] for i in spread(n, sample)]
    checks: list[FrameCheck] = []
    form: dict[str, Any] = {}
    shown = sys.stderr.isatty() if progress is None else progress
    for array, position in tqdm(chosen, unit=" frames", desc="Verifying", disable=not shown):
        check, told = _check(array, position)
        checks.append(check)
        form = form or told
    return Comparison(
        dataset_id=(ds.inventory or {}).get("datasetId"),
        instrument=(ds.inventory or {}).get("instrumentName"),
        against=f"astropy {version('astropy')}",
        n_frames=n,
        checks=tuple(checks),
        form=form,
        versions={
            name: version(name)
            for name in ("dkist_virtual", "astropy", "numpy", "numba", "zarr", "dkist")
        }
        | {"python": platform.python_version(), "machine": platform.machine()},
    )


def spread(n: int, sample: int | None) -> list[int]:
    """Numbers below `n`, so many of them, evenly from the first to the last; all for None."""
    count = n if sample is None else min(sample, n)
    found: list[int] = np.unique(np.linspace(0, n - 1, count).round().astype(int)).tolist()
    return found


def _check(array: VirtualArray, position: int) -> tuple[FrameCheck, dict[str, Any]]:
    """Compare one frame; also the keywords that say how it is stored."""
    metadata = array.metadata
    store = array.handle.store
    key = f"{array.name}/{chunk_key(metadata, position)}"
    try:
        url = store.places.find(store.frame(array.name, position)[0]) or None
    except DKISTVirtualError as error:
        return FrameCheck(key, None, "refused", f"{key}: {error}"), {}
    at = [int(i) for i in np.unravel_index(position, metadata.frame_shape)]
    index = Selection.whole(metadata.shape)[tuple(at)]
    try:
        ours = VirtualArray(array.handle, array.name, index)[...]
    except FrameMissingError as error:
        return FrameCheck(key, url, "absent", str(error)), {}
    except FrameUnreachableError as error:
        return FrameCheck(key, url, "unreachable", str(error)), {}
    except DKISTVirtualError as error:
        return FrameCheck(key, url, "refused", str(error)), {}
    assert url is not None
    theirs, told = _astropy(store.fetcher.read(url), url, array)
    if isinstance(theirs, str):
        return FrameCheck(key, url, "refused", theirs), told
    difference = _difference(ours, theirs)
    return FrameCheck(key, url, "different" if difference else "equal", difference), told


def _astropy(
    data: bytes, url: str, array: VirtualArray
) -> tuple[NDArray[np.generic] | str, dict[str, Any]]:
    """The frame as astropy reads it from its whole file, less a leading axis of 1."""
    import io

    from astropy.io import fits

    spec = array.metadata.compressor
    try:
        with fits.open(io.BytesIO(data), disable_image_compression=True) as raw:
            headers = [hdu.header for hdu in raw]
        with fits.open(io.BytesIO(data)) as hdus:
            images = [i for i, hdu in enumerate(hdus) if hdu.is_image and hdu.header["NAXIS"] > 0]
            # A plain array's metadata do not say which HDU it was: it is the first with an image.
            target = images[0] if spec is None else spec.hdu
            pixels = np.asarray(hdus[target].data)
            number = hdus.index_of(target)
    except Exception as error:  # noqa: BLE001  # whatever it is, astropy cannot read the frame
        return f"astropy cannot read {url}: {type(error).__name__}: {error}", {}
    told = {key: headers[number][key] for key in _TOLD if key in headers[number]}
    return (pixels[0] if pixels.shape[0] == 1 else pixels), told


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
