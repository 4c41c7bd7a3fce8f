"""Transfers and logins, with the Globus SDK's own client talking to a server of this machine.

What is handed in is compared with what ``dkist.Dataset.files.download`` hands in for the same
frames.
"""

from __future__ import annotations

import json
import pickle
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dkist
import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from globus_server import ELSEWHERE, LOCAL, GlobusServer, log_in

import dkist_virtual as dv
from dkist_virtual.cli.main import cli, main
from dkist_virtual.datacenter.globus import Bearer, over_https

COLLECTION = "d26bd00b-62dc-40d2-9179-7aece2b8c437"  # what the Data Center's configuration names


@pytest.fixture
def ds(globus: GlobusServer) -> Any:
    return dv.open_dataset("SIM000")


def items(transfer: dict[str, Any]) -> set[tuple[str, str, bool]]:
    return {
        (item["source_path"], item["destination_path"], item.get("recursive", False))
        for item in transfer["DATA"]
    }


# Transfers ----------------------------------------------------------------------------------


def test_what_is_handed_in_is_what_dkist_hands_in(
    catalogue: Any, globus: GlobusServer, ds: Any
) -> None:
    path = "/~/dkist/{instrument}/{dataset_id}"
    theirs = dkist.load_dataset(catalogue.places["SIM000"])[1, 2:]
    theirs.files.download(path, destination_endpoint=ELSEWHERE, progress=False, label="mine")
    done = ds[1, 2:].download(
        path, via="globus", destination_endpoint=ELSEWHERE, progress=False, label="mine"
    )
    ds[1, 2:].files.download(path, destination_endpoint=ELSEWHERE, progress=False, label="mine")
    dkists, ours, unchanged = globus.transfers
    assert {**unchanged, "submission_id": ours.get("submission_id")} == ours
    # dkist has the report and the movie come along, which have methods of their own here.
    extra = {each for each in items(dkists) if each[0].endswith((".pdf", ".mp4"))}
    assert len(extra) == 2
    assert items(ours) == items(dkists) - extra
    assert len(items(ours)) == 3
    shared = set(ours) - {"DATA"}
    assert {key: ours[key] for key in shared} == {key: dkists[key] for key in shared}
    assert ours["source_endpoint"] == COLLECTION
    assert ours["destination_endpoint"] == ELSEWHERE
    assert (done.task_id, done.destination, done.n_files) == (
        "task-1",
        "/~/dkist/VISP/SIM000",
        3,
    )
    assert "3 files transferred to /~/dkist/VISP/SIM000" in str(done)


def test_what_came_to_this_machine_is_read_here(
    globus: GlobusServer, ds: Any, simulated: Any, tmp_path: Path
) -> None:
    # Globus writes the files; the test does it in its place.
    shutil.copytree(simulated("visp"), tmp_path / "here" / "VISP")
    done = ds[0, 1].download(tmp_path / "here" / "{instrument}", via="globus", progress=False)
    assert globus.transfers[0]["destination_endpoint"] == LOCAL
    assert done.local == str(tmp_path / "here" / "VISP")
    (name,) = ds[0, 1].files.names
    np.testing.assert_array_equal(
        ds[0, 1].data.compute(), fits.getdata(simulated("visp") / name, 1)[0]
    )


def test_home_at_the_endpoint_is_home(
    globus: GlobusServer, ds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ds[0, 1].download("/~/frames", via="globus", progress=False).local == str(
        tmp_path / "home" / "frames"
    )
    monkeypatch.chdir(tmp_path)
    done = ds[0, 1].download("frames", via="globus", progress=False)
    assert done.destination == str(tmp_path / "frames")


def test_frames_that_form_no_rectangle(globus: GlobusServer, ds: Any) -> None:
    good = ds.files[ds.headers["ATMOS_R0"] > 0.1]
    done = good.download("/x", via="globus", destination_endpoint=ELSEWHERE, wait=False)
    assert 1 < done.n_files == len(good) + 1 < 17
    assert "are being transferred" in str(done)
    # Nothing is asked for about a task that is not waited for.
    assert not [path for _, path, *_ in globus.requests if "/task/" in path]


def test_a_mosaic_and_a_bar(globus: GlobusServer, capsys: pytest.CaptureFixture[str]) -> None:
    mosaic = dv.open_dataset("SIM004")
    mosaic.download("/x", via="globus", destination_endpoint=ELSEWHERE, progress=True)
    assert len(globus.transfers[0]["DATA"]) == 13
    assert "Task completed with SUCCEEDED status" in capsys.readouterr().out


def test_who_may_have_the_frames_is_looked_at_first(
    catalogue: Any, globus: GlobusServer, ds: Any
) -> None:
    def only(**changes: Any) -> None:
        for record in catalogue.records:
            if record["datasetId"] == "SIM000":
                record |= changes

    to = {"via": "globus", "destination_endpoint": ELSEWHERE, "progress": False}
    only(isEmbargoed=True, embargoEndDate="2031-02-03T00:00:00")
    with pytest.raises(
        dv.errors.EmbargoError, match=r"until 2031-02-03.* of proposal PROPOSAL .*embargoed=True"
    ):
        ds.download("/x", **to)
    assert globus.requests == []
    ds.download("/x", **to, embargoed=True)
    assert len(globus.transfers) == 1
    catalogue.add(catalogue.places["SIM000"], datasetId="NEW000")
    only(isEmbargoed=False, status="REMOVED")
    with pytest.raises(dv.errors.RemovedError, match=r"were removed .*NEW000 replaced it"):
        ds.download("/x", **to)
    assert len(globus.transfers) == 1


def test_paths_that_lead_elsewhere(catalogue: Any, globus: GlobusServer, ds: Any) -> None:
    to = {"via": "globus", "destination_endpoint": ELSEWHERE}
    with pytest.raises(ValueError, match=r"there is no 'colour'; there is .*dataset_id"):
        ds.download("/x/{colour}", **to)
    for record in catalogue.records:
        record["primaryExperimentId"] = "../.."
    with pytest.raises(dv.errors.DownloadError, match="leads elsewhere"):
        ds.download("/x/{primary_experiment_id}", **to)
    assert globus.transfers == []


def test_a_transfer_that_fails_says_why(globus: GlobusServer, ds: Any) -> None:
    globus.status = "FAILED"
    with pytest.raises(
        dv.errors.DownloadError, match=r"ended the transfer as FAILED, with 0 of 17.*disk is full"
    ):
        ds.download("/x", via="globus", destination_endpoint=ELSEWHERE, progress=False)


def test_options_of_the_other_way_are_refused(globus: GlobusServer, ds: Any) -> None:
    with pytest.raises(ValueError, match="not for a transfer"):
        ds.download("/x", via="globus", verify=True)
    with pytest.raises(ValueError, match="via='globus'"):
        ds.download("/x", label="mine")
    with pytest.raises(ValueError, match="via = 'pigeon'"):
        ds.download("/x", via="pigeon")


# Without a login ------------------------------------------------------------------------------


def test_without_a_login_the_command_to_run_is_said(
    catalogue: Any, globus: GlobusServer, ds: Any
) -> None:
    file = log_in(catalogue.home)
    to = {"via": "globus", "destination_endpoint": ELSEWHERE, "progress": False}
    file.unlink()
    with pytest.raises(dv.errors.LoginError, match="nobody is logged in") as caught:
        ds.download("/x", **to)
    assert "`dkist-virtual login`" in str(caught.value)
    assert "`dkist-virtual login --no-browser`" in str(caught.value)

    globus.refreshed = None
    log_in(catalogue.home, expires=1)
    with pytest.raises(dv.errors.LoginError, match=r"has expired: run `dkist-virtual login`"):
        ds.download("/x", **to)

    # Good by its date, but revoked.
    log_in(catalogue.home, access="revoked")
    with pytest.raises(dv.errors.LoginError, match=r"has expired: run `dkist-virtual login`"):
        ds.download("/x", **to)

    log_in(catalogue.home)
    globus.fault = lambda path, n: 403
    with pytest.raises(dv.errors.AccessError, match="no permission: Globus answered 403"):
        ds.download("/x", **to)
    assert globus.transfers == []


def test_an_expired_token_is_refreshed_and_kept(
    catalogue: Any, globus: GlobusServer, ds: Any
) -> None:
    file = log_in(catalogue.home, access="old", expires=1)
    ds.download("/x", via="globus", destination_endpoint=ELSEWHERE, progress=False)
    assert len(globus.transfers) == 1
    kept = json.loads(file.read_text())
    assert kept["transfer.api.globus.org"]["access_token"] == "good"


def test_without_an_endpoint_here(
    globus: GlobusServer, ds: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "empty"))
    with pytest.raises(dv.errors.DownloadError, match=r"no Globus Connect Personal .*--to"):
        ds.download("/x", via="globus")


def test_login_without_a_browser(catalogue: Any, globus: GlobusServer) -> None:
    file = log_in(catalogue.home)
    file.unlink()
    done = CliRunner().invoke(cli, ["login", "--no-browser"], input="c0de\n")
    assert done.exit_code == 0, done.output
    assert f"{globus.url}/auth/v2/oauth2/authorize?" in done.output
    assert done.output.endswith("Logged in.\n")
    (grant,) = globus.grants
    assert (grant["grant_type"], grant["code"]) == ("authorization_code", "c0de")
    assert json.loads(file.read_text())["transfer.api.globus.org"]["access_token"] == "good"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


# The command line -----------------------------------------------------------------------------


def test_the_command(
    catalogue: Any, globus: GlobusServer, ds: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["download", "SIM000", "/~/{dataset_id}", "--via", "globus", "--to", ELSEWHERE]
    done = CliRunner().invoke(cli, [*words, "--slice", "0, 1", "--label", "x", "--no-wait"])
    assert done.exit_code == 0, done.output
    assert "2 files are being transferred to /~/SIM000" in done.output
    assert globus.transfers[0]["label"] == "x"
    done = CliRunner().invoke(cli, [*words, "--verify"])
    assert done.exit_code == 2
    assert "not for a transfer" in done.output
    log_in(catalogue.home).unlink()
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 1
    assert "run `dkist-virtual login`" in capsys.readouterr().err


# Over HTTPS -----------------------------------------------------------------------------------


@pytest.fixture
def https(catalogue: Any, globus: GlobusServer) -> Iterator[GlobusServer]:
    """A login for the collection's HTTPS server, by the command."""
    from dkist_virtual.datacenter.globus_login import _https_authorizer

    _https_authorizer.cache_clear()
    globus.server = COLLECTION
    done = CliRunner().invoke(cli, ["login", "--https", COLLECTION], input="c0de\n")
    assert done.exit_code == 0, done.output
    assert f"scopes%2F{COLLECTION}%2Fhttps" in done.output
    yield globus
    _https_authorizer.cache_clear()


def token_file(catalogue: Any) -> Path:
    return Path(catalogue.home) / "cache" / "dkist_virtual" / "globus_https.json"


def test_frames_over_https(catalogue: Any, https: GlobusServer, simulated: Any) -> None:
    assert stat.S_IMODE(token_file(catalogue).stat().st_mode) == 0o600
    how = over_https("SIM000")
    assert how["frames"] == f"{https.url}/collection/data/PROPOSAL/SIM000"
    assert "good" not in repr(how)
    assert b"good" not in pickle.dumps(how)
    ds = dv.open_dataset("SIM000", **how)
    (name,) = ds[0, 3].files.names
    np.testing.assert_array_equal(
        ds[0, 3].data.compute(), fits.getdata(simulated("visp") / name, 1)[0]
    )


def test_frames_over_https_by_the_command(
    catalogue: Any, https: GlobusServer, simulated: Any, tmp_path: Path
) -> None:
    words = ["download", "SIM000", str(tmp_path / "here"), "--slice", "0, 3"]
    done = CliRunner().invoke(cli, [*words, "--frames", f"globus:{COLLECTION}"])
    assert done.exit_code == 0, done.output
    (path,) = (tmp_path / "here").iterdir()
    assert path.read_bytes() == (simulated("visp") / path.name).read_bytes()


def test_a_token_is_refreshed_while_frames_are_read(catalogue: Any, https: GlobusServer) -> None:
    from dkist_virtual.datacenter.globus_login import _https_authorizer

    ds = dv.open_dataset("SIM000", **over_https("SIM000"))
    # Two days later: what is kept has expired, the server accepts only what is given anew.
    kept = json.loads(token_file(catalogue).read_text())
    kept[COLLECTION] |= {"expires_at_seconds": 1, "access_token": "old"}
    token_file(catalogue).write_text(json.dumps(kept))
    _https_authorizer.cache_clear()
    https.grants.clear()
    https.accepted, https.refreshed = {"new"}, "new"
    ds[0].data.compute()
    assert [grant["grant_type"] for grant in https.grants] == ["refresh_token"]
    assert json.loads(token_file(catalogue).read_text())[COLLECTION]["access_token"] == "new"


def test_off_forbidden_and_expired_are_three_errors(catalogue: Any, https: GlobusServer) -> None:
    from dkist_virtual.datacenter.globus_login import _https_authorizer

    ds = dv.open_dataset("SIM000", **over_https("SIM000"))
    https.forbidden = True
    with pytest.raises(dv.errors.FrameForbiddenError, match=r"403 .*no permission"):
        ds[0, 0].data.compute()
    https.forbidden = False

    # The server takes the token no longer, though by its date it would be good.
    good, https.accepted = https.accepted, set()
    with pytest.raises(dv.errors.FrameLoginError, match="may have expired") as caught:
        ds[0, 1].data.compute()
    assert "dkist-virtual login --https" in str(caught.value)
    https.accepted = good

    # It has expired by its date, and so has what refreshes it.
    kept = json.loads(token_file(catalogue).read_text())
    kept[COLLECTION]["expires_at_seconds"] = 1
    token_file(catalogue).write_text(json.dumps(kept))
    _https_authorizer.cache_clear()
    https.refreshed = None
    with pytest.raises(dv.errors.FrameLoginError, match=f"{COLLECTION} has expired"):
        ds[0, 2].data.compute()
    https.refreshed = "good"

    https.https = False
    with pytest.raises(dv.errors.HTTPSOffError, match=f"HTTPS is off for .* {COLLECTION}"):
        over_https("SIM000")


def test_https_without_a_login(catalogue: Any, globus: GlobusServer) -> None:
    with pytest.raises(dv.errors.LoginError, match=f"login --https {COLLECTION}"):
        over_https("SIM000")
    with pytest.raises(KeyError, match="Cookie"):
        Bearer(COLLECTION)["Cookie"]
