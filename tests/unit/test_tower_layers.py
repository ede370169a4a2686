"""A tower applied layer after layer gives what it gives as a whole; its family knows what can learn, and how fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from jobs.errors import BadConfiguration
from jobs.regressor.known_towers import family_of
from jobs.regressor.model import Regressor
from jobs.regressor.params import Trainable
from jobs.regressor.tower import class_of
from jobs.regressor.values import Architecture
from jobs.train.learner import new_learner
from jobs.train.optimizer import build_optimizer
from jobs.train.stage import TrainParams
from tests import towers

VITS = (
    "deit3",
    "dinov3",
    "eva02",
    "eva with mixed positions",
    "siglip",
    "siglip of open_clip",
    "vit",
    "vit of open_clip",
    "vit of open_clip with sines",
    "coca of open_clip",
)


@pytest.fixture(scope="module", autouse=True)
def _towers_are_known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with towers.registered(tmp_path_factory.mktemp("configurations")):
        yield
    torch.set_num_threads(threads)


def network(family: str, *, drop_path: float | None = None) -> Regressor:
    name, size = towers.tower(family)
    half = (0.5, 0.5, 0.5)
    torch.manual_seed(0)
    regressor = Regressor(
        Architecture(model=name, image_size=size, head="linear", mean=half, std=half), drop_path=drop_path
    )
    for parameter in regressor.tower.parameters():
        if parameter.ndim < 2:  # else scales of one and biases of zero hide what is left out
            torch.nn.init.normal_(parameter.data, 0.5, 0.2)
    return regressor


def pixels(regressor: Regressor) -> Tensor:
    size = regressor.architecture.image_size
    return torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


# Layer after layer


@pytest.mark.parametrize("training", [False, True], ids=["predicting", "training"])
@pytest.mark.parametrize("family", towers.FAMILIES)
def test_layer_after_layer_gives_what_the_tower_gives_bit_for_bit(family: str, training: bool) -> None:
    regressor = network(family).train(training)
    images = (pixels(regressor).float() - regressor.mean) / regressor.std
    state = {name: tensor.clone() for name, tensor in regressor.state_dict().items()}
    torch.manual_seed(3)  # of dropped patches and paths
    whole = regressor.tower(images)
    regressor.load_state_dict(state)  # running statistics, which the first pass moved
    torch.manual_seed(3)
    found = images
    for layer in regressor.layers:
        found = layer.apply(found)
    assert torch.equal(found, whole)


@pytest.mark.parametrize("family", VITS)
def test_these_are_vision_transformers_and_have_a_layer_for_each_block(family: str) -> None:
    regressor = network(family)
    assert family_of(class_of(regressor.tower)) == "vit"
    blocks = 6 if family == "vit" else 2
    assert [layer.depth for layer in regressor.layers] == list(range(blocks + 1, -1, -1))


# What learns


@pytest.mark.parametrize(("part", "frozen"), [("all", 0), ("last-quarter", 6), ("head", 8)])
def test_of_a_vision_transformer_what_is_frozen_gets_no_gradient(part: Trainable, frozen: int) -> None:
    regressor = network("vit", drop_path=0.5)
    regressor.freeze(part)
    regressor.train()
    assert [layer.training for layer in regressor.layers] == [number >= frozen for number in range(8)]
    regressor(pixels(regressor)).sum().backward()
    for number, layer in enumerate(regressor.layers):
        found = {parameter.grad is not None for parameter in layer.parameters()}
        assert found == {number >= frozen}
    assert all(parameter.grad is not None for parameter in regressor.head.parameters())


def test_the_frozen_part_of_a_vision_transformer_is_not_recorded_for_a_gradient() -> None:
    regressor = network("vit")
    regressor.freeze("last-quarter")
    recorded: list[bool] = []
    for block in regressor.tower.trunk.blocks:  # type: ignore[union-attr]
        block.register_forward_hook(lambda _module, _inputs, output: recorded.append(output.requires_grad))
    regressor(pixels(regressor))
    assert recorded == [False] * 5 + [True]


def test_of_an_efficientnet_the_last_quarter_of_the_blocks_learns_and_what_is_frozen_gets_no_gradient() -> None:
    regressor = network("efficientnet")
    assert family_of(class_of(regressor.tower)) == "efficientnet"
    blocks = [block for stage in regressor.tower.trunk.blocks for block in stage]  # type: ignore[union-attr]
    frozen = 1 + len(blocks) - max(1, len(blocks) // 4)
    assert len(regressor.layers) == len(blocks) + 2
    regressor.freeze("last-quarter")
    regressor.train()
    regressor(pixels(regressor)).sum().backward()
    for number, layer in enumerate(regressor.layers):
        assert {parameter.grad is not None for parameter in layer.parameters()} == {number >= frozen}
        assert layer.training == (number >= frozen)


def test_the_depths_of_an_efficientnet_go_by_its_stages() -> None:
    regressor = network("efficientnet")
    stages = [len(stage) for stage in regressor.tower.trunk.blocks]  # type: ignore[union-attr]
    of_blocks = [len(stages) - 1 - number for number, count in enumerate(stages) for _ in range(count)]
    assert [layer.depth for layer in regressor.layers] == [len(stages), *of_blocks, 0]


@pytest.mark.parametrize("family", ["resnet", "swin", "modified resnet of open_clip"])
def test_towers_of_no_family_learn_as_a_whole_or_not_at_all(family: str) -> None:
    regressor = network(family)
    assert len(regressor.layers) == 1
    regressor.freeze("head")
    assert not any(parameter.requires_grad for parameter in regressor.tower.parameters())
    with pytest.raises(BadConfiguration, match="family `other`, which supports neither last-quarter nor layer_decay"):
        regressor.freeze("last-quarter")


def test_what_a_tower_has_fixed_stays_fixed() -> None:
    regressor = network("vit of open_clip with sines")
    regressor.freeze("head")
    regressor.freeze("all")
    fixed = [name for name, parameter in regressor.tower.named_parameters() if not parameter.requires_grad]
    assert fixed == ["positional_embedding"]


# How fast


def params(family: str, **changes: Any) -> TrainParams:
    name, size = towers.tower(family)
    small: dict[str, Any] = {"model": "test_convnext", "pretrained": None, "image_size": size, "learning_rate": 1.0}
    known = TrainParams(**(small | changes))
    return known.model_copy(update={"model": name})


def peaks(family: str, layer_decay: float) -> dict[str, float]:
    learner = new_learner(params(family, layer_decay=layer_decay, trainable="all"), torch.device("cpu"))
    groups = build_optimizer(learner.regressor, params(family, layer_decay=layer_decay)).param_groups
    return {name: group["peak"] for group in groups for name in group["names"]}


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (
            "vit",
            {
                "trunk.cls_token": 7,
                "trunk.pos_embed": 7,
                "trunk.patch_embed.proj.weight": 7,
                "trunk.blocks.0.attn.qkv.weight": 6,
                "trunk.blocks.5.mlp.fc2.bias": 1,
                "trunk.fc_norm.weight": 0,
            },
        ),
        (
            "eva02",
            {
                "trunk.pos_embed": 3,
                "trunk.blocks.0.norm1.weight": 2,
                "trunk.blocks.1.norm1.weight": 1,
                "trunk.fc_norm.weight": 0,
            },
        ),
        ("eva with mixed positions", {"trunk.rope.freqs": 3, "trunk.blocks.1.norm1.weight": 1}),
        (
            "vit of open_clip",
            {
                "class_embedding": 3,
                "positional_embedding": 3,
                "conv1.weight": 3,
                "ln_pre.weight": 3,
                "transformer.resblocks.0.ln_1.weight": 2,
                "transformer.resblocks.1.attn.in_proj_weight": 1,
                "ln_post.weight": 0,
                "proj": 0,
            },
        ),
        ("coca of open_clip", {"conv1.weight": 3, "attn_pool.query": 0, "attn_pool.attn.q_proj_weight": 0}),
        ("siglip of open_clip", {"trunk.attn_pool.latent": 0, "trunk.blocks.1.norm1.weight": 1}),
        (
            "convnext",
            {
                "trunk.stem.0.weight": 4,
                "trunk.stages.0.blocks.0.gamma": 3,
                "trunk.stages.3.blocks.0.gamma": 0,
                "trunk.head.norm.weight": 0,
            },
        ),
    ],
)
def test_layer_decay_goes_by_blocks_of_a_transformer_and_by_stages_of_a_convnext(
    family: str, expected: dict[str, int]
) -> None:
    found = peaks(family, 0.5)
    assert {name: found[f"tower.{name}"] for name in expected} == {name: 0.5**depth for name, depth in expected.items()}


def test_layer_decay_of_a_tower_of_no_family_is_refused_by_the_worker_too() -> None:
    with pytest.raises(BadConfiguration, match="layer_decay needs an order of the tower's layers"):
        new_learner(params("resnet", layer_decay=0.5, trainable="all"), torch.device("cpu"))


@pytest.mark.parametrize("family", ["vit of open_clip", "eva02"])
def test_timms_own_layer_decay_gives_the_same_depths(family: str) -> None:
    from timm.optim._param_groups import param_groups_layer_decay

    regressor = network(family)
    tower = getattr(regressor.tower, "trunk", regressor.tower)
    if not hasattr(tower, "group_matcher"):
        matcher = {
            "stem": r"^class_embedding|positional_embedding|conv1|ln_pre",
            "blocks": [(r"^transformer\.resblocks\.(\d+)", None)],
        }
        tower.group_matcher = lambda coarse=False: matcher
    names = {id(parameter): name for name, parameter in regressor.named_parameters()}
    theirs = {
        names[id(parameter)]: group["lr_scale"]
        for group in param_groups_layer_decay(tower, layer_decay=0.5)
        for parameter in group["params"]
    }
    ours = {name: 0.5**depth for name, depth in regressor.depths().items() if depth is not None}
    assert theirs == ours
