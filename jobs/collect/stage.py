"""What collect is: one unit for every file of every source, in the order of their priority."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from jobs.collect.contract import CollectCounts, Collected
from jobs.collect.rules import AnyRule
from jobs.collect.sources import AnySource
from jobs.collect.sources.base import File, FileSource
from jobs.collect.sources.pairs import PairSource
from jobs.contract.declaration import Inputs
from jobs.errors import I2PError
from jobs.imaging.limits import DECODING
from jobs.registry import refused
from jobs.runtime.spec import Params, StageSpec, Unit
from jobs.shards.records import Outcome
from jobs.shards.store_checks import Check


class CollectParams(Params):
    """Where prompts come from and which are kept."""

    decides_units = frozenset({"sources", "threads"})

    sources: tuple[AnySource, ...] = ()
    """In order of priority: of near duplicates, the one from the earliest source is kept."""

    prompts_per_shard: int = Field(default=10_000, ge=1)

    min_words: int = Field(default=1, ge=1)
    """Shorter prompts are dropped and counted."""

    max_characters: int = Field(default=2_000, ge=1)
    """Longer prompts are dropped and counted; MiniLM reads 256 word pieces, Stable Diffusion 77 tokens."""

    images_per_prompt: int = Field(default=1, ge=1)
    """Where a file has several images for one prompt, the first so many of them are kept, for generate-images to choose
    from; the others are counted as repeated."""

    threads: int = Field(default=2, ge=1)
    """Processes of one worker that decode images, or row groups of one parquet file, at once: each of these with
    `limits.memory_mib` of memory. The outcome does not depend on them."""

    rules: tuple[AnyRule, ...] = ()
    """What else a prompt must be, beside long enough and not too long, to be kept; refused ones are counted by rule."""

    def preconditions(self) -> Iterator[Check]:
        """Whether all files of all sources are there."""
        try:
            found = list(origins(self))
        except I2PError as error:
            yield Check("sources", False, str(error))
        else:
            yield Check("sources", True, f"{len(found)} to read, all are there")

    @model_validator(mode="after")
    def _names_are_unique(self) -> CollectParams:
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"every source needs a name of its own, given were {names}")
        return self

    @model_validator(mode="after")
    def _rules_have_names_of_their_own(self) -> CollectParams:
        names = [rule.counted_as for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError(f"rules: every rule needs a name of its own, given were {names}")
        if taken := sorted(set(names) & CollectCounts.model_fields.keys()):
            raise ValueError(f"rules: {taken[0]!r} is counted already; give the rule another name")
        sources = [source.name for source in self.sources]
        for name in (name for rule in self.rules for name in rule.sources):
            if reason := refused(name, sources):
                raise ValueError(f"rules: sources: {reason}")
        return self


def units(params: CollectParams, inputs: Inputs) -> list[Unit]:
    """A unit a file; its settings leave out the folder, so that equal files give equal work on every machine."""
    return [
        Unit(unit, _settings_of(source, params), file.reads() if file else {}) for unit, source, file in origins(params)
    ]


def _settings_of(source: AnySource, params: CollectParams) -> dict[str, Any]:
    """What shapes a source's prompts: with neither the rules that do not look at it, nor those that came later."""
    settings = params.model_dump(mode="json", include={"prompts_per_shard", "min_words", "max_characters"})
    if rules := [rule for rule in params.rules if rule.is_for(source.name)]:
        settings["rules"] = [rule.model_dump(mode="json", exclude={"sources"}) for rule in rules]
    if params.images_per_prompt > 1 and isinstance(source, PairSource) and source.gives_images:
        settings["images_per_prompt"] = params.images_per_prompt
    if isinstance(source, PairSource) and source.gives_images:
        settings["image_decoding"] = DECODING
    return {**settings, "source": source.model_dump(mode="json", exclude=set(source.read_by_content))}


def source_of(outcome: Outcome) -> str:
    """The name of the source that a unit read."""
    return str(outcome.settings["source"]["name"])


def origins(params: CollectParams) -> Iterator[tuple[str, AnySource, File | None]]:
    """The name of every unit, its source and its file, None for a source that stands in no file."""
    for source in params.sources:
        if isinstance(source, FileSource):
            files = [replace(file, processes=params.threads) for file in source.files()]
            for number, file in enumerate(files):
                yield source.name if len(files) == 1 else f"{source.name}-{number:04d}", source, file
        else:
            yield source.name, source, None


COLLECT = StageSpec(
    reads=Inputs,
    writes=Collected,
    params=CollectParams,
    units=units,
    worker="jobs.collect.worker:run",
    section="jobs.collect.section:page",
    lineage="jobs.collect.lineage:LINEAGE",
    about="reads prompts from their sources, normalised and with a key",
)
