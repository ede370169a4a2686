"""Writes `txt`, a prompt, and `json`, what wrote it and from what, for every distinct prompt of a shard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from jobs.collect.contract import CollectedOrigin
from jobs.contract.reading import TypedSample
from jobs.generate_prompts.contract import GenerateCounts, Generated, GeneratedOrigin, GeneratePromptsInputs
from jobs.generate_prompts.stage import GRAMMAR, GeneratePromptsParams
from jobs.generate_prompts.tidy import tidy
from jobs.runtime import log
from jobs.runtime.models import locate
from jobs.runtime.spec import Unit
from jobs.runtime.task import Task
from jobs.shards.dataset import Writer
from jobs.shards.keys import key_of
from jobs.shards.tar import Sample
from jobs.synthetic import grammar

Write = Callable[[int, Sequence[str]], Iterable[str]]  # (shard's number, a beginning for each text) -> texts in order


def run(task: Task[GeneratePromptsInputs, Generated[Writer]], params: GeneratePromptsParams) -> None:
    """Write the pending shards; a shard's bytes depend on its unit alone."""
    write: Write | None = None
    for unit in task.pending():
        write = write or writer(params)
        with task.writing(unit) as output:
            counts: Counter[str] = Counter(wanted=unit.settings["prompts"], kept=0, empty=0, repeated=0)
            begun = _begun(task.inputs, unit)
            beginnings = [beginning(sample, params) for sample in begun] or [""] * counts["wanted"]
            texts = write(unit.settings["shard"], beginnings)
            samples = sorted(kept(texts, _origins(unit, params, begun), output, counts), key=lambda sample: sample.key)
            if samples:
                output.generated.write_shard(unit.name, samples)
            output.stats.write(GenerateCounts(**counts))


def writer(params: GeneratePromptsParams) -> Write:
    """What writes the texts: the grammar, or the language model, which is loaded here."""
    if params.model == GRAMMAR:
        size = params.prompts_per_shard
        return lambda shard, wanted: grammar.prompts(seed=params.seed, start=shard * size, count=len(wanted))
    from jobs.generate_prompts import language_model  # the grammar needs no torch

    model = language_model.load(params)
    return lambda shard, beginnings: language_model.write(model, shard=shard, beginnings=beginnings)


def beginning(sample: TypedSample[CollectedOrigin], params: GeneratePromptsParams) -> str:
    """The first words of a collected prompt."""
    return " ".join(sample.text().split()[: params.beginning_words])


def kept(
    texts: Iterable[str], origins: Iterable[GeneratedOrigin], output: Generated[Writer], counts: Counter[str]
) -> Iterator[Sample]:
    """The distinct prompts in the texts, the first of equals, in the order written; the others are counted."""
    seen: set[str] = set()
    for number, (text, origin) in enumerate(zip(texts, origins, strict=True), start=1):
        log.progress(number, counts["wanted"], "prompts")
        prompt = tidy(text)
        key = key_of(prompt)
        verdict = "empty" if not prompt else "repeated" if key in seen else "kept"
        counts[verdict] += 1
        if verdict == "kept":
            seen.add(key)
            yield output.generated.sample(key, origin, txt=prompt.encode())


def _begun(inputs: GeneratePromptsInputs, unit: Unit) -> list[TypedSample[CollectedOrigin]]:
    """The collected prompt that each text begins like, one after the other and round again; none without beginnings."""
    if not unit.shards:
        return []
    collected = [sample for shard in unit.shards for sample in inputs.collected.prompts.read(shard)]
    first = unit.settings["first_beginning"]
    return [collected[number % len(collected)] for number in range(first, first + unit.settings["prompts"])]


def _origins(
    unit: Unit, params: GeneratePromptsParams, begun: Sequence[TypedSample[CollectedOrigin]]
) -> Iterator[GeneratedOrigin]:
    """Where each text of a unit comes from; `row` is its position in the shard as written, counted from 1."""
    revision = None if params.model == GRAMMAR else locate(params)[1]
    for number in range(unit.settings["prompts"]):
        origin = GeneratedOrigin(
            source=Generated.generated.name,
            row=number + 1,
            model=params.model,
            revision=revision,
            seed=params.seed,
            shard=unit.settings["shard"],
        )
        yield origin.model_copy(update={"begun_from": begun[number].key}) if begun else origin
