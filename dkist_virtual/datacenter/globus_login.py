"""Log in to Globus, keep tokens, and translate its errors."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.datacenter.catalogue import net
from dkist_virtual.errors import (
    AccessError,
    DKISTVirtualError,
    DownloadError,
    FrameLoginError,
    LoginError,
)

if TYPE_CHECKING:
    from globus_sdk import (
        GlobusHTTPResponse,
        NativeAppAuthClient,
        OAuthTokenResponse,
        RefreshTokenAuthorizer,
        TransferClient,
    )

__all__ = ["Bearer", "login", "open_client", "translate_errors"]

TRANSFER: Final = "transfer.api.globus.org"

_LOG_IN: Final = (
    "run `dkist-virtual login`, or `dkist-virtual login --no-browser` on a machine without a "
    "browser: it prints an address to open on another one, and asks for the code that is shown "
    "there"
)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn errors of Globus into those of this package, which say what to do."""
    import globus_sdk

    try:
        yield
    except globus_sdk.AuthAPIError as error:
        raise LoginError(f"the login to Globus has expired: {_LOG_IN}") from error
    except globus_sdk.GlobusAPIError as error:
        if error.http_status == 401:
            raise LoginError(f"Globus does not accept the login: {_LOG_IN}") from error
        answer = f"Globus answered {error.http_status} {error.code}: {error.message}"
        if error.http_status == 403:
            raise AccessError(f"no permission: {answer}") from error
        raise DownloadError(answer) from error
    except globus_sdk.NetworkError as error:
        raise DownloadError(f"Globus could not be reached: {error}") from error
    except globus_sdk.GlobusSDKUsageError as error:
        raise DownloadError(f"Globus was not asked: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, DKISTVirtualError):
            raise
        raise DownloadError(
            f"Globus sent an unexpected answer: {type(error).__name__}: {error}"
        ) from error


def open_client(collection: str) -> tuple[TransferClient, GlobusHTTPResponse]:
    """Make a client with dkist's own login; return it with Globus's description of a collection.

    Without a valid login this raises LoginError; dkist would open a browser and wait for it, for
    ever where there is none.
    """
    from dkist.net.globus.auth import get_cache_contents
    from dkist.net.globus.endpoints import get_transfer_client

    if TRANSFER not in get_cache_contents():
        raise LoginError(f"nobody is logged in to Globus on this machine: {_LOG_IN}")
    client = get_transfer_client()
    return client, client.get_endpoint(collection)


def login(
    collection: str | None = None,
    *,
    browser: bool = True,
    seconds: float = 300.0,
    say: Callable[[str], object],
    ask: Callable[[str], str],
) -> None:
    """Log in to Globus; the tokens are stored with those of ``dkist``, or in a cache of our own.

    Parameters
    ----------
    collection : str, optional
        ID of a collection to read over HTTPS; by default the login is that of ``dkist``, for
        transfers.
    browser : bool
        Open one on this machine. Without one, and for a collection, the user opens an address
        anywhere and enters the code shown there.
    seconds : float
        How long to wait for the browser.
    say, ask : callable
        Print a text; the latter returns the answer.
    """
    net()
    import globus_sdk
    from dkist.net.globus import auth

    with translate_errors():
        client = globus_sdk.NativeAppAuthClient(client_id=auth.CLIENT_ID)
        if browser and collection is None and _has_browser():
            auth.save_auth_cache(_log_in_by_browser(client, say, seconds))
            return
        own = f"https://auth.globus.org/scopes/{collection}/https"
        scopes = auth.SCOPES if collection is None else [own]
        client.oauth2_start_flow(requested_scopes=list(scopes), refresh_tokens=True)
        say(f"Open this address in a browser, on any machine:\n{client.oauth2_get_authorize_url()}")
        answer = client.oauth2_exchange_code_for_tokens(ask("The code that is shown there").strip())
    if collection is None:
        auth.save_auth_cache(answer)
    else:
        _save(answer)
        _https_authorizer.cache_clear()


def _has_browser() -> bool:
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def _log_in_by_browser(
    client: NativeAppAuthClient, say: Callable[[str], object], seconds: float
) -> OAuthTokenResponse:
    """Log in with a browser of this machine, which sends the code to a server here.

    dkist does the same, but waits for ever where nobody answers.
    """
    import queue
    import webbrowser

    from dkist.net.globus import auth

    server = auth.start_local_server()
    try:
        address = f"http://{server.server_address[0]}:{server.server_address[1]}"
        client.oauth2_start_flow(
            requested_scopes=list(auth.SCOPES), redirect_uri=address, refresh_tokens=True
        )
        url = client.oauth2_get_authorize_url()
        say(f"Log in with the browser that opens, or open this address in one here:\n{url}")
        if not webbrowser.open(url, new=1):
            raise LoginError(f"no browser could be opened: {_BY_CODE}")
        try:
            # Its public `wait_for_code` has no timeout.
            code = server._auth_code_queue.get(timeout=seconds)
        except queue.Empty:
            raise LoginError(f"no answer from the browser in {seconds:g} s: {_BY_CODE}") from None
    finally:
        server.shutdown()
        server.server_close()
    if not code:
        raise LoginError(f"the browser sent no code: the login was refused. {_BY_CODE}")
    return client.oauth2_exchange_code_for_tokens(code)


_BY_CODE: Final = "`dkist-virtual login --no-browser` takes a code from a browser anywhere"


def _token_file() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("dkist_virtual") / "globus_https.json"


def _saved() -> dict[str, Any]:
    try:
        tokens: dict[str, Any] = json.loads(_token_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tokens


def _save(answer: OAuthTokenResponse) -> None:
    """Save the tokens of collections in a file that only this user can read."""
    tokens = _saved() | dict(answer.by_resource_server)
    path = _token_file()
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(tokens, file)
        partial.replace(path)
    except OSError as error:
        raise LoginError(
            f"{path}: the login cannot be saved there: {error.strerror or error}. XDG_CACHE_HOME "
            "names another place"
        ) from error


@dataclass(frozen=True)
class Bearer(Mapping[str, str]):
    """The headers for a collection's HTTPS server: a token, refreshed where it has expired.

    It contains no token itself, so that it may be printed or sent to other processes of this user.
    """

    collection: str

    def __getitem__(self, name: str) -> str:
        if name != "Authorization":
            raise KeyError(name)
        import globus_sdk

        again = f"run `dkist-virtual login --https {self.collection}`"
        try:
            authorizer = _https_authorizer(self.collection)
            header: str | None = authorizer.get_authorization_header()
        except KeyError:
            raise LoginError(
                f"nobody is logged in for the Globus collection {self.collection}: {again}"
            ) from None
        except globus_sdk.GlobusError as error:
            raise FrameLoginError(
                f"the token for the Globus collection {self.collection} has expired, and Globus "
                f"issues no new one ({error}): {again}"
            ) from error
        assert header is not None
        return header

    def __iter__(self) -> Iterator[str]:
        return iter(("Authorization",))

    def __len__(self) -> int:
        return 1


@cache
def _https_authorizer(collection: str) -> RefreshTokenAuthorizer:
    import globus_sdk
    from dkist.net.globus.auth import CLIENT_ID

    tokens = _saved()[collection]
    return globus_sdk.RefreshTokenAuthorizer(
        tokens["refresh_token"],
        globus_sdk.NativeAppAuthClient(client_id=CLIENT_ID),
        access_token=tokens["access_token"],
        expires_at=tokens["expires_at_seconds"],
        on_refresh=_save,
    )
