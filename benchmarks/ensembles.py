"""What several networks together, several views and another size at test time gain;
`python -m benchmarks.ensembles [--store FOLDER]`

Half an hour the first time: it trains the demo's network three times more, with another seed, with pictures of 48
pixels a side in place of 64, and with crops of the pictures (`train.augment: light`), beside the finished demo of the
store (`i2p run --preset demo`), whose images they take over. Then two minutes.

- ensembles: weights are fitted on `val`, and the gain over the member that is the best one there is measured on `test`,
  normalised and not. `equal_weights` is what fitted ones are compared with, for vectors of either kind.
- views: two networks with other views and sizes than in training, on `val` and `test` together, against themselves
  seeing each picture once with 64 pixels. Nothing is fitted.
- resized_twice: the cosine of the 48 pixel network's vectors in an ensemble, where pictures are decoded at 64 pixels
  and made smaller, and alone; of drawings that were enlarged to 200 pixels before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import ROOT, save
from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.evaluate.stage import CHECKED, SPLIT
from jobs.generate_images.contract import GeneratedImages
from jobs.imaging.pixels import decode, image_in, pixels
from jobs.infer.ensembles import EnsembleModel, open_models
from jobs.infer.models import open_model
from jobs.regressor.ensemble import combine
from jobs.regressor.held_out_vectors import HeldOutVectors, decode_held_out
from jobs.regressor.intervals import paired_difference
from jobs.regressor.metric import cosines
from jobs.regressor.params import PredictParams
from jobs.regressor.predict import joined, predict
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.values import EnsembleGain, Viewing
from jobs.regressor.viewer import viewer_of
from jobs.runtime.arrays import vectors_of
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore

DEMO = "demo"
TRAINED: Mapping[str, Sequence[str]] = {
    "demo-seed1": ("train.seed=1",),
    "demo-48": ("train.image_size=48", "train.seed=2"),
    "demo-light": ("train.augment=light",),
}
ENSEMBLES = ("demo,demo-seed1", "demo,demo-48", "demo,demo-seed1,demo-48")
SHOWN = {
    "flip": Viewing(views="flip"),
    "crops": Viewing(views="crops"),
    "72 px": Viewing(image_size=72),
    "80 px": Viewing(image_size=80),
    "96 px": Viewing(image_size=96),
    "flip, 72 px": Viewing(views="flip", image_size=72),
}
PARAMS = PredictParams(threads=2)
ENLARGED = 200, 200
BICUBIC = Image.Resampling.BICUBIC

Floats = NDArray[np.float64]
Samples = Sequence[TypedSample[Origin]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", default=str(ROOT / "runs"), help="where the demo is, and the other runs go")
    parser.add_argument("--set", action="append", default=[], help="as of `i2p run`, where the demo was run with it")
    chosen = parser.parse_args()
    for name, settings in {DEMO: (), **TRAINED}.items():
        run(name, chosen.store, [*settings, *chosen.set])
    images = held_out_images(chosen.store)
    save(
        "ensembles",
        {
            "settings": chosen.set,  # beside the preset's
            "ensembles": {names: of_ensemble(names, chosen.store) for names in ENSEMBLES},
            "views": {name: of_views(images, name, chosen.store) for name in (DEMO, "demo-light")},
            "resized_twice": resized_twice(images, chosen.store),
        },
        libraries=("numpy", "timm", "torch"),
    )


def run(name: str, store: str, settings: Sequence[str]) -> None:
    """Make the run, as far as it is not there."""
    sets = [part for one in (f"store={store}", *settings) for part in ("--set", one)]
    command = [sys.executable, "-m", "pipeline", "run", "--preset", "demo", "--run", name, *sets]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def of_ensemble(names: str, store: str) -> dict[str, Any]:
    """The figures of an ensemble, as `i2p predict` gives them, and what equal weights would score."""
    model = open_models(names, store)
    assert isinstance(model, EnsembleModel)  # noqa: S101
    record = model.record
    checked = [kept(member.name, store)[CHECKED] for member in model.members]
    return {
        "images": record.images,
        "split": record.split,
        "scores": {member.model: member.score for member in record.members},
        "best": record.best,
        "normalised": gain(record.normalised),
        "not_normalised": gain(record.not_normalised),
        "normalised_minus_not": round(record.normalised.score - record.not_normalised.score, 6),
        "equal_weights": {
            "normalised": with_equal_weights(checked, [one.vectors for one in checked]),
            "not_normalised": with_equal_weights(checked, [one.vectors * one.lengths[:, None] for one in checked]),
        },
        "mean_lengths": {
            member.name: round(float(one.lengths.mean()), 3) for member, one in zip(model.members, checked, strict=True)
        },
        "spread_of_lengths": {
            member.name: round(float(one.lengths.std() / one.lengths.mean()), 3)
            for member, one in zip(model.members, checked, strict=True)
        },
    }


def with_equal_weights(members: Sequence[HeldOutVectors], vectors: Sequence[NDArray[np.float32]]) -> float:
    """The mean cosine of the vectors' mean."""
    equal, _ = combine(vectors, [1 / len(vectors)] * len(vectors))
    return round(float(cosines(equal, members[0].true).mean()), 6)


def gain(found: EnsembleGain) -> dict[str, Any]:
    return found.model_dump(mode="json")


def kept(name: str, store: str) -> dict[str, HeldOutVectors]:
    """What evaluate has kept of a run's predictions, by split."""
    sample = open_model(name, store).held_out()
    assert sample is not None  # noqa: S101
    return decode_held_out(sample["safetensors"], sample.value)


def held_out_images(store: str) -> Samples:
    """The demo's pictures that nothing was trained with."""
    home = LocalStore(Path(store) / DEMO).at(GeneratedImages.stage)
    manifest = load_manifest(home)
    assert manifest  # noqa: S101
    splits = GeneratedImages(Dataset(home, manifest)).splits
    return [sample for split in (SPLIT, CHECKED) for sample in splits[split].samples()]


def of_views(images: Samples, name: str, store: str) -> dict[str, Any]:
    """Of each way to show a picture: the score, and the difference to seeing it once with 64 pixels."""
    true = vectors_of(sample.raw for sample in images)
    plain = cosines(seen(images, name, store, Viewing()), true)
    figures: dict[str, Any] = {"images": len(images), "plain_score": round(float(plain.mean()), 6)}
    for way, viewing in SHOWN.items():
        found = cosines(seen(images, name, store, viewing), true)
        difference = paired_difference(plain, found)
        figures[way] = {
            "score": round(float(found.mean()), 6),
            "gain": round(float((found - plain).mean()), 6),
            "interval": [round(end, 6) for end in difference.interval or ()],
        }
    return figures


def seen(images: Samples, name: str, store: str, viewing: Viewing) -> NDArray[np.float32]:
    """The vectors of a run's network, which sees the pictures like this; float32 of shape (n, 384)."""
    viewer = viewer_of(load_regressor(open_model(name, store).network()), viewing)
    found = predict(viewer, images, lambda sample: (sample.key, image_in(sample.raw)), PARAMS)
    return joined([outputs for _, outputs in found]).vectors


def resized_twice(images: Samples, store: str) -> dict[str, float]:
    """Of the network that sees 48 pixels: mean and least cosine of its vectors in an ensemble and alone."""
    name = "demo-48"
    viewer = viewer_of(load_regressor(open_model(name, store).network()))
    enlarged = [decode(image_in(sample.raw), sample.key).resize(ENLARGED, BICUBIC) for sample in images]
    once = [pixels(image, viewer.image_size) for image in enlarged]
    twice = [pixels(Image.fromarray(pixels(image, 64)), viewer.image_size) for image in enlarged]
    found = cosines(*(viewer.outputs(some, PARAMS.precision).vectors for some in (once, twice)))
    return {"mean_cosine": round(float(found.mean()), 6), "least_cosine": round(float(found.min()), 6)}


if __name__ == "__main__":
    main()
