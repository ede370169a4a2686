"""What the report's charts, graph and tables are made of, each on its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from jobs.catalog import STAGES
from jobs.dedup.stage import DEDUP
from jobs.report import charts
from jobs.report.charts import bins
from jobs.report.text_difference import marked
from pipeline.report import graph_figure
from pipeline.report.stage_facts import StageFacts, settings_of


def test_words_that_only_one_prompt_has_are_marked() -> None:
    left, right = marked("a red fox, at night", "a fox at dawn")
    assert left == (("a", False), ("red", True), ("fox, at", False), ("night", True))
    assert right == (("a", False), ("fox at", False), ("dawn", True))


def test_what_long_prompts_share_is_shortened() -> None:
    ((shared, differs), *_), _ = marked(f"{'very ' * 400} old", f"{'very ' * 400} new")
    assert shared == " ".join(["very"] * 12 + ["…"] + ["very"] * 12)
    assert not differs


def test_bins_take_every_value_once() -> None:
    assert bins([0.8, 0.8499, 0.85, 1.0, 0.79, 1.2], 0.8, 1.0, 4) == [3, 1, 0, 2]
    assert bins([0.5], 1.0, 1.0, 2) == [1, 0]


def test_ticks_are_round_and_inside() -> None:
    assert charts.ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert charts.ticks(0.13, 0.87, 4) == [0.2, 0.4, 0.6, 0.8]
    assert charts.ticks(3, 3) == [3]
    assert charts.tick_texts([0, 0.0005, 0.001]) == ["0", "5e-4", "1e-3"]
    assert charts.tick_texts([0, 1500.0]) == ["0", "1,500"]


@pytest.mark.parametrize("points", [[], [(0, 0.0)], [(5, 1.0)], [(1, 0.0), (2, 0.0)]])
def test_a_curve_without_extent_is_drawn_all_the_same(points: Any) -> None:
    drawn = charts.line(points, style="model", label="loss", axis="step", unit="loss")
    assert "nan" not in drawn
    assert charts.histogram([charts.Bars("model", [])], [], x=(0, 0), label="", axis="", unit="").endswith("</svg>")


def test_dots_stand_where_their_values_are_and_the_diagonal_where_both_are_equal() -> None:
    ends = {"x": (0.5, 1.0), "y": (0.5, 1.0), "label": "r", "axis": "a", "unit": "b"}
    drawn = charts.scatter([(0.5, 0.5), (1.0, 1.0)], style="model", diagonal=True, joined=True, **ends)  # type: ignore[arg-type]
    assert drawn.count("<circle") == 2
    assert 'cx="62.0" cy="220.0"' in drawn
    assert 'd="M62.0 220.0L446.0 12.0"' in drawn
    assert 'points="62.0,220.0 446.0,12.0"' in drawn
    assert "<circle" not in charts.scatter([], style="model", **ends)  # type: ignore[arg-type]


def test_the_graph_names_what_every_stage_reads() -> None:
    stages = [StageFacts(name=spec.name, about=spec.about, inputs=spec.inputs) for spec in STAGES]
    for drawn in (graph_figure.wide(stages), graph_figure.narrow(stages)):
        assert drawn.count('class="edge"') == sum(len(spec.inputs) for spec in STAGES)
        assert f"{DEDUP.name} reads {DEDUP.inputs[0]}" in drawn
    outdated = [dataclasses.replace(stage, done=True, outdated=("x",)) for stage in stages]
    assert graph_figure.wide(outdated).count('class="box outdated"') == len(stages)


def test_settings_are_reported_flat_with_all_their_values() -> None:
    first, *others = settings_of({"source": {"seed": number}, "x": None, "held_out": {}} for number in range(6))
    assert (first.name, first.text) == ("source.seed", "6 values, 0 to 5")
    assert [(one.name, one.text) for one in others] == [("x", "null"), ("held_out", "{}")]
