"""The near-duplicate filter keeps exactly the greedy set, however the work is cut, with a kept witness for the rest."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.contract.samples import DIMENSIONS
from jobs.dedup import decider
from jobs.dedup.greedy import greedy
from jobs.dedup.kept import number_of
from jobs.dedup.stage import DEDUP, DedupParams, key_ranges, parts, power_of_two
from jobs.dedup.worker import run
from jobs.errors import BadConfiguration, BadData
from jobs.runtime.arrays import npy_field
from jobs.runtime.task import Task
from jobs.shards.dataset import Committed, Dataset
from jobs.shards.keys import key_of, split_of
from jobs.shards.local import LocalStore
from jobs.shards.tar import Sample, json_field
from jobs.similarity import coded
from jobs.similarity.axes import Axes
from jobs.similarity.half_screen import HalfScreen
from jobs.similarity.screens import CpuScreen
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage

Vectors = np.ndarray


def reference(vectors: Vectors, threshold: float) -> tuple[list[int], list[float]]:
    """Witness (-1 for kept) and cosine of every row, by brute force in float64."""
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    kept: list[int] = []
    witness, cosine = [], []
    for row in range(len(unit)):
        cosines = unit[kept] @ unit[row]
        best = int(cosines.argmax()) if kept else -1
        close = bool(kept) and cosines[best] >= threshold
        witness.append(kept[best] if close else -1)
        cosine.append(float(cosines[best]) if close else -1.0)
        if not close:
            kept.append(row)
    return witness, cosine


def clustered(seed: int, rows: int, dimensions: int = 16) -> Vectors:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // 6), dimensions))
    noise = random.normal(size=(rows, dimensions)) * random.uniform(0, 0.8, size=(rows, 1))
    return (centres[random.integers(len(centres), size=rows)] + noise).astype(np.float32)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 300),
    block=st.sampled_from([1, 7, 64, 1024]),
    threshold=st.floats(0.3, 0.99),
    threads=st.sampled_from([1, 3]),
)
def test_decisions_are_those_of_brute_force_for_every_block_size(
    seed: int, rows: int, block: int, threshold: float, threads: int
) -> None:
    vectors = clustered(seed, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CpuScreen, "block_rows", block)
        decisions = greedy(vectors, threshold, threads=threads)
    witness, cosine = reference(vectors, threshold)
    assert decisions.witness.tolist() == witness
    assert decisions.cosine == pytest.approx(cosine, abs=1e-12)


class HalfOnCpu(HalfScreen):
    """The code of a GPU, on tensors of the CPU and in smaller tiles."""

    block_rows, tile_rows = 512, 1_024

    def __init__(self, axes: Axes, sample: Any) -> None:
        super().__init__(axes, sample, "cpu")


def test_decisions_on_a_gpu_are_those_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(11, 3_000, dimensions=96)
    expected = greedy(vectors, 0.8)
    monkeypatch.setattr(coded, "fastest", lambda: HalfOnCpu)
    decisions = greedy(vectors, 0.8)
    assert decisions.witness.tolist() == expected.witness.tolist()
    assert decisions.cosine.tolist() == expected.cosine.tolist()


def test_too_little_gpu_memory_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhaust(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    store = local_run(tmp_path)
    inputs = [embedded(store, {"a-00000": ["w1 a", "w2 a"]})]
    monkeypatch.setattr(coded, "fastest", lambda: HalfOnCpu)
    monkeypatch.setattr(HalfOnCpu, "passing", exhaust)
    with pytest.raises(BadConfiguration, match=r"memory for the kept vectors, 1 KB each.*; set device: cpu, or use a"):
        run(task_of(store, inputs, 0, 1), PARAMS)


def test_a_chain_keeps_its_ends_and_of_equals_the_first() -> None:
    # A~B, B~C but not A~C; D alone; E twice: greedy keeps A, C, D, E1
    angles = np.deg2rad([0, 30, 60, 120, 180, 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    decisions = greedy(vectors, 0.8)
    assert decisions.kept.tolist() == [True, False, True, True, True, False]
    assert decisions.witness.tolist() == [-1, 0, -1, -1, -1, 4]
    assert decisions.cosine[5] == 1.0


def test_a_pair_within_rounding_of_the_threshold_is_decided_in_float64() -> None:
    random = np.random.default_rng(5)
    one = random.normal(size=384).astype(np.float32)
    other = (one + random.normal(size=384) * 0.7).astype(np.float32)
    pair = np.stack([one, other])
    exact = float(greedy(pair, 0.1).cosine[1])
    assert exact == pytest.approx(float(reference(pair, 0.1)[1][1]), abs=1e-15)
    assert greedy(pair, exact).kept.tolist() == [True, False]
    assert greedy(pair, np.nextafter(exact, 1)).kept.tolist() == [True, True]


def test_two_vectors_of_one_prompt_that_differ_by_rounding_are_duplicates_also_at_1() -> None:
    one = clustered(1, 1, 384)
    other = one * np.float32(1 + 1e-6) + np.float32(1e-7)
    assert greedy(np.concatenate([one, other]), 1.0).kept.tolist() == [True, False]
    assert greedy(clustered(2, 40, 384), 1.0).kept.all()


def test_however_many_are_alike_none_is_missed() -> None:
    vectors = np.tile(clustered(3, 1), (5_000, 1))
    vectors[::2] = -vectors[0]
    decisions = greedy(vectors, 0.9)
    assert decisions.witness[:2].tolist() == [-1, -1]
    assert set(decisions.witness[2:].tolist()) == {0, 1}


def test_a_vector_without_direction_is_refused() -> None:
    with pytest.raises(BadData, match="row 1"):
        greedy(np.array([[1, 0], [0, 0]], dtype=np.float32), 0.8)


def embedded(run: LocalStore, shards: Mapping[str, Sequence[str]]) -> Dataset:
    """Shards of prompts, of source `NAME` where the shard is `NAME-00000`, with vectors in which equal first words mean
    near duplicates; rows are numbered in the order given.
    """
    found = {}
    rows: dict[str, int] = {}
    for name, prompts in shards.items():
        source = name.rpartition("-")[0]
        samples = []
        for prompt in dict.fromkeys(prompts):
            rows[source] = row = rows.get(source, 0) + 1
            origin = json_field({"source": source, "row": row})
            fields = {"txt": prompt.encode(), "json": origin, "npy": npy_field(vector_of(prompt))}
            samples.append(Sample(key_of(prompt), fields))
        found[name] = samples
    return dataset_of(run, "embed", found)


def vector_of(prompt: str) -> Vectors:
    random = np.random.default_rng(int(key_of(prompt.split()[0]), 16))
    shift = np.random.default_rng(int(key_of(prompt), 16)).normal(size=DIMENSIONS) * 0.1
    vector = random.normal(size=DIMENSIONS) + shift
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def texts(dataset: Dataset, *groups: str) -> set[str]:
    return {sample.text() for sample in dataset.samples(*groups)}


def outcome_of(dataset: Dataset) -> dict[str, str]:
    """The digest of every shard but those of decisions, which are one for each unit."""
    return {shard.name: shard.sha256 for shard in dataset.shards() if shard.group != "decisions"}


SHARDS = {
    "first-00000": [f"w{i} one" for i in range(40)],
    "first-00001": [f"w{i} uno" for i in range(20, 60)],
    "second-0000-00000": [f"w{i} two" for i in range(50, 80)],
    "second-0001-00000": [f"w{i} due" for i in range(70, 90)] + ["w1 one"],
    "generated-00000": [f"w{i} three" for i in range(0, 120, 3)],
}
HELD_OUT = [("more", 0.1), ("val", 0.1), ("test", 0.1)]
PARAMS = DedupParams(held_out={"val": 0.2}, prompts_per_shard=16, prompts_per_unit=30, kept_per_unit=40)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """What one task makes in whole units."""
    run = local_run(tmp_path_factory.mktemp("expected"))
    params = PARAMS.model_copy(update={"prompts_per_unit": 1_000, "kept_per_unit": 1_000})
    return run_stage(run, DEDUP, params, [embedded(run, SHARDS)])


def test_the_earlier_source_is_kept_with_a_kept_witness_for_every_dropped_prompt(expected: Dataset) -> None:
    kept = {sample.key: sample for sample in expected.samples("train", "val")}
    wanted = [f"w{i} one" for i in range(40)] + [f"w{i} uno" for i in range(40, 60)]
    wanted += [f"w{i} two" for i in range(60, 80)] + [f"w{i} due" for i in range(80, 90)]
    assert {one.text() for one in kept.values()} == {*wanted, *(f"w{i} three" for i in range(90, 120, 3))}
    dropped = list(expected.samples("dropped"))
    assert len(dropped) == sum(map(len, SHARDS.values())) - len(kept)
    assert all(json_of(one)["witness"] in kept and json_of(one)["cosine"] >= 0.8 for one in dropped)
    for split in ("train", "val"):
        assert {split_of(sample.key, PARAMS.held_out) for sample in expected.samples(split)} == {split}
    (noted,) = expected.samples("certificate")
    assert (json_of(noted)["kept"], json_of(noted)["dropped"]) == (len(kept), len(dropped))
    assert "row in the source" in json_of(noted)["order"]


def test_of_near_duplicates_in_one_source_the_first_row_stays(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    prompts = [f"w{i % 10} {i}" for i in range(40)]
    result = run_stage(run, DEDUP, PARAMS, [embedded(run, {"a-00000": prompts[:25], "a-00001": prompts[25:]})])
    assert texts(result, "train", "val") == {f"w{i} {i}" for i in range(10)}


@pytest.mark.parametrize("per_unit", [1, 45, 100])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_outcome_is_the_same_for_any_units_and_threads(
    tmp_path: Path, expected: Dataset, per_unit: int, threads: int
) -> None:
    run = local_run(tmp_path)
    changed = {"prompts_per_unit": per_unit, "kept_per_unit": 3 * per_unit, "threads": threads}
    result = run_stage(run, DEDUP, PARAMS.model_copy(update=changed), [embedded(run, SHARDS)])
    assert outcome_of(result) == outcome_of(expected)


@pytest.mark.parametrize("completions", [2, 3])
def test_the_outcome_is_the_same_for_several_tasks_at_once(
    tmp_path: Path, expected: Dataset, monkeypatch: pytest.MonkeyPatch, completions: int
) -> None:
    monkeypatch.setattr(decider, "_LOOK_SECONDS", 0.01)
    store = local_run(tmp_path)
    inputs = [embedded(store, SHARDS)]
    tasks = [task_of(store, inputs, index, completions) for index in range(completions)]
    threads = [threading.Thread(target=run, args=(task, PARAMS)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcome_of(run_stage(store, DEDUP, PARAMS, inputs)) == outcome_of(expected)
    assert {record.attempt for record in records(store, inputs)} == {task.attempt for task in tasks}


def test_a_task_decides_for_another_one_that_does_not_come(
    tmp_path: Path, expected: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(decider, "_PATIENCE_SECONDS", 0.05)
    store = local_run(tmp_path)
    inputs = [embedded(store, SHARDS)]
    task = task_of(store, inputs, 1, 3)
    run(task, PARAMS)
    assert {record.attempt for record in records(store, inputs)} == {task.attempt}
    assert outcome_of(run_stage(store, DEDUP, PARAMS, inputs)) == outcome_of(expected)


def task_of(store: LocalStore, inputs: list[Dataset], index: int, completions: int) -> Task[Any, Any]:
    home, attempt = store.at(DEDUP.name), f"of {index}"
    return Task(DEDUP, PARAMS, DEDUP.reads(inputs), home, index, completions, attempt=attempt)


def records(store: LocalStore, inputs: list[Dataset]) -> list[Any]:
    committed = Committed.of(store.at(DEDUP.name))
    found = [committed.record(unit.name, DEDUP.fingerprint(unit)) for unit in DEDUP.units_of(PARAMS, inputs)]
    return [record for record in found if record]


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_loses_at_most_one_unit(
    tmp_path: Path, expected: Dataset, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    store, random = local_run(tmp_path), np.random.default_rng(seed)
    inputs = [embedded(store, SHARDS)]
    create, done, kills = LocalStore.create, [0], [-1]

    def mortal(self: LocalStore, name: str, body: Any) -> bool:
        if random.random() < 0.2:
            raise Killed
        done[0] += "commits/" in name
        return create(self, name, body)

    monkeypatch.setattr(LocalStore, "create", mortal)
    for _ in range(100):
        before, kills[0] = done[0], kills[0] + 1
        try:
            run(task_of(store, inputs, 0, 1), PARAMS)
            break
        except Killed:
            assert len(records(store, inputs)) == done[0] >= before
    monkeypatch.undo()
    assert kills[0] > 2
    assert done[0] == len(DEDUP.units_of(PARAMS, inputs))  # nothing was committed twice
    assert outcome_of(run_stage(store, DEDUP, PARAMS, inputs)) == outcome_of(expected)


def test_a_source_that_is_added_leaves_every_earlier_decision_as_it_is(tmp_path: Path) -> None:
    store = local_run(tmp_path)
    first = {name: prompts for name, prompts in SHARDS.items() if not name.startswith("generated")}
    before = run_stage(store, DEDUP, PARAMS, [embedded(store, first)])
    more = {**first, "third-00000": [f"w{i} four" for i in range(60, 110)]}
    units = {unit.name: DEDUP.fingerprint(unit) for unit in DEDUP.units_of(PARAMS, [embedded(store, more)])}
    kept = [one.unit for one in before.manifest.outcomes if units[one.unit] == one.fingerprint]
    assert kept == [one.unit for one in before.manifest.outcomes if one.unit.startswith("decisions")]
    after = run_stage(store, DEDUP, PARAMS, [embedded(store, more)])
    assert texts(before, "train", "val") < texts(after, "train", "val")


def test_a_kept_prompt_stands_in_the_shard_of_its_keys_whatever_else_is_kept(tmp_path: Path) -> None:
    shard_of: dict[str, str] = {}
    for number, threshold in enumerate((0.8, 0.95)):
        run = local_run(tmp_path / str(number))
        params = PARAMS.model_copy(update={"threshold": threshold})
        result = run_stage(run, DEDUP, params, [embedded(run, SHARDS)])
        for shard in result.shards("train", "val"):
            for key in result.keys(shard):
                assert shard_of.setdefault(key, shard.name) == shard.name
    assert len(set(shard_of.values())) > 6


def test_key_ranges_are_powers_of_two_and_units_of_them_bounded() -> None:
    assert [power_of_two(one) for one in (0, 0.1, 1, 1.01, 2, 3, 4.5, 1000)] == [1, 1, 1, 2, 2, 4, 8, 1024]
    params = DedupParams(held_out={"val": 0.1, "none": 0.0}, prompts_per_shard=10, kept_per_unit=30)
    units = key_ranges(params, 1_000)
    assert [one.shard for ranges in units.values() for one in ranges] == [
        *(f"train-{number:05d}" for number in range(128)),
        *(f"val-{number:05d}" for number in range(16)),
        "none-00000",
    ]
    assert {len(ranges) for ranges in list(units.values())[:-2]} == {4}
    keys = [key_of(str(number)) for number in range(500)]
    assert [number_of(key, 1) for key in keys] == [0] * 500
    ordered = [number_of(key, 8) for key in sorted(keys)]
    assert ordered == sorted(ordered)
    assert set(ordered) == set(range(8))
    assert all(number_of(key, 16) // 2 == number_of(key, 8) for key in keys)


def test_units_do_not_depend_on_the_order_of_the_held_out_splits(tmp_path: Path) -> None:
    inputs = [embedded(local_run(tmp_path), SHARDS)]
    one, other = (PARAMS.model_copy(update={"held_out": dict(splits)}) for splits in (HELD_OUT, HELD_OUT[::-1]))
    assert DEDUP.units_of(one, inputs) == DEDUP.units_of(other, inputs)


def test_parts_are_whole_shards_of_one_source(tmp_path: Path) -> None:
    found = parts(PARAMS, embedded(local_run(tmp_path), SHARDS).shards())
    assert [(part.start, part.end) for part in found] == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    together = parts(PARAMS.model_copy(update={"prompts_per_unit": 80}), embedded(local_run(tmp_path), SHARDS).shards())
    assert [(part.start, part.end) for part in together] == [(0, 2), (2, 4), (4, 5)]


def test_nothing_to_filter_says_what_to_do(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    with pytest.raises(BadData, match="give collect a source"):
        run_stage(run, DEDUP, DedupParams(), [dataset_of(run, "embed", {})])


def test_where_it_runs_is_no_part_of_the_result() -> None:
    other = PARAMS.model_copy(update={"threads": 7, "device": "cuda", "prompts_per_unit": 1})
    assert other.settings() == PARAMS.settings()
    assert PARAMS.settings() == {"threshold": 0.8, "held_out": {"val": 0.2}}


def test_a_vector_that_cannot_be_compared_is_named_once(tmp_path: Path) -> None:
    store = local_run(tmp_path)
    bad = Sample(
        key_of("bad"),
        {"txt": b"bad", "json": json_field({"source": "b", "row": 1}), "npy": npy_field(np.zeros(DIMENSIONS))},
    )
    first = list(embedded(store, {"a-00000": ["w1 a", "w2 a"]}).samples())
    shards = {"a-00000": first, "b-00000": [bad], "c-00000": list(embedded(store, {"c-00000": ["w3 c"]}).samples())}
    inputs = [dataset_of(store, "embed", shards)]
    task = task_of(store, inputs, 0, 1)
    run(task, PARAMS)
    (failure,) = task.failures
    assert str(failure).startswith(f"b-00000: the vector of {key_of('bad')} is zero or not finite")
