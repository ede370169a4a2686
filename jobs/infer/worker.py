"""Writes, for every image, its predicted vector, candidate prompts and the cosine to expect, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import TRAIN
from jobs.errors import BadData, NotFound, StalePlan
from jobs.imaging.pixels import BadImage, Pixels, image_in
from jobs.infer.contract import InferInputs, Predicted, Prediction, PredictionCounts
from jobs.infer.files import NOT_READ, digest_of_files, escaped, refused_names
from jobs.infer.reading import PixelsOf, Read, pixel_decoders, read_files
from jobs.infer.stage import FILES, InferParams, files_by_unit, split_in
from jobs.regressor.confidence import judged
from jobs.regressor.feature_statistics import FeatureStatistics
from jobs.regressor.model import Regressor
from jobs.regressor.predict import Outputs, in_batches, predict, predict_batches
from jobs.regressor.saved_model import load_regressor
from jobs.regressor.signals import signals
from jobs.regressor.values import Candidate, Confidence
from jobs.runtime import log
from jobs.runtime.arrays import npy_field, vectors_of
from jobs.runtime.device import prepare_torch
from jobs.runtime.environment import store_patience
from jobs.runtime.spec import Unit
from jobs.runtime.task import Task
from jobs.shards.address import open_store
from jobs.shards.dataset import Writer
from jobs.shards.keys import key_of_id
from jobs.shards.tar import Sample
from jobs.similarity.closest import AnyIndex, closest_in, index_of

_GONE = "deleted before it was read"

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Image:
    """A generated image to be read: its id and its bytes."""

    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What predictions are made and explained with, loaded once for a task."""

    regressor: Regressor
    index: AnyIndex  # of the training prompts' vectors
    prompts: list[str]
    confidence: Confidence
    statistics: FeatureStatistics


@dataclass(slots=True)
class BadImages:
    """The images of a unit that could not be predicted: a sample for each, that holds no vector, and a line in the log.

    What is stored has fixed words, so that it is the same wherever and whenever it is made; the log says more.
    """

    unit: str
    output: Predicted[Writer]
    samples: list[Sample] = field(default_factory=list)

    def add(self, image: Image | Read, error: BadImage) -> None:
        """Record what is no image, or takes too much."""
        self._record(image.id, error.reason, str(error))

    def add_gone(self, id_: str, error: NotFound) -> None:
        """Record what is not there any more."""
        self._record(id_, _GONE, str(error))

    def add_refused(self, name: str, reason: str) -> None:
        """Record a file that is not read for its name; no other record can have this id, so it is nobody's key."""
        self._record(escaped(name), reason, f"{name!a}: {reason}")

    def _record(self, id_: str, reason: str, error: str) -> None:
        self.samples.append(self.output.predictions.sample(key_of_id(id_), Prediction(id=id_, error=reason)))
        log.note("bad image", unit=self.unit, count=len(self.samples), error=error)


Predictions = Iterator[tuple[Sequence[Image | Read], Outputs]]


InferTask = Task[InferInputs, Predicted[Writer]]


def run(task: InferTask, params: InferParams) -> None:
    """Predict the pending shards; equal images in equal shards give equal bytes."""
    known: Known | None = None
    names = files_by_unit(params) if split_in(params) is None else None
    refused = refused_names([name for part in (names or {}).values() for name in part])
    with ExitStack() as stack:
        pixels_of: PixelsOf | None = None
        for unit in task.pending():
            if names is not None:  # the decoders start while the network is loaded
                pixels_of = pixels_of or stack.enter_context(
                    pixel_decoders(params.limits, params.threads, params.background)
                )
            known = known or load(task.inputs, params)
            with task.writing(unit) as output:
                bad = BadImages(unit.name, output)
                if names is None or pixels_of is None:
                    found = _of_shards(task.inputs, unit, known, params, bad)
                    total = sum(one.samples for one in unit.shards)
                else:
                    part = names[unit.name]
                    found, total = _of_files(unit, part, refused, pixels_of, known, params, bad), len(part)
                samples: list[Sample] = []
                abstained = 0
                for batch, outputs in found:
                    predictions = explained(batch, outputs, known, params)
                    abstained += sum(one.abstained is not None for one in predictions)
                    samples += [
                        output.predictions.sample(key_of_id(one.id), one, npy=npy_field(vector))
                        for one, vector in zip(predictions, outputs.vectors, strict=True)
                    ]
                    log.progress(len(samples) + len(bad.samples), total, "images", unit=unit.name)
                output.predictions.write_shard(unit.name, sorted(samples + bad.samples, key=lambda one: one.key))
                output.stats.write(PredictionCounts(abstained=abstained))
                if params.bad_images == "record":
                    output.stats.write(PredictionCounts(images=len(samples), bad_images=len(bad.samples)))


def load(inputs: InferInputs, params: InferParams) -> Known:
    """Load the network, all training prompts and what says how sure it is; raises BadData, NotFound."""
    prompts = inputs.prompts.splits[TRAIN]
    device = prepare_torch(params)
    if not prompts.num_samples:
        raise BadData(f"the dataset {prompts.stage} has no training prompts to explain predictions with")
    texts: list[str] = []

    def vectors() -> Iterator[Floats]:
        for shard in prompts.shards():
            if samples := list(prompts.read(shard)):
                texts.extend(sample.text() for sample in samples)
                yield vectors_of(sample.raw for sample in samples)

    index = index_of(vectors(), params.device)
    regressor = load_regressor(inputs.trained.model.sample()).to(device)
    confidence = inputs.evaluated.confidence.sample()
    statistics = FeatureStatistics.decode(confidence["safetensors"])
    return Known(regressor, index, texts, confidence.value, statistics)


def explained(images: Sequence[Image | Read], outputs: Outputs, known: Known, params: InferParams) -> list[Prediction]:
    """The prediction of each image that the network gave the outputs for."""
    cosines, numbers = closest_in(known.index, outputs.vectors, params.num_candidates, threads=params.threads)
    sure = judged(known.confidence, signals(outputs, cosines[:, 0], known.statistics))
    predictions = []
    for row, (image, one) in enumerate(zip(images, sure, strict=True)):
        candidates = tuple(
            Candidate(prompt=known.prompts[number], cosine=round(cosine, 6))
            for number, cosine in zip(numbers[row].tolist(), cosines[row].tolist(), strict=True)
        )
        if one.abstained is not None:
            predictions.append(Prediction(id=image.id, candidates=candidates, abstained=one.abstained))
        else:
            predictions.append(
                Prediction(id=image.id, candidates=candidates, expected_cosine=one.expected, interval=one.interval)
            )
    return predictions


def _of_shards(inputs: InferInputs, unit: Unit, known: Known, params: InferParams, bad: BadImages) -> Predictions:
    """The predictions for generated images, known by their shards' digests."""
    samples = (sample for shard in unit.shards for sample in inputs.images.splits.read(shard))
    images = (Image(sample.key, image_in(sample.raw)) for sample in samples)
    on_bad = bad.add if params.bad_images == "record" else None
    yield from predict(known.regressor, images, lambda image: (image.id, image.data), params, on_bad)


def _of_files(
    unit: Unit,
    names: list[str],
    refused: Mapping[str, str],
    pixels_of: PixelsOf,
    known: Known,
    params: InferParams,
    bad: BadImages,
) -> Predictions:
    """The predictions for files; one that is gone raises NotFound, or is recorded.

    Raises StalePlan in the end when the files are not those that the unit was planned with.
    """
    store = open_store(params.images, patience_seconds=store_patience())
    record, size = params.bad_images == "record", known.regressor.architecture.image_size
    versions: dict[str, str | None] = {}
    for name in names:
        if name in refused:
            versions[name] = NOT_READ
            bad.add_refused(name, refused[name])

    def loaded() -> Iterator[tuple[Read, Pixels | BadImage]]:
        files = read_files(
            store,
            [name for name in names if name not in refused],
            lambda data, name: pixels_of(data, name, size),
            params.limits,
            threads=params.threads,
            depth=2 * params.threads * params.batch_size,
        )
        for file in files:
            versions[file.name] = file.version
            if not isinstance(file.pixels, NotFound):
                yield file, file.pixels
            elif record:
                bad.add_gone(file.id, file.pixels)
            else:
                raise file.pixels

    batches = in_batches(loaded(), params.batch_size)
    yield from predict_batches(known.regressor, batches, params, bad.add if record else None)
    if digest_of_files(versions) != unit.reads[FILES]:
        raise StalePlan(f"files in {store.url} changed while {unit.name} was read; the controller plans it again")
