"""What the Kaggle sets sd2gpt2 and sd2hardcode share: a table, and images that are named by its rows' numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from jobs.collect.sources.base import File
from jobs.collect.sources.named_pairs import ImageName, named_pairs
from jobs.collect.sources.pairs import FolderSource
from jobs.collect.sources.rows import AnyRow


class NumberedImages(FolderSource):
    """A folder with a table of prompts and images that are named by their rows' numbers, counted from 0."""

    column: str = "prompt"
    """The column that holds the prompt."""

    table: ClassVar[str]
    pattern: ClassVar[str]

    def files(self) -> list[File]:
        store = self.folder()
        return [File(store, self.in_folder(store, self.table), self.images_below(store))]

    def rows(self, file: File) -> Iterator[AnyRow]:
        return named_pairs(self, file, self.column, ImageName(self.pattern))
