"""The embedded demo from nothing, its score beside the baselines, and what a changed threshold costs after it;
`python -m benchmarks.demo`, seven minutes
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import run_pipeline, save
from jobs.shards.dataset import Committed, load_manifest
from jobs.shards.local import LocalStore

_CHANGED = "dedup.threshold=0.85"


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        chosen = ("--preset", "demo", "--set", f"store={store}")
        first = run_pipeline(*chosen)
        again = run_pipeline(*chosen)
        changed = run_pipeline(*chosen, "--set", _CHANGED)
        after = {"wall_seconds": changed["wall_seconds"], **images(LocalStore(Path(store, "demo", "generate-images")))}
    save(
        "demo",
        {**first, "second_run_wall_seconds": again["wall_seconds"], f"then_{_CHANGED}": after},
        libraries=("torch", "open_clip_torch", "sentence-transformers"),
    )


def images(stage: LocalStore) -> dict[str, Any]:
    """How many images there are, and how many of them were taken over."""
    manifest, committed = load_manifest(stage), Committed.of(stage)
    outcomes = manifest.outcomes if manifest else ()
    records = [committed.record(one.unit, one.fingerprint) for one in outcomes]
    taken = sum(record.taken for record in records if record)
    return {"images": sum(shard.samples for one in outcomes for shard in one.shards), "taken_over": taken}


if __name__ == "__main__":
    main()
