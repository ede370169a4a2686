"""What sources have in common whose prompts come with their images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from jobs.collect.sources.base import File, TextSource
from jobs.collect.sources.image_folder import ImageFolder
from jobs.collect.sources.named_rows import named_rows
from jobs.collect.sources.rows import AnyRow, BadRow, ImageFile, Row, row_of
from jobs.errors import BadConfiguration, BadData
from jobs.imaging.limits import ImageLimits
from jobs.runtime.environment import store_patience
from jobs.shards.address import open_store
from jobs.shards.store import Store

_ROW = "row"


class PairSource(TextSource):
    """A source of prompts with their images, which are taken over instead of being made.

    A row whose image is missing, damaged or too large counts as one that cannot be read.
    """

    added_later = TextSource.added_later | {"image_limits"}

    image_limits: ImageLimits = ImageLimits()
    """What an image may take."""

    @property
    def gives_images(self) -> bool:
        """Whether each row has an image."""
        return True


class FolderSource(PairSource):
    """A source whose path is a folder of images, in which whatever else it reads is, too."""

    path: str
    """The folder: a local path or s3://BUCKET/PREFIX."""

    def folder(self) -> Store:
        """The folder as a store."""
        return open_store(self.path, patience_seconds=store_patience())

    def in_folder(self, store: Store, name: str) -> str:
        """The name of a file that must be in the folder; raises BadConfiguration where it is not."""
        if store.stat(name) is None:
            raise BadConfiguration(
                f"source {self.name}: there is no {name} in {self.path!r}; `path` is the folder of the set as published"
            )
        return name

    def images_in(self, *beside: str) -> list[File]:
        """All images in the folder, and below, as one file, with the files beside them of which the names end so."""
        images = ImageFolder(self.folder(), beside)
        if not images.names():
            raise BadConfiguration(
                f"source {self.name}: there are no images below {self.path!r}: PNG, JPEG and WebP files are read; "
                "correct `path`, or put them there"
            )
        return [File(images.store, "", images)]


def folder_of(store: Store, name: str) -> Store:
    """The folder that a file is in."""
    folder = name.rpartition("/")[0]
    return store.at(folder) if folder else store


def pair(number: int, prompt: Any, images: Store, name: Any, **extra: Any) -> AnyRow:
    """The row of a prompt whose image has that name below a store."""
    if not isinstance(name, str) or not name:
        return BadRow(number, "it has no name of an image")
    found = row_of(number, prompt, **extra)
    if isinstance(found, BadRow):
        return found
    name = name.removeprefix("./")
    return Row(number, found.prompt, found.extra, ImageFile(images, name), name)


@dataclass(frozen=True, slots=True)
class ImageName:
    """The rule by which a row's image is named: a text with `{row}`, its number, or `{COLUMN}`, what it has there."""

    pattern: str

    def columns(self) -> list[str]:
        """The columns that it needs."""
        return [name for _, name in self._parts() if name not in (None, _ROW)]

    def of(self, row: int, values: Mapping[str, Any]) -> str | None:
        """The name for a row of that number; None where a value is missing."""
        known = {_ROW: row, **values}
        named = [(text, None if name is None else known.get(name)) for text, name in self._parts()]
        if any(name is not None and value is None for (_, name), (_, value) in zip(self._parts(), named, strict=True)):
            return None
        return "".join(f"{text}{'' if value is None else value}" for text, value in named)

    def counts_rows(self) -> bool:
        """Whether it depends on how many rows there were before."""
        return any(name == _ROW for _, name in self._parts())

    def _parts(self) -> list[tuple[str, str | None]]:
        return [(text, name) for text, name, _, _ in Formatter().parse(self.pattern)]


def named_pairs(
    source: PairSource, file: File, column: str, rule: ImageName, *, first_row: int = 0
) -> Iterator[AnyRow]:
    """The rows of a file of named columns, each with the image that the rule names.

    Where the rule counts rows, raises BadData for one that cannot be read: nobody knows which images those after it
    are of.
    """
    columns = list(dict.fromkeys([column, *rule.columns()]))
    store = file.images.store if file.images else file.store
    for count, row in enumerate(named_rows(source, file, columns), first_row):
        if isinstance(row, BadRow):
            if rule.counts_rows():
                raise BadData(
                    f"source {source.name}: row {row.number} of {file.label} cannot be read: {row.reason}; images are "
                    "named by the number of their row, so which ones the rows after it are of is not known: correct it"
                )
            yield row
            continue
        number, found = row
        values = dict(zip(columns, found, strict=True))
        yield pair(number, values[column], store, rule.of(count, values))
