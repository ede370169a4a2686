"""What a model says of single images reaches the scores: an abstention, an expected cosine, an image it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from jobs.infer.stage import InferParams
from jobs.score.model_predictions import Floats, Image, Predicted, TrainedModel
from jobs.score.systems import of_model
from tests.pictures import unit_vectors
from tests.unit.test_score_pairs import read, sidecar, silent

VECTORS = unit_vectors(3, seed=0)


class Unsure(TrainedModel):
    """A model that leaves the first image out, and vouches for the last one only."""

    def predictions(self, images: Iterable[Image]) -> Iterator[Predicted]:
        for row, image in enumerate(images):
            if row == 1:
                yield Predicted(id=image.id, vector=VECTORS[1], expected_cosine=None, abstained="unlike the others")
            if row == 2:
                candidates = (("a dog", 0.9), ("a cat", 0.8))
                yield Predicted(id=image.id, vector=VECTORS[2], expected_cosine=0.7, candidates=candidates)

    def training_mean(self) -> Floats:
        first: Floats = VECTORS[0]
        return first


def test_what_a_model_says_of_an_image_stands_in_the_row_of_its_pair(tmp_path: Path) -> None:
    _, pairs = read(sidecar(tmp_path / "pairs"))
    system = of_model("unsure", Unsure("unsure", "runs", InferParams()), pairs, silent)
    assert system.predicted.tolist() == [False, True, True]
    assert system.abstained == [None, "unlike the others", None]
    assert np.isnan(system.expected).tolist() == [True, True, False]
    assert system.prompts == [None, None, "a dog"]
    assert np.array_equal(system.vectors[1:], VECTORS[1:])
    assert system.training_mean is not None
