"""What embed reads and leaves: every shard of prompts, of the same name, with the prompts' vectors added."""

from __future__ import annotations

from jobs.collect.contract import Collected
from jobs.contract.declaration import Access, Contract, Inputs, Splits
from jobs.contract.samples import Origin
from jobs.generate_prompts.contract import Generated
from jobs.shards.dataset import Dataset


class EmbedInputs(Inputs):
    """All prompts."""

    collected: Collected[Dataset]
    generated: Generated[Dataset]


class Embedded(Contract[Access], stage="embed"):
    """Groups are those of the inputs; `npy` is a unit vector, float32 of shape (384,)."""

    prompts = Splits(Origin, "txt", "npy", key="prompt")
