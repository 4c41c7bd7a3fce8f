"""Get a byte range from an S3 bucket: one GetObject, whose answer is checked."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dkist_virtual.errors import (
    DownloadError,
    FrameCorruptError,
    FrameError,
    FrameMissingError,
    FrameUnreachableError,
)
from dkist_virtual.io.byte_range import SECOND, Reply
from dkist_virtual.io.remote.http import from_all
from dkist_virtual.io.remote.reply import (
    BLOCK,
    AgainError,
    Sink,
    fill,
    length_of,
    part_of,
    read_part,
    too_long,
)

if TYPE_CHECKING:
    from s3fs import S3FileSystem

__all__ = ["ask_s3", "pour_s3"]


async def ask_s3(
    filesystem: S3FileSystem, path: str, start: int, stop: int | None, most: int
) -> Reply:
    """Get a byte range by one GetObject, and read no more than was asked for."""
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
                stated = answer["ContentRange"]
                data, total = await read_part(body, stated, start, stop, most)
            else:
                data, total = await from_all(body, start, stop, length, most)
    except (FrameError, AgainError):
        raise
    except Exception as error:  # botocore's, aiohttp's, and what s3fs makes of them
        raise _s3_error(error, bucket, start) from error
    modified = answer.get("LastModified")
    mtime = int(modified.timestamp()) * SECOND if isinstance(modified, datetime) else None
    etag = answer.get("ETag")
    total = length if total is None else total
    return Reply(data, total, mtime, etag, firm=etag is not None)


def _object(filesystem: S3FileSystem, path: str) -> tuple[str, str, str | None]:
    """Split a path into bucket, key and version, which s3fs leaves out by default."""
    bucket, key, _ = filesystem.split_path(path)
    return bucket, key, path.partition("?versionId=")[2] or None


async def pour_s3(filesystem: S3FileSystem, path: str, sink: Sink) -> None:
    """Get the rest of an object by one GetObject, or all of it if it has changed."""
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
    return await pour_s3(filesystem, path, sink)


def _s3_said(error: Exception) -> tuple[str, int]:
    """Find the code and HTTP status behind an error; empty and 0 without an answer."""
    cause: BaseException | None = error
    while cause is not None and not hasattr(cause, "response"):
        cause = cause.__cause__ or cause.__context__
    answer = getattr(cause, "response", {})
    code = str(answer.get("Error", {}).get("Code", ""))
    return code, answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def _s3_error(error: Exception, bucket: str, start: int) -> Exception:
    """Classify an error of S3; s3fs has retried already where that can help."""
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
