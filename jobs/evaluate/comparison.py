"""The scores of two runs beside each other, and the difference on the images that both scored."""

from __future__ import annotations

from typing import Any

import numpy as np

from jobs.evaluate.contract import Evaluated, Metrics
from jobs.regressor.intervals import CONFIDENCE, ENOUGH_IMAGES, NUM_RESAMPLES, PairedDifference, paired_difference
from jobs.report import formatting
from jobs.report.page import Summary
from jobs.shards.dataset import Dataset

_DECIMALS = 6

Run = tuple[str, Evaluated[Dataset] | None]  # its name, and its scores, once there are some


def comparison(first: Run, second: Run) -> Summary:
    """Each run's score, and by how much the second is better: an image is known by its prompt's key."""
    found = [(name, evaluated.metrics.value() if evaluated else None) for name, evaluated in (first, second)]
    values = {"scores": [_score(name, metrics) for name, metrics in found]}
    lines = [f"{name}: {_score_text(metrics)}" for name, metrics in found]
    if first[1] is None or second[1] is None:
        return Summary({**values, "difference": None}, "\n".join(lines))
    cosines = [_cosines(first[1]), _cosines(second[1])]
    shared = sorted(cosines[0].keys() & cosines[1].keys())
    only = [len(one) - len(shared) for one in cosines]
    arrays = [np.array([one[key] for key in shared], np.float64) for one in cosines]
    difference = paired_difference(*arrays)
    return Summary(
        {**values, "difference": _values(difference, only)},
        "\n".join([*lines, *_difference_text(difference, only, (first[0], second[0]))]),
    )


def _cosines(evaluated: Evaluated[Dataset]) -> dict[str, float]:
    return {sample.key: sample.value.cosine for sample in evaluated.scores.samples()}


def _score(name: str, metrics: Metrics | None) -> dict[str, Any]:
    if metrics is None:
        return {"run": name, "score": None, "interval": None, "samples": 0}
    return {"run": name, "score": metrics.score, "interval": metrics.interval, "samples": metrics.samples}


def _score_text(metrics: Metrics | None) -> str:
    if metrics is None:
        return "it has no scores; `i2p run` makes them"
    low, high = metrics.interval
    prompts = formatting.plural(metrics.samples, "held-out prompt")
    return f"{metrics.score:.4f}   95 % interval {low:.4f} to {high:.4f}, {prompts}"


def _values(difference: PairedDifference, only: list[int]) -> dict[str, Any]:
    interval = difference.interval
    return {
        "mean": None if interval is None or difference.mean is None else round(difference.mean, _DECIMALS),
        "interval": interval and [round(end, _DECIMALS) for end in interval],
        "confidence": CONFIDENCE,
        "resamples": NUM_RESAMPLES,
        "samples": difference.samples,
        "only": only,
        "too_few": difference.samples < ENOUGH_IMAGES,
    }


def _difference_text(difference: PairedDifference, only: list[int], names: tuple[str, str]) -> list[str]:
    first, second = names
    lines = [
        f"scored by both: {formatting.plural(difference.samples, 'image')}; only by {first}: {only[0]:,}, only by "
        f"{second}: {only[1]:,}"
    ]
    if difference.interval is None:
        some = "none" if not difference.samples else f"only {difference.samples}"
        return [
            *lines,
            f"no difference is given: at least {ENOUGH_IMAGES} images that both scored are required, there are {some}; "
            "compare runs that hold out the same prompts, or score both with `i2p score`",
        ]
    low, high = difference.interval
    verdict = "no difference can be seen" if low <= 0 <= high else f"{second if low > 0 else first} is better"
    return [*lines, f"{second} - {first}: {difference.mean:+.4f}   95 % interval {low:+.4f} to {high:+.4f}: {verdict}"]
