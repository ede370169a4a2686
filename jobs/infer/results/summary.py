"""How many images were predicted, abstained and refused; and the record of finished files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from jobs.infer.results.rows import Outcome, Row
from jobs.regressor.values import EnsembleRecord
from jobs.shards.strict_json import Count, Digest, JsonModel

SUMMARY = "summary.json"


class Counts(JsonModel):
    """images = predicted + abstained + refused."""

    images: Count = 0
    predicted: Count = 0
    abstained: Count = 0
    refused: Count = 0
    mean_expected_cosine: float | None = None
    """Of those that were predicted."""

    reasons: dict[str, Count] = Field(default_factory=dict)
    """Of those that were not, by reason."""


class ResultsRecord(Counts):
    """What `summary.json` says; written last, so that files without it are not finished."""

    model: str
    """The run or folder of the model."""

    dataset: Digest
    """Of what the files are written from."""

    subject: str = ""
    """Digest of what was asked of `i2p predict`: images, model and parameters."""

    files: tuple[str, ...]
    ensemble: EnsembleRecord | None = None
    """Of several models that predicted together; left out of one alone."""

    @model_serializer(mode="wrap")
    def _without_default(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        dumped: dict[str, Any] = serialise(self)
        if self.ensemble is None:
            dumped.pop("ensemble", None)
        return dumped


class Counting:
    """Counts rows as they come."""

    def __init__(self) -> None:
        self._outcomes: Counter[Outcome] = Counter()
        self._reasons: Counter[str] = Counter()
        self._expected = 0.0

    def add(self, row: Row) -> None:
        """Count a row."""
        self._outcomes[row.outcome] += 1
        self._expected += row.prediction.expected_cosine or 0.0
        if row.reason:
            self._reasons[row.reason] += 1

    def counts(self) -> Counts:
        """All that were counted."""
        predicted = self._outcomes[Outcome.PREDICTED]
        return Counts(
            images=self._outcomes.total(),
            predicted=predicted,
            abstained=self._outcomes[Outcome.ABSTAINED],
            refused=self._outcomes[Outcome.REFUSED],
            mean_expected_cosine=round(self._expected / predicted, 6) if predicted else None,
            reasons=dict(sorted(self._reasons.items())),
        )


def counted(rows: Iterable[Row], on_row: Callable[[Row], None]) -> Counts:
    """The counts of rows, each of which is handed on."""
    counting = Counting()
    for row in rows:
        counting.add(row)
        on_row(row)
    return counting.counts()
