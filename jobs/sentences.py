"""The sentence embedding model that embed and the filter of files share: loaded by name, unit vectors of prompts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from threading import Barrier
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from torch.nn import functional
from transformers.utils import logging

from jobs.contract.samples import DIMENSIONS
from jobs.errors import BadConfiguration
from jobs.runtime.device import prepare_torch
from jobs.runtime.models import ModelParams, locate

_PIECES_EACH = 4  # a batch has so many word pieces for each of `batch_size`, a quarter of the median real prompt's


def load_model(params: ModelParams) -> SentenceTransformer:
    """The sentence embedding model, on the device asked for, in float32 and eval mode."""
    return _loaded(params, local_files_only=False)


def _loaded(params: ModelParams, *, local_files_only: bool) -> SentenceTransformer:
    device = prepare_torch(params)
    name, revision = locate(params)
    return SentenceTransformer(
        name,
        revision=revision,
        device=str(device),
        local_files_only=local_files_only,
        model_kwargs={"use_safetensors": True},
    ).eval()


def load_prompt_model(params: ModelParams, *, local_files_only: bool = False) -> SentenceTransformer:
    """The model; raises BadConfiguration for one whose vectors are not what all stages after embed expect.

    With `local_files_only` nothing is downloaded, and one that is missing raises BadConfiguration.
    """
    model = load_local_model(params) if local_files_only else load_model(params)
    if (found := dimensions(model)) != DIMENSIONS:
        raise BadConfiguration(
            f"model: {params.model} has vectors of {found} numbers, required are {DIMENSIONS}, as of all-MiniLM-L6-v2"
        )
    return model


def load_local_model(params: ModelParams) -> SentenceTransformer:
    """The model, if it is on this machine; raises BadConfiguration that says what to do where it is not."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call] # of the 103 tensors, in the middle of our own
    try:
        return _loaded(params, local_files_only=True)
    except (OSError, ValueError) as error:
        if params.revision:
            raise BadConfiguration(
                f"model: {params.model} at {params.revision} is not in this machine's cache of the hub, and nothing is "
                f"downloaded; `hf download {params.model} --revision {params.revision}` fetches it"
            ) from error
        raise BadConfiguration(
            f"model: {params.model} is required to be what SentenceTransformer.save() writes: {error}"
        ) from error


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
    for rows, texts in _full_batches(model, prompts, batch_size):
        made = model.encode(
            texts,
            batch_size=len(texts),
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        vectors[rows] = made[: len(rows)]
        done += len(rows)
        on_progress(done, len(prompts))
    return vectors


def embed_in_pool(
    model: SentenceTransformer, prompts: Sequence[str], *, batch_size: int, pool: Executor
) -> NDArray[np.float32]:
    """The same vectors as `embed` gives on a CPU with one thread; the threads of `single_threads` take a batch each.

    For few prompts: what one batch computes is then too little to be divided, and threads that wait for each other at
    every step take many times as long where they have to share cores with other processes.
    """
    vectors = np.empty((len(prompts), dimensions(model)), dtype=np.float32)
    made = [
        (rows, pool.submit(_forward, model, model.preprocess(texts)))  # here, as a tokenizer takes no two calls at once
        for rows, texts in _full_batches(model, prompts, batch_size)
    ]
    for rows, vectors_of_batch in made:
        vectors[rows] = vectors_of_batch.result()[: len(rows)]
    return vectors


def single_threads(count: int) -> Executor:
    """So many threads, in each of which torch computes without further ones; they end when nothing refers to them."""
    pool, before, all_started = ThreadPoolExecutor(count), torch.get_num_threads(), Barrier(count)

    def compute_alone() -> None:
        all_started.wait()
        torch.set_num_threads(1)  # of this thread, and of all that torch is first used in from now on
        torch.get_num_threads()  # is a first use: after it, another number set elsewhere changes nothing here

    wait([pool.submit(compute_alone) for _ in range(count)])
    torch.set_num_threads(before)
    return pool


def _forward(model: SentenceTransformer, features: dict[str, Any]) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: torch.Tensor = model(features)["sentence_embedding"]
        made: NDArray[np.float32] = functional.normalize(found, p=2, dim=1).numpy()
        return made


def _full_batches(
    model: SentenceTransformer, prompts: Sequence[str], batch_size: int
) -> Iterator[tuple[list[int], list[str]]]:
    """The rows of each batch, and its prompts, of which the last one is repeated until the batch is full."""
    for rows, size in batches(num_pieces(model, prompts), batch_size):
        yield rows, [prompts[row] for row in rows + rows[-1:] * (size - len(rows))]


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
