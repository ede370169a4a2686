"""`make clipart` from nothing, its scores, and what frozen features give instead; `python -m benchmarks.clipart_scores`

Five minutes and a download; an argument is a package of the pictures that was downloaded before. On the same held-out
pictures, each with the 95 % interval of what the fine-tuned network has more, picture by picture:

- constant: the mean vector of all training prompts
- head: the same preset with `train.trainable: head`, of as many steps
- ridge: the closed-form best of all linear heads on the frozen tower's features, its weight decay chosen by
  cross-validation on the training pairs
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from benchmarks.clipart import weights
from benchmarks.clipart.package import download, pictures_of_package
from benchmarks.clipart.pairs import METADATA, write_pairs
from benchmarks.common import ROOT, run_pipeline, save
from jobs.compare_images.contract import ComparedImages, Staying
from jobs.contract.reading import ReadGroup
from jobs.contract.samples import TRAIN, Origin
from jobs.evaluate.contract import Evaluated
from jobs.evaluate.stage import SPLIT, EvaluateParams
from jobs.generate_images.contract import GeneratedImages, ImageCounts
from jobs.imaging.pixels import image_in
from jobs.regressor.intervals import interval
from jobs.regressor.metric import cosines
from jobs.regressor.predict import predict
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.viewer import viewer_of
from jobs.runtime.arrays import vectors_of
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore
from jobs.train.contract import Trained

_TRACED = 20  # training pictures
_DECAYS = tuple(10.0**power for power in range(-3, 4))
_FOLDS = 5

_HEAD = ("run=head", "train.trainable=head", "stages=[train, evaluate]", "inputs={compare-images: clipart}")

Floats = NDArray[np.float64]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = Path(sys.argv[1]) if len(sys.argv) > 1 else download(folder / "package")
        started = time.monotonic()
        drawn = write_pairs(pictures_of_package(package), folder / "pairs", size=192, threads=os.cpu_count() or 1)
        pretrained = weights.convert(folder / "weights")
        before = time.monotonic() - started
        chosen = settings(folder, pretrained)
        fine_tuned = run_pipeline(*chosen)
        run_pipeline(*chosen, *(part for value in _HEAD for part in ("--set", value)))
        store = LocalStore(folder / "store")
        figures = {
            "seconds": {
                "all_but_the_download": round(before + fine_tuned["wall_seconds"], 1),
                "drawing": drawn.seconds,
                "run": fine_tuned["wall_seconds"],
                "stages": {stage: row["seconds"] for stage, row in fine_tuned["stages"].items()},
            },
            "pictures": {"drawn": drawn.written, "refused": drawn.refused, **pictures(store.at("clipart"))},
            "fine_tuned": fine_tuned["metrics"],
            "peers": peers(store),
            "traces": traces(store.at("clipart"), folder / "pairs", chosen),
        }
    save("clipart", figures, libraries=("torch", "timm", "open_clip_torch", "sentence-transformers"))


def settings(folder: Path, pretrained: Path) -> tuple[str, ...]:
    """The preset with everything in one folder."""
    values = {
        "store": folder / "store",
        "collect.sources.0.path": folder / "pairs",
        "train.pretrained": pretrained,
    }
    return ("--preset", "clipart", *(part for name, value in values.items() for part in ("--set", f"{name}={value}")))


def dataset(run: LocalStore, stage: str) -> Dataset:
    """What a stage of a run has published."""
    if manifest := load_manifest(run.at(stage)):
        return Dataset(run.at(stage), manifest)
    raise SystemExit(f"{stage} is not finished in {run.url}")


def pictures(run: LocalStore) -> dict[str, Any]:
    """How many prompts came in, how many pictures there are in each split, and how many of these were made."""
    images = dataset(run, "generate-images")
    splits = GeneratedImages(images).splits
    counts = [ImageCounts.model_validate(dict(outcome.stats)) for outcome in images.manifest.outcomes]
    total, given = sum(one.images for one in counts), sum(one.given for one in counts)
    collected = dataset(run, "collect").manifest.outcomes
    return {
        "collected": {name: sum(outcome.stats[name] for outcome in collected) for name in ("rows", "kept", "repeated")},
        "splits": {name: splits[name].num_samples for name in splits.names},
        "given": given,
        "made": total - given,
        "left_out": ComparedImages(dataset(run, "compare-images")).comparison.value().left_out,
    }


def peers(store: LocalStore) -> dict[str, Any]:
    """What each peer scores, and the interval of what the fine-tuned network has more."""
    ours = scores(store.at("clipart"))
    keys = list(ours)
    model = np.array([ours[key][0] for key in keys])
    constant = {key: ours[key][1] for key in keys}
    frozen, by_ridge = scores(store.at("head")), ridge_scores(store)
    results = {}
    for name, one in (("constant", constant), ("head", {key: frozen[key][0] for key in keys}), ("ridge", by_ridge)):
        other = np.array([one[key] for key in keys])
        low, high = interval(model - other, num_resamples=EvaluateParams().num_resamples, seed=0)
        results[name] = {"score": round(float(other.mean()), 4), "fine_tuned_has_more": [round(low, 4), round(high, 4)]}
    return results


def scores(run: LocalStore) -> Mapping[str, tuple[float, float]]:
    """By key of the held-out picture the cosines of the network and of the constant."""
    evaluated = Evaluated(dataset(run, "evaluate"))
    return {one.key: (one.value.cosine, one.value.constant) for one in evaluated.scores.samples()}


def ridge_scores(store: LocalStore) -> dict[str, float]:
    """By key of the held-out picture the cosine of ridge regression on the tower as it was before training."""
    images = GeneratedImages(dataset(store.at("clipart"), "generate-images"))
    compared = ComparedImages(dataset(store.at("clipart"), "compare-images"))
    model = Trained(dataset(store.at("head"), "train")).model.sample()
    _, features, vectors = read(Staying(images.splits[TRAIN], compared), model)
    keys, held_out, true = read(images.splits[SPLIT], model)
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    features, held_out = (features - mean) / spread, (held_out - mean) / spread
    decay = max(_DECAYS, key=lambda decay: np.mean(list(folds(features, vectors, decay * len(features)))))
    predicted = ridge(features, vectors, decay * len(features))(held_out)
    return dict(zip(keys, cosines(predicted, true).tolist(), strict=True))


def folds(features: Floats, vectors: Floats, decay: float) -> Iterator[float]:
    """The mean cosine of each fold, from what the others give."""
    fold = np.random.default_rng(0).integers(0, _FOLDS, len(features))
    for number in range(_FOLDS):
        inside = fold == number
        predicted = ridge(features[~inside], vectors[~inside], decay)(features[inside])
        yield float(cosines(predicted, vectors[inside]).mean())


def ridge(features: Floats, vectors: Floats, decay: float) -> Any:
    """The function from features to unit vectors that ridge regression finds."""
    mean, centre = features.mean(axis=0), vectors.mean(axis=0)
    x = features - mean
    weights_ = np.linalg.solve(x.T @ x + decay * np.eye(x.shape[1]), x.T @ (vectors - centre))

    def predicted(others: Floats) -> Floats:
        found = (others - mean) @ weights_ + centre
        unit: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit

    return predicted


def read(images: ReadGroup[Origin], model: Any) -> tuple[list[str], Floats, Floats]:
    """Keys, the frozen tower's features, and the prompts' vectors, of a split."""
    regressor = load_regressor(model)
    regressor.head = nn.Identity()
    viewer = viewer_of(regressor)
    keys: list[str] = []
    features, vectors = [], []
    for batch, found in predict(
        viewer, images.samples(), lambda sample: (sample.key, image_in(sample.raw)), EvaluateParams(threads=2)
    ):
        keys += [sample.key for sample in batch]
        features.append(found.vectors)
        vectors.append(vectors_of(sample.raw for sample in batch))
    return keys, np.concatenate(features).astype(np.float64), np.concatenate(vectors).astype(np.float64)


def traces(run: LocalStore, pairs: Path, chosen: tuple[str, ...]) -> dict[str, Any]:
    """Training pictures traced back to their rows, and how long one question takes; raises where one is not found."""
    rows = [json.loads(line) for line in (pairs / METADATA).read_text().splitlines()]
    images = GeneratedImages(dataset(run, "generate-images")).splits[TRAIN]
    keys = [sample.key for sample in images.samples()]
    seconds, found = [], 0
    for key in keys[:: max(1, len(keys) // _TRACED)][:_TRACED]:
        started = time.monotonic()
        command = [sys.executable, "-m", "pipeline", "trace", key, *chosen, "--json"]
        answer = json.loads(subprocess.check_output(command, cwd=ROOT))["stages"]
        seconds.append(time.monotonic() - started)
        collected = answer["collect"]
        row = rows[collected["row"] - 1]
        found += collected["file"] == METADATA and row["file_name"] == answer["generate-images"]["given"]["name"]
    return {"asked": len(seconds), "at_their_row": found, "seconds_of_one": round(float(np.median(seconds)), 2)}


if __name__ == "__main__":
    main()
