"""A trained network of any family of towers is stored, loaded and trained on, whatever its tower computes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from jobs.errors import BadConfiguration
from jobs.regressor import model
from jobs.regressor.empty_weights import empty_weights, not_stored
from jobs.regressor.model import Regressor
from jobs.regressor.values import Architecture
from jobs.shards.local import LocalStore
from jobs.train.checkpoints import Checkpoints
from jobs.train.learner import Learner, new_learner
from jobs.train.stage import TrainParams
from tests import towers
from tests.networks import from_sample, to_sample

COMPUTING = ("beit", "dinov3", "eva02", "maxvit", "swin", "swin v2")  # not all that they need is stored


@pytest.fixture(scope="module", autouse=True)
def _towers_are_known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for operations as small as these, more only wait for each other
    with towers.registered(tmp_path_factory.mktemp("configurations")):
        yield
    torch.set_num_threads(threads)


def network(family: str, seed: int = 0) -> Regressor:
    name, size = towers.tower(family)
    half = (0.5, 0.5, 0.5)
    torch.manual_seed(seed)
    return Regressor(Architecture(model=name, image_size=size, head="linear", mean=half, std=half))


def some_images(regressor: Regressor) -> Tensor:
    size = regressor.architecture.image_size
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def vectors(regressor: Regressor) -> Tensor:
    with torch.inference_mode():
        return regressor.eval()(some_images(regressor))  # type: ignore[no-any-return]


# Storing


@pytest.mark.parametrize("family", towers.FAMILIES)
def test_a_trained_network_is_stored_loaded_and_gives_equal_vectors(family: str) -> None:
    trained = network(family)
    optimizer = torch.optim.SGD(trained.parameters(), 0.01)
    trained.train()(some_images(trained))[:, 0].sum().backward()
    optimizer.step()
    stored = to_sample(trained.architecture, trained.state_dict())
    loaded = from_sample(stored)
    assert torch.equal(vectors(loaded), vectors(trained))
    assert to_sample(loaded.architecture, loaded.state_dict()).fields == stored.fields


def test_these_towers_compute_what_is_not_stored() -> None:
    assert all(not_stored(network(family)) for family in COMPUTING)


class Kernel(nn.Module):
    """A tower with a buffer that is not stored and that `compute` gives."""

    def __init__(self, compute: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(384))
        nn.init.ones_(self.weight)
        self.register_buffer("kernel", compute(self), persistent=False)
        self.note = torch.arange(3)  # neither parameter nor buffer

    def forward(self, images: Tensor) -> Tensor:
        return self.weight * self.kernel * images.mean()  # type: ignore[operator]


@pytest.mark.parametrize(
    "compute",
    [
        lambda tower: tower.weight.detach() + 1,
        lambda _tower: torch.rand(384),
        lambda _tower: torch.zeros(384, device="meta"),
    ],
    ids=["out of its first weights", "at random", "never"],
)
def test_a_tower_that_could_not_be_loaded_again_is_refused_before_it_is_trained(
    compute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "build_tower", lambda _model, _size, _drop_path: (Kernel(compute), 384))
    with pytest.raises(BadConfiguration, match=r"trained tower_kernel could not be loaded again.* tower\.kernel is"):
        new_learner(settings("kernel"), torch.device("cpu"))


def test_a_tensor_without_values_is_named_when_a_network_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = network("convnext")
    monkeypatch.setattr(
        model, "build_tower", lambda _model, _size, _drop_path: (Kernel(lambda _tower: torch.zeros(384)), 384)
    )
    stored = to_sample(trained.architecture, Regressor(trained.architecture).state_dict())
    with pytest.raises(BadConfiguration, match=r"tower\.kernel and 1 more is neither stored"), torch.device("meta"):
        from_sample(stored)


# Building without weights


def test_the_memory_of_weights_that_are_loaded_at_once_is_never_touched() -> None:
    mebibytes = 512
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)  # as all stages do; it fills what would not be initialised
    try:
        before = resident()
        with empty_weights():
            layer = nn.Linear(1024, mebibytes * 256)
            nn.init.trunc_normal_(layer.weight)
            layer.weight.data[:100].fill_(1)
        assert resident() - before < mebibytes * 2**20 / 4
    finally:
        torch.use_deterministic_algorithms(deterministic)
    assert torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    assert nn.Linear(3, 1000).weight.std() > 0.1  # outside, weights are random again


def resident() -> int:
    """Bytes of memory that this process really uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# Training


def settings(family: str, **changes: Any) -> TrainParams:
    name, size = towers.tower(family) if family in towers.FAMILIES else (f"tower_{family}", 32)
    small: dict[str, Any] = {
        "model": "test_convnext",
        "pretrained": None,
        "image_size": size,
        "head": "linear",
        "trainable": "all",
        "layer_decay": None,
        "ema_decay": 0.9,
        "precision": "fp32",
    }
    return TrainParams(**(small | changes)).model_copy(update={"model": name})  # which no list of towers knows


def step(learner: Learner) -> None:
    torch.manual_seed(learner.step)
    learner.regressor.train()(some_images(learner.regressor))[:, 0].sum().backward()
    learner.optimizer.step()
    learner.optimizer.zero_grad()
    if learner.average:
        learner.average.update(learner.regressor, learner.step)
    learner.step += 1


@pytest.mark.parametrize("family", [*COMPUTING, "coat"])
def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_been(family: str, local_store: LocalStore) -> None:
    learner = new_learner(settings(family), torch.device("cpu"))
    step(learner)
    checkpoints = Checkpoints(local_store, "f" * 64)
    checkpoints.save(learner.step, learner.tensors(), learner.state({}))
    checkpoints.wait()
    found = checkpoints.newest()
    assert found is not None
    assert not {name.partition("/")[2] for name in found[0]} & not_stored(learner.regressor).keys()
    restored = new_learner(settings(family), torch.device("cpu"))
    restored.restore(*found)
    for one in (learner, restored):
        step(one)
    assert torch.equal(vectors(learner.regressor), vectors(restored.regressor))
    assert learner.result().keys() == restored.result().keys()
    assert all(torch.equal(tensor, restored.result()[name]) for name, tensor in learner.result().items())


def test_a_weight_with_two_names_is_averaged_under_both() -> None:
    learner = new_learner(settings("coat"), torch.device("cpu"))
    for _ in range(2):
        step(learner)
    state, result = learner.regressor.state_dict(), learner.result()
    twins = [(one, other) for one in state for other in state if one < other and is_same(state[one], state[other])]
    assert twins
    assert all(torch.equal(result[one], result[other]) for one, other in twins)
    assert not any(torch.equal(result[one], state[one]) for one, _ in twins)


def is_same(one: Tensor, other: Tensor) -> bool:
    return one.numel() > 0 and one.data_ptr() == other.data_ptr()


@pytest.mark.parametrize("family", COMPUTING)
def test_pretrained_weights_give_the_vectors_of_the_tower_they_are_of(family: str, tmp_path: Path) -> None:
    source, path = network(family, seed=7), tmp_path / "pretrained.safetensors"
    safetensors.torch.save_file({f"visual.{name}": one for name, one in source.tower.state_dict().items()}, path)
    regressor = new_learner(settings(family, pretrained=str(path)), torch.device("cpu")).regressor
    images = some_images(source).float() / 255
    regressor.to(memory_format=torch.contiguous_format)  # as the source has it: another one rounds differently
    with torch.inference_mode():
        assert torch.equal(regressor.eval().tower(images), source.eval().tower(images))
