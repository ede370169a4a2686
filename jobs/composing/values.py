"""JSON and settings of composing that several stages store or read. Free of numpy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobs.runtime.spec import Params
from jobs.shards.strict_json import Count, JsonModel

DECIMALS = 6  # of a candidate's cosine
Kind = Literal["retrieved", "composed"]
LinkName = Literal["first", "clause", "phrase"]


class SearchParams(Params):
    """How long is searched for a text, and for what."""

    num_rounds: int = Field(default=6, ge=1, le=100)
    """Changes at most of each text, one in each round."""

    num_tries: int = Field(default=4, ge=1, le=1_000)
    """Changed texts that are embedded for each image in each round: the time that composing takes."""

    num_kept: int = Field(default=3, ge=1, le=100)
    """Texts that are changed further, of each image; so many composed candidates it has at most."""

    num_starts: int = Field(default=3, ge=1, le=100)
    """Of the closest known prompts of an image, so many are changed."""

    least_gain: float = Field(default=0.02, gt=0, le=2)
    """An image is finished when no change brings its best text closer than this, in cosine."""

    most_words: int = Field(default=40, ge=1, le=1_000)
    """No change makes a text longer than this."""

    num_shortlisted: int = Field(default=400, ge=1, le=100_000)
    """Fragments that come into question for an image: so many of the closest, and as many for what the start lacks."""


class VocabularyRecord(JsonModel):
    """What texts are composed of, and how; the fragments' vectors are beside it."""

    model: str
    """The sentence embedding model, as a configuration names it: that of the known prompts' vectors."""

    revision: str | None
    prompts: Count
    """Known prompts that were cut."""

    fragments: tuple[tuple[LinkName, str], ...]
    """With how each is linked to what stands before it, the most frequent first."""

    joints: tuple[tuple[str, str], ...]
    """A word, and one that connects a phrase with it."""

    search: SearchParams


class Candidate(JsonModel):
    """A text, and the cosine of its own vector to what was predicted."""

    prompt: str
    cosine: float
    kind: Kind = "retrieved"
    """A known prompt as it is, or one that was composed of fragments of several."""


def retrieved(prompt: str, cosine: float) -> Candidate:
    """A known prompt as a candidate."""
    return Candidate(prompt=prompt, cosine=round(cosine, DECIMALS), kind="retrieved")
