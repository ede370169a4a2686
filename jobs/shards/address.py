"""Opens a store from its address: a folder, or what a file in schemes/ makes of a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs.errors import BadConfiguration
from jobs.registry import literal, load, names_in
from jobs.shards.store import Downloads, Readable, Store

SCHEMES = "jobs.shards.schemes"
_FOLDER = "file"  # the scheme that is left out
_OPEN = "open_at"
_DOWNLOADS = Downloads()


def open_store(url: str, *, patience_seconds: float = 0.0) -> Store:
    """The store at `s3://BUCKET/PREFIX`, or at a local folder; raises BadConfiguration for any other address.

    An operation on a bucket waits so long for a service that is away before its error is raised.
    """
    if (parts := _parts(url)) and not _only_read(parts[0]):
        store: Store | None = _opened(parts, patience_seconds=patience_seconds)
        if store:
            return store
    raise BadConfiguration(refused_as_store(url) or f"a store is {_known(stores=True)}, not {url!r}")


def refused_as_store(url: str) -> str | None:
    """Why no run can be stored at an address, as far as that can be known without opening it; None where one can."""
    if (parts := _parts(url)) and not _only_read(parts[0]):
        return None
    why = ", whose files can only be read" if parts else ""
    return f"a store is {_known(stores=True)}, not {url!r}{why}"


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


def open_file(url: str, *, patience_seconds: float = 0.0, downloads: Downloads = _DOWNLOADS) -> tuple[Readable, str]:
    """What holds one file (a path, s3://BUCKET/KEY, or what else a file in schemes/ reads), and the file's name in it.

    Raises BadConfiguration for any other address. `downloads` limits what comes from the web.
    """
    folder, _, name = url.rpartition("/")
    folder = folder or ("/" if url.startswith("/") else ".")
    if holder := _held(folder, patience_seconds, downloads):
        return holder, name
    raise BadConfiguration(f"a file is in {_known(stores=False)}, not {url!r}")


def open_folder(url: str, *, patience_seconds: float = 0.0, downloads: Downloads = _DOWNLOADS) -> Readable:
    """What holds the files of a folder; as `open_file`."""
    if holder := _held(url, patience_seconds, downloads):
        return holder
    raise BadConfiguration(f"a folder is {_known(stores=False)}, not {url!r}")


def _held(folder: str, patience_seconds: float, downloads: Downloads) -> Readable | None:
    parts = _parts(folder)
    if parts is None:
        return None
    more = {"downloads": downloads} if _only_read(parts[0]) else {}
    reader = literal(SCHEMES, parts[0], "READER", _OPEN)
    holder: Readable | None = _opened(parts, reader, patience_seconds=patience_seconds, **more)
    return holder


def _opened(parts: tuple[str, str], function: str = _OPEN, **options: Any) -> Any:
    scheme, rest = parts
    return load(SCHEMES, scheme, function)(rest, **options)


def _only_read(scheme: str) -> bool:
    return bool(literal(SCHEMES, scheme, "ONLY_READ", False))


def _known(*, stores: bool) -> str:
    """The addresses there are: of stores, or also of what can only be read."""
    schemes = [scheme for scheme in names_in(SCHEMES) if not (stores and _only_read(scheme))]
    return " or ".join(literal(SCHEMES, scheme, "ADDRESS", f"{scheme}://…") for scheme in schemes)


def _parts(url: str) -> tuple[str, str] | None:
    """An address's scheme and what follows it; None where there is no such scheme."""
    scheme, separator, rest = url.partition("://")
    schemes = names_in(SCHEMES)
    if separator:
        return (scheme, rest) if scheme in schemes else None
    return None if url.partition(":")[0] in schemes and ":" in url else (_FOLDER, url)
