"""Passes on the images that have enough colours."""

from __future__ import annotations

from jobs.imaging.pixels import decode, image_in
from jobs.runtime.task import Task
from jobs.screen_images.contract import ScreenCounts, ScreenedImages, ScreenImagesInputs
from jobs.screen_images.stage import ScreenImagesParams
from jobs.shards.dataset import Writer
from jobs.shards.tar import Sample


def run(task: Task[ScreenImagesInputs, ScreenedImages[Writer]], params: ScreenImagesParams) -> None:
    """Screen the pending shards."""
    for unit in task.pending():
        with task.writing(unit) as output:
            (shard,) = unit.shards
            samples = [sample.raw for sample in task.inputs.images.splits.read(shard)]
            kept = [sample for sample in samples if colours(sample) >= params.fewest_colours]
            output.splits.write_shard(shard.name, kept)
            output.stats.write(ScreenCounts(kept=len(kept), plain=len(samples) - len(kept)))


def colours(sample: Sample) -> int:
    """How many colours an image has."""
    return len(set(decode(image_in(sample), sample.key).getdata()))
