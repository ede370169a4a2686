"""Every held-out image's cosines, of the network and the baselines, and the best and worst cases, as they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.composing.values import Candidate
from jobs.contract.reading import ReadGroup
from jobs.contract.samples import Origin
from jobs.evaluate.contract import Baselines, Case, Evaluated, Score
from jobs.evaluate.held_out import Closest, HeldOut
from jobs.imaging.pixels import decode, image_in
from jobs.imaging.thumbnails import shown
from jobs.regressor.signals import Signals
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


@dataclass(frozen=True, slots=True)
class Ranked:
    """The rows of the best and of the worst images, in this order."""

    best: list[int]
    worst: list[int]

    @classmethod
    def of(cls, model_cosines: Floats, count: int) -> Ranked:
        """So many of each; cosines of shape (n,)."""
        order = np.argsort(-model_cosines, kind="stable").tolist()
        return cls(order[:count], order[::-1][:count])

    @property
    def rows(self) -> set[int]:
        return {*self.best, *self.worst}


def write_cases(
    images: ReadGroup[Origin],
    model_cosines: Floats,
    held_out: HeldOut,
    chosen: Ranked,
    candidates: Mapping[int, Sequence[Candidate]],
    output: Evaluated[Writer],
) -> None:
    """Write the best and the worst predictions with their images and candidate prompts, in order of key."""
    samples = {held_out.keys[row]: row for row in chosen.rows}
    found = {samples[sample.key]: sample for sample in images.samples() if sample.key in samples}
    for group, ranked in ((output.best, chosen.best), (output.worst, chosen.worst)):
        cases: list[Sample] = []
        for rank, row in enumerate(ranked, 1):
            sample = found[row]
            picture = shown(decode(image_in(sample.raw), sample.key))
            case = Case(rank=rank, cosine=rounded(model_cosines[row]), candidates=tuple(candidates[row]))
            cases.append(group.sample(sample.key, case, txt=sample["txt"], png=picture))
        group.write(cases, size=len(ranked))


def rounded(number: float | np.floating[Any]) -> float:
    """As it is stored."""
    return round(float(number), _DECIMALS)
