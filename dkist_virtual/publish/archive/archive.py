"""Convert all datasets of an archive to stores."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.conversion.staging import alone, clear_stopped, place_for, raise_store_errors
from dkist_virtual.errors import StoreError
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import shown
from dkist_virtual.publish.archive.find import ArchivePlace, Listing, list_archive
from dkist_virtual.publish.archive.options import Options, Withdrawn
from dkist_virtual.publish.archive.plan import Plan, make_plan
from dkist_virtual.publish.archive.record import (
    RECORD_NAME,
    Entry,
    Journal,
    Outcome,
    Record,
    entries_in,
)
from dkist_virtual.publish.archive.report import ArchiveReport, DatasetOutcome
from dkist_virtual.publish.archive.run import run_jobs
from dkist_virtual.publish.stores import SUFFIX
from dkist_virtual.store.format.dataset_asdf import software
from dkist_virtual.text import shows_progress, utc_now

if TYPE_CHECKING:
    from dkist_virtual.conversion.references import References
    from dkist_virtual.conversion.scan import ScanMode
    from dkist_virtual.protocols import DaskClient
    from dkist_virtual.publish.archive.work import Job

__all__ = ["convert_archive"]

_WORK: Final = f".{RECORD_NAME}.part"
_JOURNAL: Final = "done.jsonl"
_REMOVED: Final = "removed"

OnDataset = Callable[[DatasetOutcome], object]


def convert_archive(
    archive: ArchivePlace,
    stores: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    frames: str | os.PathLike[str] | None = None,
    relative: bool = False,
    scan: ScanMode = "auto",
    references: References = "auto",
    verify_sample: int | None = None,
    withdrawn: Withdrawn = "keep",
    again: bool = False,
    rescan: bool = False,
    dry_run: bool = False,
    workers: int | None = None,
    client: DaskClient | None = None,
    progress: bool | None = None,
    on_dataset: OnDataset | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
) -> ArchiveReport:
    """Convert every dataset of an archive to a store, and keep the stores up to date.

    Each dataset has one store, ``STORES/{dataset ID}.virtual``. A dataset that is new is
    converted; one whose ASDF has changed is updated, and frames that its store knows are not read
    again; one that has not changed costs no more than a look at its ASDF's size and time. A
    dataset that fails leaves the others, and its own former store, as they are, and is tried again
    the next time. ``STORES/archive.json`` says what became of each.

    Parameters
    ----------
    archive : path, URL, or sequence of them
        A directory, bucket prefix or URL, in which ASDFs are looked for at any depth; or the ASDFs
        themselves, as a sequence, or as a text file with one on each line, ``"@list.txt"`` or any
        name that ends in ``.txt``.
    stores : path
        The directory to write, on this machine.
    base, frames : path or URL, optional
        As `convert` takes them, of the whole archive: the directory of each dataset below
        `archive` is appended; or with ``{dataset_id}`` and ``{directory}`` for each dataset's.
        By default frames are beside their ASDF.
    relative, scan, references
        As `convert` takes them.
    verify_sample : int, optional
        Verify so many frames of each store that is made, and write the result into it.
    withdrawn : {"keep", "remove"}
        What to do with the store of a dataset whose ASDF is gone. Where more is gone, as if a disk
        were away, no store is removed.
    again : bool
        Convert all datasets again, after an update of this package for instance. Frames are read
        again where their files have changed.
    rescan : bool
        Convert all again, and read all frames.
    dry_run : bool
        Only say what would be done.
    workers : int, optional
        How many datasets are converted at once, each in a process of its own; 1 for this process.
        By default as many as there are cores.
    client : distributed.Client, optional
        Convert the datasets on its workers, which have to reach archive and stores by the same
        names.
    progress : bool, optional
        Show a bar. By default on a terminal only.
    on_dataset : callable, optional
        Is called with the `DatasetOutcome` of each dataset that is not unchanged, as it is known.
    storage_options : dict, optional
        As `convert` takes it.

    Returns
    -------
    ArchiveReport
        Its text is a paragraph.

    Notes
    -----
    A run that was stopped, even by ``kill -9``, goes on when it is started again, and gives the
    same stores.

    Raises
    ------
    DatasetError
        The archive cannot be listed.
    StoreExistsError
        Another run is writing these stores.
    StoreError
        `stores` is not a directory on this machine; or the archive is empty, and was not.
    ValueError
        An option is something else than expected.
    """
    options = Options(
        base=base, frames=frames, relative=relative, scan=scan, references=references,
        verify_sample=verify_sample, withdrawn=withdrawn, again=again, rescan=rescan,
        storage_options=storage_options,
    )  # fmt: skip
    if workers is not None and (type(workers) is not int or workers < 1):
        raise ValueError(f"workers = {workers!r}: expected a number of processes from 1 on")
    target = place_for(stores)
    if target.exists() and not target.is_dir():
        raise StoreError(f"{target}: is a file: expected a directory for the stores")
    run = _Run(archive, target, options, shows_progress(progress), on_dataset or (lambda _: None))
    if dry_run:
        return run.say()
    work = target / _WORK
    with raise_store_errors(target):
        target.mkdir(parents=True, exist_ok=True)
    with alone(work, target, "run of convert_archive is writing these stores"):
        try:
            report = run.do(work, workers, client)
        finally:
            # The journal of a run that was killed is in here: it goes with the record that has it.
            if run.is_recorded:
                shutil.rmtree(work, ignore_errors=True)
    return report


class _Run:
    """One run over an archive."""

    def __init__(
        self, archive: ArchivePlace, target: Path, options: Options, shown: bool, said: OnDataset
    ) -> None:
        self.archive, self.target, self.options = archive, target, options
        self.shown, self.said = shown, said
        self.began, self.started = time.perf_counter(), utc_now()
        self.is_recorded = True
        self.removed: list[str] = []

    def _plan(self, record: Record) -> tuple[Listing, Plan]:
        from tqdm import tqdm

        fetcher = Fetcher(self.options.storage_options or {})
        with tqdm(desc="Looking for ASDFs", unit=" directories", disable=not self.shown) as bar:
            listing = list_archive(
                self.archive, fetcher, skip=str(self.target), large=record.large, seen=bar.update
            )
        self.options.check_for(listing.root)
        return listing, make_plan(listing, record, str(self.target), self.options, fetcher)

    def say(self) -> ArchiveReport:
        """Say what would be done."""
        record = Record.read(str(self.target))
        record.datasets.update(entries_in(self.target / _WORK / _JOURNAL))
        listing, plan = self._plan(record)
        outcomes = [DatasetOutcome.of(name, entry) for name, entry in plan.entries.items()]
        for job in plan.jobs:
            outcome: Outcome = "new" if job.entry.converted is None else "updated"
            entry = replace(job.entry, outcome=outcome, error=None, warnings=())
            outcomes.append(DatasetOutcome.of(job.name, entry, dry=True))
        outcomes.sort(key=lambda one: one.name)
        for one in outcomes:
            if one.outcome != "unchanged":
                self.said(one)
        self.removed = list(plan.remove)
        return self._report(listing, plan, outcomes, dry_run=True)

    def do(self, work: Path, workers: int | None, client: DaskClient | None) -> ArchiveReport:
        """Convert what is new or has changed, and write the record."""
        # What a run that was killed has done is in its journal alone.
        self.is_recorded = not (work / _JOURNAL).exists()
        record = Record.read(str(self.target))
        self._sweep(work)
        with raise_store_errors(self.target):
            journal = Journal(work / _JOURNAL)
        self.is_recorded = not journal.entries
        try:
            record.datasets.update(journal.entries)
            stopped = self._stopped()
            for store in stopped:
                clear_stopped(store, resumes=True)
            listing, plan = self._plan(record)
            jobs = {Path(job.store) for job in plan.jobs}
            for store in stopped:
                clear_stopped(store, resumes=store in jobs)
            datasets = dict(plan.entries)
            # What is not reached in this run stays as it was.
            before = {job.name: record.datasets.get(job.name) for job in plan.jobs}
            datasets |= {name: entry for name, entry in before.items() if entry is not None}
            for name, entry in sorted(plan.entries.items()):
                if entry.outcome != "unchanged":
                    self.said(DatasetOutcome.of(name, entry))
            self.is_recorded = False
            try:
                for name in plan.remove:
                    self._remove(name, work)
                self._convert(plan.jobs, datasets, journal, workers, client)
            except BaseException:
                self._write(listing, plan, datasets, complete=False)
                raise
            self._write(listing, plan, datasets, complete=True)
        finally:
            with raise_store_errors(self.target):
                journal.close()
        outcomes = [DatasetOutcome.of(name, datasets[name]) for name in sorted(datasets)]
        return self._report(listing, plan, outcomes, dry_run=False)

    def _convert(
        self,
        jobs: tuple[Job, ...],
        datasets: dict[str, Entry],
        journal: Journal,
        workers: int | None,
        client: DaskClient | None,
    ) -> None:
        from tqdm import tqdm

        bar = tqdm(total=len(jobs), unit=" datasets", disable=not self.shown or not jobs)
        with closing(run_jobs(jobs, workers, client)) as results, bar:
            for job, entry in results:
                with raise_store_errors(self.target):
                    journal.add(job.name, entry)
                datasets[job.name] = entry
                if entry.outcome != "unchanged":
                    self.said(DatasetOutcome.of(job.name, entry))
                bar.update()

    def _stopped(self) -> list[Path]:
        """List the stores whose conversion was killed, or is running beside this one."""
        end = f"{SUFFIX}.part"
        names = (entry.name for entry in os.scandir(self.target))
        return [
            self.target / name[1:].removesuffix(".part")
            for name in names
            if name.startswith(".") and name.endswith(end)
        ]

    def _sweep(self, work: Path) -> None:
        """Remove what a run that was killed was about to remove."""
        shutil.rmtree(work / _REMOVED, ignore_errors=True)

    def _remove(self, name: str, work: Path) -> None:
        """Remove a store: whole at any time, or gone."""
        removed = work / _REMOVED
        removed.mkdir(exist_ok=True)
        store = self.target / f"{name}{SUFFIX}"
        try:
            store.rename(removed / store.name)
        except OSError as error:
            raise StoreError(f"{store}: cannot be removed: {error.strerror or error}") from error
        self.removed.append(name)
        shutil.rmtree(removed, ignore_errors=True)

    def _write(
        self, listing: Listing, plan: Plan, datasets: dict[str, Entry], *, complete: bool
    ) -> None:
        kept = {name: entry for name, entry in datasets.items() if name not in self.removed}
        outcomes = [DatasetOutcome.of(name, entry) for name, entry in datasets.items()]
        report = self._report(listing, plan, outcomes, dry_run=False)
        run = {
            "archive": report.archive,
            "complete": complete,
            "started": self.started,
            "finished": utc_now(),
            "seconds": round(report.seconds, 3),
            "counts": report.counts,
            "n_frames": report.n_frames,
            "n_bytes": report.n_bytes,
            "removed": list(report.removed),
            "unlisted": dict(report.unlisted),
            "software": software(),
        }
        with raise_store_errors(self.target):
            Record(kept, plan.passed_over, dict(listing.large), run).write(str(self.target))
        self.is_recorded = True

    def _report(
        self, listing: Listing, plan: Plan, outcomes: list[DatasetOutcome], *, dry_run: bool
    ) -> ArchiveReport:
        return ArchiveReport(
            archive=_name_of(self.archive, listing),
            stores=str(self.target),
            datasets=tuple(outcomes),
            passed_over=tuple(other.asdf for other in plan.passed_over),
            unlisted={shown(place): why for place, why in listing.unlisted.items()},
            removed=tuple(f"{name}{SUFFIX}" for name in self.removed),
            seconds=time.perf_counter() - self.began,
            dry_run=dry_run,
        )


def _name_of(archive: ArchivePlace, listing: Listing) -> str:
    if listing.root is not None:
        return shown(listing.root)
    if isinstance(archive, (str, os.PathLike)):
        return shown(os.fspath(archive))
    return f"a list of {len(listing.asdfs)}"
