"""Small files written several at a time, with a bound on how many wait."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from jobs.shards.store import Store

_AT_ONCE = 8  # a disk or a bucket takes about 10 ms for each, however small
_WAITING = 1_000  # of about 8 kB


@dataclass(slots=True)
class Uploads:
    """Writes files of a folder in threads; all are there when its context ends without an error."""

    folder: Store
    names: list[str] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_AT_ONCE))
    _waiting: deque[Future[None]] = field(default_factory=deque)

    def put(self, name: str, body: bytes) -> None:
        """Write a file, later; raises what an earlier one's writing has raised."""
        self.names.append(name)
        self._waiting.append(self._pool.submit(self.folder.put, name, body))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            while self._waiting and error is None:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)
