"""What must hold of the comparison: a signature for each picture, and of what is left out the cosine that is noted."""

from __future__ import annotations

import numpy as np

from jobs.compare_images.contract import ComparedImages, CompareImagesInputs
from jobs.contract.samples import TRAIN
from jobs.errors import Corrupt
from jobs.runtime.arrays import from_npy
from jobs.runtime.checking import CheckTask
from jobs.shards.dataset import Dataset
from jobs.similarity.exact import Floats

_ROUNDING = 2e-6  # of 6 decimals, and of signatures in float32


def check(task: CheckTask[CompareImagesInputs, ComparedImages[Dataset]]) -> dict[str, int]:
    """Check this index's shards of signatures, and as index 0 what was left out; raises Corrupt."""
    images = {shard.name: shard for shard in task.inputs.images.splits.shards()}
    signatures = {shard.name for shard in task.output.signatures.shards()}
    if task.index == 0 and signatures != images.keys():
        raise Corrupt("compare-images does not hold signatures of the same shards as generate-images")
    signed = 0
    for shard, samples in task.shards():
        if shard.name not in signatures:
            list(samples)
            continue
        (sample,) = samples
        keys, vectors = sample["keys"].decode().split("\n"), from_npy(sample["npy"])
        if keys != task.inputs.images.data.keys(images[shard.name]) or len(vectors) != len(keys):
            raise Corrupt(f"compare-images: {shard.name} does not hold a signature for each picture of generate-images")
        signed += len(keys)
    return {"signatures": signed, **(_check_left_out(task) if task.index == 0 else {})}


def _check_left_out(task: CheckTask[CompareImagesInputs, ComparedImages[Dataset]]) -> dict[str, int]:
    comparison = task.output.comparison.value()
    found = {one.key: one.value for one in task.output.left_out.samples()}
    wanted = {*found, *(match.witness for match in found.values())}
    vectors: dict[str, Floats] = {}
    for sample in task.output.signatures.samples() if found else ():
        signed = zip(sample["keys"].decode().split("\n"), from_npy(sample["npy"]), strict=True)
        vectors |= {key: vector for key, vector in signed if key in wanted}
    for key, match in found.items():
        cosine = float(vectors[key].astype(np.float64) @ vectors[match.witness].astype(np.float64))
        if abs(cosine - match.cosine) > _ROUNDING or match.cosine < comparison.threshold - _ROUNDING:
            raise Corrupt(f"compare-images: {key} and {match.witness} have cosine {cosine:.6f}, not {match.cosine}")
        if match.witness in found or match.witness_split in (match.split, TRAIN):
            raise Corrupt(
                f"compare-images: {key} is left out for {match.witness}, which is left out or of no other split"
            )
    if sum(comparison.left_out.values()) != len(found):
        raise Corrupt("compare-images: its counts are not those of the pictures that are left out")
    return {"left out": len(found)}
