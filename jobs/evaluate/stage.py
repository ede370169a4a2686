"""What evaluate is: one unit over the held-out images, the network and the training prompts."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from jobs.regressor.params import PredictParams
from jobs.runtime.spec import StageSpec, Unit, one_unit
from jobs.shards.dataset import Dataset

SPLIT = "val"  # what is scored; `test` stays for infer


class EvaluateParams(PredictParams):
    """How the score and what stands beside it are computed."""

    num_resamples: int = Field(default=5_000, ge=2_000)
    """Bootstrap resamples behind the 95 % interval."""

    seed: int = Field(default=0, ge=0)
    """Of the bootstrap."""

    num_neighbour_images: int = Field(default=100_000, ge=1)
    """Training images that the nearest-neighbour baseline looks at: whole shards in order, until there are so many."""

    num_cases: int = Field(default=12, ge=1)
    """Images shown as the best, and as the worst."""

    num_candidates: int = Field(default=5, ge=1)
    """Prompts of the bank shown for each of these."""


def units(params: EvaluateParams, inputs: Sequence[Dataset]) -> list[Unit]:
    images, trained, prompts = inputs
    reads = (images.reads(SPLIT), images.reads("train"), trained.reads("model"), prompts.reads("train"))
    return one_unit("metrics", params, *reads)


EVALUATE = StageSpec(
    name="evaluate",
    version=2,
    worker="jobs.evaluate.worker:run",
    inputs=("generate-images", "train", "dedup"),
    params=EvaluateParams,
    units=units,
    parallel=False,
    about="scores the network on held-out images",
)
