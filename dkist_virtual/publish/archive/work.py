"""Convert or update one dataset of an archive, and say what came of it.

This runs in other processes: what goes in and comes out can be pickled.
"""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from dkist_virtual.errors import DatasetError, StoreCorruptError, redacted
from dkist_virtual.io.locations import is_local, local_path
from dkist_virtual.publish.archive.record import Converted, Entry
from dkist_virtual.text import utc_now

if TYPE_CHECKING:
    from dkist_virtual.conversion.convert import Conversion
    from dkist_virtual.publish.archive.options import Options

__all__ = ["Job", "do", "failed"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A dataset to convert.

    Parameters
    ----------
    name : str
        Of its store, without ``.virtual``.
    store : str
        The store, absolute.
    entry : Entry
        What is known of it: the ASDF to convert, and what its present store was made of.
    how : {"convert", "update"}
        Update the store, believing what it says of its frames; or convert, over what is there.
    trusted : bool
        Whether an ASDF with the bytes of the one that the store was made of means that there is
        nothing to do.
    is_new : bool
        Whether the store does not exist yet.
    base, frames : str, optional
    made : str
        See `Options.made`.
    options : Options
    """

    name: str
    store: str
    entry: Entry
    how: Literal["convert", "update"]
    trusted: bool
    is_new: bool
    base: str | None
    frames: str | None
    made: str
    options: Options = field(repr=False)


def do(job: Job) -> Entry:
    """Convert or update one dataset; what goes wrong is in the entry that is returned."""
    began = time.perf_counter()
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            converted = _do(job)
    except Exception as error:  # noqa: BLE001  # one that fails must not stop the others
        return failed(job, error, time.perf_counter() - began, _texts(caught))
    if converted is None:
        known = job.entry.converted
        assert known is not None
        return replace(
            job.entry, outcome="unchanged", error=None, warnings=(),
            converted=replace(known, stamp=job.entry.stamp, asdf=job.entry.asdf),
        )  # fmt: skip
    return replace(
        job.entry,
        outcome="new" if job.entry.converted is None else "updated",
        when=utc_now(),
        seconds=time.perf_counter() - began,
        converted=converted,
        error=None,
        warnings=_texts(caught),
    )


def failed(
    job: Job, error: BaseException, seconds: float = 0.0, warned: tuple[str, ...] = ()
) -> Entry:
    """Say that a dataset was not converted; its former store is as it was."""
    said = {"type": type(error).__name__, "text": redacted(error), "how": job.how}
    return replace(
        job.entry, outcome="failed", when=utc_now(), seconds=seconds, error=said, warnings=warned
    )


def _texts(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(redacted(one.message) for one in caught))


def _do(job: Job) -> Converted | None:
    """Convert or update; None where the ASDF has the same bytes as before."""
    entry, options = job.entry, job.options
    known = entry.converted
    if job.trusted and known is not None and known.sha256 and is_local(entry.asdf):
        from dkist_virtual.conversion.unchanged import sha256_of

        if sha256_of(_existing(local_path(entry.asdf))) == known.sha256:
            return None
    looked = _looked(job)
    conversion = _convert(job)
    missing = conversion.n_absent + conversion.n_unreachable
    return Converted(
        asdf=entry.asdf,
        stamp=entry.stamp,
        sha256=conversion.sha256,
        made=job.made,
        n_frames=conversion.n_frames,
        n_absent=conversion.n_absent,
        n_unreachable=conversion.n_unreachable,
        n_bytes=conversion.n_bytes,
        looked=looked if missing and options.scan != "never" else -1,
        when=utc_now(),
        verified=_verify(job),
    )


def _existing(path: str) -> Any:
    from pathlib import Path

    if not os.path.exists(path):
        raise DatasetError(f"{path}: no such file: it went away after the archive was listed")
    return Path(path)


def _looked(job: Job) -> int:
    """Get the modification time of the directory with the frames, if it is on this machine.

    It is 0 if the directory does not exist yet.
    """
    place = job.frames or job.base or os.path.dirname(job.entry.asdf)
    try:
        return os.stat(local_path(place)).st_mtime_ns if is_local(place) else -1
    except FileNotFoundError:
        return 0
    except OSError:
        return -1


def _convert(job: Job) -> Conversion:
    from dkist_virtual.conversion.convert import Work
    from dkist_virtual.conversion.update import update

    options = job.options

    def check(found: str | None) -> None:
        # It may have become another dataset since the archive was listed.
        if found not in (None, job.entry.dataset_id):
            raise DatasetError(
                f"{job.entry.asdf}: is of the dataset {found}: expected {job.entry.dataset_id}, "
                "as its text said when the archive was listed"
            )

    if job.how == "update":
        try:
            return update(
                job.store, job.entry.asdf, frames=job.frames, scan=options.scan, progress=False,
                storage_options=options.storage_options,
            )  # fmt: skip
        except StoreCorruptError:  # the store itself is broken: it is made anew
            pass
    return Work(
        frames=job.frames, base=job.base, scan=options.scan, references=options.references,
        relative=options.relative, overwrite=True, rescan=options.rescan, check=check,
        progress=False, workers=None, client=None, storage_options=options.storage_options,
    ).run(job.entry.asdf, job.store)  # fmt: skip


def _verify(job: Job) -> dict[str, Any] | None:
    """Verify some frames of a store, if that is asked for."""
    sample = job.options.verify_sample
    if sample is None:
        return None
    from dkist_virtual.store.format.verify_json import Verification
    from dkist_virtual.verification.verify import verify

    found = verify(
        job.store, sample=sample, frames=job.frames, progress=False, resume=False,
        storage_options=job.options.storage_options,
    )  # fmt: skip
    assert isinstance(found, Verification)
    return {
        "sample": sample,
        "counts": dict(found.counts),
        "off": len(found.off),
        "exit_status": found.exit_status,
    }
