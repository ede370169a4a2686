"""What the pages name exists: commands with their options, parameters, make targets, charts, files, configurations."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from pipeline.cli.parser import make_parser
from pipeline.cli.reference.commands import commands
from pipeline.cli.reference.lookup import find
from pipeline.configuration.chart_values import CHARTS, schema
from pipeline.configuration.run_config import FullConfig, load_config, presets
from tests.docs.blocks import NEEDS, ROOT, Block, Command, blocks_of, commands_of, matches, pages

ALL = [block for page in pages() for block in blocks_of(page)]
COMMANDS = [command for block in ALL if block.language == "console" for command in commands_of(block)]
YAML = [block for block in ALL if block.language == "yaml"]
PROSE = [path for path in pages() if path.suffix == ".md"]

MADE = {"images/built.yaml"}  # by `make images`


def location(found: Block | Command) -> str:
    return f"{found.page}:{found.line}"


def calls_of(program: str) -> list[tuple[Command, list[str]]]:
    """The calls of a program in the commands, with their arguments."""
    found = []
    for command in COMMANDS:
        lexer = shlex.shlex(re.sub(r"\$\([^)]*\)", "X", command.text), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        for is_operator, words in itertools.groupby(lexer, lambda word: word in {"&&", "|", ";", ">"}):
            name, *arguments = words
            if not is_operator and name.removeprefix(".venv/bin/") == program:
                found.append((command, arguments))
    return found


def files_of(page: str) -> set[str]:
    """The files that a page shows."""
    return MADE | {block.title for block in ALL if block.page == page}


I2P = calls_of("i2p")


def test_there_is_something_to_test() -> None:
    assert len(I2P) > 40
    assert len(YAML) > 10
    assert sum(block.is_run for block in ALL) > 12


@pytest.mark.parametrize(("command", "arguments"), I2P, ids=[f"{location(one)}" for one, _ in I2P])
def test_every_call_of_i2p_is_one(command: Command, arguments: list[str]) -> None:
    if arguments == ["--version"]:
        return
    args = make_parser().parse_args(arguments)
    for assignment in getattr(args, "set", []):
        find(assignment.partition("=")[0], make_parser())
    for path in [*getattr(args, "values", []), getattr(args, "preset", "demo")]:
        assert path in files_of(command.page) | set(presets()), f"{path} is not shown on the page"
    if hasattr(args, "stage"):
        find(args.stage, make_parser())


@pytest.mark.parametrize(("command", "arguments"), calls_of("make"), ids=lambda value: "")
def test_every_target_of_make_is_one(command: Command, arguments: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert next(word for word in arguments if "=" not in word) in targets, location(command)


@pytest.mark.parametrize(("command", "arguments"), calls_of("helm"), ids=lambda value: "")
def test_every_chart_and_every_file_of_values_is_there(command: Command, arguments: list[str]) -> None:
    if arguments[0] == "install":
        assert (ROOT / arguments[2] / "Chart.yaml").is_file(), location(command)
    values = {value for flag, value in itertools.pairwise(arguments) if flag == "-f"}
    assert values <= files_of(command.page), location(command)


@pytest.mark.parametrize("block", YAML, ids=location)
def test_every_yaml_is_a_configuration(block: Any, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(block.text)
    values = yaml.safe_load(block.text)
    known = {field.alias or name for name, field in FullConfig.model_fields.items()}
    assert values.keys() <= known | {"preset", "chart"}
    if "chart" in values:
        chart = next(name for name, model in CHARTS.items() if values["chart"].keys() <= model.model_fields.keys())
        defaults = yaml.safe_load((ROOT / "charts" / chart / "values.yaml").read_text())["chart"]
        jsonschema.validate({**values, "chart": {**defaults, **values["chart"]}}, schema(chart))
    load_config(str(path)) if "run" in values or "preset" in values else load_config("demo", overlays=[str(path)])


def test_what_is_not_run_says_why() -> None:
    for block in ALL:
        if block.language == "console" and not block.is_run:
            assert NEEDS.fullmatch(block.lines[0]), location(block)


@cache
def flags() -> dict[str, set[str]]:
    return {name: {flag for one in command.arguments for flag in one.flags} for name, command in _known().items()}


@cache
def _known() -> Any:
    return commands(make_parser())


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_commands_parameters_and_targets_in_the_text_exist(path: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([^`\n]+)`", prose):
        words = code.split()
        if words[0] == "i2p" and len(words) > 1 and words[1].islower() and words[1] != "--version":
            assert words[1] in _known(), code
            assert {word for word in words[2:] if word.startswith("--")} <= flags()[words[1]], code
        if words[0] == "make" and len(words) > 1:
            assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), code
        stage = re.fullmatch(r"([a-z-]+)\.(?!csv|json|html)[a-z_.]+", code)
        if stage and stage[1] in _stages():
            find(code, make_parser())


@cache
def _stages() -> set[str]:
    return {name for name, field in FullConfig.model_fields.items()} | {
        field.alias for field in FullConfig.model_fields.values() if field.alias
    }


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    words = re.findall(r"^## (.*)$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 25
    assert words == sorted(set(words), key=str.lower)


@pytest.mark.parametrize(
    ("expected", "printed", "equal"),
    [
        (("a … c",), "a b c\n", True),
        (("a",), "a\nb\n", False),
        (("a", "…"), "a\nb\n", True),
        (("…", "b"), "a\nb\n", True),
        (("a … c",), "a b\nc\n", False),
        (("…",), "", True),
    ],
)
def test_output_is_compared_line_by_line(expected: Any, printed: str, equal: bool) -> None:
    assert matches(expected, printed) == equal


def test_the_pages_build_without_a_warning_and_ask_no_other_host(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=None,
    )
    assert done.returncode == 0, done.stderr
    built = list((tmp_path / "site").rglob("*.html"))
    assert len(built) > 25
    for page in built:
        loaded = re.findall(r"<(?:script|img|iframe)[^>]* src=[\"']?([^\"' >]+)", page.read_text())
        loaded += re.findall(r"<link[^>]* href=[\"']?([^\"' >]+)", page.read_text())
        assert loaded
        assert not [address for address in loaded if re.match(r"(https?:)?//", address)], page
