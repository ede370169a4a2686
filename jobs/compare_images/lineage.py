"""What compare-images says of one picture: whether it stays, and if not, because of which other one."""

from __future__ import annotations

from jobs.compare_images.contract import ComparedImages, left_out_of
from jobs.compare_images.stage import COMPARISON
from jobs.report.lineage import Lineage, Subject, Values
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset


def part(view: RunView, subject: Subject) -> Values | None:
    """Whether the picture is left out."""
    compared = view.get(ComparedImages[Dataset])
    if compared is None or subject.split is None:
        return None
    outcomes = compared.data.manifest.outcomes
    threshold = next((one.settings.get("threshold") for one in outcomes if one.unit == COMPARISON), None)
    match = left_out_of(compared, subject.split).find([subject.key]).get(subject.key)
    if match is None:
        return {"verdict": "stays", "threshold": threshold}
    return {
        "verdict": f"left out of {subject.split}",
        "witness": match.value.witness,
        "witness_split": match.value.witness_split,
        "cosine": match.value.cosine,
        "threshold": threshold,
    }


LINEAGE = Lineage(part=part)
