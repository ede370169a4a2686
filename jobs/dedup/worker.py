"""Writes the kept prompts by split, every dropped prompt with its witness, and the certificate that says what holds."""

from __future__ import annotations

import faiss
import numpy as np

from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.dedup.contract import Certificate, DedupInputs, Deduplicated, Verdict
from jobs.dedup.greedy import Decisions, Floats, greedy
from jobs.dedup.stage import DedupParams, splits
from jobs.embed.contract import Embedded
from jobs.errors import BadData
from jobs.runtime import log
from jobs.runtime.arrays import from_npy
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.digests import sha256
from jobs.shards.keys import split_of
from jobs.shards.tar import Sample

ORDER = "source (as configured, generated last), then key"


def run(task: Task[DedupInputs, Deduplicated[Writer]], params: DedupParams) -> None:
    """Filter all embedded prompts at once."""
    faiss.omp_set_num_threads(params.threads)
    for unit in task.pending():
        with task.writing(unit) as output:
            samples, vectors, names = in_order(task.inputs.embedded)
            decisions = greedy(vectors, params.threshold, on_progress=_log_progress)
            write(samples, names, decisions, params, output)


def _log_progress(done: int, total: int) -> None:
    log.progress(done, total, "prompts")


def in_order(embedded: Embedded[Dataset]) -> tuple[list[TypedSample[Origin]], Floats, list[str]]:
    """All samples in the total order, their vectors, float32 of shape (n, 384), and a name for each.

    The same prompt may come from several sources, so a name is the key with the shard it stood in.
    """
    priority: dict[str, int] = {}
    found: list[tuple[int, str, str, TypedSample[Origin]]] = []
    for shard in embedded.shards():
        for sample in embedded.prompts.read(shard):
            rank = priority.setdefault(sample.value.source, len(priority))
            found.append((rank, sample.key, f"{sample.key}-{shard.name}", sample))
    if not found:
        raise BadData("there are no prompts to filter: give collect a source, or generate-prompts a number of prompts")
    found.sort(key=lambda one: one[:3])
    samples = [one[3] for one in found]
    return samples, np.stack([from_npy(sample["npy"]) for sample in samples]), [one[2] for one in found]


def write(
    samples: list[TypedSample[Origin]],
    names: list[str],
    decisions: Decisions,
    params: DedupParams,
    output: Deduplicated[Writer],
) -> None:
    """Write the splits, the dropped prompts and the certificate."""
    kept: dict[str, list[Sample]] = {split: [] for split in splits(params)}
    dropped = []
    for sample, name, witness, cosine in zip(samples, names, decisions.witness, decisions.cosine, strict=True):
        if witness < 0:
            kept[split_of(sample.key, params.held_out)].append(sample.raw)
        else:
            origin = sample.value.model_dump(exclude_unset=True)
            verdict = Verdict(**origin, witness=samples[witness].key, cosine=round(float(cosine), 9))
            dropped.append(output.dropped.sample(name, verdict, txt=sample["txt"]))
    for split, members in kept.items():
        output.splits.write(split, members, size=params.prompts_per_shard)
    output.dropped.write(sorted(dropped, key=lambda one: one.key), size=10 * params.prompts_per_shard)
    found = certificate(samples, decisions, params, {split: len(members) for split, members in kept.items()})
    output.certificate.write(found)
    output.stats.write(found)


def certificate(
    samples: list[TypedSample[Origin]], decisions: Decisions, params: DedupParams, counts: dict[str, int]
) -> Certificate:
    """What holds of the kept set, and what it takes to check it."""
    kept_keys = [sample.key for sample, kept in zip(samples, decisions.kept, strict=True) if kept]
    return Certificate(
        threshold=params.threshold,
        order=ORDER,
        prompts=len(samples),
        kept=len(kept_keys),
        dropped=len(samples) - len(kept_keys),
        kept_keys_sha256=sha256("\n".join(sorted(kept_keys)).encode()),
        held_out=params.held_out,
        splits=counts,
    )
