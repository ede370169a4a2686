"""A run that was made before stages had contracts is planned as done, verified and reported by this code."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.catalog import STAGES
from tests.archives import unpack
from tests.e2e.runs import RUN, answer, i2p

OLD_RUN = Path(__file__).parents[1] / "data" / "run_before_contracts.tar.xz"
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


def test_everything_is_planned_as_done(store: Path) -> None:
    rows = answer(store, "plan", "--all", *SET)
    assert {row["stage"] for row in rows} == {spec.name for spec in STAGES}
    assert {row["action"] for row in rows} == {"skip"}, [row for row in rows if row["action"] != "skip"]


def test_it_is_verified_and_reported(store: Path) -> None:
    assert "kept, " in answer(store, "verify", *SET)["dedup"]
    i2p(store, "report", *SET)
    page = (store / RUN / "report.html").read_text()
    assert "held-out prompts" in page
    assert "Not here" not in page
