"""The interval of a difference is the paired percentile bootstrap of scipy; too few images give none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import bootstrap

from jobs.regressor.intervals import ENOUGH_IMAGES, interval, paired_difference

Floats = NDArray[np.float64]


def cosines(count: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(3)
    first = random.uniform(0, 1, count)
    return first, first + random.normal(0.01, 0.1, count)


def scipys(first: Floats, second: Floats, *, seed: int, num_resamples: int) -> tuple[float, float]:
    def difference(one: Floats, other: Floats, axis: int) -> Floats:
        found: Floats = other.mean(axis=axis) - one.mean(axis=axis)
        return found

    found = bootstrap(
        (first, second),
        difference,
        paired=True,
        method="percentile",
        n_resamples=num_resamples,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def test_with_the_same_resamples_the_interval_is_scipys() -> None:
    first, second = cosines(300)
    found = paired_difference(first, second, num_resamples=2_000, seed=7)
    assert found.interval == pytest.approx(scipys(first, second, seed=7, num_resamples=2_000), abs=1e-12)
    assert found.mean == pytest.approx(second.mean() - first.mean(), abs=1e-12)
    assert found.samples == 300


def test_with_other_resamples_it_is_scipys_but_for_chance() -> None:
    first, second = cosines(300)
    found = paired_difference(first, second)
    assert found.interval is not None
    low, high = scipys(first, second, seed=1, num_resamples=9_999)
    assert found.interval == pytest.approx((low, high), abs=0.05 * (high - low))


def test_what_makes_an_image_hard_for_both_does_not_widen_the_interval() -> None:
    first, _ = cosines(200)
    found = paired_difference(first, first + 0.01)
    assert found.interval == pytest.approx((0.01, 0.01), abs=1e-12)
    low, high = interval(first, num_resamples=1_000, seed=0)
    assert high - low > 0.05


def test_the_order_decides_the_sign() -> None:
    first, second = cosines(100)
    forth, back = paired_difference(first, second), paired_difference(second, first)
    assert forth.mean is not None and forth.interval is not None
    assert back.mean == pytest.approx(-forth.mean)
    assert back.interval == pytest.approx((-forth.interval[1], -forth.interval[0]))


@pytest.mark.parametrize("count", [1, ENOUGH_IMAGES - 1])
def test_of_few_images_there_is_a_mean_and_no_interval(count: int) -> None:
    found = paired_difference(*cosines(count))
    assert found.mean is not None
    assert found.interval is None


def test_of_no_image_there_is_nothing() -> None:
    found = paired_difference(np.array([]), np.array([]))
    assert (found.samples, found.mean, found.interval) == (0, None, None)


def test_cosines_of_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="same images are required"):
        paired_difference(np.zeros(3), np.zeros(4))
