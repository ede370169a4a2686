"""The sources of prompts, one small file each; a new one is a new file and one more line here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from jobs.collect.sources.conceptual_captions import ConceptualCaptions
from jobs.collect.sources.delimited import Csv, Tsv
from jobs.collect.sources.diffusiondb import DiffusionDB
from jobs.collect.sources.grammar import Grammar
from jobs.collect.sources.jsonl import Jsonl
from jobs.collect.sources.parquet import Parquet
from jobs.collect.sources.text import Text

AnySource = Annotated[
    Text | Csv | Tsv | Jsonl | Parquet | ConceptualCaptions | DiffusionDB | Grammar, Field(discriminator="kind")
]
