"""What is expected and what is abstained, by the old rule and the new; `python -m benchmarks.confidence [STORE]`

`STORE` is a folder with a finished run of `make demo`, without it the demo is run: under a quarter of an hour. Two
minutes more for the pictures that are unlike its drawings (see foreign_pictures.py), two downloads of 40 MB. Of each
family:

- auroc: how often such a picture has a less trustworthy signal than a held-out drawing, by each of two signals
- abstained: the share by the new rule, and what the closest prompt alone would give at the same error rate
- expected_before: the mean cosine that was expected by the old rule, which knew the closest prompt alone, was flat
  beyond its knots and never abstained

The families whose names end in `tuned` and the competition's seven images were looked at while the rule was made; the
others were not. Altered drawings show where the rule ends: what looks like another drawing is taken for one.
"""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.clipart.package import download
from benchmarks.common import DATA, run_pipeline, save
from benchmarks.foreign_pictures import ALTERED, altered, clip_art, noise, photographs, wheel
from jobs.contract.samples import DIMENSIONS, TRAIN
from jobs.dedup.contract import Deduplicated
from jobs.evaluate.contract import Evaluated
from jobs.evaluate.stage import CHECKED, SPLIT
from jobs.generate_images.contract import GeneratedImages
from jobs.imaging.pixels import decode, image_in
from jobs.regressor.confidence import Judgement, judged
from jobs.regressor.conformal import upper_limit
from jobs.regressor.feature_statistics import FeatureStatistics
from jobs.regressor.metric import cosines
from jobs.regressor.params import PredictParams
from jobs.regressor.predict import Outputs, joined, predict
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.signals import Signals, signals
from jobs.regressor.values import Confidence
from jobs.regressor.viewer import Viewer, viewer_of
from jobs.runtime.arrays import vectors_of
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore
from jobs.train.contract import Trained

Floats = NDArray[np.float64]
Pictures = Iterable[tuple[str, Image.Image]]

NUM_PHOTOS, NUM_NOISE, NUM_CLIP_ART = 600, 600, 300
_OLD_BINS = 32
_BINS = 10  # of the calibration error


@dataclass(frozen=True, slots=True)
class Model:
    """A finished run's network and what it knows."""

    viewer: Viewer
    prompts: NDArray[np.float32]  # unit vectors, of shape (n, 384)
    confidence: Confidence
    statistics: FeatureStatistics


@dataclass(frozen=True, slots=True)
class OldRule:
    """From the closest cosine alone: knots, flat beyond them."""

    closest: list[float]
    expected: list[float]

    def at(self, closest: Floats) -> Floats:
        values: Floats = np.interp(closest, self.closest, self.expected)
        return values


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = Path(sys.argv[1]) if len(sys.argv) > 1 else folder / "store"
        if len(sys.argv) < 2:
            run_pipeline("--preset", "demo", "--set", f"store={store}")
        figures = measure(LocalStore(store).at("demo"), folder)
    save("confidence", figures, libraries=("torch", "timm", "scikit-learn"))


def measure(run: LocalStore, folder: Path) -> dict[str, Any]:
    """All figures of a run."""
    model, images = load(run), GeneratedImages(dataset(run, "generate-images")).splits
    found: dict[str, Signals] = {}
    true: dict[str, Floats] = {}
    drawings: list[tuple[str, Image.Image]] = []
    vectors = np.empty((0, DIMENSIONS), np.float32)
    for split in (SPLIT, CHECKED):
        samples = list(images[split].samples())
        pictures = [(sample.key, decode(image_in(sample.raw), sample.key)) for sample in samples]
        outputs = outputs_of(model, pictures)
        found[split] = signals_of(model, outputs)
        vectors = np.concatenate([vectors, vectors_of(sample.raw for sample in samples)])
        true[split] = cosines(outputs.vectors, vectors[-len(samples) :])
        drawings += pictures
    before = old_rule(found[SPLIT].closest_cosine, true[SPLIT])
    both = tuple(found.values())
    held_out = Signals(
        np.concatenate([one.closest_cosine for one in both]),
        np.concatenate([one.feature_distance for one in both]),
        np.concatenate([one.detail for one in both]),
    )
    return {
        "promised_error_rate": model.confidence.promised_error_rate,
        "held_out": {split: of_drawings(model, before, found[split], true[split]) for split in found},
        "foreign": {
            name: of_foreign(model, before, found[SPLIT], held_out, signals_of(model, outputs_of(model, pictures)))
            for name, pictures in families(folder)
        },
        "altered_drawings": {
            way: of_altered(model, before, found[SPLIT], held_out, outputs_of(model, altered(drawings, way)), vectors)
            for way in ALTERED
        },
        "competition_sample": of_competition(model, before),
    }


def families(folder: Path) -> Iterator[tuple[str, Pictures]]:
    """Pictures that nobody should expect anything of."""
    archive, package = wheel(folder / "wheel"), download(folder / "package")
    for name, tuned in (("", False), ("_tuned", True)):
        yield f"photographs{name}", photographs(archive, NUM_PHOTOS, tuned=tuned)
        yield f"noise{name}", noise(NUM_NOISE, tuned=tuned)
        yield f"clip_art{name}", clip_art(package, NUM_CLIP_ART, tuned=tuned)


def load(run: LocalStore) -> Model:
    """The network of a run with what evaluate left."""
    prompts = Deduplicated(dataset(run, "dedup")).splits[TRAIN]
    confidence = Evaluated(dataset(run, "evaluate")).confidence.sample()
    return Model(
        viewer_of(load_regressor(Trained(dataset(run, "train")).model.sample()), confidence.value.viewing),
        vectors_of(sample.raw for sample in prompts.samples()),
        confidence.value,
        FeatureStatistics.decode(confidence["safetensors"]),
    )


def dataset(run: LocalStore, stage: str) -> Dataset:
    """What a stage of a run has published."""
    if manifest := load_manifest(run.at(stage)):
        return Dataset(run.at(stage), manifest)
    raise SystemExit(f"{stage} is not finished in {run.url}")


def outputs_of(model: Model, pictures: Pictures) -> Outputs:
    """What the network gives for pictures, which go through files as they would to infer."""

    def data(item: tuple[str, Image.Image]) -> tuple[str, bytes]:
        file = io.BytesIO()
        item[1].save(file, "PNG")
        return item[0], file.getvalue()

    return joined([outputs for _, outputs in predict(model.viewer, pictures, data, PredictParams(threads=2))])


def signals_of(model: Model, outputs: Outputs) -> Signals:
    """Their signals."""
    return signals(outputs, (outputs.vectors @ model.prompts.T).max(axis=1), model.statistics)


def old_rule(closest: Floats, true: Floats) -> OldRule:
    """As it was fitted before: means of quantile bins, made monotone by pooling adjacent violators."""
    blocks: list[tuple[float, float, int]] = []
    for part in np.array_split(np.argsort(closest, kind="stable"), _OLD_BINS):
        blocks.append((float(closest[part].mean()), float(true[part].mean()), len(part)))
        while len(blocks) > 1 and blocks[-2][1] >= blocks[-1][1]:
            (x1, y1, n1), (x2, y2, n2) = blocks[-2:]
            n = n1 + n2
            blocks[-2:] = [((x1 * n1 + x2 * n2) / n, (y1 * n1 + y2 * n2) / n, n)]
    return OldRule([block[0] for block in blocks], [block[1] for block in blocks])


def of_drawings(model: Model, before: OldRule, found: Signals, true: Floats) -> dict[str, Any]:
    """Of a split of held-out drawings."""
    kept = [one.expected is not None for one in judged(model.confidence, found)]
    expected = np.array([one.expected for one in judged(model.confidence, found) if one.expected is not None])
    return {
        "images": len(true),
        "abstained": len(true) - sum(kept),
        "new": agreement(expected, true[np.array(kept)]),
        "old": agreement(before.at(found.closest_cosine), true),
    }


def agreement(expected: Floats, true: Floats) -> dict[str, float]:
    """How expected and true cosines agree: on average, in bins, and in their order."""
    parts = np.array_split(np.argsort(expected, kind="stable"), _BINS)
    return {
        "mean_expected": round(float(expected.mean()), 4),
        "mean_true": round(float(true.mean()), 4),
        "calibration_error": round(
            sum(len(part) * abs(float((expected - true)[part].mean())) for part in parts) / len(true), 4
        ),
        "correlation": round(float(np.corrcoef(expected, true)[0, 1]), 3),
    }


def of_foreign(model: Model, before: OldRule, val: Signals, held_out: Signals, found: Signals) -> dict[str, Any]:
    """Of a family of pictures that are unlike the drawings."""
    verdicts = list(judged(model.confidence, found))
    limit, _ = upper_limit(-val.closest_cosine, model.confidence.error_rate)
    return {
        "pictures": len(verdicts),
        "auroc": {
            "closest_cosine": auroc(-held_out.closest_cosine, -found.closest_cosine),
            "feature_distance": auroc(held_out.feature_distance, found.feature_distance),
        },
        "abstained": {
            "new": round(float(np.mean([one.abstained is not None for one in verdicts])), 4),
            "closest_prompt_alone": round(float(np.mean(-found.closest_cosine > limit)), 4),
        },
        "expected_before": round(float(before.at(found.closest_cosine).mean()), 4),
    }


def of_altered(
    model: Model, before: OldRule, val: Signals, held_out: Signals, outputs: Outputs, vectors: NDArray[np.float32]
) -> dict[str, Any]:
    """Of drawings altered in one way, with what is expected of those that are not abstained, and what they score."""
    found = signals_of(model, outputs)
    expected = [one.expected for one in judged(model.confidence, found)]
    kept, true = np.array([one is not None for one in expected]), cosines(outputs.vectors, vectors)
    means = {
        "mean_expected": round(float(np.mean([one for one in expected if one is not None])), 4) if kept.any() else None,
        "mean_true": round(float(true[kept].mean()), 4) if kept.any() else None,
    }
    return {**of_foreign(model, before, val, held_out, found), "not_abstained": {"pictures": int(kept.sum()), **means}}


def auroc(inside: Floats, outside: Floats) -> float:
    """How often one outside is above one inside; equal ones count half."""
    ordered = np.sort(inside)
    below = np.searchsorted(ordered, outside, "left") + np.searchsorted(ordered, outside, "right")
    return round(float(below.mean() / 2 / len(inside)), 4)


def of_competition(model: Model, before: OldRule) -> list[dict[str, Any]] | None:
    """Of the seven real images of the competition, whose true vectors are known; None where they are not here."""
    folder = DATA / "competition_sample"
    if not folder.is_dir():
        return None
    true: dict[str, list[float]] = {}
    for row in csv.DictReader((folder / "sample_submission.csv").read_text().splitlines()):
        true.setdefault(row["imgId_eId"].rpartition("_")[0], []).append(float(row["val"]))
    outputs = outputs_of(model, [(id_, Image.open(folder / "images" / f"{id_}.png").convert("RGB")) for id_ in true])
    found = signals_of(model, outputs)
    rows: Iterator[tuple[str, Judgement, float, float]] = zip(
        true,
        judged(model.confidence, found),
        before.at(found.closest_cosine).tolist(),
        cosines(outputs.vectors, list(true.values())).tolist(),
        strict=True,
    )
    return [
        {
            "id": id_,
            "true": round(cosine, 3),
            "expected_before": round(old, 3),
            "expected": one.expected,
            "abstained": one.abstained,
        }
        for id_, one, old, cosine in rows
    ]


if __name__ == "__main__":
    main()
