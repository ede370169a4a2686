"""What every benchmark shares: where its result goes, and on what it was measured."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"


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


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
