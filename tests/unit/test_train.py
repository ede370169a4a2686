"""Training: an order that is a function of the seed, exact continuation after any death, and honest errors."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch

from jobs.contract.reading import ReadGroup
from jobs.contract.samples import Origin
from jobs.errors import BadConfiguration, BadData
from jobs.generate_images.contract import GeneratedImages
from jobs.imaging.pixels import decode, pixels
from jobs.runtime.stopping import Stopped
from jobs.runtime.task import Task
from jobs.shards.dataset import Dataset, Writer
from jobs.shards.local import LocalStore
from jobs.shards.records import Shard
from jobs.shards.store import Body
from jobs.shards.tar import Sample
from jobs.train import worker
from jobs.train.batches import batches
from jobs.train.checkpoints import Checkpoints
from jobs.train.contract import LearnerState, Trained, TrainInputs
from jobs.train.learner import new_learner
from jobs.train.optimizer import build_optimizer, rate_factor, set_rates
from jobs.train.order import windows
from jobs.train.stage import TRAIN, TrainParams
from tests import pictures
from tests.networks import from_sample
from tests.samples import json_of
from tests.stages import dataset_of, local_run, run_stage
from tests.training import SHARDS, digests, in_processes, settings, train
from tests.training import fresh_accelerator as fresh_accelerator
from tests.training import processes_get_ready as processes_get_ready


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return digests(train(tmp_path_factory.mktemp("undisturbed"), settings()))


# Continuation


class Killed(BaseException):
    """As if the process had been killed: nothing catches it."""


class DyingStore(LocalStore):
    """A local store whose process dies just before, or just after, its n-th write."""

    left = 0
    after = False

    def at(self, path: str) -> DyingStore:
        below = DyingStore(self.root / path)
        below.left, below.after = self.left, self.after
        return below

    def create(self, name: str, body: bytes | BinaryIO) -> bool:
        return bool(self._dying(lambda: super(DyingStore, self).create(name, body)))

    def delete(self, name: str) -> None:
        self._dying(lambda: super(DyingStore, self).delete(name))

    def _dying(self, write: Any) -> Any:
        self.left -= 1
        if self.left < 0 or (self.left == 0 and not self.after):
            raise Killed
        done = write()
        if self.left == 0:
            raise Killed
        return done


def attempt(run: LocalStore, params: TrainParams) -> Task[TrainInputs, Trained[Writer]]:
    return Task(
        TRAIN,
        params,
        TrainInputs([pictures.images(run, SHARDS), dataset_of(run, "compare-images", {})]),
        run.at("train"),
        0,
        1,
        attempt="test",
    )


def test_a_death_at_any_write_and_a_new_start_give_the_same_model(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    deaths = 0
    for write, after in [(1, False), (2, False), (2, True), (5, True), (7, True), (9, False), (10, True), (12, True)]:
        run = local_run(tmp_path / f"{write}-{after}")
        task = attempt(run, settings())
        dying = DyingStore(run.root / "train")
        dying.left, dying.after = write, after
        task.output = dying
        try:
            worker.run(task, task.params)
        except Killed:
            deaths += 1
        died_tidying_up = bool(list(run.at("train").list("commits/")))
        assert digests(train(run.root.parent, settings())) == undisturbed
        assert died_tidying_up or not list(run.at("train").list("checkpoints/"))
    assert deaths == 8


def killing_itself(folder: Path) -> None:
    do_step, done = worker.do_step, []

    def deadly(*arguments: Any, **named: Any) -> Any:
        done.append(1)
        if len(done) == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return do_step(*arguments, **named)

    worker.do_step = deadly
    task = attempt(local_run(folder), settings())
    worker.run(task, task.params)


def test_sigkill_in_the_middle_of_a_step_and_a_new_start_give_the_same_model(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    (exit_code,) = in_processes(killing_itself, [(tmp_path,)])
    assert exit_code == -signal.SIGKILL
    kept = [stat.name for stat in local_run(tmp_path).at("train").list("checkpoints/") if stat.name.endswith(".json")]
    assert kept[0].endswith("/000000003.json"), "that of step 6 may have been under way"
    assert digests(train(tmp_path, settings())) == undisturbed


def test_sigterm_saves_a_checkpoint_at_once_and_a_retry_goes_on_from_it(
    tmp_path: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = local_run(tmp_path)
    task = attempt(run, settings(checkpoint_every=1_000))
    do_step = worker.do_step

    def interrupted(learner: Any, *arguments: Any, **named: Any) -> Any:
        if learner.step == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return do_step(learner, *arguments, **named)

    monkeypatch.setattr(worker, "do_step", interrupted)
    before = signal.signal(signal.SIGTERM, task.on_sigterm)
    try:
        with pytest.raises(Stopped, match="goes on after step 6 of 10"):
            worker.run(task, task.params)
    finally:
        signal.signal(signal.SIGTERM, before)
    capfd.readouterr()
    assert digests(train(tmp_path, settings(checkpoint_every=1_000))) == undisturbed
    assert '"event": "continuing", "step": 6' in capfd.readouterr().err


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    tmp_path: Path, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = local_run(tmp_path)
    task = attempt(run, settings())
    with monkeypatch.context() as patched:
        do_step, save = worker.do_step, Checkpoints.save

        def dying(learner: Any, *arguments: Any, **named: Any) -> Any:
            if learner.step == 7:
                raise Killed
            return do_step(learner, *arguments, **named)

        def save_and_wait(
            checkpoints: Checkpoints, *arguments: Any
        ) -> None:  # else the kill may come before it is there
            save(checkpoints, *arguments)
            checkpoints.wait()

        patched.setattr(worker, "do_step", dying)
        patched.setattr(Checkpoints, "save", save_and_wait)
        with pytest.raises(Killed):
            worker.run(task, task.params)
    (newest,) = (run.root / "train/checkpoints").glob("*/000000006-*.safetensors")
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    capfd.readouterr()
    assert digests(train(tmp_path, settings())) == undisturbed
    noted = capfd.readouterr().err
    assert "checkpoint passed over" in noted
    assert '"event": "continuing", "step": 3' in noted


def state_after(step: int) -> LearnerState:
    return LearnerState(step=step, losses=[], curve=[], scaler={})


def test_checkpoints_keep_the_last_two_and_replace_a_damaged_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    checkpoints = Checkpoints(store, "f" * 64)
    for step in (10, 20, 30):
        checkpoints.save(step, {"x": torch.full((3,), float(step))}, state_after(step))
    checkpoints.wait()
    names = [stat.name for stat in store.list("checkpoints/")]
    assert [name.rpartition("/")[2][:9] for name in names] == ["000000020"] * 2 + ["000000030"] * 2
    (record,) = (name for name in names if name.endswith("030.json"))
    (tmp_path / record).write_bytes(b"{}")
    assert (found := checkpoints.newest())
    assert found[1] == state_after(20)
    checkpoints.save(30, {"x": torch.full((3,), 30.0)}, state_after(30))
    checkpoints.wait()
    assert (found := checkpoints.newest())
    assert found[0]["x"].tolist() == [30.0] * 3
    assert Checkpoints(store, "e" * 64).newest() is None


def test_what_a_background_upload_failed_with_is_raised(tmp_path: Path) -> None:
    class Broken(LocalStore):
        def create(self, name: str, body: bytes | BinaryIO) -> bool:
            raise BadData("no")

    checkpoints = Checkpoints(Broken(tmp_path), "f" * 64)
    checkpoints.save(1, {}, state_after(1))
    with pytest.raises(BadData):
        checkpoints.wait()


# What makes a model another one


def test_only_the_training_images_and_what_shapes_the_result_decide_whether_to_train_again(tmp_path: Path) -> None:
    def fingerprint(params: TrainParams, shards: dict[str, range]) -> str:
        run = local_run(tmp_path / str(len(list(tmp_path.iterdir()))))
        images = pictures.images(run, shards)
        (unit,) = TRAIN.units_of(params, [images, dataset_of(run, "compare-images", {})])
        return TRAIN.fingerprint(unit)

    first = fingerprint(settings(), {**SHARDS, "val-00000": range(40, 44)})
    assert fingerprint(settings(checkpoint_every=7), {**SHARDS, "val-00000": range(50, 60)}) == first
    assert fingerprint(settings(), {**SHARDS, "train-00003": range(40, 44)}) != first
    assert fingerprint(settings(seed=1), SHARDS) != first


def test_the_model_and_its_curve_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    params = settings(drop_path=0.0, ema_decay=None, augment="none", epochs=10, schedule="one-cycle", warm_up=0.3)
    trained = train(tmp_path, params)
    (curve,) = (json_of(sample) for sample in trained.samples("curve"))
    points = curve.pop("points")
    assert curve == {"steps": 50, "epochs": 10, "batch_size": 8}
    assert [point["step"] for point in points] == [*range(4, 49, 4), 50]
    assert points[-1]["images"] == 400
    assert points[-1]["cosine"] == pytest.approx(1 - points[-1]["loss"])
    assert points[0]["cosine"] < 0.3
    (stored,) = trained.samples("model")
    regressor = from_sample(stored)
    samples = [pictures.sample(number) for number in range(8)]
    arrays = [pixels(decode(sample["png"], sample.key), 32) for sample in samples]
    with torch.no_grad():
        vectors = regressor(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)).numpy()
    centres = pictures.unit_vectors(4, seed=1)
    assert (vectors @ centres.T).argmax(axis=1).tolist() == [0, 1, 2, 3] * 2, "it has learnt the colours"
    assert points[-1]["cosine"] > 0.7


def test_frozen_layers_come_out_as_they_went_in(tmp_path: Path) -> None:
    (stored,) = train(tmp_path, settings(trainable="last-quarter", epochs=1)).samples("model")
    after = from_sample(stored).state_dict()
    before = new_learner(settings(), torch.device("cpu")).regressor.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert "tower.trunk.stages.3.blocks.1.mlp.fc1.weight" in moved
    assert not [name for name in moved if name.startswith(("tower.trunk.stem", "tower.trunk.stages.2"))]


def test_with_averaging_the_result_is_the_average(tmp_path: Path) -> None:
    (last,) = train(tmp_path / "last", settings(ema_decay=None, epochs=1)).samples("model")
    (average,) = train(tmp_path / "average", settings(ema_decay=0.9, epochs=1)).samples("model")
    assert last["safetensors"] != average["safetensors"]
    assert last["json"] == average["json"]


def test_bf16_trains_on_a_cpu_and_fp16_is_refused_there(tmp_path: Path) -> None:
    (stored,) = train(tmp_path, settings(precision="bf16", epochs=1)).samples("model")
    assert {tensor.dtype for tensor in from_sample(stored).parameters()} == {torch.float32}
    with pytest.raises(BadConfiguration, match="fp16 needs"):
        train(tmp_path / "fp16", settings(precision="fp16"))


# Errors


def test_a_training_that_breaks_down_says_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"broke down at step 2: loss nan.*lower learning_rate \(1e\+38\)"):
        train(tmp_path, settings(learning_rate=1e38, head_learning_rate=1e38, head_only_steps=0, warm_up=0.0))
    assert not list(local_run(tmp_path).at("train").list("commits/"))


def test_fewer_images_than_a_batch_takes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="a batch takes 64 images, but there are only 40"):
        train(tmp_path, settings(batch_size=64))


def test_a_broken_image_is_bad_data_that_names_it(tmp_path: Path) -> None:
    run = local_run(tmp_path)
    samples = [pictures.sample(number) for number in range(16)]
    broken = Sample(samples[3].key, {**samples[3].fields, "png": samples[3]["png"][:100]})
    images = dataset_of(run, "generate-images", {"train-00000": [*samples[:3], broken, *samples[4:]]})
    with pytest.raises(BadData, match=f"{broken.key} cannot be decoded"):
        run_stage(run, TRAIN, settings(), [images])


# The order


def shard(name: str, samples: int) -> Shard:
    return Shard(name, name, 0, "", samples, None, None)


def test_an_order_continued_is_the_rest_of_the_order_and_reads_no_finished_window() -> None:
    shards = [shard(f"train-{number}", 10 + number) for number in range(7)]
    whole = list(windows(shards, seed=1, epoch=0, size=3))
    assert sorted(one.name for window in whole for one in window.shards) == [one.name for one in shards]
    first = sum(one.samples for one in whole[0].shards)
    rest = list(windows(shards, seed=1, epoch=0, size=3, skip=first + 4))
    assert [window.shards for window in rest] == [window.shards for window in whole[1:]]
    assert [window.skip for window in rest] == [4, 0]
    assert list(windows(shards, seed=1, epoch=1, size=3)) != whole
    assert list(windows(shards, seed=2, epoch=0, size=3)) != whole


def train_split(images: Dataset) -> ReadGroup[Origin]:
    return GeneratedImages(images).splits["train"]


def test_batches_do_not_depend_on_where_they_start_or_who_shares_them(tmp_path: Path) -> None:
    images = train_split(pictures.images(local_run(tmp_path), SHARDS))
    params = settings()

    def vectors(**where: int) -> list[list[list[float]]]:
        return [batch.vectors.tolist() for batch in batches(images, params, **{"first_step": 0, **where})]

    whole = vectors()
    assert [len(batch) for batch in whole] == [8] * 10
    for step in (1, 4, 5, 7):
        assert vectors(first_step=step) == whole[step:]
    shares = [vectors(process=process, num_processes=4) for process in range(4)]
    for number, batch in enumerate(whole):
        assert sorted(batch) == sorted(vector for share in shares for vector in share[number])
    epoch = [tuple(vector) for batch in whole[:5] for vector in batch]
    assert len(set(epoch)) == 40, "every image once an epoch"
    assert epoch != [tuple(vector) for batch in whole[5:] for vector in batch]


def test_no_more_than_two_windows_are_read_in_advance(tmp_path: Path) -> None:
    read: list[str] = []

    class Watched(LocalStore):
        def read(self, name: str) -> Body:
            read.append(name)
            return super().read(name)

    shards = {f"train-{number:05d}": range(8 * number, 8 * number + 8) for number in range(10)}
    images = pictures.images(local_run(tmp_path), shards)
    watched = Dataset(Watched(images.store.root), images.manifest)  # type: ignore[attr-defined]
    stream = batches(train_split(watched), settings(window_shards=1), first_step=0)
    next(stream)
    assert len(read) <= 5  # two batches are decoded ahead, and a window beyond what they need
    assert len(list(stream)) == 19


# Rates


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", {0: 1 / 31, 29: 30 / 31, 30: 1.0, 99: 0.0}),
        ("one-cycle", {30: 1.0, 99: 1 / 250_000}),
    ],
)
def test_rates_rise_then_fall(schedule: str, expected: dict[int, float]) -> None:
    params = settings(schedule=schedule, warm_up=0.3)
    factors = [rate_factor(params, step, 100) for step in range(100)]
    for step, factor in expected.items():
        assert factors[step] == pytest.approx(factor, abs=1e-9)
    assert factors[:31] == sorted(factors[:31])
    assert factors[30:] == sorted(factors[30:], reverse=True)
    assert all(0 <= factor <= 1 for factor in factors)
    if schedule == "one-cycle":
        assert 1 / 25 < factors[0] < 1 / 20


def test_every_stage_has_its_rate_and_only_matrices_decay() -> None:
    params = settings(layer_decay=0.5, weight_decay=0.1, learning_rate=1.0, head_learning_rate=3.0, head_only_steps=5)
    learner = new_learner(params, torch.device("cpu"))
    optimizer = build_optimizer(learner.regressor, params)
    of = {name: group for group in optimizer.param_groups for name in group["names"]}
    assert set(of) == {name for name, _ in learner.regressor.named_parameters()}
    rates = {
        "head.0.weight": 3.0,
        "tower.trunk.head.norm.weight": 1.0,
        "tower.trunk.stages.3.blocks.0.gamma": 1.0,
        "tower.trunk.stages.2.blocks.0.gamma": 0.5,
        "tower.trunk.stages.0.blocks.0.gamma": 0.125,
        "tower.trunk.stem.0.weight": 0.0625,
    }
    assert {name: of[name]["peak"] for name in rates} == rates
    assert {name for name in of if of[name]["weight_decay"]} == {
        name for name, parameter in learner.regressor.named_parameters() if parameter.ndim > 1
    }
    set_rates(optimizer, params, step=4, steps=100)
    assert of["head.0.weight"]["lr"] > 0
    assert of["tower.trunk.stem.0.weight"]["lr"] == 0
    set_rates(optimizer, params, step=5, steps=100)
    assert of["tower.trunk.stem.0.weight"]["lr"] > 0


# Several processes


def one_of_two(folder: Path, params: TrainParams, rank: int, port: int) -> None:
    gang = {"WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in gang.items()})
    prepare = worker.prepare

    def both(params: TrainParams) -> Any:
        accelerator = prepare(params)
        assert accelerator.num_processes == 2
        return accelerator

    worker.prepare = both
    task = attempt(local_run(folder), params)
    worker.run(task, params)


def test_two_processes_together_train_what_one_trains_alone(tmp_path: Path) -> None:
    params = settings(head="linear", drop_path=0.0, ema_decay=None, epochs=1)
    pictures.images(local_run(tmp_path / "two"), SHARDS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert in_processes(one_of_two, [(tmp_path / "two", params, rank, port) for rank in range(2)]) == [0, 0]
    (alone,) = train(tmp_path / "one", params).samples("model")
    (together,) = train(tmp_path / "two", params).samples("model")  # committed already: nothing is done again
    left, right = (from_sample(stored).state_dict() for stored in (alone, together))
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < 1e-4
