"""The graph: every stage's specification, in an order in which each comes after what it reads. Free of torch.

A stage is a package of `jobs` with a module `stage`, which defines one StageSpec; nothing else lists it. What a package
adds to the command line stands in its module `command`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType

import jobs
from jobs.errors import BadConfiguration
from jobs.runtime.commands import Command, Export
from jobs.runtime.spec import StageSpec


def _modules(name: str) -> Iterator[ModuleType]:
    """The module of that name of every package that has one."""
    for package in pkgutil.iter_modules(jobs.__path__, "jobs."):
        if package.ispkg and find_spec(f"{package.name}.{name}"):
            yield importlib.import_module(f"{package.name}.{name}")


def _defined() -> Iterator[StageSpec]:
    for module in _modules("stage"):
        (spec,) = (one for one in vars(module).values() if isinstance(one, StageSpec))
        yield spec


def _in_order(specs: Sequence[StageSpec]) -> tuple[StageSpec, ...]:
    """Each after all that it reads; raises BadConfiguration for an input that no stage writes, or a circle."""
    left = {spec.name: spec for spec in sorted(specs, key=lambda spec: spec.name)}
    ordered: dict[str, StageSpec] = {}
    while left:
        ready = [spec for spec in left.values() if ordered.keys() >= set(spec.inputs)]
        if not ready:
            raise BadConfiguration(f"the stages {', '.join(left)} read what no stage writes, or each other in a circle")
        ordered[ready[0].name] = left.pop(ready[0].name)
    return tuple(ordered.values())


STAGES = _in_order(list(_defined()))

_ADDED = [one for module in _modules("command") for one in vars(module).values()]
COMMANDS = tuple(one for one in _ADDED if isinstance(one, Command))  # of the command line, without a run
EXPORTS = tuple(one for one in _ADDED if isinstance(one, Export))


def stage_named(name: str) -> StageSpec:
    """The stage of that name; raises BadConfiguration when there is none."""
    for spec in STAGES:
        if spec.name == name:
            return spec
    raise BadConfiguration(f"there is no stage {name!r}; the stages are {', '.join(spec.name for spec in STAGES)}")
