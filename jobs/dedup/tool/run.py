"""The work of `i2p dedup`: read the prompts of files, filter them, and write kept rows, dropped ones and the counts."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from jobs.dedup.tool.embedding import embedded, model_facts, model_params
from jobs.dedup.tool.filtering import Distinct, Filtered, Rows, check_threshold, compare, filtered
from jobs.dedup.tool.results import Results, digest_of, new_results
from jobs.dedup.tool.summary import closing_text, peak_memory, versions
from jobs.dedup.tool.tables.files import changed
from jobs.dedup.tool.tables.formats import Format, common_format
from jobs.dedup.tool.tables.reading import Table, copy_rows, open_tables, prompts
from jobs.errors import BadConfiguration, BadData
from jobs.report.page import Summary
from jobs.runtime.commands import Progress
from jobs.runtime.device import threads_of

ORDER = "files as given, then rows; of near duplicates the first stays"


@dataclass(frozen=True, slots=True)
class Read:
    """The prompts of all files: each distinct one, which of them each row has, and how many rows each file has."""

    prompts: list[str]
    of_row: Rows
    rows: list[int]


@dataclass(slots=True)
class Clock:
    """How long each part took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


def run(args: argparse.Namespace, show: Progress) -> Summary:
    """Filter the files of the arguments, which are those of jobs/dedup/command.py."""
    clock = Clock()
    paths = [Path(name) for name in args.files]
    format_ = common_format(paths)
    check_threshold(args.threshold)
    threads = threads_of(args.threads)
    params = model_params(args.model, revision=args.revision, device=args.device, threads=threads)
    with new_results(Path(args.out), force=args.force, inputs=_there(paths)) as results:
        with clock.part("reading"):
            tables = open_tables(paths, format_, args.column)
            digests = [digest_of(path) for path in paths]
            read = _read(tables, show)
        with clock.part("embedding"):
            vectors = embedded(read.prompts, params, show)
        with clock.part("comparing"):
            decisions = compare(vectors, args.threshold, threads, args.device, show)
            found = filtered(read.of_row, decisions)
            del vectors
        with clock.part("writing"):
            _write(results, tables, format_, read, found)
            for path, digest in zip(paths, digests, strict=True):
                if digest_of(path) != digest:
                    raise changed(path)
        values = {
            "files": [
                {"file": str(path), "rows": rows, "sha256": digest}
                for path, rows, digest in zip(paths, read.rows, digests, strict=True)
            ],
            "column": tables[0].column,
            "threshold": args.threshold,
            "order": ORDER,
            "model": model_facts(params),
            **_counts(read, found),
            "kept_file": format_.kept,
            "kept_sha256": results.digest(format_.kept),
            "seconds": clock.seconds,
            "peak_memory_bytes": peak_memory(),
            "versions": versions(),
        }
        results.write_summary(values)
    return Summary(values, closing_text(values, Path(args.out)))


def _there(paths: Sequence[Path]) -> Sequence[Path]:
    """The paths, if each is a file, and none is given twice."""
    for path in paths:
        if not path.is_file():
            what = "is no file" if path.exists() else "is not there"
            raise BadConfiguration(f"{path} {what}: files of prompts are required")
        try:
            path.open("rb").close()
        except OSError as error:
            raise BadConfiguration(f"{path} cannot be read: {error.strerror}") from error
    for number, path in enumerate(paths):
        if any(path.samefile(other) for other in paths[:number]):
            raise BadConfiguration(f"{path} is given twice: all of its prompts would be dropped as repeats")
    return paths


def _read(tables: Sequence[Table], show: Progress) -> Read:
    distinct, rows = Distinct(), list[int]()
    for table in tables:
        before = sum(rows)
        count = 0
        for count, prompt in enumerate(prompts(table), 1):
            distinct.add(prompt)
            if count % 1000 == 0:
                show("reading", before + count, None)
        rows.append(count)
    show("reading", sum(rows), sum(rows))
    if not distinct.prompts:
        names = ", ".join(str(table.path) for table in tables)
        raise BadData(f"there is no prompt in {names}: {sum(rows):,} rows, and none with text in it")
    return Read(distinct.prompts, distinct.rows(), rows)


def _write(results: Results, tables: Sequence[Table], format_: Format, read: Read, found: Filtered) -> None:
    keep = np.zeros(len(read.of_row), bool)
    keep[found.kept] = True
    starts = np.cumsum([0, *read.rows])
    masks = [keep[start:end] for start, end in pairwise(starts)]
    with results.writing(format_.kept) as file, format_.writing(file) as out:
        copy_rows(tables, masks, out)
    results.write_dropped(_dropped_rows(tables, starts, read, found))


def _dropped_rows(
    tables: Sequence[Table], starts: Rows, read: Read, found: Filtered
) -> Iterator[tuple[int, str, int, str, float, str, str]]:
    names = [str(table.path) for table in tables]
    dropped = found.dropped

    def located(row: int) -> tuple[int, str, str]:
        """The row as it is counted in its file, its prompt, and the file."""
        file = int(np.searchsorted(starts, row, side="right")) - 1
        return row - int(starts[file]) + 1, read.prompts[read.of_row[row]], names[file]

    for row, witness, cosine in zip(dropped.row.tolist(), dropped.witness.tolist(), dropped.cosine, strict=True):
        (number, prompt, file), (witness_number, witness_prompt, witness_file) = located(row), located(witness)
        yield number, prompt, witness_number, witness_prompt, round(float(cosine), 9), file, witness_file


def _counts(read: Read, found: Filtered) -> dict[str, int]:
    """What became of the rows: rows = kept + dropped + empty, and of the dropped ones some are repeats."""
    return {
        "rows": len(read.of_row),
        "kept": len(found.kept),
        "dropped": len(found.dropped),
        "repeats": found.repeats,
        "empty": len(found.empty),
    }
