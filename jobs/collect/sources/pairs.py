"""What sources have in common whose prompts come with their images."""

from __future__ import annotations

from typing import Any

from jobs.collect.sources.base import File, FileSource, TextSource
from jobs.collect.sources.image_folder import ImageFolder
from jobs.collect.sources.rows import AnyRow, BadRow, ImageFile, Row, row_of
from jobs.errors import BadConfiguration
from jobs.imaging.limits import SUFFIXES, ImageLimits
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_folder
from jobs.shards.store import Readable


class PairSource(FileSource):
    """A source of prompts with their images, which are taken over instead of being made.

    A row whose image is missing, damaged or too large counts as one that cannot be read.
    """

    added_later = FileSource.added_later | {"image_limits"}

    image_limits: ImageLimits = ImageLimits()
    """What an image may take."""

    @property
    def gives_images(self) -> bool:
        """Whether each row has an image."""
        return True

    def images_below(self, store: Readable, *beside: str) -> ImageFolder:
        """All images below a store, with the files beside them of which the names end so."""
        return ImageFolder(store, self.image_limits.file_bytes, beside)


class TextPairs(PairSource, TextSource):
    """A source of pairs that stand in text files, or in parquet."""

    added_later = PairSource.added_later | TextSource.added_later


class FolderSource(TextPairs):
    """A source whose path is a folder of images, in which whatever else it reads is, too."""

    path: str
    """The folder: a local path, s3://BUCKET/PREFIX, or hf://datasets/OWNER/NAME@COMMIT/PATH."""

    def folder(self) -> Readable:
        """The folder as a store."""
        return open_folder(self.path, patience_seconds=store_patience(), downloads=self.downloads())

    def in_folder(self, store: Readable, name: str) -> str:
        """The name of a file that must be in the folder; raises BadConfiguration where it is not."""
        if store.stat(name) is None:
            raise BadConfiguration(
                f"source {self.name}: there is no {name} in {self.path!r}; `path` is the folder of the set as published"
            )
        return name

    def images_in(self, *beside: str) -> list[File]:
        """All images in the folder, and below, as one file, with the files beside them of which the names end so."""
        images = self.images_below(self.folder(), *beside)
        if not images.names():
            raise BadConfiguration(
                f"source {self.name}: there are no images below {self.path!r}: files that end in "
                f"{', '.join(SUFFIXES)} are read; correct `path`, or put them there"
            )
        return [File(images.store, "", images)]


def folder_of(store: Readable, name: str) -> Readable:
    """The folder that a file is in."""
    folder = name.rpartition("/")[0]
    return store.at(folder) if folder else store


def pair(number: int, prompt: Any, images: Readable, name: Any, **extra: Any) -> AnyRow:
    """The row of a prompt whose image has that name below a store."""
    if not isinstance(name, str) or not name:
        return BadRow(number, "it has no name of an image")
    found = row_of(number, prompt, **extra)
    if isinstance(found, BadRow):
        return found
    name = name.removeprefix("./")
    return Row(number, found.prompt, found.extra, ImageFile(images, name), name)
