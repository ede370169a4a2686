"""Samples to write, small and always the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from jobs.shards.records import CommitRecord, Outcome, Shard
from jobs.shards.tar import Sample, json_field

SAMPLES = [
    Sample("a1", {"txt": "a red fox – été".encode(), "json": json_field({"b": [1, 2.5], "a": "é"}), "npy": bytes(900)}),
    Sample("a2-ü", {"seg.png": b"\x00\xff" * 700, "txt": b""}),
    Sample("雪", {"jpg": bytes(range(256)) * 2}),
]
SAMPLES_DIGEST = "fbf37f52885120a7a2b19fbc99efe5ad9ec2e3ca96355b234ca16374c372fd89"  # of their shard


def json_of(sample: Sample) -> dict[str, Any]:
    """The sample's JSON as it is, without a model."""
    value: dict[str, Any] = json.loads(sample["json"])
    return value


def noise(size: int, seed: object = 0) -> bytes:
    """Bytes that look random and depend on the seed alone."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def numbered_samples(count: int, size: int = 300, seed: object = 0) -> list[Sample]:
    """Samples 000000, 000001, … with an image of `size` bytes each."""
    return [
        Sample(f"{number:06d}", {"txt": f"prompt {number}".encode(), "png": noise(size, (seed, number))})
        for number in range(count)
    ]


def record_of(unit: str, *shards: Shard, attempt: str = "first", fingerprint: str = "f" * 64) -> CommitRecord:
    """The record of a unit that wrote these shards."""
    outcome = Outcome(unit, fingerprint, 1, {"size": 64}, {"source": "0" * 64}, shards, {"rows": 3})
    return CommitRecord(outcome, attempt, 1.5, 1_700_000_000.25, {"python": "3.11"})
