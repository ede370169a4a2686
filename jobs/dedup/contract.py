"""What dedup reads and leaves: decisions, kept prompts by split, dropped ones with witnesses, and a certificate."""

from __future__ import annotations

from jobs.contract.declaration import Access, Contract, Inputs, Many, One, Splits
from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.embed.contract import Embedded
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, Digest, JsonModel


class DedupInputs(Inputs):
    """All embedded prompts."""

    embedded: Embedded[Dataset]


class ShardDecisions(JsonModel):
    """How many of an embedded shard's prompts were kept."""

    source: str
    prompts: Count
    kept: Count
    excluded: Count = 0
    """Not among `prompts`."""


class Verdict(Origin):
    """Why a prompt was dropped, beside its origin."""

    witness: str
    """The key of the closest prompt kept before it."""

    cosine: float
    """Their cosine, to 9 decimals."""


def is_repeat(dropped: TypedSample[Verdict]) -> bool:
    """Whether a dropped prompt is word for word the witness, so that both have the same key."""
    return dropped.key.partition("-")[0] == dropped.value.witness


class Certificate(JsonModel):
    """What holds of the kept set, and what it takes to check it."""

    threshold: float
    order: str
    prompts: Count
    kept: Count
    dropped: Count
    excluded: Count = 0
    kept_keys_sha256: Digest
    """Of the sorted kept keys, one a line."""

    held_out: dict[str, float]
    splits: dict[str, Count]


class Deduplicated(Contract[Access], stage="dedup"):
    """Groups are the splits, whose shards each hold a range of keys.

    Decisions are under the name of the embedded shard that they are about; `keys` are those of its kept prompts, one a
    line, in the order of the filter. A dropped prompt's key is its own and the name of its embedded shard.
    """

    splits = Splits(Origin, "txt", "npy", key="prompt")
    decisions = Many(ShardDecisions, "keys")
    dropped = Many(Verdict, "txt")
    certificate = One(Certificate)
