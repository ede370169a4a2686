"""The vectors of held-out images, which are kept for the ensembles that the network may be in."""

from __future__ import annotations

import numpy as np

from jobs.contract.reading import ReadSplits
from jobs.contract.samples import Origin
from jobs.evaluate.contract import Evaluated
from jobs.evaluate.held_out import HeldOut
from jobs.evaluate.stage import CHECKED, SPLIT, EvaluateParams
from jobs.regressor.held_out_vectors import HeldOutVectors, encode_held_out
from jobs.regressor.values import HeldOutRecord
from jobs.shards.dataset import Writer


def write_held_out(
    images: ReadSplits[Origin],
    held_out: HeldOut,
    checked: HeldOut | None,
    params: EvaluateParams,
    output: Evaluated[Writer],
) -> None:
    """Write what the network gave for the first images of both splits, 3.1 kB for each."""
    found = {SPLIT: held_out, **({CHECKED: checked} if checked else {})}
    count = params.num_fitted_images
    record = HeldOutRecord(
        reads={**images[SPLIT].reads(), **images[CHECKED].reads()},
        keys={split: one.keys[:count] for split, one in found.items()},
    )
    vectors = {split: _vectors(one).rows(slice(count)) for split, one in found.items()}
    output.held_out.write(record, safetensors=encode_held_out(vectors))


def _vectors(found: HeldOut) -> HeldOutVectors:
    return HeldOutVectors(
        vectors=found.predicted,
        lengths=found.lengths,
        true=found.true,
        feature_distance=found.feature_distance.astype(np.float32),
        detail=found.detail.astype(np.float32),
    )
