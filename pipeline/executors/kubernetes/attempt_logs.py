"""The logs and failures that the attempts of a Job leave in the store, there also when Pod and node are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jobs.errors import BAD_CONFIGURATION, BAD_DATA, NotFound, severity
from jobs.runtime.diagnostics import Failure, failures_in
from jobs.runtime.events import events_in, log_of
from jobs.shards.store import Store
from pipeline.executors.attempts import Attempt, attempt_of

_READ_AT_ONCE = 200  # logs in one look; what is left is read by the next ones


class AttemptLogs:
    """The logs and failures of one stage's Jobs; a log is read again only when it has grown."""

    def __init__(self, stage: Store) -> None:
        self._stage = stage
        self._read: dict[str, tuple[int, Attempt]] = {}

    def attempts(self, job: str) -> list[Attempt]:
        """Every attempt of the Job that has begun to work."""
        found, reads = [], 0
        for stat in self._stage.list("logs/"):
            index, attempt_name = log_of(stat.name) or (0, "")
            if not attempt_name.startswith(f"{job}-"):  # attempts are named by their Pods
                continue
            size, attempt = self._read.get(stat.name, (-1, Attempt(index, progress=None)))
            if size != stat.size and reads < _READ_AT_ONCE:
                reads += 1
                attempt = self._attempt(stat.name, index)
                self._read[stat.name] = (stat.size, attempt)
            found.append(attempt)
        return found

    def _attempt(self, name: str, index: int) -> Attempt:
        try:
            return attempt_of(index, events_in(self._stage.read(name).data.splitlines()))
        except NotFound:
            return Attempt(index, progress=None)

    def failures(self, job: str) -> list[Failure]:
        """Every failure that attempts of the Job left, the worst first, and of equal ones the newest."""
        found = failures_in(self._stage, containing=f"-{job}-")
        return sorted(found, key=lambda one: (-severity(one.exit_code), -one.time))


def begun_by_index(attempts: list[Attempt]) -> Counter[int]:
    """How many attempts each index has had."""
    return Counter(attempt.index for attempt in attempts)


def worst(failures: list[Failure]) -> int:
    """The exit code of what a retry cannot help, or 0 where there is none."""
    codes = [one.exit_code for one in failures if one.exit_code in (BAD_DATA, BAD_CONFIGURATION)]
    return max(codes, key=severity, default=0)


def indexes_in(text: str) -> Iterator[int]:
    """The indexes in Kubernetes' short form, `1,3-5,7`."""
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
