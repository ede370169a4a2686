"""The metric itself: 1 minus the mean cosine."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def loss(predicted: Tensor, true: Tensor) -> Tensor:
    """1 - mean cosine of the pairs of rows, between 0 and 2."""
    return 1 - functional.cosine_similarity(predicted, true).mean()
