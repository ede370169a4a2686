"""What submission says of one image: which lines of the file are its own."""

from __future__ import annotations

from jobs.contract.samples import DIMENSIONS
from jobs.infer.contract import Predicted
from jobs.infer.stage import OF_FILES
from jobs.report.lineage import Lineage, Subject, Values, first_sample
from jobs.report.page import RunView, setting
from jobs.shards.dataset import Dataset
from jobs.shards.keys import HASHED, key_of_id
from jobs.shards.records import Shard
from jobs.submission.contract import Submitted
from jobs.submission.ids import submitted_id

_HEADER = 1  # line


def part(view: RunView, subject: Subject) -> Values | None:
    """The lines, counted from 1, of an image that was predicted.

    They follow from how many ids come before its own, without reading the file, which has 384 lines an image.
    """
    submitted, predicted = view.get(Submitted[Dataset]), view.get(Predicted[Dataset])
    if submitted is None or predicted is None:
        return None
    found = predicted.predictions.find([subject.key]).get(subject.key)
    if found is None:
        return None
    file = view.export(Submitted.stage, Submitted.submission.export)
    if "npy" not in found:
        return {"file": file, "first_line": None, "last_line": None}
    first = _HEADER + DIMENSIONS * ids_before(predicted, found.value.id) + 1
    asked = {} if subject.dimension is None else {"line_asked_for": first + subject.dimension}
    return {"file": file, "first_line": first, "last_line": first + DIMENSIONS - 1, **asked}


def ids_before(predicted: Predicted[Dataset], id_: str) -> int:
    """How many images that have a vector have smaller ids.

    A shard is read only where its range of keys does not answer that: of a split one, of files all that overlap.
    """
    key, before, name = key_of_id(id_), 0, submitted_id(id_)
    for outcome, counts in predicted.stats.by_outcome():
        for shard in outcome.shards:
            if key != id_ or _may_have_hashed(shard) or shard.may_hold(key):
                before += sum(
                    "npy" in one and submitted_id(one.value.id) < name for one in predicted.predictions.read(shard)
                )
            elif (shard.last_key or "") < key:
                before += shard.samples - counts.bad_images
    return before


def _may_have_hashed(shard: Shard) -> bool:
    """Whether an id in it may be another one than its key, so that keys are not in the order of ids."""
    first, last = shard.first_key or "", shard.last_key or ""
    return first[: len(HASHED)] <= HASHED <= last


def by_name(view: RunView, name: str) -> str | None:
    """The key of the image that the submission calls so, where it was read from a file."""
    predicted = view.get(Predicted[Dataset])
    if predicted is None or setting(predicted, "images") != OF_FILES:
        return None
    predictions = predicted.predictions
    found = first_sample(predictions, predictions.shards(), lambda one: submitted_id(one.value.id) == name)
    return found.key if found else None


LINEAGE = Lineage(part=part, by_name=by_name)
