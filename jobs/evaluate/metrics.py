"""The numbers of the report, from cosines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.contract import Histogram

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
ENOUGH_IMAGES = 20  # of fewer, the interval is too narrow by a tenth or more: no t quantiles, n for n - 1
_BINS = 40  # of 0.05, from -1 to 1


def interval(values: Floats, *, num_resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean by the percentile bootstrap over images (Efron 1979); values of shape (n,)."""
    random = np.random.default_rng(seed)
    count = len(values)
    means = [float(values[random.integers(0, count, count)].mean()) for _ in range(num_resamples)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def histogram(*, model: Floats, constant: Floats, nearest_neighbour: Floats) -> Histogram:
    """Counts of cosines, arrays of shape (n,), in bins of 0.05."""
    edges = np.linspace(-1, 1, _BINS + 1).round(2)

    def counts(cosines: Floats) -> tuple[int, ...]:
        return tuple(np.histogram(np.clip(cosines, -1, 1), edges)[0].tolist())

    return Histogram(
        edges=tuple(edges.tolist()),
        model=counts(model),
        constant=counts(constant),
        nearest_neighbour=counts(nearest_neighbour),
    )
