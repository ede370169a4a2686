"""The report's section of infer: how many images were read, and abstained, what to expect of the others, a few."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice

from jobs.composing.values import Candidate
from jobs.contract.reading import TypedSample
from jobs.infer.contract import Predicted, Prediction
from jobs.infer.results.of_run import RESULTS
from jobs.report.page import RunView, Section, StagePage
from jobs.report.pictures import uri
from jobs.shards.dataset import Dataset

_SHARDS_READ = 2
_EXAMPLES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image's first candidate, and what to expect of the prediction, or why nothing."""

    id: str
    uri: str  # of a small copy; empty where none is kept
    candidate: Candidate
    expected: float | None
    interval: tuple[float, float] | None
    abstained: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFacts:
    """The outcome of infer; `expected` is of the predictions that were read and not abstained."""

    images: int
    refused: int  # beside these
    abstained: int  # of these
    read: int  # images in the shards that were read, abstained ones among them
    expected: tuple[float, ...]
    examples: tuple[Example, ...]

    @property
    def mean_expected(self) -> float:
        """The score to expect of the predictions that were read."""
        return sum(self.expected) / len(self.expected) if self.expected else 0.0


def page(view: RunView) -> StagePage:
    """What the report shows of infer."""
    predicted = view.get(Predicted[Dataset])
    section = partial(
        Section, id="predictions", title="Predictions", link="Predictions", template="predictions.html.j2"
    )
    if predicted is None:
        return StagePage(sections=(section(missing=Predicted.stage),))
    page_of_all = RESULTS.page if Predicted.stage in view.made else ""
    return StagePage(sections=(section(values={"predictions": prediction_facts(predicted), "page": page_of_all}),))


def prediction_facts(predicted: Predicted[Dataset]) -> PredictionFacts:
    """What the first shards hold, and how many images there are in all."""
    shards = predicted.predictions.shards()
    samples = [sample for shard in shards[:_SHARDS_READ] for sample in predicted.predictions.read(shard)]
    good = [one for sample in samples if (one := sample.value).error is None]
    readable = (sample for sample in samples if sample.value.candidates)
    counts = predicted.stats.values()
    bad = sum(one.bad_images for one in counts)
    return PredictionFacts(
        images=predicted.predictions.num_samples - bad,
        refused=bad,
        abstained=sum(one.abstained for one in counts),
        read=len(good),
        expected=tuple(one.expected_cosine for one in good if one.expected_cosine is not None),
        examples=tuple(_example(sample) for sample in islice(readable, _EXAMPLES)),
    )


def _example(sample: TypedSample[Prediction]) -> Example:
    found = sample.value
    return Example(
        id=found.id,
        uri=uri(sample),
        candidate=found.candidates[0],
        expected=found.expected_cosine,
        interval=found.interval,
        abstained=found.abstained,
    )
