"""The command line: `python -m pipeline`, also installed as `i2p`.

i2p run --preset demo                        run what is missing, in order
i2p run --preset mine.yaml --executor kubernetes --values images/built.yaml      the same as Jobs of a cluster
i2p plan --set generate-images.size=96       what a run would do, and why
i2p why embed                                why a stage stands where it stands
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobs.catalog import STAGES, stage_named
from jobs.errors import OK, BadConfiguration, JobError
from jobs.shards.store import Store
from pipeline import inspect
from pipeline.config import RunConfig, load_config, presets
from pipeline.control import Wish, write_wish
from pipeline.controller import Controller, View, job_plans
from pipeline.display import open_display
from pipeline.doctor import examine
from pipeline.executors import Executor, Observation
from pipeline.executors.local import LocalExecutor
from pipeline.plan import StagePlan, make_plan
from pipeline.report import write_report
from pipeline.run_store import open_run
from pipeline.time_left import seconds_by_unit, time_left
from pipeline.verify import verify

if TYPE_CHECKING:
    from pipeline.kube.client import Api

_INTERRUPTED = 130
_LIVE_SECONDS = 5.0


@dataclass(frozen=True)
class Call:
    """One call of the command line: its arguments, the configuration they choose, and where that runs."""

    args: argparse.Namespace
    config: RunConfig

    @cached_property
    def store(self) -> Store:
        """The run's."""
        return open_run(self.config)

    @property
    def on_cluster(self) -> bool:
        return self.config.executor == "kubernetes"

    @cached_property
    def api(self) -> Api:
        """The cluster; raises BadConfiguration when the run is not on one."""
        if not self.on_cluster:
            raise BadConfiguration(f"{self.args.name} is about a run on a cluster: add --executor kubernetes")
        from pipeline.executors.kubernetes import connect  # with what it needs half a second

        return connect(self.config)

    def executor(self) -> Executor:
        """What runs the tasks of this run."""
        if not self.on_cluster:
            return LocalExecutor()
        from pipeline.executors.kubernetes import Caller, KubernetesExecutor

        return KubernetesExecutor(self.api, self.store, self.config, Caller.of_environment(self.api))

    def answer(self, value: Any, text: str) -> None:
        """Print a report, as JSON if that was asked for."""
        print(json.dumps(value, indent=2, ensure_ascii=False) if self.args.json else text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code of jobs/errors.py."""
    args = _parser().parse_args(arguments)
    try:
        assignments = [*args.set, *([f"executor={args.executor}"] if args.executor else [])]
        config = load_config(args.preset, assignments, args.values)
        command: Callable[[Call], int] = args.command
        return command(Call(args, config))
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
        finish = Controller(call.store, call.config, call.executor(), display.show, display.tell).run()
    if finish.exit_code != OK:
        print(
            f"i2p: {finish.message}\ni2p: `i2p why STAGE` has the whole story; mend it and run again", file=sys.stderr
        )
        return finish.exit_code
    for line in inspect.closing_lines(call.store, call.config, write_report(call.store, call.config)):
        print(line)
    return OK


def plan(call: Call) -> int:
    """What a run would do with every stage and shard, and why; on a cluster also what it would change there."""
    plans = make_plan(call.store, call.config)
    rows = inspect.plan_rows(plans)
    text = inspect.plan_text(rows, all_rows=call.args.all)
    if not call.on_cluster:
        call.answer(rows, text)
        return OK
    from pipeline import operate

    changes = operate.changes(call.api, call.config, plans)
    call.answer({"units": rows, "jobs": changes}, f"{text}\n\n{operate.changes_text(changes)}".rstrip())
    return OK


def render(call: Call) -> int:
    """Print every manifest that a run would submit."""
    from pipeline import operate

    plans = make_plan(call.store, call.config)
    objects = [one for _, some in operate.rendered(call.config, plans) for one in some]
    call.answer(objects, operate.rendered_text(call.config, plans).rstrip())
    return OK


def deploy(call: Call) -> int:
    """Submit one stage's Job if the stage lacks anything, and show what that changes; twice changes nothing."""
    from pipeline import operate

    stage, told = _stage(call), []

    def tell(of_stage: str, event: str) -> None:
        told.append(event)
        print(f"{of_stage:<17} {event}")

    def change(plan: StagePlan, _job: object) -> None:
        print(operate.changes_text(operate.changes(call.api, call.config, [plan])))

    executor = call.executor()
    Controller(call.store, call.config, executor, tell=tell).deploy(stage, change)
    if not told:
        plans = [plan for plan in make_plan(call.store, call.config) if plan.spec.name == stage]
        rows = inspect.status_rows(call.store, plans, _observed(call, plans))
        print(f"{stage:<17} unchanged\n{inspect.status_text(rows)}")
    return OK


def pause(call: Call) -> int:
    """Suspend the run: its Jobs' Pods end, what is committed stays, and no further stage starts until `resume`."""
    return _wish(call, "pause", "paused; `i2p resume` lets it go on")


def resume(call: Call) -> int:
    """Let a paused run go on, or allow a cancelled one again."""
    return _wish(call, "run", "not held any more; a controller that still runs goes on, else `i2p run`")


def cancel(call: Call) -> int:
    """Stop the run and remove its Jobs; what is committed stays, and `resume` allows it again."""
    return _wish(call, "cancel", "cancelled; what is committed stays")


def _wish(call: Call, wish: Wish, told: str) -> int:
    if call.on_cluster:
        from pipeline import operate

        for line in operate.wish(call.api, call.store, call.config, wish):
            print(line)
    else:
        write_wish(call.store, wish)
    print(f"run {call.config.run} is {told}")
    return OK


def release(call: Call) -> int:
    """Let the indexes whose Pods hang on a dead node start elsewhere."""
    from pipeline import operate

    for name in operate.release(call.api, call.config, call.args.node):
        print(f"{name}: released")
    return OK


def status(call: Call) -> int:
    """How far every stage is, and on a cluster what runs, what waits and why, and the time left."""
    if call.args.live:
        return _live_status(call)
    plans = make_plan(call.store, call.config)
    seen = _observed(call, plans)
    rows = inspect.status_rows(call.store, plans, seen)
    text = inspect.status_text(rows)
    if any(job.state == "running" for job in seen.jobs.values()):
        past = seconds_by_unit(call.store, call.config)
        text += f"\nwhole run: {time_left(plans, seen.jobs, past, call.config, time.time())}"
    call.answer(rows, text)
    return OK


def _observed(call: Call, plans: Sequence[StagePlan]) -> Observation:
    """What runs, as far as this call can see it: the processes of another call on one machine are its own."""
    if not call.on_cluster:
        return Observation({})
    executor = call.executor()
    try:
        return executor.observe(job_plans(call.config, plans))
    finally:
        executor.close()


def _live_status(call: Call) -> int:
    """The status again and again until everything is done or Ctrl-C."""
    past = seconds_by_unit(call.store, call.config)
    with open_display() as display:
        while True:
            plans = make_plan(call.store, call.config)
            seen = _observed(call, plans)
            display.show(View(plans, seen.jobs, time_left(plans, seen.jobs, past, call.config, time.time())))
            if all(plan.done for plan in plans):
                return OK
            time.sleep(_LIVE_SECONDS)


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
    common.add_argument("--values", action="append", default=[], metavar="FILE", help="YAML laid over the preset")
    common.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change one value")
    common.add_argument("--executor", choices=["local", "kubernetes"], help="where the tasks run")
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
        one.set_defaults(command=function, name=name)
        return one

    command("run", run, common)
    command("plan", plan).add_argument("--all", action="store_true", help="every shard, not only a summary")
    command("status", status).add_argument("--live", action="store_true", help="again and again until it is done")
    stages = ", ".join(spec.name for spec in STAGES)
    one = command("logs", logs)
    one.add_argument("stage", help=stages)
    one.add_argument("--index", type=int, help="only of this index")
    one = command("why", why)
    one.add_argument("stage", help=stages)
    one.add_argument("shard", nargs="?")
    command("render", render)
    command("deploy", deploy, common).add_argument("stage", help=stages)
    command("pause", pause, common)
    command("resume", resume, common)
    command("cancel", cancel, common)
    command("release", release, common).add_argument("node", help="as `i2p status` names it")
    command("metrics", metrics)
    command("verify", verify_run)
    command("report", report)
    command("doctor", doctor)
    return parser


if __name__ == "__main__":
    sys.exit(main())
