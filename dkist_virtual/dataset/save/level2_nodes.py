"""Make the nodes of inversions and their profiles for the tree of an ASDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dkist_virtual.dataset.save.nodes import (
    check_meta,
    dataset_node,
    of_member,
    plain_table,
    tagged,
)
from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from asdf.extension import ExtensionManager
    from asdf.tagged import TaggedDict

    from dkist_virtual.dataset.level2.collection import AlignedDatasets
    from dkist_virtual.dataset.level2.inversion import Inversion, Profiles

__all__ = ["inversion_node", "profiles_node"]


def inversion_node(
    inversion: Inversion, manager: ExtensionManager, *, history: bool = True
) -> TaggedDict:
    """Make the node of an inversion, with its profiles.

    Parameters and errors are those of `dkist_virtual.dataset.save.nodes.dataset_node`.
    """
    import dkist
    from ndcube import NDCollection

    if inversion.profiles is None:
        raise DatasetError(
            "save: the inversion has no profiles, which dkist's form requires: save its "
            "quantities, as in dv.save_dataset(inversion[KEY], ...)"
        )
    meta = dict(inversion.meta or {})
    if not history or not meta.get("history"):
        meta.pop("history", None)
    headers = inversion.headers
    meta.pop("headers", None)
    meta = check_meta(meta)
    meta["inventory"] = meta.get("inventory") or {}
    if headers is None:
        raise DatasetError(
            "save: the inversion has no header table of its files, which dkist's form requires: "
            "save its quantities, as in dv.save_dataset(inversion[KEY], ...)"
        )
    meta["headers"] = plain_table(headers)
    members = _members(inversion, manager)
    node = {
        "meta": meta,
        "quantities": tagged({**members, "meta": {}}, NDCollection, manager),
        "profiles": profiles_node(inversion.profiles, manager),
    }
    return tagged(node, dkist.Inversion, manager)


def profiles_node(profiles: Profiles, manager: ExtensionManager) -> TaggedDict:
    """Make the node of profiles."""
    from dkist.dataset.inversion import Profiles

    meta = check_meta(dict(profiles.meta or {}))
    return tagged({**_members(profiles, manager), "meta": meta}, Profiles, manager)


def _members(collection: AlignedDatasets, manager: ExtensionManager) -> dict[str, Any]:
    axes = collection.aligned_axes
    if axes is None:
        raise DatasetError(
            f"save: the {type(collection).__name__} has no aligned axes left, which dkist's form "
            "requires: keep one, as in inversion[n : n + 1]"
        )
    nodes = {}
    for key, ds in collection.items():
        with of_member(repr(key)):
            nodes[key] = dataset_node(ds, manager, history=False)
    return {"items": nodes, "aligned_axes": {key: list(map(int, axes[key])) for key in nodes}}
