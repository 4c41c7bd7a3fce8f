"""Check what a conversion of an archive is asked for, and say where a dataset's frames are."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import quote, unquote

from dkist_virtual.conversion.convert import Work
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import Location, absolute, is_local, join, shown
from dkist_virtual.io.safety import check_no_secrets

if TYPE_CHECKING:
    from dkist_virtual.conversion.references import References
    from dkist_virtual.conversion.scan import ScanMode

__all__ = ["Options", "Withdrawn"]

Withdrawn: TypeAlias = Literal["keep", "remove"]

_FIELD: Final = re.compile(r"\{(\w*)\}")
_FIELDS: Final = ("dataset_id", "directory")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the datasets of an archive are converted: see `convert_archive`.

    Raises
    ------
    ValueError
        An option is something else than expected.
    """

    base: str | os.PathLike[str] | None = None
    frames: str | os.PathLike[str] | None = None
    relative: bool = False
    scan: ScanMode = "auto"
    references: References = "auto"
    verify_sample: int | None = None
    withdrawn: Withdrawn = "keep"
    again: bool = False
    rescan: bool = False
    storage_options: dict[str, dict[str, Any]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        Work(
            frames=None, base=None, scan=self.scan, references=self.references, overwrite=True,
            progress=False, workers=None, client=None, storage_options=None,
        )  # fmt: skip
        if self.withdrawn not in ("keep", "remove"):
            raise ValueError(f"withdrawn = {self.withdrawn!r}: expected 'keep' or 'remove'")
        if self.relative and self.base is not None:
            raise ValueError(
                "relative and base: both say where the stores say that their frames are: expected "
                "one of them"
            )
        n = self.verify_sample
        if n is not None and (type(n) is not int or n < 1):
            raise ValueError(f"verify_sample = {n!r}: expected a number of frames from 1 on")
        for name in ("base", "frames"):
            template = getattr(self, name)
            if template is None:
                continue
            check_no_secrets(name, absolute(template, name))
            text = os.fspath(template)
            unknown = [found for found in _FIELD.findall(text) if found not in _FIELDS]
            if unknown:
                raise ValueError(
                    f"{name} = {shown(text)!r}: expected {{dataset_id}} or {{directory}} in it, "
                    f"found {{{unknown[0]}}}"
                )
        Fetcher(self.storage_options or {})

    def check_for(self, root: str | None) -> None:
        """Raise ValueError where a place needs the directories of an archive that is a list."""
        for name in ("base", "frames"):
            template = getattr(self, name)
            if root is None and template is not None and "{dataset_id}" not in str(template):
                raise ValueError(
                    f"{name} = {shown(str(template))!r}: a list has no directory to which those of "
                    "the datasets are relative: expected {dataset_id} in it"
                )
            if root is None and template is not None and "{directory}" in str(template):
                raise ValueError(f"{name}: {{directory}} is not known of an archive that is a list")

    def place(self, name: str, dataset: str, asdf: str, root: str | None) -> str | None:
        """Say where a dataset's frames are, by `base` or `frames`.

        Parameters
        ----------
        name : {"base", "frames"}
        dataset : str
            The name of its store, which is its ID.
        asdf : str
            Its ASDF.
        root : str, optional
            The archive's directory.
        """
        template = getattr(self, name)
        if template is None:
            return None
        text = os.fspath(template)
        directory = "" if root is None else _directory(asdf, root)
        if not _FIELD.search(text):
            place = absolute(text, name)
            return join(place, directory) if directory else place
        if Location.of(text).is_web:
            directory = quote(directory)
        return absolute(
            text.replace("{dataset_id}", dataset).replace("{directory}", directory), name
        )

    def made(self, dataset: str, asdf: str, root: str | None) -> str:
        """Digest what decides where a store says that its frames are."""
        directory = str(Location.of(asdf).parent)
        about = [
            directory,
            *(self.place(name, dataset, asdf, root) for name in ("base", "frames")),
            self.relative,
            self.scan,
            self.references,
        ]
        return hashlib.sha256(json.dumps(about).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _directory(asdf: str, root: str) -> str:
    """Name the directory of an ASDF below that of the archive."""
    if is_local(asdf):
        found = os.path.relpath(os.path.dirname(asdf), root).replace(os.sep, "/")
        return "" if found == "." else found
    parent, above = Location.of(asdf).parent, Location.of(root)
    below = parent.path[len(above.path.rstrip("/")) :].strip("/")
    return unquote(below) if above.is_web else below
