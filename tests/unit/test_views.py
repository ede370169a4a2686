"""How images are shown to a network: in which views and which size, the same wherever it predicts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional

from jobs.errors import BadConfiguration
from jobs.evaluate.contract import Evaluated
from jobs.evaluate.stage import EVALUATE, EvaluateParams
from jobs.evaluate.summary import summary
from jobs.imaging.pixels import Pixels, decode, pixels
from jobs.infer.stage import INFER, InferParams
from jobs.registry import load, names_in
from jobs.regressor.held_out_vectors import decode_held_out
from jobs.regressor.model import Regressor
from jobs.regressor.params import VIEWS
from jobs.regressor.values import Architecture, Viewing
from jobs.regressor.viewer import viewer_of
from jobs.runtime.arrays import from_npy
from jobs.shards.dataset import Dataset
from jobs.shards.store import Store
from tests import pictures
from tests.samples import json_of
from tests.stages import run_stage
from tests.unit import test_evaluate

SIDE = 32
NAMES = ("single", "flip", "crops")
HALF = (0.5, 0.5, 0.5)


def tiny(model: str = pictures.TINY) -> Regressor:
    torch.manual_seed(0)
    return Regressor(Architecture(model=model, image_size=SIDE, head="linear", mean=HALF, std=HALF)).eval()


def some_images(count: int = 3, side: int = SIDE) -> list[Pixels]:
    return [pixels(decode(pictures.picture(number % 4, seed=number), "a"), side) for number in range(count)]


def as_tensor(images: list[Pixels]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_views_have_the_images_shape_and_are_as_many_as_they_should(name: str) -> None:
    assert set(names_in(VIEWS)) == set(NAMES)
    images = as_tensor(some_images())
    found = list(load(VIEWS, name, "views")(images))
    assert len(found) == {"single": 1, "flip": 2, "crops": 6}[name]
    assert torch.equal(found[0], images)
    assert {one.shape for one in found} == {images.shape}
    assert all(one.min() >= 0 and one.max() <= 255 for one in found)


def test_crops_are_the_centre_and_the_corners() -> None:
    image = torch.zeros((1, 3, SIDE, SIDE), dtype=torch.uint8)
    image[..., :4, :4] = 255  # a square in the corner at the top and on the left
    _, *crops = load(VIEWS, "crops", "views")(image)
    light = [float(one.mean()) for one in crops]
    assert light[1] == max(light), "the corner that has it shows it larger"
    assert light[2:] == [0, 0, 0]
    assert 0 < light[0] < float(image.float().mean()), "of the centre there are two of its four rows"


def test_seen_once_vectors_are_to_the_last_bit_what_the_network_gives() -> None:
    regressor, images = tiny(), some_images()
    found = viewer_of(regressor).outputs(images, "fp32")
    with torch.inference_mode():
        features = regressor.features(as_tensor(images))
        raw = regressor.head(features).float()
    assert found.vectors.tobytes() == functional.normalize(raw, dim=-1).numpy().tobytes()
    assert found.features.tobytes() == features.numpy().tobytes()
    assert np.allclose(found.lengths, np.linalg.norm(raw.numpy(), axis=1))


def test_of_several_views_unit_vectors_are_averaged_and_normalised_again() -> None:
    regressor, images = tiny(), some_images()
    plain = viewer_of(regressor).outputs(images, "fp32")
    mirrored = viewer_of(regressor).outputs([np.ascontiguousarray(one[:, ::-1]) for one in images], "fp32")
    found = viewer_of(regressor, Viewing(views="flip")).outputs(images, "fp32")
    mean = (plain.vectors + mirrored.vectors) / 2
    assert np.allclose(found.vectors, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-6)
    assert np.allclose(found.features, (plain.features + mirrored.features) / 2, atol=1e-6)
    assert np.allclose(found.lengths, (plain.lengths + mirrored.lengths) / 2, atol=1e-6)
    assert np.array_equal(found.detail, plain.detail), "of the image, however it is seen"


def test_a_symmetric_image_seen_in_a_mirror_gives_the_same_vector() -> None:
    regressor = tiny()
    images = [np.concatenate([one[:, : SIDE // 2], one[:, : SIDE // 2][:, ::-1]], axis=1) for one in some_images()]
    plain = viewer_of(regressor).outputs(images, "fp32")
    found = viewer_of(regressor, Viewing(views="flip")).outputs(images, "fp32")
    assert np.allclose(found.vectors, plain.vectors, atol=1e-6)


def test_a_size_that_the_tower_does_not_take_is_refused_before_an_image_is_read() -> None:
    found = viewer_of(tiny(), Viewing(image_size=48))
    assert found.outputs(some_images(side=48), "fp32").vectors.shape == (3, 384)
    fixed = "test_vit_relpos"
    with pytest.raises(BadConfiguration, match=rf"image_size: {fixed}, trained with 32 .* of 48: .* evaluate"):
        viewer_of(tiny(fixed), Viewing(image_size=48))
    assert viewer_of(tiny(fixed), Viewing(image_size=32)).image_size == 32


@pytest.mark.parametrize(("name", "message"), [("flipp", "did you mean 'flip'"), ("twice", "there are crops, flip")])
def test_views_that_there_are_not_are_refused_when_the_configuration_is_checked(name: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        EvaluateParams(views=name)


# In the stages


def datasets(folder: Path) -> tuple[Store, list[Dataset]]:
    return test_evaluate.inputs(folder, {"train-00000": range(20), "val-00000": range(40, 64), "test-00000": range(4)})


def evaluated(run: Store, inputs: list[Dataset], **changes: Any) -> Dataset:
    return run_stage(run, EVALUATE, test_evaluate.params(**changes), inputs)


def test_a_plain_evaluation_says_nothing_of_views_however_it_is_asked_for(tmp_path: Path) -> None:
    run, inputs = datasets(tmp_path)
    first = evaluated(run, inputs)
    assert "viewing" not in test_evaluate.group_json(first, "confidence")
    assert test_evaluate.group_json(first, "metrics")["viewing"] is None
    again = evaluated(run, inputs, image_size=SIDE)
    assert [shard.sha256 for shard in first.shards()] == [shard.sha256 for shard in again.shards()]


def test_what_views_and_size_gain_is_measured_on_the_same_images(tmp_path: Path) -> None:
    run, inputs = datasets(tmp_path)
    plain = test_evaluate.group_json(evaluated(run, inputs), "metrics")
    found = evaluated(run, inputs, views="flip", image_size=40)
    noted = test_evaluate.group_json(found, "metrics")
    gain = noted["viewing"]
    assert (gain["views"], gain["image_size"], gain["trained_image_size"]) == ("flip", 40, SIDE)
    assert gain["plain_score"] == plain["score"]
    assert gain["gain"] == pytest.approx(noted["score"] - plain["score"], abs=2e-6)
    assert gain["interval"][0] < gain["gain"] < gain["interval"][1]
    assert test_evaluate.group_json(found, "confidence")["viewing"] == {"views": "flip", "image_size": 40}
    text = summary(Evaluated(found)).text
    assert re.search(r"views flip, 40 px +[+-]\d\.\d{4}   95 % interval", text)
    assert re.search(rf"seen once, 32 px +{gain['plain_score']:.4f}", text)


@pytest.mark.parametrize("changes", [{}, {"views": "flip"}, {"views": "crops", "image_size": 40}])
def test_infer_shows_images_as_evaluate_did(tmp_path: Path, changes: dict[str, Any]) -> None:
    run, inputs = datasets(tmp_path)
    found = evaluated(run, inputs, **changes)
    predictions = run_stage(run, INFER, InferParams(images="split:val", batch_size=4, compose=False), [*inputs, found])
    sample = Evaluated(found).held_out.sample()
    kept = decode_held_out(sample["safetensors"], sample.value)["val"]
    vectors = {one.key: from_npy(one["npy"]) for one in predictions.samples()}
    assert list(sample.value.keys["val"]) == [one.key for one in inputs[0].samples("val")]
    for key, vector in zip(sample.value.keys["val"], kept.vectors, strict=True):
        assert np.allclose(vectors[key], vector, atol=1e-6)
    scores = {one.key: json_of(one)["cosine"] for one in found.samples("scores")}
    own = (kept.vectors * kept.true).sum(axis=1)
    assert [scores[key] for key in sample.value.keys["val"]] == pytest.approx(own.tolist(), abs=2e-6)


def test_as_many_vectors_are_kept_as_are_asked_for(tmp_path: Path) -> None:
    run, inputs = datasets(tmp_path)
    record = Evaluated(evaluated(run, inputs, num_fitted_images=5)).held_out.value()
    assert {split: len(keys) for split, keys in record.keys.items()} == {"val": 5, "test": 4}
    assert set(record.reads) == {"generate-images/val", "generate-images/test"}
