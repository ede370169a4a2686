"""What must hold in every schedule, by name. Looked at when an object changes, when it is read, and at the end."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping

from jobs.errors import Corrupt, I2PError
from jobs.shards.dataset import Dataset, load_manifest, read_record
from jobs.shards.digests import sha256
from jobs.shards.records import CommitRecord, Manifest, Outcome
from jobs.shards.store import Store
from jobs.shards.tar import Sample, read_tar
from tests.simulation.graph import BY_NAME, content
from tests.simulation.s3 import Bucket, Object
from tests.simulation.world import Actor, World

WHOLE = "what is published is whole"
DATA_FIRST = "a record comes after its data"
COMMITTED = "what is published was committed"
ONE_WINNER = "one winner"
REACHABLE = "nothing that is reachable is removed"
LINEAGE = "what is published was made of what is published"
AGREE = "records say what the manifest says"
ENDS = "it ends, with everything done or the reason said"
RAW = "no raw error"
CLAIMED = "every input is claimed once, and predicted"
TAKEN = "what is taken over is whole, and of the same recipe"
CLEAN = "in the end only what is reachable is left"

_PREFIX = "runs/run/"


class Watcher:
    """Hears of every change in the bucket, and knows what a person or a fault did to it."""

    def __init__(self, world: World, bucket: Bucket) -> None:
        self.world, self.bucket = world, bucket
        self.disturbed: set[str] = set()  # keys that were deleted, cut or flipped from outside
        self.committed: set[tuple[str, str]] = set()  # objects and digests that a record has named
        self.counting: dict[Actor, list[str]] = {}  # what each controller's plan counts on: STAGE/NAME
        self.named_by: dict[str, set[str]] = defaultdict(set)  # of each shard's key, the keys of the records
        bucket.watchers.append(self.changed)

    def changed(self, method: str, key: str, before: Object | None) -> None:
        """An object was written or deleted through the client."""
        if method == "DELETE" and self.world.acting and self.world.acting.name.startswith("collector"):
            self._removed(key)
        if method != "PUT":
            return
        if "/commits/" in key:
            self._record(key, before)
        elif key.endswith("/manifest.json"):
            self._manifest(key)

    def _record(self, key: str, before: Object | None) -> None:
        outcome = CommitRecord.decode(self.bucket.objects[key].body).outcome
        stage = key.partition("/commits/")[0]
        self.committed.update((shard.object, shard.sha256) for shard in outcome.shards)
        for shard in outcome.shards:
            self.named_by[f"{stage}/{shard.object}"].add(key)
        self.disturbed.discard(key)
        if stage.endswith("/embed"):
            self._taken(stage, outcome)
        if not self._is_whole(stage, outcome):
            self.world.violate(DATA_FIRST, f"{key} names {outcome.shards[0].object}, which is not there")
        if before is None:
            return
        try:
            former = CommitRecord.decode(before.body).outcome
        except Corrupt:
            return
        damaged = any(f"{stage}/{shard.object}" in self.disturbed for shard in former.shards)
        if former != outcome and not damaged and self._is_whole(stage, former):
            self.world.violate(ONE_WINNER, f"{key}: a record that counted was replaced by another outcome")

    def _taken(self, stage: str, outcome: Outcome) -> None:
        """What embed adds to a prompt must be of that prompt and of the record's own parameters, made or taken over."""
        for shard in outcome.shards:
            one = self.bucket.objects.get(f"{stage}/{shard.object}")
            for sample in read_tar(one.body) if one and sha256(one.body) == shard.sha256 else ():
                form = rf"embed {outcome.settings['tag']}( \d)?\({re.escape(sample.text())}\)"
                if not re.fullmatch(form, sample["vec"].decode(errors="replace")):
                    self.world.violate(TAKEN, f"{stage}/{shard.object} has {sample['vec']!r} for {sample.text()!r}")

    def _manifest(self, key: str) -> None:
        stage = key.removesuffix("/manifest.json")
        for outcome in Manifest.decode(self.bucket.objects[key].body).outcomes:
            for shard in outcome.shards:
                if (shard.object, shard.sha256) not in self.committed:
                    self.world.violate(COMMITTED, f"{key} names {shard.object}, which no record ever did")
            if not self._is_whole(stage, outcome):
                self.world.violate(WHOLE, f"{key} names {outcome.shards[0].object}, which is not there")

    def _removed(self, key: str) -> None:
        """A collector removed an object."""
        name = key.removeprefix(_PREFIX)
        stage = name.partition("/")[0]
        try:
            published = Manifest.decode(self.bucket.objects[f"{_PREFIX}{stage}/manifest.json"].body).names
        except (KeyError, Corrupt):
            published = frozenset()
        if name.removeprefix(f"{stage}/") in published:
            self.world.violate(REACHABLE, f"{key} is published")
        if self._has_lost_its_records(key):
            return
        for actor, names in self.counting.items():
            if not actor.done and not actor.dead and name in names:
                self.world.violate(REACHABLE, f"{actor.name} counts on {key}")

    def _has_lost_its_records(self, shard: str) -> bool:
        """Whether all records that named a shard were deleted or damaged, so that a plan of before is out of date."""
        lost = self.named_by[shard] & self.disturbed
        return bool(lost) and not any(key in self.bucket.objects for key in self.named_by[shard] - lost)

    def _is_whole(self, stage: str, outcome: Outcome) -> bool:
        """Whether all objects are there, apart from those that somebody damaged."""
        for shard in outcome.shards:
            key = f"{stage}/{shard.object}"
            there = self.bucket.objects.get(key)
            if key not in self.disturbed and (there is None or sha256(there.body) != shard.sha256):
                return False
        return True


def check_end(world: World, run: Store) -> None:
    """Everything is done: what the run says it has can be read, and was made of one another."""
    texts: dict[str, dict[str, str]] = {}
    inputs: dict[str, str] = {}  # what embed's shards hold of collect's
    for name in BY_NAME:
        stage = run.at(name)
        try:
            manifest = load_manifest(stage)
            if manifest is None:
                world.violate(WHOLE, f"{name} has no manifest although the run is done")
                return
            for outcome in manifest.outcomes:
                record = read_record(stage, outcome.unit, outcome.fingerprint)
                if record is None or record.outcome != outcome:
                    world.violate(AGREE, f"{name}/{outcome.unit}")
            dataset = Dataset(stage, manifest)
            texts[name] = {shard.name: content(dataset.read(shard)) for shard in manifest.shards}
            if name == "embed":
                inputs = {shard.name: content(map(_without_vector, dataset.read(shard))) for shard in manifest.shards}
        except I2PError as error:
            world.violate(WHOLE, f"{name} cannot be read although the run is done: {error}")
            return
    _check_lineage(world, texts, inputs)


def _without_vector(sample: Sample) -> Sample:
    return Sample(sample.key, {name: body for name, body in sample.fields.items() if name != "vec"})


def check_clean(world: World, bucket: Bucket) -> None:
    """Nothing is left but manifests and what they name."""
    for name in BY_NAME:
        prefix = f"{_PREFIX}{name}/"
        manifest = Manifest.decode(bucket.objects[f"{prefix}manifest.json"].body)
        kept = {f"{prefix}{one}" for one in (*manifest.names, "manifest.json")}
        if left := sorted(key for key in bucket.objects if key.startswith(prefix) and key not in kept):
            world.violate(CLEAN, f"{left[0]} is left")
    if left := [key for key in bucket.objects if key.startswith(f"{_PREFIX}live/")]:
        world.violate(CLEAN, f"{left[0]} is left")


def _check_lineage(world: World, texts: Mapping[str, Mapping[str, str]], inputs: Mapping[str, str]) -> None:
    for shard, text in inputs.items():
        if texts["collect"].get(shard) != text:
            world.violate(LINEAGE, f"embed/{shard} was not made of the collect/{shard} that is published")
    for shard, text in texts["embed"].items():
        if not all(text in made for made in texts["dedup"].values()):
            world.violate(LINEAGE, f"dedup was not made of the embed/{shard} that is published")
