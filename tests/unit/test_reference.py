"""`i2p explain`, completion and the reference of the docs: all from the models, the parser and the exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import errors
from jobs.catalog import STAGES
from jobs.errors import BAD_CONFIGURATION, BadConfiguration
from jobs.imaging.limits import ImageLimits
from pipeline.__main__ import INTERRUPTED, main
from pipeline.cli.completion import settings
from pipeline.cli.parser import make_parser
from pipeline.cli.reference.commands import commands
from pipeline.cli.reference.exit_codes import exit_codes
from pipeline.cli.reference.pages import write_pages
from pipeline.cli.reference.parameters import parameters
from pipeline.configuration.run_config import FullConfig, load_config


@pytest.fixture
def explained(capsys: pytest.CaptureFixture[str]) -> Any:
    """What `i2p explain NAME` prints; it must succeed."""

    def explain(*arguments: str) -> str:
        assert main(["explain", *arguments]) == 0
        return capsys.readouterr().out

    return explain


# ---- explain ------------------------------------------------------------------------------------------------------


def test_a_parameter_is_explained_with_all_that_is_known_of_it(explained: Callable[..., str]) -> None:
    text = explained("train.layer_decay")
    assert text.startswith(
        "train.layer_decay\n    Each stage of a ConvNeXt or EfficientNet, or block of a ViT, learns at this fraction"
    )
    assert re.search(r"type +number or null\n", text)
    assert re.search(r"allowed +more than 0, at most 1\n", text)
    assert re.search(r"default +0\.5\n", text)
    assert re.search(r"presets +null in clipart, null in demo\n", text)
    assert re.search(r"result +yes, it is part of the fingerprint", text)


def test_a_parameter_that_shapes_nothing_says_so(explained: Callable[..., str]) -> None:
    assert "result  no, it is not part of the fingerprint" in explained("train.checkpoint_every")
    assert "result  no, it is not part of the fingerprint" in explained("train.resources.gpus")


def test_choices_are_listed(explained: Callable[..., str]) -> None:
    assert re.search(r"allowed +cosine, one-cycle\n", explained("train.schedule"))


def test_a_stage_is_explained_with_what_it_reads_and_its_parameters(explained: Callable[..., str]) -> None:
    text = explained("infer")
    assert text.startswith("infer (a stage)\n")
    assert "reads generate-images, train, dedup, cut-prompts, evaluate" in text
    assert "infer.images_per_shard" in text
    assert "infer.limits" in text
    assert "infer.limits.pixels" not in text


def test_a_source_is_explained_by_kind_and_as_set_names_it(explained: Callable[..., str]) -> None:
    assert "Comma-separated with a header" in explained("collect.sources")
    assert "collect.sources.csv.column" in explained("collect.sources.csv")
    assert "collect.sources.{conceptual-captions,csv," in explained("collect.sources.0.path")


def test_a_name_of_two_things_is_explained_twice(explained: Callable[..., str]) -> None:
    text = explained("run")
    assert "The run's name" in text
    assert "i2p run (a command)" in text


@pytest.mark.parametrize("command", commands(make_parser()))
def test_every_command_is_explained(explained: Callable[..., str], command: str) -> None:
    assert f"i2p {command} (a command)" in explained(command)


@pytest.mark.parametrize("code", [0, 2, 65, 69, 74, 75, 78, INTERRUPTED])
def test_every_exit_code_is_explained(explained: Callable[..., str], code: Any) -> None:
    assert f"exit code {code}" in explained(str(code))


def test_no_exit_code_and_no_error_is_left_out() -> None:
    numbers = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert numbers | {2, INTERRUPTED} == exit_codes().keys()
    named = {name for one in exit_codes().values() for name, _ in one.errors}
    assert named == {name for name, kind in vars(errors).items() if isinstance(kind, type)} - {"ClassVar"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("train.layr_decay", "train.layer_decay"),
        ("layer_decay", "train.layer_decay"),
        ("statsu", "status"),
        ("dedup.treshold", "dedup.threshold"),
    ],
)
def test_an_unknown_name_gets_what_was_probably_meant(
    capsys: pytest.CaptureFixture[str], name: str, meant: str
) -> None:
    assert main(["explain", name]) == BAD_CONFIGURATION
    assert f"did you mean {meant!r}" in capsys.readouterr().err


def test_a_name_like_nothing_else_is_sent_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "qqqq"]) == BAD_CONFIGURATION
    assert "`i2p explain` lists all names" in capsys.readouterr().err


def test_without_a_name_everything_is_listed_once(explained: Callable[..., str]) -> None:
    text = explained()
    for name in [*(spec.name for spec in STAGES), *commands(make_parser()), "78"]:
        assert re.search(rf"^    {name}\s", text, re.MULTILINE), name


def test_json_says_the_same(explained: Callable[..., str]) -> None:
    (one,) = json.loads(explained("dedup.threshold", "--json"))
    assert (one["default"], one["type"], one["allowed"]) == ("0.8", "number", "more than 0, at most 1")
    assert len(json.loads(explained("--json"))) > 400


def test_explaining_reads_no_configuration_and_writes_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "explain", "65"], cwd=tmp_path, capture_output=True, check=True
    )
    assert b"BAD_DATA" in done.stdout
    assert not list(tmp_path.iterdir())


# ---- the same source as everything else ---------------------------------------------------------------------------


def test_every_parameter_is_one_of_the_configuration_and_none_is_left_out() -> None:
    dumped = load_config("cluster").model_dump(mode="json", by_alias=True)

    def leaves(prefix: str, value: object) -> Iterator[Any]:
        if isinstance(value, dict) and parameters()[prefix.rstrip(".")].is_group:
            for name, inner in value.items():
                yield from leaves(f"{prefix}{name}.", inner)
        else:
            yield prefix.rstrip(".")

    found = {name for top, value in dumped.items() for name in leaves(f"{top}.", value)}
    limits = [f"limits.{name}" for name in ImageLimits.model_fields]
    added = {f"infer.{name}" for name in ("background", *limits)}  # which a dump leaves out by default
    added |= {f"generate-images.given.{name}" for name in ("choose", "store", "background", *limits)}
    assert found | added == set(settings())


def test_defaults_are_those_of_the_models() -> None:
    config = FullConfig.model_validate({"run": "a"})
    for spec in STAGES:
        for name, value in config.params(spec).model_dump(mode="json").items():
            one = parameters()[f"{spec.name}.{name}"]
            if not one.is_group:
                assert yaml.safe_load(one.default) == value, one.name


def test_a_docstring_that_a_model_inherits_is_not_lost() -> None:
    assert parameters()["embed.model"].about.startswith("A folder")
    assert "licence of the prompts" in parameters()["collect.sources.diffusiondb.licence"].about


# ---- completion ---------------------------------------------------------------------------------------------------

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 ))
_i2p; printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What bash offers for the last word."""
    folder = tmp_path_factory.mktemp("completion")
    printed = subprocess.run([sys.executable, "-m", "pipeline", "completion", "bash"], capture_output=True, check=True)
    (folder / "i2p.bash").write_bytes(printed.stdout)

    def complete(*words: str) -> list[str]:
        command = ["bash", "-c", COMPLETE, "bash", str(folder / "i2p.bash"), "i2p", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
        assert done.stderr == ""
        return done.stdout.split()

    return complete


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["stat"], ["status"]),
        (["plan", "--a"], ["--all"]),
        (["why", "gen"], ["generate-prompts", "generate-images"]),
        (["redo", "tr"], ["train"]),
        (["run", "--set", "train.layer"], ["train.layer_decay="]),
        (["run", "--set", "train.schedule", "=", "o"], ["one-cycle"]),
        (["run", "--set", "train.schedule", "="], ["cosine", "one-cycle"]),
        (["run", "--executor", ""], ["kubernetes", "local"]),
        (["run", "--preset", "w"], ["workstation"]),
        (["run", "--preset", "=", "d"], ["demo"]),
        (["explain", "infer.bad"], ["infer.bad_images"]),
        (["completion", ""], ["bash", "zsh"]),
        (["export", ""], ["dedup", "prompts", "images", "predictions", "model"]),
        (["export", "--format", "p"], ["parquet"]),
        (["dedup", "--thre"], ["--threshold", "--threads"]),
        (["dedup", "--device", ""], ["cpu", "cuda"]),
        (["run", "--nothing"], []),
    ],
    ids=" ".join,
)
def test_bash_offers(completed: Callable[..., Any], words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_bash_offers_all_commands_and_all_settings(completed: Callable[..., Any]) -> None:
    assert set(commands(make_parser())) < set(completed(""))
    assert completed("run", "--set", "") == [f"{name}=" for name in settings()]


def test_what_is_offered_for_set_is_accepted() -> None:
    for name in settings():
        if name.startswith("train.") and parameters()[name].default:
            load_config("cluster", [f"{name}={parameters()[name].default}"])


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["completion", "fish"])
    assert "invalid choice: 'fish'" in capsys.readouterr().err


# ---- the pages ----------------------------------------------------------------------------------------------------


def test_the_pages_have_every_parameter_command_and_exit_code(tmp_path: Path) -> None:
    write_pages(tmp_path)
    page = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    for spec in STAGES:
        for name in spec.params.model_fields:
            full = f"{spec.name}.{name}"
            assert parameters()[full].is_group or f"### `{full}`" in page["parameters"], full
    assert "### `STAGE.resources.gpus`" in page["parameters"]
    assert all(f"\n## {name}\n" in page["commands"] for name in commands(make_parser()))
    assert all(re.search(rf"^## {code}\b", page["exit-codes"], re.MULTILINE) for code in exit_codes())


def test_writing_the_pages_again_touches_no_file(tmp_path: Path) -> None:
    write_pages(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    write_pages(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_nothing_to_explain_is_an_error_of_the_family() -> None:
    from pipeline.cli.reference.lookup import find

    with pytest.raises(BadConfiguration):
        find("", make_parser())
