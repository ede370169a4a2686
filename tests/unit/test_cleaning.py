"""Each rule refuses what it is for under a name of its own, and real prompts stay."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.collect.rules import RULES, AnyRule, Rule
from jobs.collect.stage import COLLECT, CollectParams, units
from jobs.contract.declaration import Inputs
from jobs.errors import BadConfiguration
from jobs.registry import names_in
from tests.unit.test_collect import collect, counts, prompts

RULE: TypeAdapter[Rule] = TypeAdapter(AnyRule)

CASES: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (
        {"kind": "length", "min_words": 2, "max_words": 4, "min_characters": 5, "max_characters": 20},
        ["cat", "a cat on a mat", "a b", "a cat with extraordinary hair"],
        ["a cat", "a cat on it"],
    ),
    (
        {"kind": "repeated-words"},
        ["cat cat cat cat", "Red dog, red dog, RED DOG - red dog", "a cat a cat a cat a cat",
         "the the the a the the the of"],
        ["cat", "very very very nice", "a man and a woman in a park by a lake", "a cat, a dog, a fish and a bird"],
    ),
    ({"kind": "repeated-words", "max_run": 9, "min_words": 2, "max_share": 0.4}, ["cat cat"], ["a cat on a mat"]),
    (
        {"kind": "characters"},
        ["!!! ... ???", "1 2 3 4 5", "see https://example.com now", "see www.example.com", "a <b>bold</b> cat",
         "cats &amp; dogs", "a cat\x1b[2J", "a \u202egnp\u202c cat"],
        ["a cat, 4k", "<lora:add_detail:1> a cat", "a < b and b > c", "हिन्दी में एक बिल्ली", "猫が座っている",
         "AT&T logo; a sign"],
    ),
    ({"kind": "characters", "min_letters": 0, "refuse": []}, [], ["!!!", "https://example.com", "<b>x</b>"]),
    ({"kind": "pattern", "pattern": "(?i)getty|stock photo", "refuse": "found"}, ["a Stock Photo of it"], ["a photo"]),
    ({"kind": "pattern", "pattern": r"^[\p{Latin} ,]+$", "refuse": "missing"}, ["котик", "a cat 4"], ["a café, a cat"]),
    (
        {"kind": "language"},
        ["eine rote Katze sitzt auf einer Mauer", "un gato rojo sentado en la pared de piedra",
         "рыжая кошка сидит на каменной стене", "石の壁に座っている赤い猫の写真です",
         "ein Ölgemälde einer alten Mühle am Fluss"],
        ["a red cat sitting on a stone wall", "rote Katze", "portrait by zdzisław beksinski", "猫",
         "greg rutkowski, artgerm, octane render, 8 k, trending on artstation"],
    ),
    ({"kind": "language", "keep": ["de", "fr"]}, ["a red cat is sitting on the wall of a garden"],
     ["eine rote Katze sitzt auf einer Mauer", "un chat roux est assis sur le mur du jardin"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "refused", "kept"), CASES, ids=lambda case: case["kind"] if isinstance(case, dict) else ""
)
def test_a_rule_refuses_what_it_is_for(rule: dict[str, Any], refused: list[str], kept: list[str]) -> None:
    found = RULE.validate_python(rule)
    assert [prompt for prompt in [*refused, *kept] if found.refuses(prompt)] == refused


def test_every_rule_is_tried_here() -> None:
    assert {rule["kind"] for rule, _, _ in CASES} == set(names_in(RULES))


def test_refused_prompts_are_counted_by_rule_and_source(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text(
            "a cat\ncat cat cat cat cat\ncat cat cat cat cat\na cat\nsee www.x.org\na\n"
        )
    sources = [{"kind": "text", "name": name, "path": str(tmp_path / f"{name}.txt")} for name in ("a", "b")]
    rules = [
        {"kind": "repeated-words"},
        {"kind": "pattern", "name": "sites", "pattern": r"www\.", "refuse": "found", "sources": ["b"]},
        {"kind": "characters", "sources": ["b"]},
    ]
    dataset = collect(tmp_path, *sources, rules=rules, min_words=2)
    counts = {outcome.unit: dict(outcome.stats) for outcome in dataset.manifest.outcomes}
    common = {"rows": 6, "repeated": 1, "too_short": 1, "too_long": 0, "unreadable": 0}
    assert counts == {
        "a": {**common, "kept": 2, "refused": {"repeated-words": 2}},
        "b": {**common, "kept": 1, "refused": {"repeated-words": 2, "sites": 1}},
    }
    assert {sample.text() for sample in dataset.samples("b")} == {"a cat"}


def test_a_rule_is_part_of_the_fingerprints_of_its_sources_only(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a cat")
    sources = [{"kind": "text", "name": name, "path": str(tmp_path / "a.txt")} for name in ("a", "b")]

    def fingerprints(*rules: dict[str, Any]) -> list[str]:
        params = CollectParams.model_validate({"sources": sources, "rules": rules})
        return [COLLECT.fingerprint(unit) for unit in units(params, Inputs(()))]

    plain = fingerprints()
    only_a = fingerprints({"kind": "length", "sources": ["a"]})
    assert only_a[0] != plain[0]
    assert only_a[1] == plain[1]
    assert only_a[0] == fingerprints({"kind": "length", "sources": ["b", "a"]})[0]
    (unit, _) = units(CollectParams.model_validate({"sources": sources}), Inputs(()))
    assert "rules" not in unit.settings


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{"kind": "langauge"}], "did you mean 'language'"),
        ([{"kind": "length"}, {"kind": "length", "min_words": 3}], "every rule needs a name of its own"),
        ([{"kind": "length", "name": "kept"}], "'kept' is counted already"),
        ([{"kind": "length", "sources": ["alpa"]}], "did you mean 'alpha'"),
        ([{"kind": "language", "keep": ["xx"]}], "Input should be 'ar', 'cs'"),
        ([{"kind": "pattern", "pattern": "a"}], "Field required"),
        ([{"kind": "pattern", "pattern": "(a", "refuse": "found"}], r"is not a regular expression: missing \)"),
        ([{"kind": "pattern", "pattern": r"a(?!b)", "refuse": "found"}], r"\(\?! looks around or back"),
        ([{"kind": "pattern", "pattern": r"(a)\1", "refuse": "found"}], "1 looks around or back"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_the_configuration(rules: Any, said: str) -> None:
    sources = [{"kind": "grammar", "name": "alpha"}]
    with pytest.raises(ValidationError, match=said):
        CollectParams.model_validate({"sources": sources, "rules": rules})


def test_what_only_looks_like_looking_around_is_a_pattern() -> None:
    for pattern in (r"\(?=", r"[(?=]", r"\\1", r"(?:a|b)+(?P<c>d)", r"[]\1]x"):
        RULE.validate_python({"kind": "pattern", "pattern": pattern, "refuse": "found"})


def test_what_only_re2_refuses_is_a_wrong_configuration(tmp_path: Path) -> None:
    source = {"kind": "grammar", "name": "g", "num_prompts": 3}
    with pytest.raises(BadConfiguration, match=r"collect\.rules: pattern: .*see RE2's syntax"):
        collect(tmp_path, source, rules=[{"kind": "pattern", "pattern": "a{1,5000}", "refuse": "found"}])


def test_no_pattern_takes_time_without_end() -> None:
    prompt = "a" * 2_000 + "!"
    for pattern in ("^(a+)+$", "a*a*a*a*a*a*b", "(a|a)*b", "(.*)*x"):
        rule = RULE.validate_python({"kind": "pattern", "pattern": pattern, "refuse": "found"})
        began = time.process_time()
        assert not rule.refuses(prompt)
        assert time.process_time() - began < 1


def test_hostile_prompts_take_no_time() -> None:
    kinds = [{"kind": "characters"}, {"kind": "repeated-words"}, {"kind": "language"}]
    for prompt in ("<a " * 666, "<" * 2_000, "&" + "a" * 1_999, "a b " * 500, "\u0301" * 2_000, "www." * 500):
        for kind in kinds:
            began = time.process_time()
            RULE.validate_python(kind).refuses(prompt.strip())
            assert time.process_time() - began < 5  # the first time, the model is loaded


def test_real_prompts_stay(tmp_path: Path, data: Path) -> None:
    rules = [{"kind": "characters"}, {"kind": "repeated-words"}, {"kind": "language"}]
    (captions,) = (data / "sources/conceptual_captions").glob("*.tsv")
    sources: list[dict[str, Any]] = [
        {"kind": "conceptual-captions", "name": "cc", "path": str(captions), "limit": 2_000},
        {"kind": "tsv", "name": "licensed", "path": str(data / "prompts/licensed_prompts.tsv.gz"), "limit": 2_000,
         "quoting": "standard"},
    ]  # fmt: skip
    dataset = collect(tmp_path, *sources, rules=rules)
    for one in counts(dataset).values():
        assert sum(one.refused.values()) <= 1 + 0.005 * one.rows
    assert len(prompts(dataset)) > 100
