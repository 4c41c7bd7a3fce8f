"""Decide which datasets of an archive are new, changed, unchanged or withdrawn."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dkist_virtual.conversion.asdf.locate import without_replaced
from dkist_virtual.errors import DKISTVirtualError, StoreError, redacted
from dkist_virtual.io.locations import Location, is_in, is_local, local_path, shown
from dkist_virtual.publish.archive.identity import Identity, identity_of
from dkist_virtual.publish.archive.record import Entry, Other, Record
from dkist_virtual.publish.archive.work import Job
from dkist_virtual.publish.stores import SUFFIX
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from dkist_virtual.io.fetcher import Fetcher
    from dkist_virtual.publish.archive.find import FoundAsdf, Listing
    from dkist_virtual.publish.archive.options import Options

__all__ = ["Plan", "make_plan"]

_NAME: Final = re.compile(
    r"(?!(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z))[a-z0-9][a-z0-9_.+-]{0,119}",
    re.IGNORECASE | re.ASCII,
)
"""What a store may be called: the name of a directory on any disk, and of a path in any URL."""

_NO_DATASET: Final = "holds no dataset: its tree has neither the key dataset nor inversion"


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Parameters
    ----------
    jobs : tuple of Job
        The datasets to convert or update, by name.
    entries : dict of str to Entry
        The others: unchanged, withdrawn, not seen, failed already.
    passed_over : tuple of Other
        ASDFs that are of no dataset.
    remove : tuple of str
        Names of stores to remove.
    """

    jobs: tuple[Job, ...]
    entries: dict[str, Entry]
    passed_over: tuple[Other, ...]
    remove: tuple[str, ...]


def make_plan(
    listing: Listing, record: Record, stores: str, options: Options, fetcher: Fetcher
) -> Plan:
    """Decide what is to be done.

    Raises
    ------
    StoreError
        The archive is empty, and had datasets before.
    """
    if not listing.asdfs and any(entry.converted for entry in record.datasets.values()):
        n = sum(entry.converted is not None for entry in record.datasets.values())
        raise StoreError(
            f"{stores}: stays as it was. There is not one ASDF in "
            f"{shown(listing.root or 'the list')}, and the stores are of {counted(n, 'dataset')}: "
            "is its disk away?"
        )
    groups, passed_over, entries = _group(listing.asdfs, record, fetcher)
    present = _names_in(stores)
    jobs = []
    for name in sorted(groups):
        entry = _entry(name, groups[name], record, listing.unlisted)
        exists = f"{name}{SUFFIX}" in present
        if not exists:
            entry = replace(entry, converted=None)
        if entry.outcome != "unchanged":
            entries[name] = entry
            continue
        job = _job(name, entry, stores, exists, record.datasets.get(name), options, listing.root)
        if job is None:
            entries[name] = entry
        else:
            jobs.append(job)
    found = groups.keys() | entries.keys()
    gone = {
        name: entry
        for name, entry in record.datasets.items()
        if name not in found and entry.converted is not None and f"{name}{SUFFIX}" in present
    }
    entries |= dict(_gone(gone, record, found, listing))
    withdrawn = [name for name in gone if entries[name].outcome == "withdrawn"]
    remove = sorted(withdrawn) if options.withdrawn == "remove" else []
    return Plan(tuple(jobs), entries, tuple(passed_over), tuple(remove))


def _names_in(stores: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(stores))
    except FileNotFoundError:
        return frozenset()


# Which ASDFs are of which dataset -----------------------------------------------------------------

_Group = tuple["str | None", list["FoundAsdf"]]


def _group(
    asdfs: Iterable[FoundAsdf], record: Record, fetcher: Fetcher
) -> tuple[dict[str, _Group], list[Other], dict[str, Entry]]:
    """Group ASDFs by dataset; with those of no dataset, and those of which nothing is known."""
    by_id: dict[str, list[FoundAsdf]] = defaultdict(list)
    by_name: dict[str, list[FoundAsdf]] = defaultdict(list)
    passed_over: list[Other] = []
    refused: dict[str, Entry] = {}
    for asdf, identity in _identities(asdfs, record, fetcher):
        if isinstance(identity, dict):
            refused[asdf.place] = _refused(asdf, identity)
        elif not identity.is_dataset:
            passed_over.append(Other(asdf.place, asdf.stamp, _NO_DATASET))
        elif identity.dataset_id is not None:
            by_id[identity.dataset_id].append(asdf)
        else:
            by_name[Location.of(asdf.place).name.removesuffix(".asdf")].append(asdf)
    groups: dict[str, _Group] = {name: (name, found) for name, found in by_id.items()}
    for name, found in by_name.items():
        if len(found) == 1 and name not in groups:
            groups[name] = None, found
            continue
        for asdf in found:
            refused[asdf.place] = _refused(
                asdf,
                f"{shown(asdf.place)}: has no dataset ID, and its name would be that of another "
                f"store, {name}{SUFFIX}: expected ASDFs with IDs, or with different names",
            )
    folded = Counter(name.casefold() for name in groups)
    for name in list(groups):
        why = ""
        if not _NAME.fullmatch(name):
            why = f"{name!r} cannot be the name of a store: expected letters, digits, _ and -"
        elif folded[name.casefold()] > 1:
            why = f"another dataset is called as {name} is but for upper and lower case"
        if why:
            for asdf in groups.pop(name)[1]:
                refused[asdf.place] = _refused(asdf, f"{shown(asdf.place)}: {why}")
    return groups, passed_over, refused


def _refused(asdf: FoundAsdf, why: str | dict[str, str]) -> Entry:
    error = {"type": "DatasetError", "text": redacted(why)} if isinstance(why, str) else why
    return Entry(None, asdf.place, asdf.stamp, "failed", error=error)


def _identities(
    asdfs: Iterable[FoundAsdf], record: Record, fetcher: Fetcher
) -> Iterator[tuple[FoundAsdf, Identity | dict[str, str]]]:
    """Give each ASDF's dataset, or type and text of the error; read only what is not known."""
    known: dict[str, tuple[object, Identity]] = {}
    for name, entry in record.datasets.items():
        if name == entry.asdf:  # nothing was known of it
            continue
        identity = Identity(entry.dataset_id)
        known[entry.asdf] = entry.stamp, identity
        known |= {other.asdf: (other.stamp, identity) for other in entry.others}
    for other in record.passed_over:
        known[other.asdf] = other.stamp, Identity(None, is_dataset=False)

    def read(asdf: FoundAsdf) -> Identity | dict[str, str]:
        stamp, identity = known.get(asdf.place, (None, None))
        if identity is not None and (asdf.error or (asdf.stamp == stamp and asdf.stamp.tells)):
            return identity
        if asdf.error:
            return {"type": "DatasetError", "text": f"{shown(asdf.place)}: {redacted(asdf.error)}"}
        try:
            found = identity_of(asdf.place, fetcher)
        except (DKISTVirtualError, OSError, ValueError) as error:
            if identity is None:
                return {"type": type(error).__name__, "text": redacted(error)}
            found = identity
        # A known ASDF that is broken now, or is being written, is not one that is gone: its
        # conversion says what is wrong.
        was_dataset = identity is not None and identity.is_dataset
        return identity if identity is not None and was_dataset and not found.is_dataset else found

    here: list[FoundAsdf] = []
    elsewhere: list[FoundAsdf] = []
    for asdf in asdfs:
        (here if is_local(asdf.place) else elsewhere).append(asdf)
    yield from ((asdf, read(asdf)) for asdf in here)
    if elsewhere:
        with ThreadPoolExecutor(16) as pool:
            yield from zip(elsewhere, pool.map(read, elsewhere), strict=True)


def _entry(name: str, group: _Group, record: Record, unlisted: Mapping[str, str]) -> Entry:
    """Describe a dataset: its newest ASDF, the others, and what is known from before."""
    dataset_id, found = group
    known = record.datasets.get(name)
    # An older ASDF must not take the place of one that cannot be found or read tonight.
    if known is not None and known.asdf not in {asdf.place for asdf in found}:
        away = next((one for one in unlisted if is_in(known.asdf, one)), None)
        if away is not None:
            return replace(known, outcome="unseen", error=_away(away, unlisted))
    places = [Path(Location.of(asdf.place).path) for asdf in found]
    kept = set(without_replaced(places))
    candidates = [asdf for asdf, path in zip(found, places, strict=True) if path in kept]
    newest = max(candidates, key=lambda asdf: (asdf.modified, asdf.place))
    others = tuple(Other(asdf.place, asdf.stamp) for asdf in found if asdf is not newest)
    before = known or Entry(dataset_id, newest.place, newest.stamp, "new")
    entry = replace(
        before, dataset_id=dataset_id, asdf=newest.place, stamp=newest.stamp, outcome="unchanged",
        error=None, others=others,
    )  # fmt: skip
    if wrong := next((asdf for asdf in found if asdf.error), None):
        text = f"{shown(wrong.place)}: {redacted(wrong.error)}"
        return replace(entry, outcome="failed", error={"type": "DatasetError", "text": text})
    return entry


def _job(
    name: str,
    entry: Entry,
    stores: str,
    exists: bool,
    before: Entry | None,
    options: Options,
    root: str | None,
) -> Job | None:
    """Say how to convert a dataset; None where nothing has changed."""
    made = options.made(name, entry.asdf, root)
    converted, trusted = entry.converted, False
    if converted is None or converted.made != made or options.again or options.rescan:
        how = "convert"
    elif before is not None and before.outcome == "failed":
        # As it failed: an update does not look at frames that a conversion found to be broken.
        how = (before.error or {}).get("how", "update")
    elif (converted.asdf, converted.stamp) != (entry.asdf, entry.stamp) or not entry.stamp.tells:
        how, trusted = "update", True
    elif converted.looked >= 0 and _has_changed(entry, options, name, root, converted.looked):
        how = "update"
    else:
        return None
    return Job(
        name=name,
        store=os.path.join(stores, f"{name}{SUFFIX}"),
        entry=entry,
        how="update" if how == "update" else "convert",
        trusted=trusted,
        is_new=not exists,
        base=options.place("base", name, entry.asdf, root),
        frames=options.place("frames", name, entry.asdf, root),
        made=made,
        options=options,
    )


def _has_changed(entry: Entry, options: Options, name: str, root: str | None, looked: int) -> bool:
    """Tell whether a directory in which frames were missing has changed since."""
    place = (
        options.place("frames", name, entry.asdf, root)
        or options.place("base", name, entry.asdf, root)
        or os.path.dirname(entry.asdf)
    )
    try:
        return is_local(place) and os.stat(local_path(place)).st_mtime_ns != looked
    except OSError:
        return False


# What is not there any more -----------------------------------------------------------------------


def _gone(
    gone: Mapping[str, Entry], record: Record, found: Iterable[str], listing: Listing
) -> Iterator[tuple[str, Entry]]:
    """Say of each dataset whose ASDF was not found whether it was withdrawn, or is away."""
    if not gone:
        return
    there = set(found)
    were = {
        name: entry.asdf
        for name, entry in record.datasets.items()
        if entry.converted is not None and entry.outcome != "withdrawn"
    }
    n_gone = sum(name not in there for name in were)
    before = Counter(above for asdf in were.values() for above in _above(asdf, listing.root))
    seen = [asdf for name, asdf in were.items() if name in there]
    now = {above for asdf in seen for above in _above(asdf, listing.root)}
    for name, entry in gone.items():
        why = ""
        if entry.outcome == "withdrawn":
            yield name, entry
            continue
        above = _above(entry.asdf, listing.root)
        empty = next((one for one in above if before[one] > 1 and one not in now), None)
        away = next((one for one in listing.unlisted if is_in(entry.asdf, one)), None)
        if 2 * n_gone > len(were):
            why = f"not found, and neither were {n_gone - 1} of {len(were)} others: they are away"
        elif away is not None:
            yield name, replace(entry, outcome="unseen", error=_away(away, listing.unlisted))
            continue
        elif empty is not None:
            why = (
                f"not found, and no other of {counted(before[empty], 'dataset')} in "
                f"{shown(empty)}: is a disk away? If they were withdrawn, remove their stores"
            )
        if why:
            error = {"type": "DatasetError", "text": why}
            yield name, replace(entry, outcome="unseen", error=error)
        else:
            yield name, replace(entry, outcome="withdrawn", error=None)


def _away(directory: str, unlisted: Mapping[str, str]) -> dict[str, str]:
    text = f"{shown(directory)} cannot be listed: {redacted(unlisted[directory])}"
    return {"type": "DatasetError", "text": text}


def _above(asdf: str, root: str | None) -> list[str]:
    """List the directories between the archive's and the dataset's own, the outermost first."""
    if root is None or not is_in(asdf, root):
        return []
    names = asdf[len(root.rstrip("/")) :].strip("/").split("/")[:-2]
    return ["/".join([root.rstrip("/"), *names[:n]]) for n in range(1, len(names) + 1)]
