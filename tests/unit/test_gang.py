"""A gang: Pods that start, die and come back in any order train what an undisturbed gang trains, or end for a retry."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from torch.distributed import DistNetworkError

from jobs.errors import BAD_DATA, PEER_LOST, TRY_AGAIN, BadConfiguration, I2PError, PeerLost, StoreError, severity
from jobs.runtime.environment import TASK_VARIABLE
from jobs.runtime.gang import launcher, membership, rendezvous
from jobs.runtime.gang.membership import Gang
from jobs.runtime.gang.world import World, worlds_of_pod
from jobs.runtime.task_description import TaskDescription
from jobs.shards.dataset import Committed, Dataset, load_manifest
from jobs.shards.records import Manifest
from jobs.shards.tar import Sample
from jobs.train.stage import TRAIN, TrainParams
from tests import pictures
from tests.networks import from_sample
from tests.stages import dataset_of, local_run, run_stage
from tests.waiting import wait_for

SHARDS = {"train-00000": range(14), "train-00001": range(14, 26), "train-00002": range(26, 40)}
PATIENCE = 240.0  # seconds; four processes import torch on a machine that may be busy


def settings(**changes: Any) -> TrainParams:
    tiny: dict[str, Any] = {
        "model": pictures.TINY,
        "pretrained": None,
        "image_size": 32,
        "head": "linear",
        "drop_path": 0.2,
        "trainable": "all",
        "epochs": 12,
        "batch_size": 8,
        "learning_rate": 2e-3,
        "head_learning_rate": 1e-3,
        "head_only_steps": 1,
        "ema_decay": 0.9,
        "precision": "fp32",
        "window_shards": 2,
        "curve_every": 4,
        "checkpoint_every": 3,
    }
    return TrainParams(**(tiny | changes))


def broken(number: int) -> Sample:
    sample = pictures.sample(number)
    return Sample(sample.key, {**sample.fields, "png": sample["png"][:100]})


class Pods:
    """The Pods of a gang's Job, as processes."""

    def __init__(self, folder: Path, params: TrainParams, count: int = 2, processes: int = 1) -> None:
        self.run = local_run(folder)
        dataset_of(self.run, "compare-images", {})
        if load_manifest(self.run.at("generate-images")) is None:
            pictures.images(self.run, SHARDS)
        manifests = {name: load_manifest(self.run.at(name)) for name in TRAIN.inputs}
        self.params = params
        self.task = TaskDescription(
            store=str(folder),
            run="run",
            stage="train",
            params=params.model_dump(mode="json"),
            inputs={name: manifest.digest for name, manifest in manifests.items() if manifest},
            completions=count,
            gang=True,
        )
        self.environ = {
            **os.environ,
            TASK_VARIABLE: self.task.to_variable(),
            "I2P_MASTER": f"localhost:{free_port()}",
            "I2P_PROCESSES": str(processes),
        }
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, index: int) -> subprocess.Popen[bytes]:
        number = len(self.started)
        environ = {
            **self.environ,
            "JOB_COMPLETION_INDEX": str(index),
            "I2P_ATTEMPT": f"pod{number}",
            "I2P_TERMINATION_LOG": str(self.folder / f"message-{number}"),
        }
        log = (self.folder / f"log-{number}").open("wb")
        process = subprocess.Popen([sys.executable, "-m", "jobs"], env=environ, stderr=log)
        self.started.append(process)
        return process

    def noted(self, number: int) -> str:
        return (self.folder / f"log-{number}").read_text()

    def until_logged(self, number: int, words: str) -> None:
        until = time.monotonic() + PATIENCE
        while words not in self.noted(number):
            assert time.monotonic() < until, f"never said {words!r}: {self.noted(number)}"
            assert self.started[number].poll() is None, self.noted(number)
            time.sleep(0.02)

    def trained(self) -> Dataset:
        manifests = {name: load_manifest(self.run.at(name)) for name in TRAIN.inputs}
        inputs = [Dataset(self.run.at(name), manifest) for name, manifest in manifests.items() if manifest]
        (unit,) = TRAIN.units_of(self.params, inputs)
        record = Committed.of(self.run.at("train")).record(unit.name, TRAIN.fingerprint(unit))
        assert record, [self.noted(number) for number in range(len(self.started))]
        return Dataset(self.run.at("train"), Manifest("train", (record.outcome,)))

    def digests(self) -> dict[str, str]:
        return {shard.name: shard.sha256 for shard in self.trained().shards()}

    def kill(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def started() -> Iterator[list[Pods]]:
    gangs: list[Pods] = []
    yield gangs
    for pods in gangs:
        pods.kill()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    pods = Pods(tmp_path_factory.mktemp("undisturbed"), settings())
    try:
        first, second = pods.start(0), pods.start(1)
        assert [process.wait(PATIENCE) for process in (first, second)] == [0, 0]
        return pods.digests()
    finally:
        pods.kill()


def test_two_pods_train_what_one_process_trains_though_the_first_starts_late(
    tmp_path: Path, started: list[Pods]
) -> None:
    params = settings(drop_path=0.0, epochs=1)
    pods = Pods(tmp_path / "two", params)
    started.append(pods)
    pods.start(1)
    pods.until_logged(0, "waiting for the gang")
    pods.start(0)
    assert [process.wait(PATIENCE) for process in pods.started] == [0, 0]
    run = local_run(tmp_path / "one")
    (alone,) = run_stage(run, TRAIN, params, [pictures.images(run, SHARDS)]).samples("model")
    (together,) = pods.trained().samples("model")
    left, right = (from_sample(stored).state_dict() for stored in (alone, together))
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-4


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_pod_ends_the_other_soon_and_a_replacement_that_comes_before_that_meets_its_successor(
    tmp_path: Path, started: list[Pods], undisturbed: dict[str, str], victim: int
) -> None:
    pods = Pods(tmp_path, settings())
    started.append(pods)
    both = [pods.start(0), pods.start(1)]
    pods.until_logged(0, '"event": "checkpoint"')
    both[victim].kill()
    pods.start(victim)
    killed = time.monotonic()
    assert both[1 - victim].wait(PATIENCE) == PEER_LOST
    assert json.loads((tmp_path / f"message-{1 - victim}").read_bytes())["exit_code"] == PEER_LOST
    assert time.monotonic() - killed < 60
    pods.start(1 - victim)
    assert [process.wait(PATIENCE) for process in pods.started[2:]] == [0, 0]
    assert '"event": "continuing"' in pods.noted(2)
    assert pods.digests() == undisturbed


def test_sigterm_to_one_pod_lets_all_save_the_same_step_and_stop(
    tmp_path: Path, started: list[Pods], undisturbed: dict[str, str]
) -> None:
    pods = Pods(tmp_path, settings(checkpoint_every=1_000))
    started.append(pods)
    first, second = pods.start(0), pods.start(1)
    pods.until_logged(0, '"event": "progress"')
    second.send_signal(signal.SIGTERM)
    assert [process.wait(PATIENCE) for process in (first, second)] == [PEER_LOST, TRY_AGAIN]
    stopped = [pods.noted(number).rpartition("goes on after step ")[2].split()[0] for number in (0, 1)]
    assert stopped[0] == stopped[1]
    message = json.loads((tmp_path / "message-1").read_bytes())
    assert message["exit_code"] == TRY_AGAIN
    assert message["attempt"] == "pod1"
    assert "another process of the gang was asked to stop" in (tmp_path / "message-0").read_text()
    assert [process.wait(PATIENCE) for process in (pods.start(1), pods.start(0))] == [0, 0]
    assert f'"event": "continuing", "step": {stopped[0]}' in pods.noted(2)
    assert pods.digests() == undisturbed


def test_sigterm_before_the_gang_has_met_ends_at_once(tmp_path: Path, started: list[Pods]) -> None:
    for index in (0, 1):
        pods = Pods(tmp_path / str(index), settings())
        started.append(pods)
        alone = pods.start(index)
        pods.until_logged(0, '"event": "unit"' if index == 0 else "waiting for the gang")
        asked = time.monotonic()
        alone.terminate()
        assert alone.wait(PATIENCE) == TRY_AGAIN
        assert time.monotonic() - asked < 5


def test_two_processes_of_one_pod_train_what_two_pods_train_and_are_one_attempt(
    tmp_path: Path, started: list[Pods], undisturbed: dict[str, str]
) -> None:
    pods = Pods(tmp_path, settings(), count=1, processes=2)
    started.append(pods)
    assert pods.start(0).wait(PATIENCE) == 0
    assert pods.digests() == undisturbed
    train = pods.run.at("train")
    assert [stat.name for stat in train.list("logs/")] == ["logs/00000-pod0.jsonl"]
    assert [stat.name for stat in train.list("processes/")] == ["processes/00000-pod0.1.jsonl"]


def test_a_pod_ends_with_the_most_severe_exit_code_of_its_processes(tmp_path: Path, started: list[Pods]) -> None:
    samples = [broken(number) if number == 3 else pictures.sample(number) for number in range(40)]
    dataset_of(local_run(tmp_path), "generate-images", {"train-00000": samples})
    pods = Pods(tmp_path, settings(), count=1, processes=2)
    started.append(pods)
    assert pods.start(0).wait(PATIENCE) == BAD_DATA
    message = json.loads((tmp_path / "message-0").read_bytes())
    assert message["exit_code"] == BAD_DATA
    assert f"{samples[3].key} cannot be decoded" in message["error"]
    (codes,) = (json.loads(line)["exit_codes"] for line in pods.noted(0).splitlines() if "processes ended" in line)
    assert sorted(codes) == [BAD_DATA, PEER_LOST]


def test_a_pod_of_several_processes_ends_as_each_of_them_when_another_pod_is_killed(
    tmp_path: Path, started: list[Pods]
) -> None:
    pods = Pods(tmp_path, settings(), count=2, processes=2)
    started.append(pods)
    both = [pods.start(0), pods.start(1)]
    pods.until_logged(0, '"event": "progress"')
    both[1].kill()  # its processes end with it
    assert both[0].wait(PATIENCE) == PEER_LOST
    assert json.loads((tmp_path / "message-0").read_bytes())["exit_code"] == PEER_LOST


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["exit 69", "sleep 0.5; exit 69"], PEER_LOST),
        (["exit 69", "sleep 0.5; exit 75"], TRY_AGAIN),
        (["exit 69", "kill -9 $$"], TRY_AGAIN),
        (["exit 69", "sleep 0.5; exit 65"], BAD_DATA),
        (["exit 75", "trap 'exit 69' TERM; sleep 30 & wait"], TRY_AGAIN),
        (["exit 69", "trap 'exit 75' TERM; sleep 30 & wait"], TRY_AGAIN),
    ],
)
def test_a_pod_has_lost_another_one_when_none_of_its_processes_failed_by_itself(
    commands: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "_ALL_END_SECONDS", 2.0)
    start, handler = subprocess.Popen, signal.getsignal(signal.SIGTERM)
    todo = iter(commands)
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **options: start(["sh", "-c", next(todo)], **options))
    try:
        assert launcher.launch([world(rank, 1) for rank in range(len(commands))], "pod") == code
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.7]:31417"), PeerLost),
        (DistNetworkError("failed to recv, got 0 bytes"), PeerLost),
        (RuntimeError("CUDA out of memory"), RuntimeError),
        (RuntimeError("[gloo] Timed out waiting 1800000ms for recv operation to complete"), RuntimeError),
        (StoreError("s3://bucket/name: Connection reset by peer"), StoreError),
        (ConnectionResetError("Connection reset by peer"), ConnectionResetError),
    ],
    ids=lambda one: one.__class__.__name__ if isinstance(one, Exception) else None,
)
def test_only_a_collective_that_lost_its_other_end_is_the_loss_of_another_process(
    error: Exception, expected: type[Exception]
) -> None:
    with pytest.raises(expected) as raised, membership.translate_peer_errors():
        raise error
    assert type(raised.value) is expected


def test_a_failure_of_its_own_tells_more_than_the_loss_of_another_process() -> None:
    assert sorted((137, BAD_DATA, PEER_LOST, 0), key=severity) == [0, PEER_LOST, 137, BAD_DATA]


# The meeting


def world(rank: int, port: int, size: int = 2) -> World:
    return World(rank, size, 0, 1, "localhost", port)


def together(size: int = 2) -> list[Gang]:
    port = free_port()
    with ThreadPoolExecutor(size) as pool:
        stores = list(pool.map(rendezvous.meet, [world(rank, port, size) for rank in range(size)]))
    return [Gang(world(rank, port, size), store, lost=lambda reason: None) for rank, store in enumerate(stores)]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_gang_that_does_not_meet_is_reported_and_tried_again(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "_PATIENCE_SECONDS", 1.0)
    with pytest.raises(
        I2PError, match=r"2 processes of the gang did not all come to localhost:\d+ within 1 s"
    ) as raised:
        rendezvous.meet(world(rank, free_port()))
    assert raised.value.exit_code == TRY_AGAIN


def test_a_process_that_died_while_the_others_waited_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "CALL_SECONDS", 2.0)
    port = free_port()
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(rendezvous.meet, world(0, port, 3))
        wait_for(lambda: _answers(port))
        died = rendezvous.connect(world(1, port, 3))
        died.add("joined/1", 1)
        died.add("joined", 1)
        del died
        others = [pool.submit(rendezvous.meet, world(rank, port, 3)) for rank in (1, 2)]
        assert [store.result(60).add("joined", 0) for store in (first, *others)] == [3, 3, 3]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", port)) == 0


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Instead of ending this process; short times."""
    ends: list[Callable[[], None]] = []

    def end_now(reason: Callable[[], None], exit_code: int) -> None:
        assert exit_code == PEER_LOST
        ends.append(reason)

    monkeypatch.setattr(membership, "end_now", end_now)
    monkeypatch.setattr(membership, "_BEAT_SECONDS", 0.05)
    monkeypatch.setattr(membership, "_DEAD_SECONDS", 1.0)
    monkeypatch.setattr(membership, "OWN_END_SECONDS", 0.1)
    return ends


def test_a_silent_process_ends_the_gang_and_a_living_one_does_not(ended: list[Callable[[], None]]) -> None:
    first, second = together()
    reasons: list[PeerLost] = []
    first.lost = reasons.append
    first.watch()
    second.watch()
    time.sleep(2)
    assert not ended
    second._left.set()  # it beats no more, without a goodbye
    wait_for(lambda: bool(ended))
    ended[0]()
    assert [str(reason) for reason in reasons] == [
        "rank 1 has been silent for 1 s; a retry goes on from the newest checkpoint"
    ]
    first._left.set()


def test_a_replaced_process_ends_the_gang_it_was_of(ended: list[Callable[[], None]]) -> None:
    first, _second = together()
    reasons: list[PeerLost] = []
    first.lost = reasons.append
    first.watch()
    with pytest.raises(rendezvous._NotYet, match="an earlier process of this rank"):
        rendezvous._gather(rendezvous.connect(first.world), world(1, first.world.port), until=time.monotonic())
    wait_for(lambda: bool(ended))
    ended[0]()
    assert [str(reason) for reason in reasons] == [
        "a Pod of the gang was replaced; a retry goes on from the newest checkpoint"
    ]
    first._left.set()


def test_those_that_said_goodbye_are_not_missed(ended: list[Callable[[], None]]) -> None:
    gangs = together()
    for one in gangs:
        one.watch()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Gang.leave, gangs))
    gangs.clear()
    time.sleep(2)
    assert not ended


def test_every_process_of_every_pod_has_its_rank() -> None:
    environ = {"I2P_MASTER": "train-0.train:29500", "I2P_PROCESSES": "4"}
    positions = worlds_of_pod(1, 2, environ)
    assert [(one.rank, one.size, one.local_rank, one.local_size) for one in positions] == [
        (4, 8, 0, 4),
        (5, 8, 1, 4),
        (6, 8, 2, 4),
        (7, 8, 3, 4),
    ]
    assert positions[0].variables()["MASTER_ADDR"] == "train-0.train"
    assert worlds_of_pod(0, 1, {})[0].host == "localhost"
    for wrong in ({}, {"I2P_MASTER": "train-0"}, {"I2P_MASTER": "a:b"}, {**environ, "I2P_PROCESSES": "0"}):
        with pytest.raises(BadConfiguration, match="I2P_MASTER=HOST:PORT"):
            worlds_of_pod(0, 2, wrong)
