"""The sources of prompts, one file each in kinds/; which there are follows from listing that folder."""

from __future__ import annotations

from typing import Annotated

from jobs.collect.sources.base import FileSource, Source, WrittenSource
from jobs.registry import ByKind

KINDS = "jobs.collect.sources.kinds"

AnySource = Annotated[FileSource | WrittenSource, ByKind(KINDS, Source)]
