"""The controller's decisions, as a table of (plan, Jobs) -> actions."""

import pytest

from jobs.catalog import stage_named
from jobs.errors import BAD_DATA, OK, TRY_AGAIN
from jobs.shards.records import Manifest, Outcome
from pipeline.controller import Finish, Publish, Submit, Wait, decide
from pipeline.executors import JobStatus
from pipeline.plan import StagePlan, UnitPlan

RUNNING, SUCCEEDED = JobStatus("running"), JobStatus("succeeded")
FAILED = JobStatus("failed", BAD_DATA, "row 7 is bad")


def stage(name: str, state: str) -> StagePlan:
    """A stage of one unit that is: blocked, to do, made but not published, or done."""
    spec = stage_named(name)
    outcome = Outcome("a-00000", "f" * 64, 1, {}, {}, ())
    manifest = Manifest(name, (outcome,))
    if state == "blocked":
        return StagePlan(spec, None, False, None, "not known before collect is done")
    if state == "to do":
        return StagePlan(spec, (UnitPlan("a-00000", "run", "not made yet"),), True, None)
    units = (UnitPlan("a-00000", "skip", "made", outcome),)
    return StagePlan(spec, units, True, manifest if state == "done" else None)


@pytest.mark.parametrize(
    ("stages", "jobs", "generations", "expected"),
    [
        ({"collect": "to do", "embed": "blocked"}, {}, {}, [Submit("collect", 1)]),
        ({"collect": "to do", "embed": "blocked"}, {"collect": RUNNING}, {"collect": 1}, [Wait()]),
        ({"collect": "made", "embed": "blocked"}, {}, {"collect": 1}, ["publish collect"]),
        ({"collect": "done", "embed": "to do"}, {}, {"collect": 1}, [Submit("embed", 1)]),
        ({"collect": "done", "embed": "done"}, {}, {}, [Finish(OK)]),
        ({"collect": "to do", "embed": "blocked"}, {"collect": FAILED}, {"collect": 1},
         [Finish(BAD_DATA, "collect: row 7 is bad")]),
        ({"collect": "to do", "generate-prompts": "to do"}, {"collect": FAILED, "generate-prompts": RUNNING},
         {"collect": 1, "generate-prompts": 1}, [Wait()]),
        ({"collect": "to do", "embed": "blocked"}, {}, {"collect": 1}, [Submit("collect", 2)]),
        ({"collect": "to do", "embed": "blocked"}, {}, {"collect": 3},
         [Finish(TRY_AGAIN, "collect: 3 Jobs ended well, but 1 units are still not committed")]),
        ({"collect": "made", "embed": "blocked"}, {"collect": FAILED}, {"collect": 1}, ["publish collect"]),
    ],
    ids=["starts what is ready", "waits for a running Job", "publishes what is whole", "goes on to the next stage",
         "is done when all is done", "tells the failure", "lets others finish before it tells the failure",
         "submits again what a Job left out", "does not submit for ever",
         "a failed Job whose units are all there is done"],
)  # fmt: skip
def test_decide(stages, jobs, generations, expected):
    actions = decide([stage(name, state) for name, state in stages.items()], jobs, generations)
    assert [f"publish {one.stage}" if isinstance(one, Publish) else one for one in actions] == expected
