"""Names are the field's words: none of those that meant several things here, or nothing to anybody else, comes back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("jobs", "pipeline", "images", "tests", "benchmarks")

# What stood for: a message, payload, callback or translated error; the desired state; a reason; uploaded logs; scratch
# space; a position, key or folder; an average; the optimizer's state; prefetching; generating; synthetic components; a
# retrieval index.
BANNED = {
    "told",
    "tell",
    "wish",
    "shipped",
    "room",
    "place",
    "places",
    "moving",
    "moments",
    "ahead",
    "paint",
    "standin",
    "standins",
    "bank",
    "mend",
}
BANNED_TOGETHER = ("last_words", "stand_in")


def names(node: ast.AST) -> Iterator[str]:
    """The identifiers that a node brings in."""
    match node:
        case ast.Name():
            yield node.id
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.arg() | ast.keyword():
            yield node.arg or ""
        case ast.Attribute(ctx=ast.Store()):
            yield node.attr


def words_of(name: str) -> set[str]:
    """The words that an identifier is made of."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_has_a_word_that_only_we_would_understand(folder: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names(node)
        if words_of(name) & BANNED or any(words in name.lower() for words in BANNED_TOGETHER)
    }
    assert sorted(found) == []


def test_modules_are_named_by_the_same_rule() -> None:
    paths = [path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    assert [str(path) for path in paths if words_of(path.stem) & BANNED] == []


def test_few_lines_are_held_against_the_formatter() -> None:
    held = "fmt: " + "skip"
    lines = [
        line for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") for line in path.read_text().splitlines()
    ]
    assert sum(held in line for line in lines) < 20


def test_modules_are_small() -> None:
    lengths = sorted(
        len(path.read_text().splitlines())
        for folder in ("jobs", "pipeline", "images")
        for path in (ROOT / folder).rglob("*.py")
    )
    assert lengths[len(lengths) * 9 // 10] <= 200
