"""Principal axes: on the first few of them vectors have most of their length, so few coordinates bound a cosine.

For unit vectors x and y with coordinates a and b on some axes, and lengths r and s of what is left of them beside these
axes, x . y <= a . b + r s (Cauchy and Schwarz). The axes of real prompts' MiniLM vectors: 92 of 384 hold 80 % of the
squared length, and for 7 pairs in 10,000 the bound reaches 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jobs.similarity.exact import Doubles, Floats

SAMPLE = 16_384  # vectors that the axes are fitted to
_UNIT_ROUNDOFF = 2.0**-24  # of float32
_NEARLY = 1e-5


@dataclass(frozen=True, slots=True)
class Axes:
    """Orthonormal axes, float32 of shape (d, p). What vectors they were fitted to is a matter of speed alone."""

    matrix: Floats
    least_left = 0.1  # what is left of some vector is longer, whatever is left of those at hand

    @property
    def count(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def rounding(self) -> float:
        """A bound on the length of the error of a unit vector's coordinates, computed in float32."""
        dimensions, count = self.matrix.shape
        return float(np.sqrt(count) * (dimensions + 8) * _UNIT_ROUNDOFF)

    def project(self, vectors: Floats, norms: Floats) -> tuple[Floats, Floats]:
        """The coordinates of vectors divided by their norms, float32 of shape (n, p), and a bound on the length of what
        is left of them, float32 of shape (n,).
        """
        coordinates = vectors @ self.matrix
        coordinates /= norms[:, None]
        squared = np.einsum("nd,nd->n", coordinates, coordinates)
        return coordinates, np.sqrt(np.maximum(0, 1 + 4 * self.rounding - squared))


@dataclass(frozen=True, slots=True)
class AllCoordinates:
    """The vectors' own coordinates, all of them, in the place of axes: nothing is left beside them."""

    count: int
    least_left = 0.0

    @property
    def rounding(self) -> float:
        """As that of axes: lengths are taken for 1 that are nearly."""
        return _NEARLY + (self.count + 8) * _UNIT_ROUNDOFF

    def project(self, vectors: Floats, norms: Floats) -> tuple[Floats, Floats]:
        """As of axes, but uncopied where nothing changes; what is left has no length."""
        unit = vectors if np.all(np.abs(norms - 1) < _NEARLY) else vectors / norms[:, None]
        return unit, np.zeros(len(vectors), np.float32)


def sample_of(vectors: Floats) -> Floats:
    """At most 16,384 of the vectors, spread evenly."""
    return vectors[:: -(-len(vectors) // SAMPLE)] if len(vectors) else vectors


def principal_axes(sample: Floats) -> Doubles:
    """All principal axes of some unit vectors (about the origin), the longest first; float64 of shape (d, d)."""
    _, axes = np.linalg.eigh(np.asarray(sample.T @ sample, np.float64))
    return np.ascontiguousarray(axes[:, ::-1])


def first_axes(axes: Doubles, count: int) -> Axes:
    """The first axes, turned among themselves so that no coordinate is much larger than the others."""
    rotation, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(count, count)))
    return Axes((axes[:, :count] @ rotation).astype(np.float32))
