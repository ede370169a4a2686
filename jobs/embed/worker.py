"""Adds `npy`, the prompt's unit vector, float32 of shape (384,), to every sample: taken over, or made."""

from __future__ import annotations

from functools import cache, partial

from jobs.embed.contract import Embedded, EmbedInputs
from jobs.embed.stage import EmbedParams
from jobs.runtime import log
from jobs.runtime.arrays import npy_field
from jobs.runtime.task import Task
from jobs.sentences import embed, load_prompt_model
from jobs.shards.dataset import Writer


def run(task: Task[EmbedInputs, Embedded[Writer]], params: EmbedParams) -> None:
    """Embed the pending shards; equal prompts have equal vectors, whatever else is embedded with them.

    Those that were made before are taken over; the model is loaded when the first of the others is to be made.
    """
    model = cache(partial(load_prompt_model, params))
    for unit in task.pending():
        with task.writing(unit) as output:
            (shard,) = unit.shards
            samples = list(task.read(shard))
            vectors = task.taken_over(unit, samples, "npy")
            missing = [sample for sample in samples if sample.key not in vectors]
            if missing:
                texts = [sample.text() for sample in missing]
                made = embed(model(), texts, batch_size=params.batch_size, on_progress=_log_progress)
                vectors |= {sample.key: npy_field(vector) for sample, vector in zip(missing, made, strict=True)}
            output.prompts.write_shard(shard.name, (sample.adding(npy=vectors[sample.key]) for sample in samples))


def _log_progress(done: int, total: int) -> None:
    log.progress(done, total, "prompts")
