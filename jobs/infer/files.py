"""Images in a folder or bucket as input: found, ordered, and told apart by their content. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

from jobs.errors import BadData, NotFound
from jobs.shards.address import open_file
from jobs.shards.digests import digest_of
from jobs.shards.store import Store

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_NAMED = 3  # of many missing files
_AT_ONCE = 16  # a bucket answers one request in about 20 ms


def find_images(store: Store, only: Sequence[str] | None = None) -> list[str]:
    """The names of all PNG, JPEG and WebP files, or of `only` these, sorted; any other file is no input.

    Raises BadData when there are none, when one of `only` is none of them, and when two have the same stem, because
    that is an image's id.
    """
    names = sorted(stat.name for stat in store.list("") if stat.name.lower().endswith(SUFFIXES))
    if only is not None:
        if missing := sorted(set(only) - set(names)):
            raise BadData(f"files: {len(missing)} of {len(only)} names are no images below {store.url}: "
                          f"{', '.join(missing[:_NAMED])}{', …' if len(missing) > _NAMED else ''}")  # fmt: skip
        names = sorted(set(only))
    if not names:
        raise BadData(f"images: {store.url} has no files ending in {', '.join(SUFFIXES)}; "
                      "name a folder or s3://BUCKET/PREFIX that has some, or split:NAME")  # fmt: skip
    first_with: dict[str, str] = {}
    for name in names:
        other = first_with.setdefault(id_of(name), name)
        if other != name:
            raise BadData(f"images: {other} and {name} would both have the id {id_of(name)!r}; rename one of them")
    return names


def names_in(address: str) -> list[str]:
    """The names in a JSON file {"names": […]}; raises BadData when it is not one."""
    store, name = open_file(address)
    try:
        names = json.loads(store.read(name).data)["names"]
    except (NotFound, ValueError, TypeError, KeyError) as error:
        raise BadData(f"files: {address} is not a JSON file with names: {error}") from error
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise BadData(f'files: {address} should be {{"names": ["a.png", …]}}')
    return names


def id_of(name: str) -> str:
    """An image's id: its file's name without folder and suffix."""
    return PurePosixPath(name).stem


def versions_of(store: Store, names: Sequence[str]) -> list[str]:
    """What tells each file's content (`Store.version`)."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(store.version, names))


def digest_of_files(names: Sequence[str], versions: Sequence[str]) -> str:
    """One digest for several files: of names within the folder and of contents, wherever the folder is."""
    return digest_of(dict(zip(names, versions, strict=True)))
