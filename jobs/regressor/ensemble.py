"""The weights with which several networks' vectors are averaged, fitted on held-out images. With numpy alone.

A weighted mean of unit vectors, normalised again. The weights, none of which is negative, maximise the mean cosine to
the true vectors over the images that they are fitted on, by exponentiated gradient steps (Kivinen and Warmuth 1997)
from equal weights: a fixed number of them, in float64 and rounded at the end, so that machines agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = tuple[float, ...]

DECIMALS = 4  # of a weight; 0.0001 more or less changes no cosine by more than that
_STEPS = 2_000
_RATE = 2.0  # a mean cosine's second derivatives are below 1, so that no step goes beyond the maximum
_LEAST = 1e-12  # in place of lengths of 0


def fit_weights(vectors: Sequence[NDArray[np.floating]], true: NDArray[np.floating]) -> Weights:
    """The weights of K >= 1 networks for their vectors of n >= 1 images, arrays of shape (n, 384), of any lengths.

    They are not negative, and their sum is 1. Of vectors that are not normalised, the weights are for them as they are:
    steps are made for vectors of equal mean length, or those of a network with long ones would be too large.
    """
    if len(vectors) == 1:
        return (1.0,)
    given = np.stack([np.asarray(one, np.float64) for one in vectors], axis=1)
    scales = np.maximum(np.linalg.norm(given, axis=2).mean(axis=0), _LEAST)
    given /= scales[:, None]
    found = _fit(np.einsum("nki,nli->kln", given, given), np.einsum("nki,ni->kn", given, _unit(true))) / scales
    return _rounded(found / found.sum())


def combine(vectors: Sequence[NDArray[np.floating]], weights: Sequence[float]) -> tuple[Floats, Floats]:
    """The weighted means of K networks' vectors as unit vectors, and their lengths before that.

    Vectors are of shape (n, 384), the results float64 of shape (n, 384) and (n,).
    """
    total = sum(weight * np.asarray(one, np.float64) for weight, one in zip(weights, vectors, strict=True))
    lengths: Floats = np.linalg.norm(total, axis=1)
    unit: Floats = total / np.maximum(lengths, _LEAST)[:, None]
    return unit, lengths


def _fit(gram: Floats, to_true: Floats) -> Floats:
    """The weights for Gram matrices of shape (K, K, n) and products with the true unit vectors of shape (K, n)."""
    count = len(to_true)
    flat = gram.reshape(count, -1)  # the product with the weights is a tenth of a millisecond then, of 5,000 images
    weights = np.full(count, 1 / count)
    for _ in range(_STEPS):
        products = (weights @ flat).reshape(count, -1)
        inverse = 1 / np.sqrt(np.maximum(weights @ products, _LEAST))
        cosines = (weights @ to_true) * inverse
        gradient = (to_true @ inverse - products @ (cosines * inverse**2)) / len(inverse)
        weights = weights * np.exp(_RATE * (gradient - gradient.max()))
        weights /= weights.sum()
    return weights


def _rounded(weights: Floats) -> Weights:
    """With so few decimals, and a sum of 1, for which the largest makes up."""
    found = [round(float(weight), DECIMALS) for weight in weights]
    largest = int(np.argmax(found))
    found[largest] = round(1 - sum(weight for number, weight in enumerate(found) if number != largest), DECIMALS)
    return tuple(found)


def _unit(vectors: NDArray[np.floating]) -> Floats:
    given = np.asarray(vectors, np.float64)
    unit: Floats = given / np.maximum(np.linalg.norm(given, axis=1, keepdims=True), _LEAST)
    return unit
