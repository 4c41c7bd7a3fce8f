"""Put our classes in the place of dkist's, in dkist's own tests and their fixtures.

As a pytest plugin. Names of a test module that are dkist's `Dataset`, `load_dataset` and so on
become ours. A fixture that gives a dataset of dkist, or one of ours to which it gave a file manager
of dkist, gives what `dkist_virtual.load_dataset` makes of it. Private names of dkist that the
tests use are given to our classes where these have the same under another name.
"""

from __future__ import annotations

import inspect
import unittest.mock
from collections.abc import Callable, Iterator
from functools import wraps
from types import ModuleType
from typing import Any

import asdf
import dkist
import dkist.dataset.inversion
import dkist.dataset.loader
import pytest
from dkist.io import DKISTFileManager

import dkist_virtual as dv
from dkist_virtual.dataset.files import Files
from dkist_virtual.dataset.load import _asdfs_in
from dkist_virtual.dataset.save.extension import get_extensions

THEIRS = (dkist.Dataset, dkist.TiledDataset, dkist.Inversion)
MANAGER = "_manager_of_dkist"


def load_dataset(target: Any, **options: Any) -> Any:
    """Load datasets, in which absent frames are NaN, as dkist's are.

    A test that mocks what dkist loads files with is told which files are loaded.
    """
    loader = dkist.dataset.loader
    if not isinstance(loader._load_from_asdf, unittest.mock.Mock):
        return dv.load_dataset(target, missing="nan", **options)
    chosen = _asdfs_in(target)
    if chosen is not None and len(chosen) == 1:
        return loader._load_from_asdf(chosen[0], ignore_version_mismatch=False)
    return loader._load_from_iterable(chosen)


def translate(value: Any) -> Any:
    """Return what a fixture gives, as ours."""
    if isinstance(value, THEIRS):
        return load_dataset(value)
    if isinstance(value, dv.Dataset) and MANAGER in vars(value):
        manager = vars(value)[MANAGER]
        # The fixture's own pixels are made up, and those of its files are read.
        twin = dkist.Dataset(
            manager.dask_array, value.wcs, meta=dict(value.meta), unit=value.unit, mask=value.mask
        )
        twin._file_manager = manager
        return load_dataset(twin)
    return value


def exchanged() -> list[tuple[Any, Any]]:
    """Return pairs of what is dkist's and what is ours."""
    pairs = [
        (dkist.Dataset, dv.Dataset),
        (dkist.TiledDataset, dv.TiledDataset),
        (dkist.load_dataset, load_dataset),
    ]
    for theirs, name in (
        (dkist.save_dataset, "save_dataset"),
        (dkist.Inversion, "Inversion"),
        (dkist.dataset.inversion.Profiles, "Profiles"),
    ):
        if hasattr(dv, name):
            pairs.append((theirs, getattr(dv, name)))
    return pairs


class _Tree:
    """An open ASDF whose datasets are ours."""

    def __init__(self, file: asdf.AsdfFile) -> None:
        self._file = file

    def __enter__(self) -> _Tree:
        self._file.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def __getitem__(self, key: str) -> Any:
        return translate(self._file[key])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Asdf(ModuleType):
    """The package ``asdf`` that opens files with datasets of ours."""

    def __init__(self) -> None:
        super().__init__("asdf")

    def open(self, *args: Any, **options: Any) -> _Tree:
        return _Tree(asdf.open(*args, **options))

    def __getattr__(self, name: str) -> Any:
        return getattr(asdf, name)


class _Package(ModuleType):
    """The package ``dkist`` with our classes."""

    def __init__(self) -> None:
        super().__init__("dkist")
        for theirs, ours in exchanged():
            setattr(self, theirs.__name__, ours)

    def __getattr__(self, name: str) -> Any:
        return getattr(dkist, name)


class _WithPlainMeta:
    """A dataset with a dict for its meta, from which the tests take the headers."""

    def __init__(self, ds: Any) -> None:
        self._ds = ds
        self.meta = dict(ds.meta)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ds, name)


def with_plain_meta(compare: Callable[..., None]) -> Callable[..., None]:
    """Give a function of two datasets their meta as dicts."""

    @wraps(compare)
    def compared(new: Any, old: Any, **options: Any) -> None:
        compare(_WithPlainMeta(new), _WithPlainMeta(old), **options)

    return compared


def exchange(module: ModuleType) -> None:
    """Exchange the names of a module."""
    if hasattr(module, "assert_dataset_equal"):
        module.assert_dataset_equal = with_plain_meta(module.assert_dataset_equal)
    pairs = [*exchanged(), (dkist, _Package()), (asdf, _Asdf())]
    if not module.__name__.endswith(("conftest", "io.asdf.tests.test_dataset")):
        pairs.append((DKISTFileManager, Files))  # those two make file managers
    for name, value in list(vars(module).items()):
        for theirs, ours in pairs:
            if value is theirs:
                setattr(module, name, ours)


def pytest_collection_modifyitems(config: pytest.Config, items: list[Any]) -> None:
    modules = {item.module for item in items}
    modules |= {
        plugin
        for plugin in config.pluginmanager.get_plugins()
        if inspect.ismodule(plugin) and str(plugin.__file__).endswith("conftest.py")
    }
    for module in modules:
        exchange(module)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any) -> Iterator[Any]:
    result = yield
    ours = translate(result)
    if ours is not result:
        fixturedef.cached_result = (ours, *fixturedef.cached_result[1:])
    return ours


def _of_frames(files: Files, item: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the part of an index that selects frames."""
    return item[: len(files.arrays[0].frame_shape)]


def pytest_configure() -> None:
    config = asdf.get_config()
    known = {extension.extension_uri for extension in config.extensions}
    for extension in get_extensions():  # of an installation from before they were
        if extension.extension_uri not in known:
            config.add_extension(extension)
    # What dkist's tests call by private names.
    dv.Dataset._file_manager = property(
        lambda self: self.files, lambda self, given: vars(self).__setitem__(MANAGER, given)
    )
    dv.TiledDataset._data = property(lambda self: self._tiles)
    Files._fm = property(lambda self: self)
    Files._array_slice_to_loader_slice = _of_frames
