"""Registries: folders of modules, of which a configuration names one, with `-` for the `_` of its file.

What there is follows from listing the folder. Only the worker that uses a module imports it, so a module may need
packages that the controller, which checks the configuration, does not have. What the controller has to know of a module
is a literal at its top level, read from its source.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Union, get_args

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from jobs.errors import BadConfiguration

_FEW = 30  # names, which an error lists all


def names_in(package: str) -> list[str]:
    """The names of the modules in a package's folder, sorted; nothing but the package itself is imported."""
    folder = import_module(package).__path__
    return sorted(found.name.replace("_", "-") for found in pkgutil.iter_modules(folder) if found.name[0] != "_")


def load(package: str, name: str, attribute: str) -> Any:
    """What the module of that name defines as `attribute`; raises BadConfiguration when there is no such thing."""
    if refusal := refused(name, names_in(package)):
        raise BadConfiguration(f"{package}: {refusal}")
    module = import_module(_module(package, name))
    if not hasattr(module, attribute):
        raise BadConfiguration(f"{module.__file__} must define `{attribute}`, as the other modules of {package} do")
    return getattr(module, attribute)


def literal(package: str, name: str, variable: str, default: Any) -> Any:
    """The literal that a module assigns to a variable at its top level, read without importing it, or the default."""
    spec = importlib.util.find_spec(_module(package, name))
    if spec is None or spec.origin is None:
        raise BadConfiguration(f"{package}: there is no module {name!r}")
    return _literals(spec.origin).get(variable, default)


def refused(name: str, known: Iterable[str]) -> str | None:
    """Why a name cannot be one of the known ones, and what was probably meant; None where it is one of them."""
    names = list(known)
    if name in names:
        return None
    likely = difflib.get_close_matches(name, names, n=1)
    if not likely and len(names) > _FEW:
        return f"there is no {name!r}, nor a name like it among {len(names):,}"
    hint = f"did you mean {likely[0]!r}?" if likely else f"there are {', '.join(names)}"
    return f"there is no {name!r}; {hint}"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The names in a package's folder, as the type of a parameter: `Loss = Annotated[str, OneOf("jobs.train.losses")]`.

    The folder is listed whenever a value is checked.
    """

    package: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": names_in(self.package)}

    def _checked(self, name: str) -> str:
        if refusal := refused(name, names_in(self.package)):
            raise ValueError(refusal)
        return name


@dataclass(frozen=True, slots=True)
class ByKind:
    """A union of all models in a package's folder, one a file, whose `kind` is the file's name:
    `AnySource = Annotated[Source, ByKind("jobs.collect.sources.kinds", Source)]`.

    The folder is listed, and its modules are imported, when a model that has such a member is defined.
    """

    package: str
    base: type[BaseModel]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        every: Any = Union[tuple(map(self._class_of, names_in(self.package)))]  # noqa: UP007
        union = handler.generate_schema(Annotated[every, Field(discriminator="kind")])
        return core_schema.no_info_before_validator_function(self._of_known_kind, union)

    def _of_known_kind(self, value: Any) -> Any:
        kind = value.get("kind") if isinstance(value, dict) else None
        if isinstance(kind, str) and (refusal := refused(kind, names_in(self.package))):
            raise ValueError(f"kind: {refusal}")
        return value

    def _class_of(self, name: str) -> type[BaseModel]:
        module = import_module(_module(self.package, name))
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, self.base) and _kinds(found) == (name,):
                return found
        what = self.base.__name__.lower()
        raise TypeError(f"{module.__file__} must define a {what} with `kind: Literal[{name!r}]`")


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["kind"].annotation)


def _module(package: str, name: str) -> str:
    return f"{package}.{name.replace('-', '_')}"


@cache
def _literals(path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for statement in ast.parse(Path(path).read_text()).body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ):
                try:
                    found[name] = ast.literal_eval(value)
                except ValueError:  # not a literal
                    continue
    return found
