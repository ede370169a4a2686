"""Writes the fragments that training prompts have most often, with the words that go before them, and their vectors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

from jobs.composer import require_vector
from jobs.composing.stored import record_of
from jobs.composing.vocabulary import vocabulary_of
from jobs.contract.reading import ReadGroup
from jobs.contract.samples import TRAIN, Origin
from jobs.cut_prompts.contract import CutCounts, CutPrompts, CutPromptsInputs
from jobs.cut_prompts.stage import CutPromptsParams
from jobs.runtime import log
from jobs.runtime.arrays import from_npy, npy_field
from jobs.runtime.task import Task
from jobs.sentences import embed, load_prompt_model
from jobs.shards.dataset import Writer


def run(task: Task[CutPromptsInputs, CutPrompts[Writer]], params: CutPromptsParams) -> None:
    """Cut the prompts; the same ones give the same bytes on one kind of machine."""
    for unit in task.pending():
        with task.writing(unit) as output:
            prompts = task.inputs.prompts.splits[TRAIN]
            embedded = partial(embed, load_prompt_model(params), batch_size=params.batch_size)
            for known in islice(prompts.samples(), 1):
                require_vector(embedded, known.text(), from_npy(known["npy"]), params.model)
            vocabulary = vocabulary_of(_texts(prompts), params.num_fragments)
            texts = [one.text for one in vocabulary.fragments]
            vectors = embedded(texts, on_progress=_log_progress)
            record = record_of(vocabulary, prompts.num_samples, params.model, params.revision, params.search)
            output.vocabulary.write(record, npy=npy_field(vectors))
            output.stats.write(CutCounts(fragments=len(texts), joints=len(vocabulary.joints)))


def _texts(prompts: ReadGroup[Origin]) -> Iterator[str]:
    done = 0
    for shard in prompts.shards():
        yield from (sample.text() for sample in prompts.read(shard))
        done += shard.samples
        log.progress(done, prompts.num_samples, "prompts")


def _log_progress(done: int, total: int) -> None:
    log.progress(done, total, "fragments")
