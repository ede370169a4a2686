"""A JSON schema's types and limits, as people write them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

Schema = Mapping[str, Any]

_TYPES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}
_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "minLength": "characters at least",
}


def type_of(schema: Schema) -> str:
    """The type in words: `whole number or null`, `list of text`."""
    if "anyOf" in schema:
        return " or ".join(type_of(one) for one in schema["anyOf"])
    if "discriminator" in schema:
        return "entry of one kind"
    if "$ref" in schema or "properties" in schema:
        return "group"
    if "enum" in schema or "const" in schema:
        return "choice"
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_plural(type_of(schema['items']))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"mapping of names to {_plural(type_of(values))}" if isinstance(values, dict) else "mapping"
    return _TYPES[str(kind)]


def choices_of(schema: Schema) -> tuple[str, ...]:
    """The allowed values where they are few and known, as YAML writes them."""
    if "anyOf" in schema:
        found = [choices_of(one) for one in schema["anyOf"]]
        named = [choice for one in found for choice in one]
        return (*named, "null") if named and {"type": "null"} in schema["anyOf"] else tuple(named)
    if schema.get("type") == "boolean":
        return ("true", "false")
    return tuple(str(value) for value in schema.get("enum", [schema["const"]] if "const" in schema else []))


def allowed_in(schema: Schema) -> str:
    """The limits or choices in words; empty where the type says all."""
    if choices := choices_of(schema):
        return ", ".join(choices)
    parts = [schema, *schema.get("anyOf", [])]
    limits = [f"{words} {_number(part[name])}" for part in parts for name, words in _LIMITS.items() if name in part]
    patterns = [f"matching {part['pattern']}" for part in parts if "pattern" in part]
    return ", ".join([*limits, *patterns])


def value_text(value: Any) -> str:
    """A value as YAML and `--set` take it."""
    if isinstance(value, str) and _is_bare(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_bare(text: str) -> bool:
    """Whether YAML reads the text as itself without quotation marks."""
    try:
        return bool(yaml.safe_load(text) == text)
    except yaml.YAMLError:  # a comma
        return False


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else f"{value:,}"


def _plural(words: str) -> str:
    return {"whole number": "whole numbers", "number": "numbers", "group": "groups", "choice": "choices"}.get(
        words, words
    ).replace("entry of one kind", "entries, each of one kind")
