"""Every parameter of a configuration by its dotted name, from the models themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel

from jobs.catalog import STAGES
from jobs.runtime.spec import Params
from pipeline.cli.reference.fingerprints import effect_on_result
from pipeline.cli.reference.schema_words import Schema, allowed_in, choices_of, type_of, value_text
from pipeline.configuration.run_config import FullConfig, load_config, presets

REQUIRED = "required"

_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter, or a group of them, in words."""

    name: str
    """Dotted, as `--set` takes it; the entries of a list of kinds have their kind where `--set` has a position."""

    about: str
    type: str
    allowed: str
    choices: tuple[str, ...]
    default: str
    result: str
    """Whether it shapes the result: part of the fingerprint that a unit's record carries."""

    presets: tuple[tuple[str, str], ...] = ()
    """(preset, value) where a preset sets another value than the default."""

    @property
    def is_group(self) -> bool:
        return self.type == "group"


@cache
def parameters() -> dict[str, Parameter]:
    """All parameters by name, in the order of the configuration; a group stands before what is in it."""
    schema = _schema()
    configs = {name: load_config(name).model_dump(mode="json", by_alias=True) for name in presets()}
    found = _Walk(schema["$defs"], configs, _inherited_descriptions()).below("", schema)
    return {one.name: one for one in found}


@cache
def lists_of_kinds() -> tuple[str, ...]:
    """The parameters whose entries are of several kinds, each with parameters of its own; with a dot at the end."""
    return tuple(
        f"{stage}.{name}."
        for stage, config in _schema()["properties"].items()
        for name, schema in _definition(config).get("properties", {}).items()
        if "discriminator" in schema.get("items", {})
    )


@cache
def _schema() -> Schema:
    found: Schema = FullConfig.model_json_schema(by_alias=True)
    return found


def _definition(schema: Schema) -> Schema:
    reference = schema.get("$ref", "").rpartition("/")[2]
    found: Schema = _schema()["$defs"].get(reference, {})
    return found


@cache
def _read_by_content() -> frozenset[str]:
    """Parameters of entries of a list that name files."""
    return frozenset(name for model in _subclasses(Params) if not _is_stage(model) for name in model.read_by_content)


def _is_stage(model: type[BaseModel]) -> bool:
    return any(issubclass(model, spec.params) for spec in STAGES)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Goes through a schema and what it refers to."""

    definitions: Schema
    presets: Schema
    inherited: Mapping[tuple[str, str], str]

    def below(self, prefix: str, schema: Schema) -> Iterator[Parameter]:
        """Everything in a model, whose names begin with the prefix."""
        for name, inner in schema.get("properties", {}).items():
            about = self.inherited.get((schema.get("title", ""), name), "")
            required = name in schema.get("required", ())
            yield from self._one(f"{prefix}{name}", {"description": about, **inner}, required=required)

    def _one(self, name: str, schema: Schema, *, required: bool) -> Iterator[Parameter]:
        group = self._model(schema)
        about = schema.get("description") or (group or {}).get("description", "")
        default = REQUIRED if required else value_text(schema["default"]) if "default" in schema else ""
        yield Parameter(
            name=name,
            about=" ".join(about.split()),
            type=type_of(schema),
            allowed=allowed_in(schema),
            choices=choices_of(schema),
            default="" if group else default,
            result=effect_on_result(name, _read_by_content()),
            presets=() if group or required else tuple(self._elsewhere(name, schema)),
        )
        if group:
            yield from self.below(f"{name}.", group)
        yield from self._entries(name, schema.get("items", {}))

    def _entries(self, name: str, items: Schema) -> Iterator[Parameter]:
        """What the entries of a list may have, by kind where there are several."""
        if "discriminator" in items:
            for kind, model in sorted(items["discriminator"]["mapping"].items()):
                yield from self._one(f"{name}.{kind}", {"$ref": model}, required=False)
        elif model := self._model(items):
            yield from self.below(f"{name}.", model)

    def _model(self, schema: Schema) -> Schema | None:
        if "$ref" not in schema:
            return None
        model: Schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        return model if "properties" in model else None

    def _elsewhere(self, name: str, schema: Schema) -> Iterator[tuple[str, str]]:
        """The presets that set another value than the default."""
        for preset, config in self.presets.items():
            value = _value_in(config, name)
            if value is not _ABSENT and not isinstance(value, list) and value != schema.get("default"):
                yield preset, value_text(value)


def _value_in(config: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(config, dict) or part not in config:
            return _ABSENT
        config = config[part]
    return config


def _inherited_descriptions() -> dict[tuple[str, str], str]:
    """{(model, field): docstring} of fields that a model sets anew without saying again what they are."""
    found = {}
    for model in _subclasses(Params):
        for name, field in model.model_fields.items():
            texts = [
                base.model_fields[name].description
                for base in model.__mro__
                if issubclass(base, BaseModel) and name in base.model_fields
            ]
            if field.description is None and (text := next(filter(None, texts), None)):
                found[model.__name__, name] = text
    return found


def _subclasses(model: type[Params]) -> Iterator[type[Params]]:
    yield model
    for one in model.__subclasses__():
        yield from _subclasses(one)
