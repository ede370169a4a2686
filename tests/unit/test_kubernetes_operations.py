"""What an operator's command does to the Jobs of a run, and what it says of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pipeline.configuration.run_config import load_config
from pipeline.executors.kubernetes.operations import apply_desired_state
from pipeline.planning.desired_state import DesiredState

Object = dict[str, Any]


@dataclass
class Listed:
    """A cluster that has one unfinished Job, and what was asked of it."""

    suspended: bool
    asked: list[Object | str] = field(default_factory=list)

    def list(self, kind: Any, **_: str) -> Any:
        job = {"metadata": {"name": "small-collect-1"}, "spec": {"suspend": self.suspended}, "status": {}}
        return type("Listing", (), {"items": [job]})

    def patch(self, kind: Any, name: str, body: Object) -> None:
        self.asked.append(body["spec"])

    def delete(self, kind: Any, name: str) -> None:
        self.asked.append("delete")


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize(
    ("desired", "asked", "said"),
    [("pause", {"suspend": True}, "paused"), ("run", {"suspend": False}, "goes on"), ("cancel", "delete", "stopped")],
)
def test_each_job_is_named_with_its_state_also_where_a_controller_was_faster(
    suspended: bool, desired: DesiredState, asked: Object | str, said: str
) -> None:
    cluster, config = Listed(suspended), load_config("demo")
    assert apply_desired_state(cluster, config, desired) == [f"small-collect-1: {said}"]  # type: ignore[arg-type]
    assert cluster.asked == [asked]


def test_a_job_of_a_queue_is_left_to_kueue() -> None:
    cluster = Listed(suspended=False)
    config = load_config("demo", ["kubernetes.queue=gpus"])
    assert "left to Kueue" in apply_desired_state(cluster, config, "pause")[0]  # type: ignore[arg-type]
    assert not cluster.asked
