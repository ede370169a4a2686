"""Hostile files on a disk."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tests.hostile.images import hostile_images
from tests.hostile.later_images import later_images
from tests.hostile.sources import hostile_sources

SPARSE = {"sparse-60GB.png": 60 * 10**9, "sparse-65MB.jpg": (64 << 20) + 1}  # no bytes on the disk


def write_images(folder: Path) -> dict[str, bool | None]:
    """Write the images; returns of each name whether it must be refused."""
    folder.mkdir(parents=True)
    expected: dict[str, bool | None] = {}
    for name, make, refused in chain(hostile_images(), later_images()):
        (folder / name).write_bytes(make())
        expected[name] = refused
    for name, size in SPARSE.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
        expected[name] = True
    return expected


def write_sources(folder: Path) -> dict[str, tuple[str, int | None]]:
    """Write the files of prompts; returns of each name its kind and its good rows."""
    folder.mkdir(parents=True)
    expected: dict[str, tuple[str, int | None]] = {}
    for kind, name, make, good in hostile_sources():
        (folder / name).write_bytes(make())
        expected[name] = kind, good
    return expected
