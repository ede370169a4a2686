"""Hostile files, through the real workers: each is a recorded bad image or bad row, and its neighbours are done."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from jobs.collect.stage import COLLECT, CollectParams
from jobs.infer import worker as infer
from jobs.infer.foreign import PixelsOf, decoders
from jobs.infer.stage import INFER, InferParams
from jobs.regressor.limits import ImageLimits
from jobs.runtime.arrays import from_npy
from jobs.runtime.task import Task
from jobs.shards.dataset import Committed, Dataset
from jobs.shards.records import Manifest
from tests import pictures
from tests.hostile.files import SPARSE, write_images, write_sources
from tests.hostile.sources import MANY
from tests.stages import local_run, run_stage
from tests.unit.test_infer import inputs

MEMORY = 1.3e9  # bytes of a decoder: a gigabyte, and the program itself
GOOD = 12


def largest_child() -> int:
    """Bytes that the largest process used which this one has waited for, other tests' among them."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def test_hostile_images_are_recorded_and_their_neighbours_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = largest_child()
    run, datasets = inputs(tmp_path / "run")
    folder = tmp_path / "files"
    expected = write_images(folder)
    good = {f"good-{number}": pictures.picture(number % 4, seed=number) for number in range(GOOD)}
    for id_, data in good.items():
        (folder / f"{id_}.png").write_bytes(data)
    taken: dict[str, float] = {}

    @contextmanager
    def timed(limits: ImageLimits, count: int) -> Iterator[PixelsOf]:
        with decoders(limits, count) as pixels_of:

            def one(data: bytes, name: str, size: int) -> np.ndarray:
                began = time.monotonic()
                try:
                    return pixels_of(data, name, size)
                finally:
                    taken[name] = time.monotonic() - began

            yield one

    monkeypatch.setattr(infer, "decoders", timed)
    asked = InferParams(images=str(folder), bad_images="record", batch_size=16, num_candidates=1)
    predictions = run_stage(run, INFER, asked, datasets)
    found = {sample.json()["id"]: sample for sample in predictions.samples()}
    (outcome,) = predictions.manifest.outcomes
    assert outcome.stats["images"] + outcome.stats["bad_images"] == len(found) == len(expected) + GOOD
    alone = tmp_path / "good"
    alone.mkdir()
    for id_, data in good.items():
        (alone / f"{id_}.png").write_bytes(data)
    same = run_stage(local_run(tmp_path / "other"), INFER, InferParams(images=str(alone), num_candidates=1), datasets)
    for sample in same.samples():
        assert np.allclose(from_npy(found[sample.key]["npy"]), from_npy(sample["npy"]), atol=1e-5)
    refused = {id_ for id_, sample in found.items() if "error" in sample.json()}
    wrong = {
        name: must for name, must in expected.items()
        if must is not None and (Path(name).stem in refused or "./" + name in refused) != must
    }  # fmt: skip
    assert not wrong
    assert len(expected) > 200
    assert set(SPARSE) <= set(expected)
    assert max(taken.values()) < 60, "seconds on the clock of a busy machine; of CPU the limits allow 10"
    assert largest_child() < max(MEMORY, before + 1)


def test_hostile_files_of_prompts_cost_their_own_rows_or_their_own_unit(tmp_path: Path) -> None:
    before = largest_child()
    expected = write_sources(tmp_path / "files")
    sources = [
        {"kind": kind, "name": f"s{number}", "path": str(tmp_path / "files" / name), "on_bad_row": "skip"}
        for number, (name, (kind, _)) in enumerate(expected.items())
    ]
    (tmp_path / "good.txt").write_text("a cat\na dog\n")
    sources.append({"kind": "text", "name": "good", "path": str(tmp_path / "good.txt")})
    params = CollectParams.model_validate({"sources": sources})
    run = local_run(tmp_path)
    task = Task(COLLECT, params, (), run.at("collect"), 0, 1, attempt="test")
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
    assert largest_child() < max(MEMORY, before + 1)
