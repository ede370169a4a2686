"""Decides which prompts are kept, part by part, and writes them, the dropped ones, and a certificate."""

from __future__ import annotations

from contextlib import ExitStack

from jobs.dedup.decider import Decider, DedupTask
from jobs.dedup.kept import certificate, write_kept
from jobs.dedup.order import Keys
from jobs.dedup.stage import CERTIFICATE, DedupParams, key_ranges


def run(task: DedupTask, params: DedupParams) -> None:
    """Do the pending units: decisions in the order of the prompts, and then what follows from all of them."""
    num_prompts = sum(shard.samples for shard in task.inputs.embedded.shards())
    ranges_of = key_ranges(params, num_prompts)
    found: tuple[dict[str, Keys], int] | None = None
    with ExitStack() as stack:
        decider = Decider.of(task, params, stack)
        for unit in task.pending():
            if task.failures:  # whatever comes later stands on it
                return
            with task.writing(unit) as output:
                if unit.name in decider.numbers:
                    decider.decide(decider.numbers[unit.name], output)
                    continue
                kept, excluded = found = found or decider.all_kept()
                if unit.name == CERTIFICATE:
                    output.certificate.write(certificate(kept.values(), num_prompts, excluded, params))
                else:
                    write_kept(ranges_of[unit.name], task.inputs.embedded, kept, params, output)
