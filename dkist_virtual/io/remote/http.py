"""Get a byte range from a web server: one GET, whose answer is checked (RFC 9110)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from dkist_virtual.errors import (
    FrameCorruptError,
    FrameError,
    FrameForbiddenError,
    FrameLoginError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.io.byte_range import SECOND, Reply
from dkist_virtual.io.remote.reply import (
    BLOCK,
    MAX_SKIP,
    AgainError,
    ByteStream,
    MovedError,
    Sink,
    fill,
    length_of,
    part_of,
    read_part,
    read_unpacked,
    read_up_to,
    read_whole,
    too_long,
    why,
)
from dkist_virtual.io.settings import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fsspec.implementations.http import HTTPFileSystem

__all__ = ["ask_web", "from_all", "pour_web"]

_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,19})")


async def ask_web(
    filesystem: HTTPFileSystem, url: str, start: int, stop: int | None, most: int
) -> Reply:
    """Send one GET (RFC 9110, section 14), and read no more of the answer than was asked for."""
    import aiohttp
    from yarl import URL

    how, headers = _http_request(filesystem)
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    session = await filesystem.set_session()
    try:
        async with session.get(URL(url, encoded=True), headers=headers, **how) as answer:
            _refuse(answer.status, answer.reason, answer.headers, start, headers)
            about = _about(answer.headers)
            if answer.status == 200 and not start and stop is None and _is_gzip(answer.headers):
                data = await read_unpacked(answer.content, most)
                return Reply(data, len(data), **about)
            _refuse_encoded(answer.headers)
            if answer.status == 206:
                stated = answer.headers.get("Content-Range")
                data, total = await read_part(answer.content, stated, start, stop, most)
                return Reply(data, total, **about)
            # A server that knows no ranges sends everything.
            total = length_of(answer.headers.get("Content-Length"))
            data, whole = await from_all(answer.content, start, stop, total, most)
            return Reply(data, whole if total is None else total, **about)
    except FrameError:  # also an OSError, some of them
        raise
    except ValueError as error:  # options that contradict each other, a URL that is none
        raise FrameUnreachableError(f"cannot be asked: {error}") from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise AgainError(why(error)) from error


async def from_all(
    content: ByteStream, start: int, stop: int | None, total: int | None, most: int
) -> tuple[bytes, int | None]:
    """Read a range out of a body that begins with the file's first byte.

    Returns the bytes, and the file's length if the body ended.
    """
    if stop is None and total is not None and total > most:
        raise too_long(most)
    if start > MAX_SKIP and (total is None or total > start):
        raise FrameUnreachableError(
            f"the server sends files as a whole: for bytes from {start} on, more than {MAX_SKIP} "
            "before them would have to be fetched"
        )
    left = start
    while left and (part := await content.read(min(left, BLOCK))):
        left -= len(part)
    whole = stop is None
    data = await (read_whole(content, most) if stop is None else read_up_to(content, stop - start))
    there = start - left + len(data)
    if total is not None and there < (total if stop is None else min(total, stop)):
        raise AgainError(f"the answer's body ends after {there} of {total} bytes")
    ended = whole or left > 0 or len(data) < (stop or 0) - start
    return data, there if ended else None


def _http_request(filesystem: HTTPFileSystem) -> tuple[dict[str, Any], dict[str, str]]:
    """Make the arguments and headers of a request for aiohttp."""
    import aiohttp

    how = {**filesystem.kwargs, "allow_redirects": False, "auto_decompress": False}
    headers = {**how.pop("headers", {}), "Accept-Encoding": "identity"}
    limits = {"sock_connect": setting("timeout"), "sock_read": setting("timeout")}
    how.setdefault("timeout", aiohttp.ClientTimeout(total=None, **limits))
    return how, headers


def _refuse(
    status: int,
    reason: str | None,
    headers: Mapping[str, str],
    start: int,
    sent: Mapping[str, str],
) -> None:
    """Raise for every status without bytes."""
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
    # From here on the server understood and refused: a retry would not help.
    if status == 401 and any(name.lower() == "authorization" for name in sent):
        raise FrameLoginError(
            f"the server {said}. The token or password that was sent is not accepted: it "
            "may have expired. For one of Globus, `dkist-virtual login --https COLLECTION` asks "
            "for another"
        )
    if status == 401:
        raise FrameLoginError(
            f'the server {said}. It requires a login: storage_options={{"https://…/": '
            '{"headers": …}}'
        )
    if status == 403:
        raise FrameForbiddenError(f"the server {said}. You have no permission to read this file")
    if status not in (200, 206):
        raise FrameUnreachableError(f"the server {said}")


def _encoding(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Encoding", "identity").strip().lower() or "identity"


def _is_gzip(headers: Mapping[str, str]) -> bool:
    """Check whether a file is sent compressed: some buckets keep JSON that way."""
    return _encoding(headers) in ("gzip", "x-gzip")


def _refuse_encoded(headers: Mapping[str, str]) -> None:
    """Refuse encoded bytes of a range or a download: they are not the file's own."""
    encoding = _encoding(headers)
    if encoding != "identity":
        # Byte ranges of it are not the file's, and its length is unknown.
        raise FrameUnreachableError(
            f"the server sends the file encoded as {encoding!r:.20}, unasked: expected the bytes "
            "as they are. The server's settings have to be changed"
        )


async def pour_web(filesystem: HTTPFileSystem, url: str, sink: Sink) -> None:
    """Send one GET, for the rest of a file if the server still has the same (RFC 9110, 13.1.5)."""
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
            if "Range" in headers and answer.status in (206, 416):
                same = answer.status == 206 and _goes_on(answer.headers, sink)
            else:
                _refuse(answer.status, answer.reason, answer.headers, 0, headers)
                _refuse_encoded(answer.headers)
                if answer.status != 200:
                    raise FrameUnreachableError(f"answered {answer.status} to no range")
                same = True
                total = length_of(answer.headers.get("Content-Length"))
                if total is not None and total > sink.most:
                    raise too_long(sink.most)
                await sink.begin(total, _validator(answer.headers))
            if same:
                return await fill(sink, answer.content.iter_any())
    except FrameError:  # also an OSError, some of them
        raise
    except ValueError as error:  # options that contradict each other, a URL that is none
        raise FrameUnreachableError(f"cannot be asked: {error}") from None
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise AgainError(why(error)) from error
    # Another file by now, or a part that is longer than the file.
    await sink.begin(None, None)
    return await pour_web(filesystem, url, sink)


def _goes_on(headers: Mapping[str, str], sink: Sink) -> bool:
    """Check whether a 206 continues at the sink's end, in the file that it has a part of.

    Some servers answer If-Range with the range even if the file has changed.
    """
    try:
        begin, _, total = part_of(headers.get("Content-Range"))
    except FrameUnreachableError:
        return False
    if begin != sink.have or _encoding(headers) != "identity":
        return False
    same_length = total is None or sink.total is None or total == sink.total
    found = _validator(headers)
    return same_length and (found is None or found == sink.validator)


def _validator(headers: Mapping[str, str]) -> str | None:
    etag: str | None = headers.get("ETag")
    if etag is not None:  # a weak one does not promise the same bytes
        return None if etag.startswith("W/") else etag
    return headers.get("Last-Modified")


SETTLED: Final = 2 * SECOND
"""Nanoseconds. A file that changed less before its server's answer may change again in the same
second, which is all that a date says (RFC 9110, 8.8.2.2)."""


def _about(headers: Mapping[str, str]) -> dict[str, Any]:
    """Read what an answer says about the version of its file."""
    etag, mtime = headers.get("ETag"), _mtime(headers.get("Last-Modified"))
    date = _mtime(headers.get("Date"))
    settled = mtime is not None and date is not None and date - mtime >= SETTLED
    strong = etag is not None and not etag.startswith("W/")
    return {"mtime": mtime, "etag": etag, "firm": strong or settled}


def _mtime(text: str | None) -> int | None:
    """Parse a date to nanoseconds; None where there is none, or one that no file has."""
    try:
        return None if text is None else int(parsedate_to_datetime(text).timestamp()) * SECOND
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
