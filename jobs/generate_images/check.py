"""What must hold of generated images: the same keys, prompts and vectors as in the shard of kept prompts."""

from __future__ import annotations

from jobs.errors import Corrupt
from jobs.generate_images.contract import GeneratedImages, GenerateImagesInputs
from jobs.runtime.checking import CheckTask
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256


def check(task: CheckTask[GenerateImagesInputs, GeneratedImages[Dataset]]) -> dict[str, int]:
    """Compare every shard with its source; raises Corrupt."""
    kept = {shard.name: shard for shard in task.inputs.kept.splits.shards()}
    images = 0
    for shard, samples in task.shards():
        if shard.name not in kept:
            raise Corrupt(f"generate-images: {shard.name} is no shard of dedup")
        prompts = task.inputs.kept.splits.read(kept[shard.name])
        wanted = {sample.key: (sample["txt"], sha256(sample["npy"])) for sample in prompts}
        found = {sample.key: (sample["txt"], sha256(sample["npy"])) for sample in samples}
        if found != wanted:
            raise Corrupt(f"generate-images: {shard.name} does not hold the same keys and prompts as in dedup")
        images += len(found)
    return {"images": images}
