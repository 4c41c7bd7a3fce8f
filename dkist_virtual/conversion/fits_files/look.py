"""Look at the image of one file: find it, and parse its header. No pixels are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dkist_virtual.conversion.look import HEAD, entry_of, same_file
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameMissingError,
    FrameUnreachableError,
    FrameUnsupportedError,
)
from dkist_virtual.fits.references.cards import TEXT_KEYWORDS, Cards, cards_of, image_cards
from dkist_virtual.fits.references.images import one_image
from dkist_virtual.io.byte_range import Request

if TYPE_CHECKING:
    from dkist_virtual.fits.hdu import HDU
    from dkist_virtual.fits.header import HDUTarget
    from dkist_virtual.fits.partial import Reading
    from dkist_virtual.io.byte_range import Reply
    from dkist_virtual.store.format.frame_index import FrameEntry

__all__ = ["FoundImage", "Missing", "look_at_image"]


@dataclass(frozen=True, slots=True)
class FoundImage:
    """What was found in one file.

    Attributes
    ----------
    entry : FrameEntry
        Its HDU, and the pixels' type.
    index, name : int, str
        Of the HDU.
    shape : tuple of int
        Of the image, as the file has it.
    cards : Cards
        Of its header.
    """

    entry: FrameEntry
    index: int
    name: str
    shape: tuple[int, ...]
    cards: Cards


Missing = (FrameMissingError, FrameUnreachableError)
"""The errors of a file that could not be read, which are returned."""


def look_at_image(
    url: str, target: HDUTarget | None, *, primary: bool
) -> Reading[Request, Reply, FoundImage | FrameMissingError | FrameUnreachableError]:
    """Look at the image of one file.

    Parameters
    ----------
    url : str
    target : int or str, optional
        Which HDU; by default the only one with an image.
    primary : bool
        Whether keywords of the primary header are taken that the image's lacks.

    Raises
    ------
    FrameCorruptError, FrameUnsupportedError
        Naming file, HDU and keyword.
    """
    first_hdu: list[HDU] = []

    def note(hdu: HDU) -> None:
        if hdu.index == 0:
            first_hdu.append(hdu)

    try:
        (head,) = yield [Request.head(url, HEAD)]
        size = len(head.data) if head.total is None else head.total
        image = yield from one_image(same_file(url, head), size, target, head.data, note)
    except Missing as error:
        return error
    except (FrameCorruptError, FrameUnsupportedError) as error:
        raise error.at(url) from None
    cards = image_cards(image.hdu, image.layout)
    if primary and image.index:
        cards = _with_primary(cards, cards_of(first_hdu[0].header.text()))
    return FoundImage(entry_of(image, head), image.index, image.name, image.shape, cards)


_OF_ITS_OWN: Final = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|BLOCKED|PCOUNT|GCOUNT|GROUPS|INHERIT|CHECKSUM|DATASUM"
    r"|EXTNAME|EXTVER|EXTLEVEL|BSCALE|BZERO|BLANK|BUNIT|DATAMAX|DATAMIN"
)
"""Keywords that describe one HDU alone: an extension does not inherit them (appendix K)."""


def _with_primary(own: Cards, primary: Cards) -> Cards:
    """Add the keywords of the primary header that an extension's lacks (4.4.2.6, INHERIT)."""
    values, comments = dict(own.values), dict(own.comments)
    for keyword, value in primary.values.items():
        if keyword in values or keyword in TEXT_KEYWORDS or _OF_ITS_OWN.fullmatch(keyword):
            continue
        values[keyword] = value
        if keyword in primary.comments:
            comments[keyword] = primary.comments[keyword]
    repeated = {k: None for k in (*own.repeated, *primary.repeated) if k in values}
    return Cards(values, comments, tuple(repeated))
