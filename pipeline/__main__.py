"""The command line: `python -m pipeline`, also installed as `i2p`.

i2p run --preset demo                        run what is missing, in order
i2p plan --set generate-images.size=96       what a run would do, and why
i2p why embed                                why a stage stands where it stands
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.catalog import STAGES, stage_named
from jobs.errors import OK, BadConfiguration, JobError
from jobs.shards.address import open_store
from jobs.shards.store import Store
from pipeline import inspect
from pipeline.config import RunConfig, load_config, presets
from pipeline.controller import Controller
from pipeline.display import open_display
from pipeline.doctor import examine
from pipeline.executors.local import LocalExecutor
from pipeline.plan import make_plan
from pipeline.report import write_report
from pipeline.verify import verify

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the command line: its arguments, the configuration they choose, and the run's store."""

    args: argparse.Namespace
    config: RunConfig
    store: Store

    def answer(self, value: Any, text: str) -> None:
        """Print a report, as JSON if that was asked for."""
        print(json.dumps(value, indent=2, ensure_ascii=False) if self.args.json else text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code of jobs/errors.py."""
    args = _parser().parse_args(arguments)
    try:
        config = load_config(args.preset, args.set)
        command: Callable[[Call], int] = args.command
        return command(Call(args, config, open_store(config.store).at(config.run)))
    except JobError as error:
        print(f"i2p: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return OK
    except KeyboardInterrupt:
        print("i2p: interrupted; what is committed is kept, run again to go on", file=sys.stderr)
        return _INTERRUPTED


def run(call: Call) -> int:
    """Run what is missing; an interrupted run goes on where it was."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    call.store.sweep()
    with open_display() as display:
        controller = Controller(call.store, call.config, LocalExecutor(), display.show, display.tell)
        finish = controller.run()
    if finish.exit_code != OK:
        print(
            f"i2p: {finish.message}\ni2p: `i2p why STAGE` has the whole story; mend it and run again", file=sys.stderr
        )
        return finish.exit_code
    for line in inspect.closing_lines(call.store, write_report(call.store, call.config)):
        print(line)
    return OK


def plan(call: Call) -> int:
    """What a run would do with every stage and shard, and why."""
    rows = inspect.plan_rows(make_plan(call.store, call.config))
    call.answer(rows, inspect.plan_text(rows, all_rows=call.args.all))
    return OK


def status(call: Call) -> int:
    """How far every stage is."""
    rows = inspect.status_rows(call.store, make_plan(call.store, call.config))
    call.answer(rows, inspect.status_text(rows))
    return OK


def logs(call: Call) -> int:
    """What the workers of a stage logged, also when they are gone."""
    events = inspect.logs(call.store.at(_stage(call)), index=call.args.index)
    call.answer(events, "\n".join(json.dumps(event, ensure_ascii=False) for event in events))
    return OK


def why(call: Call) -> int:
    """Why a stage or one of its shards is as it is: the plan's reason, and the last failure if it failed."""
    stage = _stage(call)
    (planned,) = (one for one in make_plan(call.store, call.config) if one.spec.name == stage)
    reasons = inspect.why(call.store.at(stage), planned, call.args.shard)
    call.answer(reasons, inspect.why_text(reasons))
    return OK


def metrics(call: Call) -> int:
    """The scores on held-out prompts."""
    found = inspect.metrics(call.store)
    call.answer(found, inspect.metrics_text(found))
    return OK


def verify_run(call: Call) -> int:
    """Read back every shard and record; says the first thing that is wrong."""
    told = verify(call.store)
    call.answer(told, "\n".join(f"{name:<17} {text}" for name, text in told.items()))
    return OK


def report(call: Call) -> int:
    """Write report.html anew."""
    path = write_report(call.store, call.config)
    call.answer({"report": path}, path)
    return OK


def doctor(call: Call) -> int:
    """Prove that the store keeps what the commit protocol needs of it, and that this machine has what a run needs."""
    checks = list(examine(call.store, call.config))
    text = "\n".join(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}" for check in checks)
    call.answer([asdict(check) for check in checks], text)
    return OK if all(check.ok for check in checks) else BadConfiguration.exit_code


def _stage(call: Call) -> str:
    return stage_named(call.args.stage).name


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--preset", default="demo", metavar="NAME", help=f"{', '.join(presets())} or a YAML file")
    common.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change one value")
    reporting = argparse.ArgumentParser(add_help=False, parents=[common])
    reporting.add_argument("--json", action="store_true", help="answer in JSON")
    parser = argparse.ArgumentParser(
        prog="i2p", description="From images back to their prompts: run and inspect the pipeline."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[Call], int], options: argparse.ArgumentParser = reporting
    ) -> argparse.ArgumentParser:
        about = (function.__doc__ or "").strip()
        one = commands.add_parser(name, parents=[options], help=about.splitlines()[0], description=about)
        one.set_defaults(command=function)
        return one

    command("run", run, common)
    command("plan", plan).add_argument("--all", action="store_true", help="every shard, not only a summary")
    command("status", status)
    stages = ", ".join(spec.name for spec in STAGES)
    one = command("logs", logs)
    one.add_argument("stage", help=stages)
    one.add_argument("--index", type=int, help="only of this index")
    one = command("why", why)
    one.add_argument("stage", help=stages)
    one.add_argument("shard", nargs="?")
    command("metrics", metrics)
    command("verify", verify_run)
    command("report", report)
    command("doctor", doctor)
    return parser


if __name__ == "__main__":
    sys.exit(main())
