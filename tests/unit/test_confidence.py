"""How sure a prediction is: error rates that hold, expected cosines that are never extrapolated, few images."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jobs.contract.reading import TypedSample
from jobs.errors import BadData, Corrupt
from jobs.regressor.confidence import REASONS, Judgement, fit_confidence, judged
from jobs.regressor.conformal import residual_quantiles, upper_limit
from jobs.regressor.feature_statistics import FeatureStatistics, feature_distances, feature_statistics
from jobs.regressor.signals import Signals
from jobs.regressor.values import Confidence
from jobs.shards.tar import Sample

Floats = NDArray[np.float64]


def drawn(count: int, seed: int, noise: float = 0.05) -> tuple[Signals, Floats]:
    """Made-up images, of which the closer and the nearer ones score more."""
    random = np.random.default_rng(seed)
    closest, distance = random.uniform(0.3, 0.9, count), np.exp(random.normal(0, 0.1, count))
    true = 0.4 + 0.4 * closest - 0.3 * np.log(distance) + random.normal(0, noise, count)
    return Signals(closest, distance, random.uniform(5, 30, count)), true


def fitted(count: int = 2_000, seed: int = 0, error_rate: float = 0.02) -> Confidence:
    found, true = drawn(count, seed)
    return fit_confidence(found, true, error_rate=error_rate, feature_images=10)


def judge(confidence: Confidence, closest: float = 0.6, distance: float = 1.0, detail: float = 15) -> Judgement:
    (found,) = judged(confidence, Signals(np.array([closest]), np.array([distance]), np.array([detail])))
    return found


# The conformal rule


@pytest.mark.parametrize("count", [60, 253])
def test_as_many_of_exchangeable_images_are_abstained_as_is_promised(count: int) -> None:
    abstained, promised = [], set()
    for seed in range(200):
        confidence = fitted(count, seed)
        promised.add(confidence.promised_error_rate)
        abstained.append(
            np.mean([one.abstained is not None for one in judged(confidence, drawn(200, 10_000 + seed)[0])])
        )
    (rate,) = promised
    assert 0.8 * rate < np.mean(abstained) < 1.05 * rate


@pytest.mark.parametrize(("count", "promised"), [(1, 1.0), (9, 0.4), (199, 0.02), (253, 4 / 254), (9_999, 0.02)])
def test_what_cannot_be_promised_of_so_few_images_is_not(count: int, promised: float) -> None:
    confidence = fitted(count)
    assert confidence.error_rate == 0.02
    assert confidence.promised_error_rate == pytest.approx(promised, abs=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.floats(0.001, 0.5))
def test_a_limit_is_exceeded_by_as_few_of_the_measured_values_as_it_says(values: list[float], rate: float) -> None:
    limit, kept = upper_limit(np.array(values), rate)
    assert kept <= max(rate, 1 / (len(values) + 1)) + 1e-9
    assert sum(value > limit for value in values) < kept * (len(values) + 1)


def test_intervals_hold_as_many_true_cosines_as_they_say() -> None:
    held = []
    for seed in range(60):
        found, true = drawn(200, 20_000 + seed)
        for one, cosine in zip(judged(fitted(150, seed), found), true, strict=True):
            if one.interval is not None:
                held.append(one.interval[0] <= cosine <= one.interval[1])
    assert 0.89 < np.mean(held) < 0.93


def test_of_too_few_images_an_interval_holds_every_cosine() -> None:
    assert residual_quantiles(np.zeros(18), 0.9) == (-2, 2)
    assert residual_quantiles(np.arange(19.0), 0.9) == (0, 18)
    assert judge(fitted(12)).interval == (-1, 1)


# What is expected


def test_the_expected_cosine_finds_the_relation_through_the_noise() -> None:
    found, _ = drawn(500, 1)
    confidence = fitted(20_000)
    wanted = 0.4 + 0.4 * found.closest_cosine - 0.3 * np.log(found.feature_distance)
    pairs = [
        (one.expected, value)
        for one, value in zip(judged(confidence, found), wanted, strict=True)
        if one.expected is not None
    ]
    assert np.abs(np.subtract(*zip(*pairs, strict=True))).mean() < 0.01


def test_a_closer_prompt_and_a_nearer_image_never_make_it_less() -> None:
    confidence = fitted()
    by_closest = [judge(confidence, closest=one).expected for one in np.linspace(0.35, 0.85, 30)]
    by_distance = [judge(confidence, distance=one).expected for one in np.linspace(1.2, 0.8, 30)]
    for expected in (by_closest, by_distance):
        values = np.array(expected, float)
        assert (np.diff(values) >= 0).all()
        assert values[-1] > values[0] + 0.05


def test_a_signal_that_says_the_opposite_is_left_out() -> None:
    found, true = drawn(500, 3)
    against = Signals(1 - found.closest_cosine, found.feature_distance, found.detail)
    confidence = fit_confidence(against, true, error_rate=0.02, feature_images=10)
    assert confidence.closest_cosine_weight == 0
    assert confidence.log_feature_distance_weight < 0


def test_signals_that_say_nothing_give_the_mean() -> None:
    found, _ = drawn(39, 4)
    true = np.linspace(0.4, 0.8, 39)
    confidence = fit_confidence(found, true, error_rate=0.02, feature_images=10)
    assert len(confidence.expected_cosine) == 1, "of fewer images than two bins have"
    assert judge(confidence).expected == pytest.approx(0.6, abs=1e-6)


@pytest.mark.parametrize(
    ("signals", "reason"),
    [
        ({"distance": 3.0}, REASONS["feature_distance", "above"]),
        ({"closest": 0.1}, REASONS["closest_cosine", "below"]),
        ({"detail": 0.0}, REASONS["detail", "below"]),
        ({"detail": 90.0}, REASONS["detail", "above"]),
        ({"distance": float("nan")}, REASONS["feature_distance", "above"]),
        ({"closest": float("nan"), "detail": 0.0}, REASONS["closest_cosine", "below"]),
        ({"distance": float("inf"), "closest": -1.0}, REASONS["feature_distance", "above"]),
    ],
)
def test_of_what_is_unlike_all_that_was_measured_nothing_is_expected(signals: dict[str, Any], reason: str) -> None:
    assert judge(fitted(), **signals) == Judgement(None, None, reason)


@given(st.floats(-1, 1), st.floats(0, 1e6), st.floats(0, 255))
def test_nothing_outside_of_what_was_measured_is_ever_expected(closest: float, distance: float, detail: float) -> None:
    confidence = fitted(300)
    found = judge(confidence, closest, distance, detail)
    assert (found.expected is None) == (found.interval is None) == (found.abstained is not None)
    if found.expected is not None:
        assert confidence.expected_cosine[0] <= found.expected <= confidence.expected_cosine[-1]


def test_reasons_are_words_that_hold_no_numbers() -> None:
    assert len(set(REASONS.values())) == len(REASONS)
    for reason in REASONS.values():
        assert reason.startswith("unlike anything in training: ")
        assert not any(letter.isdigit() for letter in reason)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 20])
def test_few_images_are_enough_to_say_little(count: int) -> None:
    confidence = fitted(count)
    found = list(judged(confidence, drawn(count, 0)[0]))
    assert all(one.abstained is None for one in found), "each of them was measured"
    assert {one.interval for one in found} == {(-1.0, 1.0)} or count >= 19


# Stored


def test_equal_images_give_equal_bytes() -> None:
    assert fitted(253).encode() == fitted(253).encode()
    confidence = fitted(253)
    assert Confidence.decode(confidence.encode(), "a sample") == confidence


@pytest.mark.parametrize(
    "changed",
    [
        {"trust": []},
        {"trust": [0.2, 0.1], "expected_cosine": [0.5, 0.6]},
        {"trust": [0.1], "expected_cosine": [0.5, 0.6]},
        {"signal_limits": [{"signal": "mood", "beyond": "above", "value": 1.0}]},
        {"residuals": [0.1]},
        {"closest_cosine_weight": -1.0},
        {"unknown": 1},
    ],
)
def test_a_stored_confidence_that_is_none_is_reported(changed: dict[str, Any]) -> None:
    noted = json.dumps({**json.loads(fitted(50).encode()), **changed}).encode()
    with pytest.raises(Corrupt, match="field 'json' of sample confidence is not a Confidence"):
        TypedSample(Sample("confidence", {"json": noted}), Confidence).value  # noqa: B018


# The features


def test_the_distance_is_about_one_for_training_images_and_more_in_directions_that_they_never_take() -> None:
    random = np.random.default_rng(0)
    scales = np.geomspace(10, 0.01, 40)
    features = (random.normal(size=(3_000, 40)) * scales + 5).astype(np.float32)
    statistics = feature_statistics(features)
    assert feature_distances(statistics, features).mean() == pytest.approx(0.85, abs=0.15)
    far = features[:2] + 20 * np.eye(40, dtype=np.float32)[[0, 39]] * scales.max()
    along, across = feature_distances(statistics, far)
    assert across > 5 * along > 5


def test_a_distance_is_what_the_plain_formula_gives() -> None:
    features = np.random.default_rng(1).normal(size=(200, 6)).astype(np.float32)
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    covariance = centred.T @ centred / 200
    shrunk = 0.99 * covariance + 0.01 * np.trace(covariance) / 6 * np.eye(6)
    plain = np.sqrt(np.einsum("ij,jk,ik->i", centred, np.linalg.inv(shrunk), centred) / 6)
    assert feature_distances(feature_statistics(features), features) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("features", [np.ones((1, 5)), np.zeros((7, 5)), np.ones((3, 5))])
def test_features_that_never_vary_have_statistics_too(features: Floats) -> None:
    statistics = feature_statistics(features.astype(np.float32))
    same, other = feature_distances(statistics, np.array([features[0], features[0] + 1], np.float32))
    assert same == pytest.approx(0, abs=1e-6)
    assert other > 1


def test_features_of_another_network_are_bad_data() -> None:
    statistics = feature_statistics(np.ones((4, 5), np.float32))
    with pytest.raises(BadData, match="of 5 features and the network gives 6"):
        feature_distances(statistics, np.ones((1, 6), np.float32))


def test_statistics_are_read_as_they_were_stored_and_anything_else_is_reported() -> None:
    statistics = feature_statistics(np.random.default_rng(1).normal(size=(20, 6)).astype(np.float32))
    stored = statistics.encode()
    assert FeatureStatistics.decode(stored).encode() == stored
    for wrong in (b"", stored[:50], FeatureStatistics(statistics.mean[:3], statistics.whitening).encode()):
        with pytest.raises(Corrupt, match="statistics of features"):
            FeatureStatistics.decode(wrong)
