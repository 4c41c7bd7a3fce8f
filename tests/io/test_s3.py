"""Read from buckets with wrong regions, versions, expired permissions and keys of every name."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from astropy.io import fits

import dkist_virtual as dv
from dkist_virtual import errors as e
from dkist_virtual.io.byte_range import Request
from dkist_virtual.io.fetcher import Fetcher

BUCKET = "odd-frames"


@pytest.fixture(autouse=True)
def few_retries() -> Iterator[None]:
    with dask.config.set({"dkist_virtual.backoff": 0.001, "dkist_virtual.retries": 0}):
        yield


@pytest.fixture(scope="module")
def s3() -> Iterator[tuple[str, Any]]:
    """Address and client of a server, with a versioned bucket in another region than usual."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="eu-central-1", aws_access_key_id="a",
        aws_secret_access_key="b",
    )  # fmt: skip
    where = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    yield url, client
    server.stop()


def allow(url: str, n: bytes) -> None:
    """From now on, answer so many requests of those who have no permission."""
    plain = {"Content-Type": "application/octet-stream"}
    asked = urllib.request.Request(f"{url}/moto-api/reset-auth", n, plain, method="POST")
    urllib.request.urlopen(asked).close()


def options(url: str, **client: Any) -> dict[str, Any]:
    how = {"endpoint_url": url, "key": "a", "secret": "b", "client_kwargs": client}
    return {f"s3://{BUCKET}": how, "s3://no-such-bucket": how}


def test_a_version_is_the_one_that_was_asked_for(s3: Any) -> None:
    url, client = s3
    old = client.put_object(Bucket=BUCKET, Key="v/a.fits", Body=b"old bytes")["VersionId"]
    client.put_object(Bucket=BUCKET, Key="v/a.fits", Body=b"new bytes, and more")
    fetcher = Fetcher(options(url))
    for place, data in (("", b"new bytes, and more"), (f"?versionId={old}", b"old bytes")):
        there = f"s3://{BUCKET}/v/a.fits{place}"
        assert fetcher.read(there) == data
        assert fetcher.read(there, 2, 3) == data[2:5]
        assert fetcher.answer(Request.head(there, 4)).total == len(data)
    with pytest.raises(e.FrameError):
        fetcher.read(f"s3://{BUCKET}/v/a.fits?versionId=none")
    client.delete_object(Bucket=BUCKET, Key="v/a.fits")
    with pytest.raises(e.FrameMissingError):
        fetcher.read(f"s3://{BUCKET}/v/a.fits")
    assert fetcher.read(f"s3://{BUCKET}/v/a.fits?versionId={old}") == b"old bytes"


@pytest.mark.parametrize(
    "key", ["a b.fits", "a%20b.fits", "a#1.fits", "a?b.fits", "a::b.fits", "ü/+&=.fits", "a\\b"]
)
def test_keys_of_every_name(key: str, s3: Any, tmp_path: Path) -> None:
    from dkist_virtual.fits.file_check import Checked
    from dkist_virtual.io.download.download import Item, download

    url, client = s3
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.arange(100)).writeto(buffer)
    frame = buffer.getvalue()
    client.put_object(Bucket=BUCKET, Key=f"dir/{key}", Body=frame)
    fetcher = Fetcher(options(url))
    assert fetcher.read(f"s3://{BUCKET}/dir/{key}", 3, 4) == frame[3:7]
    item = Item("x", (f"s3://{BUCKET}/dir/{key}",), -1, fetcher, Checked(0, -1))
    download([item], tmp_path)
    assert (tmp_path / "x").read_bytes() == frame


def test_a_wrong_region(s3: Any) -> None:
    url, client = s3
    client.put_object(Bucket=BUCKET, Key="r.fits", Body=b"bytes")
    fetcher = Fetcher(options(url, region_name="us-west-2"))
    try:
        assert fetcher.read(f"s3://{BUCKET}/r.fits") == b"bytes"
    except e.FrameUnreachableError as error:
        assert "region" in str(error)  # noqa: PT017  # a server may follow, or refuse
    with pytest.raises(e.FrameUnreachableError, match="no bucket"):
        fetcher.read("s3://no-such-bucket/r.fits")


def test_a_permission_that_ends_in_the_middle(
    s3: Any, simulated: Callable[[str], Path], tmp_path: Path
) -> None:
    url, client = s3
    frames = simulated("visp_plain")
    for path in frames.glob("*.fits"):
        client.upload_file(str(path), BUCKET, f"frames/{path.name}")
    place, how = f"s3://{BUCKET}/frames", options(url)
    dv.convert(frames, tmp_path / "s", base=place, frames=place, storage_options=how)
    ds = dv.open_dataset(tmp_path / "s", storage_options=how)
    assert np.array_equal(
        ds[0].data.compute(), dv.open_dataset(frames)[0].data.compute(), equal_nan=True
    )
    allow(url, b"1")
    try:
        for missing in ("raise", "nan"):
            ds = dv.open_dataset(tmp_path / "s", storage_options=how, missing=missing)
            with pytest.raises(e.FrameUnreachableError, match=r"AccessDenied|InvalidAccessKeyId"):
                ds.data.compute()
        with pytest.raises(e.DownloadError) as raised:
            ds.download(tmp_path / "down")
        assert len(raised.value.failures) == 8 - len(list((tmp_path / "down").glob("*.fits")))
        report = dv.verify(tmp_path / "s", storage_options=how, keep=False)
        assert set(report.counts) == {"unreachable"}
    finally:
        allow(url, b"inf")
