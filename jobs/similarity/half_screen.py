"""The screen of a GPU: the bound in float16 for tiles of millions of pairs, then the vectors in float16 for a check.

All of it stays on the device; only the pairs that pass both come back, to be decided in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.similarity.axes import Axes
from jobs.similarity.exact import Doubles, Floats, Rows
from jobs.similarity.screens import Codes

_ROUNDING = 2.0**-11  # of float16, of each factor and of a product of at most 1
_GROUP = 64  # products whose largest is looked at first: so all products are read once, not three times
_CHECKED_AT_ONCE = 1 << 20  # pairs; 1.6 GB of float16, and again 3.2 GB as float32


class HalfScreen:
    """A code is the coordinates and the length of what is left, then the whole unit vector; 2 (p + 1 + d) bytes."""

    check_cost = 120_000
    dtype = product_dtype = torch.float16
    few_shapes = True
    block_rows, tile_rows = 8_192, 16_384  # 270 MB of products: starting a kernel takes as long as 30 MB

    def __init__(self, axes: Axes, sample: Floats, device: str = "cuda") -> None:
        self.axes = axes
        self.device = torch.device(device)
        self.name = f"float16 on {device}"
        self._bound = axes.count + 1
        self.width = self._bound + axes.matrix.shape[0]
        if self.device.type == "cuda":  # else sums may be kept in float16
            torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False

    def encode(self, vectors: Floats, norms: Floats) -> Codes:
        coordinates, left = self.axes.project(vectors, norms)
        values = torch.from_numpy(np.column_stack([coordinates, left, vectors / norms[:, None]]))
        slack = np.full(len(vectors), 2 * self.axes.rounding + 2 * _ROUNDING, np.float32)
        return Codes(values.to(self.device, torch.float16), slack)

    def multiply(self, queries: torch.Tensor, known: torch.Tensor, out: torch.Tensor) -> None:
        torch.mm(queries[:, : self._bound], known[:, : self._bound].T, out=out)

    def needed(self, cosine: Doubles, slack: float) -> NDArray[Any]:
        return np.asarray(cosine - slack, np.float32)

    def passing(self, queries: torch.Tensor, known: torch.Tensor, level: Doubles, slack: float) -> tuple[Rows, Rows]:
        """The pairs that can be at the level, row by row: by the bound, and then by the vectors in float16."""
        levels = np.full((len(queries), 1), 2, np.float32)  # rows beyond the block's have none
        some = slice(None) if level.ndim == 0 else slice(len(level))
        levels[some] = self.needed(level, slack)
        needed = torch.from_numpy(levels).to(self.device)
        products = torch.empty((len(queries), len(known)), dtype=self.product_dtype, device=self.device)
        self.multiply(queries, known, products)
        grouped = products.view(len(queries), -1, _GROUP)
        rows, groups = torch.nonzero(grouped.amax(dim=2) >= needed, as_tuple=True)
        which, columns = torch.nonzero(grouped[rows, groups] >= needed[rows], as_tuple=True)
        rows, others = rows[which], groups[which] * _GROUP + columns
        checked = needed - 1e-3  # the vectors' own rounding, in both of them
        passing = [
            torch.nonzero(self._products(queries, known, rows[some], others[some]) >= checked[rows[some], 0])[:, 0]
            + some.start
            for some in (slice(start, start + _CHECKED_AT_ONCE) for start in range(0, len(rows), _CHECKED_AT_ONCE))
        ]
        kept = torch.cat(passing) if passing else rows[:0]
        return rows[kept].cpu().numpy(), others[kept].cpu().numpy()

    def _products(
        self, queries: torch.Tensor, known: torch.Tensor, rows: torch.Tensor, others: torch.Tensor
    ) -> torch.Tensor:
        left, right = queries[:, self._bound :][rows], known[:, self._bound :][others]
        return torch.einsum("nd,nd->n", left.float(), right.float())
