"""Writes `txt`, the normalised prompt, and `json`, where it came from, for every distinct prompt of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice

from jobs.collect.contract import CollectCounts, Collected, CollectedOrigin
from jobs.collect.sources import AnySource
from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.rows import AnyRow, BadRow, LeftOut
from jobs.collect.stage import CollectParams, origins
from jobs.contract.declaration import Inputs
from jobs.errors import BadData, StalePlan
from jobs.runtime import log
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.keys import key_of, normalise
from jobs.shards.tar import Sample

_ROWS_OF_NO_BYTES = 1 << 20  # that a file may have beyond one for each of its bytes: a second or two


def run(task: Task[Inputs, Collected[Writer]], params: CollectParams) -> None:
    """Collect the pending files."""
    origin = {unit: (source, file) for unit, source, file in origins(params)}
    for unit in task.pending():
        with task.writing(unit) as output:
            source, file = origin[unit.name]
            collect(source, file, params, output, unit.name)
            if file and file.store.version(file.name) != unit.reads[file.label]:
                raise StalePlan(f"{file.label} changed while it was read; the controller plans it again")


def collect(source: AnySource, file: File | None, params: CollectParams, output: Collected[Writer], unit: str) -> None:
    """Write the kept prompts of one file as shards of `prompts_per_shard`, and count what was dropped and why."""
    counts: Counter[str] = Counter(rows=0, kept=0, repeated=0, too_short=0, too_long=0, unreadable=0)
    prompts = _kept(source, file, params, output, counts)
    number = 0
    while shard := list(islice(prompts, params.prompts_per_shard)):
        output.prompts.write_shard(f"{unit}-{number:05d}", sorted(shard, key=lambda sample: sample.key))
        number += 1
    output.stats.write(_as_counts(counts))


def _as_counts(counts: Counter[str]) -> CollectCounts:
    own = {name: count for name, count in counts.items() if name in CollectCounts.model_fields}
    refused = {name: counts[name] for name in sorted(counts.keys() - own.keys())}
    return CollectCounts.model_validate({**own, "refused": refused} if refused else own)


def _kept(
    source: AnySource, file: File | None, params: CollectParams, output: Collected[Writer], counts: Counter[str]
) -> Iterator[Sample]:
    seen: set[str] = set()
    with closing(_rows(source, file)) as rows:
        for row in _up_to(source.limit, rows):
            counts["rows"] += 1
            log.progress(counts["rows"], None, "rows")
            if isinstance(row, LeftOut):
                counts[row.reason or "left_out"] += 1
                continue
            if isinstance(row, BadRow):
                _skip_or_fail(source, file, row)
                counts["unreadable"] += 1
                continue
            prompt = normalise(row.prompt)
            if verdict := _unfit(prompt, params):
                counts[verdict] += 1
                continue
            key = key_of(prompt)
            counts["repeated" if key in seen else "kept"] += 1
            if key not in seen:
                seen.add(key)
                origin = CollectedOrigin(
                    source=source.name,
                    licence=source.licence,
                    file=file.label if file else None,
                    row=row.number,
                    **row.extra,
                )
                yield output.prompts.sample(key, origin, txt=prompt.encode())


def _rows(source: AnySource, file: File | None) -> Generator[AnyRow]:
    if not isinstance(source, FileSource):
        yield from source.rows()
        return
    assert file is not None  # noqa: S101 - by construction of the origins
    stat = file.store.stat(file.name)
    most = min(source.limits.rows, _ROWS_OF_NO_BYTES + (stat.size if stat else 0))
    for count, row in enumerate(source.rows(file), 1):
        if count > most:
            raise BadData(
                f"source {source.name}: {file.label} has more than {most:,} rows, which is more than `limits.rows` of "
                "the source allows, or than it has bytes; set `limit` to read only the first"
            )
        yield row


def _up_to(limit: int | None, rows: Iterable[AnyRow]) -> Iterator[AnyRow]:
    """The rows, up to so many that the source's own filter does not leave out."""
    taken = 0
    for row in rows:
        yield row
        taken += not isinstance(row, LeftOut)
        if taken == limit:
            return


def _unfit(prompt: str, params: CollectParams) -> str | None:
    if len(prompt.split()) < params.min_words:
        return "too_short"
    return "too_long" if len(prompt) > params.max_characters else None


def _skip_or_fail(source: AnySource, file: File | None, row: BadRow) -> None:
    if isinstance(source, FileSource) and file and source.on_bad_row == "fail":
        raise BadData(
            f"source {source.name}: row {row.number} of {file.label} cannot be read: {row.reason}; "
            "correct the row, or set `on_bad_row: skip` to leave such rows out and count them"
        )
