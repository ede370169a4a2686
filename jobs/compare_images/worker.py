"""Writes every picture's signature, then which pictures are left out, and which are the closest of those that stay."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from jobs.compare_images.comparing import Earlier, Found, SignedShard, compare
from jobs.compare_images.contract import (
    ClosestPair,
    ComparedImages,
    CompareImagesInputs,
    Comparison,
    ShardSignatures,
    ShownPair,
)
from jobs.compare_images.stage import COMPARISON, CompareImagesParams, splits_in_order
from jobs.contract.reading import TypedSample
from jobs.contract.samples import TRAIN, Origin
from jobs.errors import NotFound
from jobs.imaging.likeness import signature
from jobs.imaging.pixels import decode, image_in
from jobs.imaging.thumbnails import shown
from jobs.runtime import log
from jobs.runtime.arrays import from_npy, npy_field
from jobs.runtime.prefetch import prefetch
from jobs.runtime.spec import Unit
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer

_SHOWN = 12  # pairs of pictures that are stored to be looked at
_PER_SHARD = 10_000  # pictures that are left out, in one shard

CompareTask = Task[CompareImagesInputs, ComparedImages[Writer]]


def run(task: CompareTask, params: CompareImagesParams) -> None:
    """Do the pending units; equal pictures in equal shards give equal bytes."""
    for unit in task.pending():
        if task.failures:  # the comparison needs all signatures
            return
        with task.writing(unit) as output:
            if unit.name == COMPARISON:
                write_comparison(task, params, output)
            else:
                write_signatures(task, unit, params, output)


def write_signatures(
    task: CompareTask, unit: Unit, params: CompareImagesParams, output: ComparedImages[Writer]
) -> None:
    """Write the signatures of one shard's pictures."""

    def signed(sample: TypedSample[Origin]) -> tuple[str, NDArray[np.float32]]:
        return sample.key, signature(decode(image_in(sample.raw), sample.key))

    (shard,) = unit.shards
    samples = task.inputs.images.splits.read(shard)
    found = list(prefetch(signed, samples, threads=params.threads, depth=4 * params.threads))
    keys = "\n".join(key for key, _ in found).encode()
    vectors = npy_field(np.stack([vector for _, vector in found]))
    sample = output.signatures.sample(shard.name, ShardSignatures(images=len(found)), keys=keys, npy=vectors)
    output.signatures.write_shard(shard.name, [sample])


def write_comparison(task: CompareTask, params: CompareImagesParams, output: ComparedImages[Writer]) -> None:
    """Write what is left out, what holds of the pictures that stay, and some pairs to be looked at."""
    units = {unit.name: unit for unit in task.units()}
    images = task.inputs.images.splits
    earlier, left_out, closest = Earlier(), list[Found](), dict[str, ClosestPair]()
    order = splits_in_order(images.names)
    for split in order:
        total, done = images[split].num_samples, 0

        def signed(split: str = split) -> Iterator[SignedShard]:
            return (_signed(task, units[shard.name]) for shard in images[split].shards() if shard.samples)

        out = list[Found]()
        for done, found in enumerate(compare(split, signed(), earlier, params.threshold, threads=params.threads), 1):
            if found.left_out:
                out.append(found)
            elif split not in closest or found.match.cosine > closest[split].cosine:
                closest[split] = ClosestPair(**found.match.model_dump(), picture=found.key)
            log.progress(done, total, f"pictures of {split}")
        if split != TRAIN:
            earlier.add(split, signed(), frozenset(found.key for found in out))
        samples = [output.left_out.sample(found.key, found.match) for found in out]
        group = ComparedImages.left_out.group_of(split)
        output.left_out.write(group, sorted(samples, key=lambda sample: sample.key), size=_PER_SHARD)
        left_out += out
    write_shown(task, left_out, list(closest.values()), output)
    output.comparison.write(
        Comparison(
            threshold=params.threshold,
            images={split: images[split].num_samples for split in order},
            left_out={split: sum(found.match.split == split for found in left_out) for split in order},
            closest=closest,
        )
    )


def write_shown(
    task: CompareTask, left_out: Sequence[Found], closest: Sequence[ClosestPair], output: ComparedImages[Writer]
) -> None:
    """Write, with both pictures, the closest pairs that stay and those that are left out for the highest cosines."""
    worst = heapq.nlargest(_SHOWN, left_out, key=lambda found: (found.match.cosine, found.key))
    pairs = {found.key: found.match for found in worst} | {pair.picture: pair for pair in closest}
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for key, pair in pairs.items():
        wanted[pair.split].add(key)
        wanted[pair.witness_split].add(pair.witness)
    found = {
        key: one for split, keys in wanted.items() for key, one in task.inputs.images.splits[split].find(keys).items()
    }
    samples = []
    for key, pair in sorted(pairs.items()):
        own, witness = found[key], found[pair.witness]
        values = pair.model_dump(include=set(ShownPair.model_fields))
        pictures = {"png": _small(own), "witness.png": _small(witness)}
        value = ShownPair(**values, prompt=own.text(), witness_prompt=witness.text())
        samples.append(output.shown.sample(key, value, **pictures))
    output.shown.write(samples, size=_SHOWN + len(closest))


def _small(sample: TypedSample[Origin]) -> bytes:
    return shown(decode(image_in(sample.raw), sample.key))


def _signed(task: CompareTask, unit: Unit) -> SignedShard:
    left = cast(ComparedImages[Dataset] | None, task.left_by(unit))
    if left is None:
        raise NotFound(f"the signatures of {unit.name} are gone; a retry makes them again")
    (sample,) = left.signatures.samples()
    return SignedShard(unit.name, sample["keys"].decode().split("\n"), from_npy(sample["npy"]))
