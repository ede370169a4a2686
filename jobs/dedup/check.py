"""What must hold of the filter's outcome: every prompt that came in was kept or dropped, once; each is in its split;
each dropped one has a kept witness, whose cosine is what was noted and not below the threshold.

Vectors are held of one block of dropped prompts and their witnesses at a time; the embedded prompts are read once for
each block. So 400,000 dropped prompts take at most 1.3 GB, however many prompts there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import DIMENSIONS
from jobs.dedup.contract import Certificate, DedupInputs, Deduplicated, Verdict
from jobs.dedup.stage import dropped_shard
from jobs.embed.contract import Embedded
from jobs.errors import Corrupt
from jobs.runtime.arrays import from_npy
from jobs.runtime.checking import CheckTask
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from jobs.shards.keys import KEY_DIGITS, key_of, split_of
from jobs.shards.records import Shard

_BLOCK = 400_000  # dropped prompts
_ROUNDING = 1e-6
_EDGE = 1e-9  # the noted cosines have 9 decimals

Keys = NDArray[np.bytes_]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped prompt: its key and the embedded shard it is of, its witness's key, and their noted cosine."""

    key: str
    shard: str
    witness: str
    cosine: float


@dataclass(slots=True)
class Share:
    """What one index has read: the keys of its shards of kept prompts, and its dropped prompts."""

    kept: dict[str, Keys] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)


def check(task: CheckTask[DedupInputs, Deduplicated[Dataset]]) -> dict[str, int]:
    """Check this index's share, and as index 0 what holds of all together; raises Corrupt."""
    certificate, share = task.output.certificate.value(), _read(task)
    kept = _all_kept(task.output, share)
    if task.index == 0:
        _check_totals(task, certificate, kept)
    for start in range(0, len(share.dropped), _BLOCK):
        _check_block(share.dropped[start : start + _BLOCK], kept, task.inputs.embedded, certificate)
    return {"kept": sum(map(len, share.kept.values())), "dropped with a kept witness": len(share.dropped)}


def _read(task: CheckTask[DedupInputs, Deduplicated[Dataset]]) -> Share:
    share, held_out = Share(), task.output.certificate.value().held_out
    splits = {shard.name for shard in task.output.splits.shards()}
    for shard, samples in task.shards():
        if shard.name in splits:
            keys = [sample.key for sample in samples]
            for key in keys:
                if (split := split_of(key, held_out)) != shard.group:
                    raise Corrupt(f"dedup: {key} belongs to {split}, but is in {shard.name}")
            share.kept[shard.name] = np.array(keys, f"S{KEY_DIGITS}")
        elif shard.group == task.output.dropped.name:
            for sample in samples:
                key, _, embedded = sample.key.partition("-")
                if key != key_of(sample.text()):
                    raise Corrupt(f"dedup: the key of {sample.key} is not that of its prompt")
                verdict = Verdict.decode(sample["json"], f"dedup: {sample.key}")
                share.dropped.append(Dropped(key, embedded, verdict.witness, verdict.cosine))
        else:
            list(samples)
    return share


def _all_kept(output: Deduplicated[Dataset], share: Share) -> Keys:
    """The keys of all kept prompts, sorted; those of other indexes' shards are read from their tars."""

    def keys(shard: Shard) -> Keys:
        known = share.kept.get(shard.name)
        return known if known is not None else np.array(output.data.keys(shard), f"S{KEY_DIGITS}")

    parts = [keys(shard) for shard in output.splits.shards()]
    return np.sort(np.concatenate(parts)) if parts else np.empty(0, f"S{KEY_DIGITS}")


def _check_totals(task: CheckTask[DedupInputs, Deduplicated[Dataset]], certificate: Certificate, kept: Keys) -> None:
    repeated = np.flatnonzero(kept[1:] == kept[:-1])
    if len(repeated):
        raise Corrupt(f"dedup: {kept[repeated[0]].decode()} is kept twice")
    if task.output.decisions.shards():
        _check_decisions(task, certificate)
    else:  # made before decisions were stored: all dropped prompts in one order
        _check_ascending(task.output.dropped.shards())
    found = {
        "prompts": sum(shard.samples for shard in task.inputs.embedded.shards()),
        "kept": len(kept),
        "dropped": task.output.dropped.num_samples,
        "kept_keys_sha256": sha256(b"\n".join(kept.tolist())),
    }
    noted = certificate.model_dump()
    for name, value in found.items():
        if noted[name] != value:
            raise Corrupt(f"dedup: the certificate says {name} = {noted[name]}, the shards say {value}")
    if certificate.kept + certificate.dropped + certificate.excluded != certificate.prompts:
        raise Corrupt(
            f"dedup: {certificate.prompts} prompts came in, but {certificate.kept} kept, {certificate.dropped} dropped "
            f"and {certificate.excluded} excluded came out"
        )


def _check_decisions(task: CheckTask[DedupInputs, Deduplicated[Dataset]], certificate: Certificate) -> None:
    """Every embedded shard is decided, what is not kept was dropped, and the shards of a split are in order of keys."""
    dropped = {shard.name: shard for shard in task.output.dropped.shards()}
    decided = {sample.key: sample for sample in task.output.decisions.samples()}
    for position, shard in enumerate(task.inputs.embedded.shards()):
        if shard.name not in decided:
            raise Corrupt(f"dedup: nothing is decided of {shard.name}")
        counts, of_shard = decided[shard.name].value, dropped.pop(dropped_shard(position), None)
        number = of_shard.samples if of_shard else 0
        if counts.prompts + counts.excluded != shard.samples or counts.kept + number != counts.prompts:
            raise Corrupt(
                f"dedup: of the {shard.samples} prompts of {shard.name}, {counts.kept} were kept and {number} dropped"
            )
        if of_shard and not all(
            (key or "").endswith(f"-{shard.name}") for key in (of_shard.first_key, of_shard.last_key)
        ):
            raise Corrupt(f"dedup: {of_shard.name} holds prompts that are not of {shard.name}")
    if dropped:
        raise Corrupt(f"dedup: {min(dropped)} is of no embedded shard")
    keys = sorted(key for sample in decided.values() if (text := sample["keys"]) for key in text.split(b"\n"))
    if (found := sha256(b"\n".join(keys))) != certificate.kept_keys_sha256:
        raise Corrupt(
            f"dedup: the certificate says kept_keys_sha256 = {certificate.kept_keys_sha256}, decided: {found}"
        )
    for split in certificate.splits:
        _check_ascending(task.output.splits[split].shards())


def _check_ascending(shards: Sequence[Shard]) -> None:
    for before, after in pairwise(shards):
        if (before.last_key or "") >= (after.first_key or ""):
            raise Corrupt(f"dedup: {after.name} begins with {after.first_key}, which is not after {before.last_key}")


def _check_block(dropped: Sequence[Dropped], kept: Keys, embedded: Embedded[Dataset], certificate: Certificate) -> None:
    witnesses = np.array([one.witness for one in dropped], f"S{KEY_DIGITS}")
    rows = np.minimum(np.searchsorted(kept, witnesses), max(0, len(kept) - 1))
    if len(lost := np.flatnonzero(kept[rows] != witnesses if len(kept) else np.ones(len(witnesses), bool))):
        one = dropped[lost[0]]
        raise Corrupt(f"dedup: {one.key}-{one.shard} was dropped for {one.witness}, which is not kept")
    number = {key: row for row, key in enumerate({key for one in dropped for key in (one.key, one.witness)})}
    vectors = _vectors(embedded, number, {(one.key, one.shard) for one in dropped})
    norms = np.linalg.norm(vectors, axis=1)
    for one in dropped:
        own, other = number[one.key], number[one.witness]
        cosine = float(vectors[own] @ vectors[other]) / float(norms[own] * norms[other])
        if not abs(cosine - one.cosine) <= _ROUNDING or one.cosine < certificate.threshold - _EDGE:
            raise Corrupt(
                f"dedup: {one.key}-{one.shard} was dropped for {one.witness} at {one.cosine}, but their cosine is "
                f"{cosine:.9f} and the threshold {certificate.threshold}"
            )


def _vectors(embedded: Embedded[Dataset], number: dict[str, int], names: set[tuple[str, str]]) -> NDArray[np.float64]:
    """The vectors of these keys, float64 of shape (n, 384) by number; raises Corrupt when one of `names` is missing."""
    found = np.full((len(number), DIMENSIONS), np.nan, np.float32)
    missing = set(names)
    for shard in embedded.shards():
        for sample in embedded.data.read(shard):
            if sample.key in number:
                found[number[sample.key]] = from_npy(sample["npy"])
                missing.discard((sample.key, shard.name))
    if missing:
        key, shard_name = min(missing)
        raise Corrupt(f"dedup: {key} was dropped as of {shard_name}, which holds no such prompt")
    return found.astype(np.float64)
