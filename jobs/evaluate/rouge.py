"""Word overlap of two texts."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+")


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L: the F1 of the longest common subsequence of words in lower case (Lin 2004), 0 to 1."""
    left, right = (_WORD.findall(one.lower()) for one in (text, reference))
    lengths = [0] * (len(right) + 1)
    for word in left:
        diagonal = 0
        for at, other in enumerate(right, 1):
            longer = diagonal + 1 if word == other else max(lengths[at], lengths[at - 1])
            diagonal, lengths[at] = lengths[at], longer
    return 2 * lengths[-1] / max(1, len(left) + len(right))
