"""What can be exported of a run as tables and images; dedup has files of its own beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.runtime.commands import Export, imported

FORMATS = "jobs.export.formats"
TABLES = "jobs.export.tables"
DEFAULT_FORMAT = "parquet"

PROMPTS = Export(
    name="prompts",
    about="kept prompts with their origin",
    content="jobs.export.contents.prompts:content",
)

IMAGES = Export(
    name="images",
    about="images with their prompts, and what made them",
    content="jobs.export.contents.images:content",
)

PREDICTIONS = Export(
    name="predictions",
    about="what was read out of each image",
    content="jobs.export.contents.predictions:content",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of an export, beside the run."""

    out: str
    """A folder, or s3://BUCKET/PREFIX."""

    format: str
    """The name of a format, or of tables."""

    vectors: bool = False

    force: bool = False
    """Whether what else is in the folder may be replaced."""


def in_format(name: str) -> Callable[..., Any]:
    """What writes an export in that format: (Export, RunView, Asked, Progress) -> Summary."""
    imported(f"{FORMATS}.{name}:FORMAT", f"`--format {name}`", "export")  # so that a missing package is named at once
    return imported("jobs.export.run:write", "`i2p export`", "export")


def as_tables(name: str) -> Callable[..., Any]:
    """What writes images and prompts as these tables: (RunView, Asked, Progress) -> Summary."""
    return imported(f"{TABLES}.{name.replace('-', '_')}:write", f"`--tables {name}`", "export")
