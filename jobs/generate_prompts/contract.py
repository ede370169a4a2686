"""What generate-prompts reads and leaves: shards of the distinct prompts that were written."""

from __future__ import annotations

from jobs.collect.contract import Collected
from jobs.contract.declaration import Access, Contract, Inputs, Many, Stats
from jobs.contract.samples import Origin
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel


class GeneratePromptsInputs(Inputs):
    """Collected prompts, whose beginnings may be continued."""

    collected: Collected[Dataset]


class GeneratedOrigin(Origin):
    """What wrote a prompt."""

    model: str
    revision: str | None
    seed: int
    shard: int
    begun_from: str | None = None
    """The key of the collected prompt whose beginning was continued."""


class GenerateCounts(JsonModel):
    """What became of a shard's texts: wanted = kept + empty + repeated."""

    wanted: Count
    kept: Count
    empty: Count
    repeated: Count


class Generated(Contract[Access], stage="generate-prompts"):
    """One group."""

    generated = Many(GeneratedOrigin, "txt", key="prompt")
    stats = Stats(GenerateCounts)
