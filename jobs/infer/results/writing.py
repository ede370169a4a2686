"""Writes the files of predictions that people open; `summary.json` is written last and says that all are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import BinaryIO

from jobs.errors import Corrupt, NotFound
from jobs.infer.contract import Predicted
from jobs.infer.results.page import FOLDER, PAGE, ROWS_PER_FILE, page, picture_name, rows_file, rows_script
from jobs.infer.results.rows import Row, rows_of
from jobs.infer.results.summary import SUMMARY, Counting, Counts, ResultsRecord
from jobs.infer.results.tables import Table, csv_table, json_lines, vector_table
from jobs.infer.results.uploads import Uploads
from jobs.regressor.values import EnsembleRecord
from jobs.runtime.commands import Progress
from jobs.shards.dataset import Dataset
from jobs.shards.local import LocalStore
from jobs.shards.store import Store, overwrite, spool, spooling

TABLES: Mapping[str, Table] = {
    "predictions.csv": csv_table,
    "predictions.jsonl": json_lines,
    "vectors.npy": vector_table,
}


def write(
    predicted: Predicted[Dataset],
    folder: Store,
    model: str,
    show: Progress,
    *,
    subject: str = "",
    ensemble: EnsembleRecord | None = None,
) -> ResultsRecord:
    """Write all files of these predictions to the folder, unless they are there; `model` says what predicted them.

    Files of other predictions under these names are replaced. Raises StoreError, StoreFull, Corrupt.
    """
    dataset = predicted.data.manifest.digest
    if (found := finished(folder)) and (found.dataset, found.model) == (dataset, model):
        return found
    folder.delete(SUMMARY)
    with spooling(), ExitStack() as stack:
        tables = {name: stack.enter_context(spool()) for name in TABLES}
        counts, written = _write_rows(predicted, folder, tables, show)
        for name, file in tables.items():
            overwrite(folder, name, file)
    rows = [name for name in written if name.endswith(".js")]
    overwrite(folder, PAGE, page(counts, model, rows, list(TABLES)))
    for stat in list(folder.list(FOLDER)):
        if stat.name not in written:
            folder.delete(stat.name)
    files = (PAGE, *TABLES)
    record = ResultsRecord(
        **counts.model_dump(), model=model, dataset=dataset, subject=subject, files=files, ensemble=ensemble
    )
    overwrite(folder, SUMMARY, f"{json.dumps(record.model_dump(mode='json'), indent=2, ensure_ascii=False)}\n".encode())
    if isinstance(folder, LocalStore):
        folder.tidy()
    return record


def write_of_run(predicted: Predicted[Dataset], folder: Store, run: str) -> None:
    """Write the files of a run's predictions, unless they are there."""
    write(predicted, folder, run, lambda *_: None)


def finished(folder: Store) -> ResultsRecord | None:
    """What the folder holds whole files of."""
    try:
        return ResultsRecord.decode(folder.read(SUMMARY).data, f"{folder.url}/{SUMMARY}")
    except (NotFound, Corrupt):
        return None


def _write_rows(
    predicted: Predicted[Dataset], folder: Store, tables: Mapping[str, BinaryIO], show: Progress
) -> tuple[Counts, set[str]]:
    """Fill the tables and write what the page shows; returns the counts and the names of the page's files."""
    counting, total = Counting(), predicted.predictions.num_samples
    with ExitStack() as stack:
        adders = [stack.enter_context(TABLES[name](file, total)) for name, file in tables.items()]
        uploads = stack.enter_context(Uploads(folder))
        for number, rows in enumerate(_in_files(rows_of(predicted))):
            first = number * ROWS_PER_FILE
            for position, row in enumerate(rows, first):
                counting.add(row)
                for add in adders:
                    add(row)
                if row.thumbnail is not None:
                    uploads.put(picture_name(position), row.thumbnail)
            uploads.put(rows_file(number), rows_script(first, rows))
            show("writing", first + len(rows), total)
    return counting.counts(), set(uploads.names)


def _in_files(rows: Iterator[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == ROWS_PER_FILE:
            yield some
            some = []
    if some:
        yield some
