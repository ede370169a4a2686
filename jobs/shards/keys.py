"""What can be a key; a prompt's key, and what follows from it alone: its split and its image's seed.

Both are functions of the key so that any Pod can redo any one sample, in any order, and get the same answer.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping

KEY_DIGITS = 24  # 96 bits: among 10^9 prompts the chance of one collision is 6e-12
_LONGEST_ID = 80  # bytes that are a key as they are: a tar member's name has 100, the rest is for the field
# What the webdataset library takes for its own does not qualify, nor what is no name in a tar, or no UTF-8.
_KEY = re.compile(r"(?!__)[^./\x00-\x1f\x7f\ud800-\udfff]+")
HASHED = "sha256-"  # what the keys of hashed ids begin with
_ID_DIGITS = 40  # 160 bits: nobody can find two ids that share them, which 96 bits do not promise
_LIKE_HASHED = re.compile(rf"{HASHED}[0-9a-f]{{{_ID_DIGITS}}}")
_SPLITS_IN_ORDER = ("val", "test")
_QUOTED = re.compile("[%./]")
_OF_PROMPT = re.compile(rf"(?<![0-9a-f])[0-9a-f]{{{KEY_DIGITS}}}(?![0-9a-f])")


def normalise(prompt: str) -> str:
    """The prompt as it is stored: NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", prompt).split())


def key_of(prompt: str) -> str:
    """The key of a prompt: the first 24 hexadecimal digits of the SHA-256 of its normalised UTF-8 text."""
    return key_of_normalised(normalise(prompt))


def key_of_normalised(prompt: str) -> str:
    """The same of a prompt that `normalise` returned."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:KEY_DIGITS]


def is_prompt_key(text: str) -> bool:
    """Whether a prompt may have this key."""
    return _OF_PROMPT.fullmatch(text) is not None


def prompt_key_in(text: str) -> str | None:
    """The first key in a text that a prompt may have, as in the name of a file."""
    found = _OF_PROMPT.search(text)
    return found[0] if found else None


def is_key(text: str) -> bool:
    """Whether a shard's samples can have this key: no dot, slash, control character or lone surrogate, no leading `__`.

    The one rule for that; `write_tar` refuses every other key.
    """
    return _KEY.fullmatch(text) is not None


def key_of_id(id_: str) -> str:
    """The key of a sample that somebody else has named: the id with `%2E` for a dot and `%2F` for a slash, or `sha256-`
    and 40 digits of its SHA-256.

    Hashed is an id that still cannot be a key, whose key had more than 80 bytes, or that looks like a hashed one: so
    different ids have different keys, and no id can be chosen to take another's.
    """
    quoted = _QUOTED.sub(lambda found: f"%{ord(found[0]):02X}", id_)
    if is_key(quoted) and len(quoted.encode()) <= _LONGEST_ID and not _LIKE_HASHED.fullmatch(quoted):
        return quoted
    return HASHED + hashlib.sha256(id_.encode(errors="surrogatepass")).hexdigest()[:_ID_DIGITS]


def split_of(key: str, held_out: Mapping[str, float]) -> str:
    """The split of a key: `train`, or one of the held-out splits by their fractions, e.g. {"val": .1, "test": .1}.

    The splits take consecutive parts of [0, 1): val, then test, then any others by name. So adding or resizing a
    later one never moves an earlier one's keys, and the order of the mapping, which JSON does not keep, is no matter.
    """
    position = _hash64("split", key) / 2**64
    for name in sorted(held_out, key=split_rank):
        if position < held_out[name]:
            return name
        position -= held_out[name]
    return "train"


def seed_of(key: str, image: int = 0) -> int:
    """The seed of the `image`-th picture of a prompt, 0 <= seed < 2^63 (what torch.Generator takes)."""
    return _hash64(f"seed/{image}", key) >> 1


def split_rank(split: str) -> tuple[int, str]:
    """What held-out splits are sorted by, wherever their order counts: val, test, then any others by name."""
    known = split in _SPLITS_IN_ORDER
    return (_SPLITS_IN_ORDER.index(split) if known else len(_SPLITS_IN_ORDER)), split


def _hash64(purpose: str, key: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}:{key}".encode()).digest()[:8], "big")
