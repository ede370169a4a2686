"""Writes `txt`, the normalised prompt, and `json`, where it came from, for every distinct prompt of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from jobs.collect.sources import AnySource
from jobs.collect.sources.base import BadRow, File, FileSource, Row
from jobs.collect.stage import CollectParams, origins
from jobs.errors import BadData, StalePlan
from jobs.runtime import log
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.keys import key_of, normalise
from jobs.shards.tar import Sample, json_field


def run(task: Task, params: CollectParams) -> None:
    """Collect the pending files."""
    origin = {unit: (source, file) for unit, source, file in origins(params)}
    for unit in task.pending():
        with task.writing(unit) as output:
            source, file = origin[unit.name]
            collect(source, file, params, output, unit.name)
            if file and file.store.version(file.name) != unit.reads[file.label]:
                raise StalePlan(f"{file.label} changed while it was read; the controller plans it again")


def collect(source: AnySource, file: File | None, params: CollectParams, output: Writer, unit: str) -> None:
    """Write the kept prompts of one file as shards of `prompts_per_shard`, and count what was dropped and why."""
    counts: Counter[str] = Counter(rows=0, kept=0, repeated=0, too_short=0, too_long=0, unreadable=0)
    prompts = _kept(source, file, params, counts)
    number = 0
    while shard := list(islice(prompts, params.prompts_per_shard)):
        output.add_shard(f"{unit}-{number:05d}", sorted(shard, key=lambda sample: sample.key))
        number += 1
    output.stats.update(counts)


def _kept(source: AnySource, file: File | None, params: CollectParams, counts: Counter[str]) -> Iterator[Sample]:
    origin = {"source": source.name, "licence": source.licence, "file": file.label if file else None}
    seen: set[str] = set()
    for row in islice(_rows(source, file), source.limit):
        counts["rows"] += 1
        log.progress(counts["rows"], None, "rows")
        if isinstance(row, BadRow):
            _skip_or_fail(source, file, row)
            counts["unreadable"] += 1
            continue
        prompt = normalise(row.prompt)
        key = key_of(prompt)
        verdict = _verdict(prompt, params, repeated=key in seen)
        counts[verdict] += 1
        if verdict == "kept":
            seen.add(key)
            yield Sample(key, {"txt": prompt.encode(), "json": json_field({**origin, "row": row.number, **row.extra})})


def _rows(source: AnySource, file: File | None) -> Iterator[Row | BadRow]:
    if isinstance(source, FileSource):
        assert file is not None  # noqa: S101 - by construction of the origins
        return source.rows(file)
    return source.rows()


def _verdict(prompt: str, params: CollectParams, *, repeated: bool) -> str:
    if len(prompt.split()) < params.min_words:
        return "too_short"
    if len(prompt) > params.max_characters:
        return "too_long"
    return "repeated" if repeated else "kept"


def _skip_or_fail(source: AnySource, file: File | None, row: BadRow) -> None:
    if isinstance(source, FileSource) and file and source.on_bad_row == "fail":
        raise BadData(
            f"source {source.name}: row {row.number} of {file.label} cannot be read: {row.reason}; "
            "correct the row, or set `on_bad_row: skip` to leave such rows out and count them"
        )
