"""Whether a parameter shapes the result: `Params.settings()` decides what a unit's fingerprint covers."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from pydantic import BaseModel

from jobs.catalog import STAGES
from jobs.runtime.spec import Params

YES = "yes, it is part of the fingerprint: units are made again when it changes"
NO = "no, it is not part of the fingerprint: nothing is made again when it changes"
UNITS = "it decides which units there are: those that it leaves as they are, are not made again"
BY_CONTENT = "the content of the files is part of the fingerprint, and where they are is not"


def effect_on_result(name: str, by_content: Collection[str] = ()) -> str:
    """Whether the parameter of that dotted name shapes what the run makes, in words.

    `by_content` are names of parameters of entries of a list, of which only the content of what they name counts.
    """
    stage, _, rest = name.partition(".")
    params = _stages().get(stage)
    if params is None:
        return NO
    if rest in params.decides_units:
        return UNITS
    if rest in params.read_by_content or ("." in rest and rest.rpartition(".")[2] in by_content):
        return BY_CONTENT
    return YES if not rest or rest.partition(".")[0] in _covered(stage) else NO


@cache
def _stages() -> dict[str, type[Params]]:
    return {spec.name: spec.params for spec in STAGES}


@cache
def _covered(stage: str) -> frozenset[str]:
    """The fields that the settings of a stage hold, also those that are left out while they have their defaults."""
    params = _stages()[stage]()
    found = set(params.settings())
    for name in type(params).model_fields:
        if name not in found and (other := _other(params, name)) is not None:
            found |= {name} & params.model_copy(update={name: other}).settings().keys()
    return frozenset(found)


def _other(model: BaseModel, name: str) -> Any:
    """Another value for a member; None where none is known."""
    value = getattr(model, name)
    schema = type(model).model_json_schema()["properties"][name]
    if others := [one for one in schema.get("enum", ()) if one != value]:
        return others[0]
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case tuple():
            return (*value, "other")
        case dict():
            return {**value, "other": 1.0}
        case BaseModel():
            changes = ((one, _other(value, one)) for one in type(value).model_fields)
            return next((value.model_copy(update={one: other}) for one, other in changes if other is not None), None)
        case _:
            return None
