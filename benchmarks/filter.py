"""The near-duplicate filter beside its peers, on real and on made-up vectors; `python -m benchmarks.filter`

Half an hour. Each way runs in a process of its own on the same vectors, in CPU seconds of one thread, with its peak
memory beside what loading takes:

- FAISS IndexFlatIP, the 100 nearest of every vector, then greedy in Python (the usual recipe)
- FAISS range_search, then greedy in Python
- FAISS HNSW, the 100 nearest it finds, then greedy in Python
- semhash, with these vectors in the place of its model
- the rule of the project's seed, which drops both of every close pair

`--vectors N --threads 1 --json` measures the filter and the first of these on N real vectors alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, memory_of, save
from benchmarks.prompt_vectors import clustered_vectors, real_vectors

THRESHOLD, NEIGHBOURS = 0.8, 100
SIZES = (10_000, 50_000, 100_000)
_PEER = "FAISS top-100 and greedy in Python"

Floats = NDArray[np.float32]
Kept = NDArray[np.bool_]


def main() -> None:
    options = _options()
    if options.way:
        print(json.dumps(measure(options.way, options.data, options.vectors, options.threads)))
    elif options.vectors:
        print(json.dumps(compared(options.vectors, options.threads), indent=None if options.json else 2))
    else:
        real_vectors()  # embedded once, if they are not yet
        save("filter", every(), libraries=("faiss-cpu", "semhash", "torch", "numpy"))


def compared(count: int, threads: int) -> dict[str, Any]:
    """The filter and the usual recipe on real vectors."""
    ours, peer = (in_a_process(way, "real", count, threads) for way in ("ours", _PEER))
    return {
        "vectors": ours["vectors"],
        "seconds": ours["seconds"],
        "peer_seconds": peer["seconds"],
        "ratio": round(peer["seconds"] / ours["seconds"], 1),
        "same_kept": ours["kept_sha256"] == peer["kept_sha256"],
        "peak_mb": ours["peak_mb"],
        "path": ours["path"],
        "gflops": ours["gflops"],
        "gflops_possible": ours["gflops_possible"],
    }


def every() -> dict[str, Any]:
    """All ways on all sizes, and what larger ones would take at the rate of the largest."""
    found: dict[str, Any] = {}
    for data in ("real", "clustered"):
        for count in SIZES:
            ways = [way for way in WAYS if count <= 50_000 or way in ("ours", _PEER)]
            measured = {way: in_a_process(way, data, count, 1) for way in ways}
            found[f"{data} {measured['ours']['vectors']:,}"] = measured
    largest = max((one["ours"] for name, one in found.items() if name.startswith("real")), key=lambda one: one["pairs"])
    return {"threshold": THRESHOLD, "threads": 1, **found, "by_arithmetic": by_arithmetic(largest)}


def by_arithmetic(ours: Mapping[str, Any]) -> dict[str, Any]:
    """What more vectors take at the measured rate of pairs, where as many are kept of them; and on one H200 where its
    matrix units reach half of their 800 TFLOP/s in float16, which was not measured.
    """
    pairs_a_second = ours["pairs"] / ours["seconds"]
    kept = ours["kept"] / ours["vectors"]
    found = {}
    for count in (3_300_000, 10_000_000):
        pairs = kept * count**2 / 2
        found[f"{count:,}"] = {
            "hours_of_one_core": round(pairs / pairs_a_second / 3600, 2),
            "h200_seconds_not_measured": round(pairs * 2 * 128 / 400e12, 1),
        }
    return found


def in_a_process(way: str, data: str, count: int, threads: int) -> dict[str, Any]:
    """What one way takes, in a process that does nothing else."""
    arguments = ["--way", way, "--data", data, "--vectors", str(count), "--threads", str(threads)]
    environment = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    command = ["env", *(f"{name}={value}" for name, value in environment.items()), sys.executable]
    print(f"{way}, {count:,} {data} vectors", file=sys.stderr, flush=True)
    done = subprocess.run(
        [*command, "-m", "benchmarks.filter", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(way: str, data: str, count: int, threads: int) -> dict[str, Any]:
    """One way's CPU seconds, peak memory, and what is wrong with what it keeps."""
    vectors = (real_vectors if data == "real" else clustered_vectors)()[:count]
    run = WAYS[way](vectors, threads)  # imports what it needs
    before = memory_now()
    started = time.process_time()
    kept = run()
    seconds = time.process_time() - started
    peak = memory_of("self")["VmHWM"]
    rows = np.flatnonzero(kept)
    return {
        "vectors": len(vectors),
        "seconds": round(seconds, 2),
        "peak_mb": round((peak - before) / 1024),
        "kept": len(rows),
        "kept_sha256": _digest(rows),
        **defects(vectors, kept),
        **(rates(vectors, kept, seconds, threads) if way == "ours" else {}),
    }


def memory_now() -> int:
    """KB that this process has; its peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory_of("self")["VmRSS"]


def rates(vectors: Floats, kept: Kept, seconds: float, threads: int) -> dict[str, Any]:
    """Which screen ran, the pairs that had to be compared, and what share of the matrix rate here that is."""
    import torch

    from jobs.similarity.coded import fitted_screen

    screen = fitted_screen(vectors, THRESHOLD)
    pairs = int((np.cumsum(kept) - kept.astype(int)).sum())
    torch.set_num_threads(threads)
    codes = screen.encode(vectors[:1024], np.ones(1024, np.float32)).values
    out = torch.empty((1024, 1024), dtype=screen.product_dtype)
    tries = []
    for _ in range(20):
        started = time.perf_counter()
        screen.multiply(codes, codes, out)
        tries.append(time.perf_counter() - started)
    possible = 2 * 1024**2 * screen.width / min(tries) / 1e9
    reached = 2 * pairs * screen.width / seconds / 1e9
    path = f"{screen.name}, {screen.width} numbers a vector"
    return {"path": path, "pairs": pairs, "gflops": round(reached), "gflops_possible": round(possible)}


def defects(vectors: Floats, kept: Kept) -> dict[str, int]:
    """Pairs of kept prompts at the threshold or above, and dropped prompts with no prompt kept before them that close;
    by brute force in float32, whose rounding is left out.
    """
    known, rows = vectors[kept], np.flatnonzero(kept)
    left = wrong = 0
    for start in range(0, len(vectors), 1024):
        own = np.arange(start, min(start + 1024, len(vectors)))
        cosines, earlier = vectors[own] @ known.T, rows < own[:, None]
        left += int(((cosines > THRESHOLD + 1e-6) & earlier)[kept[own]].sum())
        wrong += int((~((cosines >= THRESHOLD - 1e-6) & earlier)[~kept[own]].any(axis=1)).sum())
    return {"close_pairs_left": left, "wrongly_dropped": wrong}


def ours(vectors: Floats, threads: int) -> Callable[[], Kept]:
    """The filter."""
    from jobs.dedup.greedy import greedy

    return lambda: greedy(vectors, THRESHOLD, threads=threads).kept


def top_neighbours(vectors: Floats, threads: int) -> Callable[[], Kept]:
    """The 100 nearest of every vector, then each is kept unless a kept one before it is among them."""
    faiss = _faiss(threads)
    return lambda: _greedy_over_neighbours(faiss.IndexFlatIP(vectors.shape[1]), vectors)


def hnsw(vectors: Floats, threads: int) -> Callable[[], Kept]:
    """The same with an approximate index of 32 links, searched and built with 64 candidates."""
    faiss = _faiss(threads)

    def run() -> Kept:
        index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = index.hnsw.efSearch = 64
        return _greedy_over_neighbours(index, vectors)

    return run


def range_search(vectors: Floats, threads: int) -> Callable[[], Kept]:
    """All neighbours at the threshold or above, then the same."""
    faiss = _faiss(threads)

    def run() -> Kept:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        kept = np.zeros(len(vectors), bool)
        for start in range(0, len(vectors), 4096):
            limits, _, ids = index.range_search(vectors[start : start + 4096], THRESHOLD)
            for number in range(len(limits) - 1):
                row, close = start + number, ids[limits[number] : limits[number + 1]]
                kept[row] = not kept[close[close < row]].any()
        return kept

    return run


def semhash(vectors: Floats, threads: int) -> Callable[[], Kept]:
    """semhash as it is, but for its model: it gets these vectors."""
    from semhash import SemHash

    class Known:
        """Looks a record's vector up."""

        def encode(self, inputs: Any, **_: Any) -> Floats:
            return vectors[[int(record) for record in inputs]]

    def run() -> Kept:
        records = [str(row) for row in range(len(vectors))]
        result = SemHash.from_records(records, model=Known()).self_deduplicate(threshold=THRESHOLD)
        kept = np.zeros(len(vectors), bool)
        kept[[int(record) for record in result.selected]] = True
        return kept

    return run


def drop_both(vectors: Floats, threads: int) -> Callable[[], Kept]:
    """A vector stays if no other is close to it."""
    faiss = _faiss(threads)

    def run() -> Kept:
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        second: Floats = index.search(vectors, 2)[0][:, 1]
        return second < THRESHOLD

    return run


WAYS: dict[str, Callable[[Floats, int], Callable[[], Kept]]] = {
    "ours": ours,
    _PEER: top_neighbours,
    "FAISS range_search and greedy in Python": range_search,
    "FAISS HNSW and greedy in Python": hnsw,
    "semhash": semhash,
    "drop both of every close pair": drop_both,
}


def _greedy_over_neighbours(index: Any, vectors: Floats) -> Kept:
    index.add(vectors)
    kept = np.zeros(len(vectors), bool)
    for start in range(0, len(vectors), 4096):
        scores, ids = index.search(vectors[start : start + 4096], NEIGHBOURS)
        for number in range(len(ids)):
            row, close = start + number, ids[number][scores[number] >= THRESHOLD]
            kept[row] = not kept[close[close < row]].any()
    return kept


def _faiss(threads: int) -> Any:
    import faiss

    faiss.omp_set_num_threads(threads)
    return faiss


def _digest(rows: NDArray[np.int64]) -> str:
    from jobs.shards.digests import sha256

    return sha256(rows.tobytes())[:16]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vectors", type=int, help="compare the filter with the usual recipe on so many real vectors")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="answer in one line")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--data", choices=("real", "clustered"), default="real", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
