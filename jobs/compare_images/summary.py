"""The figures of compare-images as text."""

from __future__ import annotations

from jobs.compare_images.contract import ComparedImages
from jobs.report.page import Summary
from jobs.shards.dataset import Dataset


def summary(compared: ComparedImages[Dataset]) -> Summary:
    """How close pictures of different splits are, and how many were left out for it."""
    found = compared.comparison.value()
    lines = [f"pictures of different splits, near-identical from cosine {found.threshold:g} on"]
    for split, closest in found.closest.items():
        about = f"{split}, closest that stays"
        lines.append(f"  {about:<28} {closest.cosine:.4f}   ({found.left_out.get(split, 0):,} left out)")
    return Summary(found.model_dump(mode="json"), "\n".join(lines))
