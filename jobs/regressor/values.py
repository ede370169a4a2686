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

    @model_validator(mode="after")
    def _is_a_map(self) -> Self:
        if len(self.trust) != len(self.expected_cosine) or sorted(self.trust) != self.trust:
            raise ValueError("as many values as knots are required, and knots in ascending order")
        return self


class Calibration(JsonModel):
    """What stood in place of Confidence in evaluations before version 4; nothing reads it, and it is still verified."""

    closest_cosine: Knots = Field(validation_alias="bank_cosine", serialization_alias="bank_cosine")
    expected_cosine: Knots
