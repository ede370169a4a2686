"""The score of predictions: the mean cosine to the vectors of the true prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from i2p.models import Prediction
from jobs.dedup.tool.embedding import embedded, model_params
from jobs.regressor.intervals import ENOUGH_IMAGES, NUM_RESAMPLES, interval
from jobs.regressor.metric import cosines
from jobs.runtime.device import threads_of
from jobs.runtime.models import LOCAL_SENTENCE_MODEL

Texts: TypeAlias = Sequence[str]
Vectors: TypeAlias = NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How close predictions are to the truth."""

    score: float
    """Mean of the cosines."""

    interval: tuple[float, float] | None
    """Its 95 % interval by the bootstrap over images; None of fewer than 20, of which it would be too narrow."""

    samples: int
    cosines: NDArray[np.float64]
    """Of each prediction to its truth, of shape (samples,)."""


def score(
    predictions: Texts | Vectors | Sequence[Prediction], truth: Texts | Vectors, *, threads: int | None = None
) -> Score:
    """The score of predictions, in the order of the true prompts.

    Both are texts, which are embedded with all-MiniLM-L6-v2, or vectors as an array of shape (n, 384), whose lengths do
    not matter; predictions may also be those of a model, of which the vectors count. Raises ValueError where there are
    none, or not as many of the one as of the other.

    >>> import i2p
    >>> round(i2p.score(["a red fox"], ["a red fox in the snow"]).score, 3)
    0.839
    """
    if len(predictions) != len(truth) or not len(truth):
        raise ValueError(f"as many predictions as true prompts are required, given {len(predictions)} and {len(truth)}")
    found = cosines(_vectors(predictions, threads), _vectors(truth, threads))
    enough = len(found) >= ENOUGH_IMAGES
    return Score(
        score=float(found.mean()),
        interval=interval(found, num_resamples=NUM_RESAMPLES, seed=0) if enough else None,
        samples=len(found),
        cosines=found,
    )


def _vectors(given: Texts | Vectors | Sequence[Prediction], threads: int | None) -> Vectors:
    if isinstance(given, np.ndarray):
        return given
    if all(isinstance(one, Prediction) for one in given):
        return np.stack([one.vector for one in given if isinstance(one, Prediction)])
    params = model_params(LOCAL_SENTENCE_MODEL, revision=None, device="cpu", threads=threads_of(threads))
    return embedded([str(one) for one in given], params, lambda what, done, total, part=None: None)
