"""Quantiles whose error rate holds for finite numbers of images: conformal prediction.

V. Vovk, A. Gammerman, G. Shafer, Algorithmic Learning in a Random World (2005); A. Angelopoulos, S. Bates, A Gentle
Introduction to Conformal Prediction (2021). All that is assumed is that the new image is exchangeable with the measured
ones: drawn as they were.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EDGE = 1e-9  # so that 0.02 * 50 is not a little less than 1


def upper_limit(values: Floats, error_rate: float) -> tuple[float, float]:
    """The value that a new one exceeds at most that often, and how often at most it does; values of shape (n,), n >= 1.

    Of n values the k-th largest is exceeded with a probability of at most k / (n + 1). Where even the largest is
    exceeded more often than asked for, it is taken, and the rate that holds is 1 / (n + 1).
    """
    n = len(values)
    k = min(n, max(1, math.floor((n + 1) * error_rate + _EDGE)))
    return float(np.sort(values)[n - k]), k / (n + 1)


def residual_quantiles(residuals: Floats, coverage: float) -> tuple[float, float]:
    """The ends of the interval that holds a new residual with the probability `coverage`, as often below as above.

    An end for which there are too few values is -2 or 2, the largest difference of two cosines.
    """
    n, tail = len(residuals), (1 - coverage) / 2
    k = math.floor((n + 1) * tail + _EDGE)
    if k < 1:
        return -2.0, 2.0
    ordered = np.sort(residuals)
    return float(ordered[k - 1]), float(ordered[n - k])
