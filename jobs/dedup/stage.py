"""What dedup is: one unit over all embedded prompts, because a duplicate may stand in any other shard."""

from __future__ import annotations

from pydantic import Field, field_validator

from jobs.contract.samples import TRAIN
from jobs.dedup.contract import DedupInputs, Deduplicated
from jobs.runtime.spec import Params, StageSpec, Unit, one_unit


class DedupParams(Params):
    """What counts as a near duplicate, and how the kept prompts are split."""

    threshold: float = Field(default=0.8, gt=0, le=1)
    """Two prompts whose vectors' cosine is this or more are near duplicates."""

    held_out: dict[str, float] = Field(default={"val": 0.05, "test": 0.05})
    """The held-out splits and their fractions of the kept prompts; all others are for training."""

    prompts_per_shard: int = Field(default=1_000, ge=1)
    """Prompts in one shard of images to be made; about a quarter of an hour on one H200 for 2,000."""

    threads: int = Field(default=2, ge=1)
    """CPU threads; the outcome does not depend on them."""

    @field_validator("held_out")
    @classmethod
    def _fractions_leave_training(cls, held_out: dict[str, float]) -> dict[str, float]:
        if reserved := held_out.keys() & {TRAIN, *Deduplicated.groups()}:
            raise ValueError(f"{sorted(reserved)} cannot be the name of a held-out split")
        if any(fraction < 0 for fraction in held_out.values()) or sum(held_out.values()) >= 1:
            raise ValueError(f"held-out fractions are 0 or more and leave some for training, given {held_out}")
        return held_out


def splits(params: DedupParams) -> list[str]:
    """All splits, training first."""
    return [TRAIN, *params.held_out]


def units(params: DedupParams, inputs: DedupInputs) -> list[Unit]:
    return one_unit("kept", params, inputs.embedded.reads())


DEDUP = StageSpec(
    reads=DedupInputs,
    writes=Deduplicated,
    params=DedupParams,
    units=units,
    worker="jobs.dedup.worker:run",
    check="jobs.dedup.check:check",
    section="jobs.dedup.section:page",
    parallel=False,
    about="drops near duplicates and splits what is kept",
)
