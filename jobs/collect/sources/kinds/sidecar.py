"""Images with their prompts in files of the same names beside them, as many trainers read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import FolderSource, pair
from jobs.collect.sources.rows import AnyRow, BadRow
from jobs.errors import NotFound
from jobs.runtime.prefetch import prefetch

_READERS = 16  # files that are read at once: a bucket answers in about 20 ms


class Sidecar(FolderSource):
    """`a/1.png` with its prompt in `a/1.txt`; rows are the images in the order of their names."""

    kind: Literal["sidecar"]

    suffix: str = ".txt"
    """What the files of the prompts end in, in place of the image's own ending."""

    def files(self) -> list[File]:
        return self.images_in(self.suffix)

    def rows(self, file: File) -> Iterator[AnyRow]:
        images = file.images or self.images_below(file.store)

        def row(numbered: tuple[int, str]) -> AnyRow:
            number, name = numbered
            text = str(PurePosixPath(name).with_suffix(self.suffix))
            try:
                stat = images.store.stat(text)
                if stat and stat.size > self.limits.line_characters:
                    return BadRow(number, f"its prompt {text} has {stat.size:,} bytes")
                prompt = images.store.read(text).data.decode("utf-8-sig", errors="surrogateescape")
            except NotFound:
                return BadRow(number, f"there is no {text} beside {name}")
            return pair(number, prompt, images.store, name)

        yield from prefetch(row, enumerate(images.names(), 1), threads=_READERS, depth=2 * _READERS)
