"""What the filter kept, what it dropped and why: exact totals from its certificate, examples from a few shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jobs.collect.contract import Collected
from jobs.collect.stage import source_of
from jobs.contract.reading import TypedSample
from jobs.contract.samples import Origin
from jobs.dedup.contract import Deduplicated, Verdict
from jobs.generate_prompts.contract import Generated
from jobs.report.page import RunView
from jobs.report.text_difference import Runs, marked
from jobs.shards.dataset import Dataset

_SHARDS_READ = 3  # of the dropped prompts, and again of the kept ones
_EXAMPLES = 3  # of each kind

Dropped = TypedSample[Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCounts:
    """The way of one source's rows."""

    name: str
    rows: int
    left_out: tuple[tuple[str, int], ...]  # (reason, rows) before the filter
    collected: int
    dropped: int = 0  # by the filter; an estimate where not all dropped prompts were read

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
    """The filter's outcome. `read` of the `dropped` prompts were read; keys are hashes, so they are a fair sample."""

    threshold: float
    order: str
    prompts: int
    kept: int
    dropped: int
    splits: tuple[tuple[str, int], ...]
    kept_keys_sha256: str
    sources: tuple[SourceCounts, ...]
    read: int
    repeats: int  # word for word, of those read
    cosines: tuple[float, ...]  # of those read that are not word for word
    examples: tuple[tuple[str, tuple[Pair, ...]], ...]  # (what they show, pairs)

    @property
    def complete(self) -> bool:
        """Whether every dropped prompt was read, so that counts per source are exact."""
        return self.read == self.dropped


def filter_facts(dedup: Deduplicated[Dataset], view: RunView) -> FilterFacts:
    """The filter's outcome, and the way of each source's rows into it."""
    certificate = dedup.certificate.value()
    dropped = list(_first_samples(dedup))
    near = [sample for sample in dropped if not _is_repeat(sample)]
    return FilterFacts(
        threshold=certificate.threshold,
        order=certificate.order,
        prompts=certificate.prompts,
        kept=certificate.kept,
        dropped=certificate.dropped,
        splits=tuple(sorted(certificate.splits.items(), key=lambda item: -item[1])),
        kept_keys_sha256=certificate.kept_keys_sha256,
        sources=_sources(view, dropped, certificate.dropped),
        read=len(dropped),
        repeats=len(dropped) - len(near),
        cosines=tuple(sample.value.cosine for sample in near),
        examples=_examples(near, _first_kept(dedup, list(certificate.splits))),
    )


def _first_samples(dedup: Deduplicated[Dataset]) -> Iterator[Dropped]:
    return (sample for shard in dedup.dropped.shards()[:_SHARDS_READ] for sample in dedup.dropped.read(shard))


def _first_kept(dedup: Deduplicated[Dataset], splits: Sequence[str]) -> list[TypedSample[Origin]]:
    """The samples of the splits' first shards, each split in turn."""
    queues = [dedup.splits[split].shards() for split in splits]
    in_turn = [queue[row] for row in range(_SHARDS_READ) for queue in queues if row < len(queue)]
    return [sample for shard in in_turn[:_SHARDS_READ] for sample in dedup.splits.read(shard)]


def _is_repeat(dropped: Dropped) -> bool:
    return dropped.key.partition("-")[0] == dropped.value.witness


def _sources(view: RunView, dropped: Sequence[Dropped], total: int) -> tuple[SourceCounts, ...]:
    rows: Counter[str] = Counter()
    collected: Counter[str] = Counter()
    left_out: dict[str, Counter[str]] = {}
    for name, read, kept, reasons in _counts(view):
        rows[name] += read
        collected[name] += kept
        left_out.setdefault(name, Counter()).update(reasons)
    seen = Counter(sample.value.source for sample in dropped)
    scale = total / len(dropped) if dropped else 0
    return tuple(
        SourceCounts(
            name=name,
            rows=rows[name],
            left_out=tuple((reason, number) for reason, number in sorted(reasons.items()) if number),
            collected=collected[name],
            dropped=round(scale * seen[name]),
        )
        for name, reasons in left_out.items()
        if rows[name]
    )


def _counts(view: RunView) -> Iterator[tuple[str, int, int, dict[str, int]]]:
    """Of every unit its source, the rows read, the prompts kept, and why other rows were left out."""
    if collected := view.get(Collected[Dataset]):
        for outcome, counts in collected.stats.by_outcome():
            reasons = counts.model_dump(exclude={"rows", "kept"}, exclude_unset=True)
            yield source_of(outcome), counts.rows, counts.kept, reasons
    if generated := view.get(Generated[Dataset]):
        for written in generated.stats.values():
            reasons = written.model_dump(exclude={"wanted", "kept"})
            yield Generated.generated.name, written.wanted, written.kept, reasons


def _examples(near: Sequence[Dropped], kept: Iterable[TypedSample[Origin]]) -> tuple[tuple[str, tuple[Pair, ...]], ...]:
    witnesses = {sample.key: sample for sample in kept}
    shown = sorted(
        (sample for sample in near if sample.value.witness in witnesses),
        key=lambda sample: (sample.value.cosine, sample.key),
    )
    middle = len(shown) // 2 - _EXAMPLES // 2
    kinds = {
        "Just above the threshold": shown[:_EXAMPLES],
        "In the middle": shown[middle : middle + _EXAMPLES] if len(shown) > 2 * _EXAMPLES else [],
        "Almost the same": shown[_EXAMPLES:][-_EXAMPLES:],
    }
    return tuple(
        (kind, tuple(_pair(sample, witnesses[sample.value.witness]) for sample in samples))
        for kind, samples in kinds.items()
        if samples
    )


def _pair(dropped: Dropped, witness: TypedSample[Origin]) -> Pair:
    left, right = marked(dropped.text(), witness.text())
    return Pair(
        cosine=dropped.value.cosine,
        dropped=left,
        kept=right,
        dropped_source=dropped.value.source,
        kept_source=witness.value.source,
    )
