"""Many clients at once on a real S3 server behind a proxy that spoils requests; then the history checker.

    python -m tests.contract.history --operations 100000 --faults 0.1 --server seaweedfs

Exit code 1 if no order of operations explains what the clients were answered. On versitygw 1.8 no object is deleted
while it is replaced: a deletion between its look at If-Match and its rename is lost (3 of 500 such races were, seen
here).
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from jobs.errors import NotFound, StoreError
from jobs.shards import s3_client
from jobs.shards.s3 import S3Store
from tests.contract.linearizable import Violation, violations
from tests.contract.recorder import History, Recorder
from tests.fakes.faulty_proxy import FaultyProxy
from tests.s3_servers import DEFAULT, SERVERS, new_bucket

_CLIENTS = 32
_NAMES_AT_ONCE, _OPERATIONS_OF_A_NAME = 8, 40
_TIMEOUT_SECONDS = 0.5
_KINDS, _WEIGHTS = ("read", "version", "create", "replace", "delete"), (25, 10, 20, 38, 7)


@dataclass(frozen=True)
class Result:
    """What came of it."""

    history: History
    violations: list[Violation]
    seconds: float
    injected: Counter[str]

    def __str__(self) -> str:
        done = self.history.operations
        outcomes = Counter(f"{one.kind} {one.outcome}" for one in done)
        counts = ", ".join(f"{name} {number:,}" for name, number in sorted(outcomes.items()))
        troubled = sum(one.troubled for one in done)
        return (
            f"{len(done):,} operations by {_CLIENTS} clients in {self.seconds:.0f} s ({counts}; {troubled:,} with an "
            f"answer lost); faults {dict(self.injected)}; {len(self.violations)} violations"
        )


class _Gate:
    """Keeps deletions and replacements of one name apart, also those that may still arrive, unanswered."""

    def __init__(self, *, races: bool) -> None:
        self._races, self._lock, self._under_way = races, threading.Lock(), Counter[tuple[str, str]]()

    def enter(self, name: str, kind: str) -> bool:
        """Whether it may be done now."""
        other = {"replace": "delete", "delete": "replace"}.get(kind)
        with self._lock:
            if other and not self._races and self._under_way[name, other]:
                return False
            self._under_way[name, kind] += 1
            return True

    def leave(self, name: str, kind: str) -> None:
        with self._lock:
            self._under_way[name, kind] -= 1


def disturb(
    bucket: S3Store,
    operations: int,
    *,
    faults: float,
    races: bool,
    seed: int = 0,
    strip: tuple[str, ...] = (),
    at_most_seconds: float = 3600,
) -> Result:
    """Let clients work on the same names through a faulty proxy, and check what they were answered."""
    history, turns, gate = History(), itertools.count(), _Gate(races=races)
    direct, tries = os.environ["AWS_ENDPOINT_URL"], s3_client.TRIES
    with FaultyProxy(direct, rate=faults, seed=seed, strip=strip) as proxy:
        os.environ["AWS_ENDPOINT_URL"] = proxy.address
        try:
            recorders = []
            for s3_client.TRIES in (1, 2):  # so that answers stay lost, or are asked for again by boto3
                store = S3Store(bucket.bucket, bucket.prefix, timeout_seconds=_TIMEOUT_SECONDS)
                recorders.append(Recorder(store, history))
            began = time.monotonic()

            def work(client: int) -> None:
                store, known = recorders[client % 2], dict[str, str]()
                random_ = random.Random(f"{seed} {client}")  # noqa: S311, to be repeated
                while (turn := next(turns)) < operations and time.monotonic() - began < at_most_seconds:
                    _one(store, gate, random_, known, turn)

            with ThreadPoolExecutor(_CLIENTS) as pool:
                list(pool.map(work, range(_CLIENTS)))
        finally:
            os.environ["AWS_ENDPOINT_URL"], s3_client.TRIES = direct, tries
    return Result(history, violations(history.operations), time.monotonic() - began, proxy.injected)


def _one(store: Recorder, gate: _Gate, random_: random.Random, known: dict[str, str], turn: int) -> None:
    """One operation on one of the few names whose turn it is; `known` are the versions that the client has seen."""
    name = f"{turn // (_NAMES_AT_ONCE * _OPERATIONS_OF_A_NAME):06d}-{random_.randrange(_NAMES_AT_ONCE)}"
    (kind,) = random_.choices(_KINDS, _WEIGHTS)
    if (kind == "replace" and name not in known) or not gate.enter(name, kind):
        gate.enter(name, kind := "read")
    plainly = False
    with suppress(StoreError):  # the recorder has noted it
        _do(store, kind, name, known, f"turn {turn}".encode())
        plainly = not store.troubled
    if plainly:
        gate.leave(name, kind)


def _do(store: Recorder, kind: str, name: str, known: dict[str, str], body: bytes) -> None:
    match kind:
        case "create":
            store.create(name, body)
        case "replace":
            store.replace(name, body, version=known[name])
        case "delete":
            store.delete(name)
        case _:
            with suppress(NotFound):
                known[name] = store.version(name) if kind == "version" else store.read(name).version


def main() -> int:
    """Run the clients, print what came of it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--faults", type=float, default=0.1, help="share of requests that are spoiled")
    parser.add_argument("--seconds", type=float, default=3600, help="end earlier")
    parser.add_argument("--server", choices=SERVERS, default=DEFAULT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strip", action="append", default=[], help="a header that the server never sees: if-match")
    args = parser.parse_args()
    server = SERVERS[args.server]
    with server.running() as variables, new_bucket(variables) as bucket:
        os.environ.update(variables)
        result = disturb(
            bucket,
            args.operations,
            faults=args.faults,
            races=not server.loses_deletions,
            seed=args.seed,
            strip=tuple(args.strip),
            at_most_seconds=args.seconds,
        )
    for violation in result.violations[:3]:
        print(violation)
    print(f"{args.server}: {result}")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
