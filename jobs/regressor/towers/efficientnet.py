"""EfficientNet (Tan and Le 2019, arXiv:1905.11946) and the like (MobileNetV2, MnasNet, FBNet), as timm has them, inside
open_clip's adapter.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from jobs.regressor.layer import Layer, layer_of

CLASSES = ("timm.models.efficientnet.EfficientNet",)
SUPPORTS = ("last-quarter", "layer_decay")


def layers(tower: Any) -> list[Layer]:
    """The stem, each block, and what follows the blocks.

    Depths go by stages, of which EfficientNet has seven: 0 in the last one and all after it, 1 in the one before it.
    """
    trunk, last = tower.trunk, len(tower.trunk.blocks) - 1

    def stem(images: Tensor) -> Tensor:
        return trunk.bn1(trunk.conv_stem(images))  # type: ignore[no-any-return]

    def pooled(features: Tensor) -> Tensor:
        return tower.head(trunk.forward_head(trunk.bn2(trunk.conv_head(features))))  # type: ignore[no-any-return]

    blocks = [layer_of(block, last - number) for number, stage in enumerate(trunk.blocks) for block in stage]
    after = (trunk.conv_head, trunk.bn2, trunk.global_pool, trunk.classifier, tower.head)
    return [
        Layer(apply=stem, modules=(trunk.conv_stem, trunk.bn1), depth=last + 1),
        *blocks,
        Layer(apply=pooled, modules=after, depth=0),
    ]


def num_before_last_quarter(tower: Any) -> int:
    """The layers before the last quarter of the blocks; at least one block learns.

    Of tf_efficientnet_lite0's 16 blocks the last 4 learn, 2.4 of its 3.4 million parameters.
    """
    blocks = len(layers(tower)) - 2
    return 1 + blocks - max(1, blocks // 4)
