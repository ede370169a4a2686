"""What evaluate reads and leaves: the score with what stands beside it, and every held-out image's cosines."""

from __future__ import annotations

from pydantic import Field

from jobs.compare_images.contract import ComparedImages
from jobs.contract.declaration import Access, Contract, Inputs, Many, One, Stats
from jobs.dedup.contract import Deduplicated
from jobs.generate_images.contract import GeneratedImages
from jobs.regressor.values import Calibration, Candidate
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel
from jobs.train.contract import Trained


class EvaluateInputs(Inputs):
    """The held-out images, what was left out for them, the network, and the prompts it was trained with."""

    images: GeneratedImages[Dataset]
    compared: ComparedImages[Dataset]
    trained: Trained[Dataset]
    prompts: Deduplicated[Dataset]


class Baselines(JsonModel):
    """Mean cosines of predictions that need no network."""

    constant: float
    """The training prompts' mean vector, whatever the image."""

    nearest_neighbour: float
    """The vector of the training prompt whose image looks most alike."""


class Differences(JsonModel):
    """Intervals of the mean difference between the network's cosine and that of a baseline, image by image."""

    constant: tuple[float, float]
    nearest_neighbour: tuple[float, float]


class SourceScore(JsonModel):
    """Of the held-out images whose prompts one source gave."""

    source: str
    samples: Count
    score: float
    interval: tuple[float, float] | None
    """None of so few images that it would be narrower than it says."""

    baselines: Baselines


class Histogram(JsonModel):
    """Images per bin of cosine; `edges` has one more entry than the counts."""

    edges: tuple[float, ...]
    model: tuple[Count, ...]
    constant: tuple[Count, ...]
    nearest_neighbour: tuple[Count, ...]


class Metrics(JsonModel):
    """The score, and what it takes to judge it."""

    score: float
    interval: tuple[float, float]
    confidence: float
    resamples: Count
    samples: Count
    split: str
    baselines: Baselines
    differences: Differences | None = None
    """None of an evaluation from before they were computed."""

    by_source: tuple[SourceScore, ...] = ()
    """In the order of their names."""

    max_cosine_to_train: float
    closest_pair: dict[str, str]
    """By split, the keys of the held-out and the training prompt that are closest to each other."""

    training_prompts: Count
    histogram: Histogram
    neighbour_images: Count
    """Training images that the nearest-neighbour baseline looked at."""


class MetricsSummary(JsonModel):
    """The part of the metrics that stands in the commit record."""

    score: float
    interval: tuple[float, float]
    samples: Count
    baselines: Baselines


class Score(JsonModel):
    """One held-out image's cosines to the true vector of its prompt, of the network and of the baselines."""

    cosine: float
    constant: float
    nearest_neighbour: float
    closest_cosine: float = Field(validation_alias="bank_cosine", serialization_alias="bank_cosine")
    """Of the network's prediction to the closest training prompt."""

    cosine_to_train: float
    """Of the true vector to the closest training prompt."""


class Case(JsonModel):
    """A prediction that is shown, one of the best or the worst."""

    rank: Count
    cosine: float
    candidates: tuple[Candidate, ...]


class Evaluated(Contract[Access], stage="evaluate"):
    """Scores and cases have the keys of their prompts; a case's `png` is small."""

    metrics = One(Metrics)
    calibration = One(Calibration)
    scores = Many(Score)
    best = Many(Case, "txt", "png", key="prompt")
    worst = Many(Case, "txt", "png", key="prompt")
    stats = Stats(MetricsSummary)
