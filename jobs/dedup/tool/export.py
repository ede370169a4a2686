"""Writes what a run has filtered as the files that `i2p dedup` writes, for those who work on with other tools."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jobs.collect.contract import Collected
from jobs.collect.stage import source_of
from jobs.dedup.contract import Deduplicated, is_repeat
from jobs.dedup.tool.results import new_results
from jobs.dedup.tool.summary import closing_text
from jobs.dedup.tool.tables.formats import Format
from jobs.embed.contract import Embedded
from jobs.errors import Corrupt, NotFound
from jobs.report.page import RunView, Summary
from jobs.shards.dataset import Dataset

_KEPT = Format(".jsonl").kept  # because sources have members of their own, for which a CSV has no header

Position = tuple[int, int, int]  # of a row: the file's number, the shard's for prompts that a model wrote, the row's
Kept = dict[str, tuple[Position, bytes]]  # by key: where it is written, and its line of JSON
DroppedRow = tuple[Position, int, str, str, float, str, bool]  # row, prompt, witness's key, cosine, file, repeat
Origins = Mapping[str, Any]  # the members of a sample's JSON


def write(view: RunView, folder: Path, *, force: bool) -> Summary:
    """Write kept.jsonl, dropped.csv and summary.json, both by source, then row; raises NotFound before there are any.

    Each prompt is held once in memory until it is written, vectors are not.
    """
    dedup = view.get(Deduplicated[Dataset])
    if dedup is None:
        raise NotFound("the prompts of the run are not filtered yet; `i2p run` does that")
    files = _files(view)
    with new_results(folder, force=force) as results:
        kept, dropped = _kept(dedup, files), sorted(_dropped(dedup, files))
        with results.writing(_KEPT) as file:
            file.writelines(line for _, line in sorted(kept.values()))
        results.write_dropped(_with_witnesses(dropped, kept))
        certificate = dedup.certificate.value()
        values = {
            "run": view.address,
            "files": [{"file": name, **facts} for name, facts in _facts(view)],
            "threshold": certificate.threshold,
            "order": certificate.order,
            "model": _model(view),
            "rows": certificate.prompts,
            "kept": len(kept),
            "dropped": len(dropped),
            "repeats": sum(repeat for *_, repeat in dropped),
            "splits": certificate.splits,
            "kept_keys_sha256": certificate.kept_keys_sha256,
            "kept_file": _KEPT,
            "kept_sha256": results.digest(_KEPT),
        }
        results.write_summary(values)
    return Summary(values, closing_text(values, folder))


def _kept(dedup: Deduplicated[Dataset], files: Mapping[str, int]) -> Kept:
    found: Kept = {}
    for split in dedup.splits.names:
        for sample in dedup.splits[split].samples():
            origin = sample.value.model_dump(exclude_unset=True)
            line = {"prompt": sample.text(), "key": sample.key, "split": split, **origin}
            found[sample.key] = _position(origin, files), f"{json.dumps(line, ensure_ascii=False)}\n".encode()
    return found


def _dropped(dedup: Deduplicated[Dataset], files: Mapping[str, int]) -> Iterator[DroppedRow]:
    for sample in dedup.dropped.samples():
        verdict = sample.value
        origin = verdict.model_dump(exclude_unset=True)
        row = verdict.row, sample.text(), verdict.witness, verdict.cosine, _file(origin)
        yield _position(origin, files), *row, is_repeat(sample)


def _with_witnesses(dropped: list[DroppedRow], kept: Kept) -> Iterator[tuple[int, str, int, str, float, str, str]]:
    for _, row, prompt, key, cosine, file, _ in dropped:
        if key not in kept:
            raise Corrupt(f"{prompt!r} was dropped for {key}, which is not kept; `i2p verify` says more")
        witness = json.loads(kept[key][1])
        yield row, prompt, witness["row"], witness["prompt"], cosine, file, _file(witness)


def _file(origin: Origins) -> str:
    """A name for the file that a prompt is from; its source where it is of none, with the shard of written ones."""
    parts = (origin["source"], origin.get("file"), origin.get("shard"))
    return "/".join(str(part) for part in parts if part is not None)


def _position(origin: Origins, files: Mapping[str, int]) -> Position:
    return files.get(_file(origin), len(files)), int(origin.get("shard", 0)), origin["row"]


def _files(view: RunView) -> dict[str, int]:
    """The files of the sources by their names, in the order of their priority."""
    return {name: number for number, (name, _) in enumerate(_facts(view))}


def _facts(view: RunView) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every file of a source, or source of no file: its rows, and the version that was read."""
    if collected := view.get(Collected[Dataset]):
        for outcome, counts in collected.stats.by_outcome():
            label, version = next(iter(outcome.reads.items()), (None, None))
            yield _file({"source": source_of(outcome), "file": label}), {"rows": counts.rows, "version": version}


def _model(view: RunView) -> dict[str, Any]:
    embedded = view.get(Embedded[Dataset])
    settings = next((outcome.settings for outcome in embedded.data.manifest.outcomes), {}) if embedded else {}
    return {"name": settings.get("model"), "revision": settings.get("revision")}
