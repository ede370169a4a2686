"""What evaluate says of one prompt: how well it was read out of its image."""

from __future__ import annotations

from jobs.evaluate.contract import Evaluated
from jobs.report.lineage import Lineage, Subject, Values
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset


def part(view: RunView, subject: Subject) -> Values | None:
    """The cosines of a held-out image; nothing of any other."""
    evaluated = view.get(Evaluated[Dataset])
    if evaluated is None:
        return None
    found = evaluated.scores.find([subject.key]).get(subject.key)
    return found.value.model_dump(mode="json", by_alias=False) if found else None


LINEAGE = Lineage(part=part)
