"""An archive from end to end: converted, catalogued, moved, served, opened from elsewhere."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from urllib.request import urlopen

import numpy as np
import pytest
from astropy.io import fits

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer

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


def asked(server: FrameServer) -> Counter[tuple[str, str, int | None, int]]:
    """What was asked of the server, since it was asked last: by kind of file, without its place."""
    found = Counter(
        (method, path.rpartition("/")[2], first, size)
        for method, path, first, size in server.requests
    )
    server.forget()
    return found


def expected(server: FrameServer, name: str, ds: Any) -> Any:
    """The pixels of a cut-out, as astropy reads its frames."""
    found = []
    for file in ds.files.names:
        with fits.open(server.directory / "frames" / name / file) as hdus:
            found.append(np.squeeze(hdus[-1].data)[3:9, 5:12])
    return np.stack(found).reshape(ds.shape)


def test_a_published_store_opens_by_address_row_and_id(
    server: FrameServer, stores: str, tmp_path: Path
) -> None:
    for name, cut in CUTS.items():
        frames = server.directory / "frames" / name
        mine = tmp_path / f"{name}.virtual"
        dv.convert(frames, mine, base=f"{server.url}/frames/{name}", progress=False)
        dv.open_dataset(mine)[cut].data.compute()  # as often as now: of a store that is not published
        cut_out = asked(server)
        assert sum(cut_out.values()) >= len(dv.open_dataset(mine)[cut].files.names)

        address = f"{stores}/{name}.virtual"
        dv.open_dataset(address)
        opened = asked(server)
        row = dv.search(catalogue=stores)
        identity = dv.open_dataset(mine).meta["inventory"]["datasetId"]
        row = row[row["Dataset ID"] == identity][0]
        assert row["Store"] == address
        assert len(asked(server)) == 1  # the catalogue
        for open_it, more in (
            (lambda: dv.open_dataset(address), {}),
            (lambda: dv.open_dataset(row), {}),
            (lambda: dv.open_dataset(identity, catalogue=stores), {"catalogue.parquet": 1}),
        ):
            ds = open_it()
            found = asked(server)
            counts = Counter(file for _, file, _, _ in (found - opened).elements())
            assert (counts, opened - found) == (Counter(more), Counter())
            selected = ds[cut]
            pixels = selected.data.compute()
            assert asked(server) == cut_out
            np.testing.assert_array_equal(pixels, expected(server, name, selected))


def test_relative_stores_are_served_together_with_frames(server: FrameServer) -> None:
    place = f"{server.url}/together/stores"
    for name, cut in CUTS.items():
        absolute = dv.open_dataset(f"{server.url}/public/v2/stores/{name}.virtual")[cut]
        asked(server)
        absolute.data.compute()
        cut_out = asked(server)
        ds = dv.open_dataset(absolute.meta["inventory"]["datasetId"], catalogue=place)[cut]
        asked(server)
        pixels = ds.data.compute()
        assert asked(server) == cut_out
        assert all(url.startswith(f"{server.url}/together/frames/") for url in ds.files.urls)
        np.testing.assert_array_equal(pixels, expected(server, name, ds))


def test_every_link_of_the_page_leads_to_a_file(server: FrameServer, stores: str) -> None:
    text = urlopen(f"{stores}/index.html").read().decode()
    links = set(re.findall(r'(?:href|src)="([^"#]+)"', text))
    assert {"./vtf.virtual/references.json", "previews/vtf.webp"} <= links
    for link in links:
        with urlopen(urljoin(f"{stores}/index.html", link)) as answer:
            assert answer.status == 200
            assert answer.read()
    assert str(server.directory) not in text
