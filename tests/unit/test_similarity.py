"""Comparisons are exact on every screen: no pair at a level is missed, and the closest are the closest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import BadData
from jobs.similarity import coded, exact, screens
from jobs.similarity.axes import AllCoordinates, first_axes, principal_axes
from jobs.similarity.closest import AnyIndex, closest, closest_in, index_of
from jobs.similarity.coded import Coded, fitted_screen
from jobs.similarity.exact import Floats, cosines_of, products, scaled
from jobs.similarity.faiss_index import FaissIndex
from jobs.similarity.half_screen import HalfScreen
from jobs.similarity.screens import Float32Screen, Int8Screen, Screen
from jobs.similarity.search import positions_of_true, searching
from jobs.similarity.tile import Tile
from jobs.similarity.vector_index import VectorIndex
from jobs.similarity.widths import best_width

SCREENS = ["int8", "float32", "whole int8", "whole float32", "half"]

WHOLE: dict[str, type[Int8Screen] | type[Float32Screen]] = {"whole int8": Int8Screen, "whole float32": Float32Screen}


def clustered(seed: int, rows: int, dimensions: int = 48) -> Floats:
    """Vectors around a few centres, of very different lengths."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // 8), dimensions)) * np.geomspace(1, 0.05, dimensions)
    noise = random.normal(size=(rows, dimensions)) * random.uniform(0, 0.4, size=(rows, 1))
    vectors = (centres[random.integers(len(centres), size=rows)] + noise) * random.uniform(0.01, 100, size=(rows, 1))
    return vectors.astype(np.float32)


def unit(vectors: Floats) -> Floats:
    """The vectors divided by their lengths."""
    found: Floats = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return found.astype(np.float32)


def screen_of(name: str, vectors: Floats, count: int = 12) -> Screen:
    sample = unit(vectors[: len(vectors) // 2 + 1])  # the rest is not what it was fitted to
    if name in WHOLE:
        return WHOLE[name](AllCoordinates(vectors.shape[1]), sample)
    axes = first_axes(principal_axes(sample), min(count, vectors.shape[1]))
    if name == "half":
        screen = HalfScreen(axes, sample, "cpu")
        screen.block_rows = screen.tile_rows = 1_024
        return screen
    return (Int8Screen if name == "int8" else Float32Screen)(axes, sample)


def exact_cosines(left: Floats, right: Floats) -> Any:
    one, other = left.astype(np.float64), right.astype(np.float64)
    norms = np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    return one @ other.T / norms


@pytest.mark.parametrize("name", SCREENS)
@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    level=st.floats(-0.5, 0.999),
    count=st.integers(1, 60),
    scale=st.sampled_from([1, 1e18]),
)
def test_no_pair_at_the_level_is_missed(name: str, seed: int, level: float, count: int, scale: float) -> None:
    vectors, queries = clustered(seed, 300), clustered(seed, 70)[::-1]
    vectors[17] *= np.float32(scale)
    screen = screen_of(name, vectors, count)
    index = VectorIndex(screen, vectors.shape[1])
    index.extend(vectors)
    block = Tile.of(Coded.of(queries, screen), screen)
    with searching(screen, threads=2) as search:
        pairs = list(search.pairs(block, index.tiles(), np.array(level)))
    found = {
        (row, other): cosine
        for one in pairs
        for row, other, cosine in zip(one.rows.tolist(), one.others.tolist(), one.cosines.tolist(), strict=True)
    }
    cosines = exact_cosines(queries, vectors)
    assert {tuple(pair) for pair in np.argwhere(cosines >= level + 1e-12).tolist()} <= found.keys()
    assert all(cosine == pytest.approx(cosines[pair], abs=1e-12) for pair, cosine in found.items())
    assert min(found.values(), default=1) >= level - (0.01 if name == "half" else 2e-4)


@pytest.mark.parametrize("name", SCREENS)
def test_codes_never_say_less_of_a_pair_than_its_cosine(name: str) -> None:
    vectors = np.concatenate([clustered(1, 400), np.eye(48, dtype=np.float32), -np.eye(48, dtype=np.float32)])
    screen = screen_of(name, vectors[:100])
    codes = Coded.of(vectors, screen)
    out = torch.empty((len(vectors), len(vectors)), dtype=screen.product_dtype)
    screen.multiply(codes.codes, codes.codes, out)
    cosines = exact_cosines(vectors, vectors)
    slack = codes.slack[:, None].astype(np.float64) + codes.slack
    needed = np.array(
        [
            [screen.needed(np.array(c), float(s)) for c, s in zip(*row, strict=True)]
            for row in zip(cosines, slack, strict=True)
        ]
    )
    assert (out.numpy() >= needed).all()


@pytest.fixture
def untried() -> Iterator[None]:
    """What is right and fast here is tried anew."""
    for tried in (screens.int8_is_faster, screens.right_steps):
        tried.cache_clear()
    yield
    for tried in (screens.int8_is_faster, screens.right_steps):
        tried.cache_clear()


@pytest.mark.usefixtures("untried")
def test_where_two_products_overflow_16_bits_smaller_numbers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_pairs(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        terms = (left.float() + 128)[:, None] * right.T.float()  # unsigned times signed, as the instruction takes them
        in_16_bits = terms.view(len(left), -1, 64, 2).sum(3).clip(-(2**15), 2**15 - 1)
        return (in_16_bits.sum(2) - 128 * right.float().sum(0)).int()

    monkeypatch.setattr(torch, "_int_mm", in_pairs)
    assert screens.right_steps() == 63
    vectors = clustered(13, 200)
    codes = screen_of("int8", vectors).encode(unit(vectors), np.ones(200, np.float32)).values
    assert codes.abs().max() == 63


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize("wrong", [True, False])
def test_without_products_of_8_bit_numbers_they_are_of_float32(monkeypatch: pytest.MonkeyPatch, wrong: bool) -> None:
    def fail(*_: object, **__: object) -> torch.Tensor:
        if wrong:
            return torch.full((256, 1024), 32767, dtype=torch.int32)
        raise RuntimeError("not implemented")

    monkeypatch.setattr(torch, "_int_mm", fail)
    assert screens.fastest() is Float32Screen


def test_more_axes_are_looked_at_where_a_check_costs_more() -> None:
    sample = unit(clustered(3, 600, dimensions=300))
    axes = principal_axes(sample)
    few, many = (best_width(axes, sample, cost, 0.8) for cost in (1, 10_000_000))
    assert few < many <= 300


def test_a_product_is_the_same_in_any_company_and_right() -> None:
    left, right = clustered(5, 700, dimensions=383), clustered(6, 700, dimensions=383)
    together = products(left, right)
    assert [float(products(left[row : row + 1], right[row : row + 1])[0]) for row in range(9)] == together[:9].tolist()
    assert np.allclose(together, np.einsum("nd,nd->n", left.astype(np.float64), right.astype(np.float64)))
    rows = np.arange(700)
    assert cosines_of(left, rows, left, rows).tolist() == [1.0] * 700


def test_scaling_changes_no_cosine_and_refuses_what_has_none() -> None:
    vectors = clustered(7, 50)
    vectors[3], vectors[4] = vectors[3] * np.float32(1e30), vectors[4] * np.float32(1e-30)
    found, norms = scaled(vectors)
    assert ((norms >= 0.5) & (norms < 2)).all()
    assert np.allclose(exact_cosines(found, vectors).diagonal(), 1, atol=1e-12)
    assert scaled(unit(vectors))[0] is not None
    for bad in (0, np.nan, np.inf):
        vectors[21] = bad
        with pytest.raises(BadData, match="row 1021"):
            scaled(vectors, 1000)


def test_what_is_true_is_found_whatever_the_shape() -> None:
    random = np.random.default_rng(0)
    for shape in ((64, 1024), (3, 5), (1, 1), (7, 129)):
        mask = random.random(shape) < 0.1
        assert [one.tolist() for one in positions_of_true(mask)] == [one.tolist() for one in np.nonzero(mask)]


def reference_closest(known: Floats, queries: Floats, count: int) -> tuple[Any, Any]:
    cosines = (queries.astype(np.float64) @ known.astype(np.float64).T).astype(np.float32)
    order = np.lexsort((np.broadcast_to(np.arange(len(known)), cosines.shape), -cosines), axis=-1)[:, :count]
    return np.take_along_axis(cosines, order, 1), order


def in_blocks(size: int) -> Callable[[Floats], Iterator[Floats]]:
    return lambda known: (known[start : start + size] for start in range(0, len(known), size))


@pytest.mark.parametrize("way", ["blocks of 1", "blocks of 700", "index", "faiss"])
@pytest.mark.parametrize("num_queries", [3, 600])
def test_the_closest_are_exact_however_they_are_looked_for(way: str, num_queries: int) -> None:
    known, queries = unit(clustered(8, 3_000)), unit(clustered(9, num_queries))
    known[2_500], queries[0] = known[20], known[20]  # of equal rows the earlier comes first
    if way.startswith("blocks"):
        found, rows = closest(in_blocks(int(way.split()[-1]))(known), queries, 4, threads=2)
    else:
        blocks = in_blocks(999)(known)
        index: AnyIndex = FaissIndex.of(blocks, 48, "cpu") if way == "faiss" else index_of(blocks)
        found, rows = closest_in(index, queries, 4)
    expected, order = reference_closest(known, queries, 4)
    assert np.array_equal(rows, order)
    assert np.array_equal(found, expected)
    assert rows[0, :2].tolist() == [20, 2_500]


@pytest.mark.parametrize("make", [lambda known: index_of([known]), lambda known: FaissIndex.of([known], 48, "cpu")])
def test_fewer_than_are_asked_for_are_all(make: Callable[[Floats], AnyIndex]) -> None:
    known = unit(clustered(1, 2))
    found, rows = closest_in(make(known), unit(clustered(2, 3)), 5)
    assert found.shape == rows.shape == (3, 2)


def test_candidates_of_a_gpu_are_more_where_too_many_are_alike() -> None:
    known = np.concatenate([unit(clustered(4, 50)), np.tile(unit(clustered(5, 1)), (3_000, 1))])
    queries = known[-1:]
    found, rows = FaissIndex.of([known], 48, "cpu").closest(queries, 5)
    assert rows.tolist() == [[50, 51, 52, 53, 54]]
    assert np.array_equal(found, reference_closest(known, queries, 5)[0])


def test_rounding_of_another_processor_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known, queries = unit(clustered(10, 2_000)), unit(clustered(11, 40))
    expected = closest([known], queries, 5)
    multiply = screens.multiply_floats
    random = np.random.default_rng(0)

    def elsewhere(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> None:
        multiply(left, right, out)
        out += torch.from_numpy(random.uniform(-2e-5, 2e-5, tuple(out.shape)).astype(np.float32))

    monkeypatch.setattr(coded, "fastest", lambda: Float32Screen)
    monkeypatch.setattr(screens, "multiply_floats", elsewhere)
    found = closest([known], queries, 5)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


def test_a_screen_is_fitted_to_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coded, "fastest", lambda: Float32Screen)
    assert isinstance(fitted_screen(clustered(12, 500), 0.8), Float32Screen)
    assert exact.products(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32)).tolist() == [1.0]
