"""Parquet, one column of it, a row group at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from jobs.collect.sources.base import BadRow, File, FileSource, Row, require_column, row_of
from jobs.errors import BadData


class Parquet(FileSource):
    """A text column of parquet files: text2image-multi-prompt (`text`), LAION-COCO (`top_caption`)."""

    kind: Literal["parquet"]

    column: str = "prompt"
    """The column that holds the prompt."""

    def rows(self, file: File) -> Iterator[Row | BadRow]:
        for number, values in numbered_rows(self, file, [self.column]):
            yield row_of(number, values[self.column])


def numbered_rows(source: FileSource, file: File, columns: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a parquet file, counted from 1, only these columns; raises BadData unless it is one and has them."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    number = 0
    with file.binary() as binary:
        try:
            table = parquet.ParquetFile(binary)
            for column in columns:
                require_column(source, file, table.schema_arrow.names, column)
            for batch in table.iter_batches(batch_size=8192, columns=columns):
                for values in batch.to_pylist():
                    number += 1
                    yield number, values
        except (arrow.ArrowException, OSError) as error:
            told = f"{file.label} is not readable as parquet after row {number}: {error}"
            raise BadData(f"source {source.name}: {told}") from error
