"""What infer says of one image: its prediction."""

from __future__ import annotations

from jobs.infer.contract import Predicted
from jobs.infer.stage import OF_FILES
from jobs.report.lineage import ImageFile, Lineage, Subject, Values
from jobs.report.page import RunView, setting
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of_id


def part(view: RunView, subject: Subject) -> Values | None:
    """The candidates and what to expect; nothing of an image that was not predicted."""
    predicted = view.get(Predicted[Dataset])
    if predicted is None:
        return None
    located = predicted.predictions.locate(subject.key)
    if located is None:
        return None
    shard, found = located
    return {**found.value.model_dump(mode="json", exclude_unset=True), "shard": shard.name}


def by_key(view: RunView, key: str) -> Subject | None:
    """An image that was read from a file; a generated one is known by its prompt. A request for each shard whose range
    of keys has this one.
    """
    predicted = view.get(Predicted[Dataset])
    if predicted is None or setting(predicted, "images") != OF_FILES:
        return None
    return Subject(key=key) if predicted.predictions.find([key]) else None


def by_image(view: RunView, image: ImageFile) -> str | None:
    """The key of the file, if one of that name was predicted, in whichever folder above it."""
    predicted = view.get(Predicted[Dataset])
    keys = [key_of_id(name) for name in image.names]
    found = predicted.predictions.find(keys) if predicted else {}
    return next((key for key in keys if key in found), None)


LINEAGE = Lineage(part=part, by_key=by_key, by_image=by_image, image_is="a file that was predicted, by its name")
