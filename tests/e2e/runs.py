"""Runs the installed command line as a user does, and looks at what it left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from jobs.catalog import STAGES
from jobs.shards.dataset import load_manifest
from jobs.shards.local import LocalStore

PRESET = str(Path(__file__).with_name("small.yaml"))
RUN = "small"


def i2p(
    store: Path | str, *arguments: str, check: bool = True, preset: str = PRESET
) -> subprocess.CompletedProcess[str]:
    """Run one command against a store; by default it must succeed."""
    command = [sys.executable, "-m", "pipeline", *arguments, "--preset", preset, "--set", f"store={store}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not check or done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done


def answer(store: Path | str, *arguments: str, preset: str = PRESET) -> Any:
    """What a command answers with --json."""
    return json.loads(i2p(store, *arguments, "--json", preset=preset).stdout)


def manifest_digests(store: Path, run: str = RUN) -> dict[str, str]:
    """The digest of every stage's manifest."""
    found = {spec.name: load_manifest(LocalStore(store / run / spec.name)) for spec in STAGES}
    return {name: manifest.digest for name, manifest in found.items() if manifest}


def to_do(store: Path, *arguments: str) -> set[tuple[str, str]]:
    """The (stage, shard) that the plan does not skip."""
    rows = answer(store, "plan", *arguments)
    return {(row["stage"], row["shard"]) for row in rows if row["action"] not in ("skip", "take")}


def records(store: Path) -> dict[str, bytes]:
    """Every commit record of the run, byte for byte; an attempt more would show."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("commits/*.json")}


def copy_of(store: Path, folder: Path) -> Path:
    """A copy of a store that a test may spoil."""
    return Path(shutil.copytree(store, folder / "store"))


def without(store: Path, *stages: str) -> Path:
    """The store after these stages' data was lost; cheap ones, where a test is about the controller."""
    for stage in stages:
        shutil.rmtree(store / RUN / stage)
    return store


def the_object(store: Path, stage: str, shard: str) -> Path:
    """The file that holds a shard."""
    (path,) = (store / RUN / stage / "shards").glob(f"{shard}-*.tar")
    return path
