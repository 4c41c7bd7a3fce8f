"""Parse the images of any FITS file for VirtualiZarr, tile-compressed ones too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.conversion.look import HEAD, same_file
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameUnreachableError,
    FrameUnsupportedError,
)
from dkist_virtual.fits.frame_spec import IMAGE_CODEC_ID
from dkist_virtual.fits.hdu import has_image, is_named
from dkist_virtual.fits.header import checked_target
from dkist_virtual.fits.layout import PlainImage
from dkist_virtual.fits.partial import drive
from dkist_virtual.fits.references.cards import cards_of, image_cards
from dkist_virtual.fits.references.images import ImageReference, walk_headers
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.locations import absolute, shown
from dkist_virtual.io.safety import plain_uri
from dkist_virtual.publish.virtualizarr.manifest import (
    codecs_of,
    needs_virtualizarr,
    virtual_array,
)
from dkist_virtual.publish.virtualizarr.registry_fetcher import RegistryFetcher
from dkist_virtual.store.format.names import is_zarr_name
from dkist_virtual.store.format.references import STRINGS

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry
    from virtualizarr.manifests import ManifestArray, ManifestStore

    from dkist_virtual.fits.hdu import HDU
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.references.cards import Value

__all__ = ["FITSParser"]


@dataclass(frozen=True)
class FITSParser:
    """Parse the images of a FITS file to virtual arrays: plain ones and tile-compressed ones.

    Called with a URL and a registry of object stores, as VirtualiZarr calls its parsers. Each
    image is an array of one chunk, with its header as attributes; of a keyword that occurs several
    times the first. What the primary header has of a file without a primary image is in the
    attributes of the root. Tables and empty HDUs are passed over.

    An array is called by its EXTNAME, ``PRIMARY`` without one in the primary HDU, else by the
    number of the HDU, which is appended also where a name repeats; its dimensions are called
    ``NAME_y`` and so on, as by VirtualiZarr's own parser. Arrays of several files can be
    concatenated if their images have the same shape, type and HDU.

    Parameters
    ----------
    hdu : int or str, or a list of them, optional
        Which HDUs, by index or EXTNAME. By default all that have an image with pixels.
    partial_reads : bool
        Whether a selection of a compressed image reads only the bytes that it needs: for Icechunk,
        and for reading the arrays themselves. References of kerchunk in Zarr v2 have no place for
        such a codec: with False they can be written, and whole images are read. Images whose
        bytes are their pixels need no codec.

    Raises
    ------
    TypeError, ValueError
        Naming the option.

    Examples
    --------
    >>> parser = FITSParser(hdu=1)
    >>> parser("s3://bucket/image.fits.fz", registry)  # doctest: +SKIP
    """

    hdu: HDUTarget | Sequence[HDUTarget] | None = None
    partial_reads: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.partial_reads, (bool, np.bool_)):
            raise TypeError(f"partial_reads = {self.partial_reads!r}: expected True or False")
        if self.hdu is None:
            return
        given = self.hdu
        several = given if isinstance(given, (list, tuple)) else [given]
        targets = tuple(checked_target(one, given) for one in several)
        if not targets:
            raise ValueError("hdu is an empty list: expected indices or EXTNAMEs, or None for all")
        object.__setattr__(self, "hdu", targets)

    @property
    def _targets(self) -> tuple[HDUTarget, ...] | None:
        assert self.hdu is None or isinstance(self.hdu, tuple)
        return self.hdu

    def __call__(self, url: str, registry: ObjectStoreRegistry[Any]) -> ManifestStore:
        """Parse a FITS file; its headers are read, and nothing of its images.

        Parameters
        ----------
        url : path or URL
        registry : ObjectStoreRegistry
            With what the file is read; one on this machine needs none until pixels are read.

        Returns
        -------
        virtualizarr.manifests.ManifestStore

        Raises
        ------
        FrameMissingError, FrameUnreachableError
        FrameCorruptError
            It is not FITS, lacks an HDU that was asked for, or ends too early.
        FrameUnsupportedError
            It has no image with pixels, or one that is compressed in an unknown way; or was
            compressed as a whole.
        FrameRefusedError
            Its address has a password or query, or is not read alike everywhere.
        """
        needs_virtualizarr("FITSParser")
        from virtualizarr.manifests import ManifestGroup, ManifestStore

        place = absolute(url, "url")
        address = plain_uri(place)
        attributes, images = self._look(place, RegistryFetcher(registry=registry))
        names = _names([image for image, _ in images])
        arrays = {
            name: self._array(name, address, image, target)
            for name, (image, target) in zip(names, images, strict=True)
        }
        group = ManifestGroup(arrays=arrays, attributes=attributes)
        return ManifestStore(group=group, registry=registry)

    def _look(
        self, place: str, fetcher: RegistryFetcher
    ) -> tuple[dict[str, Value], list[tuple[ImageReference, HDUTarget | None]]]:
        """Read the headers of a file: the attributes of its root, and the images to take."""
        wanted = dict.fromkeys(self._targets or ())
        attributes: dict[str, Value] = {}
        found: list[tuple[ImageReference, HDUTarget | None]] = []
        first = fetcher.answer(Request.head(place, HEAD))
        if first.total is None:
            raise FrameUnreachableError(
                f"{shown(place)}: its server does not say how many bytes it has"
            )
        size = first.total

        def visit(hdu: HDU) -> bool:
            if hdu.index == 0 and not has_image(hdu):
                attributes.update(cards_of(hdu.header.text()).values)
            meant = [target for target in wanted if is_named(hdu, target)]
            if meant or (not self._targets and has_image(hdu)):
                found.append((_image(hdu, size), meant[0] if meant else None))
            for target in meant:
                del wanted[target]
            if not self._targets:
                hdu.check_complete(size)  # a table too: images may be lost with its end
            return bool(self._targets) and not wanted

        try:
            n = drive(
                walk_headers(same_file(place, first), size, visit, first.data, HEAD),
                fetcher.answer,
            )
            if wanted:
                raise FrameCorruptError(
                    f"the file has no HDU {next(iter(wanted))!r}: it ends after {n} HDU(s)"
                )
            if not found:
                raise FrameUnsupportedError(f"no HDU of {n} has an image with pixels")
        except (FrameCorruptError, FrameUnsupportedError) as error:
            raise error.at(shown(place)) from None
        return attributes, found

    def _array(
        self, name: str, address: str, image: ImageReference, target: HDUTarget | None
    ) -> ManifestArray:
        """Make the virtual array of an image: one chunk."""
        spec = image.spec(target)
        dtype = spec.dtype
        offset, length = image.offset, image.length
        codecs = codecs_of(spec, partial_reads=self.partial_reads, codec_id=IMAGE_CODEC_ID)
        if image.pixels is not None:
            assert isinstance(image.layout, PlainImage)
            dtype, codecs = image.layout.raw_dtype.str, None
            offset, length = image.pixels
        references = np.array([address], STRINGS), np.array([offset]), np.array([length])
        return virtual_array(
            image.shape,
            image.shape,
            dtype,
            codecs,
            references,
            dimensions=_dimensions(name, len(image.shape)),
            attributes=image_cards(image.hdu, image.layout).values,
        )


def _image(hdu: HDU, size: int) -> ImageReference:
    try:
        return ImageReference.of(hdu, size)
    except FrameError as error:
        if f"HDU {hdu.index}" in str(error):
            raise
        raise error.at(f"HDU {hdu.index}") from None


def _names(images: Sequence[ImageReference]) -> list[str]:
    """Name arrays as VirtualiZarr does, each once."""
    names: list[str] = []
    for image in images:
        name = image.name if is_zarr_name(image.name) else str(image.index)
        names.append(name if name not in names else f"{name}_{image.index}")
    return names


def _dimensions(name: str, n: int) -> list[str]:
    """Name the axes of an image as VirtualiZarr does: HDUs of one file differ in their lengths."""
    if n == 1:
        return [f"{name}_row"]
    if n <= 3:
        return [f"{name}_{axis}" for axis in "zyx"[-n:]]
    return [f"{name}_axis{n - i}" for i in range(n)]
