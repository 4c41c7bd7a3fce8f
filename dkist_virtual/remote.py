"""Byte ranges from servers and buckets: one request each, tried again where that can help.

Everything runs on fsspec's event loop, in sessions that fsspec opens with the options that the
user gave it. For HTTP and S3 the answer itself is looked at, since what it says of the file (its
length, its ETag) is what tells a changed frame from the one that was scanned; of any other
filesystem only the bytes are known.

What a request can come to are three things (`errors`): the server says that there is no such
file, which is absent; it cannot be asked, refuses, or breaks off, which is unreachable; it sends
something else than was asked for, which is corrupt.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakValueDictionary

from dkist_virtual.errors import (
    DownloadError,
    FrameCorruptError,
    FrameError,
    FrameForbiddenError,
    FrameLoginError,
    FrameMissingError,
    FrameUnreachableError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["BLOCK", "SETTINGS", "Reply", "Sink", "get", "pour", "setting", "too_short"]

SETTINGS: Final[dict[str, float]] = {
    "concurrency": 64,
    "retries": 4,
    "backoff": 0.1,
    "timeout": 30.0,
}
"""How remote places are asked: requests at once, how often again after a failure, seconds before
the first of those (then twice as long each), seconds without an answer that are a failure. Each
is set as ``dask.config.set({"dkist_virtual.retries": 2})``, which reaches dask's workers too."""


def setting(name: str) -> float:
    """One of `SETTINGS`, as it is set now."""
    import dask

    given = dask.config.get(f"dkist_virtual.{name}", SETTINGS[name])
    if isinstance(given, (int, float)) and given >= 0:
        return given
    raise ValueError(f"the setting dkist_virtual.{name} is {given!r}: expected a number from 0 on")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered.

    Attributes
    ----------
    data : bytes or memoryview
        As far as the file goes.
    total : int or None
        Length of the whole file; None where its server does not say.
    mtime : int or None
        When it was last changed, in nanoseconds, UTC.
    etag : str or None
    """

    data: bytes | memoryview
    total: int | None
    mtime: int | None = None
    etag: str | None = None


BLOCK: Final = 2**20
"""Bytes of a file on its way to the disk that are held at a time."""


class Sink(Protocol):
    """Where a whole file goes, piece by piece.

    Attributes
    ----------
    have : int
        How many bytes, from the first one on, are there already.
    total : int or None
        Length of the file that those are of, where it is known.
    validator : str or None
        What its server calls this version of it: a strong ETag, or its date.
    """

    have: int
    total: int | None
    validator: str | None

    async def begin(self, total: int | None, validator: str | None) -> None:
        """Begin anew, with nothing; refuse a file of the wrong length."""
        ...

    async def write(self, pieces: list[bytes]) -> None:
        """Add what comes next."""
        ...


CACHED_BLOCK: Final = 2**18
"""Bytes that are fetched and kept at a time where there is a cache on the disk."""

_ONE_READER: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class _Again(Exception):  # noqa: N818  # no error yet: what a request is tried again for
    """A failure that may pass."""


async def get(
    url: str,
    start: int,
    stop: int | None,
    options: Mapping[str, Any],
    limit: asyncio.Semaphore,
    cache: str | None = None,
) -> Reply:
    """Bytes of a remote file.

    Parameters
    ----------
    url : str
    start : int
    stop : int or None
        Half-open; None for everything from `start` on.
    options : mapping
        Of fsspec's filesystem for the URL.
    limit : asyncio.Semaphore
        How many requests may be under way.
    cache : str, optional
        A directory on this machine that keeps the blocks which were fetched: fsspec's.

    Raises
    ------
    FrameMissingError
        404, 410, NoSuchKey.
    FrameUnreachableError
        Any other refusal; no answer, or a broken one, after all tries.
    FrameCorruptError
        The range begins behind the file's end.
    """
    import fsspec

    protocol = url.partition("://")[0]
    _not_through_globus(url, protocol)
    try:
        if cache is None:
            filesystem, path = fsspec.core.url_to_fs(url, **options)
        else:
            # A directory for each file: readers at once would lose each other's list of blocks.
            name = hashlib.sha256(url.encode()).hexdigest()
            directory = os.path.join(cache, name[:2], name[2:34])
            inside = {"cache_storage": directory, "skip_instance_cache": True}
            how = {"blockcache": inside, protocol: {"block_size": CACHED_BLOCK, **options}}
            filesystem, path = fsspec.core.url_to_fs(f"blockcache::{url}", **how)
            protocol = "blockcache"
    except (ImportError, ValueError) as error:  # a protocol that is unknown, or not installed
        raise FrameUnreachableError(f"{url}: {type(error).__name__}: {error}") from error
    ask = _http if protocol in ("http", "https") else _s3 if protocol == "s3" else _any
    tries = 1 + int(setting("retries"))
    for attempt in range(tries):
        try:
            async with limit:
                return await ask(filesystem, path, start, stop)
        except _Again as failure:
            if attempt + 1 == tries:
                raise FrameUnreachableError(f"{url}: {failure}, {tries} times") from failure
            # Outside the limit: who waits keeps nobody from asking.
            await asyncio.sleep(setting("backoff") * 2**attempt)
        except FrameError as error:
            raise error.at(url) from error
    raise AssertionError("unreachable")


async def pour(url: str, options: Mapping[str, Any], sink: Sink) -> None:
    """Fetch the whole of a remote file, or what a sink lacks of it.

    What came before a failure is kept, and the next try goes on from there if it is still the
    same file; tries are counted from none again whenever one got further.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
        As `get`.
    """
    import fsspec

    protocol = url.partition("://")[0]
    _not_through_globus(url, protocol)
    try:
        filesystem, path = fsspec.core.url_to_fs(url, **options)
    except (ImportError, ValueError) as error:  # a protocol that is unknown, or not installed
        raise FrameUnreachableError(f"{url}: {type(error).__name__}: {error}") from error
    how = {"http": _pour_http, "https": _pour_http, "s3": _pour_s3}.get(protocol, _pour_any)
    tries, failed, furthest = 1 + int(setting("retries")), 0, sink.have
    while True:
        try:
            return await how(filesystem, path, sink)
        except _Again as failure:
            failed = 1 if sink.have > furthest else failed + 1
            furthest = max(furthest, sink.have)
            if failed >= tries:
                raise FrameUnreachableError(f"{url}: {failure}, {tries} times") from failure
            await asyncio.sleep(setting("backoff") * 2 ** (failed - 1))
        except FrameError as error:
            raise error.at(url) from error


def _not_through_globus(url: str, protocol: str) -> None:
    """Refuse what a dataset opened by its ID says of its frames' place."""
    if protocol == "globus":
        raise FrameUnreachableError(
            f"{url}: the Data Center hands frames out through Globus, from which nothing is read "
            "directly: ds.download(path, via='globus') fetches them, and frames= (--frames) says "
            "where they are otherwise"
        )


async def _fill(sink: Sink, pieces: AsyncIterator[bytes]) -> None:
    """Hand on what comes, in blocks; what came before a failure too."""
    held: list[bytes] = []
    n = 0
    try:
        async for piece in pieces:
            held.append(piece)
            n += len(piece)
            if n >= BLOCK:
                whole, held, n = held, [], 0
                await sink.write(whole)
    except Exception:
        await sink.write(held)
        raise
    await sink.write(held)
    if sink.total is not None and sink.have != sink.total:
        raise _Again(f"the answer's body ends after {sink.have} of {sink.total} bytes")


# HTTP ---------------------------------------------------------------------------------------

_CONTENT_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_UNSATISFIED: Final = re.compile(r"bytes \*/(\d+)")


async def _http(filesystem: Any, url: str, start: int, stop: int | None) -> Reply:
    """One GET (RFC 9110; ranges are its section 14)."""
    import aiohttp

    how, headers = _http_request(filesystem)
    if start or stop is not None:
        headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    session = await filesystem.set_session()
    try:
        async with session.get(filesystem.encode_url(url), headers=headers, **how) as answer:
            _refuse(answer.status, answer.reason, answer.headers, start, headers)
            length = answer.headers.get("Content-Length", "")
            about = (_mtime(answer.headers.get("Last-Modified")), answer.headers.get("ETag"))
            if answer.status == 206:
                data = await answer.read()
                match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
                if match is None or int(match[1]) != start:
                    raise FrameUnreachableError(
                        f"answered 206 with Content-Range {answer.headers.get('Content-Range')!r}: "
                        f"expected the bytes from {start} on"
                    )
                if len(data) != int(match[2]) - start + 1:
                    raise _Again(f"the answer's body has {len(data)} bytes of {match[0]}")
                return Reply(data, None if match[3] == "*" else int(match[3]), *about)
            # A server that knows no ranges sends everything, of which no more is read than needed.
            total = int(length) if length.isdecimal() else None
            if stop is None:
                data = await answer.read()
                total = len(data) if total is None else total
            else:
                data = await _read_up_to(answer.content, stop)
            if total is not None and len(data) < min(total, total if stop is None else stop):
                raise _Again(f"the answer's body ends after {len(data)} of {total} bytes")
            return Reply(data[start:stop], total, *about)
    except FrameError:  # also an OSError, some of them
        raise
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _Again(f"{type(error).__name__}: {error}".rstrip(": ")) from error


def _http_request(filesystem: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What aiohttp is given for each request, and the headers."""
    import aiohttp

    how = dict(filesystem.kwargs)
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
    if status in (404, 410):
        raise FrameMissingError(f"no such file: the server {said}")
    if status == 416:
        match = _UNSATISFIED.fullmatch(headers.get("Content-Range", "").strip())
        length = f"has {match[1]} bytes" if match else "is shorter"
        raise FrameCorruptError(f"the file {length}: bytes from {start} on were referenced")
    if status >= 500:
        raise _Again(f"the server {said}")
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


async def _pour_http(filesystem: Any, url: str, sink: Sink) -> None:
    """One GET, of what is left if the server has the same file still (RFC 9110, 13.1.5)."""
    import aiohttp

    how, headers = _http_request(filesystem)
    if sink.have and sink.validator:
        headers |= {"Range": f"bytes={sink.have}-", "If-Range": sink.validator}
    session = await filesystem.set_session()
    try:
        async with session.get(
            filesystem.encode_url(url), headers=headers, read_bufsize=BLOCK // 2, **how
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
                return await _fill(sink, answer.content.iter_any())
    except FrameError:  # also an OSError, some of them
        raise
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise _Again(f"{type(error).__name__}: {error}".rstrip(": ")) from error
    # Another file by now, or a part that is longer than the file.
    await sink.begin(None, None)
    return await _pour_http(filesystem, url, sink)


def _goes_on(headers: Mapping[str, str], sink: Sink) -> bool:
    """Whether a 206 goes on where the sink stands, in the very file that it has a part of.

    Servers are known that answer If-Range with the range whatever the file is by now.
    """
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
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


# S3 -----------------------------------------------------------------------------------------


async def _s3(filesystem: Any, path: str, start: int, stop: int | None) -> Reply:
    """One GetObject."""
    bucket, key, version = filesystem.split_path(path)
    more: dict[str, str] = {} if version is None else {"VersionId": version}
    if start or stop is not None:
        more["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    try:
        answer = await filesystem._call_s3("get_object", Bucket=bucket, Key=key, **more)
        async with answer["Body"] as body:
            data = await body.read()
    except Exception as error:  # botocore's, aiohttp's, and what s3fs makes of them
        raise _s3_error(error, bucket, start) from error
    match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
    total = int(match[3]) if match and match[3] != "*" else answer["ContentLength"]
    if len(data) != answer["ContentLength"]:
        raise _Again(f"the answer's body ends after {len(data)} of {answer['ContentLength']} bytes")
    if not match and "Range" in more:
        data = data[start:stop]
    mtime = answer.get("LastModified")
    return Reply(data, total, mtime and int(mtime.timestamp()) * 10**9, answer.get("ETag"))


async def _pour_s3(filesystem: Any, path: str, sink: Sink) -> None:
    """One GetObject, of what is left if the object is the same still."""
    bucket, key, version = filesystem.split_path(path)
    more: dict[str, str] = {} if version is None else {"VersionId": version}
    if sink.have and sink.validator:
        more |= {"Range": f"bytes={sink.have}-", "IfMatch": sink.validator}
    try:
        answer = await filesystem._call_s3("get_object", Bucket=bucket, Key=key, **more)
        async with answer["Body"]:
            match = _CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
            if "Range" not in more or match is None or int(match[1]) != sink.have:
                if match is not None:
                    raise FrameUnreachableError(f"answered with {match[0]}: expected all bytes")
                await sink.begin(answer["ContentLength"], answer.get("ETag"))
            return await _fill(sink, answer["Body"].iter_chunks(BLOCK))
    except (FrameError, DownloadError, _Again):
        raise
    except Exception as error:  # botocore's, aiohttp's, and what s3fs makes of them
        if "Range" not in more or _s3_said(error)[1] not in (412, 416):
            raise _s3_error(error, bucket, 0) from error
    await sink.begin(None, None)
    return await _pour_s3(filesystem, path, sink)


def _s3_said(error: Exception) -> tuple[str, int]:
    """The code and HTTP status behind an error; empty and 0 where there was no answer."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "response"):
        cause = cause.__cause__ or cause.__context__
    answer = getattr(cause, "response", {})
    code = str(answer.get("Error", {}).get("Code", ""))
    return code, answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _s3_error(error: Exception, bucket: str, start: int) -> Exception:
    """What an error of S3 means; s3fs has tried again already where that can help."""
    code, status = _s3_said(error)
    if code == "NoSuchBucket":
        return FrameUnreachableError(f"there is no bucket {bucket!r}")
    if code in ("NoSuchKey", "404") or (isinstance(error, FileNotFoundError) and not code):
        return FrameMissingError("no such file: the bucket has no such key")
    if code == "InvalidRange":
        return FrameCorruptError(f"the file is shorter: bytes from {start} on were referenced")
    said = f"{code or type(error).__name__}: {error}"
    if status >= 500 or (not status and isinstance(error, (OSError, TimeoutError))):
        return _Again(said)
    return FrameUnreachableError(said)


# Anything else that fsspec knows ------------------------------------------------------------


async def _any(filesystem: Any, path: str, start: int, stop: int | None) -> Reply:
    from fsspec.asyn import AsyncFileSystem

    whole = not start and stop is None
    try:
        part = () if whole else (start, stop)
        # By its type: a cache says of itself whatever the filesystem behind it does.
        if issubclass(type(filesystem), AsyncFileSystem):
            data = await filesystem._cat_file(path, *part)
        else:
            # fsspec's cache is not made for two readers of the same file.
            async with _ONE_READER.setdefault(path, asyncio.Lock()):
                data = await asyncio.to_thread(filesystem.cat_file, path, *part)
    except FileNotFoundError as error:
        # fsspec says so too where a server refused, or did not answer, a question for the length.
        cause = error.__cause__
        status = getattr(cause, "status", 404)
        said = f"{type(cause).__name__}: {cause}"
        if 400 <= status < 500 and status not in (404, 410):
            raise FrameUnreachableError(said) from error
        broken = isinstance(cause, (OSError, TimeoutError)) and not isinstance(
            cause, FileNotFoundError
        )
        disconnected = type(cause).__module__.startswith("aiohttp") and not hasattr(cause, "status")
        if status >= 500 or broken or disconnected:
            raise _Again(said) from error
        raise FrameMissingError("no such file") from error
    except PermissionError as error:
        raise FrameUnreachableError(f"PermissionError: {error}") from error
    except Exception as error:  # each filesystem has errors of its own
        raise _Again(f"{type(error).__name__}: {error}") from error
    if whole or (stop is not None and len(data) < stop - start):
        return Reply(data, start + len(data))
    return Reply(data, None)


async def _pour_any(filesystem: Any, path: str, sink: Sink) -> None:
    """One block after another until one is short; nothing says whether a part is of this file."""
    await sink.begin(None, None)
    while True:
        data = bytes((await _any(filesystem, path, sink.have, sink.have + BLOCK)).data)
        await sink.write([data])
        if len(data) < BLOCK:
            break


def too_short(url: str, offset: int, length: int, found: int) -> FrameCorruptError:
    """The error for a file that ends inside a range that is referenced."""
    return FrameCorruptError(
        f"{url}: bytes {offset} to {offset + length} were referenced, only {found} of them are "
        "there: the file is shorter than the one that was scanned"
    )
