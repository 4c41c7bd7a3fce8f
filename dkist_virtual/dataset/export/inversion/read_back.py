"""Put what an inversion code found on the coordinates of the dataset."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dkist_virtual.dataset.export.inversion.region import stokes_of
from dkist_virtual.dataset.export.inversion.to_sir import RECORD_FILE
from dkist_virtual.dataset.save.files.part import target_of
from dkist_virtual.dataset.spectral.results import Values, results_of
from dkist_virtual.errors import DatasetError
from dkist_virtual.science.inversion_files.hazel import UNITS
from dkist_virtual.science.inversion_files.pixel_table import TABLE, parse_table
from dkist_virtual.science.inversion_files.sir import COLUMNS, parse_model
from dkist_virtual.science.spectra.axis import SpectralAxis
from dkist_virtual.text import shows_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dkist_virtual.dataset.spectral.quantities import Quantities

__all__ = ["read_hazel", "read_sir"]


def _pixel_axes(ds: Any) -> tuple[int, ...]:
    taken = {SpectralAxis.of(ds).array_axis, stokes_of(ds, "inversion")[0]}
    return tuple(n for n in range(len(ds.shape)) if n not in taken)


def _results(
    ds: Any,
    found: Mapping[str, tuple[NDArray[np.float64], str]],
    meta: Mapping[str, Any],
) -> Quantities:
    """Make datasets of arrays that have the pixel axes, and NaN at pixels without a value."""
    on = stokes_of(ds, "inversion")[0]
    base = ds if on is None else ds[(slice(None),) * on + (0,)]
    axis = SpectralAxis.of(base)
    values = {}
    for name, (pixels, unit) in found.items():
        mask = ~np.isfinite(pixels)
        values[name] = Values(pixels, unit, name.replace("_", " "), mask if mask.any() else None)
    made = results_of(base, axis, values, meta=meta)
    for one in made.values():
        # Of all Stokes parameters, not of the one whose coordinates these are.
        one._past = f"{meta['method']} of {ds.lineage.source}"
    return made


def _check(record: Mapping[str, Any], ds: Any, place: str) -> None:
    shape = list(map(int, ds.shape))
    if record.get("shape") != shape:
        raise DatasetError(
            f"{place}: is of a region of shape {record.get('shape')}: expected that of this "
            f"dataset, {shape}. Select what was written: ds[...].read_sir(...)"
        )


# SIR ----------------------------------------------------------------------------------------------


def read_sir(
    ds: Any, directory: str | os.PathLike[str], *, model: str, log_tau: Any, progress: bool | None
) -> Quantities:
    """Read models of SIR or DeSIRe: see `Dataset.read_sir`."""
    from tqdm import tqdm

    place = target_of(directory, "directory")
    depths = np.atleast_1d(np.asarray(log_tau, float))
    if depths.ndim != 1 or not np.isfinite(depths).all() or not depths.size:
        raise DatasetError(f"read_sir: log_tau={log_tau!r}: expected a number, or several")
    try:
        with open(os.path.join(place, RECORD_FILE), encoding="utf-8") as file:
            record = json.load(file)
        with open(os.path.join(place, TABLE), encoding="utf-8") as file:
            _, places, names = parse_table(file.read())
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{place}: expected a directory that to_sir wrote, with {RECORD_FILE} and {TABLE}: "
            f"{error}"
        ) from error
    _check(record, ds, place)
    axes = _pixel_axes(ds)
    shape = tuple(ds.shape[axis] for axis in axes)
    constants = {"macroturbulence": "km / s", "filling_factor": "", "stray_light": "percent"}
    values = np.full((len(COLUMNS), len(depths), *shape), np.nan)
    constant = np.full((len(constants), *shape), np.nan)
    n_found = 0
    rows = zip(places.tolist(), names, strict=True)
    hidden = not shows_progress(progress)
    for at, name in tqdm(rows, total=len(names), unit="pixel", disable=hidden):
        path = _model_in(os.path.join(place, name), model)
        if path is None:
            continue
        try:
            with open(path, encoding="ascii") as file:
                read = parse_model(file.read())
        except ValueError as error:
            raise DatasetError(f"{path}: is not a model atmosphere: {error}") from None
        n_found += 1
        where = tuple(at)
        for k, depth in enumerate(depths):
            values[(slice(None), k, *where)] = read.at(float(depth))
        constant[(slice(None), *where)] = (
            read.macroturbulence, read.filling_factor, read.stray_light
        )  # fmt: skip
    if not n_found:
        raise DatasetError(
            f"{place}: no pixel has a file {model!r}: model= names the models that the code wrote, "
            "such as 'guess_3.mod'"
        )
    found: dict[str, tuple[NDArray[np.float64], str]] = {}
    for row, (quantity, (_, unit, _)) in enumerate(COLUMNS.items()):
        for k, depth in enumerate(depths):
            name = quantity if np.ndim(log_tau) == 0 else f"{quantity}_at_{depth:g}"
            found[name] = values[row, k], unit
    for row, (quantity, unit) in enumerate(constants.items()):
        found[quantity] = constant[row], unit
    meta = {
        "method": f"inversion with {record.get('code', 'sir')}", "model": model,
        "log_tau": ", ".join(f"{depth:g}" for depth in depths),
        "velocity": "positive: receding from the observer",
        "inclination": "from the line of sight, 0 towards the observer",
        "azimuth": str(record.get("azimuth")), "positive_q": str(record.get("positive_q")),
        "n_pixels_inverted": n_found,
    }  # fmt: skip
    return _results(ds, found, meta)


def _model_in(directory: str, model: str) -> str | None:
    """Find the model of a pixel; refuse several."""
    if not any(sign in model for sign in "*?["):
        path = os.path.join(directory, model)
        return path if os.path.isfile(path) else None
    try:
        names = sorted(fnmatch.filter(os.listdir(directory), model))
    except FileNotFoundError:
        return None
    if len(names) > 1:
        raise DatasetError(
            f"{directory}: {', '.join(names)} all are {model!r}: model= names one of them, such as "
            f"{names[-1]!r}"
        )
    return os.path.join(directory, names[0]) if names else None


# hazel --------------------------------------------------------------------------------------------


def read_hazel(
    ds: Any, path: str | os.PathLike[str], *, observations: str | os.PathLike[str], log_tau: Any,
    cycle: int, randomization: int,
) -> Quantities:  # fmt: skip
    """Read what hazel found: see `Dataset.read_hazel`."""
    import h5py

    from dkist_virtual.dataset.export.inversion.to_hazel import INDEX, RECORD

    source, written = target_of(path), target_of(observations, "observations")
    axes = _pixel_axes(ds)
    shape = tuple(ds.shape[axis] for axis in axes)
    try:
        with h5py.File(written, "r") as file:
            record, index = json.loads(file.attrs[RECORD]), file[INDEX][...]
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(f"{written}: expected a file that to_hazel wrote: {error}") from error
    _check(record, ds, written)
    found: dict[str, tuple[NDArray[np.float64], str]] = {}
    try:
        with h5py.File(source, "r") as file:
            for name, values, unit in _parameters(file, log_tau, cycle, randomization):
                if len(values) != len(index):
                    raise DatasetError(
                        f"{source}: has {len(values)} pixels of {name}: expected the "
                        f"{len(index)} of {written}"
                    )
                image = np.full(shape, np.nan)
                image[tuple(index.T)] = values
                found[name] = image, unit
    except OSError as error:
        raise DatasetError(f"{source}: expected an output of hazel: {error}") from error
    if not found:
        raise DatasetError(f"{source}: has no inverted quantity: expected an output of hazel")
    _leave_out_empty(found)
    meta = {
        "method": "inversion with hazel", "cycle": cycle, "randomization": randomization,
        "velocity": "positive: receding from the observer",
        "positive_q": str(record.get("positive_q")),
    }  # fmt: skip
    if log_tau is not None:
        meta["log_tau"] = float(log_tau)
    return _results(ds, found, meta)


def _parameters(
    file: Any, log_tau: Any, cycle: int, randomization: int
) -> Iterator[tuple[str, NDArray[np.float64], str]]:
    """Give each quantity of hazel's output: its name, its values (pixel,), its unit."""
    for group_name, group in file.items():
        depths = group["log_tau"][...] if "log_tau" in group else None
        for name, array in group.items():
            is_chi2 = name in ("chi2", "bic", "aic")
            if name not in UNITS and not is_chi2:
                continue
            values = array[:, randomization]  # (pixel, [cycle,] depth) or (pixel, cycle) of chi2
            if values.ndim == 3 or (is_chi2 and values.ndim == 2):
                values = values[:, cycle]
            if not is_chi2:
                values = _at(values, depths, log_tau, f"{group_name}_{name}")
            yield f"{group_name}_{name}", np.asarray(values, float), UNITS.get(name, "")


def _at(values: Any, depths: Any, log_tau: Any, name: str) -> Any:
    if values.shape[-1] == 1:
        return values[:, 0]
    if log_tau is None or depths is None:
        raise DatasetError(
            f"read_hazel: {name} has {values.shape[-1]} depths: log_tau=-1 chooses one"
        )
    order = np.argsort(depths)
    inside = depths.min() <= log_tau <= depths.max()
    if not inside:
        raise DatasetError(
            f"read_hazel: log_tau={log_tau:g}: expected {depths.min():g} to {depths.max():g}"
        )
    return np.array([np.interp(log_tau, depths[order], row[order]) for row in values])


def _leave_out_empty(found: dict[str, tuple[NDArray[np.float64], str]]) -> None:
    """Make NaN of the pixels that hazel left out: all of their quantities are zero."""
    empty = np.all([values == 0 for values, _ in found.values()], axis=0)
    for values, _ in found.values():
        values[empty] = np.nan
