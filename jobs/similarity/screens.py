"""Screens: low-precision products that are cheap and never say less of a pair than its cosine, by a proven margin.

A vector's code holds its coordinates on a few axes and the length of what is left (jobs/similarity/axes.py), rounded
up. Its slack bounds how much its rounding can lower a product. So a pair can be at a cosine only if its codes' product
is at least `needed(cosine, slack of both)`. Which screen runs decides how long it takes and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from jobs.similarity.axes import AllCoordinates, Axes
from jobs.similarity.exact import Doubles, Floats

_STEPS = (127, 63)  # of 8-bit numbers on either side: the largest whose products are right here


@dataclass(frozen=True, slots=True)
class Codes:
    """Coded vectors: a tensor of shape (n, width), and their slacks, float32 of shape (n,)."""

    values: torch.Tensor
    slack: Floats


class Screen(Protocol):
    """How vectors are coded, and their codes multiplied."""

    name: str
    width: int  # of a code
    check_cost: int  # checking one pair in float32 takes as long as so many multiplications of the screen
    dtype: torch.dtype  # of codes
    product_dtype: torch.dtype
    few_shapes: bool  # whether what is multiplied should have few shapes
    block_rows: int  # vectors that are compared with a tile at once
    tile_rows: int
    device: torch.device

    def encode(self, vectors: Floats, norms: Floats) -> Codes:
        """The codes of vectors divided by their norms, float32 of shape (n, d) and (n,)."""

    def multiply(self, queries: torch.Tensor, known: torch.Tensor, out: torch.Tensor) -> None:
        """The products of all pairs of codes, into `out` of shape (queries, known)."""

    def needed(self, cosine: Doubles, slack: float) -> NDArray[Any]:
        """The product that a pair's codes have at least if its cosine can be that; `slack` is that of both."""


class CpuScreen:
    """What screens of the CPU share: products of 1,024 x 1,024 pairs stay near a processor's second cache."""

    block_rows = tile_rows = 1_024
    device = torch.device("cpu")
    few_shapes = False

    def needed(self, cosine: Doubles, slack: float) -> NDArray[Any]:
        """In float32, as products are."""
        return np.asarray(cosine - slack, np.float32)


class Float32Screen(CpuScreen):
    """The bound in float32: for processors without fast 8-bit products."""

    name = "float32"
    check_cost = 30_000
    dtype = product_dtype = torch.float32

    def __init__(self, axes: Axes | AllCoordinates, sample: Floats) -> None:
        self.axes = axes
        self.width = axes.count + 1

    def encode(self, vectors: Floats, norms: Floats) -> Codes:
        coordinates, left = self.axes.project(vectors, norms)
        values = torch.from_numpy(np.column_stack([coordinates, left]))
        return Codes(values, np.full(len(vectors), 2 * self.axes.rounding, np.float32))

    def multiply(self, queries: torch.Tensor, known: torch.Tensor, out: torch.Tensor) -> None:
        multiply_floats(queries, known, out)


class Int8Screen(CpuScreen):
    """The bound in 8-bit whole numbers, whose products are exact: with VNNI at twice the rate of float32 or more.

    With coordinates a = u q + e for whole numbers q and a common unit u, the product of two vectors is at most
    u^2 q . q' + |e| + |e'| + 3 |e| |e'| + r r', for what is left of length r and r'; and 3 |e| |e'| is at most
    1.5 (|e|^2 + |e'|^2). The length r is one more coordinate, several times where it is longer than 127 u.
    """

    name = "int8"
    check_cost = 72_000
    dtype, product_dtype = torch.int8, torch.int32
    few_shapes = True

    def __init__(self, axes: Axes | AllCoordinates, sample: Floats) -> None:
        """`sample`, unit vectors, shows how large coordinates are; larger ones are cut, at the cost of slack."""
        coordinates, left = axes.project(sample, np.ones(len(sample), np.float32))
        self.steps = right_steps() or _STEPS[-1]
        self.unit = max(float(np.abs(coordinates).max(initial=0.0)), 0.05) / self.steps
        self.copies = int(np.ceil(float(left.max(initial=axes.least_left)) / (self.steps * self.unit)) ** 2)
        self.width = -4 * (-(axes.count + self.copies) // 4)
        self.axes = axes

    def encode(self, vectors: Floats, norms: Floats) -> Codes:
        count = self.axes.count
        coordinates, left = self.axes.project(vectors, norms)
        coordinates = coordinates * np.float32(1 / self.unit)
        rounded = np.rint(coordinates)
        np.clip(rounded, -self.steps, self.steps, out=rounded)
        values = np.zeros((len(vectors), self.width), np.int8)
        values[:, :count] = rounded
        rounded -= coordinates
        error = np.sqrt(np.einsum("nd,nd->n", rounded, rounded)) * (self.unit * 1.001)
        slack = error + 1.5 * error**2 + 4 * self.axes.rounding
        if self.copies:
            step = self.unit * np.sqrt(self.copies)
            length = np.minimum(np.ceil(left / step), self.steps)
            values[:, count : count + self.copies] = length[:, None]
            slack += np.maximum(0, left - length * step) * 1.02
        return Codes(torch.from_numpy(values), slack.astype(np.float32))

    def multiply(self, queries: torch.Tensor, known: torch.Tensor, out: torch.Tensor) -> None:
        torch._int_mm(queries, known.T, out=out)

    def needed(self, cosine: Doubles, slack: float) -> NDArray[Any]:
        return np.clip(np.floor((cosine - slack) / self.unit**2), -(2**31), 2**31 - 1).astype(np.int32)


def fastest() -> type[Float32Screen] | type[Int8Screen]:
    """The fastest screen on this processor."""
    return Int8Screen if int8_is_faster() else Float32Screen


@cache
def int8_is_faster() -> bool:
    """Whether products of 8-bit numbers are right here, and faster than those of float32; tried once, in some
    milliseconds.
    """
    if not right_steps():
        return False
    left, right = (torch.ones((rows, 128), dtype=torch.int8) for rows in (256, 1024))
    floats, out = (left.float(), right.float()), torch.empty((256, 1024))
    found = torch.empty((256, 1024), dtype=torch.int32)
    whole = _seconds(lambda: torch._int_mm(left, right.T, out=found))
    return whole < _seconds(lambda: multiply_floats(*floats, out))


@cache
def right_steps() -> int:
    """How large 8-bit numbers may be on either side for their products to be right here; 0 where they never are.

    Processors without VNNI add two products in 16 bits, where those of numbers up to 127 can overflow.
    """
    return next((steps for steps in _STEPS if _are_right(steps)), 0)


def _are_right(steps: int) -> bool:
    random = np.random.default_rng(0)
    left, right = (
        torch.from_numpy(random.choice(np.array([-steps, steps], np.int8), (rows, 128))) for rows in (256, 1024)
    )
    right[:256] = left
    try:
        found = torch._int_mm(left, right.T)
    except RuntimeError:
        return False
    return torch.equal(found, (left.double() @ right.double().T).int())


def multiply_floats(queries: torch.Tensor, known: torch.Tensor, out: torch.Tensor) -> None:
    """The products of all pairs of rows; numpy's OpenBLAS has kernels for AVX-512 on every processor, torch's MKL uses
    them on Intel's alone (90 against 170 GFLOP/s on an EPYC 9004).
    """
    np.matmul(queries.numpy(), known.numpy().T, out=out.numpy())


def _seconds(function: Callable[[], object]) -> float:
    """The least of five tries."""
    found = []
    for _ in range(5):
        started = time.perf_counter()
        function()
        found.append(time.perf_counter() - started)
    return min(found)
