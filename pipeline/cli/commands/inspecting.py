"""Commands that show how things stand and change nothing."""

from __future__ import annotations

import time
from dataclasses import asdict

from jobs.errors import OK, BadConfiguration
from pipeline.cli import tables
from pipeline.cli.call import Call
from pipeline.cli.display import open_display
from pipeline.cli.manifests_text import manifests_text
from pipeline.cli.terminal import json_text, print_text
from pipeline.control.controller import View
from pipeline.control.time_left import seconds_by_unit, time_left
from pipeline.maintenance.preflight import examine
from pipeline.maintenance.verification import verify
from pipeline.planning.plan import make_plan
from pipeline.planning.takeover import takeovers
from pipeline.report.summaries import summaries
from pipeline.report.writing import write_report

_LIVE_SECONDS = 5.0


def plan(call: Call) -> int:
    """What a run would do with every stage and unit, and why; on a cluster also what it would change there."""
    plans = make_plan(call.store, call.config)
    rows = tables.plan_rows(plans)
    text = tables.plan_text(rows, all_rows=call.args.all)
    if found := list(takeovers(call.store, call.config, plans)):
        rows += tables.takeover_rows(found)
        text += f"\n{tables.takeover_text(found)}"
    changes = call.kind.changes(plans)
    if changes is None:
        call.answer(rows, text)
    else:
        call.answer({"units": rows, "jobs": changes}, f"{text}\n\n{tables.changes_text(changes)}".rstrip())
    return OK


def render(call: Call) -> int:
    """Print every Kubernetes manifest that a run would submit."""
    rendered = list(call.kind.manifests(make_plan(call.store, call.config)))
    call.answer([one for _, objects in rendered for one in objects], manifests_text(rendered).rstrip())
    return OK


def status(call: Call) -> int:
    """How far every stage is, and on a cluster what runs, what waits and why, and the time left."""
    if call.args.live:
        return _live_status(call)
    plans = make_plan(call.store, call.config)
    seen = call.kind.observe(plans)
    rows = tables.status_rows(call.store, plans, seen)
    text = tables.status_text(rows)
    if any(job.state == "running" for job in seen.jobs.values()):
        past = seconds_by_unit(call.store, call.config)
        text += f"\nwhole run: {time_left(plans, seen.jobs, past, call.config, time.time())}"
    call.answer(rows, text)
    return OK


def _live_status(call: Call) -> int:
    """The status again and again until everything is done or Ctrl-C."""
    past = seconds_by_unit(call.store, call.config)
    with open_display() as display:
        while True:
            plans = make_plan(call.store, call.config)
            seen = call.kind.observe(plans)
            display.show(View(plans, seen.jobs, time_left(plans, seen.jobs, past, call.config, time.time())))
            if all(plan.done for plan in plans):
                return OK
            time.sleep(_LIVE_SECONDS)


def logs(call: Call) -> int:
    """What the workers of a stage logged, also when they are gone."""
    events = tables.logs(call.store.at(call.stage), index=call.args.index)
    call.answer(events, "\n".join(json_text(event) for event in events))
    return OK


def why(call: Call) -> int:
    """Why a stage or one of its units is as it is: the plan's reason, and the last failure if it failed."""
    stage, plans = call.stage, make_plan(call.store, call.config)
    planned = next((one for one in plans if one.spec.name == stage), None)
    if planned is None:
        raise BadConfiguration(f"{stage} is no stage of this run, but of the run {call.config.origin(stage)}")
    reasons = tables.why(call.store.at(stage), planned, call.args.unit)
    text, values = tables.why_text(reasons), [reason.values for reason in reasons]
    if job := tables.job_row(planned, call.kind.observe(plans).jobs.get(stage)):
        text = f"its Job: {job['summary']}\n{text}"
        values = [{**value, "job": job["summary"]} for value in values]
    call.answer(values, text)
    return OK


def metrics(call: Call) -> int:
    """The scores on held-out prompts."""
    found = list(summaries(call.store, call.config))
    if not found:
        raise BadConfiguration(f"the run {call.config.run} makes no stage that is scored")
    values = [summary.values for summary in found]
    call.answer(values[0] if len(values) == 1 else values, "\n\n".join(summary.text for summary in found))
    return OK


def verify_run(call: Call) -> int:
    """Read back every shard and record of this run and of what it reads; says the first thing that is wrong."""
    executor, found = call.kind.executor(call.config), {}
    try:
        for stage, text in verify(call.store, call.config, executor):
            found[stage] = text
            if not call.args.json:
                print_text(f"{stage:<17} {text}")
    finally:
        executor.close()
    if call.args.json:
        print_text(json_text(found, indent=2))
    return OK


def report(call: Call) -> int:
    """Write report.html anew."""
    path = write_report(call.store, call.config)
    call.answer({"report": path}, path)
    return OK


def doctor(call: Call) -> int:
    """Prove that the store keeps what the commit protocol needs of it, and that this machine has what a run needs."""
    checks = list(examine(call.store, call.config, call.kind))
    text = "\n".join(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}" for check in checks)
    call.answer([asdict(check) for check in checks], text)
    return OK if all(check.ok for check in checks) else BadConfiguration.exit_code
