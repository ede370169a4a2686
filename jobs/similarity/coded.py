"""Vectors with all that they are compared by: their norms, and their codes on a screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from jobs.similarity.axes import AllCoordinates, first_axes, principal_axes, sample_of
from jobs.similarity.exact import Floats, Rows, scaled, usable
from jobs.similarity.half_screen import HalfScreen
from jobs.similarity.screens import Screen, fastest
from jobs.similarity.widths import best_width

_LARGER_BY = np.float32(1.3)  # of other vectors' coordinates; prompts' are up to 0.30, those of 64 of them up to 0.20


@dataclass(frozen=True, slots=True)
class Coded:
    """n vectors of d numbers."""

    vectors: Floats  # scaled, of shape (n, d)
    norms: Floats  # of shape (n,)
    codes: torch.Tensor  # of shape (n, width)
    slack: Floats  # of shape (n,)

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, rows: slice | Rows) -> Self:
        codes = (
            self.codes[rows] if isinstance(rows, slice) else self.codes[torch.from_numpy(rows).to(self.codes.device)]
        )
        return type(self)(self.vectors[rows], self.norms[rows], codes, self.slack[rows])

    @classmethod
    def of(cls, vectors: Floats, screen: Screen, first_row: int = 0) -> Self:
        """Code vectors, float32 of shape (n, d); raises BadData for one that is zero or not finite."""
        some, norms = scaled(vectors, first_row)
        found = screen.encode(some, norms)
        return cls(some, norms, found.values, found.slack)


def fitted_screen(vectors: Floats, cosine: float | None = None, device: str = "cpu") -> Screen:
    """The fastest screen on the device for vectors like these, float32 of shape (n, d), and pairs at this cosine; at
    that of the closest pairs among them where none is given. Vectors that are zero or not finite are passed over.
    """
    some, norms = scaled(usable(sample_of(vectors)))
    sample = some / norms[:, None]
    axes, screen = principal_axes(sample), fastest() if device == "cpu" else HalfScreen
    return screen(first_axes(axes, best_width(axes, sample, screen.check_cost, cosine)), sample)


def whole_screen(vectors: Floats) -> Screen:
    """The fastest screen of the CPU for whole vectors, which are coded in little time.

    `vectors`, float32 of shape (n, d), show how large coordinates are.
    """
    some, norms = scaled(usable(sample_of(vectors)))
    return fastest()(AllCoordinates(vectors.shape[1]), some * (_LARGER_BY / norms)[:, None])
