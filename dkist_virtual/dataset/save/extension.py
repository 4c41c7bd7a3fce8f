"""Tell asdf how to write the classes of this package.

They are written with the tags of dkist, astropy, gwcs and ndcube, so that an ASDF of them needs
this package for nothing. Those packages read it: a dataset is a `dkist.Dataset` then, of which
`dkist_virtual.load_dataset` makes one of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from asdf.extension import Converter, Extension

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SaveExtension", "get_extensions"]

# asdf loads this module with every file that it opens, so it imports nothing of the package.

_DATASET = "dkist_virtual.dataset."


class _Written(Converter):  # type: ignore[misc]  # asdf's protocol is generic
    """Replace an object by one that another extension writes, or by a node with its tag."""

    tags: Sequence[str] = ()
    types: Sequence[str] = ()

    def select_tag(self, obj: object, tags: object, ctx: object) -> None:
        """Choose no tag: asdf looks for the converter of what `to_yaml_tree` returns."""

    def from_yaml_tree(self, node: object, tag: object, ctx: object) -> NoReturn:
        """Do nothing: no tag is ours."""
        raise NotImplementedError


class _DatasetConverter(_Written):
    types = (_DATASET + "dataset.Dataset",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: Any) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.nodes import dataset_node

        return dataset_node(obj, ctx.extension_manager)


class _MosaicConverter(_Written):
    types = (_DATASET + "mosaic.TiledDataset",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: Any) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.nodes import mosaic_node

        return mosaic_node(obj, ctx.extension_manager)


class _InversionConverter(_Written):
    types = (_DATASET + "level2.inversion.Inversion",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: Any) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.level2_nodes import inversion_node

        return inversion_node(obj, ctx.extension_manager)


class _ProfilesConverter(_Written):
    types = (_DATASET + "level2.inversion.Profiles",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: Any) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.level2_nodes import profiles_node

        return profiles_node(obj, ctx.extension_manager)


class _FilesConverter(_Written):
    types = (_DATASET + "files.Files",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: object) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.nodes import files_node

        return files_node(obj)


class _TableConverter(_Written):
    types = (
        "dkist_virtual.store.format.header_table.HeaderTable",
        _DATASET + "derived.combined_headers.CombinedHeaders",
    )

    def to_yaml_tree(self, obj: Any, tag: object, ctx: object) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.nodes import plain_table

        return plain_table(obj)


class _MetaConverter(_Written):
    types = (_DATASET + "provenance.Meta",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: object) -> Any:  # noqa: ARG002
        from dkist_virtual.dataset.save.nodes import plain_meta

        return plain_meta(obj)


class _MaskConverter(_Written):
    types = (_DATASET + "mosaic._TileMask",)

    def to_yaml_tree(self, obj: Any, tag: object, ctx: object) -> Any:  # noqa: ARG002
        import numpy as np

        return np.array(obj, bool)


class _WCSConverter(_Written):
    types = (
        "dkist_virtual.cube.sliced_wcs.SteppedWCS",
        "dkist_virtual.cube.inverse.invertible_wcs.InvertibleWCS",
    )

    def to_yaml_tree(self, obj: Any, tag: object, ctx: object) -> Any:  # noqa: ARG002
        from dkist_virtual.cube.sliced_wcs import published

        return published(obj)


class SaveExtension(Extension):  # type: ignore[misc]
    """Write the classes of this package; it is not named in a file, which needs it for nothing."""

    extension_uri = "asdf://dkist-virtual/extensions/save-1.0.0"
    converters = (
        _DatasetConverter(), _MosaicConverter(), _InversionConverter(), _ProfilesConverter(),
        _FilesConverter(), _TableConverter(), _MetaConverter(), _MaskConverter(), _WCSConverter(),
    )  # fmt: skip


def get_extensions() -> list[SaveExtension]:
    """Return the extensions of this package, for asdf's entry point."""
    return [SaveExtension()]
