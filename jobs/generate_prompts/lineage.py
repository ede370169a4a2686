"""What generate-prompts says of one prompt: what wrote it."""

from __future__ import annotations

from jobs.generate_prompts.contract import Generated, GeneratedOrigin
from jobs.report.lineage import Lineage, Subject, Values, sample_with
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset
from jobs.shards.keys import is_prompt_key


def part(view: RunView, subject: Subject) -> Values | None:
    """The model, the seed and the shard of a prompt that was written."""
    origin = subject.origin
    if origin is None or origin.source != Generated.generated.name:
        return None
    members = set(GeneratedOrigin.model_fields) - {"given"}
    found = {name: value for name, value in origin.model_dump(mode="json").items() if name in members}
    return found if "model" in found else None  # else it is of a source that has the group's name


def by_key(view: RunView, key: str) -> Subject | None:
    """A written prompt, also one that was not filtered yet: a request for each shard at most."""
    generated = view.get(Generated[Dataset])
    if generated is None or not is_prompt_key(key):
        return None
    found = sample_with(generated.generated, generated.generated.shards(), key)
    return Subject(key=key, prompt=found.text(), origin=found.value) if found else None


LINEAGE = Lineage(part=part, by_key=by_key)
