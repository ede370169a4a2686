"""A trained model that reads prompts out of images."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.composing.values import Candidate
from jobs.errors import BadData
from jobs.imaging.colour import as_rgb
from jobs.imaging.pixels import Pixels, pixels, square_pixels
from jobs.infer import contract
from jobs.infer.ensembles import open_models
from jobs.infer.pictures import DecodeFile, file_decoders
from jobs.infer.predictor import Predictor, load_predictor
from jobs.infer.stage import InferParams
from jobs.regressor.predict import in_batches, predict_batches
from jobs.runtime.device import threads_of

ImageLike: TypeAlias = str | os.PathLike[str] | bytes | Image.Image
"""A path, the bytes of a file, or an image that Pillow has opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What was read out of an image."""

    prompt: str | None
    """The first candidate; None where the model abstained."""

    expected_cosine: float | None
    """To expect between the vector and the true prompt's; None where the model abstained."""

    interval: tuple[float, float] | None
    """What holds nine of ten such cosines."""

    abstained: str | None
    """Why nothing can be said of the prompt, as the image is unlike all that the model was tested with."""

    candidates: tuple[Candidate, ...]
    """The closest known prompts and what was composed of their fragments, as `kind` says; the closest first."""

    vector: NDArray[np.float32]
    """A unit vector of shape (384,): where all-MiniLM-L6-v2 would have the prompt."""


class Model:
    """A trained model. Files are decoded by processes of their own, which end with it."""

    def __init__(self, predictor: Predictor, params: InferParams, name: str) -> None:
        self.name = name
        """Of the run that trained it; of several, all of them with commas between them."""

        self._predictor, self._params = predictor, params
        self._stack = ExitStack()
        self._decode_file: DecodeFile | None = None
        weakref.finalize(self, self._stack.close)

    def predict(self, image: ImageLike) -> Prediction:
        """The prediction for an image; raises BadData for what is none, is damaged or takes too much."""
        return self.predict_many([image])[0]

    def predict_many(self, images: Iterable[ImageLike]) -> list[Prediction]:
        """The predictions for images, in their order; raises as `predict` does, where `i2p predict` goes on."""
        found: list[Prediction] = []
        batches = in_batches(((None, self._pixels(image)) for image in images), self._params.batch_size)
        for batch, outputs in predict_batches(self._predictor.network, batches, self._params):
            explained = self._predictor.explained([""] * len(batch), outputs, self._params)
            found += [_prediction(one, vector) for one, vector in zip(explained, outputs.vectors, strict=True)]
        return found

    def _pixels(self, image: ImageLike) -> Pixels:
        size = self._predictor.network.image_size
        if isinstance(image, Image.Image):
            return pixels(as_rgb(image.copy(), self._params.background), size)
        if self._decode_file is None:
            self._decode_file = self._stack.enter_context(file_decoders(self._params))
        data, name = (image, "the image") if isinstance(image, bytes) else (_read(Path(image)), str(image))
        return square_pixels(self._decode_file(data, name, size))


def load_model(
    model: str | os.PathLike[str],
    *,
    store: str = "runs",
    device: str = "cpu",
    threads: int | None = None,
    candidates: int = 5,
    compose: bool = True,
    background: str = "#ffffff",
) -> Model:
    """The model of a run, by its name in `store` or its address, or of a folder that `i2p export model` wrote.

    Several with commas between them, "A,B", predict together: their vectors are averaged, with weights that were fitted
    on the images that all were evaluated on. Candidates are prompts of the first.

    `device` is "cpu" or "cuda", `threads` are all cores by default, `candidates` says how many known prompts each
    prediction has, `compose` whether others are also composed of their fragments (0.1 to 0.2 s of a CPU an image), and
    `background` ("#rrggbb") what is behind transparent parts. Raises BadConfiguration where there is no such model,
    or nothing to compose with, NotFound where a part of it is missing, Corrupt where one is damaged.
    """
    params = InferParams.model_validate(
        {
            "device": device,
            "threads": threads_of(threads),
            "num_candidates": candidates,
            "compose": compose,
            "background": background,
            "thumbnail": 0,
        }
    )
    opened = open_models(os.fspath(model), store)
    return Model(load_predictor(opened, params, local_files_only=True), params, opened.name)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}; a path of an image is required") from error


def _prediction(found: contract.Prediction, vector: NDArray[np.float32]) -> Prediction:
    return Prediction(
        prompt=found.candidates[0].prompt if found.candidates and found.abstained is None else None,
        expected_cosine=found.expected_cosine,
        interval=found.interval,
        abstained=found.abstained,
        candidates=found.candidates,
        vector=vector,
    )
