"""A bucket of S3, or of a server that speaks its protocol."""

from __future__ import annotations

from jobs.shards.s3 import S3Store
from jobs.shards.store import Store

ADDRESS = "s3://BUCKET/PREFIX"


def open_at(rest: str, *, patience_seconds: float) -> Store | None:
    """The store below the prefix of the bucket; None where no bucket is named."""
    bucket, _, prefix = rest.partition("/")
    return S3Store(bucket, prefix.strip("/"), patience_seconds=patience_seconds) if bucket else None
