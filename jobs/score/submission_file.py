"""Vectors in the form of the competition: a row `ID_NUMBER,value` for each image and dimension."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.contract.samples import DIMENSIONS
from jobs.errors import BadData

HEADER = ("imgId_eId", "val")

Floats = NDArray[np.float32]


def vectors_in(rows: Iterable[Sequence[str]], path: Path) -> Iterator[tuple[str, Floats]]:
    """The images with their vectors, float32 of shape (384,), from the rows after the header, in any order.

    Raises BadData for a row that is not of this form, and for an image that lacks a number or has one twice.
    """
    found: dict[str, Floats] = {}
    for number, row in enumerate(rows, 1):
        name, _, dimension = row[0].rpartition("_") if len(row) == len(HEADER) else ("", "", "")
        if not (name and dimension.isdecimal() and int(dimension) < DIMENSIONS):
            raise BadData(f"{path}: row {number}: `ID_0,VALUE` to `ID_{DIMENSIONS - 1},VALUE` is required, given {row}")
        vector = found.setdefault(name, np.full(DIMENSIONS, np.nan, np.float32))
        if not math.isnan(vector[int(dimension)]):
            raise BadData(f"{path}: row {number}: {row[0]} stands there twice")
        vector[int(dimension)] = _value(row[1], f"{path}: row {number}")
    for name, vector in found.items():
        if missing := np.flatnonzero(np.isnan(vector)).tolist():
            raise BadData(f"{path}: image {name} lacks {len(missing)} of {DIMENSIONS} rows, first {name}_{missing[0]}")
        yield name, vector


def _value(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadData(f"{where}: a finite number is required, given {text!r}")
    return value
