"""The embedded demo from nothing, its score beside the baselines; `python -m benchmarks.demo`, four minutes"""

from __future__ import annotations

import tempfile

from benchmarks.common import run_pipeline, save


def main() -> None:
    with tempfile.TemporaryDirectory() as store:
        chosen = ("--preset", "demo", "--set", f"store={store}")
        first = run_pipeline(*chosen)
        again = run_pipeline(*chosen)
    save(
        "demo",
        {**first, "second_run_wall_seconds": again["wall_seconds"]},
        libraries=("torch", "open_clip_torch", "sentence-transformers", "faiss-cpu"),
    )


if __name__ == "__main__":
    main()
