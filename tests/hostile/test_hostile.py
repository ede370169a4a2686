"""Hostile files, through the real workers: each is a recorded bad image or bad row, and its neighbours are done."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.collect.contract import Collected
from jobs.collect.stage import COLLECT, CollectParams
from jobs.contract.declaration import Inputs
from jobs.infer.stage import INFER, InferParams
from jobs.runtime.arrays import from_npy
from jobs.runtime.sandbox.pool import Child
from jobs.runtime.task import Task
from jobs.shards.dataset import Committed, Dataset, Writer
from jobs.shards.records import Manifest
from jobs.shards.strict_json import JsonModel
from tests import pictures
from tests.hostile.files import SPARSE, write_images, write_sources
from tests.hostile.sources import MANY
from tests.samples import json_of
from tests.stages import local_run, run_stage
from tests.unit.test_collect import collect, counts
from tests.unit.test_infer import inputs

MEMORY = 1e9  # bytes: of a decoder with its program, and what a worker grows by
SECONDS = 5.0  # of a decoder's CPU for one answer
WAIT_SECONDS = 60.0  # on the clock of a busy machine
GOOD = 12


@dataclass
class Taken:
    """The most that a decoder took: bytes, and seconds for one answer, of CPU and on the clock."""

    memory: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    _before: dict[int, float] = field(default_factory=dict)  # seconds of each process until its last answer

    def look(self, child: Child[Any, Any, Any]) -> None:
        """Look at a process that has answered, or did not."""
        process = child._process.pid
        numbers = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        now = (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")
        self.seconds = max(self.seconds, now - self._before.get(process, 0.0))
        self._before[process] = now
        self.memory = max(self.memory, resident(process, "VmHWM"))


def resident(process: int | str, which: str) -> int:
    """Bytes that a process has (VmRSS), or had at most (VmHWM); none where it has ended."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(which)), 0)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[Taken]:
    """What decoders take; checked at the end, with what this process takes more than before."""
    taken = Taken()
    answer, close = Child.answer, Child.close

    def answering(child: Child[Any, Any, Any], most: int) -> tuple[JsonModel, bytes]:
        began = time.monotonic()
        try:
            message = answer(child, most)
        finally:
            taken.waited = max(taken.waited, time.monotonic() - began)
        taken.look(child)
        return message

    def closing(child: Child[Any, Any, Any]) -> None:
        if child._process.returncode is None:
            taken.look(child)
        close(child)

    monkeypatch.setattr(Child, "answer", answering)
    monkeypatch.setattr(Child, "close", closing)
    before = resident("self", "VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # count the most from here
    yield taken
    assert 50e6 < taken.memory < MEMORY
    assert 0 < taken.seconds < SECONDS
    assert 0 < taken.waited < WAIT_SECONDS
    assert resident("self", "VmHWM") - before < MEMORY


@pytest.mark.usefixtures("taken")
def test_hostile_images_are_recorded_and_their_neighbours_predicted(tmp_path: Path) -> None:
    run, datasets = inputs(tmp_path / "run")
    folder = tmp_path / "files"
    expected = write_images(folder)
    good = {f"good-{number}": pictures.picture(number % 4, seed=number) for number in range(GOOD)}
    for id_, data in good.items():
        (folder / f"{id_}.png").write_bytes(data)
    asked = InferParams(images=str(folder), bad_images="record", batch_size=16, num_candidates=1, compose=False)
    predictions = run_stage(run, INFER, asked, datasets)
    found = {json_of(sample)["id"]: sample for sample in predictions.samples()}
    (outcome,) = predictions.manifest.outcomes
    assert outcome.stats["images"] + outcome.stats["bad_images"] == len(found) == len(expected) + GOOD
    alone = tmp_path / "good"
    alone.mkdir()
    for id_, data in good.items():
        (alone / f"{id_}.png").write_bytes(data)
    same = run_stage(
        local_run(tmp_path / "other"), INFER, InferParams(images=str(alone), num_candidates=1, compose=False), datasets
    )
    for sample in same.samples():
        assert np.allclose(from_npy(found[json_of(sample)["id"]]["npy"]), from_npy(sample["npy"]), atol=1e-5)
    refused = {id_: json_of(sample)["error"] for id_, sample in found.items() if "error" in json_of(sample)}
    assert not [id_ for id_, reason in refused.items() if "s to decode" in reason], "ended for its CPU time"
    wrong = {
        name: must
        for name, must in expected.items()
        if must is not None and (name in refused or "./" + name in refused) != must
    }
    assert not wrong
    assert len(expected) > 200
    assert set(SPARSE) <= set(expected)


@pytest.mark.usefixtures("taken")
def test_hostile_images_of_pairs_are_refused_by_reason_and_their_neighbours_kept(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    expected = write_images(folder)
    numbers = {name: number for number, name in enumerate(expected)}
    rows = [{"file_name": name, "text": f"hostile {number}"} for name, number in numbers.items()]
    for number in range(GOOD):
        (folder / f"good-{number}.png").write_bytes(pictures.picture(number % 4, seed=number))
        rows.insert(number * 20, {"file_name": f"good-{number}.png", "text": f"good {number}"})
    (folder / "metadata.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = {"kind": "imagefolder", "name": "odd", "path": str(folder), "on_bad_row": "skip"}
    dataset = collect(tmp_path / "run", source)
    (found,) = counts(dataset).values()
    assert found.rows == len(rows)
    kept = {sample.text() for sample in Collected(dataset).prompts.samples()}
    assert kept >= {f"good {number}" for number in range(GOOD)}
    wrong = {
        name for name, must in expected.items() if must is not None and (f"hostile {numbers[name]}" not in kept) != must
    }
    assert not wrong
    assert found.rows - found.kept == sum(number for reason, number in found.refused.items() if "image" in reason)


@pytest.mark.usefixtures("taken")
def test_hostile_files_of_prompts_cost_their_own_rows_or_their_own_unit(tmp_path: Path) -> None:
    expected = write_sources(tmp_path / "files")
    sources = [
        {"kind": kind, "name": f"s{number}", "path": str(tmp_path / "files" / name), "on_bad_row": "skip"}
        for number, (name, (kind, _)) in enumerate(expected.items())
    ]
    (tmp_path / "good.txt").write_text("a cat\na dog\n")
    sources.append({"kind": "text", "name": "good", "path": str(tmp_path / "good.txt")})
    params = CollectParams.model_validate({"sources": sources})
    run = local_run(tmp_path)
    task: Task[Inputs, Collected[Writer]] = Task(COLLECT, params, Inputs([]), run.at("collect"), 0, 1, attempt="test")
    from jobs.collect import worker

    worker.run(task, params)
    committed = Committed.of(run.at("collect"))
    units = {unit.name: committed.record(unit.name, COLLECT.fingerprint(unit)) for unit in COLLECT.units(params, ())}
    kept = {}
    for number, name in enumerate(expected):
        record = units[f"s{number}"]
        kept[name] = None if record is None else record.outcome.stats["kept"]
        if record:
            stats = dict(record.outcome.stats)
            assert stats.pop("rows") == sum(stats.values()), name
    assert {name: got for name, got in kept.items() if expected[name][1] not in (MANY, got)} == {}
    assert len(task.failures) == sum(record is None for record in units.values())
    good = units["good"]
    assert good is not None
    dataset = Dataset(run.at("collect"), Manifest("collect", (good.outcome,)))
    assert {sample.text() for sample in dataset.samples()} == {"a cat", "a dog"}
