"""The sources of prompts, one file each in kinds/; which there are follows from listing that folder."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Union, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from jobs.collect.sources.base import FileSource, Source, WrittenSource
from jobs.registry import names_in, refused

KINDS = "jobs.collect.sources.kinds"


class _ByKind:
    """Makes a union of all sources there are, distinguished by `kind`, when a model that has a source is defined."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        every: Any = Union[tuple(map(_class_of, names_in(KINDS)))]  # noqa: UP007
        union = handler.generate_schema(Annotated[every, Field(discriminator="kind")])
        return core_schema.no_info_before_validator_function(_of_known_kind, union)


AnySource = Annotated[FileSource | WrittenSource, _ByKind()]


def _of_known_kind(value: Any) -> Any:
    kind = value.get("kind") if isinstance(value, dict) else None
    if isinstance(kind, str) and (refusal := refused(kind, names_in(KINDS))):
        raise ValueError(f"kind: {refusal}")
    return value


def _class_of(name: str) -> type[Source]:
    module = import_module(f"{KINDS}.{name.replace('-', '_')}")
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, Source) and _kinds(found) == (name,):
            return found
    raise TypeError(f"{module.__file__} must define a source with `kind: Literal[{name!r}]`")


def _kinds(source: type[Source]) -> tuple[Any, ...]:
    return get_args(source.model_fields["kind"].annotation)
