"""The figures of a result that its summary and the end of the command show."""

from __future__ import annotations

import importlib.metadata
import platform
import resource
import sys
from pathlib import Path
from typing import Any

from jobs.dedup.tool.results import DROPPED, SUMMARY
from jobs.report import formatting

_LIBRARIES = ("numpy", "pyarrow", "sentence-transformers", "torch", "transformers")
_COUNTS = {
    "rows": "",
    "kept": "",
    "dropped": "near duplicates of kept prompts",
    "repeats": "of these, word for word",
    "empty": "without a prompt",
}


def peak_memory() -> int:
    """Bytes that this process had at most."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def versions() -> dict[str, str]:
    """The versions of what computes the result."""
    found = {"python": platform.python_version()}
    for library in ("image-to-prompts", *_LIBRARIES):
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def closing_text(values: dict[str, Any], folder: Path) -> str:
    """What a person sees at the end: the counts, and what else the values have."""
    lines = [f"{name:<9} {values[name]:>11,}  {about}".rstrip() for name, about in _COUNTS.items() if name in values]
    if seconds := values.get("seconds"):
        parts = ", ".join(f"{name} {number:,.1f}" for name, number in seconds.items())
        lines.append(f"{'seconds':<9} {sum(seconds.values()):>11,.1f}  {parts}")
    if peak := values.get("peak_memory_bytes"):
        lines.append(f"{'memory':<9} {formatting.size(peak):>11}  at most")
    files = ", ".join(str(folder / name) for name in (values["kept_file"], DROPPED, SUMMARY))
    return "\n".join([*lines, f"{'files':<9} {files}"])
