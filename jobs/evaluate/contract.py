"""What evaluate reads and leaves: the score with what stands beside it, and every held-out image's cosines."""

from __future__ import annotations

from pydantic import Field

from jobs.compare_images.contract import ComparedImages
from jobs.composing.values import Candidate
from jobs.contract.declaration import Access, Contract, Inputs, Many, One, Stats
from jobs.cut_prompts.contract import CutPrompts
from jobs.dedup.contract import Deduplicated
from jobs.generate_images.contract import GeneratedImages
from jobs.regressor.values import Calibration, Confidence, HeldOutRecord
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel
from jobs.train.contract import Trained


class EvaluateInputs(Inputs):
    """The held-out images, what was left out for them, the network, and the prompts it was trained with, also cut."""

    images: GeneratedImages[Dataset]
    compared: ComparedImages[Dataset]
    trained: Trained[Dataset]
    prompts: Deduplicated[Dataset]
    cut: CutPrompts[Dataset]


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


class ReliabilityBin(JsonModel):
    """Images of about the same expected cosine."""

    mean_expected: float
    """Mean of their expected cosines."""

    mean_true: float
    """Mean of their true ones."""

    images: Count


class Coverage(JsonModel):
    """The images that are the surest, and how well they do."""

    share: float
    """Of all images, abstained ones among them."""

    cosine: float
    """Mean of the true cosines of these."""


class Abstained(JsonModel):
    """How many images of a split are said to be unlike anything in training."""

    images: Count
    abstained: Count


class Reliability(JsonModel):
    """Whether expected cosines are what images score, on images that they were not fitted on."""

    split: str
    cross_fitted: bool
    """Whether each image was judged by what was fitted on other images of its own split, for want of another one."""

    error_rate: float
    """The share of such images that was allowed to be abstained."""

    promised_error_rate: float
    """The share that is not exceeded on average; more where there were too few images to promise what was allowed."""

    abstained: dict[str, Abstained]
    """By split."""

    mean_expected: float | None
    """Of images that are not abstained, as all that follows; None where all are."""

    mean_true: float | None
    calibration_error: float | None
    """Mean over the bins of the difference of expected and true cosine, each weighted by its images."""

    bins: tuple[ReliabilityBin, ...]
    """Quantiles of the expected cosine, in ascending order."""

    interval: float
    """The share of true cosines that the intervals should hold."""

    interval_held: float | None
    """The share that they hold."""

    risk_coverage: tuple[Coverage, ...]
    """From the surest images on; the last one has all that are not abstained."""


class TextScore(JsonModel):
    """Means over images, each of one text for it, beside the true prompt."""

    cosine: float
    """Of the text's own vector to the true prompt's."""

    rouge_l: float
    """Word overlap, 0 to 1 (Lin 2004)."""


class Texts(JsonModel):
    """How close what people read comes to the true prompts, on some of the held-out images."""

    images: Count
    composed: Count
    """Images whose first candidate is composed."""

    known: TextScore
    """Of the training prompt that is closest to what was read out of the image."""

    first: TextScore
    """Of the first candidate."""

    gain: float
    """The second's cosine less the first's."""

    interval: tuple[float, float] | None
    """Its 95 % interval, image by image; None of so few images that it would be narrower than it says."""


class ViewingGain(JsonModel):
    """What other views of an image, or another size than that of training, gain on the images that are scored."""

    views: str
    image_size: Count
    """Pixels of a side."""

    trained_image_size: Count
    plain_score: float
    """Of the image alone in the size of training."""

    gain: float
    """Mean of the score's cosines minus these, image by image; below 0 where it is a loss."""

    interval: tuple[float, float] | None
    """Its 95 % interval; None of so few images that it would be narrower than it says."""


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

    reliability: Reliability | None = None
    """None of an evaluation from before it was measured, and of a single held-out image."""

    texts: Texts | None = None
    """None where no prompts were composed."""

    viewing: ViewingGain | None = None
    """None where images are seen as in training."""


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

    feature_distance: float | None = None
    """Of the tower's features to those of training images; None in evaluations from before version 4."""

    detail: float | None = None
    """Mean difference of neighbouring pixels; None likewise."""


class Case(JsonModel):
    """A prediction that is shown, one of the best or the worst."""

    rank: Count
    cosine: float
    candidates: tuple[Candidate, ...]


class Evaluated(Contract[Access], stage="evaluate"):
    """Scores and cases have the keys of their prompts; a case's `png` is small. The confidence's safetensors are the
    statistics of training images' features, those of `held_out` what an ensemble is fitted on. Only evaluations from
    before version 4 have a calibration, and those from before version 5 have no `held_out`.
    """

    metrics = One(Metrics)
    confidence = One(Confidence, "safetensors")
    held_out = One(HeldOutRecord, "safetensors")
    calibration = One(Calibration)
    scores = Many(Score)
    best = Many(Case, "txt", "png", key="prompt")
    worst = Many(Case, "txt", "png", key="prompt")
    stats = Stats(MetricsSummary)
