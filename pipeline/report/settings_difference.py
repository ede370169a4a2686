"""What distinguishes two runs: the settings that their stages were made with, from the manifests. Reads no shard."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jobs.catalog import STAGES
from jobs.report import formatting
from jobs.shards.dataset import Dataset
from pipeline.report.stage_facts import Datasets, Setting, flat

_LONGEST = 60  # characters of values that are shown

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentSetting:
    """A setting of a stage, with the distinct values that units of each run had for it; none where it is not set."""

    stage: str
    name: str
    first: Values
    second: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDifference:
    """How two runs differ. `only_first` and `only_second` are stages that the other has not made."""

    settings: tuple[DifferentSetting, ...]
    other_results: tuple[str, ...]
    """Stages with equal settings that came out differently, because of what they read or of their code."""

    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def run_difference(first: Datasets, second: Datasets) -> RunDifference:
    """The difference of two runs, in the order of the graph."""
    names = [spec.name for spec in STAGES]
    both = [name for name in names if name in first and name in second]
    settings = tuple(one for name in both for one in _different(name, first[name], second[name]))
    differing = {one.stage for one in settings}
    return RunDifference(
        settings=settings,
        other_results=tuple(
            name
            for name in both
            if name not in differing and first[name].manifest.digest != second[name].manifest.digest
        ),
        only_first=tuple(name for name in names if name in first and name not in second),
        only_second=tuple(name for name in names if name in second and name not in first),
    )


def difference_text(found: RunDifference, first: str, second: str) -> str:
    """The difference in words; `first` and `second` are the runs' names."""
    lines = list(_settings_text(found.settings))
    if not lines:
        lines = ["no setting differs"]
    for what, stages in (
        ("equal settings, another result", found.other_results),
        (f"only in {first}", found.only_first),
        (f"only in {second}", found.only_second),
    ):
        if stages:
            lines.append(f"{what}: {', '.join(stages)}")
    return "\n".join(lines)


def _different(stage: str, first: Dataset, second: Dataset) -> Iterator[DifferentSetting]:
    ours, theirs = _values(first), _values(second)
    for name in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(name, ()), theirs.get(name, ())
        if {_text(value) for value in one} != {_text(value) for value in other}:
            yield DifferentSetting(stage=stage, name=name, first=one, second=other)


def _values(dataset: Dataset) -> dict[str, Values]:
    """Every setting, flattened to dotted names, with its distinct values in the order of the units."""
    found: dict[str, dict[str, Any]] = {}
    for outcome in dataset.manifest.outcomes:
        for name, value in flat(outcome.settings):
            found.setdefault(name, {})[_text(value)] = value
    return {name: tuple(values.values()) for name, values in found.items()}


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _settings_text(settings: Iterable[DifferentSetting]) -> Iterator[str]:
    stage, listed = "", list(settings)
    width = max((len(one.name) for one in listed), default=0)
    for one in listed:
        if one.stage != stage:
            stage = one.stage
            yield stage
        yield f"  {one.name:<{width}}  {_shown(one.first)} -> {_shown(one.second)}"


def _shown(values: Values) -> str:
    if not values:
        return "(not set)"
    text = Setting(name="", values=tuple(map(formatting.setting, values))).text
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
