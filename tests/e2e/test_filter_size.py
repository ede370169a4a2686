"""The filter's stage on 200,000 vectors: bounded memory, and the same outcome after kills, with real processes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.filter_size import measure

_VECTORS = 200_000
_LIBRARIES = 800 << 20  # bytes that a worker takes with torch and without vectors; 500 MB were seen
_OF_A_VECTOR = 48 * 2**30 // 13_000_000  # bytes at most: the cluster preset's 13 million take 48 GiB


def test_two_hundred_thousand_vectors_take_bounded_memory_and_survive_kills(tmp_path: Path) -> None:
    found = measure(tmp_path, _VECTORS, kills=3, threads=2, per_unit=50_000)
    assert found["kills"] == 3
    assert found["same_outcome"]
    assert 0.5 * _VECTORS < found["kept"] < 0.8 * _VECTORS
    most = (_LIBRARIES + _VECTORS * _OF_A_VECTOR) >> 20
    assert max(found["peak_mb"], found["peak_mb_with_kills"]) < most
