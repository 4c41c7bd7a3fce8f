"""What the Globus SDK talks to, on this machine: transfers, logins, and an HTTPS collection.

The SDK's own client runs unchanged; the environment tells it where its services are. Every
transfer that is handed in is recorded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from dkist_virtual.demo.server import FrameServer

LOCAL = "11111111-2222-3333-4444-555555555555"
ELSEWHERE = "99999999-8888-7777-6666-555555555555"
TRANSFER = "transfer.api.globus.org"


def tokens(access: str, server: str = TRANSFER, *, expires: int = 4_000_000_000) -> dict[str, Any]:
    """What is kept of a login, as the SDK gives it."""
    return {
        server: {
            "scope": "simulated",
            "access_token": access,
            "refresh_token": "again",
            "token_type": "Bearer",
            "expires_at_seconds": expires,
            "resource_server": server,
        }
    }


@dataclass
class GlobusServer(FrameServer):
    """Serves the API, and below ``/collection`` the directory to those with a token.

    Attributes
    ----------
    transfers : list of dict
        The bodies of the transfers that were handed in.
    status : str
        How every task ends.
    accepted : set of str
        The access tokens that are good.
    refreshed : str or None
        The access token that a refresh gives; None where the refresh token has expired.
    https : bool
        Whether the collection has HTTPS turned on.
    """

    transfers: list[dict[str, Any]] = field(default_factory=list)
    grants: list[dict[str, str]] = field(default_factory=list)
    status: str = "SUCCEEDED"
    accepted: set[str] = field(default_factory=lambda: {"good"})
    refreshed: str | None = "good"
    server: str = TRANSFER
    https: bool = True
    forbidden: bool = False

    def environment(self) -> dict[str, str]:
        return {
            "GLOBUS_SDK_SERVICE_URL_TRANSFER": f"{self.url}/transfer/",
            "GLOBUS_SDK_SERVICE_URL_AUTH": f"{self.url}/auth/",
        }

    async def _answer(self, request: web.Request, path: str, fault: Any) -> web.StreamResponse:
        if path == "auth/v2/oauth2/token":
            return self._token(await request.text())
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if path.startswith("transfer/v0.10/"):
            self.requests.append((request.method, path, None, 0))
            if bearer not in self.accepted:
                return self._error(401, "AuthenticationFailed")
            if isinstance(fault, int):
                return self._error(fault, "PermissionDenied" if fault == 403 else "Broken")
            return self._transfer(path.removeprefix("transfer/v0.10/"), await request.text())
        if bearer not in self.accepted:
            return web.Response(status=401)
        if self.forbidden:
            return web.Response(status=403)
        return await super()._answer(request, path, fault)

    @staticmethod
    def _error(status: int, code: str) -> web.Response:
        return web.json_response({"code": code, "message": "simulated"}, status=status)

    def _token(self, body: str) -> web.Response:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.grants.append(form)
        if form["grant_type"] == "refresh_token" and self.refreshed is None:
            return web.json_response({"error": "invalid_grant"}, status=400)
        server = self.server
        return web.json_response(
            {
                "access_token": self.refreshed or "good",
                "refresh_token": "again",
                "expires_in": 172800,
                "resource_server": server,
                "scope": form.get("scope", "simulated"),
                "token_type": "Bearer",
                "other_tokens": [],
            }
        )

    def _transfer(self, path: str, body: str) -> web.Response:
        kind, _, rest = path.partition("/")
        if kind == "endpoint":
            server = f"{self.url}/collection" if self.https else None
            return web.json_response({"id": rest, "https_server": server, "display_name": "x"})
        if kind == "submission_id":
            return web.json_response({"value": "submission"})
        if kind == "transfer":
            self.transfers.append(json.loads(body))
            return web.json_response({"task_id": "task-1", "code": "Accepted"}, status=202)
        if rest.endswith("event_list"):
            return web.json_response({"DATA": [], "total": 0, "offset": 0, "limit": 1000})
        n = len(self.transfers[-1]["DATA"])
        done = n if self.status == "SUCCEEDED" else 0
        return web.json_response(
            {
                "task_id": "task-1",
                "status": self.status,
                "files": n,
                "files_transferred": done,
                "files_skipped": 0,
                "nice_status_details": None if done else "the disk is full",
            }
        )


def connect_personal(home: Path) -> None:
    """Have Globus Connect Personal set up in a home directory."""
    directory = home / ".globusonline" / "lta"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "client-id.txt").write_text(LOCAL)


def log_in(home: Path, **how: Any) -> Path:
    """Write a login where dkist keeps it."""
    file: Path = home / "cache" / "dkist" / "globus_auth_cache.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(tokens(how.pop("access", "good"), **how)))
    return file
