"""Tables of prompts whose images are named by a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from jobs.collect.sources.base import File
from jobs.collect.sources.named_rows import named_rows
from jobs.collect.sources.pairs import TextPairs, pair
from jobs.collect.sources.rows import AnyRow, BadRow
from jobs.errors import BadData

_ROW = "row"


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


def named_pairs(source: TextPairs, file: File, column: str, rule: ImageName, *, first_row: int = 0) -> Iterator[AnyRow]:
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
