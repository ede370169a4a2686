"""A tower that is not there, or cannot do what is asked of it, is refused when the configuration is checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.errors import BadConfiguration
from jobs.regressor import list_towers
from jobs.regressor.known_towers import FAMILIES, FILE, listed, tower_named
from jobs.regressor.tower import build_tower
from pipeline.__main__ import main
from pipeline.configuration.run_config import load_config
from tests.additions import add, forget
from tests.networks import from_sample
from tests.training import fresh_accelerator as fresh_accelerator
from tests.training import settings, train


def refusal(*assignments: str) -> str:
    with pytest.raises(BadConfiguration) as error:
        load_config("demo", [f"train.{one}" for one in assignments])
    return str(error.value)


# Refused


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["model=convnext_ato"], "train.model: there is no 'convnext_ato'; did you mean 'convnext_atto'?"),
        (["model=Vit-L-14"], "did you mean 'ViT-L-14'?"),
        (["model=of_my_own"], "the image towers are those of open_clip_torch "),
        (["model=convnext_atto.d2_in1k"], "'d2_in1k' names weights of timm's, which `pretrained` does"),
        (["model=pit_b_224"], "pit_b_224 cannot be an image tower here: AssertionError: Only token pooling"),
        (
            ["model=resnet18", "trainable=last-quarter"],
            "train.trainable: the tower is of the family `other`, which supports neither last-quarter nor layer_decay; "
            "resnet18 can learn as `all`, or not at all as `head`",
        ),
        (["model=resnet18", "layer_decay=0.5"], "train.layer_decay: the tower is of the family `other`"),
        (["model=vgg11", "drop_path=0.1"], "train.drop_path: vgg11 has no stochastic depth; set it to null"),
        (["model=ViT-B-32"], "train.drop_path: ViT-B-32 has no stochastic depth"),  # the demo's preset sets it to 0
        (["model=vit_base_patch16_224"], "train.image_size: vit_base_patch16_224 takes 224 pixels of a side"),
        (
            ["model=ViT-B-32", "drop_path=null", "pretrained=openai"],
            "train.image_size: ViT-B-32 with these weights takes 224 pixels of a side",
        ),
        (["pretrained=openai"], "train.pretrained: convnext_atto has no weights 'openai' on the model hub, nor any"),
        (["model=convnext_xxlarge", "pretrained=openai"], "only laion2b_s34b_b82k_augreg, "),
        (["head=lineer"], "train.head: there is no 'lineer'; did you mean 'linear'?"),
        (["loss=cosin"], "train.loss: there is no 'cosin'; did you mean 'cosine'?"),
        (["augment=lite"], "train.augment: there is no 'lite'; did you mean 'light'?"),
    ],
)
def test_what_would_fail_after_all_images_are_made_is_refused_before(assignments: list[str], message: str) -> None:
    assert message in refusal(*assignments)


def test_defaults_that_a_tower_cannot_do_are_refused_like_what_was_set() -> None:
    found = refusal("model=resnet18", "trainable=last-quarter", "layer_decay=0.5")
    assert [line.partition(":")[0] for line in found.splitlines()] == ["train.trainable", "train.layer_decay"]
    with pytest.raises(BadConfiguration) as error:
        load_config("cluster", ["train.model=resnet18"])
    positions = [line.partition(":")[0] for line in str(error.value).splitlines()]
    assert positions == ["train.pretrained", "train.trainable", "train.layer_decay"]


def test_a_plan_ends_with_the_code_of_a_bad_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--preset", "demo", "--set", "train.model=convnext_ato"]) == 78
    assert "did you mean 'convnext_atto'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "assignments",
    [
        ["model=resnet18"],
        ["model=ViT-B-32", "drop_path=null", "trainable=last-quarter", "layer_decay=0.75"],
        ["model=ViT-B-32", "drop_path=null", "pretrained=Laion2B-s34b-b79k", "image_size=224"],
        ["model=vit_base_patch16_224", "image_size=224", "trainable=last-quarter", "layer_decay=0.75"],
        ["model=ViT-B-32", "drop_path=null", "pretrained=mine.safetensors"],
        ["loss=cosine-info-nce", "augment=light", "head=linear-bn-relu-linear"],
    ],
)
def test_what_fits_is_accepted(assignments: list[str]) -> None:
    assert load_config("demo", [f"train.{one}" for one in assignments])


def test_checking_a_configuration_imports_no_network() -> None:
    code = (
        "import sys\nfrom pipeline.configuration.run_config import load_config\n"
        "load_config('demo', ['train.model=ViT-B-32', 'train.drop_path=null', 'train.trainable=last-quarter'])\n"
        "print([name for name in ('torch', 'timm', 'open_clip', 'numpy', 'PIL') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# The list


def test_the_list_is_of_the_installed_versions() -> None:
    listing = listed()
    assert listing.versions == list_towers.versions(), "write it anew: make towers"
    found = sorted([*listing.unfit, *(name for towers in listing.towers.values() for name in towers)])
    code = "from jobs.regressor import list_towers; print(*list_towers.all_names())"
    alone = subprocess.check_output([sys.executable, "-c", code], text=True)  # here, tests have added some
    assert found == alone.split()
    assert FILE.read_text() == list_towers.text(listing.towers, listing.unfit)


@pytest.mark.parametrize(
    "name",
    [
        "RN50",
        "ViT-S-32",
        "coca_ViT-B-32",
        "convnext_atto",
        "convnext_base",
        "eva02_tiny_patch14_224",
        "resnet18",
        "swin_tiny_patch4_window7_224",
        "test_vit",
        "vgg11",
        "vit_tiny_patch16_224",
        "vit_tiny_r_s16_p8_224",
    ],
)
def test_what_is_listed_of_a_tower_is_so(name: str) -> None:
    class_, facts = list_towers.examined(name)
    assert listed().towers[class_][name] == facts


def test_every_family_covers_towers_that_there_are() -> None:
    families = {tower_named(name).family for towers in listed().towers.values() for name in list(towers)[:1]}
    assert families == {"convnext", "efficientnet", "other", "vit"}


# One file more

RESNET = """
    from jobs.regressor.layer import layer_of

    CLASSES = ("timm.models.resnet.ResNet",)
    SUPPORTS = ("last-quarter", "layer_decay")

    def layers(tower):
        trunk = tower.trunk
        stem = [layer_of(one, 4) for one in (trunk.conv1, trunk.bn1, trunk.act1, trunk.maxpool)]
        stages = [layer_of(getattr(trunk, f"layer{number}"), 4 - number) for number in (1, 2, 3, 4)]
        return [*stem, *stages, *(layer_of(one, 0) for one in (trunk.global_pool, trunk.fc, tower.head))]

    def num_before_last_quarter(tower):
        return 7
"""

OWN = """
    import torch
    from timm.models import register_model
    from jobs.regressor.layer import layer_of

    CLASSES = ("jobs.regressor.towers.own.Shallow",)
    SUPPORTS = ("layer_decay",)
    TOWERS = {"shallow": {"size": 32}}

    class Shallow(torch.nn.Module):
        num_features = 16

        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 16, 4, 4)

        def forward(self, x):
            return self.conv(x).relu().mean(dim=(2, 3))

    @register_model
    def shallow(pretrained=False, **options):
        return Shallow()

    def layers(tower):
        return [layer_of(tower, 0)]
"""


def test_a_family_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {"model": "test_resnet", "drop_path": None, "layer_decay": 0.5, "trainable": "last-quarter"}
    with pytest.raises(ValueError, match="family `other`"):
        settings(**asked)
    add(monkeypatch, FAMILIES, tmp_path / "more", "resnet", RESNET)
    assert tower_named("resnet18").family == "resnet"
    (stored,) = train(tmp_path, settings(**asked, epochs=1)).samples("model")
    forget(FAMILIES, "resnet")
    before = build_tower("test_resnet", 32)[0].state_dict().keys()
    after = from_sample(stored)
    assert after.tower.state_dict().keys() == before
    assert len(after.layers) == 11


def test_a_family_may_bring_towers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, FAMILIES, tmp_path / "more", "own", OWN)
    with pytest.raises(ValueError, match="did you mean 'shallow'"):
        settings(model="shalow", drop_path=None)
    with pytest.raises(ValueError, match="shallow takes 32 pixels"):
        settings(model="shallow", drop_path=None, image_size=64)
    with pytest.raises(ValueError, match="which supports only layer_decay"):
        settings(model="shallow", drop_path=None, trainable="last-quarter")
    (stored,) = train(tmp_path, settings(model="shallow", drop_path=None, epochs=1)).samples("model")
    loaded = from_sample(stored)
    forget(FAMILIES, "own")
    assert json.loads(stored["json"])["model"] == "shallow"
    assert loaded(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)).shape == (2, 384)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (RESNET.replace("trunk.maxpool)", "trunk.maxpool, trunk.layer1)"), "must hold every parameter once"),
        (RESNET.replace("*stem, ", ""), "must hold every parameter once"),
        (
            RESNET.replace("timm.models.resnet.ResNet", "timm.models.convnext.ConvNeXt"),
            "both cover timm.models.convnext",
        ),
    ],
    ids=["twice", "never", "of another family"],
)
def test_a_family_that_does_not_fit_its_towers_is_refused(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, FAMILIES, tmp_path / "more", "resnet", source)
    with pytest.raises(BadConfiguration, match=message):
        train(tmp_path, settings(model="test_convnext" if "both" in message else "test_resnet", layer_decay=None))
    forget(FAMILIES, "resnet")
