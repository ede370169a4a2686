"""What cut-prompts reads and leaves: the fragments of training prompts, of which texts are composed."""

from __future__ import annotations

from jobs.composing.values import VocabularyRecord
from jobs.contract.declaration import Access, Contract, Inputs, One, Stats
from jobs.dedup.contract import Deduplicated
from jobs.shards.dataset import Dataset
from jobs.shards.strict_json import Count, JsonModel


class CutPromptsInputs(Inputs):
    """The kept prompts."""

    prompts: Deduplicated[Dataset]


class CutCounts(JsonModel):
    """How much there is to compose with."""

    fragments: Count
    joints: Count


class CutPrompts(Contract[Access], stage="cut-prompts"):
    """`npy` are the fragments' unit vectors in their order, float32 of shape (n, 384)."""

    vocabulary = One(VocabularyRecord, "npy")
    stats = Stats(CutCounts)
