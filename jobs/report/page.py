"""The parts of the report that a stage writes, and what it may look at for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from jobs.contract.declaration import Contract
from jobs.shards.dataset import Dataset

C = TypeVar("C", bound=Contract[Dataset])


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the page: `template`, in the stage's package, shows `values`; `missing` names a stage not done."""

    id: str
    title: str
    link: str  # its name in the navigation
    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    missing: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One of the short answers at the top of the page; `href` is where `value` leads to."""

    title: str
    value: str
    text: str
    verdict: Literal["", "good", "bad"] = ""
    href: str = ""
    code: str = ""  # an address, after the text


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePage:
    """All that one stage shows. `result` is the section at the very top, which at most one stage fills."""

    sections: tuple[Section, ...] = ()
    tiles: tuple[Tile, ...] = ()
    result: Section | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a stage, as JSON values and as text for a terminal."""

    values: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as its stages look at it: what is published, and where it keeps what people open."""

    datasets: Mapping[str, Dataset]
    made: frozenset[str]  # the stages that this run makes; others are another run's or nobody's
    address: str
    taken: Mapping[str, int] = field(default_factory=dict)  # samples taken over from what was made before, by stage

    def get(self, contract: type[C]) -> C | None:
        """A stage's dataset, bound to its contract; None before it is done."""
        dataset = self.datasets.get(contract.stage)
        return None if dataset is None else contract(dataset)

    def export(self, stage: str, name: str) -> str | None:
        """The address of a file that a stage of this run exports; None where the run does not make that stage."""
        return f"{self.address}/{name}" if stage in self.made else None


def setting(contract: Contract[Dataset], name: str) -> str:
    """A setting of the first unit as text; empty where there is none."""
    settings = next((outcome.settings for outcome in contract.data.manifest.outcomes), {})
    return str(settings.get(name, ""))
