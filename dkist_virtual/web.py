"""Byte ranges of web servers: one GET each, whose answer says what it is (RFC 9110)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.answers import (
    BLOCK,
    CONTENT_RANGE,
    AgainError,
    MovedError,
    Reply,
    Sink,
    fill,
    setting,
)
from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameForbiddenError,
    FrameLoginError,
    FrameMissingError,
    FrameUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ask_web", "pour_web"]

_UNSATISFIED: Final = re.compile(r"bytes \*/(\d+)")


async def ask_web(filesystem: Any, url: str, start: int, stop: int | None) -> Reply:
    """One GET (RFC 9110; ranges are its section 14)."""
    import aiohttp
    from yarl import URL

    how, headers = _http_request(filesystem)
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    session = await filesystem.set_session()
    try:
        async with session.get(URL(url, encoded=True), headers=headers, **how) as answer:
            _refuse(answer.status, answer.reason, answer.headers, start, headers)
            length = answer.headers.get("Content-Length", "")
            about = (_mtime(answer.headers.get("Last-Modified")), answer.headers.get("ETag"))
            if answer.status == 206:
                # Not more than was asked for, whatever is sent.
                data = await (
                    answer.read() if stop is None else _read_up_to(answer.content, stop - start)
                )
                match = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
                if match is None or int(match[1]) != start:
                    raise FrameUnreachableError(
                        f"answered 206 with Content-Range {answer.headers.get('Content-Range')!r}: "
                        f"expected the bytes from {start} on"
                    )
                if len(data) != int(match[2]) - start + 1:
                    raise AgainError(f"the answer's body has {len(data)} bytes of {match[0]}")
                return Reply(data, None if match[3] == "*" else int(match[3]), *about)
            # A server that knows no ranges sends everything, of which no more is read than needed.
            total = int(length) if length.isdecimal() else None
            if stop is None:
                data = await answer.read()
                total = len(data) if total is None else total
            else:
                data = await _read_up_to(answer.content, stop)
            if total is not None and len(data) < min(total, total if stop is None else stop):
                raise AgainError(f"the answer's body ends after {len(data)} of {total} bytes")
            return Reply(data[start:stop], total, *about)
    except FrameError:  # also an OSError, some of them
        raise
    except ValueError as error:  # options that contradict each other, a URL that is none
        raise FrameUnreachableError(f"cannot be asked: {error}") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise AgainError(f"{type(error).__name__}: {error}".rstrip(": ")) from error


def _http_request(filesystem: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What aiohttp is given for each request, and the headers."""
    import aiohttp

    how = {**filesystem.kwargs, "allow_redirects": False}
    headers = {**how.pop("headers", {}), "Accept-Encoding": "identity"}
    limits = {"sock_connect": setting("timeout"), "sock_read": setting("timeout")}
    how.setdefault("timeout", aiohttp.ClientTimeout(total=None, **limits))
    return how, headers


async def _read_up_to(stream: Any, n: int) -> bytes:
    parts, left = [], n
    while left > 0:
        part = await stream.read(left)
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _refuse(
    status: int,
    reason: str | None,
    headers: Mapping[str, str],
    start: int,
    sent: Mapping[str, str],
) -> None:
    """Raise for every status but those that bring bytes."""
    said = f"answered {status} {reason or ''}".rstrip()
    if status in (301, 302, 303, 307, 308) and "Location" in headers:
        raise MovedError(headers["Location"])
    if status in (404, 410):
        raise FrameMissingError(f"no such file: the server {said}")
    if status == 416:
        match = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
        length = f"has {match[1]} bytes" if match else "is shorter"
        raise FrameCorruptError(f"the file {length}: bytes from {start} on were referenced")
    if status >= 500:
        raise AgainError(f"the server {said}")
    # From here on, told no by somebody who understood: asking again will not help.
    if status == 401 and any(name.lower() == "authorization" for name in sent):
        raise FrameLoginError(
            f"the server {said}. The token or password that was sent is not accepted, or no "
            "longer: it may have expired. Where it is one of Globus, `dkist-virtual login --https "
            "COLLECTION` asks for another"
        )
    if status == 401:
        raise FrameLoginError(
            f'the server {said}. It wants to know who asks: storage_options={{"https://…/": '
            '{"headers": …}}'
        )
    if status == 403:
        raise FrameForbiddenError(f"the server {said}. Whoever asks has no permission")
    if status not in (200, 206):
        raise FrameUnreachableError(f"the server {said}")


async def pour_web(filesystem: Any, url: str, sink: Sink) -> None:
    """One GET, of what is left if the server has the same file still (RFC 9110, 13.1.5)."""
    import aiohttp
    from yarl import URL

    how, headers = _http_request(filesystem)
    if sink.have and sink.validator:
        headers |= {"Range": f"bytes={sink.have}-", "If-Range": sink.validator}
    session = await filesystem.set_session()
    try:
        async with session.get(
            URL(url, encoded=True), headers=headers, read_bufsize=BLOCK // 2, **how
        ) as answer:
            length = answer.headers.get("Content-Length", "")
            if "Range" in headers and answer.status in (206, 416):
                same = answer.status == 206 and _goes_on(answer.headers, sink)
            else:
                _refuse(answer.status, answer.reason, answer.headers, 0, headers)
                if answer.status != 200:
                    raise FrameUnreachableError(f"answered {answer.status} to no range")
                same = True
                total = int(length) if length.isdecimal() else None
                await sink.begin(total, _validator(answer.headers))
            if same:
                return await fill(sink, answer.content.iter_any())
    except FrameError:  # also an OSError, some of them
        raise
    except ValueError as error:  # options that contradict each other, a URL that is none
        raise FrameUnreachableError(f"cannot be asked: {error}") from None
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise AgainError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    # Another file by now, or a part that is longer than the file.
    await sink.begin(None, None)
    return await pour_web(filesystem, url, sink)


def _goes_on(headers: Mapping[str, str], sink: Sink) -> bool:
    """Whether a 206 goes on where the sink stands, in the very file that it has a part of.

    Servers are known that answer If-Range with the range whatever the file is by now.
    """
    match = CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None or int(match[1]) != sink.have:
        return False
    same_length = match[3] == "*" or sink.total is None or int(match[3]) == sink.total
    found = _validator(headers)
    return same_length and (found is None or found == sink.validator)


def _validator(headers: Mapping[str, str]) -> str | None:
    etag: str | None = headers.get("ETag")
    if etag is not None:  # a weak one does not promise the same bytes
        return None if etag.startswith("W/") else etag
    return headers.get("Last-Modified")


def _mtime(text: str | None) -> int | None:
    try:
        return None if text is None else int(parsedate_to_datetime(text).timestamp()) * 10**9
    except ValueError:
        return None
