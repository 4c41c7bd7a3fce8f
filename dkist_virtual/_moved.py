"""Import seven modules by their former paths, with a warning that names the new ones.

The reference promised these paths; the next release removes them.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

__all__ = ["MOVED", "install"]

MOVED: Final = {
    "codec": "store.codecs",
    "compare": "verification.against_astropy",
    "download": "io.download.download",
    "files": "dataset.files",
    "frame_check": "verification.frame",
    "globus": "datacenter.globus",
    "search": "datacenter.search",
}

_PACKAGE: Final = __package__ or "dkist_virtual"


class _FormerPath(ModuleType):
    """A module with the names of the module that replaces it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(import_module(self.__dict__["_new"]), name)


# Without importlib.abc's classes, whose import takes longer than that of the package.
class _Finder:
    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        package, _dot, name = fullname.rpartition(".")
        moved = package == _PACKAGE and name in MOVED
        # It has a loader's methods, which is all that Python asks of one.
        return ModuleSpec(fullname, self) if moved else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = _FormerPath(spec.name)
        module.__dict__["_new"] = f"{_PACKAGE}.{MOVED[spec.name.rpartition('.')[2]]}"
        return module

    def exec_module(self, module: ModuleType) -> None:
        warnings.warn(
            f"{module.__name__} is now {module.__dict__['_new']}: import it from there. The next "
            "release removes the former path",
            DeprecationWarning,
            stacklevel=2,
        )


class _Package(ModuleType):
    """The package: ``dv.search`` stays the function when the former module is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "search" and isinstance(value, ModuleType):
            # What ``import dkist_virtual.search as s`` binds has the names of both.
            for public in import_module(f"{_PACKAGE}.{MOVED['search']}").__all__:
                setattr(self.search, public, getattr(value, public))
        else:
            super().__setattr__(name, value)


def install() -> None:
    """Make the former paths importable."""
    sys.meta_path.append(_Finder())
    sys.modules[_PACKAGE].__class__ = _Package
