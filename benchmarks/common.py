"""What every benchmark shares: where its result goes, and on what it was measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"
_SCORES = ("score", "interval", "samples", "baselines", "differences", "by_source", "max_cosine_to_train")


def save(name: str, figures: dict[str, Any], *, libraries: tuple[str, ...] = ()) -> None:
    """Print the figures and keep them in benchmarks/results/NAME.json with machine and versions."""
    result = {
        "figures": figures,
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {library: metadata.version(library) for library in libraries},
    }
    text = json.dumps(result, indent=2)
    print(text)
    (ROOT / "benchmarks" / "results" / f"{name}.json").write_text(text + "\n")


def run_pipeline(*chosen: str) -> dict[str, Any]:
    """Run the pipeline as the command line does and say how long it took, what each stage did, and the scores."""
    command = [sys.executable, "-m", "pipeline"]
    started = time.monotonic()
    subprocess.run([*command, "run", *chosen], cwd=ROOT, check=True)
    seconds = round(time.monotonic() - started, 1)
    status, metrics = (
        json.loads(subprocess.check_output([*command, name, *chosen, "--json"], cwd=ROOT))
        for name in ("status", "metrics")
    )
    return {
        "wall_seconds": seconds,
        "stages": {row["stage"]: {"samples": row["samples"], "seconds": row["seconds"]} for row in status},
        "metrics": {name: metrics[name] for name in _SCORES},
    }


def memory_of(process: int | str) -> dict[str, int]:
    """A process's memory in KB by the kernel's names: VmRSS now, VmHWM at its peak; nothing of one that has ended.

    The kernel's ru_maxrss would count what the parent held at the fork, too.
    """
    try:
        lines = [line.split() for line in Path(f"/proc/{process}/status").read_text().splitlines()]
    except OSError:
        return {}
    return {name.removesuffix(":"): int(rest[0]) for name, *rest in lines if rest[-1:] == ["kB"]}


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
