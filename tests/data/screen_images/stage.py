"""What screen-images is: a unit for every shard of images."""

from __future__ import annotations

from pydantic import Field

from jobs.runtime.spec import Params, StageSpec, Unit, unit_per_shard
from jobs.screen_images.contract import ScreenedImages, ScreenImagesInputs


class ScreenImagesParams(Params):
    """Which images are left out."""

    fewest_colours: int = Field(default=2, ge=1)
    """Images of fewer colours are left out and counted."""


def units(params: ScreenImagesParams, inputs: ScreenImagesInputs) -> list[Unit]:
    return unit_per_shard(params, inputs.images.stage, inputs.images.shards())


SCREEN_IMAGES = StageSpec(
    reads=ScreenImagesInputs,
    writes=ScreenedImages,
    params=ScreenImagesParams,
    units=units,
    worker="jobs.screen_images.worker:run",
    check="jobs.screen_images.check:check",
    section="jobs.screen_images.section:page",
    about="leaves out plain images",
)
