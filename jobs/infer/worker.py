"""Writes, for every image, its predicted vector, candidate prompts and the cosine to expect."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from jobs.infer.bad_images import BadImages
from jobs.infer.contract import InferInputs, Predicted
from jobs.infer.files import refused_names
from jobs.infer.models import RunModel
from jobs.infer.pictures import DecodeFile, file_decoders, read_samples
from jobs.infer.predicting import Files, Pictures, pictures_in, write_predictions
from jobs.infer.predictor import Predictor, load_predictor
from jobs.infer.stage import FILES, InferParams, files_by_unit, split_in
from jobs.runtime import log
from jobs.runtime.environment import store_patience
from jobs.runtime.spec import Unit
from jobs.runtime.task import Task
from jobs.shards.address import open_store
from jobs.shards.dataset import Writer

InferTask = Task[InferInputs, Predicted[Writer]]


class Source(Protocol):
    """Where the pictures of units come from."""

    def count(self, unit: Unit) -> int:
        """How many pictures a unit has."""

    def pictures(self, unit: Unit, predictor: Predictor, bad: BadImages) -> Pictures:
        """They, read and decoded."""


def run(task: InferTask, params: InferParams) -> None:
    """Predict the pending shards; equal images in equal shards give equal bytes."""
    predictor: Predictor | None = None
    with ExitStack() as stack:
        source: Source | None = None
        for unit in task.pending():
            source = source or _source(task, params, stack)  # whose decoders start while the network is loaded
            predictor = predictor or load_predictor(RunModel(task.output.url, task.inputs), params)
            with task.writing(unit) as output:
                bad = BadImages(output, partial(_note_bad, unit.name))
                show = partial(log.progress, total=source.count(unit), what="images", unit=unit.name)
                write_predictions(unit.name, source.pictures(unit, predictor, bad), predictor, params, bad, show)


def _source(task: InferTask, params: InferParams, stack: ExitStack) -> Source:
    if split_in(params) is not None:
        return _Shards(task, params)
    names = files_by_unit(params)
    refused = refused_names([name for part in names.values() for name in part])
    return _Folder(params, names, refused, stack.enter_context(file_decoders(params)))


@dataclass(frozen=True, slots=True)
class _Shards:
    """Generated images, known by their shards' digests."""

    task: InferTask
    params: InferParams

    def count(self, unit: Unit) -> int:
        return sum(shard.samples for shard in unit.shards)

    def pictures(self, unit: Unit, predictor: Predictor, _: BadImages) -> Pictures:
        images = self.task.inputs.images.splits
        samples = (sample.raw for shard in unit.shards for sample in images.read(shard))
        return read_samples(samples, predictor.network.image_size, self.params)


@dataclass(frozen=True, slots=True)
class _Folder:
    """Files in a folder or bucket."""

    params: InferParams
    names: dict[str, list[str]]  # by unit
    refused: dict[str, str]
    decode_file: DecodeFile

    def count(self, unit: Unit) -> int:
        return len(self.names[unit.name])

    def pictures(self, unit: Unit, predictor: Predictor, bad: BadImages) -> Pictures:
        store = open_store(self.params.images, patience_seconds=store_patience())
        files = Files(store=store, names=self.names[unit.name], refused=self.refused, digest=unit.reads[FILES])
        return pictures_in(files, self.decode_file, predictor, self.params, bad)


def _note_bad(unit: str, count: int, error: str) -> None:
    log.note("bad image", unit=unit, count=count, error=error)
