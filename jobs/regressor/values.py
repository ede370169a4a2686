"""JSON about a trained network and its predictions that several stages store or read. Free of torch and numpy."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from jobs.shards.strict_json import Count, JsonModel

Knots = Annotated[list[float], Field(min_length=1)]
SignalName = Literal["closest_cosine", "feature_distance", "detail"]


class Architecture(JsonModel):
    """All that is needed, beside the weights, to build the network again."""

    model: str
    """A name of open_clip's, or else of timm's."""

    image_size: int
    """Pixels of a side."""

    head: str
    mean: tuple[float, float, float]
    """Of the pretrained tower's training images, by channel, of values in 0..1."""

    std: tuple[float, float, float]


class Viewing(JsonModel):
    """How images are shown to a trained network; without anything as in training."""

    views: str = "single"
    """One of jobs/regressor/views."""

    image_size: Count | None = None
    """Pixels of a side; None for those of training."""


class Limit(JsonModel):
    """An image whose signal is beyond the value is unlike all that was measured."""

    signal: SignalName
    beyond: Literal["below", "above"]
    value: float


class Confidence(JsonModel):
    """What held-out images say of a prediction by its signals: which cosine to expect, and when to expect none.

    A prediction's trust is the sum of its closest cosine and of its feature distance's logarithm, each with its weight.
    """

    images: Count
    """Held-out images that it was fitted on."""

    feature_images: Count
    """Training images of which the statistics of features are."""

    error_rate: float
    """The share of images like the held-out ones that was allowed to be abstained."""

    promised_error_rate: float
    """The share that is not exceeded; more than allowed where there were too few images to promise that."""

    signal_limits: tuple[Limit, ...]
    """Beyond any of them there is no expected cosine. They share the error rate equally (Bonferroni)."""

    closest_cosine_weight: float = Field(ge=0)
    log_feature_distance_weight: float = Field(le=0)
    trust: Knots
    """Knots of the map from trust to expected cosine, straight between them and flat beyond."""

    expected_cosine: Knots
    residuals: tuple[float, float]
    """What to add to an expected cosine for the lower and the upper end of the interval of the true one."""

    coverage: float
    """The share of true cosines that the interval holds."""

    viewing: Viewing = Viewing()
    """How images were shown when all of this was measured, and are to be shown; left out where it is as in training."""

    @model_validator(mode="after")
    def _is_a_map(self) -> Self:
        if len(self.trust) != len(self.expected_cosine) or sorted(self.trust) != self.trust:
            raise ValueError("as many values as knots are required, and knots in ascending order")
        return self


class HeldOutRecord(JsonModel):
    """Of which held-out images a network's vectors are kept, for the ensembles that it may be in."""

    reads: dict[str, str]
    """Digests of all images of these splits; those of two networks are equal where they were evaluated on the same."""

    keys: dict[str, tuple[str, ...]]
    """By split, of the images whose vectors are kept, in their order: the first ones of the dataset."""


class EnsembleMember(JsonModel):
    """One network of an ensemble."""

    model: str
    """The run or folder that it is of."""

    weight: float
    score: float
    """Its mean cosine on the images that the ensemble was measured on."""


class EnsembleGain(JsonModel):
    """What an ensemble scores, and by how much more than its best member."""

    score: float
    gain: float
    """Mean of the ensemble's cosines minus the best member's; below 0 where it is a loss."""

    interval: tuple[float, float] | None
    """Its 95 % interval, image by image; None of so few that it would be narrower than it says."""

    weights: tuple[float, ...]
    """In the order of the members; of vectors that are not normalised they weigh what has their length."""


class EnsembleRecord(JsonModel):
    """The networks that predict together, and what that gains on held-out images."""

    members: tuple[EnsembleMember, ...]
    best: str
    """The member that is the best one on the images that the weights were fitted on."""

    split: str
    """The images that all was measured on."""

    images: Count
    cross_fitted: bool
    """Whether weights for each image were fitted on others of its own split, for want of another one."""

    normalised: EnsembleGain
    """Of what predicts: unit vectors are averaged."""

    not_normalised: EnsembleGain
    """If vectors were averaged as long as the networks give them, with weights fitted for that."""


class Calibration(JsonModel):
    """What stood in place of Confidence in evaluations before version 4; nothing reads it, and it is still verified."""

    closest_cosine: Knots = Field(validation_alias="bank_cosine", serialization_alias="bank_cosine")
    expected_cosine: Knots
