"""Read a model of the user's: remove its units, and know those of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import astropy.units as u
import numpy as np

from dkist_virtual.errors import DatasetError
from dkist_virtual.science.spectra.line_guess import guess_line
from dkist_virtual.text import check_keywords

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.science.spectra.line_fit import Initial

__all__ = ["PlainModel"]


@dataclass(frozen=True, eq=False)
class PlainModel:
    """A model without units, and with one value for each parameter.

    Parameters
    ----------
    model : astropy.modeling.Model
    units : dict of Unit or None
        Of each parameter; None where astropy does not know it.
    starts : dict of numpy.ndarray
        The parameters that had a value for each spectrum.
    shape : tuple of int
        Of the spectra.
    """

    model: Any
    units: dict[str, u.UnitBase | None]
    starts: dict[str, NDArray[np.float64]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, model: Any, x_unit: u.UnitBase, y_unit: u.UnitBase, shape: tuple[int, ...]) -> Self:
        """Read a model of wavelengths in a unit that gives intensities in another one.

        Raises
        ------
        DatasetError
            It is not a model of one wavelength, or has other units.
        """
        from astropy.modeling import Model

        if isinstance(model, type) or not isinstance(model, Model):
            raise DatasetError(
                f"fit: expected a model of astropy, such as Gaussian1D(amplitude=100, mean=630.25, "
                f"stddev=0.01), found {model!r}"
            )
        if (model.n_inputs, model.n_outputs, len(model)) != (1, 1, 1):
            raise DatasetError(
                f"fit: expected one model that gives an intensity at a wavelength, found one of "
                f"{model.n_inputs} inputs, {model.n_outputs} outputs and {len(model)} models"
            )
        plain, units = _without_units(model, x_unit, y_unit)
        starts = {}
        for name in plain.param_names:
            values = np.asarray(getattr(plain, name).value, float)
            if values.ndim:
                starts[name] = _for_each(f"parameter {name}", values, shape)
        if starts:
            plain = _with_one_value(plain)
        return cls(plain, units, starts, shape)

    @property
    def name(self) -> str:
        """The names of its parts, in words."""
        if self.model.n_submodels == 1:
            return type(self.model).__name__
        return ", ".join(type(part).__name__ for part in self.model)

    def first_values(self, initial: Any) -> tuple[Initial | None, dict[str, Any]]:
        """Read ``initial=``: a function of each block, and values that are given.

        Parameters
        ----------
        initial : None, "model", callable or dict
        """
        given: dict[str, Any] = dict(self.starts)
        if initial is None:
            return guess_line(self.model), given
        if isinstance(initial, str):
            if initial != "model":
                raise DatasetError(
                    f"initial = {initial!r}: expected 'model', the model's own values, a dict of "
                    "values by the names of parameters, or a function that gives one"
                )
            return None, given
        if callable(initial):
            return _Checked(initial, tuple(self.model.param_names)), given
        if not isinstance(initial, Mapping):
            raise DatasetError(
                f"initial: expected 'model', a dict of values by the names of parameters, or a "
                f"function that gives one, found {type(initial).__name__}"
            )
        check_keywords("fit: initial", initial, self.model.param_names)
        given |= {name: self._read(name, value) for name, value in initial.items()}
        return guess_line(self.model), given

    def _read(self, name: str, value: Any) -> NDArray[np.float64]:
        unit = self.units[name]
        if hasattr(value, "pixels"):  # a dataset: masked pixels are NaN
            value = np.asarray(value) * (value.unit or u.dimensionless_unscaled)
        if isinstance(value, u.Quantity):
            try:
                value = value.to_value(unit or u.dimensionless_unscaled)
            except u.UnitConversionError as error:
                raise DatasetError(f"initial {name}: {error}") from None
        return _for_each(f"initial {name}", np.asarray(value, float), self.shape)


@dataclass(frozen=True, eq=False)
class _Checked:
    """A function of the user's for first values, whose names are checked."""

    function: Initial
    names: tuple[str, ...]

    def __call__(self, wavelengths: Any, intensity: Any) -> Mapping[str, Any]:
        found = self.function(wavelengths, intensity)
        check_keywords("fit: initial", found, self.names)
        return found


def _for_each(
    what: str, values: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise DatasetError(
            f"{what}: expected a value for each spectrum, {shape}, or a shape that broadcasts to "
            f"that, found {values.shape}"
        ) from None


def _with_one_value(model: Any) -> Any:
    """Copy a model with the first of the values of each parameter."""
    if model.n_submodels > 1:
        parts = (_with_one_value(part) for part in (model.left, model.right))
        made = type(model)(model.op, *parts)
    else:
        values = {name: np.ravel(getattr(model, name).value)[0] for name in model.param_names}
        made = model.copy()
        made._reset_parameters(**values)  # changes their shape: astropy has no public name for it
    for name in model.param_names:
        one, other = getattr(made, name), getattr(model, name)
        one.fixed, one.tied, one.bounds = other.fixed, other.tied, other.bounds
    return made


def _without_units(
    model: Any, x_unit: u.UnitBase, y_unit: u.UnitBase
) -> tuple[Any, dict[str, u.UnitBase | None]]:
    """Remove the units of a model, where it has some; return those of the result's parameters."""
    units = {model.inputs[0]: np.zeros(1) * x_unit, model.outputs[0]: np.zeros(1) * y_unit}
    before = {name: getattr(model, name).unit for name in model.param_names}
    plain = model
    if any(unit is not None for unit in before.values()):
        try:
            plain = model.without_units_for_data(**units)
        except (u.UnitsError, NotImplementedError, AttributeError, TypeError) as error:
            raise DatasetError(
                f"fit: the model is for wavelengths in {x_unit} and intensities in "
                f"{y_unit or 'no unit'}: {error}"
            ) from None
    try:
        named = plain.with_units_from_data(**units)
        after = {name: getattr(named, name).unit for name in model.param_names}
    except (AttributeError, NotImplementedError, TypeError):  # astropy does not know them
        after = dict.fromkeys(model.param_names)
    if plain is not model:
        for name, unit in before.items():
            # astropy converts the values, and leaves the bounds as they are.
            if unit is not None and after[name] is not None and model.bounds[name] != (None, None):
                ends = (
                    end if end is None else float((end * unit).to_value(after[name]))
                    for end in model.bounds[name]
                )
                getattr(plain, name).bounds = tuple(ends)
    return plain, after
