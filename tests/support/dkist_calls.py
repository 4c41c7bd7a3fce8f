"""Calls that notebooks make with the ``dkist`` package, as a table: a row for each.

They are modelled on the documentation of dkist 1.18 (tutorial, topic guides, examples, reference)
and of ndcube as far as notebooks with DKIST data use it. Each row is run with both packages.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from plain_values import drawn

__all__ = ["CALLS", "DASK", "PLOTS", "Call", "Notebook"]


@dataclass
class Notebook:
    """What a cell of a notebook has at hand.

    Attributes
    ----------
    dk
        The package: ``dkist`` or ``dkist_virtual``.
    path
        The dataset's ASDF.
    tmp
        An empty directory.
    others
        Gives the ASDF of another dataset by its name.
    globus
        What answers for Globus, for calls that need it.
    """

    dk: Any
    path: Path
    tmp: Path
    others: Callable[[str], Path]
    globus: Any = None

    @cached_property
    def ds(self) -> Any:
        return self.dk.load_dataset(self.path)

    def load(self, name: str) -> Any:
        return self.dk.load_dataset(self.others(name))


@dataclass(frozen=True)
class Call:
    """A call that a notebook makes.

    Attributes
    ----------
    name
        What it does, in a few words.
    of
        The dataset: of `simulated.NAMES`, or one that the dkist package carries.
    do
        The call; what it returns is compared.
    right
        What it has to give where dkist does not: computed without either package.
    dkist
        Why dkist is not the oracle: what it gives instead.
    ours
        Why it does not run unchanged with this package; the documentation says what to write.
    quick
        Whether `make test` runs it.
    asks
        Whether it asks the Data Center or Globus: a server on this machine answers for them.
    tolerance
        By how much numbers may differ, relative to them: for sums of float32 in another order.
    """

    name: str
    of: str
    do: Callable[[Notebook], Any] = field(repr=False)
    right: Callable[[Notebook], Any] | None = field(default=None, repr=False)
    dkist: str = ""
    ours: str = ""
    quick: bool = False
    asks: bool = False
    tolerance: float = 0.0


def _pixels(n: Notebook) -> Any:
    """All frames of a dataset as astropy reads them, in the shape of the dataset."""
    from astropy.io import fits

    frames = [fits.getdata(n.path.parent / name) for name in n.ds.files.filenames]
    pixels = np.stack(frames).reshape(n.ds.shape)
    return pixels.astype(pixels.dtype.newbyteorder("="))


def _frames(n: Notebook, suffix: str = "*.fits") -> list[Any]:
    """The frames beside the ASDF in the order of their names, as astropy reads them."""
    from astropy.io import fits

    found = []
    for path in sorted(n.path.parent.glob(suffix)):
        with fits.open(path) as hdus:
            hdu = next(hdu for hdu in hdus if hdu.data is not None)
            found.append(np.squeeze(hdu.data).astype(hdu.data.dtype.newbyteorder("=")))
    return found


# Loading ------------------------------------------------------------------------------------


def _from_home(n: Notebook) -> Any:
    from unittest import mock

    (n.tmp / "sunpy").symlink_to(n.path.parent)
    with mock.patch.dict("os.environ", HOME=str(n.tmp)):
        return n.dk.load_dataset("~/sunpy/" + n.path.name)


def _fetched(n: Notebook) -> Any:
    from parfive import Results

    return n.dk.load_dataset(Results([str(n.path)]))


def _two_fetched(n: Notebook) -> Any:
    from parfive import Results

    return n.dk.load_dataset(Results([str(n.path), str(n.others("visp_plain"))]))


def _with_an_older_asdf(n: Notebook) -> Any:
    newer = n.tmp / "VISP_L1_20240102T030405_SIMZZ_metadata.asdf"
    older = n.tmp / "VISP_L1_20240102T030405_SIMZZ_user_tools.asdf"
    newer.symlink_to(n.path)
    older.symlink_to(n.others("visp_plain"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ds = n.dk.load_dataset(n.tmp)
    return [ds.shape, any("user_tools" in str(each.message) for each in told)]


LOADING = (
    Call("load: a path as text", "visp", lambda n: n.dk.load_dataset(str(n.path))),
    Call("load: a Path", "eit", lambda n: n.dk.load_dataset(n.path)),
    Call("load: a directory", "visp", lambda n: n.dk.load_dataset(str(n.path.parent))),
    Call("load: a directory, as a Path", "small_visp",
         lambda n: n.dk.load_dataset(n.path.parent)),
    Call("load: a path below ~", "visp", _from_home),
    Call("load: a list of one path", "visp", lambda n: n.dk.load_dataset([n.path]), quick=True),
    Call("load: a tuple of two paths", "visp",
         lambda n: n.dk.load_dataset((str(n.path), n.others("vbi_mosaic")))),
    Call("load: what Fido.fetch returns", "visp", _fetched),
    Call("load: what Fido.fetch returns of two datasets", "visp", _two_fetched),
    Call("load: a mosaic", "vbi_mosaic", lambda n: n.dk.load_dataset(n.path.parent)),
    Call("load: ignore_version_mismatch=True", "visp",
         lambda n: n.dk.load_dataset(n.path, ignore_version_mismatch=True)),
    Call("load: a directory with an older ASDF", "visp", _with_an_older_asdf),
    Call("load: Dataset.from_asdf", "visp", lambda n: n.dk.Dataset.from_asdf(n.path)),
    Call("load: Dataset.from_asdf of a mosaic", "vbi_mosaic",
         lambda n: n.dk.Dataset.from_asdf(n.path)),
    Call("load: Dataset.from_directory", "visp",
         lambda n: n.dk.Dataset.from_directory(str(n.path.parent))),
)  # fmt: skip


# Printing -----------------------------------------------------------------------------------


def _named(text: str, ds: Any) -> dict[str, bool]:
    """Which facts about a dataset a text has."""
    facts = [
        ds.inventory["datasetId"],
        ds.inventory["productId"],
        ds.inventory["instrumentName"],
        str(ds.shape),
        *map(str, ds.wcs.pixel_axis_names),
        *map(str, ds.wcs.low_level_wcs.world_axis_names),
        *map(str, ds.wcs.world_axis_physical_types),
    ]
    words = " ".join(text.split())
    return {fact: fact in words for fact in facts}


def _printed(n: Notebook) -> Any:
    return _named(str(n.ds), n.ds)


def _shown(n: Notebook) -> Any:
    return _named(repr(n.ds), n.ds)


def _mosaic_printed(n: Notebook) -> Any:
    text = repr(n.ds)
    return [fact in text for fact in ("VBI", "SIM004", "L1-SIM004", "12", "(3, 48, 48)")]


def _files_printed(n: Notebook) -> Any:
    text = repr(n.ds[0, 1].files) + str(n.ds.files)
    return ["1" in text, "16" in text, str(n.path.parent) in text]


def _axes_printed(n: Notebook) -> Any:
    return [
        f"{name}: {length}"
        for name, length in zip(n.ds.wcs.pixel_axis_names[::-1], n.ds.shape, strict=True)
    ]


PRINTING = (
    Call("print a dataset", "visp", _printed),
    Call("show a dataset in a cell", "visp", _shown),
    Call("show a mosaic in a cell", "vbi_mosaic", _mosaic_printed),
    Call("print the files", "visp", _files_printed,
         right=lambda n: [True, True, True]),
    Call("print names and lengths of the axes", "visp", _axes_printed),
)  # fmt: skip


# Slicing ------------------------------------------------------------------------------------


def _all_of(ds: Any) -> Any:
    """Pixels, coordinates, headers and file names."""
    return [ds, ds.headers, list(ds.files.filenames)]


def _pixels_and_headers(ds: Any) -> Any:
    return [ds, ds.headers]


SLICING = (
    Call("ds[0]: one Stokes parameter", "visp", lambda n: _all_of(n.ds[0])),
    Call("ds[0, :, 20]: a scan", "visp", lambda n: _all_of(n.ds[0, :, 20])),
    Call("ds[0, 1:3, :, 10:-10]: a feature", "visp", lambda n: _all_of(n.ds[0, 1:3, :, 10:-10]),
         quick=True),
    Call("ds[..., :32]", "visp", lambda n: _all_of(n.ds[..., :32])),
    Call("ds[:, 0]", "visp", lambda n: _all_of(n.ds[:, 0])),
    Call("ds[2:5, 20:40] of EIT", "eit", lambda n: n.ds[2:5, 20:40]),
    Call("ds[1, 2, 0] of VTF", "vtf", lambda n: _all_of(n.ds[1, 1, 0])),
    Call("slice of a slice", "visp", lambda n: _pixels_and_headers(n.ds[1][2:, 5:30][:, :, 3:])),
    Call("files of a slice of a slice", "visp",
         lambda n: list(n.ds[1][2:, 5:30][:, :, 3:].files.filenames),
         dkist="lists files of the whole dataset",
         right=lambda n: ["visp_0006.fits", "visp_0007.fits"]),
    Call("shape", "visp", lambda n: [n.ds.shape, n.ds[0].shape, n.ds.data.ndim]),
    Call("array_axis_physical_types", "visp",
         lambda n: [sorted(map(str, each)) for each in n.ds.array_axis_physical_types]),
    Call("global_coords of a scan", "visp",
         lambda n: {name: n.ds[0, 1, 20].global_coords[name] for name in ("stokes", "time")}),
    Call("global_coords: the wavelength", "visp",
         lambda n: n.ds[0, :, 20].global_coords["wavelength"].to("nm")),
)  # fmt: skip


# Headers and inventory ----------------------------------------------------------------------


def _headers_plotted(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    plt.plot(n.ds[0].headers["ATMOS_R0"])
    return plt.gcf()


def _pointing_plotted(n: Notebook) -> Any:
    import astropy.units as u
    import matplotlib.pyplot as plt
    from astropy.visualization import quantity_support

    fig, ax = plt.subplots()
    times = n.ds[0].axis_world_coords("time")[0]
    since = (times - times[0]).to_value(u.s)
    headers = n.ds[0].headers
    with quantity_support():
        points = ax.scatter(headers["TAZIMUTH"] * u.deg, headers["ELEV_ANG"] * u.deg, c=since)
    fig.colorbar(points, label="Time since the start of the scan [s]")
    fig.canvas.draw()
    return [np.asarray(points.get_offsets()), np.asarray(points.get_array())]


def _good_seeing(n: Notebook) -> Any:
    headers = n.ds.headers
    good = headers["ATMOS_R0"] > 0.08
    return headers[good]["DATE-AVG", "ATMOS_R0"]


def _header_of_a_frame(n: Notebook) -> Any:
    row = n.ds[2, 1].headers[0]
    return {key: row[key] for key in ("DATE-AVG", "INSTRUME", "LINEWAV", "XPOSURE")}


HEADERS = (
    Call("headers", "visp", lambda n: n.ds.headers),
    Call("headers[column]", "visp", lambda n: n.ds.headers["DATE-AVG"]),
    Call("headers[:5]", "visp", lambda n: n.ds.headers[:5]),
    Call("headers of a selection", "visp", lambda n: n.ds[:, 0].headers),
    Call("headers.keys()", "visp", lambda n: list(n.ds.headers.keys())),
    Call("headers by a mask", "visp", _good_seeing),
    Call("the header of a frame", "visp", _header_of_a_frame),
    Call("headers to pandas", "visp",
         lambda n: n.ds.headers["DATE-AVG", "ATMOS_R0"].to_pandas().to_dict("list")),
    Call("headers in a plot", "visp", _headers_plotted),
    Call("pointing in a scatter plot", "visp", _pointing_plotted),
    Call("headers of a dataset without frames", "croppable_visp",
         lambda n: n.ds[1].headers["DATE-AVG", "LINEWAV"]),
    Call("inventory", "visp", lambda n: n.ds.inventory),
    Call("meta['inventory']", "visp", lambda n: n.ds.meta["inventory"]["headerDocumentationUrl"]),
    Call("meta: keys about quality", "visp",
         lambda n: {k: v for k, v in n.ds.meta["inventory"].items() if k.startswith("quality")}),
    Call("meta['headers']", "visp", lambda n: n.ds.meta["headers"]["DATE-BEG"]),
    Call("meta['history']", "visp", lambda n: sorted(n.ds.meta["history"])),
    Call("the ID of the preview movie", "croppable_visp",
         lambda n: n.ds.inventory["browseMovieObjectKey"].split("/")[-1]),
    Call("unit", "visp", lambda n: [n.ds.unit, f"{n.ds.unit:latex}"]),
)  # fmt: skip


# Files --------------------------------------------------------------------------------------


def _moved(n: Notebook) -> Any:
    """Read the frames from another directory."""
    (n.tmp / "frames").symlink_to(n.path.parent)
    (n.tmp / "asdf").mkdir()
    alone = n.tmp / "asdf" / n.path.name
    alone.write_bytes(n.path.read_bytes())
    ds = n.dk.load_dataset(alone)
    ds.files.basepath = n.tmp / "frames"
    return [ds[0, 1], str(Path(ds.files.basepath).resolve())]


def _moved_slice(n: Notebook) -> Any:
    """Set the directory of a selection, as a text."""
    (n.tmp / "asdf").mkdir()
    alone = n.tmp / "asdf" / n.path.name
    alone.write_bytes(n.path.read_bytes())
    small = n.dk.load_dataset(alone)[1, 2:]
    small.files.basepath = str(n.path.parent)
    return small.data


FILES = (
    Call("files.filenames", "visp", lambda n: n.ds.files.filenames),
    Call("files.basepath", "visp", lambda n: n.ds.files.basepath),
    Call("files.basepath = a directory", "visp", _moved),
    Call("files.basepath = text, of a selection", "visp", _moved_slice),
    Call("files.fileuri_array", "visp", lambda n: n.ds.files.fileuri_array),
    Call("files.fileuri_array of a selection", "visp", lambda n: n.ds[0, 1:].files.fileuri_array),
    Call("files.fileuri_array of a mosaic", "vbi_mosaic", lambda n: n.ds.files.fileuri_array),
    Call("files.shape and output_shape", "visp",
         lambda n: [n.ds.files.shape, n.ds.files.output_shape]),
    Call("files of a scan", "visp", lambda n: list(n.ds[0, :, 20].files.filenames)),
    Call("files of a feature", "visp", lambda n: list(n.ds[0, 1:3, :, 10:-10].files.filenames)),
    Call("len(files)", "visp", lambda n: len(n.ds.files)),
    Call("files of a mosaic", "vbi_mosaic",
         lambda n: [n.ds.files.basepath, n.ds.files.filenames, len(n.ds.files)]),
)  # fmt: skip


# Selecting by coordinates -------------------------------------------------------------------


def _corner(n: Notebook, *index: Any) -> Any:
    """World coordinates in the order in which ndcube wants them."""
    world = n.ds.wcs.array_index_to_world(*index)
    components = n.ds.wcs.low_level_wcs.world_axis_object_components
    kinds = list(dict.fromkeys(component[0] for component in components))
    return [world[kinds.index(kind)] for kind in n.ds.wcs.low_level_wcs.world_axis_object_classes]


def _crop_all(n: Notebook) -> Any:
    return n.ds.crop(_corner(n, 0, 1, 10, 20), _corner(n, 2, 2, 20, 40))


def _crop_as_given(n: Notebook) -> Any:
    wcs = n.ds.wcs
    low, high = wcs.array_index_to_world(0, 1, 10, 20), wcs.array_index_to_world(2, 2, 20, 40)
    return n.ds.crop(low, high).data


def _crop_stokes(n: Notebook) -> Any:
    from astropy.coordinates import StokesCoord

    ds = n.ds
    nothing = [None] * len(ds.wcs.world_axis_object_classes)
    place = list(ds.wcs.low_level_wcs.world_axis_object_classes).index("stokes")
    low, high = list(nothing), list(nothing)
    low[place], high[place] = StokesCoord("I"), StokesCoord("Q")
    return ds.crop(low, high).shape


def _crop_by_values(n: Notebook) -> Any:
    import astropy.units as u

    low, high = [None] * 5, [None] * 5
    values = n.ds.wcs.low_level_wcs.pixel_to_world_values([0, 0], [10, 20], [0, 0], [0, 0])
    low[1], high[1] = values[1] * u.nm
    return n.ds[0].crop_by_values(low[:4], high[:4])


def _crop_keepdims(n: Notebook) -> Any:
    return n.ds.crop(_corner(n, 1, 1, 10, 20), _corner(n, 1, 2, 20, 40), keepdims=True)


def _crop_croppable(n: Notebook) -> Any:
    return n.ds.crop(_corner(n, 0, 100, 200, 300), _corner(n, 2, 110, 220, 340)).shape


def _crop_mosaic_tile(n: Notebook) -> Any:
    tile = n.ds[0, 0]
    return tile.crop(
        tile.wcs.array_index_to_world(0, 5, 6), tile.wcs.array_index_to_world(1, 20, 30)
    )


CROPPING = (
    Call("crop between two points", "visp", _crop_all),
    Call("crop between what array_index_to_world returns", "visp", _crop_as_given,
         dkist="raises TypeError: ndcube wants the coordinates in another order",
         right=lambda n: _pixels(n)[0:3, 1:3, 10:21, 20:41]),
    Call("crop with None for other coordinates", "croppable_visp", _crop_stokes),
    Call("crop, keepdims=True", "visp", _crop_keepdims),
    Call("crop of real coordinates", "croppable_visp", _crop_croppable),
    Call("crop of a tile", "vbi_mosaic", _crop_mosaic_tile),
    Call("crop_by_values", "visp", _crop_by_values),
)  # fmt: skip


# World coordinates --------------------------------------------------------------------------


def _there_and_back(n: Notebook) -> Any:
    world = n.ds.wcs.pixel_to_world(30, 20, 2, 0)
    return [
        [round(float(each), 6) for each in n.ds.wcs.world_to_pixel(*world)],
        [int(each) for each in n.ds.wcs.world_to_array_index(*world)],
    ]


def _slit_on_the_sky(n: Notebook) -> Any:
    slit, times = n.ds[0, :, 0].axis_world_coords()
    return [slit, times, (times - times[0]).to_value("s")]


def _corners_of_the_field(n: Notebook) -> Any:
    spatial = n.ds[0, :, 0, :]
    shape = spatial.data.shape
    return spatial.wcs.array_index_to_world([0, shape[0] - 0.5], [0, shape[1] - 0.5])


def _pixel_size(n: Notebook) -> Any:
    space = n.ds[0, :2, 0, :2].axis_world_coords()[0]
    return [np.abs(space[1, 0].Tx - space[0, 0].Tx), np.abs(space[0, 1].Ty - space[0, 0].Ty)]


WORLD = (
    Call("wcs.pixel_to_world", "visp", lambda n: n.ds.wcs.pixel_to_world(30, 20, 2, 0),
         ),
    Call("wcs.array_index_to_world", "visp",
         lambda n: n.ds.wcs.array_index_to_world(0, 2, 20, 30)),
    Call("there and back", "visp", _there_and_back),
    Call("wcs.pixel_to_world_values", "visp",
         lambda n: list(n.ds.wcs.low_level_wcs.pixel_to_world_values(9, 5, 1, 2))),
    Call("wcs: physical types, units, names", "visp",
         lambda n: [n.ds.wcs.world_axis_physical_types, n.ds.wcs.world_axis_units,
                    n.ds.wcs.pixel_axis_names, n.ds.wcs.axis_correlation_matrix]),
    Call("axis_world_coords()", "visp", lambda n: n.ds[0].axis_world_coords()),
    Call("axis_world_coords('time')", "visp", lambda n: n.ds.axis_world_coords("time")),
    Call("axis_world_coords_values", "visp",
         lambda n: list(n.ds[0, :, :, 3].axis_world_coords_values("em.wl"))),
    Call("the slit on the sky", "visp", _slit_on_the_sky),
    Call("corners of the field", "visp", _corners_of_the_field),
    Call("the size of a pixel", "visp", _pixel_size),
    Call("coordinates in another frame", "visp",
         lambda n: n.ds.wcs.pixel_to_world(3, 2, 2, 0)[0].transform_to("heliographic_stonyhurst")),
    Call("times of the tiles", "vbi_mosaic",
         lambda n: [tile.global_coords["time"] for tile in n.ds.slice_tiles[0].flat]),
    Call("combined_wcs", "visp",
         lambda n: list(n.ds[0, 1].combined_wcs.low_level_wcs.pixel_to_world_values(3, 4))),
)  # fmt: skip


# dask and numpy -----------------------------------------------------------------------------


def _framewise(n: Notebook) -> Any:
    if n.dk.__name__ == "dkist":
        return n.ds
    return n.dk.load_dataset(n.path, chunks="frame")


def _line_core(n: Notebook) -> Any:
    spectrum = n.ds[0, 0].data.sum(axis=(1, 2))
    world = n.ds[0, 0].wcs.pixel_to_world(0, 0, int(spectrum.argmin()))
    return [each for each in world if type(each).__name__ == "SpectralCoord"]


def _spectrum_plotted(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    plt.plot(n.ds[0, 0].data.max(axis=(1, 2)))
    return plt.gcf()


def _flipped(n: Notebook) -> Any:
    ds = n.ds
    ds.data = ds.data[:, ::-1, :]
    return [ds.data, ds[0].data]


def _on_a_cluster(n: Notebook) -> Any:
    from dask.distributed import Client

    with Client(n_workers=1, threads_per_worker=2, dashboard_address=None, processes=False):
        return n.ds[0].data.max(axis=(0, 2)).compute()


def _norm(n: Notebook) -> Any:
    vmin, vmax = np.nanpercentile(n.ds[0].data, [1, 99])
    return [float(vmin), float(vmax)]


def _fitted(n: Notebook) -> Any:
    import dask.array as da

    cube = n.ds[0, 0].data.rechunk((-1, -1, 16))
    return da.map_blocks(lambda block: block - block[:1], cube)


def _tiles_stacked(n: Notebook) -> Any:
    import dask.array as da

    return da.stack([tile.data for tile in n.ds.flat])


def _tile_difference(n: Notebook) -> Any:
    return n.ds[0, 0].data - n.ds[1, 1].data


def _two_at_once(n: Notebook) -> Any:
    import dask

    other = n.load("vbi_mosaic_twin")
    return list(dask.compute(n.ds[0, 0].data, other[0, 1].data))


def _of_tile(n: Notebook, i: int, j: int) -> Any:
    from astropy.io import fits

    names = n.ds[i, j].files.filenames
    return np.stack([fits.getdata(n.path.parent / name, 1) for name in names])


SAME_NAME = "all its dask arrays have the name load_files, so that other pixels are read"

DASK = (
    Call("data.mean().compute()", "eit", lambda n: n.ds.data.mean().compute()),
    Call("ds[0].data.sum(axis=...)", "vtf", lambda n: n.ds[0].data.sum(axis=(0, 2)),
         tolerance=1e-6),
    Call("ds[0].data.mean(axis=0) with chunks as dkist's", "vtf",
         lambda n: _framewise(n)[0].data.mean(axis=0)),
    Call("data[0, :, :, :20]", "visp", lambda n: n.ds.data[0, :, :, :20]),
    Call("the wavelength of the line core", "vtf", _line_core),
    Call("plt.plot of a dask array", "vtf", _spectrum_plotted),
    Call("rechunk and map_blocks", "vtf", _fitted),
    Call("data.persist()", "eit", lambda n: n.ds.data[:3].persist()),
    Call("np.nanpercentile of dask pixels", "eit", _norm),
    Call("np.asarray(ds.data)", "eit", lambda n: np.asarray(n.ds[1].data)),
    Call("ds.data = turned pixels", "eit", _flipped),
    Call("on a cluster", "vtf", _on_a_cluster),
    Call("da.stack of tiles", "vbi_mosaic", _tiles_stacked, dkist=SAME_NAME, quick=True,
         right=lambda n: np.stack([_of_tile(n, i, j) for i in (0, 1) for j in (0, 1)])),
    Call("the difference of two tiles", "vbi_mosaic", _tile_difference, dkist=SAME_NAME,
         right=lambda n: _of_tile(n, 0, 0) - _of_tile(n, 1, 1)),
)  # fmt: skip


def _shown_as_image(image: Any) -> Any:
    import matplotlib.pyplot as plt

    plt.imshow(image)
    return drawn(plt.gcf())


def _clipped(n: Notebook) -> Any:
    unit = n.ds.unit
    return np.asarray(np.clip(n.ds[1], 800 * unit, 900 * unit).data)


OBJECT = "np.asarray(dataset) is an array of one object"

NUMPY = (
    Call("np.asarray(ds)", "eit", lambda n: np.asarray(n.ds[1:3]), dkist=OBJECT,
         right=lambda n: np.stack(_frames(n)[1:3]).astype(float)),
    Call("np.clip", "eit", _clipped, dkist=OBJECT,
         right=lambda n: np.clip(_frames(n)[1].astype(float), 800, 900)),
    Call("np.mean of a dataset's pixels", "eit", lambda n: np.mean(n.ds[1].data).compute()),
    Call("plt.imshow(ds)", "eit", lambda n: _shown_as_image(n.ds[0]), dkist=OBJECT,
         right=lambda n: [{"images": [_frames(n)[0].astype(float)], "lines": []}]),
)  # fmt: skip


# ndcube -------------------------------------------------------------------------------------


RECURSION = "raises RecursionError for a slice: it copies extra_coords, and so its file manager"


def _quantity(n: Notebook, index: Any = ()) -> Any:
    """The pixels as astropy reads them from the frames, with their unit."""
    import astropy.units as u

    return u.Quantity(_pixels(n)[index], n.ds.unit, dtype=np.float32)


def _pixels_and_unit(ds: Any) -> Any:
    return [np.asarray(ds.data), ds.unit]


def _sign(n: Notebook, operation: Callable[[Any], Any], index: Any = (0, 1)) -> Any:
    return _pixels_and_unit(operation(n.ds[index]))


def _right(operation: Callable[[Any], Any], index: Any = (0, 1)) -> Callable[[Notebook], Any]:
    def right(n: Notebook) -> Any:
        result = operation(_quantity(n, index))
        return [result.value, result.unit]

    return right


def _arithmetic(name: str, operation: Callable[[Any], Any], **how: Any) -> Call:
    return Call(
        name,
        "vtf",
        lambda n: _sign(n, operation),
        right=_right(operation),
        dkist=RECURSION,
        **how,
    )


def _mean_subtracted(n: Notebook) -> Any:
    ds = n.ds[0, 0]
    mean = ds.rebin((-1, 1, 1), function=np.mean).squeeze()
    return _pixels_and_unit(ds - (mean.data * mean.unit)[None])


def _mean_subtracted_right(n: Notebook) -> Any:
    pixels = _pixels(n)[0, 0]
    return [pixels - pixels.mean(axis=0), n.ds.unit]


def _sequence(n: Notebook) -> Any:
    from ndcube import NDCubeSequence

    sequence = NDCubeSequence([n.ds[0], n.ds[1]], common_axis=0)
    part = sequence.index_as_cube[1:6]
    return [list(sequence.shape), list(sequence.cube_like_shape), list(part.data)]


def _collection(n: Notebook) -> Any:
    from ndcube import NDCollection

    both = NDCollection([("I", n.ds[0]), ("V", n.ds[3])], aligned_axes=(0, 1, 2))
    part = both[1:3, 5:9]
    return [list(part.keys()), part["V"], [int(each) for each in part.aligned_dimensions]]


def _exploded(n: Notebook) -> Any:
    parts = n.ds[0].explode_along_axis(0)
    return [type(parts).__name__, len(parts.data), parts.data[2]]


def _target_of(tile: Any) -> Any:
    """A WCS with pixels twice as large, around the middle of a tile."""
    from astropy.wcs import WCS

    centre = tile.wcs.pixel_to_world(24, 24)
    target = WCS(naxis=2)
    target.wcs.ctype = "HPLN-TAN", "HPLT-TAN"
    target.wcs.cunit = "arcsec", "arcsec"
    target.wcs.crval = centre.Tx.to_value("arcsec"), centre.Ty.to_value("arcsec")
    step = tile.wcs.pixel_to_world([24, 25], [24, 24])
    target.wcs.cdelt = [float(abs(step[1].Tx - step[0].Tx).to_value("arcsec")) * 2] * 2
    target.wcs.crpix = 10, 10
    target.wcs.dateobs = centre.obstime.isot
    target.wcs.aux.hgln_obs, target.wcs.aux.hglt_obs = 0.0, 0.0
    target.wcs.aux.dsun_obs = centre.observer.radius.to_value("m")
    return target


def _reprojected(n: Notebook) -> Any:
    tile = n.ds[0, 0][0]
    return np.asarray(tile.reproject_to(_target_of(tile), shape_out=(20, 20)).data)


def _reprojected_right(n: Notebook) -> Any:
    from reproject import reproject_interp

    tile = n.ds[0, 0][0]
    return reproject_interp(
        (_of_tile(n, 0, 0)[0], tile.wcs), _target_of(tile), shape_out=(20, 20),
        return_footprint=False,
    )  # fmt: skip


def _extra(n: Notebook) -> Any:
    import astropy.units as u

    ds = n.ds[0]
    ds.extra_coords.add("exposure", 0, np.arange(ds.shape[0]) * u.s)
    ds.global_coords.add("sample", "custom:count", 5 * u.pix)
    part = ds[1:3]
    return [
        [np.asarray(each) for each in part.axis_world_coords_values(wcs=part.extra_coords)],
        part.global_coords["sample"],
    ]


def _mask_set(n: Notebook) -> Any:
    ds = n.ds[0]
    ds.mask = np.asarray(ds.data > 900)
    return [np.asarray(ds[1:3].mask), np.asarray(ds.mask)]


def _filled(n: Notebook) -> Any:
    ds = n.ds[0]
    ds.mask = np.asarray(ds.data > 900)
    return np.asarray(ds.fill_masked(0.0).data)


def _filled_right(n: Notebook) -> Any:
    pixels = _pixels(n)[0]
    return np.where(pixels > 900, np.float32(0), pixels)


def _uncertain(n: Notebook) -> Any:
    from astropy.nddata import StdDevUncertainty

    ds = n.ds[0, 0]
    ds.uncertainty = StdDevUncertainty(np.asarray(ds.data) / 4)
    return np.asarray((ds * 2).uncertainty.array)


def _in_an_ndcube(n: Notebook) -> Any:
    from ndcube import NDCube

    image = n.ds[0]
    cube = NDCube(np.asarray(image.data) - 100, wcs=image.wcs, unit=image.unit)
    return cube[10:20]


def _copied(n: Notebook) -> Any:
    import copy

    return np.asarray(copy.deepcopy(n.ds[0, 1]).data)


def _pickled(n: Notebook) -> Any:
    import pickle

    return np.asarray(pickle.loads(pickle.dumps(n.ds[0, 1])).data)


NDCUBE = (
    Call("rebin((1, 1, 4, 1))", "vtf", lambda n: n.ds[0].rebin((1, 1, 3, 4))),
    Call("rebin, function=np.sum, and squeeze", "visp",
         lambda n: np.asarray(n.ds[1].rebin((-1, -1, 1), function=np.sum).squeeze().data),
         tolerance=1e-6),
    Call("rebin, operation=np.max", "vtf",
         lambda n: n.ds[0].rebin((1, 1, 2, 4), operation=np.max)),
    Call("subtract the mean spectrum", "vtf", _mean_subtracted, dkist=RECURSION,
         right=_mean_subtracted_right, tolerance=1e-4),
    Call("squeeze()", "visp", lambda n: _pixels_and_unit(n.ds[:, :, 5:6].squeeze())),
    Call("squeeze() along the frames", "visp", lambda n: n.ds[0:1, 1:2].squeeze().data,
         dkist="raises IndexError, from its headers", right=lambda n: _pixels(n)[0, 1]),
    Call("explode_along_axis", "visp", _exploded),
    Call("NDCubeSequence", "visp", _sequence),
    Call("NDCollection", "visp", _collection),
    Call("reproject_to", "vbi_mosaic", _reprojected, dkist=RECURSION, right=_reprojected_right),
    Call("extra_coords and global_coords", "eit", _extra),
    Call("ds.mask = ...", "eit", _mask_set),
    Call("fill_masked", "vtf", _filled, dkist=RECURSION, right=_filled_right),
    Call("uncertainty", "vtf", _uncertain, dkist=RECURSION,
         right=lambda n: _pixels(n)[0, 0] / 4 * 2),
    Call("an NDCube with the dataset's wcs", "eit", _in_an_ndcube),
    Call("copy.deepcopy", "visp", _copied, dkist=RECURSION, right=lambda n: _pixels(n)[0, 1]),
    Call("pickle", "visp", _pickled, dkist=RECURSION, right=lambda n: _pixels(n)[0, 1]),
    _arithmetic("ds * 2", lambda x: x * 2, quick=True),
    _arithmetic("ds - a quantity", lambda x: x - 5 * x.unit),
    _arithmetic("ds / an array", lambda x: x / np.linspace(1, 2, x.shape[-1])),
    _arithmetic("ds ** 2", lambda x: x**2),
    _arithmetic("-ds", lambda x: -x),
    _arithmetic("ds.to('kct')", lambda x: x.to("kct")),
    Call("arithmetic of a whole dataset", "eit",
         lambda n: [np.asarray((n.ds * 2).data), np.asarray((n.ds**2).data), (-n.ds).shape]),
    Call("ds + the pixels of another", "vtf",
         lambda n: _pixels_and_unit(n.ds[0] + n.ds[1].data * n.ds.unit), dkist=RECURSION,
         right=lambda n: [_pixels(n)[0] + _pixels(n)[1], n.ds.unit]),
    Call("ds.to_nddata()", "eit", lambda n: [np.asarray(n.ds[0].to_nddata().data)]),
    Call("ds.quantity", "eit", lambda n: np.asarray(n.ds[0].quantity.value)),
)  # fmt: skip


# Mosaics ------------------------------------------------------------------------------------


def _hidden(n: Notebook) -> Any:
    tds = n.ds
    tds.mask = [[False, True], [False, False]]
    return [len(tds.flat), [list(tile.headers["DATE-AVG"]) for tile in tds.flat]]


def _by_rows(n: Notebook) -> Any:
    return [tile[0].headers["DATE-AVG"] for row in n.ds for tile in row]


def _coadded(n: Notebook) -> Any:
    import astropy.units as u
    from reproject import reproject_interp
    from reproject.mosaicking import find_optimal_celestial_wcs, reproject_and_coadd

    tiles = n.ds.slice_tiles[0, 4:-4, 4:-4]
    target, shape = find_optimal_celestial_wcs(
        [tile.wcs for tile in tiles.flat], resolution=1 * u.arcsec
    )
    pixels, footprint = reproject_and_coadd(
        tiles.flat,
        target,
        reproject_function=reproject_interp,
        shape_out=shape,
        roundtrip_coords=False,
    )
    return [pixels, footprint]


TILES = (
    Call("tds.shape and tiles_shape", "vbi_mosaic",
         lambda n: [n.ds.shape, [list(row) for row in n.ds.tiles_shape]]),
    Call("tds[0, 1]", "vbi_mosaic", lambda n: _all_of(n.ds[0, 1])),
    Call("tds.flat[0]", "vbi_mosaic", lambda n: n.ds.flat[0]),
    Call("for tile in tds.flat", "vbi_mosaic",
         lambda n: [tile.headers["DATE-AVG"] for tile in n.ds.flat]),
    Call("for row in tds, for tile in row", "vbi_mosaic", _by_rows),
    Call("slice_tiles[0]", "vbi_mosaic", lambda n: n.ds.slice_tiles[0]),
    Call("slice_tiles[:, 4:-4, 4:-4]", "vbi_mosaic", lambda n: n.ds.slice_tiles[:, 4:-4, 4:-4]),
    Call("tds.mask = ...", "vbi_mosaic", _hidden),
    Call("tds.combined_headers", "vbi_mosaic", lambda n: n.ds.combined_headers),
    Call("tds.inventory", "vbi_mosaic", lambda n: n.ds.inventory),
    Call("tds.meta", "vbi_mosaic", lambda n: n.ds.meta["inventory"]["datasetId"]),
    Call("tds[0], a row of tiles", "vbi_mosaic", lambda n: n.ds[0]),
    Call("reproject_and_coadd of tiles", "vbi_mosaic", _coadded),
)  # fmt: skip


# Plots --------------------------------------------------------------------------------------


def _figure() -> Any:
    import matplotlib.pyplot as plt

    return plt.figure()


def _animated(n: Notebook) -> Any:
    fig = _figure()
    n.ds.plot(fig=fig)
    return drawn(fig)


def _raster_map(n: Notebook) -> Any:
    fig = _figure()
    n.ds[0, :, :, 5:-5].plot(fig=fig, plot_axes=["y", None, "x"])
    return drawn(fig)


def _spectra(n: Notebook) -> Any:
    fig = _figure()
    n.ds.plot(fig=fig, plot_axes=[None, None, "x", None])
    return drawn(fig)


def _line(n: Notebook) -> Any:
    _figure()
    ax = n.ds[0, 0, :, 0].plot()
    return [drawn(ax.figure)]


def _three_lines(n: Notebook) -> Any:
    _figure()
    ds = n.ds[..., :60]
    ax = ds[0, 2, :, 40].plot()
    ds.rebin((1, 1, 1, 4))[0, 2, :, 10].plot(axes=ax, linestyle="--")
    ds.rebin((1, 2, 1, 10))[0, 1, :, 4].plot(axes=ax, linestyle=":")
    return [drawn(ax.figure), [line.get_linestyle() for line in ax.get_lines()]]


def _grid_and_bar(n: Notebook) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.colors import PowerNorm

    fig = plt.figure(layout="constrained")
    vmin, vmax = np.nanpercentile(n.ds[0].data, [1, 99])
    ax = n.ds[0].plot(norm=PowerNorm(0.3, vmin=vmin, vmax=vmax))
    ax.coords.grid(color="white", alpha=0.6, linestyle="dotted", linewidth=0.5)
    bar = plt.colorbar(label=f"{n.ds[0].unit:latex}")
    return [drawn(fig), [float(each) for each in bar.mappable.get_clim()], bar.ax.get_ylabel()]


def _two_panels(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(7, 5), layout="constrained")
    one, two = n.ds[0, :, 10], n.ds[3, :, 20]
    ax1 = fig.add_subplot(2, 1, 1, projection=one)
    ax1.set_title("one")
    one.plot(axes=ax1, cmap="Greys_r", aspect=2)
    kwargs = {"grid_type": "contours", "linestyle": "dotted", "alpha": 0.6, "linewidth": 0.5}
    ax1.coords[0].grid(color="w", **kwargs)
    ax1.coords[1].grid(color="w", **kwargs)
    ax2 = fig.add_subplot(2, 1, 2, projection=two)
    two.plot(axes=ax2, aspect=2)
    return [
        drawn(fig),
        ax1.get_title(),
        ax1.get_images()[0].get_cmap().name,
        [ax.get_xlabel() + ax.get_ylabel() for ax in (ax1, ax2)],
        [list(ax.axis()) for ax in (ax1, ax2)],
    ]


def _slit_drawn(n: Notebook) -> Any:
    _figure()
    image = n.ds[0, 0][0]
    ax = image.plot()
    limits = ax.axis()
    coords = image.wcs.pixel_to_world(np.arange(5, 40), np.full(35, 20))
    (line,) = ax.plot_coord(coords, color="green")
    ax.axis(limits)
    return [np.round(np.asarray(line.get_xydata()), 6), [float(each) for each in limits]]


def _lines_added(n: Notebook) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.collections import LineCollection

    fig = plt.figure(layout="constrained")
    image = n.ds[0, 0][0]
    ax = image.plot()
    x, y = image.wcs.world_to_pixel(
        image.wcs.pixel_to_world([[4, 30]] * 3, [[5, 5], [9, 9], [20, 20]])
    )
    lines = LineCollection(np.stack([x, y], axis=-1), array=np.arange(3.0), cmap="Greys")
    ax.add_collection(lines)
    fig.colorbar(lines, label="time")
    ax.set_title(f"at {image.global_coords['time'].iso}")
    fig.canvas.draw()
    return [ax.get_title(), np.round(np.array(lines.get_segments()), 6)]


def _projection(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    ax = plt.subplot(projection=n.ds[0, :, 10])
    ax.figure.canvas.draw()
    return [type(ax).__name__, [str(c) for c in ax.wcs.world_axis_physical_types]]


def _projection_of_many(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    ax = plt.subplot(projection=n.ds.wcs, slices=("x", 0, "y", 0))
    ax.imshow(n.ds.data[0, :, 0, :])
    return [type(ax).__name__, ax.wcs.pixel_n_dim, drawn(ax.figure)]


def _units(n: Notebook) -> Any:
    _figure()
    ax = n.ds[0, 0, :, 3].plot(axes_units=["Angstrom"], data_unit="kct")
    return drawn(ax.figure)


def _image_in_units(n: Notebook) -> Any:
    fig = _figure()
    image = n.ds[0]
    ax = fig.add_subplot(projection=image)
    image.plot(axes=ax, axes_units=["deg", "deg"], vmin=0, vmax=2000)
    fig.canvas.draw()
    shown = ax.get_images()[0]
    return [drawn(fig), [float(each) for each in shown.get_clim()]]


def _animation_saved(n: Notebook) -> Any:
    from matplotlib.animation import Animation

    fig = _figure()
    plot = n.ds[0, :2].plot(fig=fig)
    film = plot.get_animation()
    film.save(n.tmp / "film.gif", writer="pillow")
    return [isinstance(film, Animation), (n.tmp / "film.gif").stat().st_size > 1000]


def _animator(n: Notebook) -> Any:
    plot = n.ds[0].plot()
    return [hasattr(plot, name) for name in ("axes", "fig", "im", "get_animation")]


def _mosaic_plotted(n: Notebook, **how: Any) -> Any:
    fig = _figure()
    returned = n.ds.plot(0, figure=fig, **how)
    pictures = [axes for axes in drawn(fig) if axes["images"]]
    return [returned is fig, sorted(float(each["images"][0].sum()) for each in pictures)]


def _mosaic_by_name(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    fig = plt.figure(figsize=(12, 12))
    fig = n.ds.plot(slice_index=0, share_zscale=True)
    limits = {
        tuple(map(float, ax.get_images()[0].get_clim())) for ax in fig.get_axes() if ax.get_images()
    }
    return len(limits)


def _saved(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    n.ds[0, 0].plot()
    plt.savefig(n.tmp / "picture.png")
    return (n.tmp / "picture.png").stat().st_size > 1000


def _labelled(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    ax = n.ds[0, 0].plot()
    ax.set_title("Stokes I")
    ax.set_xlabel("along the slit")
    plt.gcf().canvas.draw()
    return [ax.get_title(), ax.get_xlabel()]


def _extent(n: Notebook) -> Any:
    import sunpy.map
    from sunpy.visualization import drawing

    tiles = n.ds.slice_tiles[0]
    whole = _map_around(tiles.flat[0])
    fig = _figure()
    ax = fig.add_subplot(projection=whole)
    whole.plot(axes=ax)
    assert isinstance(whole, sunpy.map.GenericMap)
    corners = []
    for number, tile in enumerate(tiles.flat):
        visible, _ = drawing.extent(ax, tile.wcs, color=f"C{number}")
        corners.append(np.round(np.asarray(visible.get_xy()), 4))
    return corners


def _map_around(tile: Any) -> Any:
    import astropy.units as u
    import sunpy.map

    centre = tile.wcs.pixel_to_world(24, 24)
    header = sunpy.map.make_fitswcs_header(
        (60, 60), centre, scale=[2, 2] * u.arcsec / u.pix, observatory="DKIST"
    )
    return sunpy.map.Map(np.ones((60, 60)), header)


PLOTS = (
    Call("plot(fig=fig) with sliders", "vtf", _animated),
    Call("plot(fig=fig, plot_axes=['y', None, 'x'])", "visp", _raster_map),
    Call("plot(fig=fig, plot_axes=[None, None, 'x', None])", "visp", _spectra),
    Call("plot of a spectrum", "visp", _line),
    Call("plots of binned spectra into the same axes", "visp", _three_lines,
         ours="`plot(axes=ax)` of the `ax` that another plot returned"),
    Call("norm, coords.grid and plt.colorbar", "eit", _grid_and_bar),
    Call("two datasets side by side, axes=", "visp", _two_panels),
    Call("plot_coord", "vbi_mosaic", _slit_drawn),
    Call("add_collection of pixel coordinates", "vbi_mosaic", _lines_added),
    Call("plt.subplot(projection=ds[0, :, 10])", "visp", _projection),
    Call("plt.subplot(projection=ds.wcs, slices=...)", "visp", _projection_of_many),
    Call("axes_units and data_unit", "visp", _units),
    Call("axes_units, vmin and vmax of an image", "eit", _image_in_units),
    Call("get_animation().save", "vtf", _animation_saved),
    Call("what a plot with sliders has", "vtf", _animator),
    Call("tds.plot(0, figure=fig)", "vbi_mosaic", _mosaic_plotted),
    Call("tds.plot(0, share_zscale=True, figure=fig)", "vbi_mosaic",
         lambda n: _mosaic_plotted(n, share_zscale=True)),
    Call("tds.plot(slice_index=0, share_zscale=True)", "vbi_mosaic", _mosaic_by_name),
    Call("plt.savefig after a plot", "visp", _saved),
    Call("set_title and set_xlabel", "visp", _labelled),
    Call("drawing.extent of tiles on a map", "vbi_mosaic", _extent),
)  # fmt: skip


# Other packages, saving, the Data Center ------------------------------------------------------


def _map_of_a_frame(n: Notebook) -> Any:
    import sunpy.map
    from astropy.io import fits

    image = n.ds[0, 0]
    name = image[0].files.filenames[0]
    header = fits.getheader(n.path.parent / name, 1)
    return sunpy.map.Map(np.asarray(image[0].data), header)


def _saved_and_loaded(n: Notebook) -> Any:
    import asdf

    place = n.path.parent
    n.dk.save_dataset(n.ds[0, 1:3], n.tmp / "part.asdf")
    again = n.dk.load_dataset(n.tmp / "part.asdf")
    again.files.basepath = place
    with asdf.open(n.tmp / "part.asdf") as file:
        keys = sorted(file.tree["dataset"].meta["inventory"])
    return [again, again.headers, keys]


def _in_an_asdf(n: Notebook) -> Any:
    import asdf

    asdf.AsdfFile({"d": n.ds[0, 0]}).write_to(n.tmp / "mine.asdf")
    with asdf.open(n.tmp / "mine.asdf", lazy_load=False, memmap=False) as file:
        again = file["d"]
    again.files.basepath = n.path.parent
    return [np.asarray(again.data), list(again.files.filenames)]


def _saved_mosaic(n: Notebook) -> Any:
    n.dk.save_dataset(n.ds, n.tmp / "mosaic.asdf", overwrite=True)
    again = n.dk.load_dataset(n.tmp / "mosaic.asdf")
    again.files.basepath = n.path.parent
    return [again.shape, again[1, 0]]


OTHERS = (
    Call("sunpy.map.Map of a frame and its header", "vbi_mosaic", _map_of_a_frame),
    Call("save_dataset and load_dataset", "visp", _saved_and_loaded),
    Call("save_dataset of a mosaic", "vbi_mosaic", _saved_mosaic),
    Call("a dataset in an ASDF of your own", "visp", _in_an_asdf),
)  # fmt: skip


# Inversions ---------------------------------------------------------------------------------


def _with_frames(n: Notebook, row: int = 0) -> Any:
    """The inversion, with one of its frames made by astropy: an HDU for each quantity."""
    import dkist
    from astropy.io import fits

    place = Path(shutil.copy(n.path, n.tmp))
    model = dkist.load_dataset(place)
    hdus = {}
    for number, cube in enumerate([*model.values(), *model.profiles.values()]):
        array = cube.files._fm._striped_external_array
        size = int(np.prod(array.shape))
        pixels = (number + np.arange(size) % 997 / 100).reshape(array.shape)
        hdus[array.target] = fits.ImageHDU(pixels, name=str(array.target))
        name = cube.files.filenames[row]
    if all(isinstance(target, int) for target in hdus):
        hdus = dict(sorted(hdus.items()))
    fits.HDUList([fits.PrimaryHDU(), *hdus.values()]).writeto(n.tmp / name)
    return n.dk.load_dataset(place)


def _quantities(n: Notebook) -> Any:
    inversion = n.ds
    return [
        list(inversion.keys()),
        [int(each) for each in inversion.aligned_dimensions],
        list(inversion.profiles.keys()),
        type(inversion).__name__,
        type(inversion["temperature"]).__name__,
    ]


def _sliced_together(n: Notebook) -> Any:
    part = n.ds[10:20, 5:9]
    return [
        {key: cube.shape for key, cube in part.items()},
        {key: cube.shape for key, cube in part.profiles.items()},
        world_of_cube(part["velocity"]),
    ]


def world_of_cube(cube: Any) -> Any:
    values = cube.wcs.low_level_wcs.pixel_to_world_values(1, 2, 3)
    return [np.asarray(value, float) for value in values]


def _temperature(n: Notebook) -> Any:
    return np.asarray(_with_frames(n)["temperature"][0].data)


def _some_quantities(n: Notebook) -> Any:
    some = n.ds["temperature", "velocity"]
    return [list(some.keys()), list(some.profiles.keys())]


def _inversion_plotted(n: Notebook) -> Any:
    inversion = _with_frames(n)
    fig = _figure()
    inversion.plot(np.s_[0], inversions=["temperature", "velocity"])
    return drawn(fig)


def _profiles_plotted(n: Notebook) -> Any:
    import matplotlib.pyplot as plt

    inversion = _with_frames(n)
    fig = plt.figure(figsize=(8, 8))
    inversion.profiles.plot(np.s_[0, 100], profiles=["NaID"])
    return drawn(fig)


def _inversion_printed(n: Notebook) -> Any:
    text = repr(n.ds)
    return [name in text for name in ("Inversion", "Profiles", "temperature", "NaID_orig")]


INVERSIONS = (
    Call("load an inversion", "inversion", _quantities),
    Call("print an inversion", "inversion", _inversion_printed),
    Call("inversion[10:20, 5:9], profiles too", "inversion", _sliced_together),
    Call("some quantities of an inversion", "inversion", _some_quantities),
    Call("pixels of a quantity", "inversion", _temperature),
    Call("files and headers of a quantity", "inversion",
         lambda n: [list(n.ds["temperature"].files.filenames)[:5], len(n.ds["temperature"].files)]),
    Call("inversion.plot", "inversion", _inversion_plotted),
    Call("inversion.profiles.plot", "inversion", _profiles_plotted),
)  # fmt: skip


# The Data Center and Globus -------------------------------------------------------------------


def _searched_and_fetched(n: Notebook) -> Any:
    import dkist.net  # noqa: F401  # registers its client
    from sunpy.net import Fido
    from sunpy.net import attrs as a

    found = Fido.search(a.dkist.Dataset("SIM000"), a.dkist.Status("any"))
    files = Fido.fetch(found, path=f"{n.tmp}/{{instrument}}/{{dataset_id}}", progress=False)
    ds = n.dk.load_dataset(files)
    return [len(files), ds.shape, ds.inventory["datasetId"], ds.headers["DATE-AVG"]]


def _query(n: Notebook) -> Any:
    import dkist.net
    from sunpy.net import attrs as a

    asked = a.dkist.Dataset("SIM000") | a.dkist.Dataset("OLD000")
    found = dkist.net.DKISTClient().search(asked)
    return [n.dk.load_dataset(n.path).inventory["datasetId"], sorted(found["Dataset ID"])]


def _report(n: Notebook, **how: Any) -> Any:
    n.ds.files.quality_report(path=n.tmp, **how)
    return sorted(path.read_bytes() for path in n.tmp.iterdir())


def _movie(n: Notebook) -> Any:
    n.ds.files.preview_movie(path=str(n.tmp))
    return sorted(path.read_bytes() for path in n.tmp.iterdir())


def _handed_in(n: Notebook) -> Any:
    (transfer,) = n.globus.transfers
    n.globus.transfers.clear()
    items = {(each["source_path"], each["destination_path"]) for each in transfer["DATA"]}
    frames = sorted(item for item in items if item[0].endswith((".fits", "SIM000")))
    return [transfer["destination_endpoint"], transfer["source_endpoint"], frames]


def _frames_transferred(n: Notebook) -> Any:
    n.ds[0, 1:3].files.download(
        path="/~/dkist/{dataset_id}", destination_endpoint=_ELSEWHERE, progress=False, label="x"
    )
    return _handed_in(n)


def _dataset_transferred(n: Notebook) -> Any:
    n.dk.net.transfer_complete_datasets(
        "SIM000", path="/~/dkist", destination_endpoint=_ELSEWHERE, progress=False
    )
    return _handed_in(n)


_ELSEWHERE = "99999999-8888-7777-6666-555555555555"

DATA_CENTER = (
    Call("Fido.search, Fido.fetch, load_dataset", "visp", _searched_and_fetched, asks=True),
    Call("dkist.net.DKISTClient().search", "visp", _query, asks=True),
    Call("files.quality_report(path=)", "visp", _report, asks=True),
    Call("files.quality_report(format='json', overwrite=True)", "visp",
         lambda n: _report(n, format="json", overwrite=True), asks=True,
         # dkist 1.18.1 fetches no file, and leaves a connection open: it is not run.
         right=lambda n: [b'{"dataset": "SIM000"}']),
    Call("files.preview_movie(path=)", "visp", _movie, asks=True),
    Call("files.download(path=, destination_endpoint=)", "visp", _frames_transferred, asks=True),
    Call("dkist.net.transfer_complete_datasets", "visp", _dataset_transferred, asks=True),
)  # fmt: skip


CALLS: tuple[Call, ...] = (
    *LOADING, *PRINTING, *SLICING, *HEADERS, *FILES, *CROPPING, *WORLD, *DASK, *NUMPY, *NDCUBE,
    *TILES, *PLOTS, *OTHERS, *INVERSIONS, *DATA_CENTER,
)  # fmt: skip
