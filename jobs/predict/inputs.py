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
class ImageFolder:
    """Images of a folder, or of a part of a bucket; an id is a name in it behind `prefix`."""

    store: Readable
    names: Sequence[str]
    prefix: str


def find_images(paths: Sequence[str]) -> list[ImageFolder]:
    """The images of all paths: of a single folder by their names in it, else by the paths as they are given.

    A file that is named is an image, whatever its name ends in; of a folder those are that end like one, also in
    folders below. Raises BadConfiguration for a path where nothing is, BadData where there is no image, or one twice.
    """
    files, folders = dict[str, list[str]](), list[ImageFolder]()
    for path in paths:
        if _is_folder(path):
            folders.append(_folder(path, "" if len(paths) == 1 else f"{path.rstrip('/')}/"))
        else:
            files.setdefault(path[: path.rfind("/") + 1], []).append(path.rpartition("/")[2])
    for prefix, names in files.items():
        store = open_folder("." if not prefix else prefix[:-1] or "/", patience_seconds=store_patience())
        folders.append(ImageFolder(store, sorted(names), prefix if len(paths) > 1 else ""))
    _check(folders, paths)
    return folders


def parts_of(folders: Sequence[ImageFolder], largest: int) -> Iterator[Files]:
    """The images in parts of PART; `largest` is the size in bytes from which on a file is not read."""
    for folder in folders:
        for start in range(0, len(folder.names), PART):
            names = folder.names[start : start + PART]
            digest = digest_of_files(versions_of(folder.store, names, largest))
            yield Files(
                store=folder.store, names=names, refused=refused_names(names), digest=digest, prefix=folder.prefix
            )


def _is_folder(path: str) -> bool:
    if "://" in path:
        return not path.lower().endswith(SUFFIXES)
    if not Path(path).exists():
        raise BadConfiguration(f"{path} is not there: an image, a folder of images or s3://BUCKET/PREFIX is required")
    return Path(path).is_dir()


def _folder(path: str, prefix: str) -> ImageFolder:
    store = open_folder(path, patience_seconds=store_patience())
    names = sorted(stat.name for stat in store.list("") if stat.name.lower().endswith(SUFFIXES))
    return ImageFolder(store, names, prefix)


def _check(folders: Sequence[ImageFolder], paths: Sequence[str]) -> None:
    ids = Counter(folder.prefix + name for folder in folders for name in folder.names)
    if not ids:
        raise BadData(
            f"there are no images in {', '.join(paths)}: files that end in {', '.join(SUFFIXES)} are required; name "
            "other files one by one to have them read all the same"
        )
    if twice := [id_ for id_, count in ids.items() if count > 1]:
        raise BadData(f"{twice[0]} is given twice; name each file or folder once")
