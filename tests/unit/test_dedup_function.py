"""The filter as a function: of prompts, of vectors, and what it says of rows that repeat or are empty."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import jobs.dedup
from jobs.dedup import Filtered, deduplicate
from jobs.dedup.greedy import greedy
from jobs.dedup.tool import filtering
from jobs.dedup.tool.embedding import model_facts, model_params
from jobs.dedup.tool.filtering import distinct_of, filtered
from jobs.errors import BadConfiguration, BadData
from jobs.shards.keys import normalise
from tests.tiny import refuse_connections, sentence_model

FOX, SNOW, NIGHT = "a red fox", "a red fox in the snow", "a lighthouse at night"


def test_the_examples_in_its_documentation_are_right() -> None:
    results = doctest.testmod(filtering)
    assert results.attempted > 5
    assert not results.failed


def test_it_is_imported_when_it_is_asked_for_and_nothing_heavy_before() -> None:
    code = "import jobs.dedup.command, sys; print({'numpy', 'torch'} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jobs.dedup.nothing  # type: ignore[attr-defined] # noqa: B018


def test_each_row_is_kept_dropped_or_empty_and_a_repeat_has_the_witness_of_the_first() -> None:
    found = deduplicate([FOX, "", SNOW, f" {FOX}\n", None, NIGHT, SNOW, "  "])
    assert found.kept.tolist() == [0, 5]
    assert found.empty.tolist() == [1, 4, 7]
    assert found.dropped.row.tolist() == [2, 3, 6]
    assert found.dropped.witness.tolist() == [0, 0, 0]
    assert found.dropped.cosine[1] == 1.0
    assert found.dropped.cosine[0] == found.dropped.cosine[2] == pytest.approx(0.84, abs=0.01)
    assert found.repeats == 2


def test_at_threshold_one_word_for_word_repeats_go_and_nothing_else() -> None:
    found = deduplicate([FOX, SNOW, FOX, "e\u0301 fox", "\xe9 fox"], threshold=1)
    assert (found.kept.tolist(), found.dropped.row.tolist()) == ([0, 1, 3], [2, 4])


def clusters(seed: int, rows: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(1, rows // 4), 8))
    return (centres[random.integers(len(centres), size=rows)] + random.normal(size=(rows, 8)) * 0.4).astype(np.float32)


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(0, 60), st.floats(0.3, 1))
def test_of_vectors_it_decides_as_the_stage_does(seed: int, rows: int, threshold: float) -> None:
    vectors = clusters(seed, rows)
    found, decisions = deduplicate(vectors, threshold), greedy(vectors, threshold)
    assert found.kept.tolist() == np.flatnonzero(decisions.witness < 0).tolist()
    assert found.dropped.row.tolist() == np.flatnonzero(decisions.witness >= 0).tolist()
    assert found.dropped.witness.tolist() == decisions.witness[decisions.witness >= 0].tolist()
    assert (found.repeats, len(found.empty)) == (0, 0)


@settings(max_examples=80)
@given(st.lists(st.sampled_from(["", " ", "a", "a ", "b", "c", "d  d", "d d", "e"])), st.integers(0, 99))
def test_rows_follow_from_the_decisions_on_distinct_prompts(prompts: list[str], seed: int) -> None:
    """As if each row were decided anew, where equal prompts have equal vectors."""
    distinct = distinct_of(prompts)
    vectors = clusters(seed, len(distinct.prompts))
    found = filtered(distinct.rows(), greedy(vectors, 0.8))
    of_text = dict(zip(distinct.prompts, vectors, strict=True))
    rows = [row for row, prompt in enumerate(prompts) if prompt.strip()]
    kept: list[int] = []
    for row in rows:
        unit = of_text[normalise(prompts[row])] / np.linalg.norm(of_text[normalise(prompts[row])])
        close = [
            float(unit @ of_text[normalise(prompts[k])]) / np.linalg.norm(of_text[normalise(prompts[k])]) for k in kept
        ]
        if max(close, default=-1) < 0.8:
            kept.append(row)
    assert found.kept.tolist() == kept
    check(found, len(prompts))


def check(found: Filtered, rows: int) -> None:
    """Every row is in one of the three, and witnesses are kept and come before."""
    assert sorted([*found.kept, *found.dropped.row, *found.empty]) == list(range(rows))
    assert set(found.dropped.witness.tolist()) <= set(found.kept.tolist())
    assert (found.dropped.witness < found.dropped.row).all()
    assert (found.dropped.cosine >= 0.8).all()


def test_the_settings_of_torch_stay_as_the_caller_has_them() -> None:
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(3)
    torch.use_deterministic_algorithms(False)
    try:
        deduplicate([FOX], threads=1)
        assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == (3, False)
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])


def test_another_model_may_have_vectors_of_another_length(tmp_path: Path) -> None:
    folder = sentence_model(tmp_path / "model", width=16)
    found = deduplicate(["fox owl", "castle robot", "fox owl "], 1, model=str(folder))
    assert found.dropped.row.tolist()[-1:] == [2]
    facts = model_facts(model_params(str(folder), revision=None, device="cpu", threads=1))
    assert facts["name"] == str(folder)
    assert len(facts["sha256"]) == 64


def test_how_far_it_is_goes_up_to_the_end() -> None:
    said: list[Any] = []
    deduplicate([FOX, NIGHT, FOX], on_progress=lambda *what: said.append(what))
    assert [what for what, *_ in said] == ["embedding", "embedding", "comparing"]
    assert said[1:] == [("embedding", 2, 2, 1.0), ("comparing", 2, 2, 1.0)]
    assert 0 < said[0][-1] < 1


@pytest.mark.parametrize(
    ("given_", "options", "reason"),
    [
        ("a red fox", {}, "a list of texts; given is one text"),
        ([FOX], {"threshold": 0}, "more than 0 and at most 1, given 0"),
        ([FOX], {"threshold": float("nan")}, "given nan"),
        ([FOX], {"threads": 0}, "1 or more is required, given 0"),
        ([FOX], {"model": "package:no_such_package"}, "'no_such_package' is not installed"),
        ([FOX], {"model": "org/name"}, "needs `revision`"),
        ([FOX], {"model": "org/name", "revision": "main"}, "revision: .* given 'main'"),
        ([FOX], {"device": "tpu"}, "device: .* given 'tpu'"),
        (np.zeros(3, np.float32), {}, "shape .n, d. is required, given is one of shape .3,."),
    ],
)
def test_what_cannot_be_asked_for_is_refused(given_: Any, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadConfiguration, match=reason):
        deduplicate(given_, **options)


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(BadData, match="row 1 is not text but int"):
        deduplicate([FOX, 7])  # type: ignore[list-item]
    with pytest.raises(BadData, match="row 1"):
        deduplicate(np.array([[1, 0], [0, 0]], np.float32))


def test_nothing_is_downloaded_even_where_the_hub_could_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = refuse_connections(monkeypatch)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with pytest.raises(
        BadConfiguration, match=r"nothing is downloaded; `hf download org/name --revision 0{40}` fetches"
    ):
        deduplicate([FOX], model="org/name", revision="0" * 40)
    assert tried == []


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"required to be what SentenceTransformer.save\(\) writes"):
        deduplicate([FOX], model=str(tmp_path))
