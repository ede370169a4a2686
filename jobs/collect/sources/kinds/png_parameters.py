"""PNG files in which the user interface that made them wrote the prompt, as AUTOMATIC1111's does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import FolderSource
from jobs.collect.sources.png_text import text_of
from jobs.collect.sources.rows import AnyRow, BadRow, Row, row_of
from jobs.errors import BadData, NotFound
from jobs.imaging.limits import ImageLimits
from jobs.runtime.prefetch import prefetch
from jobs.shards.store import Readable

_READERS = 8  # files that are read at once: a bucket answers in about 20 ms
_KEYWORD = "parameters"
_SETTINGS = re.compile(r"(?m)^(Negative prompt:|Steps: \d)")  # what follows the prompt, each on lines of its own


class PngParameters(FolderSource):
    """Pictures of Stable Diffusion's user interfaces: the prompt is the first part of the PNG's text `parameters`.

    Rows are the PNG files in the order of their names; what follows the prompt (`Negative prompt:`, `Steps: …`) is no
    part of it.
    """

    kind: Literal["png-parameters"]

    def files(self) -> list[File]:
        return self.images_in()

    def rows(self, file: File) -> Iterator[AnyRow]:
        images = file.images or self.images_below(file.store)
        names = (name for name in images.names() if name.lower().endswith(".png"))

        def row(numbered: tuple[int, str]) -> AnyRow:
            number, name = numbered
            return _row(number, images.store, name, self.image_limits)

        yield from prefetch(row, enumerate(names, 1), threads=_READERS, depth=_READERS)


def prompt_in(parameters: str) -> str:
    """The prompt in a text as AUTOMATIC1111 writes it."""
    found = _SETTINGS.search(parameters)
    return parameters[: found.start()] if found else parameters


def _row(number: int, store: Readable, name: str, limits: ImageLimits) -> AnyRow:
    try:
        stat = store.stat(name)
        if stat and stat.size > limits.file_bytes:
            return BadRow(number, f"{name} has {stat.size:,} bytes, more than `image_limits.file_bytes`")
        data = store.read(name).data
        parameters = text_of(data, _KEYWORD, limits)
    except NotFound:
        return BadRow(number, f"{name} is not there any more")
    except BadData as error:
        return BadRow(number, f"{name}: {error}")
    if parameters is None:
        return BadRow(number, f"{name} has no text {_KEYWORD!r}")
    found = row_of(number, prompt_in(parameters))
    return found if isinstance(found, BadRow) else Row(number, found.prompt, found.extra, data, name)
