"""Losses and augmentations, each one file by its name, and what the learning curve says of them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, distributed
from torch.nn import functional

from jobs.imaging.pixels import Pixels, pixels
from jobs.registry import load
from jobs.shards.digests import canonical_json, sha256
from jobs.train.order import random_of
from jobs.train.stage import AUGMENTATIONS, LOSSES, TRAIN, TrainParams
from pipeline.configuration.run_config import load_config
from tests.additions import add, forget
from tests.pictures import unit_vectors
from tests.samples import json_of
from tests.training import fresh_accelerator as fresh_accelerator
from tests.training import in_processes, settings, train
from tests.training import processes_get_ready as processes_get_ready


def vectors(count: int, seed: int) -> Tensor:
    return torch.from_numpy(unit_vectors(count, seed))


# Losses


def test_the_cosine_loss_is_one_minus_the_metric_bit_for_bit() -> None:
    predicted, true = vectors(64, 1), vectors(64, 2)
    found = load(LOSSES, "cosine", "loss")(predicted, true)
    assert torch.equal(found, 1 - functional.cosine_similarity(predicted, true).mean())


def test_the_contrast_asks_for_the_own_vector_among_all_of_the_batch() -> None:
    loss, cosine = load(LOSSES, "cosine-info-nce", "loss"), load(LOSSES, "cosine", "loss")
    true = vectors(64, 2)
    common = functional.normalize(true.mean(dim=0, keepdim=True), dim=-1).expand(64, -1)
    contrast = {
        name: float(loss(one, true) - cosine(one, true))
        for name, one in {"right": true, "common": common, "of the next": true.roll(1, 0)}.items()
    }
    assert contrast["right"] < 0.01
    assert contrast["common"] == pytest.approx(0.1 * np.log(64), rel=0.05)
    assert contrast["of the next"] > 1


def share_of_loss(rank: int, port: int, folder: Path) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    predicted = vectors(8, 1)[rank::2].requires_grad_()
    load(LOSSES, "cosine-info-nce", "loss")(predicted, vectors(8, 2)[rank::2]).backward()
    torch.save(predicted.grad, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_gradient_that_one_has(tmp_path: Path) -> None:
    predicted = vectors(8, 1).requires_grad_()
    load(LOSSES, "cosine-info-nce", "loss")(predicted, vectors(8, 2)).backward()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert in_processes(share_of_loss, [(rank, port, tmp_path) for rank in range(2)]) == [0, 0]
    assert predicted.grad is not None
    for rank in range(2):
        assert torch.allclose(torch.load(tmp_path / f"{rank}.pt") / 2, predicted.grad[rank::2], atol=1e-7)


def test_a_loss_is_one_file_and_the_curve_has_the_cosine_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(
        monkeypatch,
        LOSSES,
        tmp_path / "more",
        "squares",
        """
        def loss(predicted, true):
            return (predicted - true).square().sum(dim=-1).mean()
    """,
    )
    (of_squares,) = train(tmp_path / "squares", settings(loss="squares", epochs=1)).samples("curve")
    forget(LOSSES, "squares")
    (of_cosines,) = train(tmp_path / "cosine", settings(epochs=1)).samples("curve")
    squares, cosines = json_of(of_squares)["points"], json_of(of_cosines)["points"]
    assert [point["step"] for point in squares] == [point["step"] for point in cosines] == [4, 5]
    for square, cosine in zip(squares, cosines, strict=True):  # AdamW takes no notice of factors
        assert square["loss"] == pytest.approx(2 * cosine["loss"], abs=1e-4)
        assert square["cosine"] == pytest.approx(cosine["cosine"], abs=1e-4)
        assert cosine["loss"] + cosine["cosine"] == pytest.approx(1, abs=2e-6)


def test_the_default_loss_is_no_part_of_a_fingerprint_and_others_are() -> None:
    assert "loss" not in settings().settings()
    assert settings(loss="cosine-info-nce").settings()["loss"] == "cosine-info-nce"


def test_the_settings_of_earlier_runs_are_the_same_bytes() -> None:
    """As commit a909480 wrote them, before there were losses to choose from; others would train every run anew."""
    digests = {
        name: sha256(canonical_json(params.settings()))
        for name, params in (("demo", load_config("demo").params(TRAIN)), ("default", TrainParams()))
    }
    assert digests == {
        "demo": "a6e541d4693a8825a6eb6c9da5f122918b026af36b048eaf6ede2feea29acb19",
        "default": "d2876fdd9ac74649490e5f3236fe706e799213f47d16fcc1dfed3182dc9104ad",
    }


# Augmentations


def augmented(image: Image.Image, name: str, epoch: int, key: str) -> Pixels:
    found: Pixels = load(AUGMENTATIONS, name, "augmented")(image, 32, random_of(0, epoch, key))
    return found


def test_augmentation_is_drawn_from_seed_epoch_and_key_alone_and_never_flips() -> None:
    ramp = Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1)))
    image = ramp.convert("RGB")
    first = augmented(image, "light", 0, "a")
    assert np.array_equal(first, augmented(image, "light", 0, "a"))
    others = [augmented(image, "light", epoch, key) for epoch in range(5) for key in "abcdefgh"]
    assert len({other.tobytes() for other in others}) > 35
    for other in others:
        assert other.shape == (32, 32, 3)
        columns = other.mean(axis=(0, 2))
        assert columns[:8].mean() < columns[-8:].mean()
    assert np.array_equal(augmented(image, "none", 0, "a"), pixels(image, 32))


def test_an_augmentation_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(
        monkeypatch,
        AUGMENTATIONS,
        tmp_path / "more",
        "upside_down",
        """
        import numpy as np
        from jobs.imaging.pixels import pixels

        def augmented(image, size, random):
            return np.flipud(pixels(image, size)).copy()
    """,
    )
    (turned,) = train(tmp_path / "turned", settings(augment="upside-down", epochs=1)).samples("model")
    forget(AUGMENTATIONS, "upside_down")
    (plain,) = train(tmp_path / "plain", settings(augment="none", epochs=1)).samples("model")
    assert turned["safetensors"] != plain["safetensors"]
