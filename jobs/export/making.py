"""Makes the parts of an export that are missing, one after the other, and shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobs.export.draft import Draft, drafting
from jobs.export.folder import ExportFolder
from jobs.runtime.commands import Progress

_SHOWN_ROWS = 100  # between two times at which it is shown how far it is


@dataclass(frozen=True, slots=True)
class Work:
    """A part to be made: its name, how many rows are read for it, and what writes it."""

    name: str
    rows: int
    write: Callable[[Draft], None]


def make(folder: ExportFolder, works: Sequence[Work], show: Progress, *, force: bool) -> None:
    """Make all parts that are not there and right; raises BadConfiguration where something else is in the folder."""
    folder.begin([work.name for work in works], force=force)
    right = []
    for number, name in enumerate(list(folder.parts), 1):
        show("checking", number, len(folder.parts))
        if folder.is_right(name):
            right.append(name)
    missing = [work for work in works if work.name not in right]
    if not missing:
        return
    folder.reopen(right)
    counting = _Counting(show, sum(work.rows for work in missing))
    for work in missing:
        with drafting(counting.add) as draft:
            work.write(draft)
            folder.add(work.name, draft)


@dataclass(slots=True)
class _Counting:
    """Counts the rows of all parts."""

    show: Progress
    total: int
    done: int = 0

    def add(self) -> None:
        self.done += 1
        if self.done % _SHOWN_ROWS == 0 or self.done == self.total:
            self.show("exporting", self.done, self.total)
