"""Opens a store from its address: a folder, or a bucket."""

from __future__ import annotations

from pathlib import Path

from jobs.errors import BadConfiguration
from jobs.shards.local import LocalStore
from jobs.shards.s3 import S3Store
from jobs.shards.store import Store


def open_store(url: str, *, patience_seconds: float = 0.0) -> Store:
    """The store at `s3://BUCKET/PREFIX`, or at a local folder; raises BadConfiguration for any other address.

    An operation on a bucket waits so long for a service that is away before its error is raised.
    """
    scheme, separator, rest = url.partition("://")
    if url and not separator and not url.startswith("s3:"):
        return LocalStore(Path(url))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise BadConfiguration(f"a store is a folder or s3://BUCKET/PREFIX, not {url!r}")
    return S3Store(bucket, prefix.strip("/"), patience_seconds=patience_seconds)


def normalised(url: str) -> str:
    """The one way to write the address of a store: without slashes that mean nothing.

    Not for other people's buckets, where a folder may well have an empty name.
    """
    if not url.startswith("s3://"):
        return url if not url or "://" in url or url.startswith("s3:") else str(Path(url))
    bucket, *parts = url.removeprefix("s3://").split("/")
    return "/".join([f"s3://{bucket}", *filter(None, parts)])


def without_patience(store: Store) -> Store:
    """The same store, whose operations raise at once what the service does not do now."""
    return store.without_patience() if isinstance(store, S3Store) else store


def open_file(url: str, *, patience_seconds: float = 0.0) -> tuple[Store, str]:
    """The store that holds one file (a path or s3://BUCKET/KEY), and the file's name in it."""
    folder, _, name = url.rpartition("/")
    store = open_store(folder or ("/" if url.startswith("/") else "."), patience_seconds=patience_seconds)
    return store, name
