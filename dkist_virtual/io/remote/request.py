"""Request a byte range from a server or bucket: once, with retries where they can help.

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
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dkist_virtual.errors import (
    DownloadError,
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameRefusedError,
    FrameUnreachableError,
    LocationError,
)
from dkist_virtual.io.locations import Location, redirected, shown
from dkist_virtual.io.remote.http import ask_web, from_all, pour_web
from dkist_virtual.io.remote.reply import (
    BLOCK,
    AgainError,
    MovedError,
    Reply,
    Sink,
    add,
    fill,
    length_of,
    part_of,
    read_up_to,
    too_long,
    too_short,
    why,
)
from dkist_virtual.io.safety import check_address
from dkist_virtual.io.settings import setting
from dkist_virtual.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dkist_virtual.io.block_cache import BlockCache, Stated

__all__ = [
    "BLOCK",
    "Reply",
    "Sink",
    "filesystem_of",
    "get",
    "pour",
    "too_short",
]


Options: TypeAlias = "Callable[[str], Mapping[str, Any]]"
"""What gives the options of fsspec's filesystem that are meant for a URL."""

MAX_MOVES: Final = 10
"""How often a server may send us on."""


def _moved(url: str, location: str, moves: int) -> str:
    """Where to ask next.

    Raises
    ------
    FrameUnreachableError
    """
    try:
        target = redirected(url, location)
        if moves >= MAX_MOVES:
            raise FrameUnreachableError(
                f"{shown(url)}: was sent on {moves} times, the last time to {shown(target)}"
            )
        allowed = ("https",) if url.startswith("https:") else ("http", "https")
        if target.partition("://")[0].lower() not in allowed:
            raise FrameUnreachableError(
                f"{shown(url)}: its server sends us on to {shown(target)}: expected "
                f"{' or '.join(allowed)}"
            )
        check_address(target)
        return str(Location.of(target))
    except (LocationError, FrameRefusedError) as error:
        raise FrameUnreachableError(f"{shown(url)}: its server sends us on: {error}") from None


def _asked(url: str) -> str:
    """A URL as it is asked for: normalised, so that its options are chosen for what is asked.

    Raises
    ------
    FrameUnreachableError
        It is not one.
    """
    try:
        return str(Location.of(url))
    except LocationError as error:
        raise FrameUnreachableError(str(error)) from None


async def get(
    url: str,
    start: int,
    stop: int | None,
    options: Options,
    limit: asyncio.Semaphore,
    cache: BlockCache | None = None,
    most: int | None = None,
    stated: Stated | None = None,
) -> Reply:
    """Bytes of a remote file.

    Parameters
    ----------
    url : str
    start : int
    stop : int or None
        Half-open; None for everything from `start` on.
    options : callable
        Gives the options of fsspec's filesystem for a URL. Who is sent on to another one takes
        along those of the other one alone.
    limit : asyncio.Semaphore
        How many requests may be under way.
    cache : BlockCache, optional
        Keeps what was fetched.
    most : int, optional
        How many bytes the file may have, where all of it is asked for; by default the setting
        ``dkist_virtual.largest_file``.
    stated : Stated, optional
        What a scan found of the file: of that very file what is kept is given without a server.

    Raises
    ------
    FrameMissingError
        404, 410, NoSuchKey.
    FrameUnreachableError
        Any other refusal; no answer, or a broken one, after all tries.
    FrameCorruptError
        The range begins behind the file's end; or the file has more bytes than it may.
    """
    most = int(setting("largest_file")) if most is None else most
    if cache is not None:

        async def ask_server(start: int, stop: int | None) -> Reply:
            return await _get(url, start, stop, options, limit, most, known=True)

        try:
            return await cache.read(_asked(url), start, stop, ask_server, stated)
        except FrameError as error:
            raise (error if shown(url) in str(error) else error.at(shown(url))) from error
    return await _get(url, start, stop, options, limit, most)


async def _get(
    url: str,
    start: int,
    stop: int | None,
    options: Options,
    limit: asyncio.Semaphore,
    most: int,
    *,
    known: bool = False,
) -> Reply:
    """The same from its server; `known`: with what is known of the file, if it costs a request."""
    place, moves, attempt, tries = _asked(url), 0, 0, 1 + int(setting("retries"))
    while True:
        filesystem, path, protocol = filesystem_of(place, options(place))
        ask = ask_web if protocol in ("http", "https") else _s3 if protocol == "s3" else _any
        ask = _any_known if ask is _any and known else ask
        try:
            async with limit:
                return await ask(filesystem, path, start, stop, most)
        except MovedError as moved:
            place, moves = _moved(place, str(moved), moves), moves + 1
        except AgainError as failure:
            attempt += 1
            if attempt == tries:
                raise FrameUnreachableError(
                    f"{shown(url)}: {failure}, {counted(tries, 'time')}"
                ) from failure
            # Outside the limit: who waits keeps nobody from asking.
            await asyncio.sleep(setting("backoff") * 2 ** (attempt - 1))
        except FrameError as error:
            raise error.at(shown(url)) from error


def filesystem_of(url: str, options: Mapping[str, Any]) -> tuple[Any, str, str]:
    """Fsspec's filesystem for a URL, the path in it, and its protocol."""
    import fsspec

    protocol = url.partition("://")[0]
    if protocol == "globus":  # what a dataset opened by its ID says of its frames' place
        raise FrameUnreachableError(
            f"{shown(url)}: the Data Center hands frames out through Globus, from which nothing is "
            "read directly: ds.download(path, via='globus') fetches them, and frames= (--frames) "
            "says where they are otherwise"
        )
    try:
        if protocol in ("http", "https", "s3"):
            # url_to_fs takes the colons of http://[::1]/ for a chain of filesystems.
            filesystem = fsspec.filesystem(protocol, **options)
            # fsspec's own `url_to_fs` calls this private method.
            return filesystem, filesystem._strip_protocol(url), protocol
        return (*fsspec.core.url_to_fs(url, **options), protocol)
    except (ImportError, ValueError) as error:  # a protocol that is unknown, or not installed
        raise FrameUnreachableError(f"{shown(url)}: {type(error).__name__}: {error}") from error


async def pour(url: str, options: Options, sink: Sink) -> None:
    """Fetch the whole of a remote file, or what a sink lacks of it.

    What came before a failure is kept, and the next try goes on from there if it is still the
    same file; tries are counted from none again whenever one got further.

    Raises
    ------
    FrameMissingError, FrameUnreachableError
        As `get`.
    """
    place, moves = _asked(url), 0
    tries, failed, furthest = 1 + int(setting("retries")), 0, sink.have
    while True:
        filesystem, path, protocol = filesystem_of(place, options(place))
        how = {"http": pour_web, "https": pour_web, "s3": _pour_s3}.get(protocol, _pour_any)
        try:
            return await how(filesystem, path, sink)
        except MovedError as moved:
            place, moves = _moved(place, str(moved), moves), moves + 1
        except AgainError as failure:
            failed = 1 if sink.have > furthest else failed + 1
            furthest = max(furthest, sink.have)
            if failed >= tries:
                raise FrameUnreachableError(
                    f"{shown(url)}: {failure}, {counted(tries, 'time')}"
                ) from failure
            await asyncio.sleep(setting("backoff") * 2 ** (failed - 1))
        except FrameError as error:
            raise error.at(shown(url)) from error


# S3 -----------------------------------------------------------------------------------------


async def _s3(filesystem: Any, path: str, start: int, stop: int | None, most: int) -> Reply:
    """One GetObject, of which no more is read than asked for."""
    bucket, key, version = _object(filesystem, path)
    more: dict[str, str] = {} if version is None else {"VersionId": version}
    if start or stop is not None:
        more["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
    try:
        # s3fs's public methods give the bytes without the answer's headers.
        answer = await filesystem._call_s3("get_object", Bucket=bucket, Key=key, **more)
        length = length_of(answer["ContentLength"]) or 0
        async with answer["Body"] as body:
            if "ContentRange" in answer:
                begin, end, total = part_of(answer["ContentRange"])
                if begin != start or stop is None:
                    raise FrameUnreachableError(
                        f"answered with the bytes {begin} to {end}: expected those from {start} on"
                    )
                data = await read_up_to(body, stop - start)
                if len(data) != end - begin:
                    raise AgainError(
                        f"the answer's body has {len(data)} bytes, of {begin} to {end} announced"
                    )
            else:
                data, total = await from_all(body, start, stop, length, most)
    except (FrameError, AgainError):
        raise
    except Exception as error:  # botocore's, aiohttp's, and what s3fs makes of them
        raise _s3_error(error, bucket, start) from error
    modified = answer.get("LastModified")
    mtime = int(modified.timestamp()) * 10**9 if isinstance(modified, datetime) else None
    etag = answer.get("ETag")
    total = length if total is None else total
    return Reply(data, total, mtime, etag, firm=etag is not None)


def _object(filesystem: Any, path: str) -> tuple[str, str, str | None]:
    """Bucket, key and version; s3fs leaves the version out unless it is told to look at it."""
    bucket, key, _ = filesystem.split_path(path)
    return bucket, key, path.partition("?versionId=")[2] or None


async def _pour_s3(filesystem: Any, path: str, sink: Sink) -> None:
    """One GetObject, of what is left if the object is the same still."""
    bucket, key, version = _object(filesystem, path)
    more: dict[str, str] = {} if version is None else {"VersionId": version}
    if sink.have and sink.validator:
        more |= {"Range": f"bytes={sink.have}-", "IfMatch": sink.validator}
    try:
        answer = await filesystem._call_s3("get_object", Bucket=bucket, Key=key, **more)
        async with answer["Body"]:
            stated = answer.get("ContentRange")
            if "Range" not in more or stated is None or part_of(stated)[0] != sink.have:
                if stated is not None:
                    raise FrameUnreachableError(f"answered with {stated!r:.80}: expected all bytes")
                length = length_of(answer["ContentLength"])
                if length is not None and length > sink.most:
                    raise too_long(sink.most)
                await sink.begin(length, answer.get("ETag"))
            return await fill(sink, answer["Body"].iter_chunks(BLOCK))
    except (FrameError, DownloadError, AgainError):
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
        return AgainError(said)
    return FrameUnreachableError(said)


# Anything else that fsspec knows ------------------------------------------------------------


async def _any(filesystem: Any, path: str, start: int, stop: int | None, most: int) -> Reply:
    from fsspec.asyn import AsyncFileSystem

    whole = not start and stop is None
    try:
        end = most + 1 if whole else stop
        # By its type: some filesystems say of themselves whatever the one behind them does.
        if issubclass(type(filesystem), AsyncFileSystem):
            # fsspec names its coroutines with an underscore, for any event loop to await.
            data = await filesystem._cat_file(path, start, end)
        else:
            data = await asyncio.to_thread(filesystem.cat_file, path, start, end)
    except FileNotFoundError as error:
        # fsspec says so too where a server refused, or did not answer, a question for the length.
        cause = error.__cause__
        status = getattr(cause, "status", 404)
        said = why(error if cause is None else cause)
        if 400 <= status < 500 and status not in (404, 410):
            raise FrameUnreachableError(said) from error
        broken = isinstance(cause, (OSError, TimeoutError)) and not isinstance(
            cause, FileNotFoundError
        )
        disconnected = type(cause).__module__.startswith("aiohttp") and not hasattr(cause, "status")
        if status >= 500 or broken or disconnected:
            raise AgainError(said) from error
        raise FrameMissingError("no such file") from error
    except PermissionError as error:
        raise FrameUnreachableError(f"PermissionError: {error}") from error
    except Exception as error:  # each filesystem has errors of its own
        raise AgainError(why(error)) from error
    if whole and len(data) > most:
        raise too_long(most)
    if whole or (stop is not None and len(data) < stop - start):
        return Reply(data, start + len(data))
    return Reply(data, None)


async def _any_known(filesystem: Any, path: str, start: int, stop: int | None, most: int) -> Reply:
    """The same with the file's length and version, by what fsspec makes of them."""

    def about() -> tuple[Any, str]:
        filesystem.invalidate_cache()  # a directory that was listed may have changed
        return filesystem.info(path).get("size"), filesystem.ukey(path)

    total, key = None, None
    with suppress(Exception):  # each filesystem has errors of its own; then nothing is kept
        total, key = await asyncio.to_thread(about)
    # Asked for after its version: bytes of a newer one are dropped when that is seen.
    reply = await _any(filesystem, path, start, stop, most)
    return Reply(reply.data, total, None, key, firm=True) if isinstance(total, int) else reply


async def _pour_any(filesystem: Any, path: str, sink: Sink) -> None:
    """One block after another until one is short; nothing says whether a part is of this file."""
    await sink.begin(None, None)
    while True:
        data = bytes((await _any(filesystem, path, sink.have, sink.have + BLOCK, BLOCK)).data)
        await add(sink, [data])
        if len(data) < BLOCK:
            break
