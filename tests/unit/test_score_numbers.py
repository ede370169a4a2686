"""The numbers of a score are those that numpy gives; pairs without a prediction and abstentions are counted as said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jobs.score.confidence import confidence_of
from jobs.score.measuring import difference, measured
from jobs.score.pairs import Pair
from jobs.score.systems import System

COUNT = 60


def unit(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, 384))
    made: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


TRUE = unit(COUNT, 0)
PAIRS = [
    Pair((0, 0, row), f"{row}.png", " ".join(["word"] * (1 + row % 12)), ("even", "odd")[row % 2])
    for row in range(COUNT)
]


def system(name: str = "a", noise: float = 1.0, **changes: Any) -> System:
    made = System.empty(name, COUNT)
    made.vectors[:] = 3 * (TRUE + noise * unit(COUNT, 1))
    made.predicted[:] = True
    for member, value in changes.items():
        setattr(made, member, value)
    return made


def plain(made: System) -> np.ndarray:
    one, other = made.vectors.astype(np.float64), TRUE.astype(np.float64)
    found: np.ndarray = (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    return found


def test_the_score_is_numpys_mean_cosine() -> None:
    made = system()
    found = measured(made, TRUE, PAIRS)
    assert found.score == pytest.approx(plain(made).mean(), abs=1e-9)
    assert found.interval is not None and found.score is not None
    assert found.interval[0] < found.score < found.interval[1]
    assert found.cosines == pytest.approx(plain(made), abs=1e-9)
    assert found.best == np.argsort(-plain(made))[:8].tolist()
    assert found.worst == np.argsort(plain(made))[:8].tolist()


def test_pairs_without_a_prediction_do_not_enter_the_score() -> None:
    made = system()
    made.predicted[::3] = False
    found = measured(made, TRUE, PAIRS)
    assert (found.samples, found.unpredicted) == (40, 20)
    assert found.score == pytest.approx(plain(made)[made.predicted].mean(), abs=1e-9)
    assert np.isnan(found.cosines[::3]).all()
    assert set(found.best).isdisjoint(range(0, COUNT, 3))


def test_a_system_without_any_prediction_has_no_score() -> None:
    found = measured(System.empty("a", COUNT), TRUE, PAIRS)
    assert (found.score, found.interval, found.samples, found.baselines) == (None, None, 0, {})


def test_abstentions_count_in_the_score_and_those_answered_have_their_own() -> None:
    made = system(abstained=["unlike" if row < 30 else None for row in range(COUNT)])
    found = measured(made, TRUE, PAIRS)
    assert found.abstained == 30
    assert found.score == pytest.approx(plain(made).mean(), abs=1e-9)
    assert found.answered.samples == 30
    assert found.answered.score == pytest.approx(plain(made)[30:].mean(), abs=1e-9)


def test_parts_are_those_of_their_pairs() -> None:
    made = system()
    found = measured(made, TRUE, PAIRS)
    assert [(one.name, one.samples) for one in found.by_source] == [("even", 30), ("odd", 30)]
    assert found.by_source[1].score == pytest.approx(plain(made)[1::2].mean(), abs=1e-9)
    lengths = np.array([pair.words for pair in PAIRS])
    assert [one.name for one in found.by_words] == ["1 to 5 words", "6 to 10 words", "11 to 20 words"]
    assert found.by_words[2].score == pytest.approx(plain(made)[lengths > 10].mean(), abs=1e-9)
    assert found.by_words[2].interval is None, "of 10 pairs it would be too narrow"
    assert found.by_words[0].interval is not None


def test_the_baselines_look_at_no_image_and_at_no_true_vector() -> None:
    mean = unit(1, 9)[0]
    made = system(training_mean=mean)
    found = measured(made, TRUE, PAIRS)
    assert found.baselines["constant"] == pytest.approx((TRUE @ mean).mean(), abs=1e-6)
    own = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    others = [np.delete(own, row, axis=0).mean(axis=0) for row in range(COUNT)]
    expected = np.mean([one @ true / np.linalg.norm(one) for one, true in zip(others, TRUE, strict=True)])
    assert found.baselines["mean_prediction"] == pytest.approx(expected, abs=1e-6)
    assert found.score is not None
    for name, (low, high) in found.above_baselines.items():
        assert low < found.score - found.baselines[name] < high
    assert "constant" not in measured(system(), TRUE, PAIRS).baselines, "nobody knows what it was trained with"


def test_the_difference_is_that_of_pairs_that_both_predicted() -> None:
    first, second = system("a", 1.0), system("b", 0.5)
    first.predicted[:10] = False
    second.predicted[-10:] = False
    found = difference(measured(first, TRUE, PAIRS), measured(second, TRUE, PAIRS))
    assert found.samples == 40
    assert found.mean == pytest.approx((plain(second) - plain(first))[10:-10].mean(), abs=1e-9)
    assert found.interval is not None and found.interval[0] > 0


# ---- confidence -----------------------------------------------------------------------------------------------------


def flags(value: bool, count: int = 100) -> np.ndarray:
    return np.full(count, value)


def test_a_system_that_is_right_about_itself_has_no_calibration_error() -> None:
    cosines = np.random.default_rng(0).uniform(0, 1, 100)
    found = confidence_of(cosines, cosines, flags(True), flags(False))
    assert found is not None
    assert (found.calibration_error, found.mean_absolute_error, found.bias) == pytest.approx((0, 0, 0))
    risks = [point.risk for point in found.coverage]
    assert risks == sorted(risks)
    assert found.coverage[-1].risk == pytest.approx(1 - cosines.mean())
    assert found.coverage[0].risk == pytest.approx(1 - np.sort(cosines)[-10:].mean())
    assert [point.coverage for point in found.coverage] == pytest.approx(np.arange(1, 11) / 10)


def test_a_system_that_promises_too_much_is_off_by_that() -> None:
    cosines = np.random.default_rng(0).uniform(0, 0.5, 100)
    found = confidence_of(cosines, cosines + 0.3, flags(True), flags(False))
    assert found is not None
    assert (found.calibration_error, found.mean_absolute_error, found.bias) == pytest.approx((0.3, 0.3, 0.3))


def test_the_error_is_that_of_bins_as_computed_plainly() -> None:
    random = np.random.default_rng(1)
    cosines, expected = random.uniform(0, 1, 105), random.uniform(0, 1, 105)
    found = confidence_of(cosines, expected, flags(True, 105), flags(False, 105))
    bins = np.array_split(np.argsort(expected), 10)
    assert found is not None
    assert {one.samples for one in found.bins} == {10, 11}
    assert sum(one.samples for one in found.bins) == 105
    errors = [len(rows) * abs(expected[rows].mean() - cosines[rows].mean()) for rows in bins]
    assert found.calibration_error == pytest.approx(sum(errors) / 105)


def test_what_is_abstained_from_is_in_no_part_of_the_covered() -> None:
    cosines = np.linspace(0, 1, 100)
    expected = np.where(cosines < 0.5, np.nan, cosines)
    found = confidence_of(cosines, expected, flags(True), cosines < 0.5)
    assert found is not None
    assert found.samples == 50
    assert found.coverage[-1].coverage == 0.5
    assert confidence_of(cosines, np.full(100, np.nan), flags(True), flags(False)) is None
