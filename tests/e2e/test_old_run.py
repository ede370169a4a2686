"""A run that was made before stages had contracts is planned, verified and reported by this code."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.catalog import STAGES
from jobs.errors import TRY_AGAIN
from tests.archives import unpack
from tests.e2e.runs import RUN, answer, i2p

OLD_RUN = Path(__file__).parents[1] / "data" / "run_before_contracts.tar.xz"
PREDICTED = "068cfe56e0aab19769f0f79b"  # the first image of its test split
SETTINGS = (
    "collect.sources.0.num_prompts=30",
    "collect.prompts_per_shard=20",
    "generate-prompts.num_prompts=16",
    "generate-prompts.prompts_per_shard=8",
    "train.batch_size=8",
    "train.epochs=2",
)
SET = [part for setting in SETTINGS for part in ("--set", setting)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds the run."""
    store = tmp_path_factory.mktemp("store")
    unpack(OLD_RUN, store / RUN)
    return store


def test_everything_is_planned_as_done_but_for_the_stage_whose_code_changed(store: Path) -> None:
    rows = [row for row in answer(store, "plan", "--all", *SET) if row["action"] != "take"]
    assert {row["stage"] for row in rows} == {spec.name for spec in STAGES}
    reasons = {(row["stage"], row["reason"]) for row in rows if row["action"] != "skip"}
    assert ("embed", "the stage's code changed (version 1 -> 2)") in reasons
    assert {stage for stage, reason in reasons if reason == "not made yet"} == {"dedup"}  # which has other units now
    assert {stage for stage, _ in reasons}.isdisjoint({"collect", "generate-prompts"})


def test_what_is_there_is_verified_and_the_stage_that_was_added_is_said_to_be_missing(store: Path) -> None:
    done = i2p(store, "verify", *SET, check=False)
    assert done.returncode == TRY_AGAIN
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert "kept, " in lines["dedup"]
    assert lines["cut-prompts"] == lines["compare-images"] == "not finished"
    assert "shard" in lines["evaluate"]
    assert "shard" in lines["submission"]
    assert "cut-prompts has no manifest, so the run is not finished; what is there was checked" in done.stderr


def test_it_is_reported(store: Path) -> None:
    i2p(store, "report", *SET)
    page = (store / RUN / "report.html").read_text()
    assert "held-out prompts" in page
    assert "Not here" not in page


def test_its_prompts_are_traced_without_the_stage_that_it_has_not(store: Path) -> None:
    stages = answer(store, "trace", f"{PREDICTED}_0", *SET)["stages"]
    assert stages["submission"]["line_asked_for"] == 2
    assert stages["train"]["learned_from_it"] == "no, it is held out as test"
    assert [name for name, part in stages.items() if part is None] == ["compare-images"]
