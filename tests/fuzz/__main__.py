"""Mutates whole inputs and reads them: `python -m tests.fuzz --iterations N [--first K] [ENTRY ...]`.

An error that is not one of ours (jobs/errors.py), or a read of more than 10 seconds of CPU, is a failure, printed with
its number: `--first NUMBER --iterations 1 ENTRY` does it again. Exit code 1 if there was any.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Sequence

from jobs.errors import I2PError
from tests.fuzz.entries import ENTRIES, Entry
from tests.fuzz.mutate import mutated

_SECONDS = 10.0
_MEMORY = 4 << 30  # bytes more than at the start
_BETWEEN = 5  # failures of an entry


def failures_of(name: str, entry: Entry, numbers: Sequence[int]) -> list[str]:
    """What went wrong for which numbers, in words."""
    failures = []
    for number in numbers:
        data = mutated(entry.seeds, name, number)
        if entry.repair and number % 2:
            data = entry.repair(data)
        began = time.process_time()
        try:
            entry.read(data)
        except Exception as error:
            if not isinstance(error, (I2PError, *entry.expected)):
                line = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{name} {number}: {type(error).__name__}: {error} ({line.filename}:{line.lineno})"
                failures.append(what[:500])
        if time.process_time() - began > _SECONDS:
            failures.append(f"{name} {number}: took {time.process_time() - began:.1f} s of CPU")
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz the entries named, or all; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("entries", nargs="*", metavar="ENTRY", choices=[[], *ENTRIES], help=", ".join(ENTRIES))
    parser.add_argument("--iterations", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        limit = int(file.read().split()[0]) * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    total = 0
    for name in options.entries or ENTRIES:
        began = time.perf_counter()
        failures = failures_of(name, ENTRIES[name], range(options.first, options.first + options.iterations))
        rate = options.iterations / (time.perf_counter() - began)
        print(
            f"{name:10} {options.iterations:>10,} iterations {rate:>9,.0f} /s {len(failures):>6} failures", flush=True
        )
        for failure in failures[:_BETWEEN]:
            print(f"    {failure}")
        total += len(failures)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
