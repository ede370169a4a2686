"""`verify` finds what is wrong with a run, also where every digest was made to fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from jobs.catalog import STAGES
from jobs.errors import BAD_DATA, TRY_AGAIN, Corrupt
from jobs.shards.dataset import Dataset, Writer, load_manifest, publish_manifest
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, Outcome, fingerprint, record_name
from jobs.shards.tar import Sample, json_field
from pipeline.__main__ import main
from pipeline.configuration.run_config import load_config
from pipeline.executors.base import Executor, JobStatus, Observation
from pipeline.maintenance import verification
from pipeline.planning.job_plan import JobPlan
from tests.e2e.runs import PRESET, RUN, copy_of, the_object, without
from tests.samples import json_of


@pytest.fixture
def store(undisturbed: Any, tmp_path: Path) -> Path:
    return copy_of(undisturbed, tmp_path)


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, str], str]]:
    """Runs `i2p verify` on a store, in this process: exit code, what it said of every stage, the error."""

    def run(store: Path, *options: str) -> tuple[int, dict[str, str], str]:
        code = main(["verify", "--json", "--preset", PRESET, "--set", f"store={store}", *options])
        said = capsys.readouterr()
        return code, json.loads(said.out or "{}"), said.err

    return run


@pytest.fixture
def finds(verify: Callable[..., tuple[int, dict[str, str], str]]) -> Callable[[Path], str]:
    """What `i2p verify` complains about, which must be something."""

    def complaint(store: Path) -> str:
        code, _, complaint = verify(store)
        assert code != 0
        return complaint

    return complaint


def test_nothing_is_wrong_with_an_undisturbed_run(
    undisturbed: Any, verify: Callable[..., tuple[int, dict[str, str], str]]
) -> None:
    code, noted, _ = verify(undisturbed)
    assert code == 0
    assert noted.keys() == {spec.name for spec in STAGES}
    assert "dropped with a kept witness" in noted["dedup"]


FILTERING = ("--set", "stages=[collect, generate-prompts, embed, dedup]")


def test_of_a_run_with_some_stages_these_are_checked_and_the_others_are_not_part_of_it(
    store: Path, verify: Callable[..., tuple[int, dict[str, str], str]]
) -> None:
    only = without(store, "generate-images", "train", "evaluate", "infer", "submission")
    code, noted, _ = verify(only, *FILTERING)
    assert code == 0
    assert noted["embed"].startswith("4 shards")
    assert "dropped with a kept witness" in noted["dedup"]
    assert {noted[name] for name in ("generate-images", "train", "submission")} == {"not part of this run"}


def test_a_stage_that_the_run_makes_and_that_is_not_finished(
    store: Path, verify: Callable[..., tuple[int, dict[str, str], str]]
) -> None:
    unfinished = without(store, "dedup")
    code, _, complaint = verify(unfinished, *FILTERING)
    assert code == TRY_AGAIN
    assert "dedup has no manifest, so the run is not finished; what is there was checked" in complaint
    (shard,) = (unfinished / RUN / "collect" / "shards").glob("grammar-00000-*")
    shard.write_bytes(shard.read_bytes()[:-512])
    code, _, complaint = verify(unfinished, *FILTERING)
    assert code == BAD_DATA
    assert "collect" in complaint


PREDICTING = ("--set", "run=mine", "--set", "inputs={evaluate: small}", "--set", "stages=[infer, submission]")


def test_what_comes_from_another_run_is_checked_where_it_is(
    store: Path, verify: Callable[..., tuple[int, dict[str, str], str]]
) -> None:
    shutil.copytree(store / RUN / "infer", store / "mine" / "infer")
    shutil.copytree(store / RUN / "submission", store / "mine" / "submission")
    code, noted, _ = verify(store, *PREDICTING)
    assert code == 0
    assert noted["train"].endswith("of the run small")
    assert noted["embed"] == "not part of this run"
    path = the_object(store, "train", "model")
    path.write_bytes(path.read_bytes()[:-1])
    code, _, complaint = verify(store, *PREDICTING)
    assert code != 0
    assert "train/shards/model-" in complaint
    assert "is missing or has another size" in complaint
    code, _, complaint = verify(without(store, "train"), *PREDICTING)
    assert code == TRY_AGAIN
    assert "train has no manifest, so the run small, which it is of, is not finished" in complaint


def test_a_flipped_bit(store: Path, verify: Callable[..., tuple[int, dict[str, str], str]]) -> None:
    path = the_object(store, "infer", "predictions-00000")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0x10
    path.write_bytes(body)
    code, _, complaint = verify(store)
    assert code == BAD_DATA
    assert "its record says" in complaint


@pytest.mark.parametrize("pattern", ["embed/shards/*.tar", "train/commits/*.json", "submission/manifest.json"])
def test_a_missing_object(store: Path, pattern: str, finds: Callable[[Path], str]) -> None:
    next((store / RUN).glob(pattern)).unlink()
    assert "missing" in finds(store) or "no manifest" in finds(store)


def test_a_record_whose_digest_is_of_another_shard(store: Path, finds: Callable[[Path], str]) -> None:
    first, second, *_ = manifest_of(store, "embed").shards

    def swap(outcome: Outcome) -> Outcome:
        shards = tuple(replace(second, name=first.name) if one == first else one for one in outcome.shards)
        return replace(outcome, shards=shards)

    rewrite(store, "embed", swap)
    assert "another shard's" in finds(store)


def test_an_outcome_of_a_newer_version(store: Path, finds: Callable[[Path], str]) -> None:
    def renew(outcome: Outcome) -> Outcome:
        settings, reads = outcome.settings, outcome.reads
        made_by = fingerprint(stage="collect", version=99, unit=outcome.unit, settings=settings, reads=reads)
        return replace(outcome, version=99, fingerprint=made_by)

    rewrite(store, "collect", renew)
    assert "it was made by version 99 of the stage, this is" in finds(store)


def test_a_validation_prompt_among_the_training_ones(store: Path, finds: Callable[[Path], str]) -> None:
    dedup = Dataset(stage(store, "dedup"), manifest_of(store, "dedup"))
    (moved, *_) = dedup.samples("val")
    shard = dedup.shards("train")[0]
    rewrite_shard(store, "dedup", shard.name, lambda samples: [*samples, moved])
    assert f"{moved.key} belongs to val, but is in {shard.name}" in finds(store)


def test_a_dropped_prompt_whose_witness_is_not_kept(store: Path, finds: Callable[[Path], str]) -> None:
    def spoil(samples: list[Sample]) -> list[Sample]:
        first, *others = samples
        noted = {**json_of(first), "witness": "0" * 24}
        return [Sample(first.key, {**first.fields, "json": json_field(noted)}), *others]

    rewrite_shard(store, "dedup", "dropped-00000", spoil)
    assert "which is not kept" in finds(store)


def test_a_witness_that_is_kept_but_not_near(store: Path, finds: Callable[[Path], str]) -> None:
    dedup = Dataset(stage(store, "dedup"), manifest_of(store, "dedup"))
    far = next(iter(dedup.samples("test"))).key

    def spoil(samples: list[Sample]) -> list[Sample]:
        first, *others = samples
        return [Sample(first.key, {**first.fields, "json": json_field({**json_of(first), "witness": far})}), *others]

    rewrite_shard(store, "dedup", "dropped-00000", spoil)
    assert "but their cosine is" in finds(store)


def test_a_prompt_that_vanished(store: Path, finds: Callable[[Path], str]) -> None:
    rewrite_shard(store, "dedup", "train-00000", lambda samples: samples[1:])
    noted = finds(store)
    assert "the certificate says" in noted or "which is not kept" in noted


class LastFirst:
    """Ends one check a look, the newest first, each with a complaint of its own."""

    def __init__(self, at_once: int | None) -> None:
        self.at_once = at_once
        self.running: list[str] = []

    def submit(self, plan: JobPlan) -> None:
        self.running.append(plan.name)

    def observe(self, plans: Mapping[str, JobPlan]) -> Observation:
        *_, ended = self.running
        failed = JobStatus(state="failed", exit_code=BAD_DATA, message=f"Corrupt: {ended} is wrong")
        return Observation({**{name: JobStatus(state="running") for name in self.running}, ended: failed})

    def remove(self, name: str) -> None:
        self.running.remove(name)

    def wait(self) -> None: ...


@pytest.mark.parametrize("at_once", [1, 2, None])
def test_the_first_stage_that_is_wrong_is_named_whichever_check_ends_first(
    undisturbed: Path, at_once: int | None
) -> None:
    config = load_config(PRESET, [f"store={undisturbed}"])
    executor = LastFirst(at_once)
    with pytest.raises(Corrupt, match=r"^collect-check is wrong"):
        list(verification.verify(LocalStore(undisturbed / RUN), config, cast(Executor, executor)))
    assert executor.running == []


def stage(store: Path, name: str) -> LocalStore:
    return LocalStore(store / RUN / name)


def manifest_of(store: Path, name: str) -> Manifest:
    manifest = load_manifest(stage(store, name))
    assert manifest
    return manifest


def rewrite(store: Path, name: str, change: Callable[[Outcome], Outcome]) -> None:
    """Change a stage's outcomes in records and manifest alike, as a careful forger would."""
    folder, outcomes = stage(store, name), []
    for outcome in manifest_of(store, name).outcomes:
        changed = change(outcome)
        record = CommitRecord.decode((folder.root / record_name(outcome.unit, outcome.fingerprint)).read_bytes())
        path = folder.root / record_name(changed.unit, changed.fingerprint)
        path.write_bytes(replace(record, outcome=changed).encode())
        outcomes.append(changed)
    publish_manifest(folder, Manifest(name, tuple(outcomes)))


def rewrite_shard(store: Path, name: str, shard: str, change: Callable[[list[Sample]], list[Sample]]) -> None:
    """Change a shard's samples and make all digests fit."""
    folder = stage(store, name)
    dataset = Dataset(folder, manifest_of(store, name))
    (old,) = (one for one in dataset.shards() if one.name == shard)
    samples = sorted(change(list(dataset.read(old))), key=lambda sample: sample.key)
    new = Writer(folder).add_shard(shard, samples)
    rewrite(
        store,
        name,
        lambda outcome: replace(outcome, shards=tuple(new if one.name == shard else one for one in outcome.shards)),
    )
