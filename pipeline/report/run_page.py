"""Everything the page shows, as plain values; reads manifests, records and the first few shards of each stage."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jobs.catalog import STAGES
from jobs.report.page import RunView, Section, StagePage, Tile
from jobs.runtime.spec import StageSpec, load
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.report.stage_facts import StageFacts, published, stage_facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The report's values."""

    run: str
    address: str
    stages: tuple[StageFacts, ...]
    parts: tuple[tuple[StageSpec, StagePage], ...]  # what stages show of themselves, in the graph's order
    made: frozenset[str]  # the stages that this run makes; others are another run's or nobody's

    @property
    def to_do(self) -> list[str]:
        """The stages of this run that are not done."""
        return [stage.name for stage in self.stages if not stage.done and stage.name in self.made]

    @property
    def seconds(self) -> float:
        """Work of all stages together."""
        return sum(stage.seconds or 0 for stage in self.stages)

    @property
    def finished(self) -> float | None:
        """Unix time of the last commit."""
        return max((stage.finished for stage in self.stages if stage.finished), default=None)

    @property
    def sections(self) -> list[Section]:
        return [section for _, part in self.parts for section in part.sections]

    @property
    def tiles(self) -> list[Tile]:
        return [tile for _, part in self.parts for tile in part.tiles]

    @property
    def result(self) -> Section | None:
        """What stands at the very top."""
        return next((part.result for _, part in self.parts if part.result), None)

    def package_of(self, section: Section) -> str:
        """The package of the stage that shows a section, where its template is."""
        return next(
            spec.section.partition(":")[0].rpartition(".")[0]
            for spec, part in self.parts
            if section in part.sections or section is part.result
        )


def collect_page(store: Store, config: RunConfig) -> Page:
    """The values of a run's report; raises Corrupt or NotFound for what is damaged."""
    view = view_of(store, config)
    facts = tuple(stage_facts(spec, view.datasets) for spec in STAGES)
    view = replace(view, taken={stage.name: stage.taken for stage in facts})
    return Page(
        run=config.run,
        address=store.url,
        stages=facts,
        parts=tuple((spec, load(spec.section)(view)) for spec in STAGES if spec.section),
        made=view.made,
    )


def view_of(store: Store, config: RunConfig) -> RunView:
    """The run as its stages look at it; `store` is the run's."""
    return RunView(published(store), frozenset(spec.name for spec in config.specs), store.url)
