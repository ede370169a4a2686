"""The whole graph over 79,000 real prompts; `python -m benchmarks.real_prompts`

Ten minutes.
"""

from __future__ import annotations

import sys

from benchmarks.common import DATA, run_pipeline, save


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"needs the real prompts in {DATA}")
    figures = run_pipeline("--preset", "benchmarks/real_prompts.yaml")
    save("real_prompts", figures, libraries=("open_clip_torch", "sentence-transformers", "torch"))


if __name__ == "__main__":
    main()
