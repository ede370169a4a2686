"""Towers of many families of timm and open_clip, cut small and with random weights; the classes are the real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import timm
from open_clip import factory

_VIT: dict[str, Any] = {"img_size": 32, "embed_dim": 16, "depth": 2, "num_heads": 2}
_SWIN: dict[str, Any] = {"img_size": 32, "window_size": 4, "embed_dim": 16, "depths": (2, 2), "num_heads": (1, 2)}

# {family: (the model of timm that is cut, pixels of a side, what is cut)}
_OF_TIMM: Mapping[str, tuple[str, int, dict[str, Any]]] = {
    "beit": ("beit_base_patch16_224", 32, _VIT),
    "beit3": ("beit3_base_patch16_224", 32, _VIT),
    "coat": ("coat_lite_tiny", 64, {"img_size": 64, "embed_dims": (8, 8, 16, 16)}),
    "convit": ("convit_tiny", 32, {"img_size": 32, "embed_dim": 4, "depth": 2, "num_heads": 4, "local_up_to_layer": 1}),
    "convnext": ("test_convnext", 32, {}),
    "deit3": ("deit3_small_patch16_224", 32, _VIT),
    "dinov3": ("vit_small_patch16_dinov3", 32, _VIT),
    "eva with mixed positions": ("vit_base_patch16_rope_mixed_224", 32, _VIT),
    "efficientnet": ("test_efficientnet", 32, {}),
    "eva02": ("eva02_tiny_patch14_224", 32, {**_VIT, "patch_size": 8, "embed_dim": 24}),
    "levit": ("levit_128s", 224, {"embed_dim": (16, 32), "key_dim": 8, "depth": (1, 1), "num_heads": (2, 2)}),
    "maxvit": ("test_maxvit", 64, {"img_size": 64}),
    "nfnet": ("test_nfnet", 32, {}),
    "resnet": ("test_resnet", 32, {}),
    "resnet with blurred pooling": ("resnetblur18", 32, {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}),
    "siglip": ("vit_base_patch16_siglip_gap_224", 32, _VIT),
    "swin": ("swin_tiny_patch4_window7_224", 32, _SWIN),
    "swin v2": ("swinv2_tiny_window8_256", 32, _SWIN),
    "vit": ("test_vit", 32, {"img_size": 32}),
    "vit with relative positions": ("test_vit_relpos", 32, {"img_size": 32}),
}

_SMALL: dict[str, Any] = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 16}
_OF_OPEN_CLIP: Mapping[str, dict[str, Any]] = {
    "vit of open_clip": _SMALL,
    "vit of open_clip with sines": {**_SMALL, "pos_embed_type": "sin_cos_2d", "patch_dropout": 0.5, "pool_type": "avg"},
    "modified resnet of open_clip": {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "patch_size": None},
    "coca of open_clip": {**_SMALL, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True},
    "siglip of open_clip": {"timm_model_name": "tower_siglip", "timm_pool": "map", "timm_proj": "none"},
}

FAMILIES = (*_OF_TIMM, *_OF_OPEN_CLIP)


def tower(family: str) -> tuple[str, int]:
    """The name under which `registered` makes a family's tower known, and the pixels of a side that it takes."""
    return f"tower_{family.replace(' ', '_')}", _OF_TIMM[family][1] if family in _OF_TIMM else 32


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Let timm and open_clip know all these towers by name, open_clip's by configurations put in the folder."""
    for family, (model, _, cut) in _OF_TIMM.items():
        _register_with_timm(tower(family)[0], model, cut)
    folder.mkdir(exist_ok=True)
    for family, vision in _OF_OPEN_CLIP.items():
        name, size = tower(family)
        config = {"embed_dim": 16, "vision_cfg": {"image_size": size, **vision}, "text_cfg": {}}
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    try:
        yield
    finally:
        factory._MODEL_CONFIG_PATHS.remove(folder)
        for family in _OF_OPEN_CLIP:
            factory._MODEL_CONFIGS.pop(tower(family)[0])


def _register_with_timm(name: str, model: str, cut: dict[str, Any]) -> None:
    def create(pretrained: bool = False, **options: Any) -> Any:
        return timm.model_entrypoint(model)(pretrained=pretrained, **{**cut, **options})

    create.__name__ = name
    if not timm.is_model(name):
        timm.models.register_model(create)
