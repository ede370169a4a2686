"""What generate-prompts is: shards of written prompts, each a function of (seed, its number, how they are written)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from jobs.errors import BadConfiguration
from jobs.generate_prompts.contract import Generated, GeneratePromptsInputs
from jobs.runtime.models import ModelParams
from jobs.runtime.spec import StageSpec, Unit
from jobs.shards.reads import reads_of_shard
from jobs.shards.records import Shard

GRAMMAR = "grammar"


class GeneratePromptsParams(ModelParams):
    """How many prompts are written, and how."""

    synthetic = frozenset({GRAMMAR})
    decides_units = frozenset({"num_prompts"})

    model: str = "Gustavosta/MagicPrompt-Stable-Diffusion"
    """A causal language model with its tokenizer, or `grammar`, a synthetic component that needs none."""

    # The snapshot that public code names for this repository; 124 M parameters, MIT.
    revision: str | None = Field(default="c2dfdbff1007791b5952aff9c02e622a0461f914", pattern=r"^[0-9a-f]{40}$")

    num_prompts: int = Field(default=0, ge=0)
    """Prompts to write; 0 leaves the stage empty. Enlarging it later leaves every full shard as it is. Fewer are kept,
    because empty ones and exact repeats within a shard are dropped and counted."""

    prompts_per_shard: int = Field(default=10_000, ge=1)

    seed: int = Field(default=0, ge=0)
    """Another seed writes other prompts. The grammar as a source of `collect` needs another seed than this one."""

    beginnings: Literal["none", "collected"] = "none"
    """Whether the model starts from nothing, or from the first words of collected prompts."""

    beginning_words: int = Field(default=3, ge=1)
    """How many of a collected prompt's words make a beginning."""

    max_new_tokens: int = Field(default=75, ge=1)
    """Tokens written at most after the beginning; Stable Diffusion reads 75 of CLIP's, which are about as long."""

    temperature: float = Field(default=1.0, gt=0)

    top_k: int | None = Field(default=50, ge=1)
    """Draw from the so many likeliest tokens; null draws from all."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw from the likeliest tokens that together have this probability."""

    repetition_penalty: float = Field(default=1.2, ge=1)
    """Divides the logit of every token written before (multiplies a negative one). The beginning, the padding and the
    end of text are not counted as written: GPT-2 uses one token for all of them, and would hardly ever stop."""

    batch_size: int = Field(default=64, ge=1)
    """Prompts written at once. Part of the result: a batch draws from one stream of random numbers."""

    @model_validator(mode="after")
    def _grammar_stands_alone(self) -> GeneratePromptsParams:
        if self.model == GRAMMAR and self.beginnings != "none":
            raise ValueError("`beginnings: collected` needs a language model; the grammar continues nothing")
        if self.model == GRAMMAR and self.device != "cpu":
            raise ValueError(f"the grammar runs on the CPU; set `device: cpu`, not {self.device}")
        return self


def units(params: GeneratePromptsParams, inputs: GeneratePromptsInputs) -> list[Unit]:
    """A unit a shard. With beginnings, unit i reads the collected shard i modulo their number, and nothing else."""
    size = params.prompts_per_shard
    common = params.settings()
    del common["num_prompts"]
    begin = params.beginnings == "collected"
    sources = [shard for shard in inputs.collected.prompts.shards() if shard.samples] if begin else []
    if begin and params.num_prompts and not sources:
        raise BadConfiguration("`beginnings: collected` needs prompts, but collect has none: give it a source")
    found = []
    for number, start in enumerate(range(0, params.num_prompts, size)):
        settings = {**common, "shard": number, "prompts": min(size, params.num_prompts - start)}
        shards: tuple[Shard, ...] = ()
        if sources:
            turn, source = divmod(number, len(sources))
            shards, settings["first_beginning"] = (sources[source],), turn * size
        reads: dict[str, str] = {}
        for shard in shards:
            reads |= reads_of_shard(inputs.collected.stage, shard)
        found.append(Unit(f"{Generated.generated.name}-{number:05d}", settings, reads, shards))
    return found


GENERATE_PROMPTS = StageSpec(
    reads=GeneratePromptsInputs,
    writes=Generated,
    params=GeneratePromptsParams,
    units=units,
    worker="jobs.generate_prompts.worker:run",
    lineage="jobs.generate_prompts.lineage:LINEAGE",
    about="writes prompts with a language model",
)
