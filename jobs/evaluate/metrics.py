"""The numbers of the report, from cosines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jobs.evaluate.contract import Histogram

Floats = NDArray[np.float64]

_BINS = 40  # of 0.05, from -1 to 1


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
