"""What a worker's log says, read back: by the controller, by the commands, from a pipe or from the store.

A log is written by `log.py`, a JSON object a line. What else stands in one, or in the folder of the logs, is nobody's
and is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.shards.strict_json import Count, Seconds

_LOG = re.compile(r"(?:logs|processes)/(\d{5,9})-(.+)\.jsonl")

Amount = Annotated[float, Field(ge=0)]


class Event(BaseModel):
    """One event. The members that somebody decides by are checked, the others are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False, frozen=True)

    time: Seconds = 0
    event: str
    done: Amount = 0
    total: Amount | None = None
    what: str = ""
    samples: Count = 0
    error: str = ""

    @property
    def values(self) -> dict[str, Any]:
        """The event as it was logged."""
        return self.model_dump(exclude_unset=True)


_EVENT = TypeAdapter(Event)


def event_in(line: bytes | str) -> Event | None:
    """The event of one line, or None for a line that is none."""
    try:
        return _EVENT.validate_json(line)
    except ValidationError:
        return None


def events_in(lines: Iterable[bytes]) -> Iterator[Event]:
    """The events of a log, in order."""
    return (event for line in lines if (event := event_in(line)))


def log_of(name: str) -> tuple[int, str] | None:
    """The index and the attempt that the log of this name is of; None for what is no log."""
    found = _LOG.fullmatch(name)
    return (int(found[1]), found[2]) if found else None
