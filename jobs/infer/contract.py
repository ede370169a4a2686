"""What infer reads and leaves: for every image the predicted vector, the closest known prompts and what to expect."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from jobs.contract.declaration import Access, Contract, Inputs, Many, Stats
from jobs.dedup.contract import Deduplicated
from jobs.evaluate.contract import Evaluated
from jobs.generate_images.contract import GeneratedImages
from jobs.regressor.values import Candidate
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel
from jobs.train.contract import Trained


class InferInputs(Inputs):
    """Generated images to read, the network, the prompts it was trained with, and how sure it is."""

    images: GeneratedImages[Dataset]
    trained: Trained[Dataset]
    prompts: Deduplicated[Dataset]
    evaluated: Evaluated[Dataset]


class Prediction(JsonModel):
    """What was read out of an image, beside the vector in `npy`; or why it could not be read, then without one."""

    id: str
    candidates: tuple[Candidate, ...] = ()
    """The closest training prompts, the closest first."""

    expected_cosine: float | None = None
    """The cosine to expect between the vector and the true prompt's."""

    error: str | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.error is None) == (self.expected_cosine is None):
            raise ValueError("either an expected cosine or an error is required")
        return self


class PredictionCounts(JsonModel):
    """Of one shard; counted only where bad images are recorded."""

    images: Count | None = None
    bad_images: Count = 0


class Predicted(Contract[Access], stage="infer"):
    """An image's key follows from its id."""

    predictions = Many(Prediction, optional=("npy",))
    stats = Stats(PredictionCounts)
