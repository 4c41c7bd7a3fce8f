"""Save a dataset or mosaic as a cube: all of it, or nothing."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.conversion.references import identifiers
from dkist_virtual.conversion.staging import (
    alone,
    place_for,
    put_in_place,
    raise_store_errors,
    sweep,
    sync_all,
    work_directory,
)
from dkist_virtual.cube.axis_tables import describe_wcs
from dkist_virtual.dataset.save.cube.beside import (
    Tile,
    describe,
    record_of,
    write_beside,
    write_root,
)
from dkist_virtual.dataset.save.cube.layout import choose_layout
from dkist_virtual.dataset.save.cube.shards import ShardJournal, Writing, create, write_shards
from dkist_virtual.dataset.save.cube.sources import chunks_of, token_of
from dkist_virtual.dataset.summary import axis_names
from dkist_virtual.errors import DatasetError, StoreCorruptError, StoreExistsError
from dkist_virtual.store.cubes.cube_document import CubeDocument, known_names
from dkist_virtual.store.cubes.presence import JOURNAL_NAME, ROOT_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset
    from dkist_virtual.store.format.names import Place

__all__ = ["save_cube"]


def save_cube(
    dataset: Dataset | TiledDataset,
    place: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: bool = True,
    chunks: Sequence[int] | None = None,
) -> None:
    """Compute the pixels of a dataset or mosaic, and write them as Zarr v3 with all beside.

    Parameters
    ----------
    dataset : Dataset or TiledDataset
    place : path
        A directory on this machine, which is complete, or not there.
    overwrite : bool
        Whether to replace a cube.
    progress : bool
        Whether to show a bar, on a terminal.
    chunks : sequence of int, optional
        Lengths of what is read as a whole, along each axis. By default boxes of about 1 MiB.

    Raises
    ------
    StoreExistsError
        There is a cube, or something else; or another process writes one there.
    DatasetError
        Something that belongs to the dataset cannot be written.
    StoreError
        The disk is full, or may not be written to.
    FrameMissingError
        A frame is absent, and the dataset was not opened with ``missing="nan"``.
    """
    tiles, shape = _tiles(dataset)
    described = describe(tiles)
    writings = [one for tile in described for one in _arrays(tile, chunks)]
    target = place_for(place)
    _refuse(target, overwrite)
    work = work_directory(target)
    with raise_store_errors(target), alone(work, target, "process is writing this cube"):
        sweep(work, target, keep=(JOURNAL_NAME, target.name))
        try:
            _write(described, shape, dataset.meta, writings, target, work, overwrite, progress)
        except BaseException:
            if not any((work / target.name).glob("*/c")):
                shutil.rmtree(work, ignore_errors=True)  # nothing that another run could use
            raise
        shutil.rmtree(work, ignore_errors=True)


def _tiles(
    dataset: Dataset | TiledDataset,
) -> tuple[list[tuple[Place, Dataset]], tuple[int, ...] | None]:
    """Return the datasets with their places, and the shape of a mosaic."""
    from dkist_virtual.dataset.dataset import Dataset
    from dkist_virtual.dataset.mosaic import TiledDataset

    if isinstance(dataset, Dataset):
        return [(None, dataset)], None
    if not isinstance(dataset, TiledDataset):
        raise DatasetError(
            f"save to .zarr: a {type(dataset).__name__} is not pixels of one kind: save its parts, "
            'as in inversion[KEY].save("part.zarr")'
        )
    hidden = np.atleast_2d(np.asarray(dataset.mask, bool))
    places = [(int(i), int(j)) for i, j in np.argwhere(~hidden)]
    return list(zip(places, dataset.flat, strict=True)), dataset.shape


def _arrays(tile: Tile, chunks: Sequence[int] | None) -> Iterator[Writing]:
    """Give the arrays of a dataset: pixels, and mask and uncertainty where it has such."""
    ds = tile.ds
    axes, _, _ = describe_wcs(ds.wcs, ds.shape, axis_names(ds))
    names = [name for _, name, _ in axes]
    dimensions = tuple(identifiers(names, tile.index))
    unit = None if ds.unit is None else ds.unit.to_string()
    spread = ds.uncertainty
    own: list[tuple[str, Any, dict[str, Any]]] = [
        (tile.array.name, ds.pixels, {"unit": unit, "axis_names": names})
    ]
    if tile.array.mask_array:
        own.append((tile.array.mask_name, ds._masked, {}))
    if spread is not None and tile.array.uncertainty is not None:
        about = tile.array.uncertainty
        attributes = {"uncertainty_type": about.type, "unit": about.unit}
        own.append((tile.array.uncertainty_name, spread.array, attributes))
    for name, pixels, attributes in own:
        dtype = np.dtype(pixels.dtype).newbyteorder("=")
        if dtype.kind not in "biufc" or dtype.itemsize > 16 or dtype.char in "gG":
            raise DatasetError(
                f"save: {name} is an array of {dtype}, which Zarr cannot hold: expected numbers of "
                "up to 64 bits, as ds.with_data(ds.data.astype(float)) has"
            )
        layout = choose_layout(pixels.shape, dtype.itemsize, chunks_of(pixels), chunks)
        yield Writing(name, pixels, dtype, layout, dimensions, attributes)


def _refuse(target: Path, overwrite: bool) -> None:
    """Raise `StoreExistsError` where something exists that may not be replaced."""
    with raise_store_errors(target):
        if not target.exists() and not target.is_symlink():
            return
        if not overwrite:
            raise StoreExistsError(f"{target}: exists already. overwrite=True replaces it")
        # Replacing deletes: a directory goes only if it is a cube and holds nothing else.
        found = set(os.listdir(target)) if target.is_dir() else set()
        try:
            document = CubeDocument.read((target / ROOT_NAME).read_bytes(), str(target))
        except (FileNotFoundError, NotADirectoryError, StoreCorruptError):
            raise StoreExistsError(
                f"{target}: is not a saved cube, so it is not replaced by one"
            ) from None
    if strange := sorted(found - known_names(document)):
        raise StoreExistsError(
            f"{target}: holds {strange[0]}, which is not a cube's file, so it is not replaced: "
            "move that elsewhere first"
        )


def _write(
    tiles: Sequence[Tile],
    shape: tuple[int, ...] | None,
    about: Mapping[str, Any],
    writings: Sequence[Writing],
    target: Path,
    work: Path,
    overwrite: bool,
    progress: bool,
) -> None:
    from tqdm import tqdm

    new = work / target.name
    token = _token(writings)
    with ShardJournal(work / JOURNAL_NAME, token) as journal:
        if not all((new / writing.name / ROOT_NAME).is_file() for writing in writings):
            journal.restart()
        if not journal.done:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            for writing in writings:
                create(writing, new)
        for path in new.iterdir():  # what is small is written again
            if path.is_file():
                path.unlink()
        grid = None if shape is None else (1 if len(shape) == 1 else shape[0], shape[-1])
        document = CubeDocument(
            cube_id=secrets.token_hex(16),
            grid=grid,
            is_row=shape is not None and len(shape) == 1,
            arrays=tuple(tile.array for tile in tiles),
            record=record_of(tiles, about),
        )
        write_beside(new, tiles, document, about)  # before pixels are computed for nothing
        total = sum(writing.n_bytes for writing in writings)
        shown = progress and sys.stderr.isatty()
        with (
            _say_what_is_done(journal, writings),
            tqdm(
                total=total, unit="B", unit_scale=True, desc=f"Writing {target.name}",
                disable=not shown,
            ) as bar,
        ):  # fmt: skip
            for writing in writings:
                write_shards(writing, new, journal, bar.update)
        write_root(new, document)
        sync_all(new)
    _refuse(target, overwrite)
    put_in_place(new, target, work)


def _token(writings: Sequence[Writing]) -> str:
    """Hash all that the arrays depend on."""
    from dask.base import tokenize

    token: str = tokenize(
        *(
            (one.name, token_of(one.pixels), str(one.dtype), one.layout, one.dimensions)
            for one in writings
        ),
        [one.attributes for one in writings],
    )
    return token


@contextmanager
def _say_what_is_done(journal: ShardJournal, writings: Sequence[Writing]) -> Iterator[None]:
    """Say after Ctrl-C that what was written is not lost."""
    try:
        yield
    except KeyboardInterrupt as error:
        total = sum(writing.layout.n_shards for writing in writings)
        raise KeyboardInterrupt(
            f"{len(journal.done)} of {total} parts have been written, and the same call goes on "
            "from there"
        ) from error
