"""Check the options of stitching."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dkist_virtual.text import check_keywords

__all__ = ["Options"]

_CHOICES: Final[dict[str, tuple[object, ...]]] = {
    "resample": ("interpolate", "shift"),
    "order": ("linear", "cubic"),
    "orientation": ("north", "tiles"),
    "register": (False, True),
    "match": (None, "gain", "offset"),
    "combine": ("mean", "first", "feather", "best"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """How tiles are stitched: see `dkist_virtual.TiledDataset.stitch`."""

    resample: Any = "interpolate"
    order: Any = "linear"
    orientation: Any = None
    register: Any = False
    match: Any = None
    combine: Any = "mean"
    search: Any = 16
    plane: Any = None
    seeing: Any = "ATMOS_R0"

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Options:
        """Check the options that were given, by name and by value."""
        check_keywords("stitch", given, cls.__dataclass_fields__)
        return cls(**given)

    def __post_init__(self) -> None:
        shift = self.resample == "shift"
        if self.orientation is None:
            object.__setattr__(self, "orientation", "tiles" if shift else "north")
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            # 1 == True, and an array has no truth.
            if not any(value is one or (isinstance(value, str) and value == one) for one in known):
                options = ", ".join(map(repr, known))
                raise ValueError(f"stitch({name}={value!r}): expected one of {options}")
        if not isinstance(self.search, int) or isinstance(self.search, bool) or self.search < 1:
            raise ValueError(
                f"stitch(search={self.search!r}): expected how many pixels tiles may be from their "
                "places, a whole number above 0"
            )
        if not isinstance(self.seeing, str):
            raise ValueError(f"stitch(seeing={self.seeing!r}): expected a header keyword")
