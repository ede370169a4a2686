"""The prompts that the filter kept."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.dedup.contract import Deduplicated
from jobs.export.origins import PROMPT, finished, of_prompt, prompt_values
from jobs.export.rows import Content, Row, Table, split_name
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard

NOT_FILTERED = "the prompts of the run are not filtered yet"


def content(view: RunView) -> Content:
    """One table; raises NotFound before the prompts are filtered."""
    dedup = finished(view, Deduplicated[Dataset], NOT_FILTERED)
    return Content(dedup.data.manifest.digest, (kept(dedup, "data"),))


def kept(dedup: Deduplicated[Dataset], name: str) -> Table:
    """The table of kept prompts."""

    def read(split: str, shard: Shard) -> Iterator[Row]:
        for sample in dedup.splits.read(shard):
            values = prompt_values(sample, split)
            yield Row(sample.key, values, vector=sample["npy"], origins=(of_prompt(values),))

    shards = tuple((split_name(shard.group), shard) for shard in dedup.splits.shards())
    return Table(name=name, columns=PROMPT, shards=shards, read=read)
