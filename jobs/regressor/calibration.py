"""How sure a prediction is: a rising map from its cosine to the closest known prompt, to the cosine it will score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from jobs.regressor.values import Calibration

Floats = NDArray[np.float64]

_BINS = 32  # quantiles first, so that no knot rests on a handful of images


def fit(closest_cosines: Floats, true_cosines: Floats) -> Calibration:
    """The knots of the map, from held-out images of which both are known; both arrays of shape (n,), n >= 1.

    Means of quantile bins made monotone by pooling adjacent violators (Ayer et al. 1955), joined by straight lines.
    """
    order = np.argsort(closest_cosines, kind="stable")
    blocks: list[tuple[float, float, int]] = []  # mean cosine to the closest prompt, mean true cosine, images
    for bin_ in np.array_split(order, min(_BINS, len(order))):
        blocks.append((float(closest_cosines[bin_].mean()), float(true_cosines[bin_].mean()), len(bin_)))
        while len(blocks) > 1 and (blocks[-2][1] >= blocks[-1][1] or blocks[-2][0] >= blocks[-1][0]):
            (x1, y1, n1), (x2, y2, n2) = blocks[-2:]
            n = n1 + n2
            blocks[-2:] = [((x1 * n1 + x2 * n2) / n, (y1 * n1 + y2 * n2) / n, n)]
    return Calibration(closest_cosine=[block[0] for block in blocks], expected_cosine=[block[1] for block in blocks])


def expected(knots: Calibration, closest_cosines: NDArray[np.float32]) -> Floats:
    """The expected cosine for each prediction's cosine to its closest training prompt; flat beyond the knots."""
    between: Floats = np.interp(closest_cosines, knots.closest_cosine, knots.expected_cosine)
    return between
