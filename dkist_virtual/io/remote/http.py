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
from dkist_virtual.io.remote.reply import (
    BLOCK,
    MAX_SKIP,
    AgainError,
    MovedError,
    Reply,
    Sink,
    fill,
    length_of,
    part_of,
    read_unpacked,
    read_up_to,
    read_whole,
    too_long,
    why,
)
from dkist_virtual.io.settings import setting

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ask_web", "from_all", "pour_web"]

_UNSATISFIED: Final = re.compile(r"bytes \*/([0-9]{1,19})")


async def ask_web(filesystem: Any, url: str, start: int, stop: int | None, most: int) -> Reply:
    """One GET (RFC 9110; ranges are its section 14), of which no more is read than asked for."""
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
                begin, end, total = part_of(answer.headers.get("Content-Range"))
                if begin != start:
                    raise FrameUnreachableError(
                        f"answered 206 with the bytes from {begin} on: expected those from {start}"
                    )
                data = await read_up_to(answer.content, most if stop is None else stop - start)
                if len(data) != end - start:
                    raise AgainError(
                        f"the answer's body has {len(data)} bytes, of {start} to {end} announced"
                    )
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
    content: Any, start: int, stop: int | None, total: int | None, most: int
) -> tuple[bytes, int | None]:
    """The bytes wanted of a body that begins with the file's first, and its length if it ended.

    What comes before them is dropped as it comes.
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


def _http_request(filesystem: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What aiohttp is given for each request, and the headers."""
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


def _encoding(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Encoding", "identity").strip().lower() or "identity"


def _is_gzip(headers: Mapping[str, str]) -> bool:
    """Whether a file comes compressed: some buckets keep JSON so, and ask nobody."""
    return _encoding(headers) in ("gzip", "x-gzip")


def _refuse_encoded(headers: Mapping[str, str]) -> None:
    """Refuse a part of a file, or what goes to the disk, that is not the file's own bytes."""
    encoding = _encoding(headers)
    if encoding != "identity":
        # Byte ranges of it are not the file's, and nobody knows where one breaks off.
        raise FrameUnreachableError(
            f"the server sends the file encoded as {encoding!r:.20}, unasked: expected the bytes "
            "as they are. That is to be turned off there"
        )


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
    """Whether a 206 goes on where the sink stands, in the very file that it has a part of.

    Servers are known that answer If-Range with the range whatever the file is by now.
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


SETTLED: Final = 2 * 10**9
"""Nanoseconds. A file that changed less before its server's answer may change again in the same
second, which is all that a date says (RFC 9110, 8.8.2.2)."""


def _about(headers: Mapping[str, str]) -> dict[str, Any]:
    """What an answer says of the version of its file."""
    etag, mtime = headers.get("ETag"), _mtime(headers.get("Last-Modified"))
    date = _mtime(headers.get("Date"))
    settled = mtime is not None and date is not None and date - mtime >= SETTLED
    strong = etag is not None and not etag.startswith("W/")
    return {"mtime": mtime, "etag": etag, "firm": strong or settled}


def _mtime(text: str | None) -> int | None:
    """A date in nanoseconds; None where there is none, or one that no file has."""
    try:
        return None if text is None else int(parsedate_to_datetime(text).timestamp()) * 10**9
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
