"""Several models that predict together: from runs and folders, with weights from the images that all were tested on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import i2p
from jobs.errors import BadConfiguration
from jobs.evaluate.contract import Evaluated
from jobs.evaluate.stage import EVALUATE
from jobs.infer import model_export
from jobs.infer.contract import ModelInputs
from jobs.infer.ensembles import AnyModel, EnsembleModel, open_models
from jobs.infer.models import open_model
from jobs.regressor.held_out_vectors import decode_held_out
from jobs.regressor.model import Regressor
from jobs.regressor.values import Architecture
from jobs.report.page import RunView
from jobs.shards.dataset import Dataset, load_manifest
from jobs.shards.local import LocalStore
from tests import pictures
from tests.networks import to_sample
from tests.stages import dataset_of, run_stage
from tests.unit import test_evaluate
from tests.unit.test_infer import folder_of
from tests.unit.test_infer import inputs as evaluated_before
from tests.unit.test_predict import predict
from tests.vocabularies import cut

SHARDS = {"train-00000": range(20), "val-00000": range(40, 70), "test-00000": range(70, 100)}
HALF = (0.5, 0.5, 0.5)


def trained(store: Path, name: str, seed: int, size: int = 32, shards: Any = SHARDS, **changes: Any) -> None:
    """A run with a network of random weights that has been evaluated."""
    run = LocalStore(store / name)
    torch.manual_seed(seed)
    regressor = Regressor(Architecture(model=pictures.TINY, image_size=size, head="linear", mean=HALF, std=HALF))
    network = dataset_of(run, "train", {"model": [to_sample(regressor.architecture, regressor.state_dict())]})
    known = pictures.prompts(run, {"train-00000": shards["train-00000"]})
    cut(run, [sample.text() for sample in known.samples()])
    run_stage(run, EVALUATE, test_evaluate.params(**changes), [pictures.images(run, shards), network, known])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that were evaluated on the same images, and others; not to be changed."""
    store = tmp_path_factory.mktemp("ensembles")
    trained(store, "a", seed=0)
    trained(store, "a-few", seed=0, num_fitted_images=10)
    trained(store, "b", seed=1, num_fitted_images=20)
    trained(store, "large", seed=2, size=48)
    trained(store, "flipped", seed=3, views="flip")
    trained(store, "other", seed=1, shards={**SHARDS, "val-00000": range(40, 69)})
    return store


def ensemble(names: str, store: Path) -> EnsembleModel:
    found: AnyModel = open_models(names, str(store))
    assert isinstance(found, EnsembleModel)
    return found


def vectors(names: str, store: Path, folder: Path) -> np.ndarray:
    model = i2p.load_model(names, store=str(store), threads=1, compose=False)
    return np.stack([one.vector for one in model.predict_many(sorted(folder.iterdir()))])


@pytest.mark.parametrize("names", ["a,b", "a, b,flipped"])
def test_the_members_unit_vectors_are_averaged_with_the_weights_and_normalised(
    tmp_path: Path, store: Path, names: str
) -> None:
    folder = folder_of(tmp_path / "in", "1.png", "2.png", "3.png")
    each = [vectors(name.strip(), store, folder) for name in names.split(",")]
    weights = ensemble(names, store).weights
    mean = sum(weight * one for weight, one in zip(weights, each, strict=True))
    assert np.allclose(vectors(names, store, folder), mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-5)


def test_members_of_different_sizes_see_the_same_pictures(tmp_path: Path, store: Path) -> None:
    folder = folder_of(tmp_path / "in", "1.png", "2.png")
    weights = ensemble("a,large", store).weights
    each = [vectors(name, store, folder) for name in ("a", "large")]
    mean = sum(weight * one for weight, one in zip(weights, each, strict=True))
    cosines = (vectors("a,large", store, folder) * mean / np.linalg.norm(mean, axis=1, keepdims=True)).sum(axis=1)
    assert cosines.min() > 0.99, "for the smaller network they are made larger and smaller again"


def test_how_sure_an_ensemble_is_comes_from_its_own_predictions_of_held_out_images(store: Path) -> None:
    model = ensemble("a,b", store)
    assert len(model.fitting[0].true) == 20, "as many as all have kept"
    asked = []

    def closest(found: np.ndarray) -> np.ndarray:
        asked.append(found)
        return np.linspace(0, 1, len(found), dtype=np.float32)

    confidence = model.confidence(closest, 0)
    assert confidence.images == len(asked[0]) == 20
    distances = np.mean([one.feature_distance for one in model.fitting], axis=0)
    (limit,) = (one for one in confidence.signal_limits if one.signal == "feature_distance")
    assert limit.value == pytest.approx(distances.max(), abs=2e-6)


def test_the_command_prints_networks_weights_and_gain_and_writes_them_down(tmp_path: Path, store: Path) -> None:
    folder, out = folder_of(tmp_path / "in", "1.png", "2.png"), tmp_path / "out"
    asked: list[object] = [folder, "--model", "a,b", "--store", store, "--threads", 1]
    answer = predict(*asked)
    record = answer.values["ensemble"]
    assert [one["model"] for one in record["members"]] == ["a", "b"]
    assert (record["split"], record["images"], record["cross_fitted"]) == ("test", 20, False)
    for one in record["members"]:
        assert re.search(rf"^  {one['model']} +{one['score']:.4f}   weight {one['weight']:.4f}$", answer.text, re.M)
    for name, gain in (("together", record["normalised"]), ("normalisation off", record["not_normalised"])):
        says = (
            rf"^  {name} +{gain['score']:.4f}   [+-]\d\.\d+ against {record['best']}, 95 % interval [+-].* to [+-].*$"
        )
        assert re.search(says, answer.text, re.M)
        assert gain["interval"][0] <= gain["gain"] <= gain["interval"][1]
    written = predict(*asked, "--out", out)
    assert written.values["ensemble"] == json.loads((out / "summary.json").read_text())["ensemble"] == record
    again = predict(*asked, "--out", out)
    assert again.values == written.values
    assert "weight" in again.text
    with pytest.raises(BadConfiguration, match="or by another model"):
        predict(folder, "--model", "a,large", "--store", store, "--threads", 1, "--out", out)


def test_one_model_says_nothing_of_ensembles(tmp_path: Path, store: Path) -> None:
    folder, out = folder_of(tmp_path / "in", "1.png"), tmp_path / "out"
    answer = predict(folder, "--model", "a", "--store", store, "--threads", 1, "--out", out)
    assert "ensemble" not in answer.text
    assert "ensemble" not in answer.values
    assert "ensemble" not in json.loads((out / "summary.json").read_text())


def test_models_that_were_tested_on_different_images_are_refused(store: Path) -> None:
    with pytest.raises(
        BadConfiguration, match=r"a and other were evaluated on different images, .* from the same data"
    ):
        open_models("a,other", str(store))


def test_a_model_that_was_evaluated_before_vectors_were_kept_says_what_to_do(tmp_path: Path, store: Path) -> None:
    evaluated_before(tmp_path / "runs")
    assert open_model(str(tmp_path / "runs" / "run"), "nowhere").held_out() is None
    with pytest.raises(BadConfiguration, match=r"run was evaluated before .*: run evaluate anew"):
        open_models(f"{store / 'a'},{tmp_path / 'runs' / 'run'}", "nowhere")


@pytest.mark.parametrize("names", ["a,", "a,,b", "a,a"])
def test_names_that_are_missing_or_given_twice_are_refused(store: Path, names: str) -> None:
    with pytest.raises(BadConfiguration, match="different models with a comma between two of them are required"):
        open_models(names, str(store))


def test_what_an_ensemble_reads_is_all_that_its_members_are_and_their_weights(store: Path) -> None:
    reads = ensemble("a,b", store).reads
    assert len(reads) == 9
    for number, name in ((1, "a"), (2, "b")):
        own = open_models(name, str(store)).reads
        assert {f"{number}/{label}": digest for label, digest in own.items()}.items() <= reads.items()
    assert ensemble("b,a", store).reads != reads
    fewer = ensemble("a-few,b", store).reads
    assert {label for label in reads if reads[label] != fewer[label]} == {"held-out"}


def test_a_model_is_no_ensemble_with_itself(store: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"a and .*/a are the same model; different ones are required"):
        ensemble(f"a,{store}/a", store)


def test_exported_models_are_an_ensemble_as_their_runs_are(tmp_path: Path, store: Path) -> None:
    for name in ("a", "b"):
        model_export.write(view_of(store, name), tmp_path / name, force=False)
    of_folders, of_runs = ensemble(f"{tmp_path / 'a'},{tmp_path / 'b'}", store), ensemble("a,b", store)
    assert of_folders.reads == of_runs.reads
    assert (of_folders.name, of_folders.record) == ("a,b", of_runs.record)
    folder = folder_of(tmp_path / "in", "1.png", "2.png")
    assert np.array_equal(vectors("a,b", store, folder), vectors(f"{tmp_path / 'a'},b", store, folder))
    sample = open_model(str(tmp_path / "a"), "nowhere").held_out()
    stored = Evaluated(view_of(store, "a").datasets["evaluate"]).held_out.sample()
    assert sample is not None
    assert sample["safetensors"] == stored["safetensors"]
    assert decode_held_out(sample["safetensors"], sample.value).keys() == {"val", "test"}


def test_a_folder_whose_name_has_a_comma_is_one_model(tmp_path: Path, store: Path) -> None:
    model_export.write(view_of(store, "a"), tmp_path / "a,b", force=False)
    assert open_models(str(tmp_path / "a,b"), "nowhere").name == "a"


def view_of(store: Path, name: str) -> RunView:
    run = LocalStore(store / name)
    datasets: dict[str, Dataset] = {}
    for stage in ModelInputs.stages():
        manifest = load_manifest(run.at(stage))
        assert manifest
        datasets[stage] = Dataset(run.at(stage), manifest)
    return RunView(datasets, frozenset(datasets), run.url)
