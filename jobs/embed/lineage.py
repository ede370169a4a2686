"""What embed says of one prompt: what made its vector."""

from __future__ import annotations

from jobs.embed.contract import Embedded
from jobs.report.lineage import Lineage, Subject, Values
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset


def part(view: RunView, subject: Subject) -> Values | None:
    """The model, which is the same for all prompts."""
    embedded = view.get(Embedded[Dataset])
    if embedded is None or subject.origin is None:
        return None
    settings = next((outcome.settings for outcome in embedded.data.manifest.outcomes), {})
    return {name: settings.get(name) for name in ("model", "revision")}


LINEAGE = Lineage(part=part)
