"""A folder of images that rows name: found, and identified by their content. Free of Pillow."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jobs.errors import BadData
from jobs.imaging.limits import SUFFIXES
from jobs.shards.digests import digest_of
from jobs.shards.store import ObjectStat, Readable, checked

IMAGES = "images"  # the label under which a unit has read them

_AT_ONCE = 16  # a bucket answers one request in about 20 ms


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """The images below a store, or what else holds files, with the files beside them of which the names end so.

    Images of more than `largest` bytes are not read, whatever is in them.
    """

    store: Readable
    largest: int
    beside: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """The names of all images, sorted."""
        return [stat.name for stat in self._stats() if _is_image(stat)]

    def version(self) -> str:
        """Equal for equal names and contents, of all files. A bucket lists these; local files are read."""
        stats = self._stats()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            versions = pool.map(self._version, stats)
            return digest_of({stat.name: version for stat, version in zip(stats, versions, strict=True)})

    def _version(self, stat: ObjectStat) -> str:
        if stat.size > self.largest and _is_image(stat):
            return f"{stat.size} bytes"
        return stat.version or self.store.version(stat.name)

    def _stats(self) -> list[ObjectStat]:
        suffixes = (*SUFFIXES, *self.beside)
        stats = (stat for stat in self.store.list("") if stat.name.lower().endswith(suffixes))
        return sorted(filter(_can_be_asked_for, stats), key=lambda stat: stat.name)


def _is_image(stat: ObjectStat) -> bool:
    return stat.name.lower().endswith(SUFFIXES)


def _can_be_asked_for(stat: ObjectStat) -> bool:
    try:
        checked(stat.name)
    except BadData:
        return False
    return True
