"""What train reads and leaves: the network, and how it learned."""

from __future__ import annotations

from pydantic import Field

from jobs.compare_images.contract import ComparedImages
from jobs.contract.declaration import Access, Contract, Inputs, One, Stats
from jobs.generate_images.contract import GeneratedImages
from jobs.regressor.values import Architecture
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, Json, JsonModel


class TrainInputs(Inputs):
    """Images with the vectors of their prompts, and which of them are left out."""

    images: GeneratedImages[Dataset]
    compared: ComparedImages[Dataset]


class CurvePoint(JsonModel):
    """How training stood after a step; `loss` and `cosine` are means since the point before."""

    step: Count
    images: Count
    loss: float
    cosine: float
    learning_rate: float


class Curve(JsonModel):
    """The learning curve, without times, so that equal training gives equal bytes."""

    points: tuple[CurvePoint, ...]
    steps: Count
    epochs: Count
    batch_size: Count


class LearnerState(JsonModel):
    """What a checkpoint holds beside tensors."""

    step: Count
    losses: list[float]
    """Since the last point of the curve."""

    cosines: list[float] = Field(default_factory=list)
    """As many; none in checkpoints from before there were other losses than 1 - cosine."""

    curve: list[CurvePoint]
    scaler: dict[str, Json]
    """The state of fp16's gradient scaler; empty without one."""


class Trained(Contract[Access], stage="train"):
    """The weights are safetensors."""

    model = One(Architecture, "safetensors")
    curve = One(Curve)
    stats = Stats(CurvePoint)
