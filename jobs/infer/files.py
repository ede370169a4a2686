"""Images in a folder or bucket as input: found, ordered, and identified by their content. Free of torch."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from jobs.errors import BadData, NotFound
from jobs.imaging.limits import SUFFIXES
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_file
from jobs.shards.digests import digest_of
from jobs.shards.store import ObjectStat, Readable, Store, checked

NOT_READ = "not read"  # in place of the version of a file that is refused for its name
_NO_NAME = "its name has control characters, is not UTF-8, or is too long"

_NAMED = 3  # of many missing files
_AT_ONCE = 16  # a bucket answers one request in about 20 ms
_ASKED_SINGLY = 100  # names; a bucket lists the versions of 1,000 in one listing
_LISTED = 10  # objects for each name asked for, before those that are left are asked for singly


def find_images(store: Store, only: Sequence[str] | None = None) -> list[str]:
    """The names of all files that end in SUFFIXES, or of `only` these, sorted; any other file is no input.

    Whether `only` these are there is not asked (`versions_of` does). Raises BadData when there are none, and when one
    of `only` has another suffix.
    """
    names = sorted({stat.name for stat in store.list("")} if only is None else set(only))
    others = [name for name in names if not name.lower().endswith(SUFFIXES)]
    if only is not None and others:
        raise BadData(f"files: {_some(others, names)} do not end in {', '.join(SUFFIXES)}")
    names = [name for name in names if name.lower().endswith(SUFFIXES)]
    if not names:
        raise BadData(
            f"images: {store.url} has no files ending in {', '.join(SUFFIXES)}; "
            "name a folder or s3://BUCKET/PREFIX that has some, or split:NAME"
        )
    return names


def refused_names(names: Sequence[str]) -> dict[str, str]:
    """Why files cannot be read because of their names, in words that are equal everywhere; only those that cannot.

    A store cannot be asked for some names.
    """
    refused: dict[str, str] = {}
    for name in names:
        try:
            checked(name)
        except BadData:
            refused[name] = _NO_NAME
    return refused


def check_names(names: Sequence[str], where: str) -> None:
    """Raise BadData for the first file that cannot be read because of its name."""
    for name, reason in refused_names(names).items():
        raise BadData(f"images: {name!a} in {where} cannot be read: {reason}; rename it")


def escaped(name: str) -> str:
    """Another name for a file that is not read: in ASCII, different for different names, and never an id or a name."""
    return "./" + name.encode("unicode_escape").decode()


def names_in(address: str) -> list[str]:
    """The names in a JSON file {"names": […]}; raises BadData when it is not one."""
    store, name = open_file(address, patience_seconds=store_patience())
    try:
        return names_in_json(store.read(name).data, address)
    except NotFound as error:
        raise BadData(f"files: {address} is not a JSON file with names: {error}") from error


def names_in_json(data: bytes, where: str) -> list[str]:
    """The names in the JSON that was read from `where`; raises BadData when it has none."""
    try:
        names = json.loads(data)["names"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadData(f"files: {where} is not a JSON file with names: {error}") from error
    if not isinstance(names, list) or not all(isinstance(one, str) for one in names):
        raise BadData(f'files: {where} should be {{"names": ["a.png", …]}}')
    return names


def versions_of(store: Readable, names: Sequence[str], max_bytes: int | None = None) -> dict[str, str | None]:
    """What identifies each file's content (`Store.version`), or None for one that is not there.

    Where a file is larger than `max_bytes`, which nobody reads, its size does (`too_large`); where a name cannot be
    asked for, NOT_READ.
    """
    refused = refused_names(names)
    asked = [name for name in names if name not in refused]
    known = _listed(store, asked) if len(asked) > _ASKED_SINGLY else {}

    def version(name: str) -> str | None:
        if name in refused:
            return NOT_READ
        stat = known.get(name) or store.stat(name)
        if stat is None:
            return None
        if max_bytes is not None and stat.size > max_bytes:
            return too_large(stat.size)
        try:
            return stat.version or store.version(name)
        except NotFound:
            return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(names, pool.map(version, names), strict=True))


def too_large(size: int) -> str:
    """The version of a file that is too large to be read: one of 60 GB must not be hashed either."""
    return f"not read: {size} bytes"


def _listed(store: Readable, names: Sequence[str]) -> dict[str, ObjectStat]:
    """What a listing shows with versions; it stops where these few are scattered among too many others."""
    last = max(names)
    prefix = os.path.commonprefix([min(names), last])  # noqa: RUF071 - letters are what a listing goes by
    found: dict[str, ObjectStat] = {}
    for stat in islice(store.list(prefix), _LISTED * len(names)):
        if stat.version is None or stat.name > last:
            break
        found[stat.name] = stat
    return found


def check_gone(store: Store, versions: Mapping[str, str | None], *, recorded: bool) -> None:
    """Raise BadData when listed files are gone, unless that is recorded.

    Also then when nothing at all is left: a folder that was not mounted must not count as one that was emptied.
    """
    gone = [name for name, version in versions.items() if version is None]
    if gone and not (recorded and (len(gone) < len(versions) or any(store.list("")))):
        nothing = "; nothing else is there either: is this the right place?" if recorded else ""
        raise BadData(f"files: {_some(gone, versions)} are not below {store.url}{nothing}")


def digest_of_files(versions: Mapping[str, str | None]) -> str:
    """One digest for several files: of names within the folder and of contents, wherever the folder is."""
    return digest_of({escaped(name) if version is NOT_READ else name: version for name, version in versions.items()})


def _some(names: Sequence[str], of: Collection[str]) -> str:
    shown = ", ".join(name if name.isprintable() else ascii(name) for name in names[:_NAMED])
    return f"{len(names)} of {len(of)} names ({shown}{', …' if len(names) > _NAMED else ''})"
