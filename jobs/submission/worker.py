"""Writes `csv`, a row for each image and dimension, and checks what it wrote."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadData
from jobs.infer.contract import Predicted
from jobs.runtime import log
from jobs.runtime.arrays import from_npy
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.submission.contract import SubmissionInputs, Submitted
from jobs.submission.stage import SubmissionParams
from jobs.submission.validate import HEADER, validate

Floats = NDArray[np.float32]


def run(task: Task[SubmissionInputs, Submitted[Writer]], params: SubmissionParams) -> None:
    """Write the file of all predictions."""
    for unit in task.pending():
        with task.writing(unit) as output:
            output.submission.write(as_csv(vectors_by_id(task.inputs.predicted)))


def vectors_by_id(predicted: Predicted[Dataset]) -> dict[str, Floats]:
    """Every image's vector, float32 of shape (384,), without the images that could not be read.

    Raises BadData for an image predicted twice, or no image at all.
    """
    vectors: dict[str, Floats] = {}
    seen: set[str] = set()
    for sample in predicted.predictions.samples():
        id_ = sample.value.id
        if id_ in seen:
            raise BadData(f"image {id_!r} was predicted twice; an id must be given to one image only")
        seen.add(id_)
        if "npy" in sample:
            vectors[id_] = from_npy(sample["npy"])
    if not seen:
        raise BadData(f"the dataset {predicted.stage} holds no predictions to submit")
    if left_out := len(seen) - len(vectors):
        log.note("left out", images=left_out, reason="they could not be read")
    return vectors


def as_csv(vectors: Mapping[str, Floats]) -> bytes:
    """The file, images in order of id, each number as the shortest text that float32 reads back; raises BadData."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for done, id_ in enumerate(sorted(vectors), 1):
        writer.writerows((f"{id_}_{dimension}", str(value)) for dimension, value in enumerate(vectors[id_]))
        log.progress(done, len(vectors), "images")
    file.seek(0)
    validate(file, sorted(vectors))
    return file.getvalue().encode()
