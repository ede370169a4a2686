"""What `i2p explain` says of a parameter's effect is what the plan of a finished run does when it is changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog import STAGES
from jobs.errors import BadConfiguration
from pipeline.cli.reference import fingerprints
from pipeline.cli.reference.parameters import Parameter, parameters
from pipeline.configuration.run_config import load_config
from pipeline.planning.plan import make_plan
from pipeline.planning.run_store import open_run
from tests.e2e.runs import PRESET

STAGE_NAMES = {spec.name for spec in STAGES}
OTHERS = {
    "dedup.held_out": "{val: 0.3, test: 0.15}",
    "generate-images.max_prompts": "{train: 26}",
    "infer.compose": "true",
    "infer.files": "names.json",
    "train.resources.cpus": "'2'",
    "train.weights": "{made: 0.5}",
}
FIXED = ("generate-prompts.device", "generate-prompts.beginnings", "generate-images.device")  # for synthetic components
ONLY_FOR_FILES = ("infer.images", "infer.files", "infer.limits.")  # the small run predicts a split
ONLY_FOR_PAIRS = ("collect.images_per_prompt",)  # and its source gives no images
OF_SOME_UNITS = ("compare-images.threshold",)  # signatures do not depend on it


def changeable() -> Iterator[Parameter]:
    """The parameters of stages for which another value is known; `resources`, which are all alike, of one stage."""
    for name, one in parameters().items():
        stage, _, rest = name.partition(".")
        is_alike = rest.startswith("resources.") and (stage != "train" or "tolerations" in rest)
        if (
            stage not in STAGE_NAMES
            or one.is_group
            or is_alike
            or rest.startswith(("sources", "rules."))
            or name in FIXED
        ):
            continue
        if name in OTHERS or one.choices or "number" in one.type:
            yield one


def other_values(one: Parameter, value: object) -> Iterator[str]:
    """Some values that are not the one it has."""
    if one.name in OTHERS:
        yield OTHERS[one.name]
    elif one.choices:
        has = one.default if value is None else str(value)  # a dump leaves out some groups that have their defaults
        yield from (choice for choice in one.choices if choice != has)
    elif isinstance(value, int | float) and value:
        yield from (str(value + 1), str(value * 2), str(value / 2))
    else:
        yield from ("1", "0.5", "2000")


@pytest.mark.parametrize("one", list(changeable()), ids=lambda one: one.name)
def test_the_plan_does_what_is_said_of_a_parameter(undisturbed: Path, one: Parameter) -> None:
    stage = one.name.partition(".")[0]
    assignments = [f"store={undisturbed}"]
    value: Any = load_config(PRESET).model_dump(mode="json", by_alias=True)
    for part in one.name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    for other in other_values(one, value):
        try:
            config = load_config(PRESET, [*assignments, f"{one.name}={other}"])
        except BadConfiguration:
            continue
        plan = next(plan for plan in make_plan(open_run(config), config) if plan.spec.name == stage)
        made = [unit.action == "skip" for unit in plan.units or ()]
        if one.result == fingerprints.NO:
            assert all(made)
        elif one.result == fingerprints.UNITS:
            assert any(made)
        elif one.name in OF_SOME_UNITS:
            assert not all(made)
        elif not one.name.startswith(ONLY_FOR_FILES + ONLY_FOR_PAIRS):
            assert not any(made)
        return
    pytest.fail(f"no other value of {one.name} is accepted")
