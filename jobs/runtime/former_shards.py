"""The shards that a stage has made before, of this run and of others: found through commit records alone.

A record counts that is of the same stage and version, and whose fingerprint and objects are named for what stands in
it. What is gone, damaged or cannot be read is passed over with a note in the log.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from jobs.errors import BadConfiguration, Corrupt, NotFound, StoreAway, StoreError
from jobs.runtime import log
from jobs.runtime.spec import StageSpec
from jobs.shards.dataset import Committed, Dataset, read_record_named
from jobs.shards.digests import digest_of, sha256
from jobs.shards.records import CommitRecord, Manifest, Outcome, Shard, fingerprint, object_name
from jobs.shards.store import Store, overwrite
from jobs.shards.strict_json import JsonModel, Seconds
from jobs.shards.tar import Sample, read_tar

FORGOTTEN = "forgotten.json"
PASSED_OVER = (Corrupt, StoreError, BadConfiguration)  # the last where another run's folder may not be read

_AT_ONCE = 16  # records read at once; on S3 each costs a round trip


class Forgotten(JsonModel):
    """A stage's note that nothing is taken over of what was made before that Unix time."""

    before: Seconds


def forget(stage: Store) -> None:
    """From now on take over nothing that was made until now."""
    overwrite(stage, FORGOTTEN, Forgotten(before=time.time()).encode())


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Where a run keeps what a stage has made, and the folders in which that stage's inputs may be, by their stages."""

    stage: Store
    inputs: Mapping[str, Sequence[Store]]


@dataclass(slots=True, eq=False)
class Former:
    """A shard that was made before, and the prompts in it as hashes, 8 bytes each, once they were looked at."""

    folders: RunFolders
    record: CommitRecord
    shard: Shard
    settings: str  # their digest
    prompts: array[int] | None = None
    unusable: bool = False

    def samples(self) -> Iterator[Sample]:
        """Its verified samples; raises Corrupt, StoreError."""
        return Dataset(self.folders.stage, Manifest("", (self.record.outcome,))).read(self.shard)

    def look(self, spec: StageSpec) -> None:
        """Note its prompts for which the stage made something; raises Corrupt, StoreError.

        They are those of the shard that it was made from, which is read instead where it is still there: without the
        images it is a hundredth as large.
        """
        samples = self._source() or self.samples()
        made = (sample for sample in samples if spec.makes_for(sample))
        self.prompts = array("q", sorted(hash((sample.key, sample["txt"])) for sample in made))

    def holds(self, key: str, prompt: bytes) -> bool:
        """Whether it held that prompt when it was looked at."""
        wanted, prompts = hash((key, prompt)), self.prompts or ()
        position = bisect_left(prompts, wanted)
        return position < len(prompts) and prompts[position] == wanted

    def _source(self) -> Iterator[Sample] | None:
        for label, digest in self.record.outcome.reads.items():
            stage, _, name = label.partition("/")
            for store in self.folders.inputs.get(stage, ()) if name == self.shard.name else ():
                try:
                    data = store.read(object_name(name, digest)).data
                except NotFound:
                    continue
                if sha256(data) == digest:
                    return read_tar(data, name=name)
        return None


def folders_of(
    spec: StageSpec, output: Store, inputs: Collection[Dataset], other_runs: Iterable[Store]
) -> tuple[RunFolders, ...]:
    """The run's own, with those of the datasets that it reads, and those of other runs."""
    own = {dataset.name: (dataset.store,) for dataset in inputs}
    others = [RunFolders(run.at(spec.name), {name: (run.at(name), *own[name]) for name in own}) for run in other_runs]
    return (RunFolders(output, own), *others)


def formers(spec: StageSpec, runs: Sequence[RunFolders]) -> list[Former]:
    """The shards of all whole records of the stage and its version. Raises StoreAway, and StoreError where the run's
    own folder cannot be listed: to make everything because of that would cost more than another try.
    """
    own = _forgotten(runs[0].stage) if runs else 0.0
    found: list[Former] = []
    for folders in runs:
        try:
            committed = Committed.of(folders.stage)
            since = max(own, _forgotten(folders.stage))
            records = _records(folders.stage, committed)
        except PASSED_OVER as error:
            if folders is runs[0]:
                raise
            note(folders.stage.url, error)
            continue
        for record in records:
            outcome = record.outcome
            if is_of_recipe(spec, outcome) and record.finished > since and not committed.missing(outcome):
                settings = digest_of(outcome.settings)
                found += [Former(folders, record, shard, settings) for shard in outcome.shards]
    return found


def is_of_recipe(spec: StageSpec, outcome: Outcome) -> bool:
    """Whether an outcome is of this stage and version, and its fingerprint and objects are named for what it says."""
    asked = fingerprint(
        stage=spec.name, version=spec.version, unit=outcome.unit, settings=outcome.settings, reads=outcome.reads
    )
    named = all(shard.object == object_name(shard.name, shard.sha256) for shard in outcome.shards)
    return outcome.version == spec.version and outcome.fingerprint == asked and named


def _records(stage: Store, committed: Committed) -> list[CommitRecord]:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [record for record in pool.map(partial(_record, stage), committed.records) if record]


def _record(stage: Store, name: str) -> CommitRecord | None:
    try:
        return read_record_named(stage, name)
    except StoreAway:
        raise
    except PASSED_OVER as error:
        note(f"{stage.url}/{name}", error)
        return None


def _forgotten(stage: Store) -> float:
    """Until when what was made is not taken over. Raises StoreError; a note that is damaged lets nothing be taken."""
    try:
        return Forgotten.decode(stage.read(FORGOTTEN).data, f"{stage.url}/{FORGOTTEN}").before
    except NotFound:
        return 0.0
    except Corrupt as error:
        note(stage.url, error)
        return float("inf")


def pass_over(former: Former, error: Exception) -> None:
    """Take nothing of this shard, neither for this unit nor for another; raises StoreAway as `note`."""
    former.unusable = True
    note(f"{former.folders.stage.url}/{former.shard.object}", error)


def note(where: str, error: Exception) -> None:
    """Say what is passed over; a store that is away is no reason to make what it holds, and is waited for."""
    if isinstance(error, StoreAway):
        raise error
    log.note("passed over", what=where, reason=str(error))
