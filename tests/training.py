"""Training on tiny images: parameters, one run of the stage, and processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from jobs.shards.dataset import Dataset
from jobs.train.stage import TRAIN, TrainParams
from tests import pictures
from tests.stages import local_run, run_stage

SHARDS = {"train-00000": range(14), "train-00001": range(14, 26), "train-00002": range(26, 40)}


PROCESSES = multiprocessing.get_context("forkserver")  # a fork of this process would hang where libraries use threads


@pytest.fixture(scope="module", autouse=True)
def processes_get_ready() -> None:
    """Imports what training needs once, for all processes of the tests of a module."""
    PROCESSES.set_forkserver_preload(["jobs.train.worker", __name__])
    forkserver.ensure_running()


@pytest.fixture(autouse=True)
def fresh_accelerator() -> Iterator[None]:
    """Lets each test train as if its process had not trained before."""
    yield
    AcceleratorState._reset_state(True)  # one process is one training elsewhere


def settings(**changes: Any) -> TrainParams:
    """Everything on that could spoil an exact continuation: statistics, stochastic depth, averaging, augmentation."""
    tiny: dict[str, Any] = {
        "model": pictures.TINY,
        "pretrained": None,
        "image_size": 32,
        "head": "linear-bn-relu-linear",
        "drop_path": 0.2,
        "trainable": "all",
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "head_learning_rate": 1e-3,
        "head_only_steps": 1,
        "ema_decay": 0.9,
        "augment": "light",
        "precision": "fp32",
        "window_shards": 2,
        "curve_every": 4,
        "checkpoint_every": 3,
    }
    return TrainParams(**(tiny | changes))


def train(folder: Path, params: TrainParams, shards: dict[str, range] = SHARDS) -> Dataset:
    """What train makes of tiny images."""
    run = local_run(folder)
    return run_stage(run, TRAIN, params, [pictures.images(run, shards)])


def digests(trained: Dataset) -> dict[str, str]:
    """The digests of its shards."""
    return {shard.name: shard.sha256 for shard in trained.shards()}


def in_processes(function: Any, of_each: list[tuple[Any, ...]]) -> list[int | None]:
    """Exit codes of processes of their own, each a copy of one that has imported everything and done nothing."""
    processes = [PROCESSES.Process(target=function, args=arguments) for arguments in of_each]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        process.kill()  # only if it hangs
        process.join()
    return [process.exitcode for process in processes]
