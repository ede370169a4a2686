"""The graph: every stage's specification, in an order in which each comes after what it reads. Free of torch."""

from __future__ import annotations

from jobs.collect.stage import COLLECT
from jobs.dedup.stage import DEDUP
from jobs.embed.stage import EMBED
from jobs.errors import BadConfiguration
from jobs.evaluate.stage import EVALUATE
from jobs.generate_images.stage import GENERATE_IMAGES
from jobs.generate_prompts.stage import GENERATE_PROMPTS
from jobs.infer.stage import INFER
from jobs.runtime.spec import StageSpec
from jobs.submission.stage import SUBMISSION
from jobs.train.stage import TRAIN

STAGES: tuple[StageSpec, ...] = (
    COLLECT,
    GENERATE_PROMPTS,
    EMBED,
    DEDUP,
    GENERATE_IMAGES,
    TRAIN,
    EVALUATE,
    INFER,
    SUBMISSION,
)


def stage_named(name: str) -> StageSpec:
    """The stage of that name; raises BadConfiguration when there is none."""
    for spec in STAGES:
        if spec.name == name:
            return spec
    raise BadConfiguration(f"there is no stage {name!r}; the stages are {', '.join(spec.name for spec in STAGES)}")
