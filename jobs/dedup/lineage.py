"""What dedup says of one prompt: kept, in which split, or dropped, and because of which other prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.dedup.contract import Deduplicated, Verdict
from jobs.dedup.stage import CERTIFICATE
from jobs.embed.contract import Embedded
from jobs.report.lineage import Lineage, Subject, Values, first_sample
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.keys import is_prompt_key, split_of


def part(view: RunView, subject: Subject) -> Values | None:
    """The verdict, with the witness of a dropped prompt."""
    filtered, origin = view.get(Deduplicated[Dataset]), subject.origin
    if filtered is None or origin is None:
        return None
    settings = next((outcome.settings for outcome in filtered.data.manifest.outcomes), {})
    threshold = settings.get("threshold")
    if isinstance(origin, Verdict):
        _, witness = _kept(filtered, origin.witness)
        return {
            "verdict": "dropped",
            "witness": origin.witness,
            "witness_prompt": witness.text() if witness else None,
            "cosine": origin.cosine,
            "threshold": threshold,
        }
    if subject.split is None:
        return {"verdict": _neither(view, filtered, origin, settings.get("exclude", {}))}
    shards = [shard.name for shard in filtered.splits[subject.split].holding(subject.key)]
    return {"verdict": "kept", "threshold": threshold, "split": subject.split, "shards": shards}


def by_key(view: RunView, key: str) -> Subject | None:
    """A kept prompt, by two requests, or a dropped one, by one more for each shard of them at most.

    There is one of dropped prompts for each embedded shard, and any key may be in any of them.
    """
    filtered = view.get(Deduplicated[Dataset])
    if filtered is None or not is_prompt_key(key):
        return None
    split, kept = _kept(filtered, key)
    if kept:
        return Subject(key=key, prompt=kept.text(), origin=kept.value, split=split)
    dropped = first_sample(
        filtered.dropped, filtered.dropped.shards(), lambda sample: sample.key.partition("-")[0] == key
    )
    return Subject(key=key, prompt=dropped.text(), origin=dropped.value) if dropped else None


def _neither(view: RunView, filtered: Deduplicated[Dataset], origin: Origin, exclude: Mapping[str, Any]) -> str:
    """Why a prompt was neither kept nor dropped."""
    embedded = view.get(Embedded[Dataset])
    outcomes = (one for one in filtered.data.manifest.outcomes if one.unit == CERTIFICATE)
    if embedded is None or not any(one.reads == embedded.reads() for one in outcomes):
        return "none, what is filtered has changed since"
    if origin.source in exclude.get("sources", ()):
        return "excluded by its source"
    if (origin.model_extra or {}).get("licence") in exclude.get("licences", ()):
        return "excluded by its licence"
    return "excluded by its key"


def _kept(filtered: Deduplicated[Dataset], key: str) -> tuple[str, TypedSample[Origin] | None]:
    """The split that a key is of, and the prompt if it was kept."""
    split = split_of(key, filtered.certificate.value().held_out)
    return split, filtered.splits[split].find([key]).get(key)


LINEAGE = Lineage(part=part, by_key=by_key)
