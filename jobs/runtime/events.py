"""The events of a worker's log: written by the worker, read by the controller and the commands, from a pipe or a store.

A log holds a JSON object a line. What else is found in one, or in the folder of the logs, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError

from jobs.shards.strict_json import Count, JsonModel, Seconds

_LOG = re.compile(r"(?:logs|processes)/(\d{5,9})-(.+)\.jsonl")

Amount = Annotated[float, Field(ge=0)]


class Event(JsonModel):
    """One event; those of no class of their own are notes for people, with any further members."""

    model_config = ConfigDict(extra="allow")

    time: Seconds = 0
    event: str

    @property
    def values(self) -> dict[str, Any]:
        """The event as it was logged."""
        return self.model_dump(exclude_unset=True)


class Started(Event):
    """An attempt began."""

    event: Literal["started"] = "started"
    stage: str
    index: Count
    completions: Count
    attempt: str


class UnitBegun(Event):
    """Work on a unit began, the `number`th of `of` of this attempt."""

    event: Literal["unit"] = "unit"
    unit: str
    number: Count
    of: Count


class ProgressMade(Event):
    """How far a unit is, in `what` it counts; `total` is None where nobody knows it yet."""

    event: Literal["progress"] = "progress"
    done: Amount
    total: Amount | None
    what: str
    unit: str | None = None


class Committed(Event):
    """A unit was committed; `won` is False where another attempt had committed it before."""

    event: Literal["committed"] = "committed"
    unit: str
    samples: Count
    seconds: Seconds
    won: bool


class Checked(Event):
    """What this attempt of a verification has checked, in words and numbers."""

    event: Literal["checked"] = "checked"
    counts: dict[str, Count]


class Finished(Event):
    """An attempt came to its end; the failed units are bad data."""

    event: Literal["finished"] = "finished"
    failed_units: Count


class Failed(Event):
    """An attempt, or one of its units, failed."""

    event: Literal["failed"] = "failed"
    unit: str | None
    index: Count
    attempt: str
    exit_code: int
    error: str
    traceback: str


class Exited(Event):
    """The last event of an attempt that failed."""

    event: Literal["exit"] = "exit"
    code: int
    error: str


_CLASSES = (Started, UnitBegun, ProgressMade, Committed, Checked, Finished, Failed, Exited)
_NAMES = {str(one.model_fields["event"].default) for one in _CLASSES}


def _kind(value: Any) -> str:
    name = value.get("event") if isinstance(value, dict) else getattr(value, "event", None)
    return name if name in _NAMES else "note"


AnyEvent = Annotated[
    Annotated[Started, Tag("started")]
    | Annotated[UnitBegun, Tag("unit")]
    | Annotated[ProgressMade, Tag("progress")]
    | Annotated[Committed, Tag("committed")]
    | Annotated[Checked, Tag("checked")]
    | Annotated[Finished, Tag("finished")]
    | Annotated[Failed, Tag("failed")]
    | Annotated[Exited, Tag("exit")]
    | Annotated[Event, Tag("note")],
    Discriminator(_kind),
]
_EVENT: TypeAdapter[Event] = TypeAdapter(AnyEvent)


def event_in(line: bytes | str) -> Event | None:
    """The event of one line, or None for a line that is none."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None


def events_in(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of a log, in order."""
    return (event for line in lines if (event := event_in(line)))


def log_name(index: int, attempt: str, *, whole_pod: bool) -> str:
    """Where the log of an attempt is; those of further processes of a Pod are beside it."""
    return f"{'logs' if whole_pod else 'processes'}/{index:05d}-{attempt}.jsonl"


def log_of(name: str) -> tuple[int, str] | None:
    """The index and the attempt that the log of this name is of; None for what is no log."""
    found = _LOG.fullmatch(name)
    return (int(found[1]), found[2]) if found else None
