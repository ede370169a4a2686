"""Writes the score with its interval, baselines and leak check, every image's cosine, and the best and worst cases."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.held_out import (
    Closest,
    HeldOut,
    closest_prompts,
    load_held_out,
    neighbour_vectors,
    prompts_numbered,
)
from jobs.evaluate.metrics import CONFIDENCE, histogram, interval
from jobs.evaluate.stage import SPLIT, EvaluateParams
from jobs.evaluate.thumbnails import shown
from jobs.imaging.pixels import decode, image_in
from jobs.regressor.calibration import fit
from jobs.regressor.metric import cosines
from jobs.regressor.saved_model import load_trained
from jobs.runtime.device import prepare_torch
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.tar import Sample, json_field

_SCORES_PER_SHARD = 10_000
_DECIMALS = 6

Floats = NDArray[np.float64]


def run(task: Task, params: EvaluateParams) -> None:
    """Evaluate the network; the same inputs give the same bytes."""
    images, trained, prompts = task.inputs
    for unit in task.pending():
        device = prepare_torch(params)
        with task.writing(unit) as output:
            held_out = load_held_out(images, load_trained(trained, device), params)
            closest = closest_prompts(prompts, held_out, params)
            neighbours, num_seen = neighbour_vectors(images, held_out, params)
            scores = {
                "model": cosines(held_out.predicted, held_out.true),
                "constant": cosines(np.broadcast_to(closest.constant, held_out.true.shape), held_out.true),
                "nearest_neighbour": cosines(neighbours, held_out.true),
            }
            told = metrics(scores, held_out, closest, prompts, params) | {"neighbour_images": num_seen}
            output.add_shard("metrics", [Sample("metrics", {"json": json_field(told)})])
            write_calibration(scores["model"], closest, output)
            write_scores(scores, held_out, closest, output)
            write_cases(images, prompts, scores["model"], held_out, closest, params, output)
            output.stats.update({name: told[name] for name in ("score", "interval", "samples", "baselines")})


def metrics(
    scores: dict[str, Floats], held_out: HeldOut, closest: Closest, prompts: Dataset, params: EvaluateParams
) -> dict[str, Any]:
    """The numbers of the report."""
    to_train, numbers = closest.to_true
    leakiest = int(to_train[:, 0].argmax())
    neighbour = int(numbers[leakiest, 0])
    low, high = interval(scores["model"], num_resamples=params.num_resamples, seed=params.seed)
    return {
        "score": _rounded(scores["model"].mean()),
        "interval": [_rounded(low), _rounded(high)],
        "confidence": CONFIDENCE,
        "resamples": params.num_resamples,
        "samples": len(held_out.keys),
        "split": SPLIT,
        "baselines": {name: _rounded(scores[name].mean()) for name in ("constant", "nearest_neighbour")},
        "max_cosine_to_train": _rounded(to_train[leakiest, 0]),
        "closest_pair": {
            SPLIT: held_out.keys[leakiest],
            "train": prompts_numbered(prompts, [neighbour])[neighbour].key,
        },
        "training_prompts": closest.num_prompts,
        "histogram": histogram(scores),
    }


def write_calibration(model_cosines: Floats, closest: Closest, output: Writer) -> None:
    """Write the map from a prediction's cosine to the closest prompt, to the cosine to expect of it."""
    knots = fit(closest.to_predicted[0][:, 0].astype(np.float64), model_cosines)
    output.add_shard("calibration", [Sample("calibration", {"json": json_field(knots.model_dump())})])


def write_scores(scores: dict[str, Floats], held_out: HeldOut, closest: Closest, output: Writer) -> None:
    """Write every image's cosines, under its prompt's key."""
    samples = []
    for row, key in enumerate(held_out.keys):
        told = {
            "cosine": _rounded(scores["model"][row]),
            "constant": _rounded(scores["constant"][row]),
            "nearest_neighbour": _rounded(scores["nearest_neighbour"][row]),
            "bank_cosine": _rounded(closest.to_predicted[0][row, 0]),
            "cosine_to_train": _rounded(closest.to_true[0][row, 0]),
        }
        samples.append(Sample(key, {"json": json_field(told)}))
    output.add_shards("scores", sorted(samples, key=lambda sample: sample.key), size=_SCORES_PER_SHARD)


def write_cases(
    images: Dataset, prompts: Dataset, model_cosines: Floats, held_out: HeldOut, closest: Closest,
    params: EvaluateParams, output: Writer,
) -> None:  # fmt: skip
    """Write the best and the worst predictions with their images and candidate prompts, in order of key."""
    order = np.argsort(-model_cosines, kind="stable").tolist()
    chosen = {"best": order[: params.num_cases], "worst": order[::-1][: params.num_cases]}
    rows = sorted({row for group in chosen.values() for row in group})
    candidates = prompts_numbered(prompts, closest.to_predicted[1][rows].ravel().tolist())
    samples = {held_out.keys[row]: row for row in rows}
    found = {samples[sample.key]: sample for sample in images.samples(SPLIT) if sample.key in samples}
    for group, ranked in chosen.items():
        cases = [_case(found[row], rank, row, model_cosines, closest, candidates) for rank, row in enumerate(ranked, 1)]
        output.add_shard(f"{group}-00000", sorted(cases, key=lambda case: case.key))


def _case(
    sample: Sample, rank: int, row: int, model_cosines: Floats, closest: Closest, candidates: dict[int, Sample]
) -> Sample:
    bank_cosines, numbers = (found[row].tolist() for found in closest.to_predicted)
    told = {
        "rank": rank,
        "cosine": _rounded(model_cosines[row]),
        "candidates": [
            {"prompt": candidates[number].text(), "cosine": _rounded(cosine)}
            for number, cosine in zip(numbers, bank_cosines, strict=True)
        ],
    }
    picture = shown(decode(image_in(sample), sample.key))
    return Sample(sample.key, {"txt": sample["txt"], "json": json_field(told), "png": picture})


def _rounded(number: float | np.floating[Any]) -> float:
    return round(float(number), _DECIMALS)
