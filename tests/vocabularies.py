"""Fragments of a few prompts, as cut-prompts leaves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from jobs.composing.stored import record_of
from jobs.composing.values import SearchParams
from jobs.composing.vocabulary import vocabulary_of
from jobs.runtime.arrays import npy_field
from jobs.runtime.models import LOCAL_SENTENCE_MODEL
from jobs.shards.dataset import Dataset
from jobs.shards.store import Store
from jobs.shards.tar import Sample
from tests.pictures import unit_vectors
from tests.stages import dataset_of

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def random_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Some vectors, for where nobody looks at them."""
    return unit_vectors(len(texts), seed=3)


def cut(
    run: Store, prompts: Sequence[str], embed: Embed = random_vectors, model: str = LOCAL_SENTENCE_MODEL
) -> Dataset:
    """What cut-prompts would have written of these prompts."""
    found = vocabulary_of(prompts, 200)
    record = record_of(found, len(prompts), model, None, SearchParams())
    vectors = npy_field(embed([one.text for one in found.fragments]))
    return dataset_of(
        run, "cut-prompts", {"vocabulary": [Sample("vocabulary", {"json": record.encode(), "npy": vectors})]}
    )
