"""Evaluation: the score, its interval and baselines, the leak check, and what is shown of single images."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.errors import BadData
from jobs.evaluate.held_out import closest_rows
from jobs.evaluate.metrics import histogram
from jobs.evaluate.stage import EVALUATE, EvaluateParams
from jobs.imaging.pixels import decode, pixels
from jobs.imaging.thumbnails import centred
from jobs.regressor.feature_statistics import FeatureStatistics
from jobs.regressor.intervals import interval
from jobs.regressor.model import Regressor
from jobs.regressor.values import Architecture, Confidence
from jobs.runtime.arrays import from_npy
from jobs.shards.dataset import Dataset
from jobs.shards.store import Store
from jobs.shards.tar import Sample
from tests import pictures
from tests.networks import from_sample, to_sample
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage

TRAIN = {"train-00000": range(20), "train-00001": range(20, 32)}
VAL = {"val-00000": range(40, 50), "val-00001": range(50, 56)}


def params(**changes: Any) -> EvaluateParams:
    return EvaluateParams(
        **{"num_resamples": 2_000, "batch_size": 4, "num_cases": 3, "num_candidates": 2, "num_composed": 0, **changes}
    )


def random_network(run: Store, seed: int = 0) -> Dataset:
    half = (0.5, 0.5, 0.5)
    torch.manual_seed(seed)
    regressor = Regressor(Architecture(model=pictures.TINY, image_size=32, head="linear", mean=half, std=half))
    return dataset_of(run, "train", {"model": [to_sample(regressor.architecture, regressor.state_dict())]})


def inputs(folder: Path, shards: dict[str, range] | None = None) -> tuple[Store, list[Dataset]]:
    run = local_run(folder)
    shards = {**TRAIN, **VAL} if shards is None else shards
    known = {name: numbers for name, numbers in shards.items() if name.startswith("train")}
    return run, [pictures.images(run, shards), random_network(run), pictures.prompts(run, known)]


def evaluate(folder: Path, **changes: Any) -> tuple[list[Dataset], Dataset]:
    run, datasets = inputs(folder)
    return datasets, run_stage(run, EVALUATE, params(**changes), datasets)


def vectors(samples: Sequence[Sample]) -> np.ndarray:
    return np.stack([from_npy(sample["npy"]) for sample in samples])


def group_json(dataset: Dataset, group: str) -> dict[str, Any]:
    (sample,) = dataset.samples(group)
    return json_of(sample)


def test_the_report_is_what_a_plain_computation_gives(tmp_path: Path) -> None:
    (images, _, prompts), evaluated = evaluate(tmp_path)
    noted = group_json(evaluated, "metrics")
    val, train = list(images.samples("val")), list(images.samples("train"))
    true, known = vectors(val), vectors(train)

    scores = {sample.key: json_of(sample) for sample in evaluated.samples("scores")}
    assert list(scores) == sorted(sample.key for sample in val)
    assert noted["samples"] == 16
    assert noted["score"] == pytest.approx(np.mean([score["cosine"] for score in scores.values()]), abs=1e-6)
    assert noted["interval"][0] < noted["score"] < noted["interval"][1]

    constant = known.mean(axis=0) / np.linalg.norm(known.mean(axis=0))
    assert noted["baselines"]["constant"] == pytest.approx((true @ constant).mean(), abs=1e-6)

    def small(sample: Sample) -> np.ndarray:
        image = Image.open(io.BytesIO(sample["png"]))
        return np.asarray(image.resize((16, 16), Image.Resampling.BOX), float).ravel()

    distances = [[((small(one) - small(other)) ** 2).sum() for other in train] for one in val]
    closest = known[np.argmin(distances, axis=1)]
    assert noted["baselines"]["nearest_neighbour"] == pytest.approx((true * closest).sum(axis=1).mean(), abs=1e-6)
    assert noted["neighbour_images"] == noted["training_prompts"] == 32

    to_train = true @ known.T
    row, column = np.unravel_index(to_train.argmax(), to_train.shape)
    assert noted["max_cosine_to_train"] == pytest.approx(to_train.max(), abs=1e-6)
    assert noted["closest_pair"] == {"val": val[row].key, "train": train[column].key}
    assert [shard.group for shard in prompts.shards()] == ["train", "train"]

    assert len(noted["histogram"]["edges"]) == 41
    for name in ("model", "constant", "nearest_neighbour"):
        assert sum(noted["histogram"][name]) == 16
    (outcome,) = evaluated.manifest.outcomes
    assert outcome.stats["score"] == noted["score"]


def test_each_source_has_its_own_score_and_baselines(tmp_path: Path) -> None:
    (images, _, _), evaluated = evaluate(tmp_path)
    noted = group_json(evaluated, "metrics")
    scores = {sample.key: json_of(sample) for sample in evaluated.samples("scores")}
    sources = {sample.key: json_of(sample)["source"] for sample in images.samples("val")}
    assert [one["source"] for one in noted["by_source"]] == list(pictures.SOURCES)
    for one in noted["by_source"]:
        own = [scores[key] for key, source in sources.items() if source == one["source"]]
        assert one["samples"] == len(own) == 8
        assert one["interval"] is None, "of so few it would be too narrow"
        assert one["score"] == pytest.approx(np.mean([score["cosine"] for score in own]), abs=2e-6)
        for name, mean in one["baselines"].items():
            assert mean == pytest.approx(np.mean([score[name] for score in own]), abs=2e-6)


def test_a_source_with_enough_images_has_an_interval(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path, {**TRAIN, "val-00000": range(40, 80), "val-00001": range(81, 90, 2)})
    by_source = group_json(run_stage(run, EVALUATE, params(), datasets), "metrics")["by_source"]
    assert [one["samples"] for one in by_source] == [20, 25]
    assert all(one["interval"][0] < one["score"] < one["interval"][1] for one in by_source)


def test_differences_to_baselines_are_those_of_the_same_images(tmp_path: Path) -> None:
    noted = group_json(evaluate(tmp_path)[1], "metrics")
    for name, (low, high) in noted["differences"].items():
        assert low < noted["score"] - noted["baselines"][name] < high
    cosines = np.linspace(0, 1, 50)
    noise = np.random.default_rng(0).normal(0.01, 0.001, 50)
    low, high = interval((cosines + noise) - cosines, num_resamples=2_000, seed=0)
    assert 0.009 < low < high < 0.011, "though the two means have intervals of 0.16 that overlap"


def test_a_leaked_prompt_shows_as_a_cosine_of_one(tmp_path: Path) -> None:
    run, (images, network, _) = inputs(tmp_path)
    leaking = pictures.prompts(run, {**TRAIN, "train-00002": range(45, 46)})
    noted = group_json(run_stage(run, EVALUATE, params(), [images, network, leaking]), "metrics")
    key = pictures.sample(45).key
    assert noted["max_cosine_to_train"] == pytest.approx(1)
    assert noted["closest_pair"] == {"val": key, "train": key}


def test_the_best_and_the_worst_come_with_image_text_and_candidates(tmp_path: Path) -> None:
    (images, _, _), evaluated = evaluate(tmp_path)
    scores = {sample.key: json_of(sample)["cosine"] for sample in evaluated.samples("scores")}
    ranked = sorted(scores, key=lambda key: -scores[key])
    originals = {sample.key: sample for sample in images.samples("val")}
    known = {sample.text(): from_npy(sample["npy"]) for sample in images.samples("train")}
    for group, expected in (("best", ranked[:3]), ("worst", ranked[::-1][:3])):
        cases = sorted(evaluated.samples(group), key=lambda case: json_of(case)["rank"])
        assert [case.key for case in cases] == expected
        for case in cases:
            noted = json_of(case)
            assert noted["cosine"] == scores[case.key]
            assert case.text() == originals[case.key].text()
            assert Image.open(io.BytesIO(case["png"])).size == (32, 32)
            assert [candidate["prompt"] in known for candidate in noted["candidates"]] == [True, True]
            assert noted["candidates"][0]["cosine"] >= noted["candidates"][1]["cosine"]


def test_the_confidence_comes_from_the_signals_and_the_training_images_features(tmp_path: Path) -> None:
    (_, network, _), evaluated = evaluate(tmp_path)
    (sample,) = evaluated.samples("confidence")
    confidence = Confidence.decode(sample["json"], "a sample")
    assert (confidence.images, confidence.feature_images) == (16, 32)
    noted = [json_of(sample) for sample in evaluated.samples("scores")]
    for limit in confidence.signal_limits:
        values = [one["bank_cosine" if limit.signal == "closest_cosine" else limit.signal] for one in noted]
        extreme = min(values) if limit.beyond == "below" else max(values)
        assert limit.value == pytest.approx(extreme, abs=2e-6), "of 16 images no more than the extremes can be promised"
    assert confidence.promised_error_rate == pytest.approx(4 / 17, abs=1e-6)
    (trained,) = network.samples("model")
    regressor = from_sample(trained)
    arrays = [pixels(decode(pictures.sample(number)["png"], "test"), 32) for number in range(32)]
    with torch.inference_mode():
        features = regressor.features(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)).numpy()
    stored = FeatureStatistics.decode(sample["safetensors"])
    assert stored.mean == pytest.approx(features.mean(axis=0), abs=1e-5)


def test_the_confidence_is_checked_on_the_split_that_nothing_was_learned_from(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path, {**TRAIN, **VAL, "test-00000": range(60, 84)})
    evaluated = run_stage(run, EVALUATE, params(), datasets)
    found = group_json(evaluated, "metrics")["reliability"]
    assert (found["split"], found["cross_fitted"]) == ("test", False)
    assert found["abstained"]["val"] == {"images": 16, "abstained": 0}
    assert found["abstained"]["test"]["images"] == 24
    kept = 24 - found["abstained"]["test"]["abstained"]
    assert kept == sum(one["images"] for one in found["bins"]) > 0
    for name in ("mean_expected", "mean_true"):
        mean = sum(one["images"] * one[name] for one in found["bins"]) / kept
        assert mean == pytest.approx(found[name], abs=2e-6)
    error = sum(one["images"] * abs(one["mean_expected"] - one["mean_true"]) for one in found["bins"]) / kept
    assert error == pytest.approx(found["calibration_error"], abs=2e-6)
    assert found["risk_coverage"][-1] == {
        "share": pytest.approx(kept / 24, abs=1e-6),
        "cosine": pytest.approx(found["mean_true"], abs=2e-6),
    }
    assert found["interval_held"] == 1, "of so few images the interval is that of all cosines"


def test_without_such_a_split_each_image_is_judged_by_what_others_gave(tmp_path: Path) -> None:
    found = group_json(evaluate(tmp_path)[1], "metrics")["reliability"]
    assert (found["split"], found["cross_fitted"]) == ("val", True)
    assert found["abstained"]["val"]["images"] == 16
    assert found["abstained"]["val"]["abstained"] > 0, "the extremes are beyond what the other folds have"


def test_a_single_held_out_image_cannot_be_judged_by_others(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path, {**TRAIN, "val-00000": range(40, 41)})
    evaluated = run_stage(run, EVALUATE, params(), datasets)
    assert group_json(evaluated, "metrics")["reliability"] is None
    assert group_json(evaluated, "confidence")["promised_error_rate"] == 1


def test_evaluating_again_gives_the_same_bytes(tmp_path: Path) -> None:
    _, first = evaluate(tmp_path / "a")
    _, again = evaluate(tmp_path / "b")
    assert [shard.sha256 for shard in first.shards()] == [shard.sha256 for shard in again.shards()]


def test_the_numbers_do_not_depend_on_how_the_prompts_are_cut_into_shards(tmp_path: Path) -> None:
    _, evaluated = evaluate(tmp_path / "two")
    run, (images, network, _) = inputs(tmp_path / "many")
    many = pictures.prompts(run, {f"train-{number:05d}": range(4 * number, 4 * number + 4) for number in range(8)})
    others = run_stage(run, EVALUATE, params(), [images, network, many])
    first, second = group_json(evaluated, "metrics"), group_json(others, "metrics")
    assert first["closest_pair"] == second["closest_pair"]
    assert first["max_cosine_to_train"] == pytest.approx(second["max_cosine_to_train"], abs=2e-6)
    assert first["baselines"] == pytest.approx(second["baselines"], abs=2e-6)
    cases = [
        {case.key: json_of(case)["candidates"][0]["prompt"] for case in one.samples("best")}
        for one in (evaluated, others)
    ]
    assert cases[0] == cases[1]


def test_the_number_of_training_images_looked_at_is_bounded_by_whole_shards(tmp_path: Path) -> None:
    _, evaluated = evaluate(tmp_path, num_neighbour_images=5, num_feature_images=21)
    assert group_json(evaluated, "metrics")["neighbour_images"] == 20
    assert group_json(evaluated, "confidence")["feature_images"] == 32


def test_no_held_out_images_is_bad_data_that_says_what_to_do(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path, TRAIN)
    with pytest.raises(BadData, match=r"no held-out images to score.*hold out a larger fraction"):
        run_stage(run, EVALUATE, params(), datasets)


def test_a_changed_test_split_and_a_changed_network_evaluate_again(tmp_path: Path) -> None:
    run, (images, network, prompts) = inputs(tmp_path)

    def fingerprint(*datasets: Dataset) -> str:
        (unit,) = EVALUATE.units_of(
            params(), [*datasets, dataset_of(run, "compare-images", {}), dataset_of(run, "cut-prompts", {})]
        )
        return EVALUATE.fingerprint(unit)

    first = fingerprint(images, network, prompts)
    with_test = pictures.images(run, {**TRAIN, **VAL, "test-00000": range(60, 64)})
    assert fingerprint(with_test, network, prompts) != first
    assert fingerprint(images, random_network(run, seed=1), prompts) != first


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        low, high = interval(random.normal(0.6, 0.1, 60), num_resamples=300, seed=trial)
        covered += low <= 0.6 <= high
    assert 88 <= covered <= 99
    assert interval(np.array([0.5, 0.7]), num_resamples=2_000, seed=1) == interval(
        np.array([0.5, 0.7]), num_resamples=2_000, seed=1
    )


def test_thumbnails_are_compared_exactly() -> None:
    random = np.random.default_rng(0)
    left, right = (random.integers(0, 256, (count, 768)).astype(np.uint8) for count in (20, 300))
    right[7] = right[250] = left[3]
    distances, rows = closest_rows(centred(list(left)), centred(list(right)))
    plain = ((left[:, None].astype(int) - right[None].astype(int)) ** 2).sum(axis=2)
    assert np.array_equal(rows, plain.argmin(axis=1))
    assert np.array_equal(distances, plain.min(axis=1))
    assert rows[3] == 7


def test_cosines_a_little_over_one_are_counted_in_the_last_bin() -> None:
    cosines = np.array([1.0000001, -1.0, 0.52])
    counts = histogram(model=cosines, constant=cosines, nearest_neighbour=cosines).model
    assert counts[-1] == counts[0] == 1
    assert sum(counts) == 3
