"""The controller's decisions, as a table of (plan, Jobs) -> actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog import stage_named
from jobs.errors import BAD_CONFIGURATION, BAD_DATA, OK, STORE_AWAY, TRY_AGAIN, StoreError
from jobs.shards.dataset import commit
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, Outcome
from pipeline.configuration.run_config import load_config
from pipeline.control.controller import Controller
from pipeline.control.decisions import Finish, Hold, Publish, Replace, Restore, Submit, Wait, decide
from pipeline.control.time_left import seconds_by_unit
from pipeline.executors.base import JobStatus, Observation
from pipeline.executors.kubernetes.client.api_errors import Unreachable
from pipeline.planning.desired_state import write_desired_state
from pipeline.planning.plan import StagePlan, UnitPlan

RUNNING, SUCCEEDED = JobStatus(state="running"), JobStatus(state="succeeded")
FAILED = JobStatus(state="failed", exit_code=BAD_DATA, message="row 7 is bad")
WAITED = JobStatus(state="failed", generation=4, exit_code=STORE_AWAY, message="s3 did not answer")
HELD, FREE = replace(RUNNING, suspended=True), replace(RUNNING, suspended=False)


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
    ("stages", "jobs", "expected"),
    [
        ({"collect": "to do", "embed": "blocked"}, {}, [Submit("collect", 1)]),
        ({"collect": "to do", "embed": "blocked"}, {"collect": RUNNING}, [Wait()]),
        ({"collect": "made", "embed": "blocked"}, {"collect": SUCCEEDED}, ["publish collect"]),
        ({"collect": "done", "embed": "to do"}, {"collect": SUCCEEDED}, [Submit("embed", 1)]),
        ({"collect": "done", "embed": "done"}, {}, [Finish(OK)]),
        ({"collect": "to do", "embed": "blocked"}, {"collect": FAILED}, [Finish(BAD_DATA, "collect: row 7 is bad")]),
        ({"collect": "to do", "generate-prompts": "to do"}, {"collect": FAILED, "generate-prompts": RUNNING}, [Wait()]),
        ({"collect": "to do", "embed": "blocked"}, {"collect": SUCCEEDED}, [Submit("collect", 2)]),
        ({"collect": "made", "embed": "blocked"}, {"collect": FAILED}, ["publish collect"]),
        ({"collect": "to do"}, {"collect": replace(FAILED, generation=4, outdated=True)}, [Submit("collect", 5)]),
        ({"collect": "to do"}, {"collect": replace(RUNNING, outdated=True)}, [Replace("collect")]),
        ({"collect": "to do"}, {"collect": replace(RUNNING, state="ending", outdated=True)}, [Wait()]),
        ({"collect": "to do"}, {"collect": FREE}, [Wait()]),
        ({"collect": "to do"}, {"collect": HELD}, [Hold("collect", suspend=False)]),
    ],
    ids=[
        "starts what is ready",
        "waits for a running Job",
        "publishes what is whole",
        "goes on to the next stage",
        "is done when all is done",
        "reports the failure",
        "lets others finish before it reports the failure",
        "submits again what a Job left out",
        "a failed Job whose units are all there is done",
        "a failure of an earlier call is history",
        "replaces a Job of another configuration",
        "waits until a replaced Job is gone",
        "leaves a Job that is not held alone",
        "lets a Job go on that nobody wants held any more",
    ],
)
def test_decide(stages: Any, jobs: Any, expected: Any) -> None:
    actions = decide([stage(name, state) for name, state in stages.items()], jobs)
    assert [f"publish {one.stage}" if isinstance(one, Publish) else one for one in actions] == expected


def test_how_long_a_unit_takes_is_known_from_those_of_which_nothing_was_taken_over(tmp_path: Path) -> None:
    run = LocalStore(tmp_path)
    for number, (seconds, taken) in enumerate([(100.0, 0), (120.0, 0), (1.0, 50)]):
        outcome = Outcome(f"train-{number:05d}", "f" * 64, 1, {}, {}, ())
        commit(run.at("generate-images"), CommitRecord(outcome, "a", seconds, 0.0, {}, taken))
    assert seconds_by_unit(run, load_config("demo")) == {"generate-images": 110.0}


def test_it_does_not_submit_for_ever() -> None:
    (finish,) = decide([stage("collect", "to do")], {"collect": SUCCEEDED}, submitted={"collect": 3})
    assert finish == Finish(TRY_AGAIN, "collect: 3 Jobs ended well, but 1 units are still not committed")


def test_a_job_whose_workers_waited_in_vain_for_the_store_is_history_but_not_for_ever() -> None:
    for submitted in range(3):
        assert decide([stage("collect", "to do")], {"collect": WAITED}, submitted={"collect": submitted}) == [
            Submit("collect", 5)
        ]
    (finish,) = decide([stage("collect", "to do")], {"collect": WAITED}, submitted={"collect": 3})
    assert finish == Finish(TRY_AGAIN, "collect: s3 did not answer")
    assert decide([stage("collect", "to do")], {"collect": WAITED}, desired="pause") == [Wait()]
    assert decide([stage("collect", "made")], {"collect": WAITED}) != [Submit("collect", 5)], "it is all there"


def test_two_controllers_of_different_configurations_do_not_replace_each_other_s_jobs_for_ever() -> None:
    outdated = {"collect": replace(RUNNING, outdated=True)}
    (finish,) = decide([stage("collect", "to do")], outdated, replaced={"collect"})
    assert isinstance(finish, Finish)
    assert "another controller" in finish.message


def test_a_paused_run_holds_its_jobs_and_starts_nothing() -> None:
    plans = [stage("collect", "to do"), stage("generate-prompts", "to do")]
    assert decide(plans, {"collect": FREE}, desired="pause") == [Hold("collect", suspend=True), Wait()]
    assert decide(plans, {"collect": HELD}, desired="pause") == [Wait(), Wait()]
    assert decide(plans, {"collect": RUNNING}, desired="pause") == [Wait(), Wait()], "not ours to hold"


def test_a_cancelled_run_ends_and_says_how_to_allow_it_again() -> None:
    (finish,) = decide([stage("collect", "to do")], {}, desired="cancel")
    assert isinstance(finish, Finish) and finish.exit_code == BAD_CONFIGURATION
    assert "i2p resume" in finish.message


@dataclass
class Troubled:
    """An executor whose looks fail with these errors, one after the other, and then see nothing."""

    troubles: Iterator[Exception]
    rests: list[float] = field(default_factory=list)
    patience_seconds: float = 3600.0

    def observe(self, plans: Any) -> Any:
        for trouble in self.troubles:
            raise trouble
        return Observation({})

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)

    def close(self) -> None:
        pass


def test_it_asks_again_as_soon_as_a_server_may_be_asked_and_else_ever_later(tmp_path: Path) -> None:
    write_desired_state(LocalStore(tmp_path), "cancel")
    closed = [Unreachable("not asked again yet", retry_in=seconds) for seconds in (0.5, 22.0, 1.0)]
    executor: Any = Troubled(iter([StoreError("no answer"), StoreError("no answer"), *closed, StoreError("no answer")]))
    noted = []
    end = Controller(
        LocalStore(tmp_path), load_config("demo"), executor, notify=lambda _, what: noted.append(what)
    ).run()
    assert end.exit_code == BAD_CONFIGURATION
    assert executor.rests == [1.0, 2.0, 0.5, 22.0, 1.0, 30.0]
    assert noted == ["no answer; Jobs go on, trying again"], "once, not at every try"


def test_a_lost_record_is_written_again() -> None:
    done = stage("collect", "done")
    (unit,) = done.units or ()
    assert unit.outcome
    lost = replace(done, units=(replace(unit, lost_record=True),))
    assert decide([lost], {}) == [Restore("collect", (unit.outcome,))]
    assert decide([done], {}) == [Finish(OK)]
