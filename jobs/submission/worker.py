"""Writes `csv`, a row for each image and dimension, and checks what it wrote."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadData
from jobs.infer.contract import Predicted
from jobs.runtime import log
from jobs.runtime.arrays import from_npy
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.submission.contract import SubmissionInputs, Submitted
from jobs.submission.ids import submitted_id
from jobs.submission.stage import SubmissionParams
from jobs.submission.validate import HEADER, validate

Floats = NDArray[np.float32]


def run(task: Task[SubmissionInputs, Submitted[Writer]], params: SubmissionParams) -> None:
    """Write the file of all predictions."""
    for unit in task.pending():
        with task.writing(unit) as output:
            predicted = task.inputs.predicted
            vectors = vectors_by_id(predicted)
            if left_out := predicted.predictions.num_samples - len(vectors):
                log.note("left out", images=left_out, reason="they could not be read")
            output.submission.write(as_csv(vectors, partial(log.progress, total=len(vectors), what="images")))


def vectors_by_id(predicted: Predicted[Dataset]) -> dict[str, Floats]:
    """Every image's vector, float32 of shape (384,), without the images that could not be read.

    They are named as the competition does: by the file's name without folder and suffix. Raises BadData where several
    have the same name, or where there is no image at all.
    """
    vectors: dict[str, Floats] = {}
    seen: dict[str, str] = {}
    for sample in predicted.predictions.samples():
        id_ = sample.value.id
        name = submitted_id(id_)
        if name in seen:
            raise BadData(f"{seen[name]} and {id_} would both be {name!r} in a submission: a name for each is required")
        seen[name] = id_
        if "npy" in sample:
            vectors[name] = from_npy(sample["npy"])
    if not seen:
        raise BadData(f"the dataset {predicted.stage} holds no predictions to submit")
    return vectors


def as_csv(vectors: Mapping[str, Floats], on_progress: Callable[[int], None]) -> bytes:
    """The file, images in order of id, each number as the shortest text that float32 reads back; raises BadData."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(HEADER)
    for done, id_ in enumerate(sorted(vectors), 1):
        writer.writerows((f"{id_}_{dimension}", str(value)) for dimension, value in enumerate(vectors[id_]))
        on_progress(done)
    file.seek(0)
    validate(file, sorted(vectors))
    return file.getvalue().encode()
