"""What people get to read: how close the texts for predictions come to the true prompts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from jobs.composing.search import Start
from jobs.composing.values import Candidate, retrieved
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

if TYPE_CHECKING:
    from jobs.composer import Composer

Candidates = Mapping[int, Sequence[Candidate]]  # by an image's row

_AT_ONCE = 64  # images


def composer_of(inputs: EvaluateInputs, params: EvaluateParams) -> Composer | None:
    """What composes prompts; None where that is not wanted, and where there are none to compose of."""
    known = next(inputs.prompts.splits[TRAIN].samples(), None)
    if known is None or not params.num_composed:
        return None
    from jobs.composer import load_composer  # sentence-transformers takes seconds and 250 MB

    return load_composer(inputs.cut.vocabulary.sample(), (known.text(), from_npy(known["npy"])), params)


def candidates_of(
    rows: Sequence[int],
    abstained: Collection[int],
    held_out: HeldOut,
    closest: Closest,
    prompts: ReadGroup[Origin],
    composer: Composer | None,
    params: EvaluateParams,
) -> Candidates:
    """What infer gives for the images of these rows; for abstained ones nothing is composed."""
    (cosines_to, numbers), few = closest.to_predicted, params.num_candidates
    known = prompts_numbered(prompts, numbers[rows].ravel().tolist())
    found: dict[int, Sequence[Candidate]] = {
        row: [
            retrieved(known[number].text(), cosine)
            for number, cosine in zip(numbers[row, :few].tolist(), cosines_to[row, :few].tolist(), strict=True)
        ]
        for row in rows
    }
    if composer is None:
        return found
    composed = [row for row in rows if row not in abstained]
    for first in range(0, len(composed), _AT_ONCE):
        some = composed[first : first + _AT_ONCE]
        starts = [[_start(known[number]) for number in numbers[row].tolist()] for row in some]
        found |= zip(some, composer.candidates(held_out.predicted[some], starts, few), strict=True)
        log.progress(first + len(some), len(composed), "images, of which prompts are composed")
    return found


def measured_texts(
    true: Mapping[int, str], held_out: HeldOut, candidates: Candidates, composer: Composer, params: EvaluateParams
) -> Texts:
    """The measure of some images, at least one; `true` are their prompts by their rows."""
    rows = list(true)
    first = [candidates[row][0] for row in rows]
    known = [next(one for one in candidates[row] if one.kind == "retrieved") for row in rows]
    to_true = [cosines(composer.embed([one.prompt for one in some]), held_out.true[rows]) for some in (known, first)]
    found = paired_difference(*to_true, num_resamples=params.num_resamples, seed=params.seed).interval
    return Texts(
        images=len(rows),
        composed=sum(one.kind == "composed" for one in first),
        known=_score(known, true.values(), to_true[0]),
        first=_score(first, true.values(), to_true[1]),
        gain=rounded((to_true[1] - to_true[0]).mean()),
        interval=found and (rounded(found[0]), rounded(found[1])),
    )


def _score(candidates: Sequence[Candidate], true: Iterable[str], to_true: NDArray[np.float64]) -> TextScore:
    overlap = [rouge_l(one.prompt, text) for one, text in zip(candidates, true, strict=True)]
    return TextScore(cosine=rounded(to_true.mean()), rouge_l=rounded(np.mean(overlap)))


def _start(sample: TypedSample[Origin]) -> Start:
    return Start(sample.text(), from_npy(sample["npy"]))
