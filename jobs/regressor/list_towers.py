"""Writes known_towers.json: every image tower of the installed timm and open_clip, built once to see what it can do.

    python -m jobs.regressor.list_towers    takes some minutes and no memory for weights

Each tower is also cut into layers as its family does, which must hold every parameter once.
"""

from __future__ import annotations

import json
import logging
from importlib.metadata import version
from typing import Any

import open_clip
from timm.layers.drop import DropPath
from timm.layers.hybrid_embed import HybridEmbed
from timm.models import _registry
from torch import nn

from jobs.errors import BadConfiguration
from jobs.regressor.empty_weights import empty_weights
from jobs.regressor.known_towers import FILE, Facts
from jobs.regressor.tower import build_tower, class_of, layers_of

_LIBRARIES = ("open_clip_torch", "timm")


def all_names() -> list[str]:
    """The models of open_clip and timm, also timm's deprecated names, sorted."""
    return sorted({*open_clip.list_models(), *_registry._model_entrypoints})


def versions() -> dict[str, str]:
    """What is installed."""
    return {library: version(library) for library in _LIBRARIES}


def examined(name: str) -> tuple[str, Facts]:
    """The class of a tower and what is known of it; raises whatever building it raises."""
    try:
        tower = _built(name, drop_path=0.5)
        has_drop_path = any(isinstance(module, DropPath) and module.drop_prob for module in tower.modules())
    except (BadConfiguration, TypeError):  # it does not know the argument
        tower, has_drop_path = _built(name), False
    layers_of(tower)  # raises unless the family holds every parameter
    own = open_clip.list_pretrained_tags_by_model(name)
    weights = tuple(tag for tag in own if tag and open_clip.get_pretrained_cfg(name, tag).get("hf_hub"))
    trunk = getattr(tower, "trunk", None)
    facts = Facts(
        drop_path=has_drop_path,
        size=_only_size(trunk),
        pretrained_size=_size_in_config(name) if trunk is None and weights else None,
        weights=weights,
    )
    return class_of(tower), facts


def text(towers: dict[str, dict[str, Facts]], unfit: dict[str, str]) -> str:
    """The file's content, a line for each tower."""
    parts = [f'"versions": {json.dumps(versions())}', f'"unfit": {_lines(unfit)}']
    of_classes = [f'"{class_}": {_lines(_plain(towers[class_]))}' for class_ in sorted(towers)]
    return "{\n" + ",\n".join([*parts, '"towers": {\n' + ",\n".join(of_classes) + "\n}"]) + "\n}\n"


def main() -> None:
    """Examine every tower and write the file."""
    logging.disable(logging.WARNING)
    towers: dict[str, dict[str, Facts]] = {}
    unfit: dict[str, str] = {}
    for name in all_names():
        try:
            class_, facts = examined(name)
        except (AssertionError, TypeError, RuntimeError) as error:
            unfit[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            towers.setdefault(class_, {})[name] = facts
    FILE.write_text(text(towers, unfit))


def _built(name: str, drop_path: float | None = None) -> nn.Module:
    size = _size_in_config(name) if name in open_clip.list_models() else 224
    with empty_weights():
        return build_tower(name, size, drop_path)[0]


def _only_size(trunk: Any) -> int | None:
    """The size that timm's embedding of patches asserts, or that learned positions need."""
    embedding: Any = getattr(trunk, "patch_embed", None)
    if not getattr(embedding, "strict_img_size", False) or embedding.img_size is None:
        return None
    if isinstance(embedding, HybridEmbed) and trunk.pos_embed is None:  # this one asserts nothing
        return None
    return int(embedding.img_size[0])


def _size_in_config(name: str) -> int:
    return int(open_clip.get_model_config(name)["vision_cfg"].get("image_size", 224))


def _plain(facts: dict[str, Facts]) -> dict[str, Any]:
    return {name: one.model_dump(exclude_defaults=True) for name, one in facts.items()}


def _lines(values: dict[str, Any]) -> str:
    return "{\n" + ",\n".join(f'  "{name}": {json.dumps(values[name])}' for name in sorted(values)) + "\n}"


if __name__ == "__main__":
    main()
