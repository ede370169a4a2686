"""The page's charts: which values go into which picture, and what the picture is called."""

from __future__ import annotations

import math
from functools import partial

from markupsafe import Markup

from pipeline.report import charts, formatting, graph_figure
from pipeline.report.duplicates import FilterFacts, bins
from pipeline.report.scores import NAMES, CurveFacts, LeakCheck, ScoreFacts
from pipeline.report.stage_facts import StageFacts

names = NAMES
_LEAK_BIN = 0.02


def graph_of(stages: tuple[StageFacts, ...]) -> Markup:
    """The stages, for wide and for narrow screens."""
    return graph_figure.wide(stages) + graph_figure.narrow(stages)


def dropped(facts: FilterFacts) -> Markup:
    """How close the near duplicates are to the prompts that stayed."""
    scale = (facts.threshold, 1.0)
    series = charts.Bars("accent", bins(facts.cosines, *scale))
    prompts = formatting.plural(len(facts.cosines), "dropped prompt")
    label = f"Histogram of the cosines of {prompts} to the prompts that stayed."
    return charts.histogram(
        [series], [], x=scale, label=label, axis="cosine to the kept prompt", unit="prompts dropped"
    )


def scores(facts: ScoreFacts) -> Markup:
    """Cosines of network and baselines, for wide and for narrow screens."""
    means = {"model": facts.score, **dict(facts.baselines)}
    series = [charts.Bars(name, counts) for name, counts in facts.counts]
    marks = [charts.Mark(NAMES[name], name, means[name]) for name, _ in facts.counts]
    told = ", ".join(f"{NAMES[name]} {means[name]:.3f}" for name, _ in facts.counts)
    label = f"Histogram of the cosines on {formatting.plural(facts.samples, 'held-out prompt')}; means: {told}."
    draw = partial(
        charts.histogram, series, marks, x=(facts.edges[0], facts.edges[-1]), label=label,
        axis="cosine to the true prompt's vector", unit="images",
    )  # fmt: skip
    both = Markup('<div class="wide">{}</div><div class="narrow">{}</div>')
    return both.format(draw(width=960, height=330), draw(width=400, height=290))


def to_train(facts: LeakCheck) -> Markup:
    """How close held-out prompts come to training prompts."""
    below = max(1, math.ceil((facts.threshold - min([facts.closest, *facts.cosines])) / _LEAK_BIN))
    above = 1 + math.floor(max(0.0, facts.closest - facts.threshold) / _LEAK_BIN)  # the threshold is an edge
    scale = (facts.threshold - below * _LEAK_BIN, facts.threshold + above * _LEAK_BIN)
    series = charts.Bars("accent", bins(facts.cosines, *scale, number=below + above))
    mark = charts.Mark("threshold", "limit", facts.threshold)
    label = (
        f"Histogram of held-out prompts' cosines to the closest training prompt; the highest is {facts.closest:.4f}."
    )
    return charts.histogram(
        [series], [mark], x=scale, label=label, axis="cosine to the closest training prompt", unit="held-out prompts"
    )


def loss(facts: CurveFacts) -> Markup:
    """Loss over steps."""
    points = [(point["step"], point["loss"]) for point in facts.points]
    label = (
        f"Training loss over {formatting.count(facts.steps)} steps, from {points[0][1]:.3f} to {points[-1][1]:.3f}."
        if points
        else ""
    )
    return charts.line(points, style="model", label=label, axis="step", unit="loss = 1 − cosine")


def learning_rate(facts: CurveFacts) -> Markup:
    """Learning rate over steps."""
    points = [(point["step"], point["learning_rate"]) for point in facts.points]
    highest = max((rate for _, rate in points), default=0)
    return charts.line(
        points,
        style="muted",
        label=f"Learning rate over the steps, at most {highest:g}.",
        axis="step",
        unit="learning rate",
    )


def some(points: tuple[dict[str, float], ...], number: int = 20) -> list[dict[str, float]]:
    """At most `number` of the points, evenly apart, the first and the last among them."""
    if len(points) <= number:
        return list(points)
    return [points[round(place * (len(points) - 1) / (number - 1))] for place in range(number)]
