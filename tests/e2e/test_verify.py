"""`verify` finds what is wrong with a run, also where every digest was made to fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.errors import BAD_DATA
from jobs.shards.dataset import Dataset, Writer, load_manifest, publish_manifest
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, Outcome, record_name
from jobs.shards.tar import Sample, json_field
from tests.e2e.runs import RUN, copy_of, i2p, the_object


@pytest.fixture
def store(undisturbed, tmp_path) -> Path:
    return copy_of(undisturbed, tmp_path)


def finds(store: Path) -> str:
    done = i2p(store, "verify", check=False)
    assert done.returncode != 0
    return done.stderr


def test_nothing_is_wrong_with_an_undisturbed_run(store):
    assert "all" in i2p(store, "verify").stdout


def test_a_flipped_bit(store):
    path = the_object(store, "infer", "predictions-00000")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0x10
    path.write_bytes(body)
    assert "its record says" in finds(store)
    assert i2p(store, "verify", check=False).returncode == BAD_DATA


@pytest.mark.parametrize("pattern", ["embed/shards/*.tar", "train/commits/*.json", "submission/manifest.json"])
def test_a_missing_object(store, pattern):
    next((store / RUN).glob(pattern)).unlink()
    assert "missing" in finds(store) or "no manifest" in finds(store)


def test_a_record_whose_digest_is_of_another_shard(store):
    first, second, *_ = manifest_of(store, "embed").shards

    def swap(outcome: Outcome) -> Outcome:
        shards = [as_json(second) | {"name": first.name} if one == first else as_json(one) for one in outcome.shards]
        return replaced(outcome, shards=shards)

    rewrite(store, "embed", swap)
    assert "another shard's" in finds(store)


def test_a_validation_prompt_among_the_training_ones(store):
    dedup = Dataset(stage(store, "dedup"), manifest_of(store, "dedup"))
    (moved, *_) = dedup.samples("val")
    shard = dedup.shards("train")[0]
    rewrite_shard(store, "dedup", shard.name, lambda samples: [*samples, moved])
    assert f"{moved.key} belongs to val, but stands in {shard.name}" in finds(store)


def test_a_dropped_prompt_whose_witness_is_not_kept(store):
    def spoil(samples: list[Sample]) -> list[Sample]:
        first, *others = samples
        told = {**first.json(), "witness": "0" * 24}
        return [Sample(first.key, {**first.fields, "json": json_field(told)}), *others]

    rewrite_shard(store, "dedup", "dropped-00000", spoil)
    assert "which is not kept" in finds(store)


def test_a_witness_that_is_kept_but_not_near(store):
    dedup = Dataset(stage(store, "dedup"), manifest_of(store, "dedup"))
    far = next(iter(dedup.samples("test"))).key

    def spoil(samples: list[Sample]) -> list[Sample]:
        first, *others = samples
        return [Sample(first.key, {**first.fields, "json": json_field({**first.json(), "witness": far})}), *others]

    rewrite_shard(store, "dedup", "dropped-00000", spoil)
    assert "but their cosine is" in finds(store)


def test_a_prompt_that_vanished(store):
    rewrite_shard(store, "dedup", "train-00000", lambda samples: samples[1:])
    told = finds(store)
    assert "the certificate says" in told or "which is not kept" in told


def stage(store: Path, name: str) -> LocalStore:
    return LocalStore(store / RUN / name)


def manifest_of(store: Path, name: str) -> Manifest:
    manifest = load_manifest(stage(store, name))
    assert manifest
    return manifest


def as_json(value: object) -> dict:
    return json.loads(json.dumps({name: getattr(value, name) for name in value.__slots__}))


def replaced(outcome: Outcome, **changes: object) -> Outcome:
    plain = {**as_json_outcome(outcome), **changes}
    return Outcome.of(plain)


def as_json_outcome(outcome: Outcome) -> dict:
    return {name: getattr(outcome, name) for name in outcome.__slots__ if name != "shards"} | {
        "shards": [as_json(shard) for shard in outcome.shards]
    }


def rewrite(store: Path, name: str, change: Callable[[Outcome], Outcome]) -> None:
    """Change a stage's outcomes in records and manifest alike, as a careful forger would."""
    place, outcomes = stage(store, name), []
    for outcome in manifest_of(store, name).outcomes:
        changed = change(outcome)
        path = place.root / record_name(outcome.unit, outcome.fingerprint)
        record = CommitRecord.decode(path.read_bytes())
        path.write_bytes(
            CommitRecord(changed, record.attempt, record.seconds, record.finished, record.versions).encode()
        )
        outcomes.append(changed)
    publish_manifest(place, Manifest(name, tuple(outcomes)))


def rewrite_shard(store: Path, name: str, shard: str, change: Callable[[list[Sample]], list[Sample]]) -> None:
    """Change a shard's samples and make all digests fit."""
    place = stage(store, name)
    dataset = Dataset(place, manifest_of(store, name))
    (old,) = (one for one in dataset.shards() if one.name == shard)
    samples = sorted(change(list(dataset.read(old))), key=lambda sample: sample.key)
    new = Writer(place).add_shard(shard, samples)
    rewrite(store, name, lambda outcome: replaced(
        outcome, shards=[as_json(new if one.name == shard else one) for one in outcome.shards]))  # fmt: skip
