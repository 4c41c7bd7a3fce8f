"""Archives that are elsewhere: a list of URLs, a server that lists or does not, a bucket."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from many import write_asdf, write_frames

import dkist_virtual as dv
from dkist_virtual.demo.archive import make_archive
from dkist_virtual.demo.server import FrameServer
from dkist_virtual.errors import DatasetError
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.publish.archive import find
from dkist_virtual.publish.archive.find import list_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("places")
    write_frames(directory / "p", 1)
    pattern = write_asdf(directory / "p" / "p.asdf", 1)
    make_archive(directory / "A", [pattern], 2)
    (directory / "A" / "deep" / "er").mkdir(parents=True)
    (directory / "A" / "deep" / "er" / "copy.asdf").write_bytes(pattern.read_bytes())
    # A store in the archive is not part of it.
    dv.convert(pattern, directory / "A" / "MANYS.virtual", scan="never")
    return directory / "A"


NAMES = ["AAAAA", "AAAAB", "MANYS"]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listing_server(archive: Path) -> Iterator[str]:
    """A server that shows its directories as pages of links."""
    handler = partial(_Quiet, directory=str(archive.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def names(report: dv.ArchiveReport, outcome: str) -> list[str]:
    return [one.name for one in report.datasets if one.outcome == outcome]


def test_a_server_that_lists_its_directories(listing_server: str, tmp_path: Path) -> None:
    def run() -> dv.ArchiveReport:
        return dv.convert_archive(f"{listing_server}/A", tmp_path / "S", scan="never", workers=1)

    report = run()
    assert names(report, "new") == NAMES
    assert report.passed_over == ()
    assert report.datasets[0].asdf == f"{listing_server}/A/pid_1_0/AAAAA/AAAAA.asdf"
    assert run().counts["unchanged"] == 3
    stored = (tmp_path / "S" / "AAAAB.virtual" / "references.json").read_text()
    assert f'"{listing_server}/A/pid_1_0/AAAAB/frame_000000.fits"' in stored


def test_links_to_elsewhere_are_not_followed(
    archive: Path, listing_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = archive / "deep" / "index.html"
    links = ("../", "/", "/p/p.asdf", "er/", "http://192.0.2.1/x.asdf", "%2e%2e/p/", "./")
    page.write_text("".join(f'<a href="{link}">x</a>' for link in links))
    try:
        found = list_archive(f"{listing_server}/A/deep", Fetcher(), skip="/none")
    finally:
        page.unlink()
    assert [asdf.place for asdf in found.asdfs] == [f"{listing_server}/A/deep/er/copy.asdf"]

    def entries(place: str, _: Fetcher) -> list[dict[str, Any]]:
        places = (f"{place}/a.asdf", "s3://moon/b.asdf", "s3://archive/c.asdf", place)
        return [{"place": each, "type": "file", "size": 1} for each in places]

    monkeypatch.setattr(find, "_entries", entries)
    found = list_archive("s3://archive/raw", Fetcher(), skip="/none")
    assert [asdf.place for asdf in found.asdfs] == ["s3://archive/raw/a.asdf"]


def test_a_server_that_does_not_list_and_a_list(archive: Path, tmp_path: Path) -> None:
    with FrameServer(archive).running() as server:
        with pytest.raises(DatasetError, match=r"does not list .* as @list\.txt"):
            dv.convert_archive(server.url, tmp_path / "S")
        urls = [f"{server.url}/pid_1_0/{name}/{name}.asdf" for name in NAMES[:2]]
        listed = tmp_path / "list.txt"
        listed.write_text("\n".join([*urls, f"{server.url}/none.asdf"]))
        report = dv.convert_archive(listed, tmp_path / "S", workers=1)
        assert names(report, "new") == NAMES[:2]
        assert report.n_frames == 2
        (failure,) = report.failures
        assert failure.name == f"{server.url}/none.asdf"
        assert "404" in failure.error
        server.forget()
        report = dv.convert_archive(f"@{listed}", tmp_path / "S", workers=1)
        assert names(report, "unchanged") == NAMES[:2]
        # One byte of each says that it is the same; no frame is asked for.
        assert sum(n for *_, n in server.requests) <= 3
        with pytest.raises(ValueError, match="password or a query"):
            dv.convert_archive([f"{urls[0]}?token=x"], tmp_path / "S")


@pytest.mark.slow
def test_a_bucket(archive: Path, tmp_path: Path) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        known = {"key": "k", "secret": "s", "client_kwargs": {"region_name": "us-east-1"}}
        options = {"s3://archive": {**known, "endpoint_url": url}}
        client = boto3.client(
            "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="k",
            aws_secret_access_key="s",
        )  # fmt: skip
        client.create_bucket(Bucket="archive")
        for file in archive.rglob("*"):
            if file.is_file():
                key = f"raw/{file.relative_to(archive)}"
                client.put_object(Bucket="archive", Key=key, Body=file.read_bytes())

        def run(**more: Any) -> dv.ArchiveReport:
            return dv.convert_archive(
                "s3://archive/raw", tmp_path / "S", storage_options=options, workers=1, **more
            )

        report = run()
        # The ASDF without frames beside it is converted, too.
        assert names(report, "new") == NAMES
        assert [one.n_absent for one in report.datasets] == [0, 0, 1]
        assert run().counts["unchanged"] == 3
        text = (tmp_path / "S" / "archive.json").read_text()
        assert "us-east-1" not in text
        assert "endpoint" not in text
        key = "raw/pid_1_0/AAAAB/AAAAB.asdf"
        client.put_object(
            Bucket="archive", Key=key, Body=(archive / key.removeprefix("raw/")).read_bytes()
        )
        assert run().counts["unchanged"] == 3  # the same bytes have the same ETag
        client.delete_object(Bucket="archive", Key=key)
        assert names(run(), "withdrawn") == ["AAAAB"]
        ds = dv.open_dataset(tmp_path / "S" / "AAAAA.virtual", storage_options=options)
        assert ds.data.compute().shape == (12, 20)
    finally:
        server.stop()
