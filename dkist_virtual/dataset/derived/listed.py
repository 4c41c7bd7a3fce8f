"""Tell a dataset in a list that `numpy.array` is given from a dataset alone.

``np.array([tile, tile])`` makes an array of datasets, as for a mosaic made by hand, and
``np.asarray(tile)`` one of pixels. numpy asks both for their array in the same words, except that
``np.array(tile)`` asks for a copy. So a dataset that is asked for none, by a call of ``array``
without keywords, is in a list. Which function is called is read from the caller's code.
"""

from __future__ import annotations

import dis
import sys
from functools import lru_cache
from types import CodeType

__all__ = ["is_in_list"]


def is_in_list() -> bool:
    """Return whether numpy, which called ``__array__``, was given a list of datasets.

    To be called by a function that ``__array__`` calls. False where that is not known, as for
    calls with keywords.
    """
    frame = sys._getframe(3)  # beside this function's own: that function, and `__array__`
    return _calls_array(frame.f_code, frame.f_lasti)


@lru_cache(maxsize=64)
def _calls_array(code: CodeType, offset: int) -> bool:
    """Return whether the call at an offset is one of ``array`` without keywords."""
    known = list(dis.get_instructions(code))
    at = next((n for n, one in enumerate(known) if one.offset == offset), 0)
    call = known[at]
    # Python 3.11 calls by the one or the other, once it has specialised a line that runs often.
    if call.opname not in ("CALL", "PRECALL") or any(
        one.opname == "KW_NAMES" for one in known[at - 2 : at]
    ):
        return False
    # The function's name begins where the call does, and ends before its arguments.
    callee, ends = None, (0, 0)
    begin, end = _span(call)
    for one in known[:at]:
        its_begin, its_end = _span(one)
        if its_begin == begin and ends <= its_end < end and one.opname.startswith("LOAD_"):
            callee, ends = one.argval, its_end
    return callee == "array"


def _span(instruction: dis.Instruction) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where an instruction's source begins and ends: line and column."""
    place = instruction.positions
    if place is None:
        return (-1, -1), (-1, -1)
    numbers = (place.lineno, place.col_offset, place.end_lineno, place.end_col_offset)
    line, column, last_line, last = (-1 if n is None else n for n in numbers)
    return (line, column), (last_line, last)
