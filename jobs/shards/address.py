"""Opens a store from its address: a folder, or what a file in schemes/ makes of a URL."""

from __future__ import annotations

from pathlib import Path

from jobs.errors import BadConfiguration
from jobs.registry import literal, load, names_in
from jobs.shards.store import Store

SCHEMES = "jobs.shards.schemes"
_FOLDER = "file"  # the scheme that is left out


def open_store(url: str, *, patience_seconds: float = 0.0) -> Store:
    """The store at `s3://BUCKET/PREFIX`, or at a local folder; raises BadConfiguration for any other address.

    An operation on a bucket waits so long for a service that is away before its error is raised.
    """
    if parts := _parts(url):
        scheme, rest = parts
        store: Store | None = load(SCHEMES, scheme, "open_at")(rest, patience_seconds=patience_seconds)
        if store:
            return store
    known = " or ".join(literal(SCHEMES, scheme, "ADDRESS", f"{scheme}://…") for scheme in names_in(SCHEMES))
    raise BadConfiguration(f"a store is {known}, not {url!r}")


def normalised(url: str) -> str:
    """The one way to write the address of a store: without slashes that mean nothing.

    Not for other people's buckets, where a folder may well have an empty name.
    """
    parts = _parts(url)
    if not url or not parts:
        return url
    scheme, rest = parts
    return str(Path(rest)) if scheme == _FOLDER else f"{scheme}://{'/'.join(filter(None, rest.split('/')))}"


def without_patience(store: Store) -> Store:
    """The same store, whose operations raise at once what the service does not do now."""
    return store.without_patience()


def open_file(url: str, *, patience_seconds: float = 0.0) -> tuple[Store, str]:
    """The store that holds one file (a path or s3://BUCKET/KEY), and the file's name in it."""
    folder, _, name = url.rpartition("/")
    store = open_store(folder or ("/" if url.startswith("/") else "."), patience_seconds=patience_seconds)
    return store, name


def _parts(url: str) -> tuple[str, str] | None:
    """An address's scheme and what follows it; None where there is no such scheme."""
    scheme, separator, rest = url.partition("://")
    schemes = names_in(SCHEMES)
    if separator:
        return (scheme, rest) if scheme in schemes else None
    return None if url.partition(":")[0] in schemes and ":" in url else (_FOLDER, url)
