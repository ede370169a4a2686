"""A stage is put into the middle of the graph: its folder, the input of the stage that reads it, and an extra."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.shards.dataset import load_manifest
from jobs.shards.local import LocalStore

ROOT = Path(__file__).parents[2]
PRESET = "tests/e2e/small.yaml"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the stage, in three hand-written places."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("jobs", "pipeline", "images", "charts"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock", "LICENSE", PRESET):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    shutil.copytree(ROOT / "tests" / "data" / "screen_images", tree / "jobs" / "screen_images")  # 1: its folder
    _replace(  # 2: the input of the stage that reads it
        tree / "jobs" / "train" / "contract.py",
        (
            "from jobs.generate_images.contract import GeneratedImages",
            "from jobs.screen_images.contract import ScreenedImages",
        ),
        ("images: GeneratedImages[Dataset]", "images: ScreenedImages[Dataset]"),
    )
    _replace(
        tree / "pyproject.toml", ("\ntrain = [", '\nscreen-images = ["pillow>=12.3"]\ntrain = [')
    )  # 3: its packages
    return tree


@pytest.fixture(scope="module")
def store(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a whole run was made."""
    store = tmp_path_factory.mktemp("store")
    i2p(tree, store, "run")
    return store


def _replace(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text)


def python(tree: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run([sys.executable, *arguments], cwd=tree, env=env, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def i2p(tree: Path, store: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return python(tree, "-m", "pipeline", *arguments, "--preset", PRESET, "--set", f"store={store}", check=check)


def test_the_run_goes_through_it(tree: Path, store: Path) -> None:
    rows: list[dict[str, Any]] = json.loads(i2p(tree, store, "plan", "--json").stdout)
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    assert stages.index("generate-images") < stages.index("screen-images") < stages.index("train")
    assert {row["action"] for row in rows} == {"skip"}
    trained = load_manifest(LocalStore(store / "small" / "train"))
    assert trained
    assert list(trained.outcomes[0].reads) == ["screen-images/train"]


def test_its_content_is_verified(tree: Path, store: Path) -> None:
    found = json.loads(i2p(tree, store, "verify", "--json").stdout)
    assert found["screen-images"].endswith("images of several colours")


def test_wrong_content_is_noticed(tree: Path, store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(store, copy)
    settings = ("--set", "screen-images.fewest_colours=1", "--set", "stages=[screen-images]")
    taken = ("--set", "inputs={generate-images: small}", "--set", "run=plain")
    white = python(tree, "-c", _WHITE, str(copy), check=False)
    assert white.returncode == 0, white.stderr
    i2p(tree, copy, "run", *settings, *taken)
    done = i2p(tree, copy, "verify", *settings, *taken, check=False)
    assert done.returncode == 65
    assert "is of a single colour" in done.stderr


def test_its_section_is_in_the_report(store: Path) -> None:
    page = (store / "small" / "report.html").read_text()
    assert "images have several colours." in page
    assert 'href="#screened"' in page


def test_an_image_is_built_for_it(tree: Path) -> None:
    code = (
        "from images.context import image_names, plan; assert 'screen-images' in image_names(); "
        "print(plan('screen-images', registry='r', settings={}).files['requirements.txt'].decode())"
    )
    assert "pillow==" in python(tree, "-c", code).stdout


def test_the_charts_know_its_settings(tree: Path) -> None:
    python(tree, "-m", "pipeline.charts")
    schema = json.loads((tree / "charts" / "training-run" / "values.schema.json").read_text())
    assert "screen-images" in schema["properties"]
    assert "fewest_colours" in json.dumps(schema["$defs"]["ScreenImagesConfig"])


# Makes every image of the first shard white, as one that went wrong would be, with a record and a manifest that agree.
_WHITE = """
import io, sys, time
from dataclasses import replace
from PIL import Image
from jobs.shards.dataset import Dataset, Writer, load_manifest, publish_manifest
from jobs.shards.local import LocalStore
from jobs.shards.records import CommitRecord, Manifest, record_name
from jobs.shards.tar import Sample
stage = LocalStore(__import__("pathlib").Path(sys.argv[1]) / "small" / "generate-images")
dataset = Dataset(stage, load_manifest(stage))
file = io.BytesIO(); Image.new("RGB", (32, 32), "white").save(file, "PNG")
first, *others = dataset.manifest.outcomes
(shard,) = first.shards
writer = Writer(stage)
writer.add_shard(shard.name, [Sample(one.key, {**one.fields, "png": file.getvalue()}) for one in dataset.read(shard)])
white = replace(first, shards=tuple(writer.shards))
stage.put(record_name(white.unit, white.fingerprint), CommitRecord(white, "test", 0.0, time.time(), {}).encode())
publish_manifest(stage, Manifest("generate-images", (white, *others)))
"""
