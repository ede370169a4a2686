"""The whole graph over 79,000 real prompts, and its filter beside its peers; `python -m benchmarks.real_prompts`

Ten minutes. The peers see the same vectors in the same order: FAISS's usual recipe (the 100 nearest of each, then
greedy in Python), and the rule of the project's seed, which drops both members of every close pair.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from benchmarks.common import DATA, ROOT, run_pipeline, save
from jobs.dedup.greedy import greedy
from jobs.dedup.worker import in_order
from jobs.embed.contract import Embedded
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore

THRESHOLD, THREADS, NEIGHBOURS = 0.8, 2, 100


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"needs the real prompts in {DATA}")
    figures = run_pipeline("--preset", "benchmarks/real_prompts.yaml")
    save(
        "real_prompts",
        {**figures, "filter": compare_filters()},
        libraries=("faiss-cpu", "sentence-transformers", "torch"),
    )


def compare_filters() -> dict[str, Any]:
    """The filter and its peers on the run's own vectors."""
    store = LocalStore(ROOT / "runs" / "real-prompts" / "embed")
    manifest = load_manifest(store)
    if manifest is None:
        sys.exit("the run left no embedded prompts")
    _, vectors, _ = in_order(Embedded(Dataset(store, manifest)))
    faiss.omp_set_num_threads(THREADS)
    ways: dict[str, Callable[[], np.ndarray]] = {
        "ours": lambda: greedy(vectors, THRESHOLD).kept,
        "faiss top-100 and greedy in Python": lambda: top_neighbours(vectors),
        "drop both of every close pair": lambda: drop_both(vectors),
    }
    noted = {}
    for name, way in ways.items():
        started = time.monotonic()
        kept = way()
        seconds = time.monotonic() - started
        noted[name] = {"seconds": round(seconds, 1), "kept": int(kept.sum()), **defects(vectors, kept)}
    return {"prompts": len(vectors), "threshold": THRESHOLD, "threads": THREADS, **noted}


def top_neighbours(vectors: np.ndarray) -> np.ndarray:
    """The usual recipe: the 100 nearest of every prompt, then each is kept unless a kept one is among them."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, ids = index.search(vectors, NEIGHBOURS)
    kept = np.zeros(len(vectors), dtype=bool)
    for row in range(len(vectors)):
        close = ids[row][scores[row] >= THRESHOLD]
        kept[row] = not kept[close[close < row]].any()
    return kept


def drop_both(vectors: np.ndarray) -> np.ndarray:
    """The rule of the project's seed: a prompt stays if no other is close to it."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    scores, _ = index.search(vectors, 2)
    return scores[:, 1] < THRESHOLD


def defects(vectors: np.ndarray, kept: np.ndarray) -> dict[str, int]:
    """Pairs of kept prompts at the threshold or above, and dropped prompts with no kept prompt that close."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors[kept])
    _, scores, _ = index.range_search(vectors[kept], THRESHOLD + 1e-6)
    nearest, _ = index.search(vectors[~kept], 1)
    return {
        "close_pairs_left": (len(scores) - int(kept.sum())) // 2,
        "dropped_without_a_kept_witness": int((nearest[:, 0] < THRESHOLD - 1e-6).sum()),
    }


if __name__ == "__main__":
    main()
