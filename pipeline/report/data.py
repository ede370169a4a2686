"""Everything the page tells, as plain values; reads manifests, records and the first few shards of each stage."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.catalog import STAGES
from jobs.shards.store import Store
from pipeline.configuration.run_config import RunConfig
from pipeline.report.duplicates import FilterFacts, filter_facts
from pipeline.report.exports import submission_address
from pipeline.report.pictures import Gallery, gallery
from pipeline.report.predictions import PredictionFacts, prediction_facts
from pipeline.report.scores import CurveFacts, ScoreFacts, curve_facts, score_facts
from pipeline.report.stage_facts import StageFacts, published, stage_facts

_SMALL = 128  # pixels of a side


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The report's values; a part is None where its stage is not done."""

    run: str
    address: str
    stages: tuple[StageFacts, ...]
    filter: FilterFacts | None
    gallery: Gallery | None
    curve: CurveFacts | None
    scores: ScoreFacts | None
    predictions: PredictionFacts | None
    submission: str | None  # its address, also before it is there; None where this run makes none
    makes: frozenset[str]  # the stages that this run makes; others are another run's or nobody's

    @property
    def to_do(self) -> list[str]:
        """The stages of this run that are not done."""
        return [stage.name for stage in self.stages if not stage.done and stage.name in self.makes]

    def has(self, stage: str) -> bool:
        """Whether a stage is done."""
        return any(facts.done for facts in self.stages if facts.name == stage)

    @property
    def seconds(self) -> float:
        """Work of all stages together."""
        return sum(stage.seconds or 0 for stage in self.stages)

    @property
    def finished(self) -> float | None:
        """Unix time of the last commit."""
        return max((stage.finished for stage in self.stages if stage.finished), default=None)

    def setting(self, stage: str, name: str) -> str:
        """A setting of a stage in words; empty before the stage is done."""
        found = (one.told for facts in self.stages if facts.name == stage for one in facts.settings if one.name == name)
        return next(found, "")

    @property
    def shown_small(self) -> bool:
        """Whether the images have so few pixels that enlarging them should keep their edges."""
        size = self.setting("generate-images", "stored_size")
        return size.isdigit() and int(size) <= _SMALL


def collect_page(store: Store, config: RunConfig) -> Page:
    """The values of a run's report; raises Corrupt or NotFound for what is damaged."""
    datasets = published(store)
    return Page(
        run=config.run,
        address=store.url,
        stages=tuple(stage_facts(spec, datasets) for spec in STAGES),
        filter=filter_facts(datasets),
        gallery=gallery(datasets),
        curve=curve_facts(datasets),
        scores=score_facts(datasets),
        predictions=prediction_facts(datasets),
        submission=submission_address(store, config),
        makes=frozenset(spec.name for spec in config.specs),
    )
