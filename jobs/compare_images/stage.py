"""What compare-images is: a unit for the signatures of each shard of images, and one that compares them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from jobs.compare_images.contract import ComparedImages, CompareImagesInputs
from jobs.contract.samples import TRAIN
from jobs.runtime.spec import Params, StageSpec, Unit
from jobs.shards.keys import split_rank
from jobs.shards.reads import reads_of_shard

COMPARISON = ComparedImages.comparison.name


class CompareImagesParams(Params):
    """Which pictures count as near-identical."""

    threshold: float = Field(default=0.98, gt=0, le=1)
    """Two pictures whose signatures' cosine is this or more are near-identical. Of two in different splits the held-out
    one stays: the other one is left out of training, or, where both are held out, of the later split."""

    threads: int = Field(default=2, ge=1)
    """CPU threads of one worker; the outcome does not depend on them."""

    def settings(self) -> dict[str, Any]:
        return {"threshold": self.threshold}


def splits_in_order(names: list[str]) -> list[str]:
    """Held-out splits first, in the order in which they keep their pictures, and training last."""
    return [*sorted({*names} - {TRAIN}, key=split_rank), TRAIN]


def units(params: CompareImagesParams, inputs: CompareImagesInputs) -> list[Unit]:
    stage, shards = inputs.images.stage, inputs.images.splits.shards()
    signatures = [Unit(shard.name, {}, reads_of_shard(stage, shard), (shard,)) for shard in shards]
    return [*signatures, Unit(COMPARISON, params.settings(), inputs.images.reads())]


COMPARE_IMAGES = StageSpec(
    reads=CompareImagesInputs,
    writes=ComparedImages,
    params=CompareImagesParams,
    units=units,
    worker="jobs.compare_images.worker:run",
    check="jobs.compare_images.check:check",
    section="jobs.compare_images.section:page",
    lineage="jobs.compare_images.lineage:LINEAGE",
    parallel=False,
    about="leaves out pictures that are near-identical to held-out ones",
)
