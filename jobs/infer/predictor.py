"""A trained model as it predicts: the network, the prompts that it knows, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.composing.search import Start
from jobs.composing.values import Candidate, retrieved
from jobs.errors import BadConfiguration, BadData
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

if TYPE_CHECKING:
    from jobs.composer import Composer

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
        few = slice(params.num_candidates)
        candidates = [
            tuple(retrieved(self.prompts[number], cosine) for number, cosine in zip(*row, strict=True))
            for row in zip(numbers[:, few].tolist(), cosines[:, few].tolist(), strict=True)
        ]
        rows = [row for row, one in enumerate(sure) if one.abstained is None]
        if self.composer and rows:
            starts = self._starts(numbers[rows])
            found = self.composer.candidates(outputs.vectors[rows], starts, params.num_candidates)
            for row, some in zip(rows, found, strict=True):
                candidates[row] = some
        return [_prediction(*one) for one in zip(ids, candidates, sure, strict=True)]

    def _starts(self, numbers: Rows) -> list[list[Start]]:
        """The training prompts of these numbers, of shape (n, k), for each of n images."""
        vectors = vectors_at(self.index, numbers.ravel()).reshape(*numbers.shape, -1)
        return [
            [Start(self.prompts[number], vector) for number, vector in zip(*some, strict=True)]
            for some in zip(numbers.tolist(), vectors, strict=True)
        ]


def load_predictor(model: AnyModel, params: InferParams, *, local_files_only: bool = False) -> Predictor:
    """Load the networks, all training prompts, what composes others, and what says how sure it is.

    With `local_files_only` nothing is downloaded. Raises BadData, NotFound, Corrupt, and BadConfiguration where nothing
    is there to compose with.
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
    composer = None
    if params.compose:
        from jobs.composer import load_composer  # sentence-transformers takes seconds and 250 MB

        vocabulary = model.vocabulary()
        if vocabulary is None:
            raise BadConfiguration(
                f"the model of {model.name} has no fragments to compose prompts of: `i2p run` makes cut-prompts, and "
                "`i2p export model` then a folder with them; or have known prompts alone, by --no-composing, "
                "compose=False or infer.compose: false"
            )
        composer = load_composer(vocabulary, (texts[0], first[0]), params, local_files_only=local_files_only)
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


def _prediction(id_: str, candidates: tuple[Candidate, ...], sure: Judgement) -> Prediction:
    if sure.abstained is not None:
        return Prediction(id=id_, candidates=candidates, abstained=sure.abstained)
    return Prediction(id=id_, candidates=candidates, expected_cosine=sure.expected, interval=sure.interval)
