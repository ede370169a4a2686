"""What an ensemble gains over its best member, on images that its weights were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.regressor.confidence import FOLDS
from jobs.regressor.ensemble import Weights, combine, fit_weights
from jobs.regressor.held_out_vectors import HeldOutVectors
from jobs.regressor.intervals import paired_difference
from jobs.regressor.metric import cosines
from jobs.regressor.values import EnsembleGain, EnsembleMember, EnsembleRecord

Floats = NDArray[np.float64]
Splits = Mapping[str, Sequence[HeldOutVectors]]  # of each split what each member gave, image by image

_DECIMALS = 6


def ensemble_record(names: Sequence[str], splits: Splits, *, fitted_on: str, checked_on: str) -> EnsembleRecord:
    """The weights that `fitted_on` gives, and what they gain on `checked_on`.

    Where that split has no images, each image of `fitted_on` is predicted with weights from others of that split, as
    evaluate checks its confidence.
    """
    fitting = splits[fitted_on]
    checked = splits.get(checked_on, ())
    cross_fitted = not checked or not len(checked[0].true)
    measured = fitting if cross_fitted else checked
    parts = _folds(fitting) if cross_fitted else [(fitting, checked)]
    scores = [float(cosines(one.vectors, one.true).mean()) for one in measured]
    normalised, not_normalised = (_gain(fitting, parts, normalised=on) for on in (True, False))
    return EnsembleRecord(
        members=tuple(
            EnsembleMember(model=name, weight=weight, score=_rounded(score))
            for name, weight, score in zip(names, normalised.weights, scores, strict=True)
        ),
        best=names[_best(fitting)],
        split=fitted_on if cross_fitted else checked_on,
        images=len(measured[0].true),
        cross_fitted=cross_fitted,
        normalised=normalised,
        not_normalised=not_normalised,
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """Cosines of the ensemble and of the member that was the best one when fitting; float64 of shape (n,)."""

    ensemble: Floats
    best: Floats


Part = tuple[Sequence[HeldOutVectors], Sequence[HeldOutVectors]]  # what is fitted on, and what is measured on


def _gain(fitting: Sequence[HeldOutVectors], parts: Sequence[Part], *, normalised: bool) -> EnsembleGain:
    found = [_measured(*part, normalised=normalised) for part in parts]
    ensemble, best = (np.concatenate([getattr(one, name) for one in found]) for name in ("ensemble", "best"))
    difference = paired_difference(best, ensemble)
    return EnsembleGain(
        score=_rounded(ensemble.mean()),
        gain=_rounded((ensemble - best).mean()),
        interval=difference.interval and (_rounded(difference.interval[0]), _rounded(difference.interval[1])),
        weights=_weights(fitting, normalised=normalised),
    )


def _measured(fitted_on: Sequence[HeldOutVectors], on: Sequence[HeldOutVectors], *, normalised: bool) -> _Measured:
    weights = _weights(fitted_on, normalised=normalised)
    together, _ = combine(_vectors(on, normalised=normalised), weights)
    best = on[_best(fitted_on)]
    return _Measured(cosines(together, best.true), cosines(best.vectors, best.true))


def _weights(fitted_on: Sequence[HeldOutVectors], *, normalised: bool) -> Weights:
    return fit_weights(_vectors(fitted_on, normalised=normalised), fitted_on[0].true)


def _vectors(members: Sequence[HeldOutVectors], *, normalised: bool) -> list[NDArray[np.floating]]:
    return [one.vectors if normalised else one.vectors * one.lengths[:, None] for one in members]


def _best(members: Sequence[HeldOutVectors]) -> int:
    return int(np.argmax([cosines(one.vectors, one.true).mean() for one in members]))


def _folds(members: Sequence[HeldOutVectors]) -> list[Part]:
    """Each fold beside all others; of a single image there is only it itself to fit on."""
    count = len(members[0].true)
    folds = np.arange(count) % min(FOLDS, count)
    if count == 1:
        return [(members, members)]
    return [
        ([one.rows(folds != fold) for one in members], [one.rows(folds == fold) for one in members])
        for fold in range(folds.max() + 1)
    ]


def _rounded(number: float | np.floating[Any]) -> float:
    """As it is stored; never -0.0."""
    return round(float(number), _DECIMALS) + 0.0
