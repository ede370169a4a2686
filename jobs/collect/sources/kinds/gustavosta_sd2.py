"""The Kaggle set motono0223/gustavosta-stable-diffusion-prompts-sd2: about 82,000 images of Gustavosta's prompts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from jobs.collect.sources.base import File
from jobs.collect.sources.named_rows import named_rows
from jobs.collect.sources.pairs import FolderSource, pair
from jobs.collect.sources.rows import AnyRow, BadRow

_TABLES = ("train.csv", "eval.csv")
_PROMPT, _PATH = "Prompt", "image_path"


class GustavostaSd2(FolderSource):
    """The set's folder: `train.csv` and `eval.csv`, whose `image_path` is where the image was on Kaggle.

    Of that path the longest end counts that is an image below the folder.
    """

    kind: Literal["gustavosta-sd2"]

    def files(self) -> list[File]:
        store = self.folder()
        return [File(store, self.in_folder(store, table), self.images_below(store)) for table in _TABLES]

    def rows(self, file: File) -> Iterator[AnyRow]:
        known = frozenset(file.images.names() if file.images else ())
        for row in named_rows(self, file, (_PROMPT, _PATH)):
            if isinstance(row, BadRow):
                yield row
            else:
                number, (prompt, path) = row
                yield pair(number, prompt, file.store, found_below(path, known))


def found_below(path: str, known: frozenset[str]) -> str:
    """The longest end of a path that is one of the known names; the path as a name where none is."""
    parts = PurePosixPath(path).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in known), path.lstrip("/"))
