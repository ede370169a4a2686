"""What must hold of embedded prompts: the same keys and prompts as in the shard they came from, and unit vectors."""

from __future__ import annotations

import numpy as np

from jobs.contract.samples import DIMENSIONS
from jobs.embed.contract import Embedded, EmbedInputs
from jobs.errors import Corrupt
from jobs.runtime.arrays import from_npy
from jobs.runtime.checking import CheckTask
from jobs.shards.dataset import Dataset

_NORM_TOLERANCE = 1e-3  # float32 normalises to within 1e-6


def check(task: CheckTask[EmbedInputs, Embedded[Dataset]]) -> dict[str, int]:
    """Compare every shard with its source; raises Corrupt."""
    inputs = (task.inputs.collected.prompts, task.inputs.generated.generated)
    sources = {shard.name: (one, shard) for one in inputs for shard in one.shards()}
    if task.index == 0 and sources.keys() != {shard.name for shard in task.output.shards()}:
        raise Corrupt("embed does not hold the same shards as collect and generate-prompts")
    vectors = 0
    for shard, samples in task.shards():
        source, read = sources[shard.name]
        wanted = {sample.key: sample["txt"] for sample in source.dataset.read(read)}
        found = {}
        for sample in samples:
            found[sample.key] = sample["txt"]
            vector = from_npy(sample["npy"])
            if vector.shape != (DIMENSIONS,) or abs(float(np.linalg.norm(vector)) - 1) > _NORM_TOLERANCE:
                raise Corrupt(f"embed: {shard.name}: the vector of {sample.key} is no unit vector of {DIMENSIONS}")
        if found != wanted:
            raise Corrupt(f"embed: {shard.name} does not hold the same keys and prompts as in {source.stage}")
        vectors += len(found)
    return {"unit vectors": vectors}
