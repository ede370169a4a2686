"""A run to be exported, written without any model in a moment, and what an export of it left."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.catalog import EXPORTS
from jobs.export.command import Asked
from jobs.export.run import write
from jobs.report.page import RunView, Summary
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.keys import key_of
from jobs.shards.store import Store
from jobs.shards.tar import Sample, json_field
from tests.samples import noise
from tests.stages import dataset_of

NPY = (  # the beginning of 384 numbers
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (384,), }".ljust(127) + b"\n"
)
RECIPE = {"model": "drawing", "revision": None}


def sample_of(prompt: str, source: str = "grammar", *, given: bytes = b"", **origin: Any) -> Sample:
    """A sample with an image, which is given where its origin is said."""
    values = {"source": source, "row": 1, "licence": "CC0-1.0", "file": None, **origin}
    fields = {"txt": prompt.encode(), "json": json_field(values), "npy": vector_of(prompt)}
    more = {"given": given} if given else {}
    return Sample(key_of(prompt), {**fields, "png": noise(300, prompt), **more})


def vector_of(prompt: str) -> bytes:
    """A vector as numpy writes it; its numbers, which depend on the prompt, have no meaning."""
    return NPY + struct.pack("<384f", *(byte / 255 for byte in noise(384, prompt)))


def run_of(store: Store, samples: dict[str, list[Sample]], settings: dict[str, Any] | None = None) -> RunView:
    """A run whose images are these, by shard."""
    dataset_of(store, "generate-images", samples, RECIPE if settings is None else settings)
    return view_of(store, "generate-images")


def small_run(store: Store) -> RunView:
    """A run with images of three splits in six shards."""
    names = {"train": 3, "val": 2, "test": 1}
    return run_of(
        store,
        {
            f"{split}-{number:05d}": [sample_of(f"{split} {number} {one}, oil painting") for one in range(4)]
            for split, shards in names.items()
            for number in range(shards)
        },
    )


def view_of(store: Store, *stages: str) -> RunView:
    """The run as exports look at it."""
    manifests = {stage: load_manifest(store.at(stage)) for stage in stages}
    datasets = {stage: Dataset(store.at(stage), found) for stage, found in manifests.items() if found}
    return RunView(datasets, frozenset(stages), store.url)


def exported(
    view: RunView,
    out: Path | str,
    what: str = "images",
    form: str = "jsonl",
    *,
    vectors: bool = False,
    force: bool = False,
) -> Summary:
    """Export as the command line does."""
    (one,) = (one for one in EXPORTS if one.name == what)
    return write(one, view, Asked(out=str(out), format=form, vectors=vectors, force=force), lambda *_: None)


def digests(folder: Path) -> dict[str, str]:
    """Of every file below a folder, hidden ones too."""
    return dict(_digests(folder))


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
