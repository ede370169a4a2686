"""The competition's metric: the mean over images of the cosine between predicted and true vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def cosines(predicted: ArrayLike, true: ArrayLike) -> NDArray[np.float64]:
    """The cosine of each pair of rows, float64 of shape (n,), for vectors of any length; a zero vector gives 0."""
    left, right = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    norms = np.linalg.norm(left, axis=-1) * np.linalg.norm(right, axis=-1)
    products: NDArray[np.float64] = np.einsum("ij,ij->i", left, right)
    np.divide(products, norms, out=products, where=norms > 0)
    return products


def mean_cosine(predicted: ArrayLike, true: ArrayLike) -> float:
    """The score: mean of `cosines`."""
    return float(cosines(predicted, true).mean())
