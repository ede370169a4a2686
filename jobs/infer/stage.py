"""What infer is: a unit for each shard of a split, or for so many files of a folder."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from jobs.contract.samples import TRAIN
from jobs.errors import BadData, StalePlan
from jobs.imaging.limits import SUFFIXES, WHITE, Colour, ImageLimits
from jobs.infer.contract import InferInputs, ModelInputs, Predicted
from jobs.infer.files import (
    check_gone,
    check_names,
    digest_of_files,
    find_images,
    names_in,
    versions_of,
)
from jobs.regressor.params import PredictParams
from jobs.runtime.environment import store_patience
from jobs.runtime.incoming import ReadsIncomingFiles
from jobs.runtime.spec import StageSpec, Unit, without_defaults
from jobs.shards.address import open_store
from jobs.shards.reads import reads_of_shard

FILES = "images"  # the label under which a unit has read files
OF_FILES = "files"  # the setting `images` of a unit that reads files: where they are is not part of the result

_SPLIT = "split:"


class InferParams(PredictParams, ReadsIncomingFiles):
    """Which images are read, and what is stored for each."""

    decides_units = frozenset({"files", "images_per_shard"})
    read_by_content = frozenset({"images"})

    images: str = Field(default="split:test", min_length=1)
    """`split:NAME` for generated images, or a folder or s3://BUCKET/PREFIX with files that end in .png, .jpg, .jpeg,
    .webp, .gif, .tif, .tiff, .bmp, .avif, .heic or .heif; what each one is follows from its content."""

    files: str | None = None
    """A JSON file (a path or s3://…) with {"names": […]}: the only files below `images` that are read; null for all."""

    images_per_shard: int = Field(default=1_000, ge=1)
    """Files in one shard of predictions; shards of a split stay as they are."""

    num_candidates: int = Field(default=5, ge=1)
    """The closest training prompts stored for each image."""

    compose: bool = True
    """Whether prompts are also composed of fragments of training prompts, which come closer to what was read out of an
    image. It takes 0.1 to 0.2 s of a CPU for each image; abstained ones have none."""

    thumbnail: int = Field(default=256, ge=0, le=1024)
    """Pixels of the longer side of a small copy that is stored with each prediction, about 8 kB; 0 stores none."""

    bad_images: Literal["fail", "record"] = "fail"
    """What becomes of a file that is no image, is too large, has a name that cannot be asked for, or of those listed in
    `files` is gone: its unit fails, or its prediction is recorded as {"id", "error"} without a
    vector."""

    limits: ImageLimits = ImageLimits()
    """What a file may take; generated images have no limits."""

    background: Colour = WHITE
    """The colour behind what is transparent in a file, "#rrggbb"."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is not set of the limits and the background, which was added later."""
        return without_defaults(self, serialise, "limits", "background")

    def incoming(self) -> str | None:
        return None if split_in(self) else self.images

    def why_no_batches(self) -> str:
        if split_in(self):
            return f"images: a batch reads a folder or s3://BUCKET/PREFIX that files come into, not {self.images!r}"
        return f"files: every batch has its own; remove {self.files!r}" if self.files else ""

    def is_incoming(self, name: str) -> bool:
        return name.lower().endswith(SUFFIXES)

    def of_batch(self, names: str) -> dict[str, Any]:
        # With `fail`, one broken file would keep its batch from ever being done.
        return {"files": names, "bad_images": "record"}


def split_in(params: InferParams) -> str | None:
    """The split whose images are read, or None for files."""
    return params.images.removeprefix(_SPLIT) if params.images.startswith(_SPLIT) else None


def files_by_unit(params: InferParams) -> dict[str, list[str]]:
    """The names of the files that each unit reads; raises BadData."""
    only = None if params.files is None else names_in(params.files)
    store = open_store(params.images, patience_seconds=store_patience())
    names, size = find_images(store, only), params.images_per_shard
    if params.bad_images == "fail":
        check_names(names, store.url)
    parts = [names[start : start + size] for start in range(0, len(names), size)]
    return {_name(number): part for number, part in enumerate(parts)}


def units(params: InferParams, inputs: InferInputs) -> list[Unit]:
    besides = reads_of_model(inputs)
    split = split_in(params)
    settings = params.settings()
    del settings["images_per_shard"], settings["files"]  # they show in what a unit reads
    if params.bad_images == "fail":  # then all that is committed is the same as before there was a choice
        del settings["bad_images"]
    if split is None:
        settings["images"] = OF_FILES
        return [
            Unit(unit, settings, {FILES: digest_of_files(versions), **besides})
            for unit, versions in _versions_by_unit(params).items()
        ]
    for of_files in ("limits", "background"):  # generated images have none
        settings.pop(of_files, None)
    images = inputs.images.splits
    shards = images[split].shards()
    if not shards:
        raise BadData(f"images: the dataset {images.stage} has no split {split!r}, only {sorted(images.names)}")
    return [
        Unit(_name(number), settings, {**reads_of_shard(images.stage, shard), **besides}, (shard,))
        for number, shard in enumerate(shards)
    ]


def reads_of_model(inputs: InferInputs | ModelInputs) -> dict[str, str]:
    """What a unit reads of the model that it predicts with."""
    return {
        **inputs.trained.model.reads(),
        **inputs.prompts.splits[TRAIN].reads(),
        **inputs.evaluated.confidence.reads(),
        **inputs.cut.vocabulary.reads(),
    }


def _versions_by_unit(params: InferParams) -> dict[str, dict[str, str | None]]:
    store, parts = open_store(params.images, patience_seconds=store_patience()), files_by_unit(params)
    versions = versions_of(store, [name for names in parts.values() for name in names], params.limits.file_bytes)
    if params.files is not None:
        check_gone(store, versions, recorded=params.bad_images == "record")
    elif None in versions.values():
        raise StalePlan(f"files in {store.url} were deleted while it was listed; a retry lists it again")
    return {unit: {name: versions[name] for name in names} for unit, names in parts.items()}


def _name(number: int) -> str:
    return f"{Predicted.predictions.name}-{number:05d}"


INFER = StageSpec(
    version=4,
    reads=InferInputs,
    writes=Predicted,
    params=InferParams,
    units=units,
    worker="jobs.infer.worker:run",
    section="jobs.infer.section:page",
    results="jobs.infer.results.of_run:RESULTS",
    lineage="jobs.infer.lineage:LINEAGE",
    about="predicts vectors and prompts for images",
)
