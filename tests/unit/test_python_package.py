"""`import i2p`: light, typed, quiet, and the same as the command line."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import i2p
from jobs.errors import BadConfiguration, BadData, NotFound
from tests import pictures
from tests.unit.test_infer import folder_of, inputs
from tests.unit.test_predict import predict


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A store whose run `run` has a model."""
    inputs(tmp_path / "runs")
    return tmp_path / "runs"


def test_importing_it_loads_nothing_heavy_and_says_nothing() -> None:
    program = "import sys, i2p; print(sorted({'torch', 'faiss', 'numpy', 'PIL'} & set(sys.modules)), dir(i2p))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"[] {sorted(i2p.__all__)}\n"
    assert done.stderr == ""


def test_a_path_bytes_and_an_image_of_pillow_are_predicted_as_the_command_does(
    tmp_path: Path, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "in", "a.png", "b.png")
    model = i2p.load_model("run", store=str(runs), threads=1, compose=False)
    path, data = folder / "a.png", (folder / "a.png").read_bytes()
    found = model.predict_many([path, str(path), data, Image.open(io.BytesIO(data)), folder / "b.png"])
    assert capfd.readouterr() == ("", "")
    first = found[0]
    assert all(np.allclose(one.vector, first.vector, atol=1e-6) for one in found[:4])
    assert not np.allclose(found[4].vector, first.vector, atol=1e-6)
    of_command = predict(folder, "--model", "run", "--store", runs, "--threads", 1).values["predictions"]
    assert [one["prompt"] for one in of_command] == [found[0].prompt, found[4].prompt]
    assert first.expected_cosine == pytest.approx(of_command[0]["expected_cosine"], abs=1e-5)
    candidates = [one.prompt for one in model.predict(path).candidates]
    assert candidates == [one["prompt"] for one in of_command[0]["candidates"]]


def test_what_is_no_image_and_no_model_says_what_is_required(tmp_path: Path, runs: Path) -> None:
    model = i2p.load_model(runs / "run", threads=1, compose=False)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(BadData, match=r"text\.png.* cannot be decoded"):
        model.predict(tmp_path / "text.png")
    with pytest.raises(BadData, match=r"nowhere\.png cannot be read: No such file"):
        model.predict(tmp_path / "nowhere.png")
    with pytest.raises(BadConfiguration, match="no trained run and no exported model"):
        i2p.load_model("nobody", store=str(runs))


def test_the_score_is_that_of_numpy() -> None:
    predicted, true = pictures.unit_vectors(30, seed=1), pictures.unit_vectors(30, seed=2)
    found = i2p.score(3 * predicted, true)
    assert found.score == pytest.approx(float((predicted * true).sum(axis=1).mean()), abs=1e-6)
    assert found.interval
    assert found.interval[0] < found.score < found.interval[1]
    assert i2p.score(true[:5], true[:5]).interval is None
    with pytest.raises(ValueError, match="given 30 and 29"):
        i2p.score(predicted, true[:29])


def test_a_dataset_is_read_as_python_values(tmp_path: Path, runs: Path) -> None:
    images = i2p.open_dataset(str(runs / "run" / "generate-images"))
    assert (images.stage, images.groups, len(images)) == ("generate-images", ["train", "val", "test"], 26)
    samples = list(images["val"])
    assert len(samples) == len(images["val"]) == 4
    assert {one.group for one in samples} == {"val"}
    assert all(one.prompt and one.image and one.vector is not None and one.vector.shape == (384,) for one in samples)
    with pytest.raises(KeyError, match="no group 'holdout', only train, val, test"):
        images["holdout"]
    with pytest.raises(NotFound, match="holds no finished stage; name the folder of one in a run"):
        i2p.open_dataset(str(tmp_path))
