"""What must hold of generated images: the same keys, prompts and vectors as in the shard of kept prompts."""

from __future__ import annotations

from jobs.contract.samples import Given, Origin
from jobs.errors import Corrupt
from jobs.generate_images.contract import GeneratedImages, GenerateImagesInputs, is_made
from jobs.runtime.checking import CheckTask
from jobs.shards.dataset import Dataset
from jobs.shards.digests import sha256
from jobs.shards.tar import Sample


def check(task: CheckTask[GenerateImagesInputs, GeneratedImages[Dataset]]) -> dict[str, int]:
    """Compare every shard with its source; raises Corrupt."""
    kept = {shard.name: shard for shard in task.inputs.kept.splits.shards()}
    images = 0
    for shard, samples in task.shards():
        if shard.name not in kept:
            raise Corrupt(f"generate-images: {shard.name} is no shard of dedup")
        prompts = task.inputs.kept.splits.read(kept[shard.name])
        wanted = {sample.key: (sample["txt"], sha256(sample["npy"])) for sample in prompts}
        found = {}
        for sample in samples:
            _check_given(sample)
            found[sample.key] = sample["txt"], sha256(sample["npy"])
        if found != wanted:
            raise Corrupt(f"generate-images: {shard.name} does not hold the same keys and prompts as in dedup")
        images += len(found)
    return {"images": images}


def _check_given(sample: Sample) -> None:
    """Raise Corrupt unless a sample with images of sources has one of them, and says which."""
    if is_made(sample):
        if "given" in sample.fields:
            raise Corrupt(f"generate-images: {sample.key} has an image that no source gave with its prompt")
        return
    given = Given.decode(sample["given"], f"generate-images: {sample.key}")
    if given not in Origin.decode(sample["json"], sample.key).given:
        raise Corrupt(f"generate-images: the image of {sample.key} is none that was given with its prompt")
