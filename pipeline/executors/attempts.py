"""How far an attempt is, from the events of its log; the only reader of what workers log that decides by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from jobs.runtime.events import Checked, Committed, Event, Exited, Failed, Finished, ProgressMade
from pipeline.executors.base import Progress


@dataclass(slots=True)
class Attempt:
    """One attempt at one index, as far as its log was read."""

    index: int
    units: int = 0
    samples: int = 0
    progress: Progress | None = field(default_factory=Progress)  # None once it has ended
    error: str = ""  # why it ended, if it has said so
    counts: Counter[str] = field(default_factory=Counter)  # of what a check has read

    def see(self, event: Event) -> None:
        """Take the next event into account."""
        match event:
            case ProgressMade():
                self.progress = Progress(event.done, event.total, event.what)
            case Committed():
                self.units, self.samples = self.units + 1, self.samples + event.samples
                self.progress = Progress()
            case Checked():
                self.counts.update(event.counts)
                self.progress = None
            case Exited():
                self.error, self.progress = event.error, None
            case Finished() | Failed():
                self.progress = None


def attempt_of(index: int, events: Iterable[Event]) -> Attempt:
    """The attempt whose log holds these events."""
    attempt = Attempt(index)
    for event in events:
        attempt.see(event)
    return attempt


def counted(attempts: Iterable[Attempt]) -> Counter[str]:
    """What the attempts of a check have read together, each index once."""
    by_index = {attempt.index: attempt.counts for attempt in attempts if attempt.counts}
    total: Counter[str] = Counter()
    for counts in by_index.values():
        total.update(counts)
    return total
