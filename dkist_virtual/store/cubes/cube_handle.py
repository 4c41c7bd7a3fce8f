"""Open a cube by its recipe, here or in another process.

A cube has the references to the frames that it was computed from, and their header table, as a
store has. So it is opened as one, and has pixels beside.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_virtual.errors import DKISTVirtualError, StoreCorruptError, StoreMissingError
from dkist_virtual.fits.threads import open_in_forks
from dkist_virtual.io.locations import is_local, join, local_path, shown
from dkist_virtual.store.cubes.cube_document import FRAMES_NAME, CubeDocument
from dkist_virtual.store.cubes.cube_store import CubeStore, check_array
from dkist_virtual.store.cubes.presence import ROOT_NAME
from dkist_virtual.store.format.names import HEADERS_NAME
from dkist_virtual.store.format.references import read_json, replaced_error, sha256
from dkist_virtual.store.handle import OpenStore, StoreHandle

if TYPE_CHECKING:
    import zarr

    from dkist_virtual.store.format.headers import HeaderFile
    from dkist_virtual.store.format.references import ReferenceSet

__all__ = ["CubeHandle", "OpenCube"]


@dataclass(frozen=True)
class CubeHandle(StoreHandle):
    """Say how to open a cube: the recipe, which pickles.

    Attributes
    ----------
    opened : OpenCube
        The cube that is open in this process.
    """

    def __post_init__(self) -> None:
        object.__setattr__(self, "opened", OpenCube(self))

    @property
    def cube(self) -> OpenCube:
        """The cube that is open in this process."""
        assert isinstance(self.opened, OpenCube)
        return self.opened

    def __reduce__(self) -> tuple[object, ...]:
        about = self.url, None, self.options, (), self.cube.identity
        return CubeHandle, about


@open_in_forks
class OpenCube(OpenStore):
    """A cube that is open in this process: its files are read when they are first needed.

    Attributes
    ----------
    identity : str or None
        Of the root's ``zarr.json``, once that was read.
    """

    def __init__(self, recipe: StoreHandle) -> None:
        super().__init__(recipe)
        self._document: CubeDocument | None = None
        self._directory: tuple[int, int] | None = None
        self._arrays: dict[str, zarr.Array[Any]] = {}

    @property
    def place(self) -> str:
        """The directory or URL of the cube."""
        assert self.url is not None
        return self.url

    @property
    def document(self) -> CubeDocument:
        """What the root attributes say.

        Raises
        ------
        StoreMissingError
            There is no cube.
        StoreCorruptError
            It is something else.
        StoreReplacedError
            Another one is there by now.
        """
        with self._lock:
            if self._document is None:
                self._directory = self._identify()
                try:
                    text = self.reader(ROOT_NAME)
                except FileNotFoundError:
                    raise StoreMissingError(
                        f"{shown(self.place)}: no cube here: expected {ROOT_NAME}"
                    ) from None
                found = sha256(text)
                if self.identity not in (None, found):
                    raise replaced_error(self.place)
                self._document = CubeDocument.read(text, self.place)
                self.identity = found
            return self._document

    def _identify(self) -> tuple[int, int] | None:
        """Identify the directory of a cube on this machine."""
        if not is_local(self.place):
            return None
        try:
            status = os.stat(local_path(self.place))
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def check_same(self) -> None:
        """Raise `StoreReplacedError` where another cube took this one's place on this machine."""
        if self._directory is not None and self._identify() != self._directory:
            raise replaced_error(self.place)

    def references(self) -> ReferenceSet:
        """Read the references to the frames that the pixels were computed from."""
        with self._lock:
            if self._references is None:
                self.document  # noqa: B018  # checks that it is the same cube
                place = join(self.place, FRAMES_NAME)
                try:
                    self._references = read_json(self.reader(FRAMES_NAME), place)
                except FileNotFoundError:
                    raise StoreCorruptError(
                        f"{shown(place)}: is missing from the cube: save it again"
                    ) from None
                if self._references.attributes.get("store_id") != self._document_id:
                    raise replaced_error(place)
            return self._references

    @property
    def _document_id(self) -> str:
        return self.document.cube_id

    def token(self) -> tuple[object, ...]:
        """Make the cube's part of dask's names: all that pixels depend on."""
        self.document  # noqa: B018  # finds its identity
        return self.url, self.identity, self._options_token

    @property
    def header_file(self) -> HeaderFile:
        """The header table, opened once in a process: see `OpenStore.header_file`."""
        if self._header_file is None:
            document = self.document
            given = sum(array.header_rows for array in document.arrays)
            frames = 0
            if any(one.has_frames for one in document.arrays) or any(
                part.frames for one in document.arrays for part in one.parts
            ):
                frames = sum(about.n_frames for about, _ in self.references().arrays.values())
            with self._lock:
                if self._header_file is None:
                    self._header_file = self._open_header_file(given + frames)
        return self._header_file

    def _refuse_other(self, file: HeaderFile) -> None:
        """Refuse the header table of a cube that took this one's place."""
        if file.store_id != self._document_id:
            raise replaced_error(join(self.place, HEADERS_NAME))

    @property
    def pixels(self) -> zarr.Group:
        """The Zarr group, read by `CubeStore`."""
        import zarr

        names = (name for array in self.document.arrays for name in array.array_names)
        store = CubeStore(self.place, self.fetcher, names)
        return zarr.open_group(store, mode="r", zarr_format=3)

    group = pixels

    def array(self, name: str) -> zarr.Array[Any]:
        """Open an array of the group, once in a process.

        Raises
        ------
        StoreCorruptError
            It is missing, or cannot be one of a cube.
        """
        with self._lock:
            if name not in self._arrays:
                import zarr

                place = join(self.place, name)
                try:
                    found = self.pixels[name]
                except KeyError:
                    raise StoreCorruptError(
                        f"{shown(place)}: this array is missing from the cube: save it again"
                    ) from None
                except DKISTVirtualError:
                    raise
                except (TypeError, ValueError, json.JSONDecodeError) as error:
                    raise StoreCorruptError(
                        f"{shown(place)}: is not an array of a cube: {error}"
                    ) from error
                if not isinstance(found, zarr.Array):
                    raise StoreCorruptError(f"{shown(place)}: is a group: expected an array")
                check_array(found, place)
                self._arrays[name] = found
            return self._arrays[name]
