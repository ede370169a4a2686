"""What dedup reads and leaves: the kept prompts by split, every dropped one with its witness, and the certificate."""

from __future__ import annotations

from jobs.contract.declaration import Access, Contract, Inputs, Many, One, Splits, Stats
from jobs.contract.samples import Origin
from jobs.embed.contract import Embedded
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, Digest, JsonModel


class DedupInputs(Inputs):
    """All embedded prompts."""

    embedded: Embedded[Dataset]


class Verdict(Origin):
    """Why a prompt was dropped, beside its origin."""

    witness: str
    """The key of the closest prompt kept before it."""

    cosine: float
    """Their cosine, to 9 decimals."""


class Certificate(JsonModel):
    """What holds of the kept set, and what it takes to check it."""

    threshold: float
    order: str
    prompts: Count
    kept: Count
    dropped: Count
    kept_keys_sha256: Digest
    """Of the sorted kept keys, one a line."""

    held_out: dict[str, float]
    splits: dict[str, Count]


class Deduplicated(Contract[Access], stage="dedup"):
    """Groups are the splits; a dropped prompt's key is its own and the name of the shard that it was embedded in."""

    splits = Splits(Origin, "txt", "npy", key="prompt")
    dropped = Many(Verdict, "txt")
    certificate = One(Certificate)
    stats = Stats(Certificate)
