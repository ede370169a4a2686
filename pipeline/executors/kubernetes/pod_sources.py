"""Where the values in the description of a Pod come from, and the one source that holds the values themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pipeline.configuration.resources import Kubernetes, Toleration

KubernetesObject = dict[str, Any]
T = TypeVar("T")
Part = TypeVar("Part", KubernetesObject, list[Any])


class Size(Protocol):
    """How large one Pod is and where it runs: fields of `Placement` and of what is derived from it."""

    @property
    def node_selector(self) -> dict[str, str]: ...
    @property
    def tolerations(self) -> tuple[Toleration, ...]: ...
    @property
    def priority_class(self) -> str | None: ...
    @property
    def cpus(self) -> str: ...
    @property
    def memory(self) -> str: ...
    @property
    def scratch(self) -> str: ...


class Source(Protocol):
    """Where the values of a description come from.

    A value may be an expression, so the description never tests, joins or iterates over one itself. Parts that depend
    on a value are unpacked with `*` or `**`.
    """

    @property
    def cluster(self) -> Kubernetes: ...
    @property
    def size(self) -> Size: ...

    def when(self, value: object, part: Part) -> Part:
        """The part where the value is not empty, else an empty one."""

    def unless(self, value: object, part: Part) -> Part:
        """The part where the value is empty, else an empty one."""

    def optional(self, **fields: object) -> KubernetesObject:
        """Those fields whose value is not empty."""

    def either(self, first: T | None, second: T | None) -> T | None:
        """The first value, or the second where the first is empty."""

    def merged(self, below: Mapping[str, str], above: Mapping[str, str]) -> Mapping[str, str]:
        """The entries of both; those above replace those below."""

    def joined(self, *lists: Sequence[Any]) -> Sequence[Any]:
        """The entries of all lists in their order, without repetitions."""

    def each(self, values: Sequence[T], part: Callable[[T], KubernetesObject]) -> list[Any]:
        """A part for each value."""

    def items(self, values: Mapping[str, str], part: Callable[[str, str], KubernetesObject]) -> list[Any]:
        """A part for each entry, in the order of the names."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A source that holds the values themselves."""

    cluster: Kubernetes
    size: Size

    def when(self, value: object, part: Part) -> Part:
        return part if value else type(part)()

    def unless(self, value: object, part: Part) -> Part:
        return type(part)() if value else part

    def optional(self, **fields: object) -> KubernetesObject:
        return {name: value for name, value in fields.items() if value}

    def either(self, first: T | None, second: T | None) -> T | None:
        return first or second

    def merged(self, below: Mapping[str, str], above: Mapping[str, str]) -> Mapping[str, str]:
        return {**below, **above}

    def joined(self, *lists: Sequence[Any]) -> Sequence[Any]:
        found: list[Any] = []
        for one in (one for values in lists for one in values):
            plain = one.model_dump(exclude_none=True) if isinstance(one, Toleration) else one
            if plain not in found:
                found.append(plain)
        return found

    def each(self, values: Sequence[T], part: Callable[[T], KubernetesObject]) -> list[Any]:
        return [part(one) for one in values]

    def items(self, values: Mapping[str, str], part: Callable[[str, str], KubernetesObject]) -> list[Any]:
        return [part(name, value) for name, value in sorted(values.items())]
