"""Look at all files, check that they make one array, and make its references."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dkist_virtual.conversion.fits_files.arrange import Grid, grid_of
from dkist_virtual.conversion.fits_files.assemble import (
    common_hdu,
    names_of_axes,
    rebased,
    reference_set,
    unit_of,
)
from dkist_virtual.conversion.fits_files.files import common_place, find_files
from dkist_virtual.conversion.fits_files.look import FoundImage, look_at_image
from dkist_virtual.conversion.fits_files.references import (
    FITSReferences,
    form_of,
    warn_of_headers,
)
from dkist_virtual.conversion.fits_files.table import HeaderRows
from dkist_virtual.conversion.scan import BATCH
from dkist_virtual.errors import FrameError, FrameMissingError, FrameUnreachableError
from dkist_virtual.fits.header import checked_target
from dkist_virtual.io.driver import at_once, read_many
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.io.locations import absolute, is_local
from dkist_virtual.io.safety import check_no_secrets
from dkist_virtual.store.format.frame_index import FrameIndex
from dkist_virtual.store.format.references import STRINGS
from dkist_virtual.text import counted, shows_progress

if TYPE_CHECKING:
    from dkist_virtual.conversion.fits_files.files import Files
    from dkist_virtual.conversion.fits_files.references import ReferenceForm
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.store.format.header_table import HeaderTable

__all__ = ["fits_references"]


def fits_references(
    files: Files,
    target: str | os.PathLike[str] | None = None,
    *,
    hdu: HDUTarget | None = None,
    by: str | Sequence[str] | None = None,
    dims: Sequence[str] | None = None,
    base: str | os.PathLike[str] | None = None,
    primary: bool = False,
    missing: Literal["raise", "absent"] = "raise",
    references: ReferenceForm = "auto",
    relative: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
    workers: int | None = None,
    storage_options: dict[str, dict[str, Any]] | None = None,
) -> FITSReferences:
    """Make one virtual array of FITS files of any survey, plain or tile-compressed.

    Headers are read, never pixels. The files stay where they are.

    Parameters
    ----------
    files : path, pattern, URL, or a list of them
        A list has a new axis, one file after the other; nested lists or an array have as many axes
        as they are deep. None in a list is for a file that there is not. A pattern, such as
        ``"night1/*.fits.fz"``, gives files of this machine sorted by name. A single path or URL
        has no new axis.
    target : path, optional
        Where to write: ``….json`` and ``….parq`` are kerchunk references for other readers, with
        the headers beside them in ``….headers.parquet``; any other name is a store, a directory
        that `open_zarr` opens. Without one, nothing is written.
    hdu : int or str, optional
        Index or EXTNAME of the image. By default the only HDU with an image; of several none is
        chosen.
    by : str or sequence of str, optional
        Header keywords by whose values the files are arranged, ascending, whatever their order in
        `files`: one new axis for each. ``by=("DATE-OBS", "FILTER")`` expects a file for every pair.
    dims : sequence of str, optional
        Names of the new axes, or of all axes.
    base : path or URL, optional
        Where the references say that the files are, in place of the directory that they have in
        common: for files that are published elsewhere than they are read here.
    primary : bool
        Whether the headers have those keywords of the primary header, too, that the image's lacks.
    missing : {"raise", "absent"}
        Whether a file that does not exist, or a place of `by` without a file, is an error, or is
        left empty. A file that cannot be reached is an error in both.
    references : {"auto", "json", "parquet"}
        Form of the references in a store; "auto" is parquet above 5,000 files.
    relative : bool
        Write the places of the files relative to the store.
    overwrite : bool
        Replace what was written there before.
    progress : bool, optional
        Show a bar. By default on a terminal only.
    workers : int, optional
        How many files are read at once.
    storage_options : dict, optional
        A protocol or URL prefix to fsspec's options for it; never written.

    Returns
    -------
    FITSReferences
        Its text says in a line what the array is.

    Raises
    ------
    DatasetError
        The files do not make one array: naming file, HDU, keyword, what was expected and found.
    FrameMissingError, FrameUnreachableError
        Files do not exist, or cannot be reached.
    FrameCorruptError, FrameUnsupportedError
        A file is not FITS, is cut short, has no image, or one that is not read.
    StoreExistsError
        `target` exists.

    Notes
    -----
    Pixels are what astropy reads by default. Where all images are plain and not scaled, the
    references are of the pixels alone, and every reader of kerchunk references reads them; others
    name the codec ``fits_image``, which this package registers.

    Examples
    --------
    >>> dv.fits_references("night1/*.fits.fz", "night1.json", by="DATE-OBS")  # doctest: +SKIP
    """
    if missing not in ("raise", "absent"):
        raise ValueError(f"missing = {missing!r}: expected 'raise' or 'absent'")
    keywords = _keywords(by)
    hdu = None if hdu is None else checked_target(hdu)
    if target is not None:
        form_of(target, references)
    listed = find_files(files)
    if keywords and "" in listed.urls:
        raise ValueError("by: files has None, whose place no keyword says: leave it out")
    elsewhere = None if base is None else absolute(base, "base")
    if elsewhere is not None:
        check_no_secrets("base", elsewhere)
    fetcher = Fetcher(storage_options or {})
    found = _look(listed.urls, hdu, fetcher, primary, workers, progress)
    _refuse_missing(listed.urls, found, missing)
    if keywords and any(isinstance(one, FrameError) for one in found):
        raise ValueError(
            "by: with missing = 'absent' there are files that do not exist, whose place no keyword "
            "says: leave them out"
        )
    there = [i for i, one in enumerate(found) if isinstance(one, FoundImage)]
    images = [one for one in found if isinstance(one, FoundImage)]
    urls = [listed.urls[i] for i in there]
    chosen = common_hdu(urls, images, hdu)
    if keywords:
        values = [[one.cards.values.get(key) for key in keywords] for one in images]
        grid = grid_of(urls, values, keywords, complete=missing == "raise")
    else:
        places: list[int | None] = [None] * len(found)
        for number, i in enumerate(there):
            places[i] = number
        grid = Grid(listed.shape, places, [])
    place = common_place(urls)
    written = urls if elsewhere is None else rebased(urls, place, elsewhere).tolist()
    index = FrameIndex.unknown(len(grid.files), dtype=images[0].entry.dtype)
    for at, file in enumerate(grid.files):
        if file is not None:
            index.put(at, images[file].entry)
    ndim = len(grid.shape) + len(images[0].shape)
    made = reference_set(
        np.array(["" if i is None else written[i] for i in grid.files], STRINGS),
        place if elsewhere is None else elsewhere,
        index,
        images[0],
        chosen,
        grid,
        names_of_axes(len(grid.shape), ndim, dims, keywords),
        unit_of(images),
    )
    headers = _table(images, grid, progress)
    result = FITSReferences(headers, chosen, made, index.rows, storage_options or {})
    if target is not None:
        result.write(target, references=references, relative=relative, overwrite=overwrite)
    return result


def _keywords(by: str | Sequence[str] | None) -> list[str]:
    """Check the keywords by which files are arranged."""
    if by is None:
        return []
    keywords = [by] if isinstance(by, str) else list(by)
    if not keywords or not all(isinstance(key, str) and key.strip() for key in keywords):
        raise ValueError(f"by = {by!r}: expected header keywords")
    upper = [key.strip().upper() for key in keywords]
    if len(set(upper)) < len(upper):
        raise ValueError(f"by = {by!r}: a keyword is named twice")
    return upper


def _look(
    urls: Sequence[str],
    hdu: HDUTarget | None,
    fetcher: Fetcher,
    primary: bool,
    workers: int | None,
    progress: bool | None,
) -> list[FoundImage | FrameError | None]:
    """Look at all files, many at once; None where there is none to look at."""
    from tqdm import tqdm

    wanted = [url for url in urls if url]
    local = all(map(is_local, wanted))
    piece = BATCH * at_once(local=local, workers=workers)
    looks: list[FoundImage | FrameError] = []
    shown_bar = shows_progress(progress)
    with tqdm(total=len(wanted), unit=" files", desc="Headers", disable=not shown_bar) as bar:
        for begin in range(0, len(wanted), piece):
            readings = [
                look_at_image(url, hdu, primary=primary) for url in wanted[begin : begin + piece]
            ]
            for one in read_many(readings, fetcher, local=local, workers=workers):
                looks.append(one)
                bar.update()
    found = iter(looks)
    return [next(found) if url else None for url in urls]


def _table(images: Sequence[FoundImage], grid: Grid, progress: bool | None) -> HeaderTable:
    """Make the table of the headers of files in the places of a grid, and warn of what it lacks."""
    from tqdm import tqdm

    rows = HeaderRows(len(images))
    for i, one in enumerate(images):
        rows.put(i, one.cards)
    many = len(images) * len(rows.keywords) > 10**6  # it takes seconds
    shown = shows_progress(progress) and many
    with tqdm(total=len(rows.keywords), unit=" keywords", desc="Table", disable=not shown) as bar:
        headers = rows.table(grid.files, bar.update)
    warn_of_headers(rows.repeated, rows.made_text, rows.left_out)
    return headers


def _refuse_missing(
    urls: Sequence[str],
    found: Sequence[FoundImage | FrameError | None],
    missing: Literal["raise", "absent"],
) -> None:
    """Refuse files that do not exist, unless they may be absent, and those out of reach."""
    absent = [one for one in found if isinstance(one, FrameMissingError)]
    unreachable = [one for one in found if isinstance(one, FrameUnreachableError)]
    n = sum(1 for url in urls if url)
    if unreachable or (absent and missing == "raise"):
        kind = FrameUnreachableError if unreachable else FrameMissingError
        leave = ". missing='absent' (--missing absent) leaves their places empty"
        hint = "" if unreachable else leave
        raise kind(
            f"{len(absent)} of {counted(n, 'file')} are absent and {len(unreachable)} not "
            f"reachable, the first: {(unreachable or absent)[0]}{hint}"
        )
    if len(absent) == n:
        raise FrameMissingError(f"not one of {counted(n, 'file')} is there, the first: {absent[0]}")
