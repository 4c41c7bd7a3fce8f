"""Refuse a path over the tiles of a mosaic."""

from __future__ import annotations

from typing import Any, NoReturn

from dkist_virtual.errors import DatasetError

__all__ = ["PathsOfTiles"]


class PathsOfTiles:
    """Refuse `slit` and `light_curve` of a mosaic: a stitched mosaic has them."""

    def slit(
        self,
        points: Any,  # noqa: ARG002
        *,
        width: Any = None,  # noqa: ARG002
        spacing: Any = None,  # noqa: ARG002
        order: Any = "linear",  # noqa: ARG002
        rotate: Any = False,  # noqa: ARG002
        screen: Any = None,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse: ``mosaic.stitch().slit(points)`` follows a path over tiles.

        Raises
        ------
        DatasetError
        """
        raise _refusal("slit", "a path")

    def light_curve(
        self,
        region: Any,  # noqa: ARG002
        *,
        statistic: Any = "mean",  # noqa: ARG002
        rotate: Any = False,  # noqa: ARG002
        screen: Any = None,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse: ``mosaic.stitch().light_curve(region)`` has the pixels of several tiles.

        Raises
        ------
        DatasetError
        """
        raise _refusal("light_curve", "a region")


def _refusal(method: str, what: str) -> DatasetError:
    return DatasetError(
        f"{method}: {what} may be on several tiles of this mosaic, which have pixels and times of "
        f"their own. Stitch first, as in mosaic.stitch().{method}(...), or take "
        f"one tile, as in mosaic[0, 0].{method}(...)"
    )
