"""The version is the git tag's: in a checkout, an archive, an installation and where there is none of these."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import helm_python
import pytest
import yaml

from images.build import labels_of
from images.context import plan
from pipeline.__main__ import main
from pipeline.cli import version as of_version
from pipeline.cli.version import ROOT, commit, version
from tests.archives import unpack

CHARTS = ROOT / "charts"


@pytest.fixture
def checkout(tmp_path: Path) -> tuple[Path, Callable[..., None]]:
    """A repository of this project's own settings with one commit, and what runs git in it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("pyproject.toml", ".git_archival.txt", ".gitattributes"):
        shutil.copy(ROOT / name, folder)

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=test", "-c", "user.email=test@localhost")
        subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)

    git("init")
    git("add", "--all")
    git("commit", "-m", "one")
    return folder, git


def test_a_checkout_without_tags_has_the_first_version_to_come(checkout: tuple[Path, Callable[..., None]]) -> None:
    assert re.fullmatch(r"0\.0\.1\.dev1\+g[0-9a-f]+", version(checkout[0]))


def test_at_a_tag_the_version_is_the_tag_s_and_after_it_the_next_one_to_come(
    checkout: tuple[Path, Callable[..., None]],
) -> None:
    folder, git = checkout
    git("tag", "v1.2.0")
    assert version(folder) == "1.2.0"
    git("commit", "--allow-empty", "-m", "two")
    assert re.fullmatch(r"1\.2\.1\.dev1\+g[0-9a-f]+", version(folder))


def test_the_commit_is_never_a_tag_s_name_and_says_when_files_differ(
    checkout: tuple[Path, Callable[..., None]],
) -> None:
    folder, git = checkout
    git("tag", "v1.2.0")
    assert re.fullmatch(r"[0-9a-f]{40}", commit(folder))
    (folder / "pyproject.toml").write_text("")
    assert re.fullmatch(r"[0-9a-f]{40}-dirty", commit(folder))


def test_an_archive_of_a_tag_builds_that_version(checkout: tuple[Path, Callable[..., None]], tmp_path: Path) -> None:
    _, git = checkout
    git("tag", "v1.2.0")
    git("archive", "--output", str(tmp_path / "archive.tar"), "HEAD")
    unpack(tmp_path / "archive.tar", tmp_path / "unpacked")
    done = subprocess.run(
        [sys.executable, "-m", "setuptools_scm"], cwd=tmp_path / "unpacked", capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1.2.0"


def test_without_git_it_is_the_installed_version_and_else_an_unknown_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert version(tmp_path) == importlib.metadata.version("image-to-prompts")
    assert commit(tmp_path) == ""
    monkeypatch.setattr(of_version, "DISTRIBUTION", "image-to-prompts-that-nobody-installed")
    assert version(tmp_path) == "0.0.0+unknown"


def test_a_copy_of_the_folders_alone_still_has_a_version_as_in_an_image(tmp_path: Path) -> None:
    for name in ("jobs", "pipeline"):
        shutil.copytree(ROOT / name, tmp_path / name)
    command = [sys.executable, "-m", "pipeline", "--version"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"image-to-prompts \S+ \(Python 3\.\d+\.\d+, commit \w+\)\n", done.stdout)


def test_the_command_line_prints_version_python_and_commit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    python = ".".join(map(str, sys.version_info[:3]))
    assert capsys.readouterr().out == f"image-to-prompts {version()} (Python {python}, commit {commit()})\n"


def test_images_have_the_same_version_and_name_the_licence() -> None:
    labels = labels_of(plan("embed", registry="localhost:1", settings={}))
    assert labels["org.opencontainers.image.version"] == version()
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("chart", ["training-run", "scheduled-inference"])
def test_a_packaged_chart_has_the_version_it_is_given_and_the_licence(chart: str, tmp_path: Path) -> None:
    packed = helm_python.package(CHARTS / chart, destination=tmp_path, version="1.2.0", app_version="1.2.0")
    with tarfile.open(packed) as archive:
        files = {one.name: read.read() for one in archive if (read := archive.extractfile(one))}
    described = yaml.safe_load(files[f"{chart}/Chart.yaml"])
    assert (described["version"], described["appVersion"]) == ("1.2.0", "1.2.0")
    assert described["annotations"]["artifacthub.io/license"] == "Apache-2.0"
    assert files[f"{chart}/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_licence_is_the_same_everywhere() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text.splitlines()[1]
    assert len(text.splitlines()) == 202
    assert (CHARTS / "common" / "LICENSE").read_text() == text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
