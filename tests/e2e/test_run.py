"""The pipeline on one machine: it ends with scores, goes on where it was, and redoes exactly what has to be."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jobs.catalog import STAGES
from tests.e2e.runs import PRESET, RUN, answer, copy_of, i2p, manifest_digests, records, the_object, to_do, without

ALL = {spec.name for spec in STAGES}


def test_a_run_ends_with_scores_a_report_and_a_submission(undisturbed: Any) -> None:
    said = (undisturbed.parent / "stdout").read_text()
    assert f"{undisturbed}/{RUN}/report.html" in said.splitlines()[-3]
    assert f"{undisturbed}/{RUN}/predictions/predictions.html" in said.splitlines()[-2]
    assert f"{undisturbed}/{RUN}/submission.csv" in said.splitlines()[-1]
    assert manifest_digests(undisturbed).keys() == ALL
    found = answer(undisturbed, "metrics")
    assert found["samples"] > 5
    assert found["interval"][0] <= found["score"] <= found["interval"][1]
    assert found["max_cosine_to_train"] < 0.8
    assert found["baselines"].keys() >= {"constant", "nearest_neighbour"}
    with (undisturbed / RUN / "submission.csv").open() as file:
        rows = list(csv.reader(file))
    assert '<a href="submission.csv">' in (undisturbed / RUN / "report.html").read_text()
    images = answer(undisturbed, "status")[-2]["samples"]
    assert rows[0] == ["imgId_eId", "val"]
    assert len(rows) == 1 + 384 * images


def test_a_finished_run_does_no_work(undisturbed: Any, tmp_path: Path) -> None:
    assert to_do(undisturbed) == set()
    store = copy_of(undisturbed, tmp_path)
    before = records(store)
    started = time.monotonic()
    i2p(store, "run")
    assert time.monotonic() - started < 15
    assert records(store) == before


def test_touching_files_redoes_nothing(undisturbed: Any, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    for path in store.rglob("*"):
        os.utime(path, (1, 1))
    assert to_do(store) == set()


def test_deleting_one_training_image_shard_redoes_it_and_its_descendants(undisturbed: Any, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    the_object(store, "generate-images", "train-00001").unlink()
    plan = answer(store, "plan")
    redone = {(row["stage"], row["shard"]): row["reason"] for row in plan if row["action"] == "redo"}
    assert "is missing" in redone.pop(("generate-images", "train-00001"))
    assert {stage for stage, _ in redone} == {"compare-images", "train", "evaluate", "infer", "submission"}
    assert all("is to be made anew" in reason for reason in redone.values())
    i2p(store, "run")
    assert to_do(store) == set()
    assert manifest_digests(store) == manifest_digests(undisturbed)


def test_a_test_image_shard_has_fewer_descendants(undisturbed: Any, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    the_object(store, "generate-images", "test-00000").unlink()
    stages = {"generate-images", "compare-images", "evaluate", "infer", "submission"}
    assert {stage for stage, _ in to_do(store)} == stages, "expected cosines are checked on it, and nothing is trained"


def test_another_parameter_redoes_the_stage_and_what_follows_and_says_why(undisturbed: Any) -> None:
    rows = answer(undisturbed, "plan", "--set", "generate-images.stored_size=40")
    reasons = {row["reason"] for row in rows if row["stage"] == "generate-images" and row["action"] != "take"}
    assert reasons == {"stored_size 32 -> 40"}
    skipped = {row["stage"] for row in rows if row["action"] == "skip"}
    assert skipped == {"collect", "generate-prompts", "embed", "dedup", "cut-prompts"}


def test_a_changed_shard_redoes_exactly_its_descendants_and_a_change_back_redoes_nothing(
    undisturbed: Any, tmp_path: Path
) -> None:
    store = copy_of(undisturbed, tmp_path)
    before = records(store)
    fewer = ("--set", "generate-prompts.num_prompts=59")
    assert ("generate-prompts", "generated-00000") not in to_do(store, *fewer)
    i2p(store, "run", *fewer)
    new = [Path(name) for name in records(store).keys() - before.keys()]
    made = {f"{path.parts[1]}/{path.name.rpartition('-')[0]}" for path in new}
    redone = {"generate-prompts/generated-00001", "embed/generated-00001", "dedup/decisions-00001", "dedup/certificate"}
    assert redone <= made
    assert "dedup/decisions-00000" not in made
    assert not made & {"generate-prompts/generated-00000", "embed/generated-00000", "embed/grammar-00000"}
    i2p(store, "run")
    assert manifest_digests(store) == manifest_digests(undisturbed)


def test_killing_the_run_at_any_moment_changes_nothing(undisturbed: Any, tmp_path: Path) -> None:
    store, moment = tmp_path / "store", random.Random()  # noqa: S311
    command = [sys.executable, "-m", "pipeline", "run", "--preset", PRESET, "--set", f"store={store}"]
    for _ in range(5):
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(moment.uniform(0.5, 15))
        except subprocess.TimeoutExpired:
            run.send_signal(moment.choice([signal.SIGKILL, signal.SIGTERM]))
            run.wait()
    i2p(store, "run")
    assert manifest_digests(store) == manifest_digests(undisturbed)
    i2p(store, "verify")


def test_two_runs_beside_each_other_are_harmless(undisturbed: Any, tmp_path: Path) -> None:
    store = without(copy_of(undisturbed, tmp_path), "collect", "dedup", "generate-images", "submission")
    command = [sys.executable, "-m", "pipeline", "run", "--preset", PRESET, "--set", f"store={store}"]
    both = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [run.wait() for run in both] == [0, 0]
    assert manifest_digests(store) == manifest_digests(undisturbed)


def test_every_command_that_reports_answers_in_json_and_in_words(undisturbed: Any, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)  # `doctor` writes, and removes, while others may copy the run
    for command in (["plan"], ["status"], ["logs", "train"], ["why", "embed"], ["metrics"], ["verify"], ["doctor"]):
        assert answer(store, *command), command
        assert i2p(store, *command).stdout.strip(), command


def test_the_worker_s_log_is_kept(undisturbed: Any) -> None:
    events = answer(undisturbed, "logs", "train")
    assert events[0]["event"] == "started"
    assert any(event["event"] == "committed" for event in events)
