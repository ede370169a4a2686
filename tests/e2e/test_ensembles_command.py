"""Several networks and several views as a user asks for them, on a small run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jobs.errors import BAD_CONFIGURATION
from pipeline.__main__ import main
from tests import pictures
from tests.e2e.runs import RUN, answer, copy_of, i2p


def test_a_second_network_of_the_same_data_predicts_together_with_the_first(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copy_of(undisturbed, tmp_path)
    i2p(store, "run", "--run", "second", "--set", "train.seed=1")
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.png").write_bytes(pictures.picture(number, seed=number))
    together = ["--model", f"{RUN},second", "--store", str(store), "--threads", "1"]
    assert main(["predict", str(folder), *together, "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 3
    assert [one["model"] for one in found["ensemble"]["members"]] == [RUN, "second"]
    assert sum(one["weight"] for one in found["ensemble"]["members"]) == pytest.approx(1)
    for gain in (found["ensemble"]["normalised"], found["ensemble"]["not_normalised"]):
        assert set(gain) == {"score", "gain", "interval", "weights"}
    vectors = np.load(tmp_path / "out" / "vectors.npy", allow_pickle=False)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    i2p(store, "export", "images", "--format", "imagefolder", "--out", str(tmp_path / "pairs"))
    capsys.readouterr()
    assert main(["score", str(tmp_path / "pairs" / "validation"), *together]) == 0
    said = capsys.readouterr().out
    assert f"{RUN},second" in said
    assert "ensemble of 2 networks, measured on" in said
    assert "normalisation off" in said
    other = ("--run", "other", "--set", "dedup.held_out.val=0.25", "--set", "train.epochs=1")
    i2p(store, "run", *other)
    asked = ["--model", f"{RUN},other", "--store", str(store)]
    assert main(["predict", str(folder), *asked]) == BAD_CONFIGURATION
    assert f"{RUN} and other were evaluated on different images" in capsys.readouterr().err


def test_views_are_a_setting_of_evaluate_which_all_predictions_follow(undisturbed: Path, tmp_path: Path) -> None:
    store = copy_of(undisturbed, tmp_path)
    before = answer(store, "metrics")
    i2p(store, "run", "--set", "evaluate.views=flip", "--set", "evaluate.image_size=40")
    found = answer(store, "metrics")
    assert found["viewing"]["plain_score"] == before["score"]
    assert found["viewing"]["image_size"] == 40
    assert "views flip, 40 px" in i2p(store, "metrics").stdout
    i2p(store, "report")
    assert "the views <code>flip</code> and 40 pixels" in (store / RUN / "report.html").read_text()
