"""The command that sets two runs beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from jobs.catalog import STAGES
from jobs.errors import OK, NotFound
from jobs.report.page import Summary
from jobs.runtime.commands import imported
from jobs.shards.store import Store
from pipeline.cli.call import Call
from pipeline.maintenance.run_list import runs_in
from pipeline.planning.run_store import open_address, root_of
from pipeline.report.settings_difference import difference_text, run_difference
from pipeline.report.stage_facts import Datasets, published


def compare(call: Call) -> int:
    """What distinguishes two runs: the settings that differ, both scores, and the difference on the images that both
    scored, with its interval.
    """
    names: list[str] = call.args.runs
    first, second = (_datasets(call, name) for name in names)
    found = run_difference(first, second)
    summaries = list(_compared((names[0], first), (names[1], second)))
    values = {
        "runs": names,
        **asdict(found),
        **{key: one for summary in summaries for key, one in summary.values.items()},
    }
    parts = [difference_text(found, *names), *(summary.text for summary in summaries)]
    call.answer(values, "\n\n".join(parts))
    return OK


def _compared(first: tuple[str, Datasets], second: tuple[str, Datasets]) -> Iterator[Summary]:
    """What the stages that are scored say of both runs."""
    for spec in STAGES:
        if not spec.comparison:
            continue
        sides = [
            (name, spec.writes(there[spec.name]) if spec.name in there else None) for name, there in (first, second)
        ]
        yield imported(spec.comparison, "`i2p compare`", spec.package)(*sides)


def _datasets(call: Call, name: str) -> Datasets:
    """What a run has published; raises NotFound where that is nothing."""
    found = published(_store(call, name))
    if not found:
        there = [run.name for run in runs_in(root_of(call.config)) if run.published]
        known = f"there are {', '.join(there)}" if there else "there is none"
        raise NotFound(
            f"there is no run {name!r} with a finished stage in {call.config.store}; {known}; name one, or "
            "the address of another: a folder, or s3://BUCKET/PREFIX"
        )
    return found


def _store(call: Call, name: str) -> Store:
    """A run's place in the store, or anywhere: by its name, or by an address, which has a slash."""
    if name == call.config.run:
        return call.store  # whose configuration says from which other runs it takes datasets
    return open_address(name) if "/" in name else root_of(call.config).at(name)
