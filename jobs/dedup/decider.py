"""Decides parts of the prompts in their order, each after what the parts before it kept, whoever decided those.

Tasks of several Pods take parts in turn. One that needs a part which another task has to do first compares its own rows
with all parts that are done, and waits; where the other task does not come, it does that part too. Whoever does it, the
outcome is the same, and the first commit counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self, cast

import numpy as np

from jobs.contract.samples import DIMENSIONS
from jobs.dedup.contract import DedupInputs, Deduplicated
from jobs.dedup.decisions import Decided, kept_by_shard, num_excluded, write_decisions
from jobs.dedup.exclusion import Exclusion, exclusion_of
from jobs.dedup.greedy import Deciding, gpu_memory_to_compare, in_blocks
from jobs.dedup.order import KEYS, Keys, Ordered, read_in_order
from jobs.dedup.stage import DedupParams, Part, parts
from jobs.errors import BadData
from jobs.runtime import log
from jobs.runtime.device import require_device
from jobs.runtime.spec import Unit
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.records import Shard
from jobs.similarity.coded import Coded, fitted_screen
from jobs.similarity.exact import Floats
from jobs.similarity.screens import Screen
from jobs.similarity.search import Search, searching
from jobs.similarity.vector_index import VectorIndex

DedupTask = Task[DedupInputs, Deduplicated[Writer]]

_SAMPLED = 4  # shards that the screen is fitted to
_LOOK_SECONDS = 1.0  # between two looks for what another task decides
_NOTHING = "there are no prompts to filter: give collect a source, or generate-prompts a number of prompts"
_PATIENCE_SECONDS = 300.0  # for a part of another task, at least; two times what the longest part of this one took


@dataclass(frozen=True, slots=True)
class KeptPart:
    """What a part's unit kept, in order, for being compared with."""

    keys: Keys
    vectors: VectorIndex


@dataclass(slots=True)
class Decider:
    """What one task decides with: the vectors of all that was kept before, held from one of its parts to the next."""

    task: DedupTask
    params: DedupParams
    stack: ExitStack  # ends the threads
    shards: tuple[Shard, ...]  # all that are embedded
    parts: list[Part]
    units: dict[str, Unit]
    exclusion: Exclusion
    kept: list[KeptPart] = field(default_factory=list)  # of the first parts
    longest: float = 0.0  # seconds of one part
    absent: set[int] = field(default_factory=set)  # indexes that were waited for in vain
    _search: Search | None = None

    @classmethod
    def of(cls, task: DedupTask, params: DedupParams, stack: ExitStack) -> Self:
        """A decider that has nothing yet."""
        shards = task.inputs.embedded.shards()
        units, exclusion = {unit.name: unit for unit in task.units()}, exclusion_of(params.exclude)
        return cls(task, params, stack, shards, parts(params, shards), units, exclusion)

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each part by the name of its unit."""
        return {part.unit: number for number, part in enumerate(self.parts)}

    @property
    def search(self) -> Search:
        """What compares; raises BadData where there is nothing to compare."""
        if self._search is None:
            require_device(self.params.device)
            screen = self._fitted()
            self._search = self.stack.enter_context(searching(screen, self.params.threads))
        return self._search

    def all_kept(self) -> tuple[dict[str, Keys], int]:
        """The kept keys of every embedded shard, once all parts are decided, and how many prompts were excluded.

        The vectors are let go.
        """
        if not self.parts:
            raise BadData(_NOTHING)
        found, excluded = dict[str, Keys](), 0
        for number in range(len(self.parts)):
            while (left := self._waited_for(number)) is None:
                self._kept_up_to(number)
            found |= dict(kept_by_shard(left))
            excluded += num_excluded(left)
        self.kept.clear()
        return found, excluded

    def decide(self, number: int, output: Deduplicated[Writer]) -> None:
        """Decide a part and write what was decided; raises Corrupt, NotFound, BadData, BadConfiguration."""
        with gpu_memory_to_compare():
            self._decide(number, output)

    def _decide(self, number: int, output: Deduplicated[Writer]) -> None:
        started = time.monotonic()
        part, embedded = self.parts[number], self.task.inputs.embedded
        shards = self.shards[part.start : part.end]
        own = list(self._ordered(shards))
        blocks = list(_blocks([prompts.vectors for prompts in own], self.search.screen))
        count, before = sum(len(prompts.keys) for prompts in own), self._prompts_before(number)
        deciding = Deciding(count, self.params.threshold, first=before)
        vectors = VectorIndex(self.search.screen, DIMENSIONS)
        progress = _Progress(count, before)
        first = 0
        for earlier in range(number):
            kept = self._kept_up_to(earlier)
            for start, coded in blocks:
                deciding.compare(start, coded, kept.vectors, first, self.search)
                progress.compared(len(coded) * self._prompts_in(earlier))
            first += len(kept.keys)
        deciding.decide(blocks, vectors, self.search, progress.decided)
        keys = np.concatenate([np.empty(0, KEYS), *(prompts.keys for prompts in own)])
        decided = Decided(
            number=part.start,
            shards=shards,
            prompts=own,
            witness=deciding.witness,
            cosine=deciding.cosine,
            keys_before=[kept.keys for kept in self.kept[:number]],
            first=before,
        )
        write_decisions(decided, embedded, part.unit, output)
        if len(self.kept) == number:
            self.kept.append(KeptPart(keys[deciding.kept], vectors))
        self.longest = max(self.longest, time.monotonic() - started)

    def _kept_up_to(self, number: int) -> KeptPart:
        """What a part kept; it and all before it are read, waited for, or decided here."""
        while len(self.kept) <= number:
            following = len(self.kept)
            left = self._waited_for(following)
            if left is not None:
                self.kept.append(self._read(following, left))
                continue
            with self.task.writing(self._unit(following)) as output:
                self.decide(following, output)
            if len(self.kept) == following:
                raise self.task.failures.pop()
        return self.kept[number]

    def _waited_for(self, number: int) -> Deduplicated[Dataset] | None:
        """What is decided of a part, or None where this task has to decide it."""
        unit = self._unit(number)
        owner = self.task.index_of(unit)
        since = time.monotonic()
        while (left := self._left(number)) is None:
            if owner in (None, self.task.index) or owner in self.absent:
                return None
            if time.monotonic() - since > max(_PATIENCE_SECONDS, 2 * self.longest):
                log.note("decides for another task", unit=unit.name, index=owner)
                self.absent.add(owner)
            log.progress(0, None, f"waiting for {unit.name}")
            time.sleep(_LOOK_SECONDS)
        return left

    def _left(self, number: int) -> Deduplicated[Dataset] | None:
        return cast(Deduplicated[Dataset] | None, self.task.left_by(self._unit(number)))

    def _read(self, number: int, left: Deduplicated[Dataset]) -> KeptPart:
        """The keys and vectors that a part kept."""
        part, vectors = self.parts[number], VectorIndex(self.search.screen, DIMENSIONS)
        keys = dict(kept_by_shard(left))
        shards = [shard for shard in self.shards[part.start : part.end] if len(keys[shard.name])]
        for shard, prompts in zip(shards, self._ordered(shards), strict=True):
            vectors.extend(prompts.vectors[np.isin(prompts.keys, keys[shard.name])])
        return KeptPart(np.concatenate([np.empty(0, KEYS), *(keys[shard.name] for shard in shards)]), vectors)

    def _fitted(self) -> Screen:
        """A screen that is fitted to some of the shards."""
        some = [shard for shard in self.shards if shard.samples]
        sampled = self._ordered(some[:: -(-len(some) // _SAMPLED)] if some else ())
        vectors = [prompts.vectors for prompts in sampled if len(prompts.keys)]
        if not vectors:  # nothing but what is excluded
            vectors = [prompts.vectors for prompts in self._ordered(some) if len(prompts.keys)]
        if not vectors:
            raise BadData(_NOTHING)
        screen = fitted_screen(np.concatenate(vectors), self.params.threshold, self.params.device)
        log.note("comparing", screen=screen.name, width=screen.width)
        return screen

    def _ordered(self, shards: Sequence[Shard]) -> Iterator[Ordered]:
        return read_in_order(self.task.inputs.embedded, shards, self.exclusion)

    def _unit(self, number: int) -> Unit:
        return self.units[self.parts[number].unit]

    def _prompts_before(self, number: int) -> int:
        return sum(shard.samples for shard in self.shards[: self.parts[number].start])

    def _prompts_in(self, number: int) -> int:
        part = self.parts[number]
        return sum(shard.samples for shard in self.shards[part.start : part.end])


def _blocks(vectors: list[Floats], screen: Screen) -> Iterator[tuple[int, Coded]]:
    """The vectors of all shards coded, some at a time, each with the number of its first row."""
    first = 0
    for of_shard in vectors:
        for start, coded in in_blocks(of_shard, screen):
            yield first + start, coded
        first += len(of_shard)


@dataclass(slots=True)
class _Progress:
    """How far a part of `count` prompts is, by the pairs that were compared."""

    count: int
    before: int
    pairs: int = 0

    def compared(self, pairs: int) -> None:
        self.pairs += pairs
        self._log(self.pairs)

    def decided(self, rows: int) -> None:
        self._log(self.count * self.before + rows * (rows + 1) // 2)

    def _log(self, pairs: int) -> None:
        total = self.count * self.before + self.count * (self.count + 1) // 2
        log.progress(self.count * pairs // max(1, total), self.count, "prompts")
