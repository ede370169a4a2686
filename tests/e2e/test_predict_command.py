"""`i2p predict` as a user calls it: on a run's model, killed and called again, and with a model that was exported."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from jobs.errors import BAD_CONFIGURATION
from jobs.predict.inputs import PART
from tests import pictures
from tests.e2e.runs import RUN, i2p

PICTURES = 2 * PART + 40


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "pipeline", "predict", *map(str, arguments), "--threads", "1"]


def kill_when_committed(arguments: list[str], out: Path, parts: int) -> None:
    """Start the command and kill it as soon as so many parts are there."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(committed(out)) < parts:
            assert process.poll() is None, "it ended before it was to be killed"
            time.sleep(0.01)
        process.kill()


def committed(out: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in out.glob("unfinished/commits/*.json")}


def test_a_command_that_is_killed_twice_goes_on_and_names_each_picture_once(undisturbed: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(PICTURES):
        (folder / f"{number:04d}.png").write_bytes(pictures.picture(number % 4, seed=number))
    (folder / "0007.png").write_bytes(b"no picture")
    arguments = command(folder, "--model", undisturbed / RUN, "--out", out, "--json")
    kill_when_committed(arguments, out, 1)
    first = committed(out)
    kill_when_committed(arguments, out, 2)
    assert first.items() <= committed(out).items(), "what was done is not done again"
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["images"], answer["refused"]) == (PICTURES, 1)
    assert answer["predicted"] + answer["abstained"] + answer["refused"] == PICTURES
    with (out / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"{number:04d}.png" for number in range(PICTURES)]
    assert len(np.load(out / "vectors.npy", allow_pickle=False)) == PICTURES
    assert not list(out.glob("*unfinished*"))
    again = subprocess.run(command(folder, "--model", undisturbed / RUN), capture_output=True, text=True)
    assert f"images {PICTURES:>12,}" in again.stdout
    assert "… and" in again.stdout


def test_a_model_that_was_exported_gives_the_same_files(undisturbed: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        (tmp_path / "in" / f"{number}.png").write_bytes(pictures.picture(number, seed=number))
    i2p(undisturbed, "export", "model", "--out", str(tmp_path / "model"))
    outs = {"of-run": undisturbed / RUN, "of-folder": tmp_path / "model"}
    for name, model in outs.items():
        arguments = command(tmp_path / "in", "--model", model, "--out", tmp_path / name)
        assert subprocess.run(arguments, capture_output=True).returncode == 0
    found = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in outs
    ]
    assert found[0] == found[1]
    refused = i2p(undisturbed, "export", "model", "--out", str(tmp_path / "model"), check=False)
    assert refused.returncode == BAD_CONFIGURATION
    assert "--force" in refused.stderr
