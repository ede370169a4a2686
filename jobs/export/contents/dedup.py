"""Both sides of the filter: kept prompts, and dropped ones with their witnesses."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.dedup.contract import Deduplicated, is_repeat
from jobs.export.contents.prompts import NOT_FILTERED, kept
from jobs.export.origins import ORIGIN, finished, of_prompt, origin_values
from jobs.export.rows import Column, Content, Row, Table
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard

_DROPPED = (
    Column("key", "of the prompt, and the shard that it was dropped from"),
    Column("prompt", "normalised"),
    Column("witness", "the key of the kept prompt that it was dropped for"),
    Column("cosine", "of both", "float64"),
    Column("repeat", "whether it is word for word the witness", "bool"),
    *ORIGIN,
)


def content(view: RunView) -> Content:
    """Two tables; raises NotFound before the prompts are filtered."""
    dedup = finished(view, Deduplicated[Dataset], NOT_FILTERED)
    certificate = dedup.certificate.value()
    notes = {"threshold": f"{certificate.threshold:g}", "order": certificate.order}
    return Content(dedup.data.manifest.digest, (kept(dedup, "kept"), _dropped(dedup)), notes)


def _dropped(dedup: Deduplicated[Dataset]) -> Table:
    def read(split: str, shard: Shard) -> Iterator[Row]:
        for sample in dedup.dropped.read(shard):
            values = {
                "key": sample.key,
                "prompt": sample.text(),
                "witness": sample.value.witness,
                "cosine": sample.value.cosine,
                "repeat": is_repeat(sample),
                **origin_values(sample, without=("witness", "cosine")),
            }
            yield Row(sample.key, values, origins=(of_prompt(values),))

    shards = tuple(("dropped", shard) for shard in dedup.dropped.shards())
    return Table(name="dropped", columns=_DROPPED, shards=shards, read=read, vectors=False)
