"""The weights of an ensemble, and what it gains: on vectors of which it is known how good they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.errors import Corrupt
from jobs.regressor.ensemble import combine, fit_weights
from jobs.regressor.ensemble_gain import ensemble_record
from jobs.regressor.held_out_vectors import HeldOutVectors, decode_held_out, encode_held_out
from jobs.regressor.metric import cosines, mean_cosine
from jobs.regressor.values import EnsembleRecord, HeldOutRecord
from tests.pictures import unit_vectors

COUNT = 400

Floats = NDArray[np.float64]


def noisy(true: Floats, noise: float, seed: int) -> Floats:
    """Unit vectors as a network would give them that is off by so much in each number."""
    found: Floats = true + noise * np.random.default_rng(seed).standard_normal(true.shape)
    return found / np.linalg.norm(found, axis=1, keepdims=True)  # type: ignore[no-any-return]


@pytest.fixture
def true() -> Floats:
    return unit_vectors(COUNT, seed=99).astype(np.float64)


def test_of_independent_errors_the_weights_are_the_inverse_variances(true: Floats) -> None:
    scales = [1.0, 0.7, 0.5]
    noise = [0.02, 0.03, 0.04]
    random = np.random.default_rng(0)
    members: list[Floats] = [
        scale * (true + error * random.standard_normal(true.shape)) for scale, error in zip(scales, noise, strict=True)
    ]
    known = np.array([1 / (scale * error**2) for scale, error in zip(scales, noise, strict=True)])
    assert fit_weights(members, true) == pytest.approx(known / known.sum(), abs=0.01)


def test_of_two_networks_the_weights_are_those_of_a_search_through_all(true: Floats) -> None:
    for seed, noise in enumerate(((0.03, 0.05), (0.05, 0.04), (0.02, 0.2))):
        members: list[Floats] = [noisy(true, one, seed=10 * seed + number) for number, one in enumerate(noise)]
        grid = np.linspace(0, 1, 201)
        scores = [mean_cosine(combine(members, (weight, 1 - weight))[0], true) for weight in grid]
        weights = fit_weights(members, true)
        assert weights[0] == pytest.approx(grid[np.argmax(scores)], abs=0.003)
        assert mean_cosine(combine(members, weights)[0], true) >= max(scores) - 1e-7


def test_a_network_that_knows_nothing_gets_no_weight_and_one_alone_all_of_it(true: Floats) -> None:
    nothing = unit_vectors(COUNT, seed=7).astype(np.float64)
    members = [noisy(true, 0.03, seed=1), nothing, noisy(true, 0.04, seed=2)]
    weights = fit_weights(members, true)
    assert weights[1] < 0.005
    assert min(weights) >= 0
    assert sum(weights) == pytest.approx(1, abs=1e-9)
    assert [round(weight, 4) for weight in weights] == list(weights)
    assert fit_weights(members[:1], true) == (1.0,)
    assert fit_weights([-true, true], true) == (0.0, 1.0)


def test_lengths_that_say_nothing_make_vectors_that_are_not_normalised_worse(true: Floats) -> None:
    lengths = np.exp(np.random.default_rng(3).normal(3, 1, (2, COUNT)))
    found = record([noisy(true, 0.05, seed=1), noisy(true, 0.05, seed=2)], true, lengths=lengths)
    assert found.normalised.score > found.not_normalised.score
    assert found.normalised.weights == pytest.approx((0.5, 0.5), abs=0.05)
    assert found.normalised.interval
    assert found.normalised.interval[0] > 0


def test_lengths_that_say_how_sure_each_network_is_are_worth_something(true: Floats) -> None:
    """So that the other direction would be seen as well."""
    random = np.random.default_rng(4)
    noise = random.choice([0.01, 0.1], (2, COUNT, 1))
    vectors = [true + one * random.standard_normal(true.shape) for one in noise]
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in vectors]
    found = record(unit, true, lengths=0.01 / noise[:, :, 0])
    assert found.not_normalised.score > found.normalised.score + 0.01


def kept(vectors: Floats, true: Floats, lengths: Floats | None = None) -> HeldOutVectors:
    ones = np.ones(len(true), np.float32)
    own = ones if lengths is None else lengths.astype(np.float32)
    return HeldOutVectors(vectors.astype(np.float32), own, true.astype(np.float32), ones, ones)


def record(members: list[Floats], true: Floats, *, lengths: Floats | None = None, held: int = 200) -> EnsembleRecord:
    """Fitted on the first images, and measured on the others."""
    found = [kept(one, true, None if lengths is None else lengths[number]) for number, one in enumerate(members)]
    splits = {"val": [one.rows(slice(held)) for one in found], "test": [one.rows(slice(held, None)) for one in found]}
    return ensemble_record(["a", "b", "c"][: len(members)], splits, fitted_on="val", checked_on="test")


def test_the_gain_is_against_the_best_member_on_images_that_nothing_was_fitted_on(true: Floats) -> None:
    members = [noisy(true, 0.05, seed=1), noisy(true, 0.04, seed=2)]
    found = record(members, true)
    assert (found.best, found.split, found.images, found.cross_fitted) == ("b", "test", 200, False)
    weights = fit_weights([one[:200] for one in members], true[:200])
    assert found.normalised.weights == weights == tuple(one.weight for one in found.members)
    own = [cosines(one[200:], true[200:]) for one in members]
    together = cosines(combine([one[200:] for one in members], weights)[0], true[200:])
    assert [one.score for one in found.members] == pytest.approx([one.mean() for one in own], abs=2e-6)
    assert found.normalised.score == pytest.approx(together.mean(), abs=2e-6)
    assert found.normalised.gain == pytest.approx((together - own[1]).mean(), abs=2e-6)


def test_without_images_to_check_on_each_is_predicted_with_weights_from_others(true: Floats) -> None:
    found = record([noisy(true, 0.05, seed=1), noisy(true, 0.05, seed=2)], true, held=COUNT)
    assert (found.split, found.images, found.cross_fitted) == ("val", COUNT, True)
    assert found.normalised.gain > 0
    overfitted = [np.concatenate([true[:1], -true[1:2]]), np.concatenate([-true[:1], true[1:2]])]
    assert record(overfitted, true[:2], held=2).normalised.score < 0, "the other image says the contrary"
    assert record(overfitted, true[:2], held=2).normalised.interval is None
    assert record([true[:1], true[:1]], true[:1], held=1).normalised.score == 1


def test_what_is_kept_comes_back_or_is_said_to_be_damaged(true: Floats) -> None:
    found = {"val": kept(true, true), "test": kept(true[:3], true[:3])}
    named = HeldOutRecord(reads={}, keys={"val": tuple(map(str, range(COUNT))), "test": ("a", "b", "c")})
    stored = encode_held_out(found)
    assert stored == encode_held_out(found)
    again = decode_held_out(stored, named)
    assert np.array_equal(again["val"].vectors, found["val"].vectors)
    assert again["test"].lengths.shape == (3,)
    with pytest.raises(Corrupt, match=r"have the shapes .* and not"):
        decode_held_out(stored, HeldOutRecord(reads={}, keys={"val": ("a",)}))
    with pytest.raises(Corrupt, match="no safetensors"):
        decode_held_out(b"x", named)
