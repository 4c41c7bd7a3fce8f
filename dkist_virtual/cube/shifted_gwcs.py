"""Write a corrected pointing into a gwcs of astropy's models, which others read without us."""

from __future__ import annotations

from functools import reduce
from operator import add, and_
from typing import TYPE_CHECKING, Any, Final

import astropy.modeling.models as m
import astropy.units as u
import numpy as np
from gwcs import WCS

from dkist_virtual.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dkist_virtual.cube.pointing import Correction, Numbers
    from dkist_virtual.cube.shifted_wcs import ShiftedWCS

__all__ = ["shifted_gwcs", "with_transform"]

_FAR: Final = 1e6
"""Pixels: so far beyond the ends of a table its last values stay."""


def shifted_gwcs(shifted: ShiftedWCS) -> WCS:
    """Make a gwcs with the coordinates of a corrected WCS.

    Raises
    ------
    DatasetError
        The WCS without the correction is not a gwcs.
    """
    base = shifted.unshifted
    if not isinstance(base, WCS):
        raise DatasetError(
            f"pointing: its correction cannot be written into a WCS of {type(base).__name__}: "
            "expected a gwcs, as that of DKIST's datasets. ds.unshifted() has none"
        )
    return with_transform(base, _Corrected(shifted, base).transform())


def with_transform(base: WCS, transform: Any, output_frame: Any = None) -> WCS:
    """Make a gwcs with another transform, and another frame if given: all else is as it was."""
    frame = base.output_frame if output_frame is None else output_frame
    made = WCS(transform, input_frame=base.input_frame, output_frame=frame)
    made.pixel_shape = base.pixel_shape
    if base.bounding_box is not None:
        made.bounding_box = base.bounding_box
    if base.name:
        made.name = base.name
    return made


class _Corrected:
    """Builds the transform: that of the WCS, then each correction of its sky.

    Pixels along which a correction varies are handed on beside the world coordinates.
    """

    def __init__(self, shifted: ShiftedWCS, base: WCS) -> None:
        self.pointing, self.base = shifted.pointing, base
        self.lon, self.lat = shifted.sky
        ndim = len(shifted.shape)
        self.pixel_of = {axis: ndim - 1 - axis for axis in self.pointing.axes}
        self.before = base.forward_transform
        self.n = self.before.n_outputs
        #: The place of each of those pixels behind the world coordinates.
        self.place = {axis: self.n + i for i, axis in enumerate(self.pointing.axes)}
        self.has_units = bool(self.before.uses_quantity)
        units = [u.Unit(base.world_axis_units[index]) for index in (self.lon, self.lat)]
        self.units = units

    def transform(self) -> Any:
        """Make the whole transform."""
        extra = tuple(self.pixel_of.values())
        made = self.before
        if extra:
            inputs = (*range(made.n_inputs), *extra)
            made = m.Mapping(inputs, n_inputs=made.n_inputs) | made & m.Identity(len(extra))
        for correction in self._joined():
            made = made | self._step(correction)
        if extra:
            made = made | m.Mapping(tuple(range(self.n)), n_inputs=self.n + len(extra))
        made.inputs = self.before.inputs
        made.outputs = self.before.outputs
        return made

    def _joined(self) -> Sequence[Correction]:
        """Join constant shifts that follow each other."""
        from dataclasses import replace

        made: list[Correction] = []
        for one in self.pointing:
            last = made[-1] if made else None
            if last is not None and last.is_shift and one.is_shift and not last.axes + one.axes:
                made[-1] = replace(last, dx=last.dx + one.dx, dy=last.dy + one.dy)
            else:
                made.append(one)
        return made

    def _step(self, one: Correction) -> Any:
        """Make the model of a correction, of the world coordinates and the pixels beside them."""
        total = self.n + len(self.place)
        outputs, inputs = [], list[int]()
        for index in range(total):
            row = [self.lon, self.lat].index(index) if index in (self.lon, self.lat) else None
            if row is None:
                inputs.append(index)
                outputs.append(m.Identity(1))
                continue
            own, model = self._moved(one, row)
            inputs += own
            outputs.append(model)
        if inputs == list(range(total)):
            return reduce(and_, outputs)
        return m.Mapping(tuple(inputs), n_inputs=total) | reduce(and_, outputs)

    def _moved(self, one: Correction, row: int) -> tuple[list[int], Any]:
        """Make the model of Tx (0) or Ty (1), and say of which coordinates and pixels it is."""
        offset, linear = one.dx if row == 0 else one.dy, one.linear
        varying = [axis for axis in self.place if offset.shape[axis] > 1]
        if linear is not None:
            varying = [axis for axis in self.place if axis in one.axes]
        sky = [(self.lon, self.lat)[row]] if linear is None else [self.lon, self.lat]
        inputs = sky + [self.place[axis] for axis in varying]
        if linear is None:
            if not varying:
                return inputs, m.Shift(self._angle(float(offset.flat[0]), row))
            return inputs, add(
                _pick(0, len(inputs)), self._table(one, offset, varying, len(inputs), row)
            )
        assert one.center is not None
        more = linear - np.eye(2)
        terms = [_pick(row, len(inputs)), self._table(one, offset, varying, len(inputs), row)]
        for column in range(2):
            # From the centre, within half a turn of it.
            away = _pick(column, len(inputs)) | self._from_center(one.center, column)
            factor = self._table(one, more[..., row, column], varying, len(inputs), None)
            terms.append(away * factor)
        return inputs, reduce(add, terms)

    def _angle(self, arcsec: float, row: int) -> Any:
        """Return an angle as the transform has them: with a unit, or in that of its output."""
        if self.has_units:
            return arcsec * u.arcsec
        return arcsec * float(u.arcsec.to(self.units[row]))

    def _from_center(self, center: Numbers, column: int) -> Any:
        """Make the model of the distance from the centre; longitudes may count a turn more."""
        back = m.Shift(self._angle(-float(center[column]), column))
        if column == 1:
            return back
        turn = 360 * 3600.0
        points = [-turn / 2 + 1, turn / 2 - 1, turn / 2 + 1, 3 * turn / 2 - 1]
        steps = m.Tabular1D(
            points=(self._angles(points, column),),
            lookup_table=self._angles([0, 0, -turn, -turn], column),
            bounds_error=False, fill_value=None,
        )  # fmt: skip
        return (m.Identity(1) + steps) | back

    def _angles(self, arcsec: Sequence[float], row: int) -> Any:
        return u.Quantity([self._angle(one, row) for one in arcsec])

    def _table(
        self,
        one: Correction,
        array: Numbers,
        varying: Sequence[int],
        n_inputs: int,
        row: int | None,
    ) -> Any:
        """Make the model of an array: its values at the pixels, which are the last inputs.

        `row` says that they are angles, of Tx or Ty; None that they are factors.
        """
        if row is not None:
            scale = 1.0 if self.has_units else float(u.arcsec.to(self.units[row]))
            array, unit = array * scale, u.arcsec if self.has_units else None
        else:
            unit = u.one if self.has_units else None
        axes = [axis for axis in varying if array.shape[axis] > 1]
        if not axes:
            value = float(array.flat[0])
            constant = m.Const1D(value if unit is None else value * unit)
            return _pick(0, n_inputs) | constant
        table = array.reshape([array.shape[axis] for axis in axes])
        ats = [one.at[axis] for axis in axes]
        first = n_inputs - len(varying)
        wanted = tuple(first + list(varying).index(axis) for axis in axes)
        chosen = m.Mapping(wanted, n_inputs=n_inputs)
        if len(axes) > 2:  # ASDF writes tables of one axis and of two
            chosen, table, ats = chosen | self._flat(ats), table.ravel(), [range(table.size)]
        table = np.pad(table, 1, mode="edge")
        points = [np.array([at[0] - _FAR, *at, at[-1] + _FAR]) for at in ats]
        model = (m.Tabular1D if len(ats) == 1 else m.Tabular2D)(
            points=tuple(along * u.pix if self.has_units else along for along in points),
            lookup_table=table if unit is None else table * unit,
            bounds_error=False, fill_value=None,
        )  # fmt: skip
        return chosen | model

    def _flat(self, ats: Sequence[range]) -> Any:
        """Make the model of a pixel's place in the flat table of several axes."""
        terms = []
        for number, at in enumerate(ats):
            n_after = float(np.prod([len(other) for other in ats[number + 1 :]]))
            from_first = m.Shift(-at.start * u.pix if self.has_units else -float(at.start))
            terms.append(
                m.Mapping((number,), n_inputs=len(ats)) | from_first | m.Multiply(n_after / at.step)
            )
        return reduce(add, terms)


def _pick(index: int, n_inputs: int) -> Any:
    """Make the model of one of its inputs."""
    return m.Identity(1) if n_inputs == 1 else m.Mapping((index,), n_inputs=n_inputs)
