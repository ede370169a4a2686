"""The command that follows one prompt or image through a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.errors import OK
from jobs.report.formatting import setting
from pipeline.cli.call import Call
from pipeline.cli.terminal import one_line
from pipeline.report.lineage import Trace, trace
from pipeline.report.run_page import view_of

_LABEL = 30  # characters, with the indent
_LONGEST = 110  # characters of a value; --json has all

Line = tuple[str, str]


def follow(call: Call) -> int:
    """Where a prompt or an image comes from and what became of it, stage by stage; reads few objects, writes none."""
    config = call.config
    found = trace(view_of(call.store, config), call.args.what)
    runs = {stage: config.origin(stage) for stage in found.parts}
    stages = {stage: part and {"run": runs[stage], **part} for stage, part in found.parts.items()}
    value = {"question": call.args.what, **found.subject.values(), "stages": stages}
    others = {stage: run for stage, run in runs.items() if run != config.run}
    call.answer(value, "\n".join(_text(found, others)))
    return OK


def _text(found: Trace, others: Mapping[str, str]) -> Iterator[str]:
    """A block for each stage; `others` are the runs from which datasets are taken."""
    yield from _block(found.subject.values(), "")
    for stage, part in found.parts.items():
        of_run = f" (of the run {others[stage]})" if stage in others else ""
        yield f"{stage}{of_run}{': not made yet' if part is None else ''}"
        yield from _block(part or {}, "  ")


def _block(values: Mapping[str, Any], indent: str) -> Iterator[str]:
    for label, text in _lines(values):
        shown = one_line(text)
        yield f"{indent + label:<{_LABEL}}{shown if len(shown) <= _LONGEST else f'{shown[:_LONGEST]}…'}"


def _lines(values: Mapping[str, Any], prefix: str = "") -> Iterator[Line]:
    """Labels and texts: mappings flattened to dotted names, a list of them a line each; without what is not known."""
    for name, value in values.items():
        label = f"{prefix}{name.replace('_', ' ')}"
        if value is None or value in ({}, []):
            continue
        if isinstance(value, Mapping):
            yield from _lines(value, f"{label}.")
        elif isinstance(value, list) and isinstance(value[0], Mapping):
            for number, one in enumerate(value):
                yield ("" if number else label), ", ".join(f"{label} {text}" for label, text in _lines(one))
        elif isinstance(value, list):
            yield label, ", ".join(map(setting, value))
        else:
            yield label, setting(value)
