"""The sentence embedding model that embed and the filter of files share: loaded by name, unit vectors of prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from jobs.runtime.device import prepare_torch
from jobs.runtime.models import ModelParams, locate

_PIECES_EACH = 4  # a batch has so many word pieces for each of `batch_size`, a quarter of the median real prompt's


def load_model(params: ModelParams, *, local_files_only: bool = False) -> SentenceTransformer:
    """The sentence embedding model, on the device asked for, in float32 and eval mode.

    With `local_files_only` nothing is downloaded; raises OSError for a hub repository that is not in the cache.
    """
    device = prepare_torch(params)
    name, revision = locate(params)
    return SentenceTransformer(name, revision=revision, device=str(device), local_files_only=local_files_only).eval()


def embed(
    model: SentenceTransformer,
    prompts: Sequence[str],
    *,
    batch_size: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Unit vectors of the prompts, float32 of shape (len(prompts), d), where d is the model's: 384 for MiniLM.

    A vector is a function of its prompt and `batch_size`, to the last bit on one kind of machine: its batch has a shape
    that follows from the prompt's own length, and nothing in it is padded.

    The model reads so many word pieces of each as it can, 256 for MiniLM. `on_progress` gets the prompts done and all.
    """
    vectors = np.empty((len(prompts), dimensions(model)), dtype=np.float32)
    done = 0
    for rows, size in batches(num_pieces(model, prompts), batch_size):
        filled = rows + rows[-1:] * (size - len(rows))
        made = model.encode(
            [prompts[row] for row in filled],
            batch_size=size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors[rows] = made[: len(rows)]
        done += len(rows)
        on_progress(done, len(prompts))
    return vectors


def num_pieces(model: SentenceTransformer, prompts: Sequence[str]) -> list[int]:
    """How many word pieces of each prompt are read, with the two at its ends."""
    if not prompts:
        return []
    tokens = model.tokenizer(list(prompts), truncation=True, max_length=model.max_seq_length)
    return [len(one) for one in tokens["input_ids"]]


def batches(lengths: Sequence[int], batch_size: int) -> Iterator[tuple[list[int], int]]:
    """Rows of equal length, the longest first, and how many of them a batch of that length has when it is full.

    Only equal lengths, because a batch without padding is computed by another kernel than one with, and gives other
    last bits. Few long ones at once, so that little is computed to fill a batch up: of 3,000 real prompts with 107
    lengths a sixth; with `batch_size` prompts of every length it would be more than the prompts themselves.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, length in enumerate(lengths):
        by_length[length].append(row)
    for length, rows in sorted(by_length.items(), reverse=True):
        size = min(batch_size, max(1, batch_size * _PIECES_EACH // length))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], size


def dimensions(model: SentenceTransformer) -> int:
    """The length of the model's vectors."""
    found = model.get_embedding_dimension()
    assert found is not None  # noqa: S101 - of a model that ends with a layer of no known width
    return found
