"""The report's section of dedup: what the near-duplicate filter kept, and what it dropped."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup

from jobs.dedup.contract import Deduplicated
from jobs.dedup.filter_facts import FilterFacts, filter_facts
from jobs.report import charts, formatting
from jobs.report.page import RunView, Section, StagePage, Tile
from jobs.shards.dataset import Dataset


def page(view: RunView) -> StagePage:
    """What the report shows of dedup."""
    dedup = view.get(Deduplicated[Dataset])
    section = partial(
        Section,
        id="filter",
        title="What the near-duplicate filter kept",
        link="Near duplicates",
        template="filter.html.j2",
    )
    if dedup is None:
        tile = Tile(title="Prompts kept", value="Not done", text="The filter has not run.")
        return StagePage(sections=(section(missing=Deduplicated.stage),), tiles=(tile,))
    facts = filter_facts(dedup, view)
    values = {"filter": facts, "histogram": histogram(facts) if facts.read else None}
    return StagePage(sections=(section(values=values),), tiles=(_tile(facts),))


def histogram(facts: FilterFacts) -> Markup:
    """How close the near duplicates are to the prompts that stayed."""
    scale = (facts.threshold, 1.0)
    prompts = formatting.plural(len(facts.cosines), "dropped prompt")
    return charts.histogram(
        [charts.Bars("accent", charts.bins(facts.cosines, *scale))],
        [],
        x=scale,
        label=f"Histogram of the cosines of {prompts} to the prompts that stayed.",
        axis="cosine to the kept prompt",
        unit="prompts dropped",
    )


def _tile(facts: FilterFacts) -> Tile:
    splits = ", ".join(f"{formatting.count(number)} {split}" for split, number in facts.splits)
    prompts, dropped = formatting.count(facts.prompts), formatting.count(facts.dropped)
    return Tile(
        title="Prompts kept",
        value=formatting.count(facts.kept),
        text=f"of {prompts}; {dropped} were near duplicates. {splits}.",
    )
