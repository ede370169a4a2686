"""From pictures to the samples of one unit: of the stage a shard, of `i2p predict` a part of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jobs.errors import NotFound, StalePlan
from jobs.imaging.pixels import BadImage, Pixels
from jobs.infer.bad_images import BadImages
from jobs.infer.contract import PredictionCounts
from jobs.infer.files import NOT_READ, digest_of_files
from jobs.infer.pictures import DecodeFile, Picture, read_files
from jobs.infer.predictor import Predictor
from jobs.infer.results.rows import THUMBNAIL
from jobs.infer.stage import InferParams
from jobs.regressor.predict import in_batches, predict_batches
from jobs.runtime.arrays import npy_field
from jobs.shards.keys import key_of_id
from jobs.shards.store import Readable
from jobs.shards.tar import Sample

Pictures = Iterator[tuple[Picture, Pixels | BadImage]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files below a store; an id is a file's name there behind `prefix`."""

    store: Readable
    names: Sequence[str]
    refused: Mapping[str, str]  # why some are not read, for their names
    digest: str  # of names and versions, as the unit was planned with
    prefix: str = ""


def pictures_in(
    files: Files, decode_file: DecodeFile, predictor: Predictor, params: InferParams, bad: BadImages
) -> Pictures:
    """The pictures in files; one that is gone raises NotFound, or is recorded.

    Raises StalePlan in the end when the files are not those that the unit was planned with.
    """
    versions: dict[str, str | None] = {}
    for name in files.names:
        if name in files.refused:
            versions[name] = NOT_READ
            bad.add_refused(files.prefix + name, files.refused[name])
    names = [name for name in files.names if name not in files.refused]
    for file in read_files(files.store, names, decode_file, predictor.network.image_size, params):
        versions[file.name] = file.version
        if not isinstance(file.pixels, NotFound):
            yield Picture(files.prefix + file.name, file.thumbnail), file.pixels
        elif params.bad_images == "record":
            bad.add_gone(files.prefix + file.name, file.pixels)
        else:
            raise file.pixels
    if digest_of_files(versions) != files.digest:
        raise StalePlan(f"files in {files.store.url} changed while they were read; a retry reads them again")


def write_predictions(
    name: str,
    pictures: Pictures,
    predictor: Predictor,
    params: InferParams,
    bad: BadImages,
    on_progress: Callable[[int], None],
) -> None:
    """Write the shard of that name and its counts; equal pictures give equal bytes.

    `on_progress` is called with how many pictures are done. Raises BadImage for a bad one, unless it is recorded.
    """
    output = bad.output
    on_bad = bad.add if params.bad_images == "record" else None
    batches = in_batches(pictures, params.batch_size)
    samples: list[Sample] = []
    abstained = 0
    for batch, outputs in predict_batches(predictor.network, batches, params, on_bad):
        predictions = predictor.explained([picture.id for picture in batch], outputs, params)
        for picture, prediction, vector in zip(batch, predictions, outputs.vectors, strict=True):
            abstained += prediction.abstained is not None
            fields = {THUMBNAIL: picture.thumbnail} if picture.thumbnail is not None else {}
            key = key_of_id(picture.id)
            samples.append(output.predictions.sample(key, prediction, npy=npy_field(vector), **fields))
        on_progress(len(samples) + len(bad.samples))
    output.predictions.write_shard(name, sorted(samples + bad.samples, key=lambda one: one.key))
    output.stats.write(PredictionCounts(images=len(samples), bad_images=len(bad.samples), abstained=abstained))
