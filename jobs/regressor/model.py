"""The network: an image tower of open_clip or timm, a head, and which of its layers learn."""

from __future__ import annotations

from typing import Any

import open_clip
import timm
import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.timm_model import TimmModel
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn
from torch.nn import functional

from jobs.contract.samples import DIMENSIONS
from jobs.errors import BadConfiguration
from jobs.regressor.params import Trainable
from jobs.regressor.values import Architecture

_XXLARGE = ((3, 4, 30, 3), (384, 768, 1536, 3072))  # depths and widths of convnext_xxlarge
_XXLARGE_LAST_QUARTER = 362_840_064  # parameters from stages.2.blocks.24 to the end, out of 846,543,744


class Regressor(nn.Module):
    """uint8 images of shape (n, 3, size, size) to unit vectors, float32 of shape (n, 384).

    Pixels are normalised in here, so that whoever uses the network cannot do it differently.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, *, drop_path: float | None = None) -> None:
        """Random weights from torch's generator; `drop_path` overrides the model's own stochastic depth."""
        super().__init__()
        self.architecture = architecture
        self.tower, features = _build_tower(architecture, drop_path)
        self.head = _build_head(architecture.head, features)
        self.register_buffer("mean", 255 * torch.tensor(architecture.mean).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(architecture.std).view(3, 1, 1))
        self.num_frozen = 0  # of `layers`, counted from the image's side

    @property
    def layers(self) -> list[nn.Module]:
        """The tower as modules to be applied one after the other; one single module unless it is a ConvNeXt."""
        trunk = _convnext(self.tower)
        if trunk is None:
            return [self.tower]
        stages = [layer for stage in trunk.stages for layer in (stage.downsample, *stage.blocks)]
        return [trunk.stem, *stages, trunk.norm_pre, trunk.head, self.tower.head]

    def forward(self, images: Tensor) -> Tensor:
        layers = self.layers
        with torch.no_grad():
            x = (images.float() - self.mean) / self.std
            for layer in layers[: self.num_frozen]:
                x = layer(x)
        for layer in layers[self.num_frozen :]:
            x = layer(x)
        return functional.normalize(self.head(x).float(), dim=-1)

    def train(self, mode: bool = True) -> Regressor:
        """As nn.Module does, except that frozen layers stay in eval mode: no stochastic depth, no new statistics."""
        super().train(mode)
        for layer in self.layers[: self.num_frozen]:
            layer.eval()
        return self

    def freeze(self, trainable: Trainable) -> None:
        """Let only a part learn; raises BadConfiguration when the tower cannot be divided like that.

        `last-quarter` is the last quarter of a ConvNeXt's blocks, counting what comes after them as one block: for
        convnext_xxlarge 9 of 40 blocks, 42.9 % of the parameters, 22.7 % of the compute.
        """
        layers = self.layers
        match trainable:
            case "all":
                self.num_frozen = 0
            case "head":
                self.num_frozen = len(layers)
            case "last-quarter":
                self.num_frozen = _before_last_quarter(self.tower, layers)
        for number, layer in enumerate(layers):
            layer.requires_grad_(number >= self.num_frozen)
        if trainable == "last-quarter" and _shape(self.tower) == _XXLARGE:
            found = sum(parameter.numel() for parameter in self.tower.parameters() if parameter.requires_grad)
            if found != _XXLARGE_LAST_QUARTER:
                raise BadConfiguration(
                    f"the last quarter of convnext_xxlarge should have {_XXLARGE_LAST_QUARTER:,} parameters, with "
                    f"these versions of open_clip and timm it has {found:,}: use the pinned ones"
                )

    def depth(self, name: str) -> int:
        """How many stages a parameter of a ConvNeXt lies below the last: 0 in the last and all above; -1 elsewhere."""
        trunk = _convnext(self.tower)
        if trunk is None:
            return -1
        match name.split("."):
            case ["tower", "trunk", "stages", stage, *_]:
                return len(trunk.stages) - 1 - int(stage)
            case ["tower", "trunk", "stem", *_]:
                return len(trunk.stages)
        return 0


def _build_tower(architecture: Architecture, drop_path: float | None) -> tuple[nn.Module, int]:
    """The image tower alone, without the text tower, and how many numbers it gives."""
    name = architecture.model
    if name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision = {**config["vision_cfg"], "image_size": architecture.image_size, "timm_model_pretrained": False}
        vision["output_tokens"] = False  # CoCa's towers give their tokens too, which only its text decoder reads
        features: int | None = config["embed_dim"]
        quick_gelu = config.get("quick_gelu", False)
    elif timm.is_model(name):
        vision = {"timm_model_name": name, "timm_pool": "avg", "timm_proj": "none"}
        features, quick_gelu = None, False
    else:
        raise BadConfiguration(
            f"model: {name!r} is neither a model of open_clip (convnext_xxlarge, …) nor of timm (convnext_atto, …)"
        )
    if drop_path is not None:
        if "timm_model_name" not in vision:
            raise BadConfiguration(f"drop_path is for towers of timm, {name} has one of open_clip's: set it to null")
        vision["timm_drop_path"] = drop_path
    tower: nn.Module = _build_vision_tower(features or 0, CLIPVisionCfg(**vision), quick_gelu)
    return tower, features or int(tower.trunk.num_features)  # type: ignore[arg-type, union-attr]


def _build_head(kind: str, features: int) -> nn.Module:
    if kind == "linear":
        return nn.Linear(features, DIMENSIONS)
    return nn.Sequential(
        nn.Linear(features, features), nn.BatchNorm1d(features), nn.ReLU(), nn.Linear(features, DIMENSIONS)
    )


def _convnext(tower: nn.Module) -> Any:
    """The timm ConvNeXt inside a tower, or None."""
    return tower.trunk if isinstance(tower, TimmModel) and isinstance(tower.trunk, ConvNeXt) else None


def _shape(tower: nn.Module) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    trunk = _convnext(tower)
    if trunk is None:
        return None
    widths = tuple(stage.blocks[-1].conv_dw.out_channels for stage in trunk.stages)
    return tuple(len(stage.blocks) for stage in trunk.stages), widths


def _before_last_quarter(tower: nn.Module, layers: list[nn.Module]) -> int:
    trunk = _convnext(tower)
    if trunk is None:
        raise BadConfiguration("trainable: last-quarter is defined for ConvNeXt towers; use `all` or `head`")
    blocks = [(stage, block) for stage in trunk.stages for block in stage.blocks]
    stage, first = blocks[-max(1, len(blocks) // 4 - 1)]
    return layers.index(stage.downsample if first is stage.blocks[0] else first)
