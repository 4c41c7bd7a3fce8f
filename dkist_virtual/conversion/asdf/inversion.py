"""Find the arrays of a level 2 inversion in its ASDF: quantities, profiles, and their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dkist_virtual.errors import DatasetError
from dkist_virtual.store.format.names import ArrayGroups, safe_array_names

if TYPE_CHECKING:
    from dkist_virtual.conversion.asdf.tree import Node

__all__ = ["InversionArrays"]


@dataclass(frozen=True, eq=False)
class InversionArrays:
    """The arrays of an inversion, quantities first.

    Parameters
    ----------
    groups : ArrayGroups
        Their names in a store, and their aligned axes.
    keys : dict of str to str
        By those names, the keys that the inversion has for them.
    nodes : tuple of mapping
        The plain node of each array's dataset.
    datasets : tuple of dkist.Dataset
        The same as dkist loads them.
    profiles_meta : dict
        The meta of the profiles as a whole.
    """

    groups: ArrayGroups
    keys: dict[str, str]
    nodes: tuple[Node, ...]
    datasets: tuple[Any, ...]
    profiles_meta: dict[str, Any]

    @classmethod
    def of(cls, node: Node, loaded: Any, label: str) -> InversionArrays:
        """Read them from an inversion's plain node, and from what dkist makes of it.

        Raises
        ------
        DatasetError
            A member is not a dataset of frames, or axes of the members are not aligned.
        """
        parts = [("quantities", loaded), ("profiles", loaded.profiles)]
        parts = [(kind, group) for kind, group in parts if group is not None and len(group)]
        members = [
            (kind, key, plain, group[key], tuple(map(int, group.aligned_axes[key])))
            for kind, group in parts
            # In the order of the file: what dkist was given is sorted by keys.
            for key, plain in node[kind]["items"].items()
        ]
        for kind, key, plain, _, _ in members:
            if not isinstance(plain, Mapping) or "data" not in plain:
                raise DatasetError(
                    f"{label}: {kind}, {key!r}: expected a DKIST dataset in this inversion"
                )
        names = safe_array_names(key for _, key, *_ in members)
        axes: dict[str, dict[str, tuple[int, ...]]] = {kind: {} for kind, _ in parts}
        for name, (kind, *_, own) in zip(names, members, strict=True):
            axes[kind][name] = own
        profiles = axes.get("profiles")
        try:
            groups = ArrayGroups(axes.get("quantities", {}), profiles)
        except ValueError as error:
            raise DatasetError(f"{label}: {error}") from error
        about = dict(loaded.profiles.meta or {}) if profiles is not None else {}
        return cls(
            groups,
            {name: str(key) for name, (_, key, *_) in zip(names, members, strict=True)},
            tuple(plain for _, _, plain, _, _ in members),
            tuple(ds for *_, ds, _ in members),
            about,
        )
