"""What infer reads and leaves: for every image the predicted vector, the closest known prompts and what to expect."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from jobs.composing.values import Candidate
from jobs.contract.declaration import Access, Contract, Inputs, Many, Stats
from jobs.cut_prompts.contract import CutPrompts
from jobs.dedup.contract import Deduplicated
from jobs.evaluate.contract import Evaluated
from jobs.generate_images.contract import GeneratedImages
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel
from jobs.train.contract import Trained


class InferInputs(Inputs):
    """Generated images to read, the network, the prompts it was trained with, also cut, and how sure it is."""

    images: GeneratedImages[Dataset]
    trained: Trained[Dataset]
    prompts: Deduplicated[Dataset]
    cut: CutPrompts[Dataset]
    evaluated: Evaluated[Dataset]


class ModelInputs(Inputs):
    """All that a trained model is, of what infer reads."""

    trained: Trained[Dataset]
    prompts: Deduplicated[Dataset]
    cut: CutPrompts[Dataset]
    evaluated: Evaluated[Dataset]


class Prediction(JsonModel):
    """What was read out of an image, beside the vector in `npy`; or why it could not be read, then without one."""

    id: str
    """Of a file its path below the folder that is read, of a generated image its key."""

    candidates: tuple[Candidate, ...] = ()
    """The closest training prompts, and what was composed of fragments of them, the closest first."""

    expected_cosine: float | None = None
    """The cosine to expect between the vector and the true prompt's."""

    interval: tuple[float, float] | None = None
    """What holds nine of ten such cosines; None where none is expected, and of a prediction from before version 3."""

    abstained: str | None = None
    """Why nothing can be said of the vector, as the image is unlike all that was measured; candidates are given."""

    error: str | None = None

    @model_validator(mode="after")
    def _is_one_of_three(self) -> Self:
        if [self.expected_cosine, self.abstained, self.error].count(None) != 2:
            raise ValueError("exactly one of expected_cosine, abstained and error is required")
        return self


class PredictionCounts(JsonModel):
    """Of one shard; images and bad images are counted only where bad images are recorded."""

    images: Count | None = None
    bad_images: Count = 0
    abstained: Count = 0
    """Of the images."""


class Predicted(Contract[Access], stage="infer"):
    """An image's key follows from its id; `webp` is a small copy of the image."""

    predictions = Many(Prediction, optional=("npy", "webp"))
    stats = Stats(PredictionCounts)
