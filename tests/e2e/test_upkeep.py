"""`runs`, `redo`, `repair` and `gc` on a finished run: what is damaged comes back, what nothing reaches goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import BAD_CONFIGURATION
from pipeline.__main__ import main
from pipeline.configuration.run_config import load_config
from pipeline.maintenance.live_runs import LiveNote
from pipeline.planning.run_store import open_run
from tests.e2e.every_object import DAMAGES, check, objects
from tests.e2e.runs import PRESET, RUN, copy_of, manifest_digests, the_object, to_do

DAY = 86_400
CLAIM = b'{"images":"incoming","names":["a.png"],"scheduled":"2026-11-22T03:00:00Z"}'


@pytest.fixture
def store(undisturbed: Path, tmp_path: Path) -> Path:
    return copy_of(undisturbed, tmp_path)


@pytest.fixture
def i2p(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command on a store in this process: exit code, and all that it said."""

    def run(store: Path, *arguments: str, preset: str = PRESET) -> tuple[int, str]:
        code = main([*arguments, "--preset", preset, "--set", f"store={store}"])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def test_runs_are_listed_with_stages_size_and_age(store: Path, i2p: Callable[..., Any]) -> None:
    shutil.copytree(store / RUN / "collect" / "shards", store / "begun" / "collect" / "shards")
    (store / "notes.txt").write_text("nobody's")
    code, said = i2p(store, "runs", "--json")
    begun, small = json.loads(said)
    assert code == 0
    assert (begun["name"], begun["published"], begun["begun"]) == ("begun", [], ["collect"])
    assert (small["name"], len(small["published"]), small["begun"]) == (RUN, 11, [])
    assert small["bytes"] == sum(
        path.stat().st_size for path in (store / RUN).rglob("*") if path.is_file() and ".unfinished" not in path.parts
    )
    assert 0 <= small["age"] < DAY
    assert "not finished" in i2p(store, "runs")[1]


def test_a_unit_is_made_again_and_what_comes_out_the_same_changes_nothing(store: Path, i2p: Callable[..., Any]) -> None:
    before = manifest_digests(store)
    code, said = i2p(store, "redo", "collect", "grammar")
    assert (code, "collect grammar: to be made again" in said) == (0, True)
    assert {stage for stage, _ in to_do(store)} >= {"collect"}
    assert manifest_digests(store) == before, "what is published stays until it is made"
    code, said = i2p(store, "run")
    assert code == 0
    assert "collect           started: 1 of 1 unit to make" in said
    assert said.count("started:") == 1
    assert manifest_digests(store) == before
    assert to_do(store) == set()


def test_a_unit_or_stage_that_is_none_is_reported(store: Path, i2p: Callable[..., Any]) -> None:
    assert "collect has no unit 'x' now; `i2p plan --all` lists what it has" in i2p(store, "redo", "collect", "x")[1]
    code, said = i2p(store, "redo", "colect")
    assert code == BAD_CONFIGURATION
    assert "there is no stage 'colect'" in said


SOME = {
    "collect/shards": DAMAGES,
    "dedup/commits": DAMAGES,
    "generate-prompts/manifest.json": ("cut", "flip"),
    "submission/logs": ("cut",),
    "report.html": ("delete",),
}


@pytest.mark.parametrize(("kind", "how"), [(kind, how) for kind, ways in SOME.items() for how in ways])
def test_a_damaged_object_is_made_again_and_nothing_else(undisturbed: Path, kind: str, how: str) -> None:
    name = next(name for name in objects(undisturbed) if kind in str(name))
    assert check(undisturbed, name, how) == ""


def test_repair_names_what_it_found_and_leaves_a_run_that_verifies(store: Path, i2p: Callable[..., Any]) -> None:
    before = manifest_digests(store)
    shard = the_object(store, "collect", "grammar-00001")
    body = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(body[:600] + bytes([body[600] ^ 8]) + body[601:])
    (store / RUN / "control.json").write_text("{")
    code, said = i2p(store, "repair")
    assert code == 0
    assert f"damaged  collect/shards/{shard.name}: set aside as damaged/{shard.name}, to be made again" in said
    assert "lost  control.json: removed, the run is neither paused nor cancelled" in said
    assert manifest_digests(store) == before
    assert i2p(store, "verify")[0] == 0
    assert "everything that can be read is as its records say" in i2p(store, "repair")[1]


def test_what_cannot_be_made_again_is_named_as_lost(tmp_path: Path, i2p: Callable[..., Any]) -> None:
    source, preset, store = tmp_path / "own.txt", tmp_path / "own.yaml", tmp_path / "store"
    source.write_text("a red fox\na blue whale\n")
    preset.write_text(
        f"run: own\nstages: [collect]\ncollect:\n  sources:\n    - {{kind: text, name: own, path: {source}}}\n"
    )
    assert i2p(store, "run", preset=str(preset))[0] == 0
    (shard,) = (store / "own" / "collect" / "shards").glob("*.tar")
    whole = shard.read_bytes()
    shard.unlink()
    shard.write_bytes(whole[:-1000])
    source.unlink()
    code, said = i2p(store, "repair", preset=str(preset))
    assert code != 0
    assert f"damaged  collect/shards/{shard.name}: set aside as damaged/{shard.name}" in said
    assert "there is no file" in said
    assert (store / "own" / "collect" / "damaged" / shard.name).read_bytes() == whole[:-1000]


def age(path: Path, days: float) -> Path:
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def write(path: Path, body: bytes, *, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return age(path, days)


def test_garbage_is_listed_and_then_removed_and_nothing_else_is(store: Path, i2p: Callable[..., Any]) -> None:
    before = manifest_digests(store)
    run = store / RUN
    for path in run.rglob("*"):
        if path.is_file():
            age(path, 3)
    record = next((run / "embed" / "commits").glob("*.json"))
    garbage = [
        write(run / "embed" / "commits" / f"{record.name[:-21]}{'0' * 16}.json", record.read_bytes(), days=3),
        write(run / "embed" / "shards" / f"grammar-00000-{'1' * 16}.tar", b"a losing shard", days=3),
        write(run / "train" / "checkpoints" / ("2" * 16) / "000000010.json", b"{}", days=3),
        write(run / "train" / "checkpoints" / ("2" * 16) / "000000010-3.safetensors", bytes(1000), days=3),
        write(run / "train" / "logs" / "00000-old-pod.jsonl", b"", days=40),
    ]
    young = write(run / "embed" / "shards" / f"grammar-00000-{'3' * 16}.tar", b"of a unit under way", days=0)
    foreign = write(run / "embed" / "notes" / "readme.txt", b"nobody's", days=100)
    claim = write(run / "claims" / "00001.json", CLAIM, days=100)
    write(run / "claims" / "dropped" / "00001.json", b"{}", days=100)
    there = set(objects(store))
    code, said = i2p(store, "gc", "--json")
    assert code == 0
    assert {run / row["stage"] / row["name"] for row in json.loads(said)} == set(garbage)
    assert set(objects(store)) == there
    code, said = i2p(store, "gc", "--delete")
    assert (code, "removed: 5 objects" in said) == (0, True)
    assert there - set(objects(store)) == {path.relative_to(store) for path in garbage}
    assert all(path.exists() for path in (young, foreign, claim))
    assert manifest_digests(store) == before
    assert i2p(store, "verify")[0] == 0
    assert to_do(store) == set()


def test_an_age_that_is_not_safe_beside_workers_is_refused(store: Path, i2p: Callable[..., Any]) -> None:
    shard = write(store / RUN / "embed" / "shards" / f"grammar-00000-{'1' * 16}.tar", b"", days=1)
    code, said = i2p(store, "gc", "--delete", "--days", "0.01")
    assert code == BAD_CONFIGURATION
    assert "garbage must be 2 hours old or more" in said
    assert shard.exists()


def test_the_records_of_a_configuration_that_somebody_runs_are_no_garbage(store: Path, i2p: Callable[..., Any]) -> None:
    for path in (store / RUN).rglob("*"):
        if path.is_file():
            age(path, 3)
    (store / RUN / "collect" / "manifest.json").unlink()  # all is made, and not published yet
    config = load_config(PRESET, [f"store={store}"])
    note = LiveNote(open_run(config), config)
    note.renew()

    def found() -> set[str]:
        code, said = i2p(store, "gc", "--json", "--set", "collect.max_characters=999")
        assert code == 0
        return {row["name"].partition("/")[0] for row in json.loads(said) if row["stage"] == "collect"}

    assert found() == set()
    note.withdraw()
    assert found() == {"commits", "shards"}
