"""What the filter kept, what it dropped and why: exact totals from its certificate, examples from a few shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jobs.collect.contract import Collected
from jobs.collect.stage import source_of
from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.dedup.contract import Certificate, Deduplicated, Verdict, is_repeat
from jobs.generate_prompts.contract import Generated
from jobs.report.page import RunView
from jobs.report.text_difference import Runs, marked
from jobs.shards.dataset import Dataset
from jobs.shards.keys import split_of

_SHARDS_READ = 3  # of the dropped prompts
_EXAMPLES = 3  # of each kind
_WITNESS_SHARDS = 4 * _EXAMPLES  # that are read at most to find the examples' witnesses

Dropped = TypedSample[Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """The way of one source's rows."""

    name: str
    rows: int
    left_out: tuple[tuple[str, int], ...]  # (reason, rows) before the filter
    collected: int
    dropped: int = 0  # by the filter

    @property
    def kept(self) -> int:
        return max(0, self.collected - self.dropped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A dropped prompt and the kept one it was dropped for; words that only one of them has are marked True."""

    cosine: float
    dropped: Runs
    kept: Runs
    dropped_source: str
    kept_source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterFacts:
    """The filter's outcome. `read` of the `dropped` prompts were read, those of shards spread evenly over all."""

    threshold: float
    order: str
    prompts: int
    kept: int
    dropped: int
    excluded: int
    splits: tuple[tuple[str, int], ...]
    kept_keys_sha256: str
    sources: tuple[SourceCounts, ...]
    read: int
    repeats: int  # word for word, of those read
    cosines: tuple[float, ...]  # of those read that are not word for word
    examples: tuple[tuple[str, tuple[Pair, ...]], ...]  # (what they show, pairs)

    @property
    def complete(self) -> bool:
        """Whether every dropped prompt was read."""
        return self.read == self.dropped


def filter_facts(dedup: Deduplicated[Dataset], view: RunView) -> FilterFacts:
    """The filter's outcome, and the way of each source's rows into it."""
    certificate = dedup.certificate.value()
    dropped = list(_some_dropped(dedup))
    near = [sample for sample in dropped if not is_repeat(sample)]
    return FilterFacts(
        threshold=certificate.threshold,
        order=certificate.order,
        prompts=certificate.prompts,
        kept=certificate.kept,
        dropped=certificate.dropped,
        excluded=certificate.excluded,
        splits=tuple(sorted(certificate.splits.items(), key=lambda item: -item[1])),
        kept_keys_sha256=certificate.kept_keys_sha256,
        sources=_sources(view, _dropped_by_source(dedup, dropped)),
        read=len(dropped),
        repeats=len(dropped) - len(near),
        cosines=tuple(sample.value.cosine for sample in near),
        examples=_examples(near, dedup, certificate),
    )


def _some_dropped(dedup: Deduplicated[Dataset]) -> Iterator[Dropped]:
    shards = dedup.dropped.shards()
    spread = shards[:: -(-len(shards) // _SHARDS_READ)] if shards else ()
    return (sample for shard in spread for sample in dedup.dropped.read(shard))


def _dropped_by_source(dedup: Deduplicated[Dataset], dropped: Sequence[Dropped]) -> Counter[str]:
    """How many prompts of each source were dropped; those that were read, where a run has no decisions yet."""
    decided = [sample.value for sample in dedup.decisions.samples()]
    if not decided:
        return Counter(sample.value.source for sample in dropped)
    counts: Counter[str] = Counter()
    for one in decided:
        counts[one.source] += one.prompts - one.kept
    return counts


def _sources(view: RunView, dropped: Mapping[str, int]) -> tuple[SourceCounts, ...]:
    rows: Counter[str] = Counter()
    collected: Counter[str] = Counter()
    left_out: dict[str, Counter[str]] = {}
    for name, read, kept, reasons in _counts(view):
        rows[name] += read
        collected[name] += kept
        left_out.setdefault(name, Counter()).update(reasons)
    return tuple(
        SourceCounts(
            name=name,
            rows=rows[name],
            left_out=tuple((reason, number) for reason, number in sorted(reasons.items()) if number),
            collected=collected[name],
            dropped=dropped.get(name, 0),
        )
        for name, reasons in left_out.items()
        if rows[name]
    )


def _counts(view: RunView) -> Iterator[tuple[str, int, int, dict[str, int]]]:
    """Of every unit its source, the rows read, the prompts kept, and why other rows were left out."""
    if collected := view.get(Collected[Dataset]):
        for outcome, counts in collected.stats.by_outcome():
            yield source_of(outcome), counts.rows, counts.kept, counts.by_reason()
    if generated := view.get(Generated[Dataset]):
        for written in generated.stats.values():
            reasons = written.model_dump(exclude={"wanted", "kept"})
            yield Generated.generated.name, written.wanted, written.kept, reasons


def _examples(
    near: Sequence[Dropped], dedup: Deduplicated[Dataset], certificate: Certificate
) -> tuple[tuple[str, tuple[Pair, ...]], ...]:
    shown = sorted(near, key=lambda sample: (sample.value.cosine, sample.key))
    middle = len(shown) // 2 - _EXAMPLES // 2
    kinds = {
        "Just above the threshold": shown[:_EXAMPLES],
        "In the middle": shown[middle : middle + _EXAMPLES] if len(shown) > 2 * _EXAMPLES else [],
        "Almost the same": shown[_EXAMPLES:][-_EXAMPLES:],
    }
    wanted = {sample.value.witness for samples in kinds.values() for sample in samples}
    witnesses = _kept_of(wanted, dedup, certificate.held_out)
    found = {
        kind: [_pair(sample, witness) for sample in samples if (witness := witnesses.get(sample.value.witness))]
        for kind, samples in kinds.items()
    }
    return tuple((kind, tuple(pairs)) for kind, pairs in found.items() if pairs)


def _kept_of(
    keys: Collection[str], dedup: Deduplicated[Dataset], held_out: Mapping[str, float]
) -> dict[str, TypedSample[Origin]]:
    """The kept prompts of these keys, which a few shards at most are read for."""
    found: dict[str, TypedSample[Origin]] = {}
    read: set[str] = set()
    for key in sorted(keys):
        for shard in dedup.splits[split_of(key, held_out)].shards():
            holds = (shard.first_key or "") <= key <= (shard.last_key or "")
            if key not in found and holds and shard.name not in read and len(read) < _WITNESS_SHARDS:
                read.add(shard.name)
                found |= {sample.key: sample for sample in dedup.splits.read(shard) if sample.key in keys}
    return found


def _pair(dropped: Dropped, witness: TypedSample[Origin]) -> Pair:
    left, right = marked(dropped.text(), witness.text())
    return Pair(
        cosine=dropped.value.cosine,
        dropped=left,
        kept=right,
        dropped_source=dropped.value.source,
        kept_source=witness.value.source,
    )
