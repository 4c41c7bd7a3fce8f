"""Names of other packages that they do not promise to keep: each is named here, and still there."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import numpy as np
from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS
from dkist.net.globus import auth
from gwcs.coordinate_frames import SpectralFrame
from matplotlib.figure import Figure
from ndcube import NDCube
from ndcube.wcs.wrappers import ResampledLowLevelWCS
from numba.core.caching import FunctionCache

import dkist_virtual

ROOT = Path(dkist_virtual.__file__).parent

# Of classes and modules: beside each use in the package a comment says why there is no other way.
NAMES = (
    "asdf.tagged.TaggedDict._tag",
    "astropy.modeling.Model._reset_parameters",
    "astropy.table.Table._base_repr_",
    "astropy.table.Table._new_from_slice",
    "astropy.table.pprint.TableFormatter._pformat_col_iter",
    "dask.array.Array._meta",
    "dkist.io.DKISTFileManager._fm",
    "dkist.io.dask.striped_array.FileManager._striped_external_array",
    "dkist.log",
    "dkist.net.attr_walker.walker",
    "dkist.net.client.DKISTQueryResponseTable._display_table",
    "dkist.net.globus.auth.CLIENT_ID",
    "dkist.net.globus.auth.SCOPES",
    "dkist.net.globus.auth.get_cache_contents",
    "dkist.net.globus.auth.save_auth_cache",
    "dkist.net.globus.endpoints.get_local_endpoint_id",
    "dkist.net.globus.endpoints.get_transfer_client",
    "dkist.net.globus.transfer.start_transfer_from_file_list",
    "dkist.net.globus.transfer.watch_transfer_progress",
    "dkist.utils.inventory.path_format_inventory",
    "dkist.wcs.models.BaseVaryingCelestialTransform._map_transform",
    "fsspec.asyn.AsyncFileSystem._cat_file",
    "fsspec.spec.AbstractFileSystem._strip_protocol",
    "ndcube.NDCube._new_instance",
    "ndcube.global_coords.GlobalCoords._convert_dropped_to_internal",
    "numba.core.caching.FunctionCache.flush",
    "numba.core.caching.FunctionCache.load_overload",
    "numba.core.caching.FunctionCache.save_overload",
    "numba.core.errors.WarningsFixer.catch_warnings",
    "numba.core.event.install_listener",
    "s3fs.S3FileSystem._call_s3",
    "sys._getframe",
    "zarr.abc.codec.ArrayBytesCodecPartialDecodeMixin._decode_partial_single",
    "zarr.abc.codec.BaseCodec._decode_single",
    "zarr.abc.codec.BaseCodec._encode_single",
    "zarr.core.array_spec.ArraySpec",
    "zarr.core.indexing.SelectorTuple",
)


def a_cube() -> NDCube:
    return NDCube(np.zeros((2, 3)), wcs=WCS(naxis=2))


def wcs_axes() -> Any:
    return Figure().add_subplot(projection=WCS(naxis=2))


def local_server() -> Any:
    server = auth.start_local_server()
    server.server_close()
    return server


def compiled_library() -> Any:
    function = numba.njit("int64()", no_cpython_wrapper=True, no_cfunc_wrapper=True)(lambda: 1)
    (compiled,) = function.overloads.values()
    assert compiled.fndesc.llvm_func_name
    return compiled.library


# Of objects, which have them once they are made.
ATTRIBUTES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "ndcube.NDCube": (
        a_cube,
        ("_data", "_extra_coords", "_global_coords", "_meta", "_uncertainty", "_unit"),
    ),
    "ndcube.visualization.mpl_plotter.MatplotlibPlotter": (
        lambda: a_cube().plotter,
        ("_ndcube",),
    ),
    "ndcube.ExtraCoords": (
        lambda: a_cube().extra_coords,
        ("_dropped_tables", "_lookup_tables", "_mapping", "_wcs"),
    ),
    "ndcube.GlobalCoords": (lambda: a_cube().global_coords, ("_internal_coords",)),
    "astropy.wcs.wcsapi.SlicedLowLevelWCS": (
        lambda: SlicedLowLevelWCS(WCS(naxis=2), 0),
        ("_slices_pixel", "_wcs"),
    ),
    "ndcube.wcs.wrappers.ResampledLowLevelWCS": (
        lambda: ResampledLowLevelWCS(WCS(naxis=2), 2),
        ("_factor", "_offset"),
    ),
    "astropy.visualization.wcsaxes.WCSAxes": (wcs_axes, ("_wcsaxesartist",)),
    "astropy.visualization.wcsaxes.CoordinateHelper": (
        lambda: wcs_axes().coords[0],
        ("_grid_lines_kwargs",),
    ),
    "matplotlib.axes.Axes": (
        lambda: Figure().add_subplot(),
        ("_left_title", "_right_title"),
    ),
    "gwcs.coordinate_frames.SpectralFrame": (
        lambda: SpectralFrame(unit=("nm",), axes_names=("wavelength",)),
        ("_axes_order",),
    ),
    "threading.Lock": (threading.Lock, ("_at_fork_reinit",)),
    "threading.RLock": (threading.RLock, ("_at_fork_reinit",)),
    "numba.njit": (lambda: numba.njit(lambda: 1), ("_cache", "targetoptions")),
    "numba.core.caching.FunctionCache": (
        lambda: FunctionCache(compiled_library),
        ("_cache_file", "_cache_path", "_impl"),
    ),
    "numba.core.codegen.CodeLibrary": (
        compiled_library,
        ("_final_module", "serialize_using_object_code"),
    ),
    "dkist.net.globus.auth.start_local_server": (local_server, ("_auth_code_queue",)),
}


def is_there(name: str) -> bool:
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: Any = import_module(".".join(parts[:n]))
        except ImportError:
            continue
        try:
            for part in parts[n:]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


def test_each_is_still_there() -> None:
    gone = [name for name in NAMES if not is_there(name)]
    for kind, (make, names) in ATTRIBUTES.items():
        thing = make()
        gone += [f"{kind}.{name}" for name in names if not hasattr(thing, name)]
    assert gone == []


def test_each_private_name_is_listed() -> None:
    used: dict[str, str] = {}
    own: set[str] = set()
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    own.add(name)
                case (
                    ast.AnnAssign(target=ast.Name(id=name))
                    | ast.Assign(targets=[ast.Name(id=name)])
                ):
                    own.add(name)
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                    own.add(name)
                case (
                    ast.Attribute(attr=name)
                    | ast.Call(
                        func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]
                    )
                ):
                    if name.startswith("_") and not name.endswith("__"):
                        used[name] = f"{path.relative_to(ROOT)}:{node.lineno}"
    # Of named tuples, whose documented names begin with one so that fields cannot be called so.
    listed = {"_asdict", "_fields", "_replace", *(name.rpartition(".")[2] for name in NAMES)}
    listed.update(*(names for _, names in ATTRIBUTES.values()))
    assert {name: where for name, where in used.items() if name not in own | listed} == {}
