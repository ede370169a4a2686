"""Hugging Face's imagefolder: images, and a file `metadata` beside them that has a row for each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from jobs.collect.sources.base import File
from jobs.collect.sources.named_rows import ENDINGS, named_rows
from jobs.collect.sources.pairs import FolderSource, folder_of, pair
from jobs.collect.sources.rows import AnyRow, BadRow
from jobs.errors import BadConfiguration

_METADATA = tuple(f"metadata{ending}" for ending in ENDINGS)
_FILE_NAME = "file_name"


class Imagefolder(FolderSource):
    """A folder with `metadata.jsonl`, `metadata.csv` or `metadata.parquet`, also one in each of several folders below.

    Its column `file_name` says which image a row is of, as a path from where the file of the rows is.
    """

    kind: Literal["imagefolder"]

    column: str = "text"
    """The column that holds the prompt."""

    def files(self) -> list[File]:
        store = self.folder()
        names = [stat.name for stat in store.list("") if PurePosixPath(stat.name).name in _METADATA]
        if not names:
            raise BadConfiguration(
                f"source {self.name}: there is no {', '.join(_METADATA[:-1])} or {_METADATA[-1]} below {self.path!r}; "
                "write one, or read another layout: sidecar, csv-pairs, png-parameters"
            )
        return [File(store, name, self.images_below(folder_of(store, name))) for name in sorted(names)]

    def rows(self, file: File) -> Iterator[AnyRow]:
        images = folder_of(file.store, file.name)
        for row in named_rows(self, file, (_FILE_NAME, self.column)):
            if isinstance(row, BadRow):
                yield row
            else:
                number, (name, prompt) = row
                yield pair(number, prompt, images, name)
