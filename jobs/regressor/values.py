"""JSON about a trained network and its predictions that several stages store or read. Free of torch and numpy."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from jobs.shards.strict_json import JsonModel

Knots = Annotated[list[float], Field(min_length=1)]


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


class Calibration(JsonModel):
    """The knots of the map from a prediction's cosine to the closest known prompt, to the cosine to expect."""

    closest_cosine: Knots = Field(validation_alias="bank_cosine", serialization_alias="bank_cosine")
    expected_cosine: Knots

    @model_validator(mode="after")
    def _is_a_map(self) -> Self:
        if len(self.closest_cosine) != len(self.expected_cosine) or sorted(self.closest_cosine) != self.closest_cosine:
            raise ValueError("as many values as knots are required, and knots in ascending order")
        return self


class Candidate(JsonModel):
    """A known prompt, and its cosine to what was predicted."""

    prompt: str
    cosine: float
