"""Uploads in parts, for objects that are too large for one request."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO

from botocore.exceptions import BotoCoreError, ClientError

from jobs.errors import I2PError
from jobs.shards.s3_errors import translate_boto_errors
from jobs.shards.s3_replies import check_written, etag_of, upload_id_of

DIGEST = "sha256"  # user metadata: settles an ambiguous upload without reading the object back
_AT_ONCE = 4  # so many parts are in memory
_MOST = 10_000


def put_in_parts(
    client: Any, target: dict[str, str], file: BinaryIO, size: int, digest: str, part_size: int, **condition: str
) -> None:
    """Write an object on a condition; on any error what went up is removed."""
    upload = begin_upload(client, target, digest)
    try:
        parts = put_parts(client, upload, file, size, max(part_size, -(-size // _MOST)))
        complete(client, upload, parts, **condition)
    except BaseException:
        with (
            suppress(ClientError, BotoCoreError, I2PError),
            translate_boto_errors(_where(upload)),
        ):  # the first error is the one that is raised
            client.abort_multipart_upload(**upload)
        raise


def begin_upload(client: Any, target: dict[str, str], digest: str) -> dict[str, str]:
    """Begin an upload in parts; returns the target with the upload's id."""
    checks = client.meta.config.request_checksum_calculation == "when_supported"
    algorithm = {"ChecksumAlgorithm": "CRC32"} if checks else {}  # what boto3 then computes of every part
    reply = client.create_multipart_upload(**target, Metadata={DIGEST: digest}, **algorithm)
    return {**target, "UploadId": upload_id_of(_where(target), reply)}


def put_parts(client: Any, upload: dict[str, str], file: BinaryIO, size: int, part_size: int) -> list[dict[str, Any]]:
    """Upload the file's parts, a few at once; returns what completing wants to know of each."""
    reading = threading.Lock()

    def put(number: int) -> dict[str, Any]:
        with reading:
            file.seek((number - 1) * part_size)
            body = file.read(part_size)
        reply = client.upload_part(**upload, PartNumber=number, Body=body)
        checksum = {name: reply[name] for name in ("ChecksumCRC32",) if name in reply}
        return {"PartNumber": number, "ETag": etag_of(_where(upload), reply), **checksum}

    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return list(pool.map(put, range(1, -(-size // part_size) + 1)))
    finally:
        pool.shutdown(cancel_futures=True)


def complete(client: Any, upload: dict[str, str], parts: list[dict[str, Any]], **condition: str) -> None:
    """Make the object out of its parts, on a condition."""
    reply = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
    check_written(_where(upload), reply)


def _where(target: dict[str, str]) -> str:
    return f"s3://{target['Bucket']}/{target['Key']}"
