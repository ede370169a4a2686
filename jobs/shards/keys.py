"""A prompt's key, and what follows from it alone: its split and its image's seed.

Both are functions of the key so that any Pod can redo any one sample, in any order, and get the same answer.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping

KEY_DIGITS = 24  # 96 bits: among 10^9 prompts the chance of one collision is 6e-12
_SPLITS_IN_ORDER = ("val", "test")


def normalise(prompt: str) -> str:
    """The prompt as it is stored: NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def key_of(prompt: str) -> str:
    """The key of a prompt: the first 24 hexadecimal digits of the SHA-256 of its normalised UTF-8 text."""
    return hashlib.sha256(normalise(prompt).encode()).hexdigest()[:KEY_DIGITS]


def split_of(key: str, held_out: Mapping[str, float]) -> str:
    """The split of a key: `train`, or one of the held-out splits by their fractions, e.g. {"val": .1, "test": .1}.

    The splits take consecutive parts of [0, 1): val, then test, then any others by name. So adding or resizing a
    later one never moves an earlier one's keys, and the order of the mapping, which JSON does not keep, is no matter.
    """
    position = _hash64("split", key) / 2**64
    for name in sorted(held_out, key=_place):
        if position < held_out[name]:
            return name
        position -= held_out[name]
    return "train"


def seed_of(key: str, image: int = 0) -> int:
    """The seed of the `image`-th picture of a prompt, 0 <= seed < 2^63 (what torch.Generator takes)."""
    return _hash64(f"seed/{image}", key) >> 1


def _place(split: str) -> tuple[int, str]:
    known = split in _SPLITS_IN_ORDER
    return (_SPLITS_IN_ORDER.index(split) if known else len(_SPLITS_IN_ORDER)), split


def _hash64(purpose: str, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{key}".encode()).digest()[:8], "big")
