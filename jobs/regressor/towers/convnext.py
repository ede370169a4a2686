"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545), as timm has it, inside open_clip's adapter."""

from __future__ import annotations

from typing import Any

from torch import nn

from jobs.errors import BadConfiguration
from jobs.regressor.layer import Layer, layer_of

CLASSES = ("timm.models.convnext.ConvNeXt",)
SUPPORTS = ("last-quarter", "layer_decay")

_XXLARGE = ((3, 4, 30, 3), (384, 768, 1536, 3072))  # depths and widths of convnext_xxlarge
_XXLARGE_LAST_QUARTER = 362_840_064  # parameters from stages.2.blocks.24 to the end, out of 846,543,744


def layers(tower: Any) -> list[Layer]:
    """Stem, then of every stage its downsampling and each of its blocks, then what follows the stages.

    Depths go by stages: 0 in the last one and all after it, 1 in the one before it.
    """
    trunk, last = tower.trunk, len(tower.trunk.stages) - 1
    stages = [
        layer_of(module, last - number)
        for number, stage in enumerate(trunk.stages)
        for module in (stage.downsample, *stage.blocks)
    ]
    after = [layer_of(module, 0) for module in (trunk.norm_pre, trunk.head, tower.head)]
    return [layer_of(trunk.stem, last + 1), *stages, *after]


def num_before_last_quarter(tower: Any) -> int:
    """The layers before the last quarter of the blocks, counting what comes after them as one block.

    For convnext_xxlarge 9 of 40 blocks learn: 42.9 % of the parameters, 22.7 % of the compute. Raises
    BadConfiguration when these are not the parameters that the published recipe trained.
    """
    blocks = [(stage, block) for stage in tower.trunk.stages for block in stage.blocks]
    stage, first = blocks[-max(1, len(blocks) // 4 - 1)]
    parts = layers(tower)
    number = _number_of(stage.downsample if first is stage.blocks[0] else first, parts)
    if _shape(tower) == _XXLARGE:
        found = sum(parameter.numel() for layer in parts[number:] for parameter in layer.parameters())
        if found != _XXLARGE_LAST_QUARTER:
            raise BadConfiguration(
                f"the last quarter of convnext_xxlarge should have {_XXLARGE_LAST_QUARTER:,} parameters, with "
                f"these versions of open_clip and timm it has {found:,}: use the pinned ones"
            )
    return number


def _number_of(module: nn.Module, parts: list[Layer]) -> int:
    return next(number for number, layer in enumerate(parts) if module in layer.modules)


def _shape(tower: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    widths = tuple(stage.blocks[-1].conv_dw.out_channels for stage in tower.trunk.stages)
    return tuple(len(stage.blocks) for stage in tower.trunk.stages), widths
