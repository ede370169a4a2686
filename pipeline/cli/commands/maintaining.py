"""Commands that keep a store whole and small: which runs there are, make again, repair, collect garbage."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import chain

from jobs.errors import OK, BadConfiguration, NotFound
from jobs.runtime.former_shards import forget
from jobs.runtime.spec import StageSpec
from jobs.shards.address import open_store
from jobs.shards.records import record_name
from pipeline.cli.call import Call
from pipeline.cli.commands.running import finish_run
from pipeline.cli.terminal import print_error, print_text
from pipeline.configuration.run_config import RunConfig
from pipeline.maintenance.garbage import Ages, Garbage, find_garbage, remove_garbage
from pipeline.maintenance.live_runs import live_configs, remove_old_notes
from pipeline.maintenance.repair import clear_damage
from pipeline.maintenance.run_list import runs_in, runs_text
from pipeline.planning.plan import make_plan
from pipeline.planning.run_store import open_run
from pipeline.scheduled.batches import open_batches

_DAY = 86_400.0
_BATCH_RUN = re.compile(r"(.+)-\d{8}-\d{4}(\d\d)?")


def runs(call: Call) -> int:
    """The runs of the store: their stages, size and age."""
    found = runs_in(open_store(call.config.store))
    call.answer([asdict(run) for run in found], runs_text(found))
    return OK


def redo(call: Call) -> int:
    """Forget that a stage, or one of its units, is made, so that the next run makes it again; what is published stays
    until then.
    """
    stage, wanted = call.stage, call.args.unit
    plan = next((one for one in make_plan(call.store, call.config) if one.spec.name == stage), None)
    if plan is None:
        raise BadConfiguration(
            f"{stage} is no stage of this run, but of the run {call.config.origin(stage)}: redo it there"
        )
    units = [unit for unit in plan.units or () if wanted in (None, unit.unit)]
    if not units:
        raise NotFound(f"{stage} has no unit {wanted!r} now; `i2p plan --all` lists what it has")
    if plan.spec.per_sample:
        forget(call.store.at(stage))  # else it would be taken over from shards of before, or from other runs
    for unit in units:
        if unit.outcome is not None:
            call.store.at(stage).delete(record_name(unit.unit, unit.fingerprint))
        print_text(f"{stage} {unit.unit}: {'to be made again' if unit.outcome else 'is not made yet'}")
    print_text("`i2p run` makes it, and what depends on it where it comes out differently")
    return OK


def repair(call: Call) -> int:
    """Read back everything a run has, make again what is damaged or gone, and say what is lost."""
    found = False
    for finding in clear_damage(call.store, call.config):
        found = True
        print_text(f"{'lost' if finding.lost else 'damaged'}  {finding.name}: {finding.what}")
    if not found:
        print_text("everything that can be read is as its records say")
    exit_code = finish_run(call, repair=True)
    if exit_code != OK:
        print_error("i2p: what is named above as damaged or gone and could not be made is lost until that is fixed")
    return exit_code


def gc(call: Call) -> int:
    """Say which objects of the run nothing reaches any more; with --delete, remove them."""
    ages = Ages(unreached=call.args.days * _DAY, logs=call.args.logs_days * _DAY)
    _refuse_batch_run(call)
    rows: list[Garbage] = []
    for config in (call.config, *open_batches(call.config)):
        for spec in config.specs:
            rows += _collect(call, config, spec, ages)
        if call.args.delete:
            remove_old_notes(open_run(config), older_than_seconds=ages.unreached)
    if call.args.delete:
        call.store.sweep()
    text = _garbage_text(rows, deleted=call.args.delete)
    call.answer([asdict(row) for row in rows], text)
    return OK


def _collect(call: Call, config: RunConfig, spec: StageSpec, ages: Ages) -> list[Garbage]:
    def configs() -> Iterator[RunConfig]:
        live = live_configs(open_run(config), younger_than_seconds=ages.unreached)
        return chain([config], live)

    found = find_garbage(spec, open_run, configs, ages, time.time())
    return list(_with_progress(remove_garbage(spec, open_run, configs, ages, found))) if call.args.delete else found


def _with_progress(removed: Iterable[Garbage]) -> Iterator[Garbage]:
    """Say now and then how many are gone."""
    said = time.monotonic()
    for number, one in enumerate(removed, 1):
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print_error(f"{one.stage}: {number:,} objects removed so far")
        yield one


def _refuse_batch_run(call: Call) -> None:
    """The configuration of a batch's run is known to the run that claimed it alone."""
    found = _BATCH_RUN.fullmatch(call.config.run)
    if found and any(open_store(call.config.store).at(found[1]).list("claims/")):
        raise BadConfiguration(
            f"the run {call.config.run} is a batch of {found[1]}: `i2p gc` of that run, with its "
            "configuration, collects the garbage of its batches too"
        )


def _garbage_text(rows: list[Garbage], *, deleted: bool) -> str:
    sizes: Counter[tuple[str, str]] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for row in rows:
        sizes[row.stage, row.reason] += row.size
        counts[row.stage, row.reason] += 1
    lines = [
        f"{stage:<17} {counts[stage, reason]:>9,} objects {size / 1e6:>11,.1f} MB  {reason}"
        for (stage, reason), size in sizes.items()
    ]
    total = f"{sum(counts.values()):,} objects, {sum(sizes.values()) / 1e6:,.1f} MB"
    said = f"removed: {total}" if deleted else f"nothing was removed; `i2p gc --delete` would remove {total}"
    return "\n".join([*lines, said if rows else "no garbage"])
