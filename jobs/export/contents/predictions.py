"""What infer read out of each image, or why it could not be read."""

from __future__ import annotations

from collections.abc import Iterator

from jobs.export.origins import finished
from jobs.export.rows import Column, Content, Row, Table, split_name
from jobs.infer.contract import Predicted
from jobs.report.page import RunView, setting
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard

_COLUMNS = (
    Column("id", "of the image: its key, or its file's path below the folder that was read"),
    Column("prompt", "the first candidate; empty where the image could not be read"),
    Column("expected_cosine", "to expect between the predicted vector and the true prompt's", "float64"),
    Column("interval_low", "the lower end of what holds nine of ten such cosines", "float64"),
    Column("interval_high", "its upper end", "float64"),
    Column("abstained", "why nothing can be expected, as the image is unlike what was measured; empty otherwise"),
    Column("candidates", "texts for what was predicted, the closest first", many=True),
    Column("cosines", "of the candidates to what was predicted", "float64", many=True),
    Column("kinds", "retrieved: a training prompt; composed: fragments of several, put together", many=True),
    Column("error", "why the image could not be read; empty where it was"),
)
_SPLIT = "split:"


def content(view: RunView) -> Content:
    """One table; raises NotFound before there are predictions."""
    predicted = finished(view, Predicted[Dataset], "the run has no predictions yet")
    images = setting(predicted, "images")
    split = split_name(images.removeprefix(_SPLIT)) if images.startswith(_SPLIT) else "predictions"

    def read(split: str, shard: Shard) -> Iterator[Row]:
        for sample in predicted.predictions.read(shard):
            found = sample.value
            candidates = [one.prompt for one in found.candidates]
            values = {
                "id": found.id,
                "prompt": candidates[0] if candidates else "",
                "expected_cosine": found.expected_cosine,
                "interval_low": found.interval[0] if found.interval else None,
                "interval_high": found.interval[1] if found.interval else None,
                "abstained": found.abstained or "",
                "candidates": candidates,
                "cosines": [one.cosine for one in found.candidates],
                "kinds": [one.kind for one in found.candidates],
                "error": found.error or "",
            }
            yield Row(sample.key, values, vector=None if found.error else sample["npy"])

    shards = tuple((split, shard) for shard in predicted.predictions.shards())
    return Content(predicted.data.manifest.digest, (Table(name="data", columns=_COLUMNS, shards=shards, read=read),))
