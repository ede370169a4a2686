"""The settings of stages that predict vectors from images with a trained network. Free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jobs.registry import OneOf
from jobs.runtime.spec import TorchParams

HEADS = "jobs.regressor.heads"
VIEWS = "jobs.regressor.views"

Head = Annotated[str, OneOf(HEADS)]
Views = Annotated[str, OneOf(VIEWS)]
Trainable = Literal["all", "last-quarter", "head"]
Precision = Literal["fp32", "bf16", "fp16"]


class PredictParams(TorchParams):
    """How a trained network is run over images."""

    batch_size: int = Field(default=64, ge=1)
    """Images at once."""

    precision: Precision = "fp32"
    """The arithmetic of the network; weights and vectors are float32 in any case. fp16 needs `device: cuda`."""
