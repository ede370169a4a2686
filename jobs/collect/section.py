"""The report's section of collect: what became of each source's rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from jobs.collect.contract import CollectCounts, Collected
from jobs.collect.sources.image_folder import IMAGES
from jobs.collect.stage import source_of
from jobs.report import formatting
from jobs.report.page import RunView, Section, StagePage, Tile
from jobs.shards.dataset import Dataset
from jobs.shards.records import Outcome

REPEATED = "repeated"


@dataclass(slots=True)
class SourceFacts:
    """The rows of one source, or of all."""

    name: str
    files: int = 0
    rows: int = 0
    kept: int = 0
    others: Counter[str] = field(default_factory=Counter)  # by the reason why they are not kept
    licences: Counter[str] = field(default_factory=Counter)  # kept prompts by licence

    def add(self, outcome: Outcome, counts: CollectCounts) -> None:
        """Count a unit."""
        self.files += len(outcome.reads.keys() - {IMAGES})
        self.rows += counts.rows
        self.kept += counts.kept
        self.others.update(counts.by_reason())
        self.licences[outcome.settings["source"].get("licence") or "not stated"] += counts.kept

    @property
    def repeated(self) -> int:
        """Rows whose prompt stands in the same file before."""
        return self.others[REPEATED]

    @property
    def refused(self) -> int:
        """Rows that are neither kept nor repeated."""
        return self.rows - self.kept - self.repeated

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why rows were refused, the most frequent first."""
        return [(reason, rows) for reason, rows in self.others.most_common() if rows and reason != REPEATED]


def page(view: RunView) -> StagePage:
    """What the report shows of collect."""
    collected = view.get(Collected[Dataset])
    section = partial(
        Section,
        id="sources",
        title="What was kept of each source",
        link="Sources",
        template="sources.html.j2",
    )
    if collected is None:
        tile = Tile(title="Prompts collected", value="Not done", text="The sources have not been read.")
        return StagePage(sections=(section(missing=Collected.stage),), tiles=(tile,))
    total, sources = SourceFacts("all"), dict[str, SourceFacts]()
    for outcome, counts in collected.stats.by_outcome():
        name = source_of(outcome)
        for facts in (total, sources.setdefault(name, SourceFacts(name))):
            facts.add(outcome, counts)
    return StagePage(
        sections=(section(values={"sources": list(sources.values()), "total": total}),), tiles=(_tile(total, sources),)
    )


def _tile(total: SourceFacts, sources: dict[str, SourceFacts]) -> Tile:
    rows, where = formatting.plural(total.rows, "row"), formatting.plural(len(sources), "source")
    return Tile(
        title="Prompts collected",
        value=formatting.count(total.kept),
        text=f"of {rows} of {where}; {formatting.count(total.repeated)} repeated, "
        f"{formatting.count(total.refused)} refused.",
    )
