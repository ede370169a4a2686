"""Writes the kept prompts by split, every dropped prompt with its witness, and the certificate that says what holds."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from jobs.dedup.greedy import Decisions, Floats, greedy
from jobs.dedup.stage import DedupParams, splits
from jobs.errors import BadData
from jobs.runtime import log
from jobs.runtime.arrays import from_npy
from jobs.runtime.groups import CERTIFICATE, DROPPED
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.digests import sha256
from jobs.shards.keys import split_of
from jobs.shards.tar import Sample, json_field

ORDER = "source (as configured, generated last), then key"


def run(task: Task, params: DedupParams) -> None:
    """Filter all embedded prompts at once."""
    faiss.omp_set_num_threads(params.threads)
    (embedded,) = task.inputs
    for unit in task.pending():
        with task.writing(unit) as output:
            samples, vectors, names = in_order(embedded)
            decisions = greedy(vectors, params.threshold, told=_tell)
            write(samples, names, decisions, params, output)


def _tell(done: int, total: int) -> None:
    log.progress(done, total, "prompts")


def in_order(embedded: Dataset) -> tuple[list[Sample], Floats, list[str]]:
    """All samples in the total order, their vectors, float32 of shape (n, 384), and a name for each.

    The same prompt may come from several sources, so a name is the key with the shard it stood in.
    """
    priority: dict[str, int] = {}
    found: list[tuple[int, str, str, Sample]] = []
    for shard in embedded.shards():
        for sample in embedded.read(shard):
            rank = priority.setdefault(sample.json()["source"], len(priority))
            found.append((rank, sample.key, f"{sample.key}-{shard.name}", sample))
    if not found:
        raise BadData("there are no prompts to filter: give collect a source, or generate-prompts a number of prompts")
    found.sort(key=lambda one: one[:3])
    samples = [one[3] for one in found]
    return samples, np.stack([from_npy(sample["npy"]) for sample in samples]), [one[2] for one in found]


def write(samples: list[Sample], names: list[str], decisions: Decisions, params: DedupParams, output: Writer) -> None:
    """Write the splits, the dropped prompts and the certificate."""
    kept: dict[str, list[Sample]] = {split: [] for split in splits(params)}
    dropped = []
    for sample, name, witness, cosine in zip(samples, names, decisions.witness, decisions.cosine, strict=True):
        if witness < 0:
            kept[split_of(sample.key, params.held_out)].append(sample)
        else:
            verdict = {"witness": samples[witness].key, "cosine": round(float(cosine), 9)}
            dropped.append(Sample(name, {"txt": sample["txt"], "json": json_field({**sample.json(), **verdict})}))
    for split, members in kept.items():
        output.add_shards(split, members, size=params.prompts_per_shard)
    output.add_shards(DROPPED, sorted(dropped, key=lambda one: one.key), size=10 * params.prompts_per_shard)
    told = certificate(samples, decisions, params, {split: len(members) for split, members in kept.items()})
    output.add_shard(CERTIFICATE, [Sample(CERTIFICATE, {"json": json_field(told)})])
    output.stats.update(told)


def certificate(
    samples: list[Sample], decisions: Decisions, params: DedupParams, counts: dict[str, int]
) -> dict[str, Any]:
    """What holds of the kept set, and what it takes to check it."""
    kept_keys = [sample.key for sample, kept in zip(samples, decisions.kept, strict=True) if kept]
    return {
        "threshold": params.threshold,
        "order": ORDER,
        "prompts": len(samples),
        "kept": len(kept_keys),
        "dropped": len(samples) - len(kept_keys),
        "kept_keys_sha256": sha256("\n".join(sorted(kept_keys)).encode()),
        "held_out": params.held_out,
        "splits": counts,
    }
