"""A system's predictions for all pairs, in the order of the pairs, wherever they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import DIMENSIONS
from jobs.runtime.commands import Progress
from jobs.score.matching import matched
from jobs.score.model_predictions import Image, TrainedModel
from jobs.score.pairs import ReadPairs, images_of
from jobs.score.prediction_files import Prediction

Floats = NDArray[np.float32]


@dataclass(slots=True)
class System:
    """What one system predicted, row for row as the pairs are."""

    name: str
    vectors: Floats  # float32 of shape (n, 384); zeros where there is none
    predicted: NDArray[np.bool_]  # whether there is a vector
    expected: NDArray[np.float64]  # cosine to expect, NaN where the system says none
    abstained: list[str | None]
    prompts: list[str | None]  # the predicted prompts, or the closest known ones
    foreign: list[str]  # names of predictions that are of no pair
    training_mean: Floats | None = None  # of a model

    @classmethod
    def empty(cls, name: str, count: int) -> System:
        """One that has predicted nothing yet."""
        return cls(
            name=name,
            vectors=np.zeros((count, DIMENSIONS), np.float32),
            predicted=np.zeros(count, bool),
            expected=np.full(count, np.nan),
            abstained=[None] * count,
            prompts=[None] * count,
            foreign=[],
        )

    @property
    def samples(self) -> int:
        """Pairs with a prediction."""
        return int(self.predicted.sum())


def of_file(name: str, predictions: Sequence[Prediction], read: ReadPairs) -> System:
    """The system of a file; what it predicts as text has no vector yet (`texts_of`)."""
    found = matched(read.pairs, predictions, name)
    system = System.empty(name, len(read.pairs))
    system.foreign = found.foreign
    for row, one in enumerate(found.of_pair):
        if one is None:
            continue
        system.prompts[row], system.abstained[row] = one.prompt, one.abstained
        if one.expected_cosine is not None:
            system.expected[row] = one.expected_cosine
        if one.vector is not None:
            system.vectors[row], system.predicted[row] = one.vector, True
    return system


def texts_of(system: System) -> dict[int, str]:
    """The predicted prompts that stand for a vector, by row."""
    return {row: text for row, text in enumerate(system.prompts) if text and not system.predicted[row]}


def of_model(name: str, model: TrainedModel, read: ReadPairs, show: Progress) -> System:
    """The system of a trained run."""
    system = System.empty(name, len(read.pairs))
    rows = {str(row): row for row in range(len(read.pairs))}
    numbers = {pair.where: row for row, pair in enumerate(read.pairs)}
    images = (Image(str(numbers[where]), data) for where, data in images_of(read, numbers))
    for done, one in enumerate(model.predictions(images), 1):
        row = rows[one.id]
        system.vectors[row], system.predicted[row] = one.vector, True
        system.abstained[row] = one.abstained
        if one.expected_cosine is not None:
            system.expected[row] = one.expected_cosine
        system.prompts[row] = one.candidates[0][0] if one.candidates else None
        show("predicting", done, len(read.pairs))
    system.training_mean = model.training_mean()
    return system
