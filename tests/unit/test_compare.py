"""`i2p compare`: what differs between two runs, and a difference of scores only where both scored the same images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from jobs.evaluate.contract import Baselines, Evaluated, Histogram, Metrics, Score
from jobs.regressor.intervals import interval, paired_difference
from jobs.shards.dataset import Writer, publish_manifest
from jobs.shards.keys import key_of
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest, Outcome
from pipeline.__main__ import main
from tests.stages import dataset_of


def publish_scores(store: LocalStore, cosines: Mapping[str, float]) -> None:
    """What evaluate would have left for images of these keys."""
    home = store.at(Evaluated.stage)
    writer = Writer(home)
    output = Evaluated(writer)
    values = np.array(list(cosines.values()))
    output.metrics.write(
        Metrics(
            score=float(values.mean()),
            interval=interval(values, num_resamples=2_000, seed=0),
            confidence=0.95,
            resamples=2_000,
            samples=len(values),
            split="val",
            baselines=Baselines(constant=0.1, nearest_neighbour=0.2),
            max_cosine_to_train=0.7,
            closest_pair={"val": "a", "train": "b"},
            training_prompts=1,
            histogram=Histogram(edges=(0.0, 1.0), model=(1,), constant=(1,), nearest_neighbour=(1,)),
            neighbour_images=1,
        )
    )
    scores = {
        key: Score(cosine=cosine, constant=0.1, nearest_neighbour=0.2, closest_cosine=0.5, cosine_to_train=0.5)
        for key, cosine in cosines.items()
    }
    output.scores.write([output.scores.sample(key, scores[key]) for key in sorted(scores)], size=1_000)
    publish_manifest(
        home, Manifest(home.url.rpartition("/")[2], (Outcome("m", "0" * 64, 1, {}, {}, tuple(writer.shards)),))
    )


def keys(*numbers: int) -> dict[str, float]:
    random = np.random.default_rng(0)
    noise = random.uniform(0, 0.5, 1_000).round(6)
    return {key_of(f"prompt {number}"): float(noise[number]) for number in range(*numbers)}


def better(cosines: Mapping[str, float]) -> dict[str, float]:
    random = np.random.default_rng(1)
    return {key: round(cosine + float(random.normal(0.02, 0.01)), 6) for key, cosine in cosines.items()}


def compare(tmp_path: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["compare", *arguments, "--set", f"store={tmp_path}"])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_settings_that_differ_are_shown_stage_by_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, epochs, rate in (("a", 20, 0.002), ("b", 30, 0.002)):
        run = LocalStore(tmp_path / name)
        dataset_of(run, "dedup", {"train-00000": []}, {"threshold": 0.8})
        dataset_of(run, "train", {"model": []}, {"epochs": epochs, "optimizer": {"rate": rate}})
    dataset_of(
        LocalStore(tmp_path / "b"), "train", {"model": []}, {"epochs": 30, "optimizer": {"rate": 0.1}, "new": True}
    )
    dataset_of(LocalStore(tmp_path / "b"), "infer", {"predictions-00000": []})
    code, text, _ = compare(tmp_path, capsys, "a", "b")
    assert code == 0
    assert (
        "train\n  epochs          20 -> 30\n  optimizer.rate  0.002 -> 0.1\n  new             (not set) -> true\n"
        in text
    )
    assert "dedup" not in text
    assert "only in b: infer" in text
    assert "a: it has no scores" in text
    answer = json.loads(compare(tmp_path, capsys, "a", "b", "--json")[1])
    assert answer["settings"][0] == {"stage": "train", "name": "epochs", "first": [20], "second": [30]}
    assert answer["runs"] == ["a", "b"]
    assert answer["difference"] is None


def test_the_difference_is_that_of_the_images_both_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = keys(0, 80), better(keys(30, 100))
    publish_scores(LocalStore(tmp_path / "a"), first)
    publish_scores(LocalStore(tmp_path / "b"), second)
    found = json.loads(compare(tmp_path, capsys, "a", "b", "--json")[1])
    shared = sorted(first.keys() & second.keys())
    expected = paired_difference(np.array([first[key] for key in shared]), np.array([second[key] for key in shared]))
    difference = found["difference"]
    assert difference["samples"] == len(shared) == 50
    assert difference["only"] == [30, 20]
    assert difference["mean"] == pytest.approx(expected.mean, abs=1e-6)
    assert difference["interval"] == pytest.approx(expected.interval, abs=1e-6)
    assert difference["interval"][0] > 0
    scores = [one["score"] for one in found["scores"]]
    assert scores == pytest.approx([np.mean(list(one.values())) for one in (first, second)])
    text = compare(tmp_path, capsys, "a", "b")[1]
    assert "no setting differs" in text
    assert "scored by both: 50 images; only by a: 30, only by b: 20" in text
    assert ": b is better" in text


@pytest.mark.parametrize(("end", "some"), [(20, "none"), (39, "only 19")])
def test_without_enough_images_in_common_no_difference_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: int, some: str
) -> None:
    publish_scores(LocalStore(tmp_path / "a"), keys(0, end))
    publish_scores(LocalStore(tmp_path / "b"), keys(20, 60))
    code, text, _ = compare(tmp_path, capsys, "a", "b")
    assert code == 0
    assert f"at least 20 images that both scored are required, there are {some}" in text
    answer = json.loads(compare(tmp_path, capsys, "a", "b", "--json")[1])
    assert answer["difference"]["interval"] is None
    assert answer["difference"]["too_few"]


def test_a_run_may_be_named_by_its_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    publish_scores(LocalStore(tmp_path / "one" / "a"), keys(0, 30))
    publish_scores(LocalStore(tmp_path / "two" / "a"), better(keys(0, 30)))
    text = compare(tmp_path / "one", capsys, "a", f"{tmp_path}/two/a")[1]
    assert "scored by both: 30 images" in text


def test_a_run_that_is_not_there_is_an_error_that_names_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_scores(LocalStore(tmp_path / "a"), keys(0, 30))
    code, _, error = compare(tmp_path, capsys, "a", "b")
    assert code != 0
    assert "there is no run 'b' with a finished stage" in error
    assert "there are a;" in error
