"""What is in a registry's folder can be named in a configuration, and nothing else can."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.errors import BadConfiguration
from jobs.registry import OneOf, literal, load, names_in, refused
from jobs.regressor.model import Regressor
from jobs.regressor.params import HEADS
from jobs.regressor.values import Architecture
from tests.additions import add, forget
from tests.networks import from_sample, to_sample

LOSSES = "jobs.train.losses"

Add = Callable[[str, str], None]


@pytest.fixture
def adding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    return lambda name, source: add(monkeypatch, LOSSES, tmp_path / "more", name, source)


def test_a_file_in_the_folder_is_a_name_with_dashes(adding: Add) -> None:
    before = names_in(LOSSES)
    assert "cosine-info-nce" in before
    adding("of_mine", "loss = 3")
    adding("_helper", "")
    assert names_in(LOSSES) == sorted([*before, "of-mine"])
    assert load(LOSSES, "of-mine", "loss") == 3


def test_checking_a_name_or_reading_a_literal_imports_nothing(adding: Add) -> None:
    adding(
        "unimportable", "import no_such_package\nKNOWN = ('a', 'b')\nADDED: dict = {'size': 3}\nCOMPUTED = len('abc')"
    )
    assert TypeAdapter(Annotated[str, OneOf(LOSSES)]).validate_python("unimportable") == "unimportable"
    found = {name: literal(LOSSES, "unimportable", name, "default") for name in ("KNOWN", "ADDED", "COMPUTED", "NONE")}
    assert found == {"KNOWN": ("a", "b"), "ADDED": {"size": 3}, "COMPUTED": "default", "NONE": "default"}
    assert f"{LOSSES}.unimportable" not in sys.modules
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        load(LOSSES, "unimportable", "loss")


@pytest.mark.parametrize(
    ("name", "known", "message"),
    [
        ("a", ["a", "b"], None),
        ("cosin", ["cosine", "mse"], "there is no 'cosin'; did you mean 'cosine'?"),
        ("x", ["cosine", "mse"], "there is no 'x'; there are cosine, mse"),
        ("x", [f"tower{number}" for number in range(1_500)], "there is no 'x', nor a name like it among 1,500"),
    ],
)
def test_an_unknown_name_is_refused_with_what_was_probably_meant(
    name: str, known: list[str], message: str | None
) -> None:
    assert refused(name, known) == message


@pytest.mark.parametrize("name", ["cosin", "..cosine", "cosine_info_nce", ""])
def test_only_what_stands_in_the_folder_is_accepted(name: str) -> None:
    with pytest.raises(ValidationError, match=f"there is no '{name}'"):
        TypeAdapter(Annotated[str, OneOf(LOSSES)]).validate_python(name)
    with pytest.raises(BadConfiguration, match="there is no"):
        load(LOSSES, name, "loss")


def test_a_schema_lists_the_names() -> None:
    schema: dict[str, Any] = TypeAdapter(Annotated[str, OneOf(LOSSES)]).json_schema()
    assert schema == {"type": "string", "enum": names_in(LOSSES)}


def test_a_module_without_what_its_registry_is_for_is_named(adding: Add) -> None:
    adding("empty", "")
    with pytest.raises(BadConfiguration, match=r"empty\.py must define `loss`"):
        load(LOSSES, "empty", "loss")


def test_a_head_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(
        monkeypatch,
        HEADS,
        tmp_path / "more",
        "no_bias",
        """
        from torch import nn

        def build(features, dimensions):
            return nn.Linear(features, dimensions, bias=False)
    """,
    )
    half = (0.5, 0.5, 0.5)
    architecture = Architecture(model="test_convnext", image_size=32, head="no-bias", mean=half, std=half)
    stored = to_sample(architecture, Regressor(architecture).state_dict())
    assert [name for name in from_sample(stored).state_dict() if name.startswith("head.")] == ["head.weight"]
    forget(HEADS, "no_bias")
    monkeypatch.undo()
    with pytest.raises(BadConfiguration, match="there is no 'no-bias'"):
        from_sample(stored)
