"""What must hold of screened images: none is of a single colour."""

from __future__ import annotations

from jobs.errors import Corrupt
from jobs.runtime.checking import CheckTask
from jobs.screen_images.contract import ScreenedImages, ScreenImagesInputs
from jobs.screen_images.worker import colours
from jobs.shards.dataset import Dataset


def check(task: CheckTask[ScreenImagesInputs, ScreenedImages[Dataset]]) -> dict[str, int]:
    """Count the colours of every image; raises Corrupt."""
    images = 0
    for _shard, samples in task.shards():
        for sample in samples:
            if colours(sample) < 2:
                raise Corrupt(f"screen-images: {sample.key} is of a single colour")
            images += 1
    return {"images of several colours": images}
