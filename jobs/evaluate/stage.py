"""What evaluate is: one unit over the held-out images, the network and the training prompts."""

from __future__ import annotations

from pydantic import Field

from jobs.compare_images.contract import reads_of_left_out
from jobs.contract.samples import TRAIN
from jobs.evaluate.contract import Evaluated, EvaluateInputs
from jobs.regressor.params import PredictParams, Views
from jobs.runtime.spec import StageSpec, Unit, one_unit

SPLIT = "val"  # what is scored, and what confidence is fitted on
CHECKED = "test"  # what confidence is checked on


class EvaluateParams(PredictParams):
    """How the score and what stands beside it are computed."""

    views: Views = "single"
    """The views of an image that the network sees, here and wherever it predicts: `single` is the image alone, `flip`
    adds its mirror image, `crops` its centre and corners. What is read out of them is averaged, and the time grows with
    their number (1, 2, 6). What that gains is measured, and it may be a loss: a network that never saw mirror images or
    crops in training reads them badly.
    """

    image_size: int | None = Field(default=None, ge=1)
    """Pixels of a side that the network sees, here and wherever it predicts; null for those of training. More of them
    gained where training cropped pictures much (Touvron et al. 2019), and cost much on drawings: look at the gain that
    is measured. For a tower that takes one size only, as most ViTs do, any other is an error.
    """

    num_resamples: int = Field(default=5_000, ge=2_000)
    """Bootstrap resamples behind the 95 % interval."""

    seed: int = Field(default=0, ge=0)
    """Of the bootstrap."""

    num_neighbour_images: int = Field(default=100_000, ge=1)
    """Training images that the nearest-neighbour baseline looks at: whole shards in order, until there are so many."""

    num_feature_images: int = Field(default=20_000, ge=1)
    """Training images of which the tower's features are learned, to tell what is unlike them: whole shards in order,
    until there are so many. As keys are digests, the first shards hold a fair sample.
    """

    error_rate: float = Field(default=0.02, gt=0, lt=1)
    """The share of images like the held-out ones that may be abstained as unlike anything in training."""

    num_fitted_images: int = Field(default=5_000, ge=1)
    """Held-out images of each split whose vectors are kept, 3.1 kB for each, to fit an ensemble's weights on."""

    num_cases: int = Field(default=12, ge=1)
    """Images shown as the best, and as the worst."""

    num_candidates: int = Field(default=5, ge=1)
    """Training prompts shown for each of these, closest first."""

    num_composed: int = Field(default=200, ge=0)
    """Held-out images for which prompts are composed, to measure how close they come to the true ones; 0: for none."""


def units(params: EvaluateParams, inputs: EvaluateInputs) -> list[Unit]:
    images, prompts = inputs.images.splits, inputs.prompts.splits
    reads = (
        images[SPLIT].reads(),
        images[CHECKED].reads(),
        images[TRAIN].reads(),
        reads_of_left_out(inputs.compared, TRAIN),
        inputs.trained.model.reads(),
        prompts[TRAIN].reads(),
        *([inputs.cut.vocabulary.reads()] if params.num_composed else []),
    )
    return one_unit("metrics", params, *reads)


EVALUATE = StageSpec(
    version=5,
    reads=EvaluateInputs,
    writes=Evaluated,
    params=EvaluateParams,
    units=units,
    worker="jobs.evaluate.worker:run",
    section="jobs.evaluate.section:page",
    summary="jobs.evaluate.summary:summary",
    comparison="jobs.evaluate.comparison:comparison",
    lineage="jobs.evaluate.lineage:LINEAGE",
    parallel=False,
    about="scores the network on held-out images",
)
