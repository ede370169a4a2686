"""Predictions made in parts that are committed like a stage's units, so that a command that was killed goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from jobs.infer.bad_images import BadImages
from jobs.infer.contract import Predicted
from jobs.infer.ensembles import AnyModel
from jobs.infer.pictures import DecodeFile, file_decoders
from jobs.infer.predicting import Files, pictures_in, write_predictions
from jobs.infer.predictor import Predictor, load_predictor
from jobs.infer.stage import FILES, INFER, InferParams
from jobs.runtime.commands import Progress
from jobs.runtime.spec import Unit
from jobs.runtime.task import commit_written, new_attempt
from jobs.shards.dataset import Committed, Dataset, Writer
from jobs.shards.records import Manifest, Outcome
from jobs.shards.store import Store

_NOT_OF_THE_RESULT = ("images", "files", "images_per_shard", "bad_images")


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the images, and the unit as which they are committed."""

    files: Files
    unit: Unit


def parts(found: Iterator[Files], model: AnyModel, params: InferParams, total: int, show: Progress) -> list[Part]:
    """The parts of `total` images; equal ones have equal fingerprints wherever they are, with an equal model."""
    made, done = list[Part](), 0
    settings = {name: value for name, value in params.settings().items() if name not in _NOT_OF_THE_RESULT}
    for number, files in enumerate(found):
        reads = {FILES: files.digest, **model.reads}
        unit = Unit(f"{Predicted.predictions.name}-{number:05d}", {**settings, "prefix": files.prefix}, reads)
        made.append(Part(files, unit))
        done += len(files.names)
        show("looking", done, total)
    return made


def predicted(
    work: Store, wanted: Sequence[Part], model: AnyModel, params: InferParams, show: Progress
) -> Predicted[Dataset]:
    """All predictions, of which those that `work` holds are not made again; raises StalePlan, NotFound, StoreError."""
    committed, attempt = Committed.of(work), new_attempt()
    total, done = sum(len(part.files.names) for part in wanted), 0
    outcomes, left = dict[str, Outcome](), list[Part]()
    for part in wanted:
        record = committed.record(part.unit.name, INFER.fingerprint(part.unit))
        if record is None or committed.missing(record.outcome):
            left.append(part)
        else:
            outcomes[part.unit.name] = record.outcome
            done += len(part.files.names)
    if left:
        show("loading", done, total)
        with file_decoders(params) as decode_file:  # which start while the network is loaded
            predictor = load_predictor(model, params, local_files_only=True)
            for part in left:

                def count(here: int, before: int = done) -> None:
                    show("predicting", before + here, total)

                outcomes[part.unit.name] = _made(part, work, predictor, decode_file, params, attempt, count)
                done += len(part.files.names)
    return Predicted(Dataset(work, Manifest(INFER.name, tuple(outcomes[part.unit.name] for part in wanted))))


def _made(
    part: Part,
    work: Store,
    predictor: Predictor,
    decode_file: DecodeFile,
    params: InferParams,
    attempt: str,
    count: Callable[[int], None],
) -> Outcome:
    started, writer = time.monotonic(), Writer(work)
    bad = BadImages(Predicted(writer), lambda *_: None)  # which are in the result, each with its reason
    pictures = pictures_in(part.files, decode_file, predictor, params, bad)
    write_predictions(part.unit.name, pictures, predictor, params, bad, count)
    seconds = round(time.monotonic() - started, 3)
    record, _ = commit_written(INFER, part.unit, writer, attempt, seconds=seconds)
    return record.outcome
