"""Helm's expressions in place of values, and the YAML of a manifest that contains some."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipeline.configuration.resources import Kubernetes
from pipeline.executors.kubernetes.pod_sources import KubernetesObject, Size

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Expression:
    """A value that the template computes; `text` is valid as an argument of a template function."""

    text: str

    def __bool__(self) -> bool:
        raise TypeError(f"{self.text} has no value yet; ask the source (`when`, `either`, ...) instead of testing it")

    def __str__(self) -> str:
        raise TypeError(f"{self.text} has no value yet, so it cannot become a part of a text")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """An action with a body, which the template repeats or leaves out: a key of a dict or an entry of a list."""

    action: str  # for example "if $kubernetes.cache"
    body: Any


def expressions_of(model: type[Model], variable: str) -> Model:
    """A model whose fields are expressions for the fields of a template's variable, with the model's defaults."""
    values: dict[str, Any] = {name: _field(variable, name, field) for name, field in model.model_fields.items()}
    return model.model_construct(**values)


def _field(variable: str, name: str, field: FieldInfo) -> Expression:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if default is None:
        return Expression(f"{variable}.{name}")
    if default in ({}, ()):
        return Expression(f"({variable}.{name} | default {'dict' if default == {} else 'list'})")
    if isinstance(default, str | int):
        return Expression(f"(dig {json.dumps(name)} {json.dumps(default)} {variable})")
    raise TypeError(f"{name}: its default {default!r} must be empty, a text or a number to be part of a template")


@dataclass(frozen=True, slots=True)
class Expressions:
    """A source (pod_sources.py) whose values are expressions. What it returns is a part of a template."""

    cluster: Kubernetes
    size: Size

    def when(self, value: object, part: Any) -> Any:
        return _block(f"if {_text(value)}", part)

    def unless(self, value: object, part: Any) -> Any:
        return _block(f"if not {_text(value)}", part)

    def optional(self, **fields: object) -> KubernetesObject:
        blocks = (_block(f"with {_text(value)}", {name: Expression(".")}) for name, value in fields.items())
        return {key: body for block in blocks for key, body in block.items()}

    def either(self, first: Any, second: Any) -> Any:
        return Expression(f"({_text(first)} | default {_text(second)})")

    def merged(self, below: Mapping[str, str], above: Mapping[str, str]) -> Any:
        maps = [one for one in (above, below) if one != {}]
        return maps[0] if len(maps) == 1 else Expression(f"(merge (dict) {' '.join(map(_text, maps))})")

    def joined(self, *lists: Sequence[Any]) -> Any:
        return Expression(f"(concat {' '.join(_text(one) for one in lists if one != ())} | uniq)")

    def each(self, values: Sequence[Any], part: Callable[[Any], KubernetesObject]) -> list[Any]:
        return [Block(f"range {_text(values)}", [part(Expression("."))])]

    def items(self, values: Mapping[str, str], part: Callable[[Any, Any], KubernetesObject]) -> list[Any]:
        return [Block(f"range $name, $value := {_text(values)}", [part(Expression("$name"), Expression("$value"))])]


def lines(part: KubernetesObject | list[Any], indent: int = 0) -> Iterator[str]:
    """A part of a template as lines of YAML. Each value is written as JSON, which is YAML on one line."""
    space = " " * indent
    entries = part.items() if isinstance(part, dict) else ((one, one) for one in part)
    for key, value in entries:
        if isinstance(key, Block):
            yield f"{space}{{{{- {key.action} }}}}"
            yield from lines(key.body, indent)
            yield f"{space}{{{{- end }}}}"
        elif isinstance(part, list) and isinstance(value, dict):
            first, *others = lines(value, indent + 2)
            yield f"{space}- {first.lstrip()}"
            yield from others
        elif isinstance(part, list):
            yield f"{space}- {_scalar(value)}"
        elif isinstance(value, dict | list):
            yield f"{space}{key}:"
            yield from lines(value, indent + 2)
        else:
            yield f"{space}{key}: {_scalar(value)}"


def _block(action: str, part: KubernetesObject | list[Any]) -> Any:
    block = Block(action, part)
    return {block: part} if isinstance(part, dict) else [block]


def _scalar(value: object) -> str:
    return f"{{{{ toJson {value.text} }}}}" if isinstance(value, Expression) else json.dumps(value)


def _text(value: object) -> str:
    if isinstance(value, Expression):
        return value.text
    raise TypeError(f"an expression is required, given the value {value!r}")
