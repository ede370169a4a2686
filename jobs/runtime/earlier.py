"""Samples that were made before, by the same recipe, and are taken over instead of being made again.

A former shard is read like any other, with its size, digest, count and keys checked. What is gone, damaged or cannot be
read is passed over, and its samples are made.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jobs.runtime.former_shards import PASSED_OVER, Former, RunFolders, formers, pass_over
from jobs.runtime.spec import StageSpec, Unit
from jobs.shards.digests import digest_of
from jobs.shards.records import CommitRecord, Shard
from jobs.shards.tar import Sample

BROUGHT = "given"  # the count among a unit's of the samples for which nothing was made, as they bring it
_LOOKS_IN_VAIN = 8  # shards in a row that were looked into for one unit and held nothing; then the rest is made


@dataclass(slots=True)
class Earlier:
    """What one task, or one plan, can take over; records are read once, when it is first asked for something."""

    spec: StageSpec
    runs: Sequence[RunFolders]  # the run's own first
    _formers: list[Former] | None = field(default=None)

    def take(self, unit: Unit, wanted: Iterable[Sample], name: str) -> dict[str, bytes]:
        """{key: the field of that name} of those wanted samples that were made before with the same prompt."""
        missing = {sample.key: sample["txt"] for sample in wanted}
        found: dict[str, bytes] = {}
        for former in self._holding(unit, missing):
            try:
                for sample in former.samples():
                    if missing.get(sample.key) == sample["txt"] and self.spec.makes_for(sample):
                        found[sample.key] = sample[name]
                        del missing[sample.key]
            except PASSED_OVER as error:
                pass_over(former, error)
        return found

    def count(self, unit: Unit, wanted: Iterable[Sample]) -> int:
        """How many of the wanted samples would be taken over if nothing is damaged."""
        missing = {sample.key: sample["txt"] for sample in wanted}
        total = len(missing)
        for former in self._holding(unit, missing):
            for key in [key for key, prompt in missing.items() if former.holds(key, prompt)]:
                del missing[key]
        return total - len(missing)

    def seconds_per_sample(self, unit: Unit) -> float | None:
        """How long a sample took that was made by the unit's recipe, or else by any; None where none was made.

        By records that took over nothing, where there are some: to look for what was made takes time, too.
        """
        known = self._of_recipe(unit) or self._formers or ()
        records = list({id(one.record): one.record for one in known if one.record.seconds}.values())
        chosen = [record for record in records if not record.taken] or records
        made = sum(map(_num_made, chosen))
        return sum(record.seconds for record in chosen) / made if made > 0 else None

    def _of_recipe(self, unit: Unit) -> list[Former]:
        if self._formers is None:
            self._formers = formers(self.spec, self.runs)
        settings = digest_of(unit.settings)
        return [one for one in self._formers if one.settings == settings]

    def _holding(self, unit: Unit, missing: Mapping[str, bytes]) -> Iterator[Former]:
        """Shards with any of the samples that are missing, of which the caller removes what it has found."""
        in_vain = 0
        for former in self._in_order(unit, sorted(missing)):
            if not missing or in_vain == _LOOKS_IN_VAIN:
                return
            looked = former.prompts is None
            if looked:
                try:
                    former.look(self.spec)
                except PASSED_OVER as error:
                    pass_over(former, error)
                    continue
            if any(former.holds(key, prompt) for key, prompt in missing.items()):
                in_vain = 0
                yield former
            else:
                in_vain += looked

    def _in_order(self, unit: Unit, keys: Sequence[str]) -> list[Former]:
        """The shards whose range of keys has any of these: first of the same group, by the distance of their numbers,
        and of these the newest first.
        """
        found = [one for one in self._of_recipe(unit) if not one.unusable and _has_any(one.shard, keys)]
        group, number = unit.shards[0].group, _number(unit.shards[0])
        return sorted(
            found,
            key=lambda one: (one.shard.group != group, abs(_number(one.shard) - number), -one.record.finished),
        )


def _num_made(record: CommitRecord) -> int:
    brought = record.outcome.stats.get(BROUGHT, 0)
    return sum(shard.samples for shard in record.outcome.shards) - record.taken - int(brought)


def _has_any(shard: Shard, keys: Sequence[str]) -> bool:
    """Whether one of the keys, which ascend, is in the shard's range."""
    if shard.first_key is None or shard.last_key is None:
        return False
    position = bisect_left(keys, shard.first_key)
    return position < len(keys) and keys[position] <= shard.last_key


def _number(shard: Shard) -> int:
    digits = shard.name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0
