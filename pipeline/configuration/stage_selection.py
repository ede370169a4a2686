"""Which stages a run makes, and which datasets it takes from another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator

from jobs.catalog import STAGES
from jobs.runtime.spec import StageSpec

_BY_NAME = {spec.name: spec for spec in STAGES}


def _known(name: str) -> str:
    if name not in _BY_NAME:
        raise ValueError(f"there is no such stage; the stages are {', '.join(_BY_NAME)}")
    return name


StageName = Annotated[str, AfterValidator(_known)]


def taken_from(inputs: Mapping[str, str]) -> dict[str, str]:
    """{stage: run} of every dataset that comes from another run: those named, and what they were made from."""
    found = dict(inputs)
    for spec in reversed(STAGES):
        if spec.name in found:
            for name in spec.inputs:
                found.setdefault(name, found[spec.name])
    return found


def stages_to_make(stages: Sequence[str] | None, inputs: Mapping[str, str]) -> tuple[StageSpec, ...]:
    """The stages of a run in the graph's order.

    Raises ValueError where one of them reads a stage that is neither made nor taken.
    """
    taken = taken_from(inputs)
    made = tuple(spec for spec in STAGES if (spec.name in stages if stages is not None else spec.name not in taken))
    names = {spec.name for spec in made}
    for spec in made:
        if spec.name in inputs:
            raise ValueError(f"{spec.name} is both made (stages) and taken from another run (inputs)")
        for name in spec.inputs:
            if name not in names and name not in taken:
                raise ValueError(f"{spec.name} reads {name}, which is neither in `stages` nor taken by `inputs`")
    return made
