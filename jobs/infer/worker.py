"""Writes, for every image, its predicted vector, candidate prompts and the cosine to expect."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from jobs.errors import BadData, NotFound, StalePlan
from jobs.infer.files import NOT_READ, digest_of_files, escaped, id_of, refused_names
from jobs.infer.stage import FILES, InferParams, files_by_unit, split_in
from jobs.regressor.bank import nearest, vectors_of
from jobs.regressor.calibration import expected
from jobs.regressor.images import BadImage, image_in
from jobs.regressor.model import Regressor
from jobs.regressor.predict import predict
from jobs.regressor.stored import load_trained
from jobs.runtime import log
from jobs.runtime.arrays import npy_field
from jobs.runtime.device import prepare_torch
from jobs.runtime.patience import store_patience
from jobs.runtime.spec import Unit
from jobs.runtime.task import Task
from jobs.shards.address import open_store
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of_id
from jobs.shards.tar import Sample, json_field

_GONE = "deleted before it was read"

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Image:
    """An image to be read: its id, a name to complain about, and its bytes."""

    id: str
    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What predictions are made and explained with, loaded once for a task."""

    regressor: Regressor
    vectors: list[Floats]  # of the training prompts, a block for each shard
    prompts: list[str]
    calibration: Mapping[str, Any]


@dataclass(slots=True)
class BadImages:
    """The images of a unit that could not be predicted: a sample for each, that holds no vector, and a line in the log.

    What is stored has fixed words, so that it is the same wherever and whenever it is made; the log says more.
    """

    unit: str
    samples: list[Sample] = field(default_factory=list)

    def add(self, image: Image, error: BadImage) -> None:
        """Record what is no image, or too large."""
        self._record(image.id, error.reason, str(error))

    def add_gone(self, id_: str, error: NotFound) -> None:
        """Record what is not there any more."""
        self._record(id_, _GONE, str(error))

    def add_refused(self, name: str, reason: str) -> None:
        """Record a file that is not read for its name; no other record can have this id, so it is nobody's key."""
        self._record(escaped(name), reason, f"{name!a}: {reason}")

    def _record(self, id_: str, reason: str, error: str) -> None:
        self.samples.append(Sample(key_of_id(id_), {"json": json_field({"id": id_, "error": reason})}))
        log.event("bad image", unit=self.unit, count=len(self.samples), error=error)


def run(task: Task, params: InferParams) -> None:
    """Predict the pending shards; equal images in equal shards give equal bytes."""
    known: Known | None = None
    files = files_by_unit(params) if split_in(params) is None else {}
    refused = refused_names([name for names in files.values() for name in names])
    for unit in task.pending():
        known = known or load(task, params)
        with task.writing(unit) as output:
            samples: list[Sample] = []
            bad = BadImages(unit.name)
            record = params.bad_images == "record"
            names = files.get(unit.name, [])
            for name in names:
                if name in refused:
                    bad.add_refused(name, refused[name])
            gone = bad.add_gone if record else None
            images = _from_files(unit, params, names, refused, gone) if files else _from_shards(task, unit)
            total = len(names) or sum(shard.samples for shard in unit.shards)
            for batch, vectors in predict(
                known.regressor, images, lambda image: (image.name, image.data), params, bad.add if record else None
            ):
                samples += explained(batch, vectors, known, params)
                log.progress(len(samples) + len(bad.samples), total, "images", unit=unit.name)
            output.add_shard(unit.name, sorted(samples + bad.samples, key=lambda sample: sample.key))
            if record:
                output.stats.update(images=len(samples), bad_images=len(bad.samples))


def load(task: Task, params: InferParams) -> Known:
    """Load the network, all training prompts and the calibration; raises BadData, NotFound."""
    _, trained, prompts, evaluated = task.inputs
    device = prepare_torch(params)
    faiss.omp_set_num_threads(params.threads)
    vectors, texts = [], []
    for shard in prompts.shards("train"):
        samples = list(prompts.read(shard))
        if samples:
            vectors.append(vectors_of(samples))
            texts += [sample.text() for sample in samples]
    return Known(load_trained(trained, device), vectors, texts, _calibration(evaluated))


def explained(images: list[Image], vectors: Floats, known: Known, params: InferParams) -> Iterator[Sample]:
    """The sample of each image; `vectors` are the predictions, float32 of shape (len(images), 384)."""
    cosines, numbers = nearest(known.vectors, vectors, params.num_candidates)
    sure = expected(known.calibration, cosines[:, 0])
    for row, image in enumerate(images):
        candidates = [
            {"prompt": known.prompts[number], "cosine": round(cosine, 6)}
            for number, cosine in zip(numbers[row].tolist(), cosines[row].tolist(), strict=True)
        ]
        told = {"id": image.id, "candidates": candidates, "expected_cosine": round(float(sure[row]), 6)}
        yield Sample(key_of_id(image.id), {"json": json_field(told), "npy": npy_field(vectors[row])})


def _from_shards(task: Task, unit: Unit) -> Iterator[Image]:
    for shard in unit.shards:
        for sample in task.read(shard):
            yield Image(sample.key, sample.key, image_in(sample))


def _from_files(
    unit: Unit,
    params: InferParams,
    names: list[str],
    refused: Container[str],
    on_gone: Callable[[str, NotFound], None] | None,
) -> Iterator[Image]:
    """The images in the files; one that is gone raises NotFound, or is left out and its id told to `on_gone`.

    Raises StalePlan in the end when the files are not those that the unit was planned with.
    """
    store = open_store(params.images, patience_seconds=store_patience())
    versions: dict[str, str | None] = {}
    for name in names:
        if name in refused:
            versions[name] = NOT_READ
            continue
        try:
            body = store.read(name)
        except NotFound as error:
            if on_gone is None:
                raise
            versions[name] = None
            on_gone(id_of(name), error)
            continue
        versions[name] = body.version
        yield Image(id_of(name), f"{store.url}/{name}", body.data)
    if digest_of_files(versions) != unit.reads[FILES]:
        raise StalePlan(f"files in {store.url} changed while {unit.name} was read; the controller plans it again")


def _calibration(evaluated: Dataset) -> dict[str, Any]:
    for sample in evaluated.samples("calibration"):
        return sample.json()
    raise BadData(f"the dataset {evaluated.name} holds no calibration; run evaluate first")
