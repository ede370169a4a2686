"""`i2p dedup` on two files of real prompts, and its function at other thresholds; `python -m benchmarks.dedup_tool`

Ten minutes on two quiet cores, nearly all of it for the vectors. The command runs once for each file, in a process of
its own; the vectors that it computed are left for the function, which it does not do by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import DATA, ROOT, save
from jobs.dedup import deduplicate
from jobs.dedup.tool import run as tool
from jobs.dedup.tool.embedding import embedded
from jobs.similarity.exact import Floats
from pipeline.__main__ import main as main_of_i2p

THRESHOLDS = (0.7, 0.8, 0.9)
OF_THE_COMMAND = 0.8
VECTORS = "vectors.npy"
FILES = {
    "prompts": ("prompts/licensed_prompts.tsv.gz", None),
    "captions": ("sources/conceptual_captions/Validation_GCC-1.1.0-Validation.tsv", "1"),
}


def main() -> None:
    if not DATA.is_dir():
        sys.exit(f"needs the real prompts in {DATA}")
    if len(sys.argv) > 1:
        sys.exit(run_and_leave_vectors(Path(sys.argv[1]), sys.argv[2:]))
    figures = {name: measure(DATA / file, column) for name, (file, column) in FILES.items()}
    save("dedup_tool", figures, libraries=("numpy", "sentence-transformers", "torch"))


def measure(path: Path, column: str | None) -> dict[str, Any]:
    """The command's own figures, and the function's on vectors of the distinct prompts."""
    with tempfile.TemporaryDirectory() as folder:
        command = run_command(path, column, Path(folder))
        vectors = np.load(Path(folder, VECTORS))
    function = {str(threshold): run_function(vectors, threshold) for threshold in THRESHOLDS}
    if function[str(OF_THE_COMMAND)]["kept"] != command["kept"]:
        sys.exit(f"{path}: the command keeps {command['kept']}, the function {function[str(OF_THE_COMMAND)]['kept']}")
    return {"command": command, "distinct": len(vectors), "function": function}


def run_command(path: Path, column: str | None, folder: Path) -> dict[str, Any]:
    """Run the command line as a user does."""
    arguments = ["dedup", str(path), "--threshold", str(OF_THE_COMMAND), "--out", str(folder / "out")]
    if column:
        arguments += ["--column", column]
    before, started = os.getloadavg()[0], time.monotonic()
    program = [sys.executable, "-m", "benchmarks.dedup_tool", str(folder / VECTORS)]
    subprocess.run([*program, *arguments], cwd=ROOT, check=True)
    seconds = time.monotonic() - started
    summary = json.loads((folder / "out" / "summary.json").read_text())
    names = ("rows", "kept", "dropped", "repeats", "empty", "seconds", "peak_memory_bytes", "kept_sha256")
    return {
        "threshold": OF_THE_COMMAND,
        "threads": summary["model"]["threads"],
        "load_before": round(before, 1),  # of other programs: near 0 on a quiet machine
        "wall_seconds": round(seconds, 1),
        "prompts_a_second": round(summary["rows"] / seconds, 1),
        **{name: summary[name] for name in names},
    }


def run_and_leave_vectors(path: Path, arguments: list[str]) -> int:
    """The command line, which also leaves the vectors in a file."""

    def kept(*given: Any) -> Floats:
        vectors = embedded(*given)
        np.save(path, vectors)
        return vectors

    vars(tool)["embedded"] = kept
    return main_of_i2p(arguments)


def run_function(vectors: Floats, threshold: float) -> dict[str, Any]:
    """Run the function on vectors."""
    started = time.monotonic()
    found = deduplicate(vectors, threshold)
    return {"seconds": round(time.monotonic() - started, 2), "kept": len(found.kept), "dropped": len(found.dropped)}


if __name__ == "__main__":
    main()
