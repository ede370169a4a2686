"""Vision transformers: open_clip's own (ViT-L-14), and timm's VisionTransformer and EVA inside open_clip's adapter.

The embedding of the patches is one layer, with the class token, the positions, the dropping of patches and the norm
before the blocks; each block is one; the last norm, pooling and projection are one.

Depths go by layers, as in BEiT (Bao et al. 2022, arXiv:2106.08254; `get_num_layer_for_vit` of its code) and in timm
(`param_groups_layer_decay`): 0 after the blocks, 1 in the last block, and one more than there are blocks in the
embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from open_clip.transformer import VisionTransformer
from timm.models.eva import Eva
from torch import Tensor, nn

from jobs.regressor.layer import Layer

CLASSES = (
    "open_clip.transformer.VisionTransformer",
    "timm.models.eva.Eva",
    "timm.models.vision_transformer.VisionTransformer",
)
SUPPORTS = ("last-quarter", "layer_decay")

_EMBEDDING = ("patch_embed", "pos_drop", "patch_drop", "norm_pre", "rope")  # of timm's, where a tower has them

Rotated = tuple[Tensor, Any]  # tokens, and the rotary positions that every block of EVA takes, or None


def layers(tower: Any) -> list[Layer]:
    """The embedding, the blocks, and what follows them."""
    if isinstance(tower, VisionTransformer):
        return _of_open_clip(tower)
    return _of_eva(tower) if isinstance(tower.trunk, Eva) else _of_timm(tower)


def num_before_last_quarter(tower: Any) -> int:
    """The layers before the last quarter of the blocks, which have equal sizes; at least one block learns."""
    blocks = len(layers(tower)) - 2
    return 1 + blocks - max(1, blocks // 4)


def _of_open_clip(tower: VisionTransformer) -> list[Layer]:
    def pooled(tokens: Tensor) -> Tensor:
        return tower._pool(tokens)[0] @ tower.proj  # type: ignore[no-any-return]

    embedding = (tower.conv1, tower.patch_dropout, tower.ln_pre)
    tokens = (tower.class_embedding, tower.positional_embedding)
    pools = (tower.attn_pool, getattr(tower, "attn_pool_contrastive", None))
    after = (*(pool for pool in pools if pool is not None), tower.ln_post)
    blocks = tower.transformer.resblocks
    return _in_order(
        Layer(apply=tower._embeds, modules=embedding, own=tokens),
        [(block, block) for block in blocks],
        Layer(apply=pooled, modules=after, own=(tower.proj,)),
    )


def _of_timm(tower: Any) -> list[Layer]:
    trunk = tower.trunk

    def embedded(images: Tensor) -> Tensor:
        return trunk.norm_pre(trunk.patch_drop(trunk._pos_embed(trunk.patch_embed(images))))  # type: ignore[no-any-return]

    def pooled(tokens: Tensor) -> Tensor:
        return tower.head(trunk.forward_head(trunk.norm(tokens)))  # type: ignore[no-any-return]

    return _of_adapter(tower, embedded, [(block, block) for block in trunk.blocks], pooled)


def _of_eva(tower: Any) -> list[Layer]:
    trunk = tower.trunk

    def embedded(images: Tensor) -> Rotated:
        tokens, positions = trunk._pos_embed(trunk.patch_embed(images))
        return trunk.norm_pre(tokens), positions

    def applied(number: int, block: nn.Module) -> Callable[[Rotated], Rotated]:
        def apply(rotated: Rotated) -> Rotated:
            tokens, positions = rotated
            of_each = trunk.rope_mixed and positions is not None  # then every block has positions of its own
            return block(tokens, rope=positions[number] if of_each else positions), positions

        return apply

    def pooled(rotated: Rotated) -> Tensor:
        return tower.head(trunk.forward_head(trunk.norm(rotated[0])))  # type: ignore[no-any-return]

    blocks = [(applied(number, block), block) for number, block in enumerate(trunk.blocks)]
    return _of_adapter(tower, embedded, blocks, pooled)


def _of_adapter(
    tower: Any,
    embedded: Callable[[Tensor], Any],
    blocks: Sequence[tuple[Callable[[Any], Any], nn.Module]],
    pooled: Callable[[Any], Tensor],
) -> list[Layer]:
    children = dict(tower.trunk.named_children())
    embedding = tuple(children.pop(name) for name in _EMBEDDING if name in children)
    tokens = tuple(tower.trunk.parameters(recurse=False))  # class token, registers, positions
    del children["blocks"]
    return _in_order(
        Layer(apply=embedded, modules=embedding, own=tokens),
        blocks,
        Layer(apply=pooled, modules=(*children.values(), tower.head)),
    )


def _in_order(embedding: Layer, blocks: Sequence[tuple[Callable[[Any], Any], nn.Module]], after: Layer) -> list[Layer]:
    """The layers with their depths."""
    count = len(blocks)
    return [
        replace(embedding, depth=count + 1),
        *(Layer(apply=apply, modules=(block,), depth=count - number) for number, (apply, block) in enumerate(blocks)),
        replace(after, depth=0),
    ]
