"""How many axes a screen should look at: with few, many pairs are left to check; with many, a product takes long."""

from __future__ import annotations

import numpy as np

from jobs.similarity.exact import Doubles, Floats

_WIDTHS = (28, 60, 92, 124, 188, 252, 380)  # with the length of what is left and the like, multiples of 32
_PAIRS_OF = 1_024  # vectors; of a million pairs at most some thousands are left
_TYPICAL_SLACK = 0.025


def best_width(axes: Doubles, sample: Floats, check_cost: int, cosine: float | None) -> int:
    """The number of axes with the least work, by trying on pairs of the sample.

    Args:
        axes: all principal axes, of shape (d, d).
        sample: unit vectors, float32 of shape (n, d).
        check_cost: how many multiplications a check of one pair costs.
        cosine: what pairs are looked for; None for each vector's closest.
    """
    dimensions = len(axes)
    some = sample[:: -(-len(sample) // _PAIRS_OF)] if len(sample) else sample
    if len(some) < 2:
        return min(_WIDTHS[0], dimensions)
    coordinates = some @ axes.astype(np.float32)
    squared = np.cumsum(coordinates**2, axis=1)
    if cosine is None:
        exact = some @ some.T
        np.fill_diagonal(exact, -1)
        cosine = float(np.median(exact.max(axis=1)))
    costs = {}
    for width in sorted({min(width, dimensions) for width in _WIDTHS}):
        left = np.sqrt(np.maximum(0, 1 - squared[:, width - 1]))
        bound = coordinates[:, :width] @ coordinates[:, :width].T + np.outer(left, left)
        passing = (np.count_nonzero(bound >= cosine - _TYPICAL_SLACK) - len(some)) / (len(some) * (len(some) - 1))
        costs[width] = width + check_cost * passing
    return min(costs, key=lambda width: costs[width])
