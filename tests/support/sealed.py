"""A copy of a committed store whose ``dataset.asdf`` is as this version writes it."""

from __future__ import annotations

import shutil
from pathlib import Path

from dkist_virtual.store.format.dataset_asdf import read_description, write_description

STORES = Path(__file__).parents[1] / "store" / "stores"


def sealed(name: str, directory: Path) -> Path:
    """Copy a store, and write its description again; its frames are in ``STORES/datasets``."""
    store = Path(shutil.copytree(STORES / name, directory / name))
    write_description(read_description(store / "dataset.asdf"), store / "dataset.asdf")
    return store
