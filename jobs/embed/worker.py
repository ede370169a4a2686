"""Adds `npy`, the prompt's unit vector, float32 of shape (384,), to every sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from jobs.contract.samples import DIMENSIONS
from jobs.embed.contract import Embedded, EmbedInputs
from jobs.embed.stage import EmbedParams
from jobs.runtime import log
from jobs.runtime.arrays import npy_field
from jobs.runtime.device import prepare_torch
from jobs.runtime.models import locate
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer


def run(task: Task[EmbedInputs, Embedded[Writer]], params: EmbedParams) -> None:
    """Embed the pending shards; equal shards give equal bytes, whatever else is embedded with them."""
    model: SentenceTransformer | None = None
    for unit in task.pending():
        model = model or load_model(params)
        with task.writing(unit) as output:
            (shard,) = unit.shards
            samples = list(task.read(shard))
            vectors = embed(model, [sample.text() for sample in samples], batch_size=params.batch_size)
            with_vectors = (
                sample.adding(npy=npy_field(vector)) for sample, vector in zip(samples, vectors, strict=True)
            )
            output.prompts.write_shard(shard.name, with_vectors)


def load_model(params: EmbedParams) -> SentenceTransformer:
    """The sentence embedding model, on the device asked for, in float32 and eval mode."""
    device = prepare_torch(params)
    name, revision = locate(params)
    return SentenceTransformer(name, revision=revision, device=str(device)).eval()


def embed(model: SentenceTransformer, prompts: Sequence[str], *, batch_size: int) -> NDArray[np.float32]:
    """Unit vectors of the prompts, float32 of shape (len(prompts), 384); at most 256 word pieces of each are read."""
    longest_first = sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), row))  # so that little is padded
    vectors = np.empty((len(prompts), DIMENSIONS), dtype=np.float32)
    for start in range(0, len(prompts), batch_size):
        rows = longest_first[start : start + batch_size]
        vectors[rows] = model.encode(
            [prompts[row] for row in rows],
            batch_size=batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        log.progress(start + len(rows), len(prompts), "prompts")
    return vectors
