"""What submission is: one file of all predictions."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.runtime.spec import Params, StageSpec, Unit, one_unit
from jobs.shards.dataset import Dataset


class SubmissionParams(Params):
    """The file has no settings: the competition fixed its form."""


def units(params: SubmissionParams, inputs: Sequence[Dataset]) -> list[Unit]:
    (predictions,) = inputs
    return one_unit("submission", params, predictions.reads())


SUBMISSION = StageSpec(
    name="submission",
    worker="jobs.submission.worker:run",
    inputs=("infer",),
    params=SubmissionParams,
    units=units,
    parallel=False,
    about="writes submission.csv and checks it",
)
