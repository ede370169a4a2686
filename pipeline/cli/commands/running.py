"""Commands that run something: the run, one stage of it, a scheduled batch."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from datetime import UTC, datetime

from jobs.errors import OK, I2PError, StoreAway
from jobs.runtime.environment import JOB_NAME_VARIABLE
from pipeline.cli import tables
from pipeline.cli.call import Call
from pipeline.cli.display import open_display
from pipeline.cli.terminal import print_error, print_text
from pipeline.configuration.run_config import RunConfig
from pipeline.control.controller import Controller
from pipeline.executors.kind import no_cluster
from pipeline.maintenance.live_runs import LiveNote
from pipeline.planning.plan import StagePlan, make_plan
from pipeline.planning.run_store import open_run, proven
from pipeline.report.exports import export_addresses, write_exports
from pipeline.report.summaries import closing_lines
from pipeline.report.writing import write_report
from pipeline.scheduled.batches import batch_rows, batch_text, batches, drop, scheduled_time


def run(call: Call) -> int:
    """Run what is missing; an interrupted run goes on where it was."""
    return finish_run(call)


def finish_run(call: Call, *, repair: bool = False) -> int:
    """Run to the end and write what people open; to `repair`, read every record and write those again that are lost."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    exit_code = _run(call, call.config, repair=repair)
    if exit_code == OK:
        report = write_report(call.store, call.config)
        for line in closing_lines(call.store, call.config, report, export_addresses(call.store, call.config)):
            print_text(line)
    return exit_code


def _run(call: Call, config: RunConfig, *, repair: bool = False) -> int:
    config = proven(config)
    store = open_run(config)
    with suppress(StoreAway):  # the controller waits for it, or reports it
        store.sweep()
    note = LiveNote(store, config)
    with open_display() as display:
        executor = call.kind.executor(config)
        try:
            finish = Controller(
                store, config, executor, display.show, display.notify, renew=note.renew, repair=repair
            ).run()
        finally:
            note.withdraw()
    if finish.exit_code != OK:
        print_error(f"i2p: {finish.message}\ni2p: `i2p why STAGE` has the whole story; fix it and run again")
    return finish.exit_code


def deploy(call: Call) -> int:
    """Submit one stage's Job if the stage lacks anything, and show what that changes; twice changes nothing."""
    if not call.kind.jobs_outlive_calls:
        raise no_cluster("deploy")
    stage, events, config = call.stage, list[str](), proven(call.config)

    def notify(of_stage: str, event: str) -> None:
        events.append(event)
        print_text(f"{of_stage:<17} {event}")

    def change(plan: StagePlan) -> None:
        print_text(tables.changes_text(call.kind.changes([plan]) or ()))

    executor, note = call.kind.executor(config), LiveNote(call.store, config)  # which stays for as long as notes count
    Controller(call.store, config, executor, notify=notify, renew=note.renew).deploy(stage, change)
    if not events:
        plans = [plan for plan in make_plan(call.store, config) if plan.spec.name == stage]
        rows = tables.status_rows(call.store, plans, call.kind.observe(plans))
        print_text(f"{stage:<17} unchanged\n{tables.status_text(rows)}")
    return OK


def batch(call: Call) -> int:
    """Predict every image that came in since the last time, and finish earlier batches that are not done."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    scheduled, failed = scheduled_time(_scheduled(call), datetime.now(UTC)), OK
    proven(call.config)  # before inputs are claimed
    for one in batches(call.config, scheduled, print_text):
        print_text(f"batch {one.number}: run {one.config.run}")
        try:
            exit_code = _run(call, one.config)
            if exit_code == OK:  # and no report, which would read again what the network was trained with
                for name, address in write_exports(open_run(one.config), one.config).items():
                    print_text(f"{name:<11} {address}")
        except I2PError as error:
            print_error(f"i2p: batch {one.number}: {error}")
            exit_code = error.exit_code
        failed = failed or exit_code  # the others are run all the same
    return failed


def _scheduled(call: Call) -> str | None:
    """The time that was asked for, or for which the CronJob made the Job that this Pod is of."""
    name = os.environ.get(JOB_NAME_VARIABLE)
    if call.args.at or not name:
        return str(call.args.at) if call.args.at else None
    return call.kind.scheduled_timestamp(name)


def list_batches(call: Call) -> int:
    """The batches that were claimed so far, and how they stand; --drop gives one up for good."""
    if call.args.drop is not None:
        print_text(drop(call.config, call.args.drop))
        return OK
    rows = batch_rows(call.config)
    call.answer(rows, batch_text(rows))
    return OK
