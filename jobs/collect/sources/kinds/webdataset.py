"""WebDataset tars of other people, such as sd-4.4M: files that share a name are a sample, their endings its fields."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from jobs.collect.sources.base import File
from jobs.collect.sources.pairs import PairSource
from jobs.collect.sources.rows import AnyRow, BadRow, Row, row_of
from jobs.imaging.limits import SUFFIXES


class WebDataset(PairSource):
    """Tars with an image and a prompt in each sample; rows are samples, from 1.

    The image is the first field that is called as files of images end: `png`, `jpg`, `webp`, `heic` and so on.
    """

    kind: Literal["webdataset"]

    prompt: str = "txt"
    """The field that is the prompt, or `FIELD.MEMBER` for a member of a field that is JSON, like `json.caption`."""

    def rows(self, file: File) -> Iterator[AnyRow]:
        from jobs.collect.sources.tar_samples import tar_samples  # the library is for workers alone

        field, _, member = self.prompt.partition(".")
        for number, (key, fields) in enumerate(tar_samples(self, file), 1):
            image = next((data for name, data in fields.items() if f".{name}".endswith(SUFFIXES)), None)
            if field not in fields:
                yield BadRow(number, f"its sample {key!r} has no field {field!r}, only {sorted(fields)}")
                continue
            found = row_of(number, _prompt(fields[field], member))
            yield found if isinstance(found, BadRow) else Row(number, found.prompt, found.extra, image, key)


def _prompt(data: bytes, member: str) -> Any:
    text = data.decode("utf-8-sig", errors="surrogateescape")
    if not member:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value.get(member) if isinstance(value, dict) else None
