"""Intervals of mean cosines, and of the difference between two systems on the same images, by the bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
ENOUGH_IMAGES = 20  # of fewer, the interval is too narrow by a tenth or more: no t quantiles, n for n - 1
NUM_RESAMPLES = 5_000  # the ends of an interval of 1,000 cosines then differ by 1 % of its width between seeds


def interval(values: Floats, *, num_resamples: int, seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean by the percentile bootstrap over images (Efron 1979); values of shape (n,)."""
    random = np.random.default_rng(seed)
    count = len(values)
    means = [float(values[random.integers(0, count, count)].mean()) for _ in range(num_resamples)]
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """By how much the second of two systems is better than the first, on the images that both have a cosine for."""

    samples: int
    mean: float | None
    """Mean of second minus first; None where they share no image."""

    interval: tuple[float, float] | None
    """Its 95 % interval; None of fewer than ENOUGH_IMAGES, of which it would be narrower than it says."""


def paired_difference(
    first: Floats, second: Floats, *, num_resamples: int = NUM_RESAMPLES, seed: int = 0
) -> PairedDifference:
    """The mean difference, and its interval by the paired percentile bootstrap; cosines of shape (n,), image by image.

    A resample draws images, and both cosines of each, so what makes an image hard for both does not widen the interval.
    It is `scipy.stats.bootstrap((first, second), …, paired=True, method="percentile")` of the mean difference, with the
    same resamples for an equal seed. Raises ValueError for arrays of different shapes.
    """
    if first.shape != second.shape:
        raise ValueError(f"cosines of the same images are required, given are arrays of {first.shape}, {second.shape}")
    differences = second - first
    samples = len(differences)
    return PairedDifference(
        samples=samples,
        mean=float(differences.mean()) if samples else None,
        interval=interval(differences, num_resamples=num_resamples, seed=seed) if samples >= ENOUGH_IMAGES else None,
    )
