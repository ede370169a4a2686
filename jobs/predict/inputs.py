"""What is to be predicted: the images that paths name, in parts of a few hundred that are done one after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.errors import BadConfiguration, BadData
from jobs.imaging.limits import SUFFIXES
from jobs.infer.files import digest_of_files, refused_names, versions_of
from jobs.infer.predicting import Files
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_folder
from jobs.shards.store import Readable

PART = 256  # images; what a kill loses at most


@dataclass(frozen=True, slots=True)
class Place:
    """A folder, or part of a bucket, with images; an id is a name in it behind `prefix`."""

    store: Readable
    names: Sequence[str]
    prefix: str


def find_images(paths: Sequence[str]) -> list[Place]:
    """The images of all paths: of a single folder by their names in it, else by the paths as they are given.

    A file that is named is an image, whatever its name ends in; of a folder those are that end like one, also in
    folders below. Raises BadConfiguration for a path where nothing is, BadData where there is no image, or one twice.
    """
    files, places = dict[str, list[str]](), list[Place]()
    for path in paths:
        if _is_folder(path):
            places.append(_folder(path, "" if len(paths) == 1 else f"{path.rstrip('/')}/"))
        else:
            folder, _, name = path.rpartition("/")
            files.setdefault(folder, []).append(name)
    for folder, names in files.items():
        store = open_folder(folder or ("/" if paths[0].startswith("/") else "."), patience_seconds=store_patience())
        places.append(Place(store, sorted(names), f"{folder}/" if folder and len(paths) > 1 else ""))
    _check(places, paths)
    return places


def parts_of(places: Sequence[Place], largest: int) -> Iterator[Files]:
    """The images in parts of PART; `largest` is the size in bytes from which on a file is not read."""
    for place in places:
        for start in range(0, len(place.names), PART):
            names = place.names[start : start + PART]
            digest = digest_of_files(versions_of(place.store, names, largest))
            yield Files(
                store=place.store, names=names, refused=refused_names(names), digest=digest, prefix=place.prefix
            )


def _is_folder(path: str) -> bool:
    if "://" in path:
        return not path.lower().endswith(SUFFIXES)
    if not Path(path).exists():
        raise BadConfiguration(f"{path} is not there: an image, a folder of images or s3://BUCKET/PREFIX is required")
    return Path(path).is_dir()


def _folder(path: str, prefix: str) -> Place:
    store = open_folder(path, patience_seconds=store_patience())
    return Place(store, sorted(stat.name for stat in store.list("") if stat.name.lower().endswith(SUFFIXES)), prefix)


def _check(places: Sequence[Place], paths: Sequence[str]) -> None:
    ids = Counter(place.prefix + name for place in places for name in place.names)
    if not ids:
        raise BadData(
            f"there are no images in {', '.join(paths)}: files that end in {', '.join(SUFFIXES)} are required; name "
            "other files one by one to have them read all the same"
        )
    if twice := [id_ for id_, count in ids.items() if count > 1]:
        raise BadData(f"{twice[0]} is given twice; name each file or folder once")
