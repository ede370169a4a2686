"""What cut-prompts is: one unit over all training prompts."""

from __future__ import annotations

from pydantic import Field

from jobs.composing.values import SearchParams
from jobs.contract.samples import TRAIN
from jobs.cut_prompts.contract import CutPrompts, CutPromptsInputs
from jobs.embed.stage import EmbedParams
from jobs.runtime.spec import StageSpec, Unit, one_unit


class CutPromptsParams(EmbedParams):
    """Which fragments are kept, and how texts are composed of them. The model must be that of embed."""

    num_fragments: int = Field(default=20_000, ge=0)
    """The most frequent fragments that are kept; their vectors take 1.5 kB each."""

    search: SearchParams = SearchParams()
    """How evaluate and infer search for texts."""


def units(params: CutPromptsParams, inputs: CutPromptsInputs) -> list[Unit]:
    return one_unit(CutPrompts.vocabulary.name, params, inputs.prompts.splits[TRAIN].reads())


CUT_PROMPTS = StageSpec(
    reads=CutPromptsInputs,
    writes=CutPrompts,
    params=CutPromptsParams,
    units=units,
    worker="jobs.cut_prompts.worker:run",
    parallel=False,
    about="cuts training prompts into fragments, of which readable prompts are composed",
)
