"""The scores as text and JSON, for the command line."""

from __future__ import annotations

from jobs.evaluate.contract import Evaluated, Reliability, SourceScore, Texts, ViewingGain
from jobs.report.page import Summary
from jobs.shards.dataset import Dataset


def summary(evaluated: Evaluated[Dataset]) -> Summary:
    """The scores as a table, and all metrics."""
    found = evaluated.metrics.value()
    low, high = found.interval
    above = found.differences
    rows = [
        ("model", f"{found.score:.4f}   95 % interval {low:.4f} to {high:.4f}"),
        ("constant", f"{found.baselines.constant:.4f}{_above(above.constant) if above else ''}"),
        (
            "nearest neighbour",
            f"{found.baselines.nearest_neighbour:.4f}{_above(above.nearest_neighbour) if above else ''}",
        ),
        ("closest training prompt", f"{found.max_cosine_to_train:.4f}   (leak check)"),
        *(_of_viewing(found.viewing) if found.viewing else ()),
        *(_of_confidence(found.reliability) if found.reliability else ()),
        *(_of_texts(found.texts) if found.texts else ()),
        *((f"of {one.source}", _of_source(one)) for one in found.by_source if len(found.by_source) > 1),
    ]
    lines = [f"mean cosine on {found.samples:,} held-out prompts", *(f"  {name:<28} {value}" for name, value in rows)]
    return Summary(found.model_dump(mode="json"), "\n".join(lines))


def _of_viewing(found: ViewingGain) -> list[tuple[str, str]]:
    interval = f"   95 % interval {found.interval[0]:+.4f} to {found.interval[1]:+.4f}" if found.interval else ""
    seen = f"views {found.views}, {found.image_size} px"
    return [
        (seen, f"{found.gain:+.4f}{interval}"),
        (f"seen once, {found.trained_image_size} px", f"{found.plain_score:.4f}   (as in training)"),
    ]


def _of_confidence(found: Reliability) -> list[tuple[str, str]]:
    how = f"on {found.split}, cross-fitted" if found.cross_fitted else f"on {found.split}"
    counts = ", ".join(f"{one.abstained:,} of {one.images:,} of {split}" for split, one in found.abstained.items())
    rows = [("abstained", f"{counts}   (at most {found.promised_error_rate:.1%} of such images on average)")]
    if found.calibration_error is not None:
        rows += [
            ("expected cosine", f"{found.mean_expected:.4f}   true {found.mean_true:.4f} {how}"),
            ("calibration error", f"{found.calibration_error:.4f}"),
            (f"{found.interval:.0%} intervals held", f"{found.interval_held:.1%}"),
        ]
    return rows


def _of_texts(found: Texts) -> list[tuple[str, str]]:
    interval = f" ({found.interval[0]:+.4f} to {found.interval[1]:+.4f})" if found.interval else ""
    return [
        ("closest prompt as text", f"{found.known.cosine:.4f}   ROUGE-L {found.known.rouge_l:.3f}"),
        (
            "first candidate as text",
            f"{found.first.cosine:.4f}   ROUGE-L {found.first.rouge_l:.3f}   {found.gain:+.4f}{interval} above the "
            f"closest on {found.images:,} images",
        ),
    ]


def _above(difference: tuple[float, float]) -> str:
    return f"   the model is {difference[0]:+.4f} to {difference[1]:+.4f} above"


def _of_source(found: SourceScore) -> str:
    interval = f"   95 % interval {found.interval[0]:.4f} to {found.interval[1]:.4f}" if found.interval else ""
    return f"{found.score:.4f}{interval}   constant {found.baselines.constant:.4f}, {found.samples:,} prompts"
