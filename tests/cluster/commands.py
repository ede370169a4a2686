"""What a user types, and the configuration that a user has written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def written(values: Mapping[str, Any], folder: Path, name: str = "run.yaml") -> str:
    """A configuration as a file."""
    path = folder / name
    path.write_text(yaml.safe_dump(dict(values)))
    return str(path)


def i2p(preset: str, *arguments: str, check: bool = True, seconds: float = 180.0) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; by default it must succeed."""
    done = subprocess.run(_command(preset, arguments), capture_output=True, text=True, timeout=seconds)
    assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def answer(preset: str, *arguments: str) -> Any:
    """What a command answers with --json."""
    return json.loads(i2p(preset, *arguments, "--json").stdout)


@contextmanager
def begun(preset: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on while the test does something; it ends with the block."""
    with subprocess.Popen(
        _command(preset, arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def helm(*arguments: str) -> str:
    """Run helm; returns what it prints."""
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"helm {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _command(preset: str, arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pipeline", *arguments, "--preset", preset]
