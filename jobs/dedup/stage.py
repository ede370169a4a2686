"""What dedup is: units that decide which prompts are kept, units that write these by key, and one for the certificate.

Decisions are made in the order of the prompts, so a unit of them reads what the units before it kept. What it reads is
the same however many sources come after it, so these change no earlier decision.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from pydantic import Field, field_validator

from jobs.contract.samples import TRAIN
from jobs.dedup.contract import DedupInputs, Deduplicated
from jobs.dedup.exclusion import ExcludeParams
from jobs.errors import BadConfiguration
from jobs.runtime.spec import Params, StageSpec, Unit
from jobs.shards.digests import digest_of
from jobs.shards.keys import split_rank
from jobs.shards.reads import reads_of_shard
from jobs.shards.records import Shard

EARLIER = "earlier prompts"  # the label under which a unit has read all shards before its own
CERTIFICATE = "certificate"


class DedupParams(Params):
    """What counts as a near duplicate, and how the kept prompts are split."""

    decides_units = frozenset({"held_out", "prompts_per_unit", "kept_per_unit", "prompts_per_shard"})

    threshold: float = Field(default=0.8, gt=0, le=1)
    """Two prompts whose vectors' cosine is this or more are near duplicates."""

    held_out: dict[str, float] = Field(default={"val": 0.05, "test": 0.05})
    """The held-out splits and their fractions of the kept prompts; all others are for training."""

    prompts_per_shard: int = Field(default=1_000, ge=1)
    """Prompts in one shard of images to be made, at most and on average, if none were dropped. A shard holds the
    prompts of a range of keys, whatever else is kept; there are 1, 2, 4, 8, … of a split."""

    prompts_per_unit: int = Field(default=250_000, ge=1)
    """Prompts that are decided as one unit, whole shards of one source; a kill loses at most one unit."""

    kept_per_unit: int = Field(default=1_000_000, ge=1)
    """Kept prompts that are gathered and written as one unit, whole shards of them; about 3 KB of memory for each."""

    exclude: ExcludeParams = ExcludeParams()
    """What is left out before the filter."""

    threads: int = Field(default=2, ge=1)
    """CPU threads of one worker; the outcome does not depend on them."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where vectors are compared; the outcome does not depend on it."""

    @field_validator("held_out")
    @classmethod
    def _fractions_leave_training(cls, held_out: dict[str, float]) -> dict[str, float]:
        if reserved := held_out.keys() & {TRAIN, *Deduplicated.groups()}:
            raise ValueError(f"{sorted(reserved)} cannot be the name of a held-out split")
        if any(fraction < 0 for fraction in held_out.values()) or sum(held_out.values()) >= 1:
            raise ValueError(f"held-out fractions are 0 or more and leave some for training, given {held_out}")
        return held_out

    def settings(self) -> dict[str, Any]:
        return {**self.decision_settings(), "held_out": self.held_out}

    def decision_settings(self) -> dict[str, Any]:
        """What shapes the decisions."""
        exclude = self.exclude.settings()
        return {"threshold": self.threshold, **({"exclude": exclude} if exclude else {})}


def splits(params: DedupParams) -> list[str]:
    """All splits, training first; the mapping's own order is not kept in JSON."""
    return [TRAIN, *sorted(params.held_out, key=split_rank)]


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive embedded shards whose prompts are decided as one unit: those from `start` to `end`."""

    unit: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class KeyRange:
    """The kept prompts of one shard of a split: those with the `number`th of `of` equal ranges of keys."""

    split: str
    number: int
    of: int

    @property
    def shard(self) -> str:
        return f"{self.split}-{self.number:05d}"


def parts(params: DedupParams, shards: Sequence[Shard]) -> list[Part]:
    """What is decided together: whole shards of one source, so that a source that is added makes parts of its own."""
    found: list[Part] = []
    start = 0
    for _, of_source in groupby(shards, key=lambda shard: _source_of(shard)):
        prompts, end = 0, start
        for shard in of_source:
            if prompts and prompts + shard.samples > params.prompts_per_unit:
                found.append(_part(len(found), start, end))
                start, prompts = end, 0
            end, prompts = end + 1, prompts + shard.samples
        found.append(_part(len(found), start, end))
        start = end
    return found


def key_ranges(params: DedupParams, num_prompts: int) -> dict[str, list[KeyRange]]:
    """The shards of kept prompts by the unit that writes them, from how many prompts come into the filter."""
    found: list[list[KeyRange]] = []
    left = 0.0
    for split in splits(params):
        share = num_prompts * params.held_out.get(split, 1 - sum(params.held_out.values()))
        number = power_of_two(share / params.prompts_per_shard)
        for one in range(number):
            if not found or left < share / number:
                found.append([])
                left = params.kept_per_unit
            found[-1].append(KeyRange(split, one, number))
            left -= share / number
    return {f"kept-{number:05d}": ranges for number, ranges in enumerate(found)}


def power_of_two(least: float) -> int:
    """The smallest power of two that is so much or more."""
    return 1 << max(0, (max(1, -int(-least // 1)) - 1).bit_length())


def units(params: DedupParams, inputs: DedupInputs) -> list[Unit]:
    shards = inputs.embedded.shards()
    if unknown := set(params.exclude.sources) - {_source_of(shard) for shard in shards}:
        known = sorted({_source_of(shard) for shard in shards})
        raise BadConfiguration(f"exclude.sources: there is no source {min(unknown)!r}, only {known}")
    return [
        *_decision_units(params, inputs.embedded.stage, shards),
        *_writing_units(params, inputs, sum(shard.samples for shard in shards)),
        Unit(CERTIFICATE, params.settings(), inputs.embedded.reads()),
    ]


def _decision_units(params: DedupParams, stage: str, shards: Sequence[Shard]) -> Iterator[Unit]:
    named = [[shard.name, shard.sha256] for shard in shards]
    for part in parts(params, shards):
        own = shards[part.start : part.end]
        reads = {EARLIER: digest_of(named[: part.start])}
        for shard in own:
            reads |= reads_of_shard(stage, shard)
        yield Unit(part.unit, params.decision_settings(), reads, tuple(own))


def _writing_units(params: DedupParams, inputs: DedupInputs, num_prompts: int) -> Iterator[Unit]:
    for name, ranges in key_ranges(params, num_prompts).items():
        written = [[one.split, one.number, one.of] for one in ranges]
        yield Unit(name, {**params.settings(), "shards": written}, inputs.embedded.reads())


def _part(number: int, start: int, end: int) -> Part:
    return Part(f"{Deduplicated.decisions.name}-{number:05d}", start, end)


def dropped_shard(position: int) -> str:
    """The name of the shard of prompts that were dropped of the embedded shard at that position."""
    return f"{Deduplicated.dropped.name}-{position:05d}"


def _source_of(shard: Shard) -> str:
    """The source of an embedded shard by its name, in which a file's number may stand."""
    return re.sub(r"-\d{4}$", "", shard.group)


DEDUP = StageSpec(
    reads=DedupInputs,
    writes=Deduplicated,
    params=DedupParams,
    units=units,
    worker="jobs.dedup.worker:run",
    check="jobs.dedup.check:check",
    section="jobs.dedup.section:page",
    lineage="jobs.dedup.lineage:LINEAGE",
    about="drops near duplicates and splits what is kept",
)
