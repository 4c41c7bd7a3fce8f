"""Read frames through Icechunk from a web server and a bucket: what is requested, and as whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import icechunk
import numpy as np
import pytest
import zarr
from icechunk_repository import open_plainly
from numpy.testing import assert_array_equal

import dkist_virtual as dv
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import FrameRefusedError, StoreError, StoreMissingError

pytestmark = pytest.mark.filterwarnings(
    "ignore::zarr.errors.UnstableSpecificationWarning", "ignore::zarr.errors.ZarrUserWarning"
)

Converted = Callable[[str], Path]
CUT = (1, 2, slice(3, 5), slice(10, 20))
FORGETS_PORTS = icechunk.__version__.startswith("1.")


@pytest.fixture(scope="module")
def served(simulated: Converted) -> Iterator[FrameServer]:
    with FrameServer(simulated("visp")).running() as server:
        yield server


def test_a_part_of_a_frame_takes_ranges_of_it(
    served: FrameServer, simulated: Converted, tmp_path: Path
) -> None:
    """Icechunk hands the ranges of the codec on, and may split one among several requests."""
    made = dv.convert(simulated("visp"), tmp_path / "s.virtual", base=served.url)
    if FORGETS_PORTS:
        with pytest.raises(StoreError, match="reads no URL with a port"):
            dv.to_icechunk(made.store, tmp_path / "repo")
        return
    commit = dv.to_icechunk(made.store, tmp_path / "repo")
    assert commit.containers == (f"{served.url}/",)
    expected = np.asarray(dv.open_dataset(simulated("visp"))[CUT].data)
    whole = (simulated("visp") / "visp_0006.fits").stat().st_size
    array = open_plainly(tmp_path / "repo", *commit.containers)["data"]
    served.forget()
    assert_array_equal(np.asarray(array[CUT]), expected)
    plainly = served.sent
    assert {method for method, *_ in served.requests} == {"GET"}
    assert all(start is not None for _, _, start, _ in served.requests)
    assert 0 < plainly < whole
    ds = dv.open_dataset(commit.repository)
    served.forget()
    assert_array_equal(np.asarray(ds[CUT].data), expected)
    assert served.sent <= plainly
    assert len(served.requests) == 2  # header with tile table, and tiles


@pytest.mark.slow
def test_a_bucket(simulated: Converted, tmp_path: Path) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        keys = {"aws_access_key_id": "me", "aws_secret_access_key": "hidden-secret"}
        client: Any = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="bucket")
        for path in simulated("visp").glob("*.fits"):
            key = f"frames 50% #1/{path.name}"
            client.put_object(Bucket="bucket", Key=key, Body=path.read_bytes())
        how = {"endpoint_url": url, "key": "me", "secret": "hidden-secret"}
        options = {"s3://bucket": how}
        place = "s3://bucket/frames 50% #1"
        made = dv.convert(
            simulated("visp"), tmp_path / "s.virtual", frames=place, storage_options=options
        )
        commit = dv.to_icechunk(made.store, "s3://bucket/repos/one", storage_options=options)
        assert commit.repository == "icechunk+s3://bucket/repos/one"
        assert commit.containers == ("s3://bucket/",)
        expected = np.asarray(dv.open_dataset(simulated("visp")).data)
        ds = dv.open_dataset(commit.repository, storage_options=options)
        assert_array_equal(np.asarray(ds.data), expected)
        again = dv.to_icechunk(made.store, commit.repository, storage_options=options)
        assert not again.is_new
        # Plain Zarr, with Icechunk's own way of giving credentials.
        about = {"access_key_id": "me", "secret_access_key": "hidden-secret"}
        storage = icechunk.s3_storage(
            bucket="bucket", prefix="repos/one", region="us-east-1", endpoint_url=url,
            allow_http=True, force_path_style=True, **about,
        )  # fmt: skip
        repository = icechunk.Repository.open(
            storage,
            authorize_virtual_chunk_access=icechunk.containers_credentials(
                dict.fromkeys(commit.containers, icechunk.s3_credentials(**about))
            ),
        )
        array: Any = zarr.open_group(repository.readonly_session("main").store, mode="r")["data"]
        assert_array_equal(np.asarray(array[CUT]), expected[CUT])
        # Credentials are nowhere.
        there = client.list_objects_v2(Bucket="bucket", Prefix="repos")["Contents"]
        for each in there:
            body = client.get_object(Bucket="bucket", Key=each["Key"])["Body"].read()
            assert b"hidden-secret" not in body
        # What a stranger's repository may not do, and what is not there.
        dv.to_icechunk(simulated("visp"), "s3://bucket/repos/two", storage_options=options)
        strange = dv.open_dataset("icechunk+s3://bucket/repos/two", storage_options=options)
        with pytest.raises(FrameRefusedError, match="expected frames on servers or in buckets"):
            strange[0, 0].data.compute()
        with pytest.raises(StoreMissingError, match="no Icechunk repository here"):
            dv.open_dataset("icechunk+s3://bucket/none", storage_options=options)
        wrong = {"s3://bucket": {**how, "config_kwargs": {}}}
        with pytest.raises(ValueError, match="config_kwargs: Icechunk has no such option"):
            dv.open_dataset(commit.repository, storage_options=wrong)
    finally:
        server.stop()
