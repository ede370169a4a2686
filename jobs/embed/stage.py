"""What embed is: every shard of prompts, with the prompts' vectors added."""

from __future__ import annotations

from pydantic import Field

from jobs.embed.contract import Embedded, EmbedInputs
from jobs.runtime.models import ModelParams
from jobs.runtime.spec import StageSpec, Unit, unit_per_shard


class EmbedParams(ModelParams):
    """How prompts become vectors."""

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = Field(default="c9745ed1d9f207416be6d2e6f8de32d1f16199bf", pattern=r"^[0-9a-f]{40}$")

    batch_size: int = Field(default=64, ge=1)
    """The most prompts at once. A batch has four word pieces for each of them, so it has fewer of longer prompts.
    Part of the result: another number adds in another order."""


def units(params: EmbedParams, inputs: EmbedInputs) -> list[Unit]:
    sources = (inputs.collected.prompts, inputs.generated.generated)
    return [unit for source in sources for unit in unit_per_shard(params, source.stage, source.shards())]


EMBED = StageSpec(
    reads=EmbedInputs,
    writes=Embedded,
    params=EmbedParams,
    units=units,
    worker="jobs.embed.worker:run",
    check="jobs.embed.check:check",
    lineage="jobs.embed.lineage:LINEAGE",
    version=2,
    per_sample=True,
    about="adds every prompt's MiniLM vector",
)
