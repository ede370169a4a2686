"""A run takes over what another run of the store has made; `plan` says so before, the record and the report after."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.shards.dataset import Committed, Dataset, load_manifest
from jobs.shards.local import LocalStore
from pipeline.__main__ import main
from pipeline.configuration.run_config import load_config
from pipeline.planning import takeover
from pipeline.planning.earlier_runs import earlier_runs
from tests.e2e.runs import PRESET, RUN, copy_of

STAGES = ("dedup", "generate-images")
OTHER_SHARDS = "dedup.prompts_per_shard=7"

I2p = Callable[..., str]


@pytest.fixture
def store(undisturbed: Path, tmp_path: Path) -> Path:
    return copy_of(undisturbed, tmp_path)


@pytest.fixture
def i2p(store: Path, capsys: pytest.CaptureFixture[str]) -> I2p:
    """Runs a command for the run `second`, which has the vectors of the first; gives what it said."""

    def call(command: str, *more: str, stages: tuple[str, ...] = STAGES, changes: tuple[str, ...] = ()) -> str:
        given = [*settings(store, "second", stages), OTHER_SHARDS, *changes]
        assert main([command, *more, "--preset", PRESET, *(part for one in given for part in ("--set", one))]) == 0
        return capsys.readouterr().out

    return call


def settings(store: Path, run: str, stages: tuple[str, ...] = STAGES) -> list[str]:
    return [f"run={run}", f"store={store}", f"stages=[{', '.join(stages)}]", f"inputs={{embed: {RUN}}}"]


def images(store: Path, run: str) -> Dataset:
    stage = LocalStore(store / run / "generate-images")
    manifest = load_manifest(stage)
    assert manifest is not None
    return Dataset(stage, manifest)


def taken(store: Path, run: str) -> dict[str, int]:
    """Samples taken over, by unit."""
    dataset = images(store, run)
    committed = Committed.of(dataset.store)
    records = [committed.record(one.unit, one.fingerprint) for one in dataset.manifest.outcomes]
    return {record.outcome.unit: record.taken for record in records if record}


def num_images(store: Path, run: str) -> int:
    return sum(shard.samples for shard in images(store, run).shards())


def take_rows(said: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(said) if row["action"] == "take"]


def test_another_run_s_images_are_planned_taken_and_reported(store: Path, i2p: I2p) -> None:
    assert take_rows(i2p("plan", "--json")) == []  # not known before dedup is done
    i2p("run", stages=("dedup",))
    (row,) = take_rows(i2p("plan", "--json"))
    number = num_images(store, RUN)
    assert (row["stage"], row["shard"]) == ("generate-images", "*")
    assert (row["taken"], row["made"], row["exact"], row["seconds"]) == (number, 0, True, 0.0)
    (other,) = take_rows(i2p("plan", "--json", changes=("generate-images.stored_size=40",)))
    assert (other["taken"], other["made"]) == (0, number)
    assert 0 < other["seconds"] < 60  # by what was made with other parameters
    assert f"take  {number} samples" in i2p("plan")
    lost = images(store, RUN).shards()[0]
    (store / RUN / "generate-images" / lost.object).unlink()
    (row,) = take_rows(i2p("plan", "--json"))
    assert (row["taken"], row["made"]) == (number - lost.samples, lost.samples)
    assert 0 < row["seconds"] < 60
    assert f"{lost.samples} to make, in " in row["reason"]
    i2p("run")
    assert sum(taken(store, "second").values()) == number - lost.samples
    assert take_rows(i2p("plan", "--json")) == []
    page = (store / "second" / "report.html").read_text()
    assert f"{number - lost.samples} taken over from what was made before, {lost.samples} made" in page
    by_key = {sample.key: sample["png"] for sample in images(store, "second").samples()}
    there = [shard for shard in images(store, RUN).shards() if shard != lost]
    assert all(by_key[one.key] == one["png"] for shard in there for one in images(store, RUN).read(shard))
    config = load_config(PRESET, settings(store, "third"))
    assert set(earlier_runs(config, "generate-images")) == {RUN, "second"}
    assert earlier_runs(config, "train") == (RUN,)


def test_what_is_asked_for_again_is_made_again(store: Path, i2p: I2p) -> None:
    i2p("run")
    before = images(store, "second").manifest.digest
    unit = next(name for name, number in taken(store, "second").items() if number)
    i2p("redo", "generate-images", unit)
    (row,) = take_rows(i2p("plan", "--json"))
    assert (row["taken"], row["made"] > 0) == (0, True)
    i2p("run")
    after = taken(store, "second")
    assert after.pop(unit) == 0
    assert all(after.values())
    assert images(store, "second").manifest.digest == before


def test_of_many_units_a_fair_sample_is_looked_at(store: Path, i2p: I2p, monkeypatch: pytest.MonkeyPatch) -> None:
    i2p("run", stages=("dedup",))
    monkeypatch.setattr(takeover, "_LOOKED_AT", 2)
    (row,) = take_rows(i2p("plan", "--json"))
    assert (row["taken"], row["made"], row["exact"]) == (num_images(store, RUN), 0, False)
    assert "take  about " in i2p("plan")


def test_a_damaged_input_does_not_stop_the_plan(store: Path, i2p: I2p) -> None:
    i2p("run", stages=("dedup",))
    for path in (store / "second" / "dedup" / "shards").iterdir():
        if path.is_file():
            path.write_bytes(bytes(path.stat().st_size))
    assert take_rows(i2p("plan", "--json")) == []
