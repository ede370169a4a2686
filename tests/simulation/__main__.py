"""Runs many schedules: `python -m tests.simulation --seeds 100000`, which is `make simulate SEEDS=100000`.

A seed whose last digit is 9 is a schedule of inference on cron, any other one of a run. In a quarter of these
garbage is collected; with `--garbage` in every one, and none is of inference on cron. What fails is run again by
`--seed N` (the same every time), with its trace by `--trace`, and made smaller by `--shrink`.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.simulation import patches
from tests.simulation.firings import simulate_firings
from tests.simulation.scenario import Outcome, Plan, simulate
from tests.simulation.shrink import shrink

_AT_ONCE = 250  # schedules of one process
_SEEDS_BETWEEN = 10  # of those that break an invariant


def run_seed(seed: int, script: Sequence[int] | None = None, *, garbage: bool = False) -> Outcome:
    """The schedule of a seed."""
    if garbage:
        return simulate(seed, Plan(collects=True), script)
    return simulate_firings(seed, None, script) if seed % 10 == 9 else simulate(seed, None, script)


def run_seeds(seeds: Iterable[int], *, garbage: bool = False) -> tuple[float, list[Outcome]]:
    """Seconds of CPU, and the outcomes with violations."""
    with patches.simulated():
        began = time.process_time()
        found = [outcome for seed in seeds if (outcome := run_seed(seed, garbage=garbage)).violations]
        return time.process_time() - began, [_short(one) for one in found]


def _short(outcome: Outcome) -> Outcome:
    return Outcome(outcome.seed, outcome.violations, outcome.made, outcome.calls, ())


def _blocks(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, _AT_ONCE):
        yield range(start, min(start + _AT_ONCE, first + count))


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 when an invariant was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2_000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at once")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="print what every actor did")
    parser.add_argument("--shrink", action="store_true", help="look for a smaller schedule that fails likewise")
    parser.add_argument("--garbage", action="store_true", help="collect garbage in every schedule")
    args = parser.parse_args(arguments)
    if args.seed is not None:
        return _one(args.seed, garbage=args.garbage, trace=args.trace, smaller=args.shrink)
    return _many(args.first, args.seeds, args.processes, garbage=args.garbage)


def _many(first: int, count: int, processes: int, *, garbage: bool) -> int:
    began, seconds, done = time.monotonic(), 0.0, 0
    failed: list[Outcome] = []
    with ProcessPoolExecutor(processes) as pool:
        for used, found in pool.map(partial(run_seeds, garbage=garbage), _blocks(first, count)):
            done = min(done + _AT_ONCE, count)
            seconds, failed = seconds + used, failed + found
            if sys.stderr.isatty() or done % (20 * _AT_ONCE) == 0:
                left = (time.monotonic() - began) * (count - done) / done
                print(
                    f"{done:,} of {count:,} schedules, {len(failed)} with violations, {left:.0f} s left",
                    file=sys.stderr,
                )
    for name, number in Counter(name for one in failed for name, _ in set(one.violations)).most_common():
        examples = [one for one in failed if name in dict(one.violations)]
        seeds = ", ".join(str(one.seed) for one in examples[:_SEEDS_BETWEEN])
        print(f"{number:>6}  {name}: seeds {seeds}: {dict(examples[0].violations)[name][:300]}")
    print(
        f"schedules: {count:,}, rate: {count / max(seconds, 1e-9):.0f} a second and core, violations: {len(failed):,}"
    )
    return 1 if failed else 0


def _one(seed: int, *, garbage: bool, trace: bool, smaller: bool) -> int:
    run = partial(run_seed, garbage=garbage)
    with patches.simulated():
        outcome = run(seed)
        if smaller and outcome.violations:
            broken = outcome.violations[0][0]
            script = shrink(outcome.made, partial(_breaks, partial(run, seed), broken))
            outcome = run(seed, script)
            print(f"{len(script)} choices, {sum(map(bool, script))} of them not quiet: {script}")
    if trace:
        for when, actor, what in outcome.trace:
            print(f"{when - 1_800_000_000:>12.2f}  {actor:<40} {what}")
    for name, what in outcome.violations:
        print(f"{name}: {what}")
    print(f"seed {seed}: {outcome.calls} calls, {len(outcome.violations)} violations")
    return 1 if outcome.violations else 0


def _breaks(run: Callable[[Sequence[int]], Outcome], name: str, script: Sequence[int]) -> bool:
    return any(broken == name for broken, _ in run(script).violations)


if __name__ == "__main__":
    sys.exit(main())
