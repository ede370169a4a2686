"""What the filter kept, what it dropped and why: exact totals from its certificate, examples from a few shards."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.generate_prompts.stage import GROUP
from jobs.runtime.groups import CERTIFICATE, DROPPED
from jobs.shards.dataset import Dataset
from jobs.shards.tar import Sample
from pipeline.report.stage_facts import Datasets

_SHARDS_READ = 3  # of the dropped prompts, and again of the kept ones
_EXAMPLES = 3  # of each kind
_BINS = 20
_RUN = 24  # words shown of what two prompts have in common in one place, or not
_EDGE = 1e-9  # a value on an edge belongs to the bin above it, whatever its last bit
_ROW_COUNTS = {"rows", "wanted", "kept"}  # counts of a source's stats that are no reason to drop a row


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
    dropped: tuple[tuple[str, bool], ...]
    kept: tuple[tuple[str, bool], ...]
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


def filter_facts(datasets: Datasets) -> FilterFacts | None:
    """None before dedup is done."""
    dedup = datasets.get("dedup")
    if dedup is None:
        return None
    (certificate,) = (sample.json() for sample in dedup.samples(CERTIFICATE))
    dropped = _first_samples(dedup, [DROPPED])
    near = [sample for sample in dropped if not _is_repeat(sample)]
    return FilterFacts(
        threshold=certificate["threshold"],
        order=certificate["order"],
        prompts=certificate["prompts"],
        kept=certificate["kept"],
        dropped=certificate["dropped"],
        splits=tuple(sorted(certificate["splits"].items(), key=lambda item: -item[1])),
        kept_keys_sha256=certificate["kept_keys_sha256"],
        sources=_sources(datasets, dropped, certificate["dropped"]),
        read=len(dropped),
        repeats=len(dropped) - len(near),
        cosines=tuple(sample.json()["cosine"] for sample in near),
        examples=_examples(near, _first_samples(dedup, list(certificate["splits"]))),
    )


def _first_samples(dedup: Dataset, groups: Sequence[str]) -> list[Sample]:
    """The samples of the groups' first shards, each group in turn."""
    queues = [list(dedup.shards(group)) for group in groups]
    in_turn = [queue[place] for place in range(_SHARDS_READ) for queue in queues if place < len(queue)]
    return [sample for shard in in_turn[:_SHARDS_READ] for sample in dedup.read(shard)]


def _is_repeat(dropped: Sample) -> bool:
    witness: str = dropped.json()["witness"]
    return dropped.key.partition("-")[0] == witness


def _sources(datasets: Datasets, dropped: Sequence[Sample], total: int) -> tuple[SourceCounts, ...]:
    stats: dict[str, Counter[str]] = {}
    for stage in ("collect", "generate-prompts"):
        for outcome in datasets[stage].manifest.outcomes if stage in datasets else ():
            name = outcome.settings.get("source", {}).get(
                "name", GROUP if stage == "generate-prompts" else outcome.unit
            )
            stats.setdefault(name, Counter()).update(outcome.stats)
    seen = Counter(sample.json()["source"] for sample in dropped)
    scale = total / len(dropped) if dropped else 0
    return tuple(
        SourceCounts(
            name=name,
            rows=counts["rows"] + counts["wanted"],
            left_out=tuple((reason, n) for reason, n in sorted(counts.items()) if reason not in _ROW_COUNTS and n),
            collected=counts["kept"],
            dropped=round(scale * seen[name]),
        )
        for name, counts in stats.items()
        if counts["rows"] + counts["wanted"]
    )


def _examples(near: Sequence[Sample], kept: Iterable[Sample]) -> tuple[tuple[str, tuple[Pair, ...]], ...]:
    witnesses = {sample.key: sample for sample in kept}
    told = sorted((sample for sample in near if sample.json()["witness"] in witnesses), key=_cosine)
    middle = len(told) // 2 - _EXAMPLES // 2
    kinds = {
        "Just above the threshold": told[:_EXAMPLES],
        "In the middle": told[middle : middle + _EXAMPLES] if len(told) > 2 * _EXAMPLES else [],
        "Almost the same": told[_EXAMPLES:][-_EXAMPLES:],
    }
    return tuple(
        (kind, tuple(_pair(sample, witnesses[sample.json()["witness"]]) for sample in samples))
        for kind, samples in kinds.items()
        if samples
    )


def _cosine(dropped: Sample) -> tuple[float, str]:
    return dropped.json()["cosine"], dropped.key


def _pair(dropped: Sample, witness: Sample) -> Pair:
    verdict: dict[str, Any] = dropped.json()
    left, right = marked(dropped.text(), witness.text())
    return Pair(
        cosine=verdict["cosine"], dropped=left, kept=right,
        dropped_source=verdict["source"], kept_source=witness.json()["source"],
    )  # fmt: skip


def marked(one: str, other: str) -> tuple[tuple[tuple[str, bool], ...], tuple[tuple[str, bool], ...]]:
    """Both texts in runs of words, True for runs that the other does not have there; long runs are shortened."""
    left, right = one.split(), other.split()
    lefts, rights = [], []
    matcher = difflib.SequenceMatcher(None, list(map(_bare, left)), list(map(_bare, right)), autojunk=False)
    for same, i, j, k, m in matcher.get_opcodes():
        if i < j:
            lefts.append((_shortened(left[i:j]), same != "equal"))
        if k < m:
            rights.append((_shortened(right[k:m]), same != "equal"))
    return tuple(lefts), tuple(rights)


def _shortened(run: Sequence[str]) -> str:
    return " ".join(run if len(run) <= _RUN else [*run[: _RUN // 2], "…", *run[-_RUN // 2 :]])


def _bare(word: str) -> str:
    return word.strip(",.;:!?").casefold() or word


def bins(values: Sequence[float], low: float, high: float, number: int = _BINS) -> list[int]:
    """How many values fall into each of `number` equal parts of [low, high]; what lies outside goes to the ends."""
    found = [0] * number
    for value in values:
        place = int((value - low) / (high - low) * number + _EDGE) if high > low else 0
        found[min(max(place, 0), number - 1)] += 1
    return found
