"""What a trained model predicts for images. The one seam to inference: all else works on `Predicted` alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jobs.errors import NotFound
from jobs.imaging.foreign import READERS
from jobs.imaging.pixels import BadImage, Pixels, square_pixels
from jobs.infer.ensembles import AnyModel, EnsembleModel, open_models
from jobs.infer.pictures import file_decoders
from jobs.infer.predictor import load_predictor
from jobs.infer.stage import InferParams
from jobs.regressor.predict import in_batches, predict_batches
from jobs.regressor.values import EnsembleRecord
from jobs.runtime.prefetch import prefetch

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be read: its name, and its bytes."""

    id: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What was read out of an image; `vector` is a unit vector, float32 of shape (384,)."""

    id: str
    vector: Floats
    expected_cosine: float | None
    """None where the model abstained."""

    abstained: str | None = None
    """Why the model does not vouch for it."""

    candidates: tuple[tuple[str, float], ...] = ()
    """Training prompts and their cosines to the vector, the closest first."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, by the name or address of its run, or the folder that it was exported to; or several, "A,B"."""

    model: str
    store: str
    params: InferParams

    @cached_property
    def opened(self) -> AnyModel:
        return open_models(self.model, self.store)

    @property
    def ensemble(self) -> EnsembleRecord | None:
        """What an ensemble is and gains; None of one model."""
        return self.opened.record if isinstance(self.opened, EnsembleModel) else None

    def predictions(self, images: Iterable[Image]) -> Iterator[Predicted]:
        """The predictions for images that can be decoded, in their order; others are left out.

        Raises BadConfiguration where there is no such model, NotFound where it is not whole.
        """
        predictor = load_predictor(self.opened, self.params)
        size, threads = predictor.network.image_size, self.params.threads
        with file_decoders(self.params) as decode_file:

            def decoded(image: Image) -> tuple[Image, Pixels | BadImage]:
                try:
                    return image, square_pixels(decode_file(image.data, image.id, size))
                except BadImage as error:
                    return image, error

            ready = prefetch(decoded, images, threads=threads + READERS, depth=2 * threads * self.params.batch_size)
            batches = in_batches(ready, self.params.batch_size)
            for batch, outputs in predict_batches(predictor.network, batches, self.params, lambda image, error: None):
                found = predictor.explained([image.id for image in batch], outputs, self.params)
                for prediction, vector in zip(found, outputs.vectors, strict=True):
                    yield Predicted(
                        id=prediction.id,
                        vector=vector,
                        expected_cosine=prediction.expected_cosine,
                        abstained=prediction.abstained,
                        candidates=tuple((one.prompt, one.cosine) for one in prediction.candidates),
                    )

    def training_mean(self) -> Floats:
        """The normalised mean vector of the training prompts, float32 of shape (384,): what needs no image at all."""
        total = sum(vectors.sum(axis=0, dtype=np.float64) for _, vectors in self.opened.prompts())
        if not np.any(total):
            raise NotFound(f"the model of {self.opened.name} has no training prompts")
        mean: Floats = (total / np.linalg.norm(total)).astype(np.float32)
        return mean
