"""The closest prompts of 64 images among a million, on one core; `python -m benchmarks.closest [--vectors N]`

Three minutes and 7 GB of memory. CPU seconds of one thread, for the same vectors and the same answers:

- infer: one batch of 64 predictions in its index; coding the index, once for each worker, is noted beside it
- evaluate: the 64 predictions and the 64 prompts that they should have been, with a million vectors that are only read
- the way that both had before, for either: FAISS `knn` finds some candidates more than are asked for in each block, and
  their products are computed again in float64
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.common import save
from benchmarks.prompt_vectors import Floats, real_vectors
from jobs.evaluate.stage import EvaluateParams
from jobs.similarity.closest import closest, closest_in, index_of
from jobs.similarity.exact import Rows

IMAGES, PER_SHARD, SPARE, TRIES = 64, 10_000, 8, 5
COUNT = EvaluateParams().num_candidates

T = TypeVar("T")
Found = tuple[Floats, Rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    threadpool_limits(1)
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    blocks, true, predicted = made_up(parser.parse_args().vectors)
    index, coding = timed(lambda: index_of(blocks), tries=1)
    both = np.concatenate([true, predicted])
    figures = {
        "vectors": sum(map(len, blocks)),
        "images": IMAGES,
        "candidates": COUNT,
        "infer": {
            **compared(lambda: closest_in(index, predicted, COUNT), lambda: by_faiss(blocks, predicted, COUNT)),
            "coding_once": round(coding, 2),
        },
        "evaluate": compared(lambda: closest(blocks, both, COUNT), lambda: by_faiss(blocks, both, COUNT)),
    }
    save("closest", figures, libraries=("faiss-cpu", "torch", "numpy"))


def compared(ours: Callable[[], Found], peer: Callable[[], Found]) -> dict[str, object]:
    """CPU seconds of both, and whether they find the same."""
    found, seconds = timed(ours)
    expected, peer_seconds = timed(peer)
    return {
        "seconds": round(seconds, 2),
        "peer_seconds": round(peer_seconds, 2),
        "share": round(seconds / peer_seconds, 2),
        "same_answers": np.array_equal(found[0], expected[0]) and np.array_equal(found[1], expected[1]),
        "mean_cosine_of_the_closest": round(float(found[0][:, 0].mean()), 3),
    }


def timed(function: Callable[[], T], tries: int = TRIES) -> tuple[T, float]:
    """What it returns, and the median of its CPU seconds."""
    seconds = []
    for _ in range(tries):
        started = time.process_time()
        found = function()
        seconds.append(time.process_time() - started)
    return found, float(np.median(seconds))


def made_up(count: int) -> tuple[list[Floats], Floats, Floats]:
    """So many vectors in blocks, and of some images the prompts' and the predicted ones.

    Each is a real prompt's vector moved towards another one's, so that spectrum and cosines are those of prompts that
    the filter kept; predictions are moved further, to a cosine of about 0.7 with the prompt's.
    """
    random = np.random.default_rng(0)
    real = real_vectors()

    def moved(vectors: Floats, least: float, most: float) -> Floats:
        towards = real[random.integers(len(real), size=len(vectors))]
        found: Floats = vectors + random.uniform(least, most, (len(vectors), 1)).astype(np.float32) * towards
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    sizes = [min(PER_SHARD, count - start) for start in range(0, count, PER_SHARD)]
    blocks = [moved(real[random.integers(len(real), size=size)], 0.6, 1.0) for size in sizes]
    true = moved(real[random.integers(len(real), size=IMAGES)], 0.6, 1.0)
    return blocks, true, moved(true, 1.0, 1.4)


def by_faiss(blocks: list[Floats], queries: Floats, count: int) -> Found:
    """The `count` closest rows of all blocks; cosines are float32 rounded from float64."""
    best, ids, start = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64), 0
    for block in blocks:
        _, rows = faiss.knn(queries, block, min(count + SPARE, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        products = np.einsum("nd,nkd->nk", queries.astype(np.float64), block[rows].astype(np.float64))
        best, ids = np.hstack([best, products.astype(np.float32)]), np.hstack([ids, rows + start])
        order = np.lexsort((ids, -best), axis=-1)[:, :count]
        best, ids = np.take_along_axis(best, order, 1), np.take_along_axis(ids, order, 1)
        start += len(block)
    return best, ids


if __name__ == "__main__":
    main()
