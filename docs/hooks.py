"""Has the reference written before the pages are collected, so that nothing generated is committed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.cli.reference.pages import write_pages


def on_pre_build(config: dict[str, Any]) -> None:
    """Called by mkdocs."""
    write_pages(Path(config["docs_dir"]) / "reference")
