"""What a stage left, as Python values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import IMAGE_FIELDS
from jobs.errors import NotFound
from jobs.runtime.arrays import from_npy
from jobs.runtime.environment import store_patience
from jobs.shards import dataset, tar
from jobs.shards.address import open_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample of a dataset."""

    key: str
    group: str
    """Of prompts and images their split, like "train"."""

    prompt: str | None
    values: dict[str, Any]
    """Its JSON: where a prompt is from, what was predicted, …"""

    vector: NDArray[np.float32] | None
    image: bytes | None
    """The bytes of an image file, which `PIL.Image.open(io.BytesIO(…))` opens."""

    fields: dict[str, bytes]
    """All that the sample holds, by the names of its fields."""


@dataclass(frozen=True)
class OpenDataset:
    """The dataset of a stage; its samples are read, and checked against their digests, as they are iterated over."""

    stage: str
    data: dataset.Dataset
    only: str | None = None

    @property
    def groups(self) -> list[str]:
        """The groups of samples, like "train" and "val"."""
        return list(dict.fromkeys(shard.group for shard in self.data.shards()))

    def __getitem__(self, group: str) -> OpenDataset:
        """One group alone; raises KeyError where there is none of that name."""
        if group not in self.groups:
            raise KeyError(f"{self.stage} has no group {group!r}, only {', '.join(self.groups)}")
        return OpenDataset(self.stage, self.data, group)

    def __len__(self) -> int:
        return sum(shard.samples for shard in self._shards())

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order; raises Corrupt for a shard that is damaged."""
        for shard in self._shards():
            for sample in self.data.read(shard):
                yield _sample(sample, shard.group)

    def _shards(self) -> tuple[Any, ...]:
        return self.data.shards(self.only) if self.only else self.data.shards()


def open_dataset(address: str) -> OpenDataset:
    """The dataset of a stage, by the address of its folder: "runs/demo/generate-images", or s3://BUCKET/….

    Raises NotFound where no stage has finished.
    """
    store = open_store(address, patience_seconds=store_patience())
    manifest = dataset.load_manifest(store)
    if manifest is None:
        raise NotFound(
            f"{address} holds no finished stage; name the folder of one in a run, like runs/demo/generate-images"
        )
    return OpenDataset(manifest.stage, dataset.Dataset(store, manifest))


def _sample(sample: tar.Sample, group: str) -> Sample:
    fields = dict(sample.fields)
    image = next((fields[name] for name in IMAGE_FIELDS if name in fields), None)
    return Sample(
        key=sample.key,
        group=group,
        prompt=sample.text() if "txt" in fields else None,
        values=json.loads(fields.get("json", b"{}")),
        vector=from_npy(fields["npy"]) if "npy" in fields else None,
        image=image,
        fields=fields,
    )
