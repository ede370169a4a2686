"""Every sample that has an image: its prompt, and what made the image or where it was taken from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jobs.contract.reading import TypedSample
from jobs.contract.samples import IMAGE_FIELDS, Given
from jobs.errors import Corrupt
from jobs.export.origins import PROMPT, finished, of_prompt, prompt_values
from jobs.export.rows import Column, Content, Image, Row, Table, image_folder, split_name
from jobs.generate_images.contract import GeneratedImages
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.records import Shard

_IMAGE = (
    Column("image_name", "the image's file in an export as `imagefolder`"),
    Column("image_is", "made by the pipeline, or given by a source"),
    Column("model", "that made the image; empty where it is given"),
    Column("revision", "of that model; empty where it has none"),
    Column("given", "the origin of a given image, as JSON; {} where it is made"),
)


def content(view: RunView) -> Content:
    """One table; raises NotFound before the images are made."""
    images = finished(view, GeneratedImages[Dataset], "the images of the run are not made yet")
    settings = {shard.name: one.settings for one in images.data.manifest.outcomes for shard in one.shards}

    def read(split: str, shard: Shard) -> Iterator[Row]:
        made_by = {name: str(settings[shard.name].get(name) or "") for name in ("model", "revision")}
        return (_row(sample, split, shard, made_by) for sample in images.splits.read(shard))

    shards = tuple((split_name(shard.group), shard) for shard in images.splits.shards())
    return Content(
        images.data.manifest.digest,
        (Table(name="data", columns=(*PROMPT, *_IMAGE), shards=shards, read=read, images=True),),
    )


def _row(sample: TypedSample[Any], split: str, shard: Shard, made_by: dict[str, str]) -> Row:
    field = next((one for one in IMAGE_FIELDS if one in sample), "")
    if not field:
        raise Corrupt(f"sample {sample.key} has no image; `i2p verify` says more")
    given = Given.decode(sample["given"], f"field 'given' of sample {sample.key}") if "given" in sample else None
    values = {
        **prompt_values(sample, split),
        "image_name": f"{image_folder(split, shard)}/{sample.key}.{field}",
        "image_is": "given" if given else "made",
        **(dict.fromkeys(made_by, "") if given else made_by),
        "given": (given.encode() if given else b"{}").decode(),
    }
    taken = ((given.source, given.licence or ""),) if given else ()
    origins = tuple(dict.fromkeys((of_prompt(values), *taken)))
    return Row(sample.key, values, image=Image(field, sample[field]), vector=sample["npy"], origins=origins)
