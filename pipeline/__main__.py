"""The command line: `python -m pipeline`, also installed as `i2p`.

i2p run --preset demo                        run what is missing, in order
i2p run --preset mine.yaml --executor kubernetes --values images/built.yaml      the same as Jobs of a cluster
i2p plan --set generate-images.size=96       what a run would do, and why
i2p why embed                                why a stage stands where it stands
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from jobs.catalog import STAGES
from jobs.errors import OK, JobError
from pipeline.cli.call import Call
from pipeline.cli.commands import inspecting, maintaining, operating, running
from pipeline.cli.terminal import print_error
from pipeline.configuration.run_config import load_config, presets

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code of jobs/errors.py."""
    args = _parser().parse_args(arguments)
    try:
        assignments = [*args.set, *([f"executor={args.executor}"] if args.executor else [])]
        config = load_config(args.preset, assignments, args.values)
        command: Callable[[Call], int] = args.command
        return command(Call(args, config))
    except JobError as error:
        print_error(f"i2p: {error}")
        return error.exit_code
    except BrokenPipeError:
        return OK
    except KeyboardInterrupt:
        print_error("i2p: interrupted; what is committed is kept, run again to go on")
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--preset", default="demo", metavar="NAME", help=f"{', '.join(presets())} or a YAML file")
    common.add_argument("--values", action="append", default=[], metavar="FILE", help="YAML laid over the preset")
    common.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change one value")
    common.add_argument("--executor", choices=["local", "kubernetes"], help="where the tasks run")
    answering = argparse.ArgumentParser(add_help=False, parents=[common])
    answering.add_argument("--json", action="store_true", help="answer in JSON")
    parser = argparse.ArgumentParser(
        prog="i2p", description="From images back to their prompts: run and inspect the pipeline."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, function: Callable[[Call], int], options: argparse.ArgumentParser = answering
    ) -> argparse.ArgumentParser:
        about = (function.__doc__ or "").strip()
        one = commands.add_parser(name, parents=[options], help=about.splitlines()[0], description=about)
        one.set_defaults(command=function, name=name)
        return one

    stages = ", ".join(spec.name for spec in STAGES)
    command("run", running.run, common)
    command("plan", inspecting.plan).add_argument("--all", action="store_true", help="every shard, not only a summary")
    command("status", inspecting.status).add_argument("--live", action="store_true", help="again and again, to the end")
    one = command("logs", inspecting.logs)
    one.add_argument("stage", help=stages)
    one.add_argument("--index", type=int, help="only of this index")
    one = command("why", inspecting.why)
    one.add_argument("stage", help=stages)
    one.add_argument("shard", nargs="?")
    command("runs", maintaining.runs)
    one = command("redo", maintaining.redo, common)
    one.add_argument("stage", help=stages)
    one.add_argument("unit", nargs="?", help="as `i2p plan --all` names it; the whole stage if none is named")
    command("repair", maintaining.repair, common)
    one = command("gc", maintaining.gc)
    one.add_argument("--delete", action="store_true", help="remove what is listed, instead of only listing it")
    one.add_argument("--days", type=float, default=1, help="of what nothing reaches, only what is as old (default 1)")
    one.add_argument("--logs-days", type=float, default=30, help="remove logs that are as old (default 30)")
    command("metrics", inspecting.metrics)
    command("verify", inspecting.verify_run)
    command("report", inspecting.report)
    command("doctor", inspecting.doctor)
    command("render", inspecting.render)
    command("deploy", running.deploy, common).add_argument("stage", help=stages)
    command("pause", operating.pause, common)
    command("resume", operating.resume, common)
    command("cancel", operating.cancel, common)
    command("release", operating.release, common).add_argument("node", help="as `i2p status` names it")
    command("batch", running.batch, common).add_argument(
        "--at", metavar="TIME", help="when it was scheduled, like 2026-11-22T03:00:00Z"
    )
    command("batches", running.list_batches).add_argument(
        "--drop", type=int, metavar="NUMBER", help="never predict what is left of this batch"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
