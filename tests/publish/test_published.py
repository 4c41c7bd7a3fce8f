"""An archive from end to end: converted, catalogued, moved, served, opened from elsewhere."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urljoin
from urllib.request import urlopen

import numpy as np
import pytest
from astropy.io import fits

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer

Asked: TypeAlias = Counter[tuple[str, str, int | None, int]]
"""Requests by method, name of the file, first byte, and number of bytes."""

CUTS: dict[str, Any] = {
    "visp_plain": np.s_[1, 0, 3:9, 5:12],
    "vtf": np.s_[1, :, 1, 3:9, 5:12],
}


@pytest.fixture(scope="module")
def served(simulated: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server with ``frames``, their stores in ``public/v2/stores``, and both in ``together``.

    The stores were made in other directories, which are gone.
    """
    root = tmp_path_factory.mktemp("served")
    server = FrameServer(root)
    with server.running():
        made = root / "made"
        for name in CUTS:
            shutil.copytree(simulated(name), root / "frames" / name)
            shutil.copytree(simulated(name), root / "made-together" / "frames" / name)
            dv.convert(
                root / "frames" / name, made / f"{name}.virtual", frames=root / "frames" / name,
                base=f"{server.url}/frames/{name}", progress=False,
            )  # fmt: skip
            together = root / "made-together" / "stores" / f"{name}.virtual"
            dv.convert(
                root / "made-together" / "frames" / name, together, relative=True, progress=False
            )
        for stores in (made, root / "made-together" / "stores"):
            dv.write_catalogue(stores, progress=False)
        # Pictures of frames that are on the server.
        written = dv.write_page(made, progress=False)
        assert (written.n_datasets, written.n_previews, written.failures) == (2, 2, {})
        (root / "public" / "v2").mkdir(parents=True)
        shutil.move(made, root / "public" / "v2" / "stores")
        shutil.move(root / "made-together", root / "together")
        yield server


@pytest.fixture
def stores(server: FrameServer) -> str:
    return f"{server.url}/public/v2/stores"


def asked(server: FrameServer) -> Asked:
    """What was asked of the server, since it was asked last: by kind of file, without its place."""
    found = Counter(
        (method, path.rpartition("/")[2], first, size)
        for method, path, first, size in server.requests
    )
    server.forget()
    return found


def of_frames(asked: Asked) -> Asked:
    return Counter({request: n for request, n in asked.items() if request[1].endswith(".fits")})


def expected(server: FrameServer, name: str, ds: Any) -> Any:
    """The pixels of a cut-out, as astropy reads its frames."""
    found = []
    for file in ds.files.names:
        with fits.open(server.directory / "frames" / name / file) as hdus:
            found.append(np.squeeze(hdus[-1].data)[3:9, 5:12])
    return np.stack(found).reshape(ds.shape)


def test_a_published_store_opens_by_address_row_and_id(server: FrameServer, stores: str) -> None:
    for name, cut in CUTS.items():
        frames = server.directory / "frames" / name
        base = f"{server.url}/frames/{name}"
        # As often as now: of a store on the same server that is not published.
        plain = server.directory / f"{name}.virtual"
        dv.convert(frames, plain, frames=frames, base=base, progress=False)
        server.forget()
        ds = dv.open_dataset(f"{server.url}/{name}.virtual")
        opened = asked(server)
        ds[cut].data.compute()
        cut_out = asked(server)
        files = ds[cut].files.names
        assert {file for _, file, *_ in cut_out} > set(files)

        identity = ds.meta["inventory"]["datasetId"]
        asked(server)
        found = dv.search(catalogue=stores)
        assert [file for _, file, *_ in asked(server).elements()] == ["catalogue.parquet"]
        row = found[found["Dataset ID"] == identity][0]
        address = f"{stores}/{name}.virtual"
        assert row["Store"] == address
        for given, options, more in (
            (address, {}, []),
            (row, {}, []),
            (identity, {"catalogue": stores}, ["catalogue.parquet"]),
        ):
            ds = dv.open_dataset(given, **options)
            now = asked(server)
            assert [file for _, file, *_ in (now - opened).elements()] == more
            assert not opened - now
            pixels = ds[cut].data.compute()
            assert asked(server) == cut_out
            np.testing.assert_array_equal(pixels, expected(server, name, ds[cut]))


def test_relative_stores_are_served_together_with_frames(server: FrameServer) -> None:
    place = f"{server.url}/together/stores"
    for name, cut in CUTS.items():
        absolute = dv.open_dataset(f"{server.url}/public/v2/stores/{name}.virtual")
        server.forget()
        absolute[cut].data.compute()
        cut_out = of_frames(asked(server))
        assert cut_out
        ds = dv.open_dataset(absolute.meta["inventory"]["datasetId"], catalogue=place)
        server.forget()
        pixels = ds[cut].data.compute()
        assert of_frames(asked(server)) == cut_out
        assert all(url.startswith(f"{server.url}/together/frames/") for url in ds.files.urls)
        np.testing.assert_array_equal(pixels, expected(server, name, ds[cut]))


def test_every_link_of_the_page_leads_to_a_file(server: FrameServer, stores: str) -> None:
    text = urlopen(f"{stores}/index.html").read().decode()
    links = set(re.findall(r'(?:href|src)="([^"#]+)"', text))
    pictures = [link for link in links if link.startswith("previews/")]
    assert len(pictures) == len(CUTS)
    assert {"./vtf.virtual/references.json", "./vtf.virtual/dataset.asdf"} <= links
    assert sum(link.startswith("./stac/") for link in links) == len(CUTS)
    for link in links:
        with urlopen(urljoin(f"{stores}/index.html", link)) as answer:
            assert answer.status == 200
            assert answer.read()
    assert str(server.directory) not in text
