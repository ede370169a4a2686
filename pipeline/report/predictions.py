"""What was predicted for the images to be read: how many, how sure, and the first few of them."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.shards.records import Shard
from pipeline.report.stage_facts import Datasets

_SHARDS_READ = 2
_EXAMPLES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One image's closest known prompt, its cosine to the prediction, and the score to expect of the prediction."""

    id: str
    prompt: str
    cosine: float
    expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFacts:
    """The outcome of infer; `expected` is of the predictions that were read."""

    images: int
    expected: tuple[float, ...]
    examples: tuple[Prediction, ...]

    @property
    def mean_expected(self) -> float:
        """The score to expect of the predictions that were read."""
        return sum(self.expected) / len(self.expected) if self.expected else 0.0


def prediction_facts(datasets: Datasets) -> PredictionFacts | None:
    """None before infer is done."""
    infer = datasets.get("infer")
    if infer is None:
        return None
    shards: tuple[Shard, ...] = infer.shards()
    told = [sample.json() for shard in shards[:_SHARDS_READ] for sample in infer.read(shard)]
    told = [one for one in told if "error" not in one]  # the image could not be read
    bad = sum(outcome.stats.get("bad_images", 0) for outcome in infer.manifest.outcomes)
    examples = [
        Prediction(id=one["id"], expected=one["expected_cosine"], **one["candidates"][0])
        for one in told[:_EXAMPLES]
        if one["candidates"]
    ]
    return PredictionFacts(
        images=sum(shard.samples for shard in shards) - bad,
        expected=tuple(one["expected_cosine"] for one in told),
        examples=tuple(examples),
    )
