"""Predictions one by one, as files of people have them: predicted, abstained or refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from jobs.infer.contract import Predicted, Prediction
from jobs.infer.npy import vector_in
from jobs.shards.dataset import Dataset

THUMBNAIL = "webp"  # the field of a sample that holds a small copy of its image


class Outcome(StrEnum):
    """What became of an image; each has exactly one."""

    PREDICTED = "predicted"
    ABSTAINED = "abstained"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Row:
    """One image: what was predicted, its vector as float32 in little-endian bytes, and a small copy as WebP."""

    prediction: Prediction
    vector: bytes | None
    thumbnail: bytes | None

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        if self.prediction.error is not None:
            return Outcome.REFUSED
        return Outcome.PREDICTED if self.prediction.abstained is None else Outcome.ABSTAINED

    @property
    def reason(self) -> str:
        """Why there is no prediction; empty where there is one."""
        return self.prediction.error or self.prediction.abstained or ""

    @property
    def prompt(self) -> str:
        """The first candidate; empty where there is no prediction."""
        if self.outcome is not Outcome.PREDICTED or not self.prediction.candidates:
            return ""
        return self.prediction.candidates[0].prompt


def rows_of(predicted: Predicted[Dataset]) -> Iterator[Row]:
    """All predictions, a shard at a time and sorted by id within it; raises Corrupt."""
    for shard in predicted.predictions.shards():
        rows = [
            Row(
                sample.value,
                vector_in(sample["npy"], sample.key) if "npy" in sample else None,
                sample.raw.fields.get(THUMBNAIL),
            )
            for sample in predicted.predictions.read(shard)
        ]
        yield from sorted(rows, key=lambda row: row.prediction.id)
