"""The command line's arguments: every command with its options, in one place that `explain` and the docs read too."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from jobs.catalog import COMMANDS, EXPORTS, STAGES
from jobs.export.command import DEFAULT_FORMAT, FORMATS, TABLES
from jobs.registry import names_in
from jobs.runtime.commands import Command
from pipeline.cli.call import Call
from pipeline.cli.commands import comparing, explaining, exporting, inspecting, maintaining, operating, running, tracing
from pipeline.cli.terminal import print_text
from pipeline.cli.version import version_line
from pipeline.configuration.run_config import presets
from pipeline.executors.kind import KINDS

_EXAMPLES = """examples:
  i2p run --preset demo                    run what is missing, in order
  i2p plan --set run=second                what a run would do, and why
  i2p why STAGE                            why a stage is as it is, and its last failure
  i2p explain kubernetes.queue             what a parameter, stage, command or exit code means
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of `i2p`: its result has `command`, a function of a Call, or `standalone`, one of the arguments."""
    parser = argparse.ArgumentParser(
        prog="i2p",
        description="From images back to their prompts: run and inspect the pipeline.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version, Python's and the commit")
    commands = _Commands(parser)
    _add_running(commands)
    _add_inspecting(commands)
    _add_maintaining(commands)
    _add_operating(commands)
    _add_standalone(commands)
    return parser


class _Version(argparse.Action):
    """As argparse's own, but git is asked only where the version is."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print_text(version_line())
        parser.exit()


class _Commands:
    """Adds commands with the options that all of them have."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self._subparsers = parser.add_subparsers(required=True, metavar="COMMAND", dest="name")
        self._common = _common_options()
        self._answering = argparse.ArgumentParser(add_help=False, parents=[self._common])
        self._answering.add_argument("--json", action="store_true", help="answer in JSON")

    def add(self, name: str, function: Callable[[Call], int], *, json: bool = True) -> argparse.ArgumentParser:
        """A command that works on a run; `json` where it can answer in JSON."""
        options = self._answering if json else self._common
        return self._added(name, function.__doc__, [options], command=function, standalone=None)

    def add_standalone(self, name: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        """A command that needs no configuration; the parser is among its arguments."""
        return self._added(name, function.__doc__, [], command=None, standalone=function, parser=self._parser)

    def add_brought(self, one: Command) -> None:
        """A command that a package of `jobs` brings along; it needs no configuration either."""
        added = self._added(one.name, one.about, [], command=None, standalone=exporting.run_command, brought=one)
        one.arguments(added)

    def _added(
        self, name: str, about: str | None, parents: list[argparse.ArgumentParser], **defaults: object
    ) -> argparse.ArgumentParser:
        text = " ".join((about or "").split())
        added = self._subparsers.add_parser(name, parents=parents, help=text, description=text)
        added.set_defaults(**defaults)
        return added


def _common_options() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--preset", default="demo", metavar="NAME", help=f"{', '.join(presets())} or a YAML file")
    common.add_argument("--values", action="append", default=[], metavar="FILE", help="YAML laid over the preset")
    common.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change one value")
    common.add_argument("--run", metavar="NAME", help="the run, as --set run=NAME")
    common.add_argument("--executor", choices=names_in(KINDS), help="where the tasks run")
    return common


def _add_stage(command: argparse.ArgumentParser) -> None:
    command.add_argument("stage", help=", ".join(spec.name for spec in STAGES))


def _add_running(commands: _Commands) -> None:
    commands.add("run", running.run, json=False)
    _add_stage(commands.add("deploy", running.deploy, json=False))
    batch = commands.add("batch", running.batch, json=False)
    batch.add_argument("--at", metavar="TIME", help="when it was scheduled, like 2026-11-22T03:00:00Z")
    batches = commands.add("batches", running.list_batches)
    batches.add_argument("--drop", type=int, metavar="NUMBER", help="never predict what is left of this batch")


def _add_inspecting(commands: _Commands) -> None:
    plan = commands.add("plan", inspecting.plan)
    plan.add_argument("--all", action="store_true", help="every unit, not only a summary")
    status = commands.add("status", inspecting.status)
    status.add_argument("--live", action="store_true", help="again and again, to the end")
    why = commands.add("why", inspecting.why)
    _add_stage(why)
    why.add_argument("unit", nargs="?", help="as `i2p plan --all` names it; every unit if none is named")
    logs = commands.add("logs", inspecting.logs)
    _add_stage(logs)
    logs.add_argument("--index", type=int, help="only of this index")
    commands.add("metrics", inspecting.metrics)
    compare = commands.add("compare", comparing.compare)
    compare.add_argument(
        "runs",
        nargs=2,
        metavar="RUN",
        help="a run of the store, or the address of any: a folder, or s3://BUCKET/PREFIX",
    )
    commands.add("verify", inspecting.verify_run)
    follow = commands.add("trace", tracing.follow)
    follow.add_argument(
        "what", metavar="WHAT", help="a prompt's key or text, the id of a predicted image, or an image file"
    )
    commands.add("report", inspecting.report)
    commands.add("doctor", inspecting.doctor)
    commands.add("render", inspecting.render)
    export = commands.add("export", exporting.export)
    about = "; ".join(f"{one.name}: {one.about}" for one in EXPORTS)
    export.add_argument("what", choices=[one.name for one in EXPORTS], metavar="WHAT", help=about)
    export.add_argument(
        "--format",
        choices=names_in(FORMATS),
        help=f"of the files (default {DEFAULT_FORMAT}, where what is exported has no files of its own)",
    )
    export.add_argument("--vectors", action="store_true", help="also the prompts' vectors, or the predicted ones")
    export.add_argument(
        "--tables", choices=names_in(TABLES), help="of images: names and prompts as others published them"
    )
    export.add_argument("--out", metavar="FOLDER", help="a folder, or s3://BUCKET/PREFIX (default: RUN-WHAT)")
    export.add_argument("--force", action="store_true", help="replace what was exported to that folder before")


def _add_maintaining(commands: _Commands) -> None:
    commands.add("runs", maintaining.runs)
    redo = commands.add("redo", maintaining.redo, json=False)
    _add_stage(redo)
    redo.add_argument("unit", nargs="?", help="as `i2p plan --all` names it; the whole stage if none is named")
    commands.add("repair", maintaining.repair, json=False)
    gc = commands.add("gc", maintaining.gc)
    gc.add_argument("--delete", action="store_true", help="remove what is listed, instead of only listing it")
    gc.add_argument("--days", type=float, default=1, help="of what nothing reaches, only what is this old (default 1)")
    gc.add_argument("--logs-days", type=float, default=30, help="remove logs that are this old (default 30)")


def _add_operating(commands: _Commands) -> None:
    commands.add("pause", operating.pause, json=False)
    commands.add("resume", operating.resume, json=False)
    commands.add("cancel", operating.cancel, json=False)
    release = commands.add("release", operating.release, json=False)
    release.add_argument("node", help="as `i2p status` names it")


def _add_standalone(commands: _Commands) -> None:
    for one in COMMANDS:
        commands.add_brought(one)
    explain = commands.add_standalone("explain", explaining.explain)
    explain.add_argument("name", nargs="?", help="like kubernetes.queue, a stage, 65 or plan; all names without one")
    explain.add_argument("--json", action="store_true", help="answer in JSON")
    completion = commands.add_standalone("completion", explaining.completion)
    completion.add_argument("shell", choices=["bash", "zsh"], help="the shell that is to read it")
