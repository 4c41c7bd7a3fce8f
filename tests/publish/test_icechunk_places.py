"""Name places for Icechunk, give it credentials, and fork a process that has used it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dkist_virtual.dataset.open import store_directory
from dkist_virtual.errors import LocationError, StoreError
from dkist_virtual.io.fetcher import Fetcher
from dkist_virtual.publish.icechunk.containers import Containers, container_of
from dkist_virtual.store.icechunk import repository
from dkist_virtual.store.icechunk.address import RepositoryAddress, full_address, location_of
from dkist_virtual.store.icechunk.repository import import_icechunk, s3_options


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/data/a b/50%#?.fits", "file:///data/a%20b/50%25%23%3F.fits"),
        ("s3://bucket/a b/c%.fits", "s3://bucket/a%20b/c%25.fits"),
        ("s3a://bucket/c.fits", "s3://bucket/c.fits"),
        ("https://host.org:8443/a%20b/c.fits", "https://host.org:8443/a%20b/c.fits"),
    ],
)
def test_frames_are_named_as_icechunk_does(url: str, location: str) -> None:
    assert location_of(url) == location


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://me:hidden@host.org/c.fits", "has a password"),
        ("https://host.org/c.fits?X-Amz-Signature=hidden", "has a query"),
        ("gs://bucket/c.fits", r"not told how to read gs://"),
    ],
)
def test_frames_that_icechunk_may_not_name(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught:
        location_of(url)
    assert "hidden" not in str(caught.value)


def test_a_container_is_the_nearest_directory_that_icechunk_can_name() -> None:
    assert container_of("file:///data/frames/") == "file:///data/frames/"
    assert container_of("file:///data/a%20b/frames/") == "file:///data/"
    assert container_of("s3://bucket/a%20b/") == "s3://bucket/"
    with pytest.raises(StoreError, match="read the whole disk"):
        container_of("file:///a%20b/frames/")
    containers = Containers("/data/one")
    containers.add(["/data/one/a/x.fits", "", "/data/one/y.fits", "/data/two/z.fits"])
    assert containers.prefixes == ("file:///data/one/", "file:///data/two/")


def test_an_endpoint_with_a_password_is_not_written() -> None:
    import icechunk

    how = {"s3://bucket": {"endpoint_url": "http://me:hidden@host.org", "anon": True}}
    containers = Containers("s3://bucket/frames")
    containers.add(["s3://bucket/frames/x.fits"])
    with pytest.raises(ValueError, match="contains a password"):
        containers.configure(icechunk.RepositoryConfig.default(), Fetcher(how))


def test_credentials_are_icechunks_own() -> None:
    place = "s3://bucket/x"
    assert s3_options({"anon": True}, place) == {"anonymous": True}
    assert s3_options({}, place) == {"from_env": True}
    keys = {"key": "k", "secret": "s", "token": "t", "client_kwargs": {"region_name": "r"}}
    assert s3_options(keys, place) == {
        "region": "r", "access_key_id": "k", "secret_access_key": "s", "session_token": "t",
    }  # fmt: skip
    with pytest.raises(ValueError, match="client_kwargs verify"):
        s3_options({"client_kwargs": {"verify": False}}, place)


def test_addresses_read_back() -> None:
    for text in (
        "icechunk+file:///data/a%20b?tag=v1",
        "icechunk+s3://bucket/x?snapshot=ABC",
        "icechunk+https://host.org/x?branch=a%2Fb",
        "icechunk+s3://bucket",
    ):
        assert str(RepositoryAddress.of(text)) == text
    assert RepositoryAddress.of("icechunk+file:///data/a%20b").place == "/data/a b"
    assert RepositoryAddress.of("/data/x").at("S") == RepositoryAddress("/data/x", snapshot="S")


def test_a_repository_is_named_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    whole = f"icechunk+file://{tmp_path}/a%20b?tag=v1"
    assert full_address("icechunk+a b?tag=v1") == whole
    assert store_directory("icechunk+a b?tag=v1") == whole
    for kept in ("icechunk+s3://bucket/x", "a b", whole):
        assert full_address(kept) == kept
    for wrong in ("icechunk+file:/a", "icechunk+", "icechunk+gs://bucket/x"):
        with pytest.raises(LocationError, match=r"icechunk\+file://|names no place"):
            RepositoryAddress.of(wrong)
    (tmp_path / "icechunk+a").mkdir()  # is what it says it is
    assert store_directory("icechunk+a") == f"{tmp_path}/icechunk+a"


def test_a_forked_process_does_not_wait_for_threads_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the process number that Icechunk was first used in is another one there."""
    monkeypatch.setattr(repository, "_used_in", [0])
    with pytest.raises(StoreError, match="before this process was forked"):
        import_icechunk()


def test_the_directory_of_a_store_is_no_repository(tmp_path: Path) -> None:
    from dkist_virtual.store.icechunk.address import is_repository

    (tmp_path / "snapshots").mkdir()
    assert not is_repository(str(tmp_path))
    (tmp_path / "repo").touch()
    assert is_repository(str(tmp_path))
    assert not is_repository(str(tmp_path / "repo"))
