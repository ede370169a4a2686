"""The near-duplicate filter keeps exactly the greedy set, whatever the blocks, with a kept witness for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.dedup import greedy as module
from jobs.dedup.greedy import greedy, near
from jobs.dedup.stage import DEDUP, DedupParams
from jobs.errors import BadData
from jobs.runtime.arrays import npy_field
from jobs.shards.keys import key_of, split_of
from jobs.shards.tar import Sample, json_field
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage


def reference(vectors: np.ndarray, threshold: float) -> list[int]:
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    kept: list[int] = []
    for row in range(len(unit)):
        if not kept or (unit[kept] @ unit[row]).max() < threshold:
            kept.append(row)
    return kept


def clustered(seed: int, rows: int, dimensions: int = 16) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // 6), dimensions))
    noise = random.normal(size=(rows, dimensions)) * random.uniform(0, 0.8, size=(rows, 1))
    return (centres[random.integers(len(centres), size=rows)] + noise).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([1, 7, 64, 2048]), st.floats(0.3, 0.99))
def test_the_kept_set_is_the_greedy_one_for_every_block_size(
    seed: int, rows: int, block: Any, threshold: float
) -> None:
    vectors = clustered(seed, rows)
    original, module._BLOCK = module._BLOCK, block
    try:
        decisions = greedy(vectors, threshold)
    finally:
        module._BLOCK = original
    assert np.flatnonzero(decisions.kept).tolist() == reference(vectors, threshold)
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    for row in np.flatnonzero(~decisions.kept):
        witness = decisions.witness[row]
        assert decisions.kept[witness]
        assert witness < row
        closest = (unit[:row][decisions.kept[:row]] @ unit[row]).max()
        assert decisions.cosine[row] == pytest.approx(closest, abs=1e-12)
        assert decisions.cosine[row] >= threshold


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
    exact = float(np.dot(one.astype(np.float64), other.astype(np.float64))) / float(
        np.linalg.norm(one.astype(np.float64)) * np.linalg.norm(other.astype(np.float64))
    )
    pair = np.stack([one, other])
    assert greedy(pair, exact).kept.tolist() == [True, False]
    assert greedy(pair, np.nextafter(exact, 1)).kept.tolist() == [True, True]


def test_no_neighbour_is_capped_however_many_there_are() -> None:
    index = faiss.IndexFlatIP(4)
    index.add(np.tile(np.array([[1, 0, 0, 0]], dtype=np.float32), (5000, 1)))
    (found,) = near(index, np.array([[1, 0, 0, 0]], dtype=np.float32), 0.9)
    assert len(set(found.tolist())) == 5000


def test_a_vector_without_direction_is_refused() -> None:
    with pytest.raises(BadData, match="row 1"):
        greedy(np.array([[1, 0], [0, 0]], dtype=np.float32), 0.8)


def embedded(run: Any, sources: dict[str, list[str]]) -> Any:
    """Prompts with made-up vectors in which equal first words mean near duplicates."""
    shards = {}
    for source, prompts in sources.items():
        shards[f"{source}-00000"] = [
            Sample(
                key_of(prompt),
                {
                    "txt": prompt.encode(),
                    "json": json_field({"source": source, "row": 1}),
                    "npy": npy_field(vector_of(prompt)),
                },
            )
            for prompt in dict.fromkeys(prompts)
        ]
    return dataset_of(run, "embed", shards)


def vector_of(prompt: str) -> np.ndarray:
    random = np.random.default_rng(int(key_of(prompt.split()[0]), 16))
    shift = np.random.default_rng(int(key_of(prompt), 16)).normal(size=384) * 0.1
    vector = random.normal(size=384) + shift
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_the_stage_keeps_the_earlier_source_and_names_a_kept_witness_for_every_dropped_prompt(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    prompts = {"first": [f"w{i} one" for i in range(50)], "second": [f"w{i} two" for i in range(25, 75)] + ["w1 one"]}
    params = DedupParams(held_out={"val": 0.2}, prompts_per_shard=16)
    result = run_stage(run, DEDUP, params, [embedded(run, prompts)])
    kept = {sample.text(): sample for sample in result.samples("train", "val")}
    assert set(kept) == {f"w{i} one" for i in range(50)} | {f"w{i} two" for i in range(50, 75)}
    kept_keys = {sample.key for sample in kept.values()}
    dropped = list(result.samples("dropped"))
    assert len(dropped) == 26
    assert all(json_of(one)["witness"] in kept_keys and json_of(one)["cosine"] >= 0.8 for one in dropped)
    for split in ("train", "val"):
        assert {split_of(sample.key, params.held_out) for sample in result.samples(split)} == {split}
    (noted,) = result.samples("certificate")
    assert (json_of(noted)["kept"], json_of(noted)["dropped"]) == (75, 26)


def test_a_later_source_leaves_the_full_shards_of_an_earlier_one_as_they_are(tmp_path: Path) -> None:
    first = {"first": [f"a{i} x" for i in range(64)]}
    params = DedupParams(held_out={}, prompts_per_shard=16)
    alone = run_stage(local_run(tmp_path / "1"), DEDUP, params, [embedded(local_run(tmp_path / "1"), first)])
    both = {**first, "second": [f"b{i} x" for i in range(40)]}
    more = run_stage(local_run(tmp_path / "2"), DEDUP, params, [embedded(local_run(tmp_path / "2"), both)])
    assert [s.sha256 for s in alone.shards("train")] == [s.sha256 for s in more.shards("train")][:4]


def test_nothing_to_filter_says_what_to_do(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    with pytest.raises(BadData, match="give collect a source"):
        run_stage(run, DEDUP, DedupParams(), [dataset_of(run, "embed", {})])
