"""Hold the references of FITS files as one array, and write them."""

from __future__ import annotations

import os
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import numpy as np

from dkist_virtual.conversion.fits_files.assemble import ARRAY
from dkist_virtual.conversion.references import (
    check_form,
    file_columns,
    write_references,
)
from dkist_virtual.conversion.staging import (
    alone,
    place_for,
    put_in_place,
    raise_store_errors,
    sweep,
    sync_all,
    work_directory,
)
from dkist_virtual.errors import (
    HeaderWarning,
    SelectionError,
    StoreCorruptError,
    StoreExistsError,
    redacted,
)
from dkist_virtual.fits.references.cards import TEXT_KEYWORDS
from dkist_virtual.io.local_file import written_beside
from dkist_virtual.io.safety import plain_uri
from dkist_virtual.store.format.headers import HEADERS_NAME, HeaderFile, write_headers
from dkist_virtual.store.format.names import JSON_NAME, PARQUET_NAME, SURVEY_KEY
from dkist_virtual.store.format.references import STRINGS, ReferenceSet, write_json
from dkist_virtual.store.relative.write import make_relative
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import zarr
    from astropy.io.fits import Header
    from numpy.typing import NDArray

    from dkist_virtual.store.format.header_table import HeaderTable
    from dkist_virtual.store.format.references import ArrayMetadata, FrameColumns

__all__ = ["FITSReferences", "ReferenceForm", "form_of", "warn_of_headers"]

ReferenceForm: TypeAlias = Literal["auto", "json", "parquet"]

_FILES: Final = {".json": "json", ".parq": "parquet", ".parquet": "parquet"}
"""Names of references that are not in a store of ours, and their form."""


def form_of(target: str | os.PathLike[str], references: str) -> tuple[Path, str]:
    """Say where references are written, and as what: "json", "parquet", or "store".

    Raises
    ------
    ValueError
        `references` contradicts the name, or is not a form.
    StoreError
        The place is not on this machine.
    """
    check_form(references)
    path = place_for(target)
    form = _FILES.get(path.suffix.lower(), "store")
    if form != "store" and references not in ("auto", form):
        raise ValueError(
            f"references = {references!r}: the name {path.name} is for {form}: expected one that "
            "ends in " + " or ".join(end for end, kind in _FILES.items() if kind == references)
        )
    return path, form


@dataclass(frozen=True, slots=True, eq=False)
class FITSReferences:
    """References of FITS files that make one array; `fits_references` makes them.

    Its text is a line that says what the array is.

    Attributes
    ----------
    headers : HeaderTable, shape (n,)
        An `astropy.table.Table`.
        A row for each place of the array's new axes, in C order, and a column for each keyword.
        A cell is masked where the file is missing or lacks the keyword.
    hdu : int or str
        Which HDU of the files it is.
    """

    headers: HeaderTable = field(repr=False)
    hdu: int | str
    _set: ReferenceSet = field(repr=False)
    _rows: NDArray[np.void] = field(repr=False)
    _options: Mapping[str, Mapping[str, Any]] = field(repr=False)

    @property
    def _metadata(self) -> ArrayMetadata:
        return self._set.arrays[ARRAY][0]

    @property
    def _columns(self) -> FrameColumns:
        _, table = self._set.arrays[ARRAY]
        return table.take(np.arange(len(table)))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array: the new axes, then those of an image."""
        return self._metadata.shape

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Lengths of the new axes; none where a single file was given."""
        return self.shape[: self._set.attributes[SURVEY_KEY]["new_axes"]]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels after scaling; big-endian where no codec is needed."""
        return np.dtype(self._metadata.dtype)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(self._metadata.attributes["_ARRAY_DIMENSIONS"])

    @property
    def codec(self) -> dict[str, Any] | None:
        """The numcodecs codec of a chunk; None where a chunk's bytes are its pixels."""
        found: dict[str, Any] | None = self._metadata.to_zarray()["compressor"]
        return found

    def __str__(self) -> str:
        n = len(self._rows)
        found = int((self._columns.urls != "").sum())
        how = "their bytes are the pixels" if self.codec is None else "decoded by fits_image"
        axes = ", ".join(f"{d} {m}" for d, m in zip(self.dims, self.shape, strict=True))
        absent = f", {n - found} absent" if found < n else ""
        return redacted(
            f"{counted(found, 'file')}{absent}, HDU {self.hdu!r}: ({axes}) of {self.dtype.name}, "
            f"{how}"
        )

    __repr__ = __str__

    def header(self, *index: int) -> Header:
        """Make an astropy header of a row of the table, for instance for a WCS.

        Parameters
        ----------
        *index : int
            Along each of the new axes; none of a single file.

        Examples
        --------
        >>> WCS(references.header(0))  # doctest: +SKIP
        """
        from astropy.io.fits import Header

        shape = self.frame_shape
        if len(index) != len(shape):
            raise SelectionError(f"header{index}: expected {len(shape)} integers, of {shape}")
        row = 0
        for i, n in zip(index, shape, strict=True):
            if not -n <= i < n:
                raise SelectionError(f"header{index}: is outside of {shape}")
            row = row * n + i % n
        header = Header()
        for keyword, value in self.headers[row].items():
            if isinstance(value, str):
                # Those of broken files are not of FITS, and astropy would refuse them.
                value = "".join(c if c == "\n" or " " <= c <= "~" else "?" for c in value)
            if keyword in TEXT_KEYWORDS:
                for line in str(value).split("\n"):
                    header[keyword] = line
                continue
            name = keyword if len(keyword) <= 8 else f"HIERARCH {keyword}"
            header[name] = value.item() if isinstance(value, np.generic) else value
        return header

    def to_json(
        self, path: str | os.PathLike[str] | None = None, *, overwrite: bool = False
    ) -> str | None:
        """Write kerchunk references, version 1, and the headers beside them.

        Parameters
        ----------
        path : path, optional
            A file whose name ends in ``.json``; the headers are in ``….headers.parquet``. Without
            one, the JSON text is returned, and nothing is written.
        overwrite : bool
            Replace such a file.

        Raises
        ------
        StoreExistsError
        """
        if path is None:
            return write_json(self._set).decode()
        self._write_beside(path, "json", overwrite)
        return None

    def to_parquet(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write kerchunk references as Parquet, and the headers beside them.

        Parameters
        ----------
        path : path
            A directory whose name ends in ``.parq``; the headers are in ``….headers.parquet``.
        overwrite : bool
            Replace such a directory.

        Raises
        ------
        StoreExistsError
        """
        self._write_beside(path, "parquet", overwrite)

    def to_store(
        self,
        path: str | os.PathLike[str],
        *,
        references: ReferenceForm = "auto",
        relative: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write a store, which `dv.open_zarr` opens: references and headers in a directory.

        Parameters
        ----------
        path : path
        references : {"auto", "json", "parquet"}
            "auto" is parquet above 5,000 files.
        relative : bool
            Write the places of the files relative to the store, so that the directory with both
            can be moved, copied or served.
        overwrite : bool
            Replace a store that this wrote.

        Raises
        ------
        StoreExistsError
        ValueError
            With `relative`, the files are neither in the directory that the store is in, nor in
            the one above.
        """
        check_form(references)
        target = place_for(path)
        written = self._set
        if relative:
            written = make_relative(written, target)
            # Of what is written: the same wherever the directory is.
            root = {**written.attributes, "store_id": written.store_id(None)}
            written = ReferenceSet(root, written.arrays)
        with _replacing(target, overwrite, {JSON_NAME, PARQUET_NAME, HEADERS_NAME}) as new:
            write_references(written, new, references)
            self._write_headers(new / HEADERS_NAME, written)

    def manifest(self) -> dict[str, Any]:
        """Give the byte ranges as arrays, as VirtualiZarr's ``ChunkManifest.from_arrays`` wants.

        Returns
        -------
        dict
            ``paths`` (URLs, of files on this machine ``file:///…``; empty where a file is missing),
            ``offsets`` and ``lengths`` (bytes), all of the shape of the grid of chunks: that of
            the new axes, and 1 for each axis of an image.

        Raises
        ------
        FrameRefusedError
            The name of a file contains ``%``, ``?`` or ``#``, which readers of manifests read in
            different ways.
        """
        columns = self._columns
        grid = tuple(-(-n // c) for n, c in zip(self.shape, self._metadata.chunks, strict=True))
        paths = [plain_uri(url) if url else "" for url in columns.urls.tolist()]
        return {
            "paths": np.array(paths, STRINGS).reshape(grid),
            "offsets": np.maximum(columns.offsets, 0).astype(np.uint64).reshape(grid),
            "lengths": np.maximum(columns.lengths, 0).astype(np.uint64).reshape(grid),
        }

    def array(self, *, missing: Literal["raise", "nan"] = "raise") -> zarr.Array[Any]:
        """Open the array, of which parts are read by parts of the files.

        Parameters
        ----------
        missing : {"raise", "nan"}
            What an absent file does: raise `FrameMissingError`, or read as NaN, integers as 0.

        Returns
        -------
        zarr.Array
            Zarr v3, read-only.
        """
        from dkist_virtual.store.handle import StoreHandle
        from dkist_virtual.store.read_options import ReadOptions

        options = ReadOptions(missing=missing, storage_options=dict(self._options))
        opened = StoreHandle(None, self._set, options).opened.group
        return cast("zarr.Array[Any]", opened[ARRAY])

    def write(
        self,
        target: str | os.PathLike[str],
        *,
        references: ReferenceForm = "auto",
        relative: bool = False,
        overwrite: bool = False,
    ) -> None:
        """Write as the name of the target says: see `fits_references`."""
        path, form = form_of(target, references)
        if form == "store":
            self.to_store(path, references=references, relative=relative, overwrite=overwrite)
            return
        if relative:
            raise ValueError(
                f"relative: other readers take the addresses in {path.name} as they are: expected "
                "the name of a directory, for a store that dv.open_zarr opens"
            )
        self._write_beside(path, form, overwrite)

    def _write_beside(self, path: str | os.PathLike[str], form: str, overwrite: bool) -> None:
        target, named = form_of(path, "auto")
        if named != form:
            ends = " or ".join(end for end, kind in _FILES.items() if kind == form)
            raise ValueError(f"{target.name}: expected a name that ends in {ends}")
        beside = target.with_suffix(".headers.parquet")
        for place in (target, beside):
            if place.exists() and not overwrite and not self._is_headers(place):
                raise _exists(place)
        if form == "json":
            if target.is_dir():
                raise _strange(target)
            with raise_store_errors(target):
                target.parent.mkdir(parents=True, exist_ok=True)
            with raise_store_errors(target), written_beside(target) as part:
                Path(part).write_bytes(write_json(self._set))
        else:
            with _replacing(target, overwrite, {".zmetadata", ".zgroup", ARRAY}) as new:
                write_references(self._set, new, "parquet")
                for name in (new / PARQUET_NAME).iterdir():
                    name.rename(new / name.name)
                (new / PARQUET_NAME).rmdir()
        with raise_store_errors(beside), written_beside(beside) as part:
            self._write_headers(part, self._set)

    def _is_headers(self, path: Path) -> bool:
        """Check whether a file is the header table of these references, in another form of them."""
        if not path.name.endswith(".headers.parquet"):
            return False
        try:
            with HeaderFile(path) as file:
                return bool(file.store_id == self._set.attributes["store_id"])
        except StoreCorruptError:
            return False

    def _write_headers(self, path: Path | str, written: ReferenceSet) -> None:
        ours = file_columns(written, self._rows)
        write_headers(path, self.headers, ours, store_id=written.attributes["store_id"])


@contextmanager
def _replacing(target: Path, overwrite: bool, own: set[str]) -> Iterator[Path]:
    """Give a directory to write into, which gets its name when it is complete."""
    _refuse(target, overwrite, own)
    with raise_store_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    work = work_directory(target)
    with raise_store_errors(target), alone(work, target):
        sweep(work, target, ())
        try:
            new = work / target.name
            new.mkdir()
            yield new
            sync_all(new)
            _refuse(target, overwrite, own)
            put_in_place(new, target, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _refuse(target: Path, overwrite: bool, own: set[str]) -> None:
    """Refuse to replace anything but a directory with files of these names alone."""
    if not target.exists() and not target.is_symlink():
        return
    if not overwrite:
        raise _exists(target)
    if not target.is_dir() or not set(os.listdir(target)) <= own:
        raise _strange(target)


def _exists(target: Path) -> StoreExistsError:
    return StoreExistsError(f"{target}: exists already. --overwrite (overwrite=True) replaces it")


def _strange(target: Path) -> StoreExistsError:
    return StoreExistsError(
        f"{target}: is something else than references of FITS files, so it is not replaced: "
        "move it elsewhere first"
    )


def warn_of_headers(repeated: set[str], made_text: list[str], left_out: list[str]) -> None:
    """Warn of what a header table does not say as the files do."""
    several = "occur several times in a header, with different values: the table has the first"
    for keywords, what in (
        (sorted(repeated), several),
        (made_text, "have values of several types: they are text in the table"),
        (left_out, "have too much text for a table: they are left out of it"),
    ):
        if keywords:
            warnings.warn(
                f"header keywords {', '.join(keywords)} {what}", HeaderWarning, stacklevel=4
            )
