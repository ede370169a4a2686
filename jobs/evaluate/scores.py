"""Every held-out image's cosines, of the network and the baselines, and the best and worst cases, as they are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.contract.reading import ReadGroup, TypedSample
from jobs.contract.samples import Origin
from jobs.evaluate.contract import Baselines, Case, Evaluated, Score
from jobs.evaluate.held_out import Closest, HeldOut, prompts_numbered
from jobs.evaluate.stage import EvaluateParams
from jobs.imaging.pixels import decode, image_in
from jobs.imaging.thumbnails import shown
from jobs.regressor.signals import Signals
from jobs.regressor.values import Candidate
from jobs.shards.dataset import Writer
from jobs.shards.tar import Sample

_SCORES_PER_SHARD = 10_000
_DECIMALS = 6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Cosines to the true vectors, of the network and of the baselines; float64 of shape (n,)."""

    model: Floats
    constant: Floats
    nearest_neighbour: Floats

    def of(self, rows: NDArray[np.bool_]) -> Scores:
        """Those of some images; `rows` of shape (n,)."""
        return Scores(
            model=self.model[rows], constant=self.constant[rows], nearest_neighbour=self.nearest_neighbour[rows]
        )

    @property
    def baselines(self) -> Baselines:
        """Their means."""
        return Baselines(
            constant=rounded(self.constant.mean()), nearest_neighbour=rounded(self.nearest_neighbour.mean())
        )


def write_scores(
    scores: Scores, held_out: HeldOut, found: Signals, closest: Closest, output: Evaluated[Writer]
) -> None:
    """Write every image's cosines and signals, under its prompt's key."""
    samples = []
    for row, key in enumerate(held_out.keys):
        score = Score(
            cosine=rounded(scores.model[row]),
            constant=rounded(scores.constant[row]),
            nearest_neighbour=rounded(scores.nearest_neighbour[row]),
            closest_cosine=rounded(closest.to_predicted[0][row, 0]),
            cosine_to_train=rounded(closest.to_true[0][row, 0]),
            feature_distance=rounded(found.feature_distance[row]),
            detail=rounded(found.detail[row]),
        )
        samples.append(output.scores.sample(key, score))
    output.scores.write(sorted(samples, key=lambda sample: sample.key), size=_SCORES_PER_SHARD)


def write_cases(
    images: ReadGroup[Origin],
    prompts: ReadGroup[Origin],
    model_cosines: Floats,
    held_out: HeldOut,
    closest: Closest,
    params: EvaluateParams,
    output: Evaluated[Writer],
) -> None:
    """Write the best and the worst predictions with their images and candidate prompts, in order of key."""
    order = np.argsort(-model_cosines, kind="stable").tolist()
    chosen = [(output.best, order[: params.num_cases]), (output.worst, order[::-1][: params.num_cases])]
    rows = sorted({row for _, ranked in chosen for row in ranked})
    candidates = prompts_numbered(prompts, closest.to_predicted[1][rows].ravel().tolist())
    samples = {held_out.keys[row]: row for row in rows}
    found = {samples[sample.key]: sample for sample in images.samples() if sample.key in samples}
    for group, ranked in chosen:
        cases: list[Sample] = []
        for rank, row in enumerate(ranked, 1):
            sample = found[row]
            picture = shown(decode(image_in(sample.raw), sample.key))
            case = _case(rank, row, model_cosines, closest, candidates)
            cases.append(group.sample(sample.key, case, txt=sample["txt"], png=picture))
        group.write(cases, size=params.num_cases)


def _case(
    rank: int, row: int, model_cosines: Floats, closest: Closest, prompts: dict[int, TypedSample[Origin]]
) -> Case:
    cosines_to, numbers = (found[row].tolist() for found in closest.to_predicted)
    candidates = tuple(
        Candidate(prompt=prompts[number].text(), cosine=rounded(cosine))
        for number, cosine in zip(numbers, cosines_to, strict=True)
    )
    return Case(rank=rank, cosine=rounded(model_cosines[row]), candidates=candidates)


def rounded(number: float | np.floating[Any]) -> float:
    """As it is stored."""
    return round(float(number), _DECIMALS)
