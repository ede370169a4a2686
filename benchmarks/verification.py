"""How long verifying a million vectors takes on one core, and in how much memory; webdataset reads the same shards.

`python -m benchmarks.verification [--vectors N]` takes some five minutes and 8 GB of disk, and writes
benchmarks/results/verification.json. Verifying reads every byte of embed and dedup, compares sizes, digests, counts and
keys, decodes each sample's JSON, and computes the cosine of each dropped prompt to its witness in float64; webdataset
reads the samples of the same shards and checks nothing.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import webdataset

from benchmarks.common import save
from jobs.catalog import stage_named
from jobs.collect.contract import CollectCounts, Collected, CollectedOrigin
from jobs.contract.samples import DIMENSIONS
from jobs.dedup.contract import Certificate, Deduplicated, ShardDecisions, Verdict
from jobs.dedup.stage import DEDUP
from jobs.embed.contract import Embedded
from jobs.embed.stage import EMBED
from jobs.generate_prompts.contract import Generated
from jobs.runtime.arrays import npy_field
from jobs.runtime.checking import check
from jobs.runtime.spec import StageSpec, Unit
from jobs.runtime.task_description import TaskDescription
from jobs.shards.dataset import Dataset, Writer, commit, load_manifest, publish_manifest
from jobs.shards.digests import sha256
from jobs.shards.keys import key_of, split_of
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, Outcome
from jobs.shards.store import Store
from jobs.shards.tar import Sample

_PER_SHARD = 10_000
_DROPPED = 20  # every so many prompts is dropped for the one before it
_HELD_OUT = {"val": 0.01, "test": 0.01}
_COSINE = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    count = parser.parse_args().vectors
    with tempfile.TemporaryDirectory() as folder:
        run = LocalStore(Path(folder)).at("run")
        make_run(run, count)
        figures: dict[str, Any] = {"vectors": count}
        for spec in (EMBED, DEDUP):
            figures[spec.name] = measured(partial(verified, LocalStore(Path(folder)), spec))
            peer = measured(partial(read_by_webdataset, run, spec))
            figures[spec.name]["webdataset_reads_cpu_seconds"] = peer["cpu_seconds"]
        figures["peak_memory_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    save("verification", figures, libraries=("numpy", "webdataset", "pydantic"))


def measured(work: Callable[[], Any]) -> dict[str, Any]:
    """What the work returned, and the CPU and wall-clock seconds that it took."""
    cpu, wall = time.process_time(), time.monotonic()
    found = work()
    return {
        "found": found,
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "wall_seconds": round(time.monotonic() - wall, 1),
    }


def verified(store: Store, spec: StageSpec) -> dict[str, int]:
    """The counts of a check by one process."""
    names = (spec.name, *spec.inputs)
    digests = {name: manifest.digest for name in names if (manifest := load_manifest(store.at("run").at(name)))}
    task = TaskDescription(
        store="", run="run", stage=spec.name, action="check", params={}, inputs=digests, completions=1
    )
    return dict(check(spec, task, store, index=0))


def read_by_webdataset(run: Store, spec: StageSpec) -> int:
    """How many samples webdataset finds in the stage's shards."""
    paths = [f"{run.at(spec.name).url}/{shard.object}" for shard in published(run, spec.name).shards()]
    return sum(1 for _ in webdataset.WebDataset(paths, shardshuffle=False))


def make_run(run: Store, count: int) -> None:
    """Publish collect, generate-prompts, embed and dedup of a made-up run."""
    random = np.random.default_rng(0)
    kept: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    collected, embedded = Writer(run.at("collect")), Writer(run.at("embed"))
    deduplicated = Writer(run.at("dedup"))
    output, kept_keys = Deduplicated(deduplicated), list[str]()
    decisions = []
    for number, start in enumerate(range(0, count, _PER_SHARD)):
        name = f"made-{number:05d}"
        prompts = sorted(
            (key_of(text), text)
            for text in (f"prompt {row}, a painting" for row in range(start, min(count, start + _PER_SHARD)))
        )
        vectors = random.standard_normal((len(prompts), DIMENSIONS), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for row in range(1, len(prompts), _DROPPED):  # close to the one before
            vectors[row] = _COSINE * vectors[row - 1] + (1 - _COSINE**2) ** 0.5 * vectors[row]
            vectors[row] /= np.linalg.norm(vectors[row])
        samples = [
            Sample(key, {"txt": text.encode(), "json": _origin(row), "npy": npy_field(vectors[row])})
            for row, (key, text) in enumerate(prompts)
        ]
        Collected(collected).prompts.write_shard(
            name, [Sample(one.key, {"txt": one["txt"], "json": one["json"]}) for one in samples]
        )
        Embedded(embedded).prompts.write_shard(name, samples)
        dropped, kept_here = [], []
        for row, sample in enumerate(samples):
            if row % _DROPPED == 1:
                witness = vectors[row - 1].astype(float)
                cosine = float(vectors[row].astype(float) @ witness)
                cosine /= float(np.linalg.norm(vectors[row].astype(float)) * np.linalg.norm(witness))
                verdict = Verdict(source="made", row=row, witness=samples[row - 1].key, cosine=round(cosine, 9))
                dropped.append(output.dropped.sample(f"{sample.key}-{name}", verdict, txt=sample["txt"]))
            else:
                kept_here.append(sample.key)
                kept[split_of(sample.key, _HELD_OUT)].append(sample)
        output.dropped.write_shard(f"dropped-{number:05d}", dropped)
        counts = ShardDecisions(source="made", prompts=len(samples), kept=len(kept_here))
        decisions.append(output.decisions.sample(name, counts, keys="\n".join(kept_here).encode()))
        kept_keys += kept_here
    output.decisions.write_shard("decisions-00000", decisions)
    for split, members in kept.items():
        output.splits.write(split, sorted(members, key=lambda one: one.key), size=_PER_SHARD)
    certificate = Certificate(
        threshold=0.8,
        order="made up",
        prompts=count,
        kept=len(kept_keys),
        dropped=count - len(kept_keys),
        kept_keys_sha256=sha256("\n".join(sorted(kept_keys)).encode()),
        held_out=_HELD_OUT,
        splits={split: len(members) for split, members in kept.items()},
    )
    output.certificate.write(certificate)
    file_counts = CollectCounts(rows=count, kept=count, repeated=0, too_short=0, too_long=0, unreadable=0)
    Collected(collected).stats.write(file_counts)
    publish(run, Collected.stage, 1, [Unit("made", {}, {})], collected)
    publish(run, Generated.stage, 1, [], Writer(run.at(Generated.stage)))
    reads = {label: digest for name in EMBED.inputs for label, digest in published(run, name).reads().items()}
    publish(run, Embedded.stage, EMBED.version, [Unit("made", {}, reads)], embedded)
    reads = published(run, Embedded.stage).reads()
    publish(run, Deduplicated.stage, DEDUP.version, [Unit("kept", {}, reads)], deduplicated)


def published(run: Store, stage: str) -> Dataset:
    """What a stage of the run has published."""
    manifest = load_manifest(run.at(stage))
    return Dataset(run.at(stage), manifest or Manifest(stage, ()))


def publish(run: Store, stage: str, version: int, units: list[Unit], writer: Writer) -> None:
    """Commit what was written as that unit's, and publish the manifest."""
    spec = stage_named(stage)
    outcomes = [
        Outcome(
            unit.name, spec.fingerprint(unit), version, unit.settings, unit.reads, tuple(writer.shards), writer.stats
        )
        for unit in units
    ]
    for outcome in outcomes:
        commit(run.at(stage), CommitRecord(outcome, "benchmark", 0.0, time.time(), {}))
    publish_manifest(run.at(stage), Manifest(stage, tuple(outcomes)))


def _origin(row: int) -> bytes:
    return CollectedOrigin(source="made", licence="CC0-1.0", file="made.csv", row=row).encode()


if __name__ == "__main__":
    main()
