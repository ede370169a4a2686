"""A trained model as it predicts: the network, the prompts that it knows, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadData
from jobs.infer.contract import Prediction
from jobs.infer.models import Model
from jobs.infer.stage import InferParams
from jobs.regressor.confidence import judged
from jobs.regressor.feature_statistics import FeatureStatistics
from jobs.regressor.model import Regressor
from jobs.regressor.predict import Outputs
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.signals import signals
from jobs.regressor.values import Candidate, Confidence
from jobs.runtime.device import prepare_torch
from jobs.similarity.closest import AnyIndex, closest_in, index_of

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Predictor:
    """What predictions are made and explained with."""

    regressor: Regressor
    index: AnyIndex  # of the training prompts' vectors
    prompts: list[str]
    confidence: Confidence
    statistics: FeatureStatistics

    def explained(self, ids: Sequence[str], outputs: Outputs, params: InferParams) -> list[Prediction]:
        """The prediction of each image, of which the network gave the outputs."""
        cosines, numbers = closest_in(self.index, outputs.vectors, params.num_candidates, threads=params.threads)
        sure = judged(self.confidence, signals(outputs, cosines[:, 0], self.statistics))
        predictions = []
        for row, (id_, one) in enumerate(zip(ids, sure, strict=True)):
            candidates = tuple(
                Candidate(prompt=self.prompts[number], cosine=round(cosine, 6))
                for number, cosine in zip(numbers[row].tolist(), cosines[row].tolist(), strict=True)
            )
            if one.abstained is not None:
                predictions.append(Prediction(id=id_, candidates=candidates, abstained=one.abstained))
            else:
                predictions.append(
                    Prediction(id=id_, candidates=candidates, expected_cosine=one.expected, interval=one.interval)
                )
        return predictions


def load_predictor(model: Model, params: InferParams) -> Predictor:
    """Load the network, all training prompts and what says how sure it is; raises BadData, NotFound, Corrupt."""
    device = prepare_torch(params)
    texts: list[str] = []

    def vectors() -> Iterator[Floats]:
        for prompts, block in model.prompts():
            texts.extend(prompts)
            yield block

    blocks = vectors()
    first = next(blocks, None)
    if first is None:
        raise BadData(f"the model of {model.name} has no training prompts to explain predictions with")
    index = index_of(chain([first], blocks), params.device)
    regressor = load_regressor(model.network()).to(device)
    confidence = model.confidence()
    statistics = FeatureStatistics.decode(confidence["safetensors"])
    return Predictor(regressor, index, texts, confidence.value, statistics)
