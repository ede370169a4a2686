"""What was decided of each embedded shard, as it is written and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.dedup.contract import Deduplicated, ShardDecisions, Verdict
from jobs.dedup.greedy import KEPT
from jobs.dedup.order import KEYS, Keys, Ordered
from jobs.dedup.stage import dropped_shard
from jobs.embed.contract import Embedded
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.records import Shard
from jobs.shards.tar import Sample
from jobs.similarity.exact import Doubles, Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided of consecutive embedded shards, the first of which is the `number`th of all.

    A row's witness is -1 where it is kept; a number from `first` on is one of these rows, a smaller one counts what was
    kept before.
    """

    number: int
    shards: Sequence[Shard]
    prompts: Sequence[Ordered]  # of each of the shards
    witness: Rows  # of all rows, shard after shard
    cosine: Doubles
    keys_before: Sequence[Keys]
    first: int

    def by_shard(self) -> Iterator[tuple[int, Shard, Ordered, slice]]:
        """Each shard with its position among all, its prompts, and which rows they are."""
        start = 0
        for position, (shard, prompts) in enumerate(zip(self.shards, self.prompts, strict=True), self.number):
            yield position, shard, prompts, slice(start, start + len(prompts.keys))
            start += len(prompts.keys)


def num_excluded(decided: Deduplicated[Dataset]) -> int:
    """How many prompts were left out before the filter."""
    return sum(sample.value.excluded for sample in decided.decisions.samples())


def kept_by_shard(decided: Deduplicated[Dataset]) -> Iterator[tuple[str, Keys]]:
    """The name of each embedded shard that is decided, and the keys of its kept prompts in the order of the filter."""
    for sample in decided.decisions.samples():
        keys = sample["keys"]
        yield sample.key, np.array(keys.split(b"\n") if keys else [], KEYS)


def write_decisions(decided: Decided, embedded: Embedded[Dataset], name: str, output: Deduplicated[Writer]) -> None:
    """Write the kept keys as the shard of that name, and a shard of dropped prompts for each of the embedded ones."""
    samples = []
    for _, shard, prompts, rows in decided.by_shard():
        kept = prompts.keys[decided.witness[rows] == KEPT]
        counts = ShardDecisions(source=prompts.source, prompts=len(prompts.keys), kept=len(kept))
        if prompts.excluded:
            counts = counts.model_copy(update={"excluded": prompts.excluded})
        samples.append(output.decisions.sample(shard.name, counts, keys=b"\n".join(kept.tolist())))
    output.decisions.write_shard(name, sorted(samples, key=lambda sample: sample.key))
    before = np.concatenate([np.empty(0, KEYS), *decided.keys_before])
    own = np.concatenate([np.empty(0, KEYS), *(prompts.keys for prompts in decided.prompts)])
    for position, shard, prompts, rows in decided.by_shard():
        row_of = {key.decode(): rows.start + row for row, key in enumerate(prompts.keys.tolist())}
        if (decided.witness[rows] != KEPT).any():
            dropped = (
                _dropped(sample, shard, decided, row_of[sample.key], before, own, output)
                for sample in embedded.prompts.read(shard)
                if sample.key in row_of and decided.witness[row_of[sample.key]] != KEPT
            )
            output.dropped.write_shard(dropped_shard(position), dropped)


def _dropped(
    sample: TypedSample[Origin],
    shard: Shard,
    decided: Decided,
    row: int,
    before: Keys,
    own: Keys,
    output: Deduplicated[Writer],
) -> Sample:
    number = int(decided.witness[row])
    witness = before[number] if number < decided.first else own[number - decided.first]
    origin = sample.value.model_dump(exclude_unset=True)
    verdict = Verdict(**origin, witness=witness.decode(), cosine=round(float(decided.cosine[row]), 9))
    return output.dropped.sample(f"{sample.key}-{shard.name}", verdict, txt=sample["txt"])
