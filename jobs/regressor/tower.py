"""Image towers by name, built with random weights, and the family that knows their layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import cast

import open_clip
import timm
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from open_clip.timm_model import TimmModel
from torch import nn

from jobs.errors import BadConfiguration
from jobs.registry import load
from jobs.regressor.known_towers import FAMILIES, families_own, family_of, unsupported
from jobs.regressor.layer import Layer


def build_tower(model: str, image_size: int, drop_path: float | None = None) -> tuple[nn.Module, int]:
    """The image tower alone, without the text tower, and how many numbers it gives.

    Raises BadConfiguration when neither open_clip nor timm has the model, also after the family that says it has it
    was imported, or when it cannot do what is asked for.
    """
    if model in (own := families_own()):
        load(FAMILIES, own[model], "layers")  # importing it registers the model with timm
    if model in open_clip.list_models():
        config = open_clip.get_model_config(model)
        vision = {**config["vision_cfg"], "image_size": image_size, "timm_model_pretrained": False}
        vision["output_tokens"] = False  # CoCa's towers give their tokens too, which only its text decoder reads
        features: int | None = config["embed_dim"]
        quick_gelu = config.get("quick_gelu", False)
    elif timm.is_model(model):
        vision = {"timm_model_name": model, "timm_pool": "avg", "timm_proj": "none"}
        features, quick_gelu = None, False
    else:
        raise BadConfiguration(
            f"model: {model!r} is neither a model of open_clip (convnext_xxlarge, …) nor of timm (convnext_atto, …)"
        )
    if drop_path is not None:
        if "timm_model_name" not in vision:
            raise BadConfiguration(f"drop_path is for towers of timm, {model} has one of open_clip's: set it to null")
        vision["timm_drop_path"] = drop_path
    tower: nn.Module = _build_vision_tower(features or 0, CLIPVisionCfg(**vision), quick_gelu)
    return tower, features or int(tower.trunk.num_features)  # type: ignore[arg-type, union-attr]


def class_of(tower: nn.Module) -> str:
    """The dotted name of a tower's class: of the model inside it where open_clip adapts one of timm's."""
    class_ = type(tower.trunk if isinstance(tower, TimmModel) else tower)
    return f"{class_.__module__}.{class_.__qualname__}"


def layers_of(tower: nn.Module) -> Callable[[nn.Module], list[Layer]]:
    """How the tower's family cuts it into the layers that together do what its `forward` does.

    Raises BadConfiguration unless each parameter of the tower is in exactly one of them.
    """
    family = family_of(class_of(tower))
    layers = cast(Callable[[nn.Module], list[Layer]], load(FAMILIES, family, "layers"))
    found = Counter(id(parameter) for layer in layers(tower) for parameter in layer.parameters())
    if found != Counter(id(parameter) for parameter in tower.parameters()):
        raise BadConfiguration(f"{FAMILIES}: the layers of the family `{family}` must hold every parameter once")
    return layers


def num_before_last_quarter(tower: nn.Module) -> int:
    """How many layers stay frozen while the last quarter learns; raises BadConfiguration where there is no such."""
    family = family_of(class_of(tower))
    if refusal := unsupported(family, "last-quarter"):
        raise BadConfiguration(f"trainable: {refusal}; use `all` or `head`")
    return int(load(FAMILIES, family, "num_before_last_quarter")(tower))
