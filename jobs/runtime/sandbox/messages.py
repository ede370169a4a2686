"""What a worker and a sandboxed process say to each other: each message is a strict model, and bytes beside it.

Strict, because what comes back from a process that decoded foreign bytes is foreign itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar, Union

from pydantic import BaseModel, TypeAdapter

from jobs.shards.strict_json import Json, JsonModel, decode

S = TypeVar("S", bound=BaseModel)
Q = TypeVar("Q", bound=JsonModel)
A = TypeVar("A", bound=JsonModel)


class Order(JsonModel):
    """The argument of a sandboxed process: what it serves, and what one answer may take."""

    server: str
    settings: dict[str, Json]
    seconds: float
    """Of CPU."""

    memory: int
    """Bytes beyond those of the program itself."""


class Ready(JsonModel):
    """The first message of a process: it can be asked now."""


class Failed(JsonModel):
    """In place of an answer: what went wrong, in words."""

    error: str
    out_of_memory: bool


def start_of(head: bytes) -> Ready | Failed:
    """What the first message of a process says; raises Corrupt."""
    return _one_of((Ready,), head)


@dataclass(frozen=True, slots=True)
class Service(Generic[S, Q, A]):
    """What one kind of sandboxed process is asked and answers; light to import, unlike its server."""

    server: str  # "package.module:NAME" of its Server, which only the sandboxed process imports
    settings: type[S]
    request: type[Q]
    answers: tuple[type[A], ...]

    def answer_in(self, head: bytes) -> A | Failed:
        """The answer in a message; raises Corrupt."""
        return _one_of(self.answers, head)


@dataclass(frozen=True, slots=True)
class Server(Generic[S, Q, A]):
    """How a service is served: `start` is called once, imports all that will be needed, and gives what answers."""

    service: Service[S, Q, A]
    start: Callable[[S], Callable[[Q, bytes], Iterator[tuple[A, bytes]]]]


def _one_of(models: tuple[type[A], ...], head: bytes) -> A | Failed:
    message: A | Failed = decode(_adapter(models), head, "a message", "one that was expected")
    return message


@cache
def _adapter(models: tuple[type[JsonModel], ...]) -> TypeAdapter[Any]:
    union: Any = Union[(Failed, *models)]
    return TypeAdapter(union)
