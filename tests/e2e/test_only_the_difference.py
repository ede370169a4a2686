"""Another threshold, a source more or a source less: only images that no run has yet are made, and the dataset is that
of a run from nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.shards.dataset import Committed, Dataset, load_manifest
from jobs.shards.local import LocalStore
from tests.e2e.runs import RUN, copy_of, i2p, manifest_digests

STAGES = "stages=[collect, generate-prompts, embed, dedup, generate-images]"
FIRST = "{kind: grammar, name: grammar, seed: 1, num_prompts: 90}"
SECOND = "{kind: grammar, name: second, seed: 7, num_prompts: 40}"
CHANGES = {
    "another threshold": ("dedup.threshold=0.93",),
    "a source at the end": (f"collect.sources=[{FIRST}, {SECOND}]",),
    "a source less": ("generate-prompts.num_prompts=0",),
}


def images(store: Path) -> Dataset:
    stage = LocalStore(store / RUN / "generate-images")
    manifest = load_manifest(stage)
    assert manifest is not None
    return Dataset(stage, manifest)


def keys(dataset: Dataset) -> set[str]:
    return {key for shard in dataset.shards() for key in dataset.keys(shard)}


def made(dataset: Dataset) -> Iterator[int]:
    """How many images of each unit were made, and not taken over."""
    committed = Committed.of(dataset.store)
    for outcome in dataset.manifest.outcomes:
        record = committed.record(outcome.unit, outcome.fingerprint)
        assert record is not None
        yield sum(shard.samples for shard in outcome.shards) - record.taken


def run(store: Path, changes: tuple[str, ...]) -> dict[str, str]:
    i2p(store, "run", *(part for one in (STAGES, *changes) for part in ("--set", one)))
    return {stage: digest for stage, digest in manifest_digests(store).items() if stage in STAGES}


@pytest.mark.parametrize("change", CHANGES)
def test_only_the_difference_is_made(undisturbed: Path, tmp_path: Path, change: str) -> None:
    store = copy_of(undisturbed, tmp_path)
    before = keys(images(store))
    digests = run(store, CHANGES[change])
    after = keys(images(store))
    assert after != before
    assert sum(made(images(store))) - made_in_units_as_before(undisturbed, store) == len(after - before)
    assert digests == run(tmp_path / "from nothing", CHANGES[change])


def made_in_units_as_before(undisturbed: Path, store: Path) -> int:
    """Images of units whose record is that of the run before, which made them all."""
    former = {outcome.fingerprint for outcome in images(undisturbed).manifest.outcomes}
    return sum(
        sum(shard.samples for shard in outcome.shards)
        for outcome in images(store).manifest.outcomes
        if outcome.fingerprint in former
    )
