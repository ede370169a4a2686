"""The filter's stage on a million made-up vectors: memory, time, and the same outcome after five kills.

    python -m benchmarks.filter_size [--vectors N] [--kills N] [--threads N]

A quarter of an hour and 8 GB of disk. The worker runs in processes of its own, as a controller starts it: once in
peace, and once killed at random times and started again. Memory is the worker's peak, with all libraries.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import memory_of, save
from jobs.catalog import stage_named
from jobs.collect.contract import CollectedOrigin
from jobs.dedup.contract import Deduplicated
from jobs.embed.contract import Embedded
from jobs.runtime.arrays import npy_field
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.task_description import TaskDescription
from jobs.shards.dataset import Committed, Dataset, Writer, load_manifest, publish_manifest
from jobs.shards.keys import key_of
from jobs.shards.local import LocalStore
from jobs.shards.records import Manifest, Outcome
from jobs.shards.tar import Sample

_PER_SHARD = 10_000
_COPIES = 0.4  # of the vectors, which are close to an earlier one
_LONGEST_SECONDS = 6 * 3600


@dataclass(frozen=True, slots=True)
class Ran:
    """How often the worker was started until it was done, its CPU seconds and its largest memory in bytes."""

    starts: int
    cpu_seconds: float
    peak: int


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        fewer = measure(Path(folder) / "fewer", options.vectors // 5, kills=0, threads=options.threads)
        found = measure(Path(folder) / "all", options.vectors, kills=options.kills, threads=options.threads)
    slope = (found["peak_mb"] - fewer["peak_mb"]) / (found["vectors"] - fewer["vectors"])
    memory = {
        "fewer": fewer,
        "bytes_a_vector": round(slope * 2**20),
        "gib_of_13_million_by_arithmetic": round((found["peak_mb"] + slope * (13e6 - found["vectors"])) / 1024, 1),
    }
    save("filter_size", {**found, **memory}, libraries=("torch", "numpy"))


def measure(folder: Path, count: int, *, kills: int, threads: int, per_unit: int = 100_000) -> dict[str, Any]:
    """Run the stage in peace, and with kills if there are to be any; raises ValueError where the outcome differs."""
    params = {"threads": threads, "prompts_per_unit": per_unit, "held_out": {"val": 0.01}}
    stores = {name: LocalStore(folder / name / "run") for name in ("peace", "kills")}
    make_embedded(stores["peace"], count)
    stores["kills"].root.mkdir(parents=True)
    (stores["kills"].root / "embed").symlink_to(folder / "peace" / "run" / "embed")  # reads the same
    peace = run_until_done(stores["peace"], params, kills=0)
    outcome = committed(stores["peace"], params)
    certificate = Deduplicated(dataset(stores["peace"], params)).certificate.value()
    return {
        "vectors": count,
        "threads": threads,
        "kept": certificate.kept,
        "kept_keys_sha256": certificate.kept_keys_sha256,
        "cpu_seconds": round(peace.cpu_seconds, 1),
        "peak_mb": round(peace.peak / 2**20),
        **(with_kills(stores["kills"], params, kills, peace.cpu_seconds / threads, outcome) if kills else {}),
    }


def with_kills(
    run: LocalStore, params: dict[str, Any], kills: int, within: float, outcome: list[tuple[str, str]]
) -> dict[str, Any]:
    """The same with kills; raises ValueError where the outcome is another one."""
    killed = run_until_done(run, params, kills=kills, within=within)
    if committed(run, params) != outcome:
        raise ValueError("after kills the outcome is another one")
    return {
        "kills": killed.starts - 1,
        "cpu_seconds_with_kills": round(killed.cpu_seconds, 1),
        "peak_mb_with_kills": round(killed.peak / 2**20),
        "same_outcome": True,
    }


def make_embedded(run: LocalStore, count: int) -> None:
    """Publish made-up vectors as embed's, of which two in five are close to an earlier one."""
    chance = np.random.default_rng(0)
    spread = np.geomspace(1, 0.05, 384).astype(np.float32)  # as of real prompts: few axes hold most of the length
    writer = Writer(run.at(Embedded.stage))
    pool = np.empty((0, 384), np.float32)
    for number, start in enumerate(range(0, count, _PER_SHARD)):
        size = min(_PER_SHARD, count - start)
        vectors = chance.standard_normal((size, 384), np.float32) * spread
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        if len(pool):
            copies = np.flatnonzero(chance.random(size) < _COPIES)
            vectors[copies] = pool[chance.integers(len(pool), size=len(copies))] + 0.4 * vectors[copies]
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        pool = np.concatenate([pool, vectors[::10]])
        samples = []
        for row, vector in enumerate(vectors, start + 1):
            text = f"prompt {row}, a painting"
            origin = CollectedOrigin(source="made", licence=None, file=None, row=row)
            fields = {"txt": text.encode(), "json": origin.encode(), "npy": npy_field(vector)}
            samples.append(Sample(key_of(text), fields))
        Embedded(writer).prompts.write_shard(f"made-{number:05d}", sorted(samples, key=lambda one: one.key))
    outcome = Outcome("made", "0" * 64, 2, {}, {}, tuple(writer.shards))
    publish_manifest(run.at(Embedded.stage), Manifest(Embedded.stage, (outcome,)))


def run_until_done(run: LocalStore, params: dict[str, Any], *, kills: int, within: float = 0.0) -> Ran:
    """Start the worker again and again until it ends by itself; it is killed so often, all within so many seconds."""
    chance, starts, seconds, peak = np.random.default_rng(0), 0, 0.0, 0
    while True:
        starts += 1
        worker = subprocess.Popen(
            [sys.executable, "-m", "jobs"],
            env={**os.environ, TASK_VARIABLE: description(run, params).to_variable()},
            stderr=subprocess.DEVNULL,
        )
        dies = time.monotonic() + (chance.uniform(0.2, 1) * within / kills if starts <= kills else _LONGEST_SECONDS)
        while True:
            ended, status, usage = os.wait4(worker.pid, os.WNOHANG)
            if ended:
                break
            peak = max(peak, memory_of(worker.pid).get("VmHWM", 0) * 1024)
            if time.monotonic() > dies:
                os.kill(worker.pid, signal.SIGKILL)
            time.sleep(0.05)
        worker.returncode = os.waitstatus_to_exitcode(status)
        seconds += usage.ru_utime + usage.ru_stime
        if worker.returncode == 0:
            return Ran(starts, seconds, peak)
        if worker.returncode != -signal.SIGKILL or starts > kills:
            raise RuntimeError(f"the worker ended with {worker.returncode}")


def description(run: LocalStore, params: dict[str, Any]) -> TaskDescription:
    """The task of the whole stage."""
    manifest = load_manifest(run.at(Embedded.stage))
    if manifest is None:
        raise RuntimeError("nothing is embedded")
    return TaskDescription(
        store=str(run.root.parent),
        run=run.root.name,
        stage=Deduplicated.stage,
        params=params,
        inputs={Embedded.stage: manifest.digest},
        completions=1,
    )


def committed(run: LocalStore, params: dict[str, Any]) -> list[tuple[str, str]]:
    """Every shard that was committed, with its digest."""
    return [(shard.name, shard.sha256) for shard in dataset(run, params).shards()]


def dataset(run: LocalStore, params: dict[str, Any]) -> Dataset:
    """What the stage has committed."""
    spec, manifest = stage_named(Deduplicated.stage), load_manifest(run.at(Embedded.stage))
    inputs = [Dataset(run.at(Embedded.stage), manifest)] if manifest else []
    found = Committed.of(run.at(spec.name))
    records = [found.record(unit.name, spec.fingerprint(unit)) for unit in spec.units_of(spec.params(**params), inputs)]
    return Dataset(run.at(spec.name), Manifest(spec.name, tuple(one.outcome for one in records if one)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
