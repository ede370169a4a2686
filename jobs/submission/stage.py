"""What submission is: one file of all predictions."""

from __future__ import annotations

from jobs.runtime.spec import Params, StageSpec, Unit, one_unit
from jobs.submission.contract import SubmissionInputs, Submitted


class SubmissionParams(Params):
    """The file has no settings: the competition fixed its form."""


def units(params: SubmissionParams, inputs: SubmissionInputs) -> list[Unit]:
    return one_unit("submission", params, inputs.predicted.reads())


SUBMISSION = StageSpec(
    reads=SubmissionInputs,
    writes=Submitted,
    params=SubmissionParams,
    units=units,
    worker="jobs.submission.worker:run",
    section="jobs.submission.section:page",
    lineage="jobs.submission.lineage:LINEAGE",
    parallel=False,
    about="writes submission.csv and checks it",
)
