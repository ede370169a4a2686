"""The scores as text and JSON, for the command line."""

from __future__ import annotations

from jobs.evaluate.contract import Evaluated
from jobs.report.page import Summary
from jobs.shards.dataset import Dataset


def summary(evaluated: Evaluated[Dataset]) -> Summary:
    """The scores as a table, and all metrics."""
    found = evaluated.metrics.value()
    low, high = found.interval
    rows = [
        ("model", f"{found.score:.4f}   95 % interval {low:.4f} to {high:.4f}"),
        ("constant", f"{found.baselines.constant:.4f}"),
        ("nearest neighbour", f"{found.baselines.nearest_neighbour:.4f}"),
        ("closest training prompt", f"{found.max_cosine_to_train:.4f}   (leak check)"),
    ]
    lines = [f"mean cosine on {found.samples:,} held-out prompts", *(f"  {name:<28} {value}" for name, value in rows)]
    return Summary(found.model_dump(mode="json"), "\n".join(lines))
