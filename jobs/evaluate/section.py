"""The report's sections of evaluate: the result, the histogram of cosines, expected ones, cases, and the leak check."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from markupsafe import Markup

from jobs.dedup.contract import Deduplicated
from jobs.evaluate.contract import Evaluated, Reliability
from jobs.evaluate.reliability_charts import diagram, risk_coverage
from jobs.evaluate.score_facts import NAMES, LeakCheck, ScoreFacts, score_facts
from jobs.report import charts, formatting
from jobs.report.page import RunView, Section, StagePage, Tile
from jobs.shards.dataset import Dataset

_LEAK_BIN = 0.02


def page(view: RunView) -> StagePage:
    """What the report shows of evaluate."""
    evaluated = view.get(Evaluated[Dataset])
    facts = score_facts(evaluated, view) if evaluated else None
    return StagePage(
        result=Section(id="result", title="Result", link="", template="result.html.j2", values={"scores": facts}),
        sections=_sections(facts),
        tiles=(_tile(facts.leak if facts else None),),
    )


def _sections(facts: ScoreFacts | None) -> tuple[Section, ...]:
    scores = partial(
        Section, id="scores", title="Cosines on held-out prompts", link="Scores", template="scores.html.j2"
    )
    cases = partial(Section, id="cases", title="Best and worst", link="Best and worst", template="cases.html.j2")
    confidence = partial(
        Section, id="confidence", title="Expected cosines", link="Expected cosines", template="confidence.html.j2"
    )
    texts = partial(Section, id="texts", title="Prompts as text", link="Texts", template="texts.html.j2")
    leaks = partial(Section, id="leaks", title="Leak check", link="Leak check", template="leaks.html.j2")
    if facts is None:
        return tuple(section(missing=Evaluated.stage) for section in (scores, confidence, cases, leaks))
    leak = facts.leak
    return (
        scores(values={"scores": facts, "names": NAMES, "histogram": histogram(facts)}),
        confidence(values=_confidence(facts.reliability)),
        *([texts(values={"texts": facts.texts})] if facts.texts else []),
        cases(values={"scores": facts}),
        leaks(values={"leak": leak, "histogram": to_train(leak)}) if leak else leaks(missing=Deduplicated.stage),
    )


def _confidence(found: Reliability | None) -> dict[str, Any]:
    if found is None or not found.bins:
        return {"reliability": found, "diagram": None, "risk_coverage": None}
    return {"reliability": found, "diagram": diagram(found), "risk_coverage": risk_coverage(found)}


def _tile(leak: LeakCheck | None) -> Tile:
    if leak is None:
        return Tile(title="Leak check", value="Not done", text="It comes with the score.")
    prompts = formatting.plural(leak.training_prompts, "training prompt")
    if leak.passed:
        return Tile(
            title="Leak check",
            value="No leak",
            verdict="good",
            text=f"The closest of {prompts} to any held-out prompt is at cosine {leak.closest:.6f}, {leak.margin} the "
            f"filter's {leak.threshold}{_of_pictures(leak)}.",
        )
    if leak.prompts_passed:
        return Tile(
            title="Leak check",
            value="Leak",
            verdict="bad",
            text="A picture that was trained with is near-identical to a held-out one.",
        )
    return Tile(
        title="Leak check",
        value="Leak",
        verdict="bad",
        text=f"A held-out prompt has a training prompt at cosine {leak.closest:.6f}; the filter allows none at "
        f"{leak.threshold} or above.",
    )


def _of_pictures(leak: LeakCheck) -> str:
    if leak.pictures is None or leak.pictures.closest is None:
        return ""
    return f"; the closest pictures are at {leak.pictures.closest:.4f}, below {leak.pictures.threshold}"


def histogram(facts: ScoreFacts) -> Markup:
    """Cosines of network and baselines, for wide and for narrow screens."""
    means = {"model": facts.score, **dict(facts.baselines)}
    series = [charts.Bars(name, counts) for name, counts in facts.counts]
    marks = [charts.Mark(NAMES[name], name, means[name]) for name, _ in facts.counts]
    listed = ", ".join(f"{NAMES[name]} {means[name]:.3f}" for name, _ in facts.counts)
    label = f"Histogram of the cosines on {formatting.plural(facts.samples, 'held-out prompt')}; means: {listed}."
    draw = partial(
        charts.histogram,
        series,
        marks,
        x=(facts.edges[0], facts.edges[-1]),
        label=label,
        axis="cosine to the true prompt's vector",
        unit="images",
    )
    both = Markup('<div class="wide">{}</div><div class="narrow">{}</div>')
    return both.format(draw(width=960, height=330), draw(width=400, height=290))


def to_train(leak: LeakCheck) -> Markup:
    """How close held-out prompts come to training prompts."""
    below = max(1, math.ceil((leak.threshold - min([leak.closest, *leak.cosines])) / _LEAK_BIN))
    above = 1 + math.floor(max(0.0, leak.closest - leak.threshold) / _LEAK_BIN)  # the threshold is an edge
    scale = (leak.threshold - below * _LEAK_BIN, leak.threshold + above * _LEAK_BIN)
    return charts.histogram(
        [charts.Bars("accent", charts.bins(leak.cosines, *scale, number=below + above))],
        [charts.Mark("threshold", "limit", leak.threshold)],
        x=scale,
        label="Histogram of held-out prompts' cosines to the closest training prompt; the highest is "
        f"{leak.closest:.4f}.",
        axis="cosine to the closest training prompt",
        unit="held-out prompts",
    )
