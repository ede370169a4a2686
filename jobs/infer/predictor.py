"""A trained model as it predicts: the network, the prompts that it knows, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.composer import Composer, load_composer
from jobs.composing.search import Start
from jobs.composing.values import Candidate
from jobs.errors import BadData
from jobs.infer.contract import Prediction
from jobs.infer.ensembles import AnyModel, EnsembleModel
from jobs.infer.models import Model
from jobs.infer.stage import InferParams
from jobs.regressor.combined import Combined
from jobs.regressor.confidence import Judgement, judged
from jobs.regressor.feature_statistics import FeatureStatistics
from jobs.regressor.predict import Network, Outputs
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.signals import signals
from jobs.regressor.values import Confidence
from jobs.regressor.viewer import Viewer, viewer_of
from jobs.runtime.device import prepare_torch
from jobs.similarity.closest import AnyIndex, closest_in, index_of, vectors_at
from jobs.similarity.exact import Rows

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Predictor:
    """What predictions are made and explained with."""

    network: Network
    index: AnyIndex  # of the training prompts' vectors
    prompts: list[str]
    confidence: Confidence
    statistics: tuple[FeatureStatistics, ...]  # of each network
    composer: Composer | None

    def explained(self, ids: Sequence[str], outputs: Outputs, params: InferParams) -> list[Prediction]:
        """The prediction of each image, of which the network gave the outputs."""
        count = max(params.num_candidates, self.composer.search.num_starts if self.composer else 0)
        cosines, numbers = closest_in(self.index, outputs.vectors, count, threads=params.threads)
        sure = list(judged(self.confidence, signals(outputs, cosines[:, 0], *self.statistics)))
        candidates = [
            [_candidate(self.prompts[number], cosine) for number, cosine in zip(*row, strict=True)]
            for row in zip(numbers.tolist(), cosines.tolist(), strict=True)
        ]
        if self.composer and (rows := [row for row, one in enumerate(sure) if one.abstained is None]):
            for row, found in zip(rows, self._composed(outputs.vectors[rows], numbers[rows]), strict=True):
                candidates[row] = found
        return [
            _prediction(id_, _limited(some, params.num_candidates), one)
            for id_, some, one in zip(ids, candidates, sure, strict=True)
        ]

    def _composed(self, vectors: Floats, numbers: Rows) -> list[list[Candidate]]:
        """The training prompts of these numbers and what was composed of them, the closest first, for each image."""
        assert self.composer is not None  # noqa: S101
        known = vectors_at(self.index, numbers.ravel()).reshape(*numbers.shape, -1)
        starts = [
            [Start(self.prompts[number], vector) for number, vector in zip(some, of_some, strict=True)]
            for some, of_some in zip(numbers.tolist(), known, strict=True)
        ]
        return self.composer.candidates(vectors, starts)


def load_predictor(model: AnyModel, params: InferParams, *, local_files_only: bool = False) -> Predictor:
    """Load the networks, all training prompts, what composes others, and what says how sure it is.

    With `local_files_only` nothing is downloaded. Raises BadData, NotFound, Corrupt, and BadConfiguration where the
    sentence embedding model is missing.
    """
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
    vocabulary = model.vocabulary() if params.compose else None
    known = texts[0], first[0]
    composer = load_composer(vocabulary, known, params, local_files_only=local_files_only) if vocabulary else None
    if isinstance(model, EnsembleModel):
        members = [_loaded(member, device) for member in model.members]
        together = Combined(tuple(viewer for viewer, _ in members), model.weights)
        confidence = model.confidence(
            lambda vectors: closest_in(index, vectors, 1, threads=params.threads)[0][:, 0], together.largest
        )
        return Predictor(together, index, texts, confidence, tuple(one for _, one in members), composer)
    network, alone = _loaded(model, device)
    return Predictor(network, index, texts, model.confidence().value, (alone,), composer)


def _loaded(model: Model, device: torch.device) -> tuple[Viewer, FeatureStatistics]:
    """The network, seeing images as it did when it was evaluated, and the statistics of its features."""
    confidence = model.confidence()
    viewer = viewer_of(load_regressor(model.network()).to(device), confidence.value.viewing)
    return viewer, FeatureStatistics.decode(confidence["safetensors"])


def _candidate(prompt: str, cosine: float) -> Candidate:
    return Candidate(prompt=prompt, cosine=round(cosine, 6), kind="retrieved")


def _limited(candidates: Sequence[Candidate], num_retrieved: int) -> tuple[Candidate, ...]:
    """All that are composed, and so many of the others."""
    retrieved = [one for one in candidates if one.kind == "retrieved"]
    dropped = {one.prompt for one in retrieved[num_retrieved:]}
    return tuple(one for one in candidates if one.kind == "composed" or one.prompt not in dropped)


def _prediction(id_: str, candidates: tuple[Candidate, ...], sure: Judgement) -> Prediction:
    if sure.abstained is not None:
        return Prediction(id=id_, candidates=candidates, abstained=sure.abstained)
    return Prediction(id=id_, candidates=candidates, expected_cosine=sure.expected, interval=sure.interval)
