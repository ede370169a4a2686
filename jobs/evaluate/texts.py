"""What people get to read: how close the texts for predictions come to the true prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.composer import Composer, load_composer
from jobs.composing.search import Start
from jobs.composing.values import Candidate
from jobs.contract.reading import ReadGroup, TypedSample
from jobs.contract.samples import TRAIN, Origin
from jobs.evaluate.contract import EvaluateInputs, Texts, TextScore
from jobs.evaluate.held_out import Closest, HeldOut, prompts_numbered
from jobs.evaluate.rouge import rouge_l
from jobs.evaluate.scores import rounded
from jobs.evaluate.stage import EvaluateParams
from jobs.regressor.intervals import paired_difference
from jobs.regressor.metric import cosines
from jobs.runtime import log
from jobs.runtime.arrays import from_npy

Candidates = Mapping[int, Sequence[Candidate]]  # by an image's row

_AT_ONCE = 64  # images


def composer_of(inputs: EvaluateInputs, params: EvaluateParams) -> Composer | None:
    """What composes prompts; None where that is not wanted."""
    if not params.num_composed:
        return None
    known = next(inputs.prompts.splits[TRAIN].samples())
    return load_composer(inputs.cut.vocabulary.sample(), (known.text(), from_npy(known["npy"])), params)


def candidates_of(
    rows: Sequence[int], held_out: HeldOut, closest: Closest, prompts: ReadGroup[Origin], composer: Composer | None
) -> Candidates:
    """The training prompts closest to the predictions, and what was composed of their fragments, the closest first."""
    cosines_to, numbers = closest.to_predicted
    known = prompts_numbered(prompts, numbers[rows].ravel().tolist())
    if composer is None:
        return {row: _known(numbers[row].tolist(), cosines_to[row].tolist(), known) for row in rows}
    found: dict[int, Sequence[Candidate]] = {}
    for first in range(0, len(rows), _AT_ONCE):
        some = rows[first : first + _AT_ONCE]
        starts = [[_start(known[number]) for number in numbers[row].tolist()] for row in some]
        found |= zip(some, composer.candidates(held_out.predicted[some], starts), strict=True)
        log.progress(len(found), len(rows), "images, of which prompts are composed")
    return found


def measured_texts(
    true: Sequence[str], held_out: HeldOut, candidates: Candidates, composer: Composer, params: EvaluateParams
) -> Texts:
    """The measure of the first images, at least one, whose prompts are `true`."""
    count = len(true)
    first = [candidates[row][0] for row in range(count)]
    known = [next(one for one in candidates[row] if one.kind == "retrieved") for row in range(count)]
    to_true = [cosines(composer.embed([one.prompt for one in some]), held_out.true[:count]) for some in (known, first)]
    found = paired_difference(*to_true, num_resamples=params.num_resamples, seed=params.seed).interval
    return Texts(
        images=count,
        composed=sum(one.kind == "composed" for one in first),
        known=_score(known, true, to_true[0]),
        first=_score(first, true, to_true[1]),
        gain=rounded((to_true[1] - to_true[0]).mean()),
        interval=found and (rounded(found[0]), rounded(found[1])),
    )


def _score(candidates: Sequence[Candidate], true: Sequence[str], to_true: NDArray[np.float64]) -> TextScore:
    overlap = [rouge_l(one.prompt, text) for one, text in zip(candidates, true, strict=True)]
    return TextScore(cosine=rounded(to_true.mean()), rouge_l=rounded(np.mean(overlap)))


def _known(
    numbers: Sequence[int], cosines_to: Sequence[float], prompts: Mapping[int, TypedSample[Origin]]
) -> list[Candidate]:
    return [
        Candidate(prompt=prompts[number].text(), cosine=rounded(cosine), kind="retrieved")
        for number, cosine in zip(numbers, cosines_to, strict=True)
    ]


def _start(sample: TypedSample[Origin]) -> Start:
    return Start(sample.text(), from_npy(sample["npy"]))
