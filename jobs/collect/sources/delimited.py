"""CSV and TSV with a header line."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import ClassVar, Literal

from jobs.collect.sources.base import BadRow, File, Row, TextSource, require_column, row_of

csv.field_size_limit(1 << 20)  # characters; Python's default of 131,072 is shorter than some real rows


class _Delimited(TextSource):
    column: str = "prompt"
    """The column that holds the prompt."""

    dialect: ClassVar[type[csv.Dialect]]

    def rows(self, file: File) -> Iterator[Row | BadRow]:
        with self.lines(file) as lines:
            reader = csv.reader(lines, self.dialect, strict=True)
            header = next(reader, [])
            require_column(self, file, header, self.column)
            position = header.index(self.column)
            while True:
                try:
                    row = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield BadRow(reader.line_num, str(error))
                    continue
                if len(row) != len(header):
                    yield BadRow(reader.line_num, f"it has {len(row)} fields, the header has {len(header)}")
                else:
                    yield row_of(reader.line_num, row[position])


class Csv(_Delimited):
    """Comma-separated with a header, quoted as RFC 4180 says."""

    kind: Literal["csv"]
    dialect = csv.excel


class _PlainTsv(csv.Dialect):
    delimiter = "\t"
    quoting = csv.QUOTE_NONE
    lineterminator = "\n"


class Tsv(_Delimited):
    """Tab-separated with a header; quotation marks are ordinary characters."""

    kind: Literal["tsv"]
    dialect = _PlainTsv
